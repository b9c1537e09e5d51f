# SPDX-License-Identifier: Apache-2.0
"""The host's way to the Debian archive, handed on to the roots that are built here.

A site may use a mirror, a proxy or a certificate authority of its own. The harness names none of
them: it asks apt.
"""

import re
from urllib.parse import urlsplit

from .command import execute
from .progress import progress

# The settings that say how to reach an archive. Everything else of the host's is its own business.
_ACQUIRE = re.compile(r"^Acquire::(http|https|ftp|proxy|retries|check-|forceipv)", re.IGNORECASE)


def acquire_options() -> list[str]:
    """Lines for an apt.conf, those of the host's that concern fetching."""
    dump = execute(["apt-config", "dump"]).stdout
    return [
        line for line in dump.splitlines() if _ACQUIRE.match(line) and not line.endswith(' "";')
    ]


def debian_sources(suite: str) -> list[str]:
    """The host's one-line sources of Debian's own archive for a suite, and of no other vendor.

    Empty when the host has none, which leaves the choice to mmdebstrap's default.
    """
    sources = _debian_sources(suite)
    if not sources:
        progress("apt knows no package lists yet: apt-get update")
        execute(["apt-get", "-q", "update"], check=False, timeout=300)
        sources = _debian_sources(suite)
    return sources


def _debian_sources(suite: str) -> list[str]:
    # apt names the targets of the lists that it holds, whatever the format of the files in /etc.
    form = "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    targets = execute(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"], check=False
    )

    sources: list[str] = []
    for target in targets.stdout.splitlines():
        fields = target.split()
        if len(fields) != 4:
            continue
        origin, uri, release, component = fields
        wanted = release == suite or release.startswith(f"{suite}-")
        if origin != "Debian" or not wanted or not urlsplit(uri).scheme.startswith("http"):
            continue
        if release.endswith(("-backports", "-proposed-updates")):
            continue
        sources.append(f"deb {uri} {release} {component}")
    return sorted(set(sources))

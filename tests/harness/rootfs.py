# SPDX-License-Identifier: Apache-2.0
"""The Debian root that all containers of all runs share, read-only, below their overlays.

Building it takes half a minute, so it is cached under a key made of everything that goes into it.
"""

import hashlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from .apt import acquire_options, debian_sources
from .command import execute
from .host import require_host
from .progress import progress
from .state import locked, state_folder

SUITE = "bookworm"

# Part of the cache key: raise it when the preparation below changes.
_PREPARATION = 1

_PACKAGES = (
    # a machine that boots
    "systemd",
    "systemd-sysv",
    "dbus",
    "polkitd",
    "iproute2",
    "procps",
    "util-linux",
    # what the binaries under test are linked with, on a node and on a gateway
    "ca-certificates",
    "libcurl4",
    "libgrpc29",
    "libjansson4",
    "libmicrohttpd12",
    "libprotobuf-c1",
    "libsodium23",
    "libsqlite3-0",
    "libssl3",
    "libsystemd0",
    "libzstd1",
    "zlib1g",
    # what tests look with
    "jq",
    "strace",
)

# Never read in a test, and a third of the size.
_EXCLUDED_PATHS = ("doc", "info", "locale", "man")

# Wanted on a machine that lives for years: here they only cost time, or wake up in mid-test.
_MASKED_UNITS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "container-getty@.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@.service",
    "systemd-firstboot.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
)

# Persistent, so that it outlives a crash; without limits, so that no line that a test waits for is
# dropped; written out every second, so that a killed machine still tells its last words.
_JOURNALD_CONF = """\
[Journal]
Storage=persistent
RateLimitIntervalSec=0
RateLimitBurst=0
SystemMaxUse=64M
SyncIntervalSec=1s
"""

_BUILD_TIMEOUT = 900.0


def base_root(extra: Sequence[str] = ()) -> Path:
    """Returns the cached root with the given packages besides the usual ones; builds it at need."""
    packages = sorted({*_PACKAGES, *extra})
    key = _cache_key(packages)
    folder = state_folder() / "roots"
    root = folder / f"debian-{key}"
    marker = folder / f"debian-{key}.ok"
    if marker.exists():
        return root

    require_host()
    with locked(folder / "build.lock", _BUILD_TIMEOUT + 60, "building the base root") as lock:
        if not marker.exists():
            _build(packages, root, lock)
            marker.touch()
    return root


def _cache_key(packages: Sequence[str]) -> str:
    text = "\n".join([SUITE, f"preparation {_PREPARATION}", *packages])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _build(packages: Sequence[str], root: Path, lock: int) -> None:
    """Builds beside the final place and renames, so that a killed build never looks complete.

    mmdebstrap inherits the lock. If this process is killed, it goes on for a while by itself, and
    the next run must not build in the same place meanwhile.
    """
    started = time.monotonic()
    building = root.with_name(f"{root.name}.new")
    for leftover in (building, root):
        shutil.rmtree(leftover, ignore_errors=True)

    progress(f"building the base root ({len(packages)} packages and what they need)")
    bootstrap(building, packages, timeout=_BUILD_TIMEOUT, pass_fds=(lock,))
    _prepare(building)
    building.rename(root)
    progress(f"base root is ready after {time.monotonic() - started:.1f}s: {root}")


def bootstrap(
    target: Path, packages: Sequence[str], *, timeout: float, pass_fds: Sequence[int] = ()
) -> None:
    """Makes a minimal Debian with the host's sources in the folder target."""
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=directory", "--mode=root"]
    argv += [f"--include={','.join(packages)}"]
    argv += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _EXCLUDED_PATHS]
    argv += [f"--aptopt={option}" for option in acquire_options()]
    argv += [SUITE, str(target), *debian_sources(SUITE)]
    execute(argv, timeout=timeout, pass_fds=pass_fds)


def _prepare(root: Path) -> None:
    """Turns a Debian root into a machine that boots quickly and the same way each time."""
    for unit in _MASKED_UNITS:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")

    drop_in = root / "etc/systemd/journald.conf.d/harness.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(_JOURNALD_CONF)

    # Each container brings its own identity; the host's resolvers are of no use in its network.
    (root / "etc/hostname").unlink(missing_ok=True)
    for name in ("machine-id", "resolv.conf"):
        (root / "etc" / name).write_text("")
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)

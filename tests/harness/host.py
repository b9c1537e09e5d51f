# SPDX-License-Identifier: Apache-2.0
"""What the harness asks of the machine it runs on."""

import os
import shutil
from pathlib import Path

# systemd and its services take about seven inotify instances per container, and the usual limit of
# 128 is shared by all of them: beyond it, units fail in ways that look like anything else.
_INOTIFY_INSTANCES = 4096
_INOTIFY_SYSCTL = Path("/proc/sys/fs/inotify/max_user_instances")

_TOOLS = (
    "ip",
    "journalctl",
    "mmdebstrap",
    "mount",
    "nsenter",
    "systemd-nspawn",
    "umount",
    "unshare",
)


class HostError(RuntimeError):
    """This machine cannot run containers; the message says what to do about it."""


def require_host() -> None:
    """Fails early and in plain words, instead of late in the middle of a boot."""
    if os.geteuid() != 0:
        raise HostError("booting containers needs root")
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise HostError(f"not installed: {', '.join(missing)} (run tools/deps test)")


def raise_inotify_limit() -> None:
    if int(_INOTIFY_SYSCTL.read_text()) < _INOTIFY_INSTANCES:
        _INOTIFY_SYSCTL.write_text(str(_INOTIFY_INSTANCES))

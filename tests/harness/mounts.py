# SPDX-License-Identifier: Apache-2.0
"""Finds and undoes mounts."""

import re
from pathlib import Path

from .command import execute
from .wait import WaitTimeout, wait_for

_BUSY_TIMEOUT = 3.0


def mounts_below(folder: Path) -> list[Path]:
    """What is mounted in the folder, innermost first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(_unescape(line.split()[4]))
        if point.is_relative_to(folder):
            points.append(point)
    return sorted(points, reverse=True)


def unmount_below(folder: Path) -> None:
    """Unmounts everything in the folder; what is still in use after a moment, lazily.

    Either way nothing is mounted there in the end, or this raises: files are removed next.
    """
    for point in mounts_below(folder):
        try:
            wait_for(lambda: _unmount(point), _BUSY_TIMEOUT, f"{point} to be free")
        except WaitTimeout:
            execute(["umount", "--lazy", str(point)])


def _unmount(point: Path) -> bool:
    return execute(["umount", str(point)], check=False).returncode == 0


def _unescape(field: str) -> str:
    """The kernel writes blanks and backslashes in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)

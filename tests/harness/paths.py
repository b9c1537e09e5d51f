# SPDX-License-Identifier: Apache-2.0
"""Paths of a machine, seen from the host."""

import os
from pathlib import Path, PurePosixPath

# systemd mounts these anew at each boot: what the host sees there is not what the machine sees.
_VOLATILE = ("dev", "proc", "run", "sys", "tmp")

_MAX_LINKS = 40


def locate(root: Path, inside: str, *, follow: bool = False) -> Path:
    """Where the machine's absolute path is on the host, its links taken as the machine takes them.

    /var/run leads to /run. Left to the kernel, that would be the host's own, and a test would write
    into it. With follow, the last part is followed as well if it is a link.
    """
    todo = list(reversed(PurePosixPath(inside).parts))
    if todo.pop() != "/":
        raise ValueError(f"not an absolute path: {inside}")

    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            done = done[:-1]
            continue
        here = root.joinpath(*done, part)
        if (todo or follow) and here.is_symlink():
            links += 1
            if links > _MAX_LINKS:
                raise OSError(f"too many links: {inside}")
            target = PurePosixPath(os.readlink(here))
            if target.is_absolute():
                done = []
            todo += [word for word in reversed(target.parts) if word != "/"]
            continue
        done.append(part)

    if done and done[0] in _VOLATILE:
        raise ValueError(f"{inside} is not on the machine's disk: use run() to reach it")
    return root.joinpath(*done)

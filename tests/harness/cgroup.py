# SPDX-License-Identifier: Apache-2.0
"""Control groups of a run, in the unified hierarchy.

They serve two ends. Each container needs one to itself, since systemd-nspawn --keep-unit puts the
machine where its caller is, and two systemds in one group would take each other's processes for
their own. And a group holds every process that a run ever started, however it was forked: what
remains of a killed run is found there without guessing at process ids or names.

The version 1 hierarchies of a hybrid host are left as they are. No container sees them.
"""

import os
from functools import cache
from pathlib import Path

from .host import HostError
from .wait import wait_for


@cache
def unified_hierarchy() -> Path:
    """Where the host has cgroup v2: /sys/fs/cgroup itself, or below it on a hybrid host."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        if source.split()[0] == "cgroup2":
            return Path(mount.split()[4])
    raise HostError("no cgroup v2 hierarchy is mounted")


def run_group(run_id: str) -> "Group":
    return Group(unified_hierarchy() / f"fleet-agent-tests-{run_id}")


class Group:
    """One control group, with all that is below it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def child(self, name: str) -> "Group":
        return Group(self.path / name)

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    def entering(self, argv: list[str]) -> list[str]:
        """The command that moves itself into this group and then becomes argv, same process id.

        A shell does it, as Python's preexec_fn is not safe in a program with threads.
        """
        script = 'echo $$ >"$0" && exec "$@"'
        return ["/bin/sh", "-c", script, str(self.path / "cgroup.procs"), *argv]

    def is_populated(self) -> bool:
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    def kill(self, timeout: float = 20) -> None:
        """Kills every process below, and waits until they are gone."""
        if not self.is_populated():
            return
        (self.path / "cgroup.kill").write_text("1")
        wait_for(lambda: not self.is_populated(), timeout, f"an empty control group {self.path}")

    def remove(self) -> None:
        """Removes the group and those below it; they must be empty."""
        for folder, _, _ in os.walk(self.path, topdown=False):
            os.rmdir(folder)

# SPDX-License-Identifier: Apache-2.0
"""Ways to break things at a chosen instant, and files that are not what they say."""

import re
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

from harness import Container

UPDATE_UNIT = "fleet-agent-update.service"
UPDATER_UNIT = "fleet-agent-updater.service"
ROLLBACK_UNIT = "fleet-agent-rollback.service"
_VERBS = {UPDATE_UNIT: "good/updater apply", UPDATER_UNIT: "current/updater serve"}

EM_AARCH64 = 183


def for_another_machine(program: Path, target: Path, machine: int = EM_AARCH64) -> Path:
    """The same ELF file, said to be for another processor."""
    data = bytearray(program.read_bytes())
    assert data[:4] == b"\x7fELF"
    struct.pack_into("<H", data, 18, machine)
    target.write_bytes(data)
    return target


def flip_byte(path: Path, target: Path | None = None, offset: int = 5000) -> Path:
    """Changes one byte, and neither length nor name."""
    data = bytearray(path.read_bytes())
    data[offset % len(data)] ^= 0x01
    target = target or path
    target.write_bytes(data)
    return target


def drop_in(box: Container, unit: str, text: str) -> None:
    """Applies to transient units, too, as their names are known."""
    box.write_file(f"/etc/systemd/system/{unit}.d/test.conf", text)
    box.run(["systemctl", "daemon-reload"])


def no_drop_in(box: Container, unit: str) -> None:
    shutil.rmtree(box.path(f"/etc/systemd/system/{unit}.d"), ignore_errors=True)
    box.run(["systemctl", "daemon-reload"])


class Traced:
    """The updater under strace, in its own unit: to watch it, and to meddle with one system call.

    inject is as in strace(1): "renameat:signal=KILL:when=3". Sandbox settings that forbid strace
    are lifted.
    """

    def __init__(
        self, box: Container, unit: str = UPDATE_UNIT, inject: str = "", path: str = ""
    ) -> None:
        self._box = box
        self._unit = unit
        self._inject = inject
        self._path = path  # only calls that have to do with this file
        self._log = f"/var/log/{unit}.trace"

    def __enter__(self) -> "Traced":
        self._box.path(self._log).unlink(missing_ok=True)
        strace = f"/usr/bin/strace -f -y -s 200 -o {self._log}"
        if self._path:
            strace += f" -P {self._path}"
        if self._inject:
            strace += f" -e inject={self._inject}"
        drop_in(
            self._box,
            self._unit,
            f"[Service]\nExecStart=\nExecStart={strace} /opt/fleet-agent/bin/{_VERBS[self._unit]}\n"
            "SystemCallFilter=\nCapabilityBoundingSet=~\nReadWritePaths=/var/log\n",
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._box.is_up():
            no_drop_in(self._box, self._unit)
        else:
            shutil.rmtree(self._box.path(f"/etc/systemd/system/{self._unit}.d"), ignore_errors=True)

    def calls(self) -> list[str]:
        """Lines of the trace so far, without process ids."""
        path = self._box.path(self._log)
        if not path.exists():
            return []
        return [
            line.split(maxsplit=1)[1]
            for line in path.read_text(errors="replace").splitlines()
            if " " in line
        ]


def point(calls: list[str], pattern: str, then: str | None = None) -> tuple[str, int]:
    """Name and number of the first call that matches, or of the first `then` after it.

    Numbers are as strace counts them, by name.
    """
    counts: dict[str, int] = {}
    found = False
    for line in calls:
        match = re.match(r"(\w+)\(", line)
        if match is None:
            continue
        name = match[1]
        counts[name] = counts.get(name, 0) + 1
        if found and name == then:
            return name, counts[name]
        if not found and re.search(pattern, line):
            if then is None:
                return name, counts[name]
            found = True
    raise AssertionError(
        f"no such call in the trace: {pattern} {then or ''}\n" + "\n".join(calls[-40:])
    )


def at_once(predicate: Callable[[], bool], timeout: float, what: str) -> None:
    """Polls much more often than wait_for(): for instants that pass."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"waited {timeout:g}s in vain: {what}"
        time.sleep(0.0005)


def record(box: Container) -> dict[str, str]:
    """The updater's record of the open transaction; empty if there is none."""
    try:
        text = box.path("/var/lib/fleet-agent-updater/transaction").read_text()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def denylist(box: Container) -> str:
    """As it is on disk; what matters is whether it is empty."""
    path = box.path("/var/lib/fleet-agent-updater/denylist")
    lines = path.read_text().splitlines() if path.exists() else []
    return "\n".join(line for line in lines if "=" in line)

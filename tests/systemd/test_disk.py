# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, or become so."""

from harness import Container, wait_for

from . import faults
from .client import Offer
from .faults import UPDATER_UNIT, Traced
from .lab import Lab, Settings
from .suite import Group, case

_BIN = "/opt/fleet-agent/bin"
_STATE = "/var/lib/fleet-agent"


def small(box: Container, place: str, size: str) -> None:
    """A small file system, mounted by a unit: it is there after a reboot, too."""
    box.path(place).mkdir(parents=True, exist_ok=True)
    name = place.strip("/").replace("-", "\\x2d").replace("/", "-")
    box.write_file(
        f"/etc/systemd/system/{name}.mount",
        f"[Unit]\nBefore=local-fs.target\n[Mount]\nWhat=tmpfs\nWhere={place}\nType=tmpfs\n"
        f"Options=size={size},mode=0755\n",
    )
    box.run(["systemctl", "daemon-reload"])
    box.run(["systemctl", "start", f"{name}.mount"])


def fill(box: Container, place: str, leave_kib: int) -> None:
    free = int(box.run(["stat", "-f", "-c", "%a %S", place]).stdout.split()[0]) * 4
    if free > leave_kib:
        box.run(["fallocate", "-l", f"{free - leave_kib}K", f"{place}/.filler"])


def _inside(lab: Lab, *argv: str) -> str:
    return lab.box.run(list(argv)).stdout


@case()
def no_room_for_the_new_version(lab: Lab) -> str:
    """Seen before the first byte is copied, and said plainly."""
    before = _inside(lab, "ls", "-A", _BIN)
    pid = lab.machine.main_pid()
    fill(lab.box, _BIN, 2048)
    try:
        lab.order("1.1.0")
        lab.refused("1.1.0", "disk-full")
        answer = lab.client.install(Offer.of(lab.repository, "1.1.0"))
        assert answer.error == "DiskFull" and answer.message, answer
    finally:
        lab.box.run(["rm", f"{_BIN}/.filler"])
    assert _inside(lab, "ls", "-A", _BIN) == before
    assert lab.machine.main_pid() == pid
    return None  # type: ignore[return-value]  # the links are on a tmpfs, which the host cannot see


@case()
def disk_fills_up_while_copying(lab: Lab) -> str:
    """There was room when it began."""
    pid = lab.machine.main_pid()
    lab.release("1.1.0")
    copy = f"{_BIN}/.v1.1.0.new/agent"
    with Traced(lab.box, UPDATER_UNIT, "write:error=ENOSPC:when=3", copy):
        lab.box.run(["systemctl", "stop", UPDATER_UNIT])
        lab.client.ends(Offer.of(lab.repository, "1.1.0"), "failed", "disk-full")
        lab.box.run(["systemctl", "stop", UPDATER_UNIT])
    assert lab.machine.main_pid() == pid
    assert lab.machine.versions() == ["1.0.0"]
    assert not faults.denylist(lab.box)
    lab.client.ends(Offer.of(lab.repository, "1.1.0"), "succeeded", "none")
    return "1.1.0"


@case()
def no_room_for_the_download(lab: Lab) -> str:
    """The agent's own state directory is full."""
    fill(lab.box, _STATE, 1024)
    pid = lab.machine.main_pid()
    lab.order("1.1.0")
    lab.refused("1.1.0", "disk-full")
    assert lab.machine.main_pid() == pid
    lab.box.run(["rm", f"{_STATE}/.filler"])
    lab.machine.update("1.1.0", retry=True)
    lab.machine.wait_finished("1.1.0", "succeeded")
    return "1.1.0"


@case(fresh=True)
def going_back_on_a_full_disk(lab: Lab) -> str:
    """The disk fills up while the new version is on trial: the way back needs no space."""
    lab.order("1.3.0")
    wait_for(
        lambda: "v1.3.0" in _inside(lab, "readlink", f"{_BIN}/current"), 40, "the switch", 0.01
    )
    lab.box.run(["sh", "-c", f"dd if=/dev/zero of={_BIN}/.filler bs=64k 2>/dev/null; true"])
    try:
        wait_for(
            lambda: "v1.0.0" in _inside(lab, "readlink", f"{_BIN}/current"), 60, "the way back"
        )
        lab.refused("1.3.0", "not-connected", "rolled-back", 30)
        lab.machine.wait_online("1.0.0")
    finally:
        lab.box.run(["rm", "-f", f"{_BIN}/.filler"])
    return None  # type: ignore[return-value]


_QUICK = "ConfirmTimeoutSec=8\nSoakSec=2\nDiskReserve=1M\n"
GROUPS = [
    Group(
        "diskbin",
        (no_room_for_the_new_version, going_back_on_a_full_disk),
        Settings(updater=_QUICK, prepare=lambda box: small(box, _BIN, "120M")),
        minutes=1,
    ),
    Group(
        "diskstate",
        (no_room_for_the_download,),
        Settings(prepare=lambda box: small(box, _STATE, "96M")),
    ),
    Group("diskfills", (disk_fills_up_while_copying,), Settings(updater=_QUICK)),
]

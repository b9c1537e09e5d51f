# SPDX-License-Identifier: Apache-2.0
"""Updates that go well, and what they leave behind."""

import shutil

from harness import wait_for

from . import bus, faults
from .lab import Lab, Settings, stays
from .suite import Group, case

_WANTED = ("Downloading", "Verifying", "Restarting", "Back Online")


@case()
def succeeds(lab: Lab) -> str:
    """Phases in order at the gateway, links moved, floor raised."""
    pid = lab.machine.main_pid()
    lab.release("1.1.0", options=["--floor", "1.0.0"])
    update = lab.update("1.1.0")
    assert update.get("from_version") == "1.0.0" and "verdict" not in update, update
    titles = lab.events.titles(lab.machine.agent_id, "1.1.0")
    lab.events.wait_title(lab.machine.agent_id, "1.1.0", "Back Online")
    titles = lab.events.titles(lab.machine.agent_id, "1.1.0")
    assert [t for t in titles if t in _WANTED] == list(_WANTED), titles
    assert lab.machine.main_pid() != pid
    assert bus.updater(lab.machine, "Floor") == "1.0.0"
    assert bus.updater(lab.machine, "PreviousVersion") == "1.0.0"
    assert bus.last_result(lab.machine)["instruction"] == update["id"]
    assert lab.machine.versions() == ["1.0.0", "1.1.0"]
    _packaged_payload_is_untouched(lab)
    return "1.1.0"


@case(start="1.1.0")
def prunes_old_versions(lab: Lab) -> str:
    """KeepVersions=2: what ran before the previous version goes; the previous one stays."""
    older = lab.box.path("/opt/fleet-agent/bin/v0.9.0")
    if "1.0.0" not in lab.machine.versions():  # the machine did not come here by an update
        shutil.copytree(lab.box.path("/opt/fleet-agent/bin/v1.1.0"), older)
    lab.update("1.4.0")
    wait_for(lambda: lab.machine.versions() == ["1.1.0", "1.4.0"], 10, "old versions to be gone")
    remarks = bus.installed(lab.machine)
    assert set(remarks) == {"1.1.0", "1.4.0"}, remarks
    assert {"current", "good"} <= set(remarks["1.4.0"].split(",")), remarks
    assert "previous" in remarks["1.1.0"].split(","), remarks
    return "1.4.0"


def _slow_downloads(lab: Lab) -> None:
    """So that there is time for others to go and come in the middle of one."""
    lab.box.write_file("/etc/fleet-agent/agent.conf.d/slow.conf", "[Update]\nSpeedLimit=700K\n")
    lab.box.run(["systemctl", "restart", "fleet-agent.service"])
    lab.machine.wait_online()


@case(fresh=True)
def repeated_instruction_is_done_once(lab: Lab) -> str:
    """The gateway goes and comes back twice within one update, and repeats what it asked for."""
    _slow_downloads(lab)
    pid = lab.machine.main_pid()
    lab.order("1.1.0")
    for _ in range(2):
        lab.events.wait_title(lab.machine.agent_id, "1.1.0", "Downloading")
        lab.gateway.stop(kill=True)
        lab.gateway.start()
        lab.machine.wait_online("1.0.0")
        assert lab.machine.main_pid() == pid, "it has been updated already: the case is too slow"
    update = lab.machine.wait_finished("1.1.0", "succeeded", 90)
    assert [u["id"] for u in lab.gateway.updates(lab.machine.agent_id)] == [update["id"]]
    swaps = lab.journal(MESSAGE_ID="6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e07")
    assert len(swaps) == 1, swaps
    # And once more after it is finished: nothing is done again.
    lab.gateway.stop(kill=True)
    lab.gateway.start()
    lab.machine.wait_online("1.1.0")
    pid = lab.machine.main_pid()
    stays(lambda: lab.machine.main_pid() == pid, 3, "the agent that was updated")
    return "1.1.0"


@case(fresh=True)
def final_status_is_repeated(lab: Lab) -> str:
    """The gateway is away when the update ends well, and hears of it later."""
    lab.order("1.1.0")
    wait_for(
        lambda: faults.record(lab.box).get("phase") == "confirming",
        30,
        "the new version to be soaking",
        0.01,
    )
    lab.gateway.stop(kill=True)
    # A session is needed to commit: without one the machine would go back.
    lab.gateway.start()
    lab.machine.wait_links("1.1.0", "1.1.0")
    lab.gateway.stop(kill=True)
    lab.gateway.start()
    lab.machine.wait_finished("1.1.0", "succeeded")
    return "1.1.0"


@case(fresh=True)
def agent_dies_while_downloading(lab: Lab) -> str:
    """The next process goes on with what is there, under the same instruction."""
    _slow_downloads(lab)
    lab.order("1.1.0")
    for _ in range(2):
        lab.events.wait_title(lab.machine.agent_id, "1.1.0", "Downloading")
        pid = lab.machine.main_pid()
        lab.box.run(["kill", "-KILL", pid])
        wait_for(lambda: lab.machine.main_pid() not in ("0", pid), 20, "another process")
        lab.machine.wait_online("1.0.0")
    update = lab.machine.wait_finished("1.1.0", "succeeded", 90)
    assert [u["id"] for u in lab.gateway.updates(lab.machine.agent_id)] == [update["id"]]
    return "1.1.0"


def _upgrade_package(lab: Lab, version: str) -> int:
    """What a package's script does after the files of another one are in place."""
    for path, name in zip(lab.build.payload(version), ("agent", "updater"), strict=True):
        lab.box.copy_in(path, f"/opt/fleet-agent/package/{name}", 0o755)
    lab.box.write_file("/opt/fleet-agent/package/VERSION", f"{version}\n")
    adopt = ["/opt/fleet-agent/package/updater", "adopt"]
    return lab.box.run(adopt, check=False, timeout=120).returncode


@case(fresh=True)
def package_is_upgraded(lab: Lab) -> str:
    """A newer package is an ordinary update, with a trial. An older one is nothing."""
    assert _upgrade_package(lab, "1.1.0") == 0
    lab.machine.wait_links("1.1.0", "1.1.0")
    lab.machine.wait_online("1.1.0")
    pid = lab.machine.main_pid()
    assert _upgrade_package(lab, "1.0.0") == 0
    assert lab.machine.main_pid() == pid, "an older package restarted the agent"
    _upgrade_package(lab, "1.2.0")
    ended = lambda: bus.last_result(lab.machine).get("to") == "1.2.0"  # noqa: E731
    wait_for(ended, 60, "the end of 1.2.0", 0.2)
    result = bus.last_result(lab.machine)
    assert (result["phase"], result["verdict"]) == ("rolled-back", "crashed"), result
    return "1.1.0"


@case(fresh=True)
def two_steps_in_one_go(lab: Lab) -> str:
    """1.0.0 to 1.1.0 to 1.4.0, the second ordered as soon as the first has ended."""
    lab.update("1.1.0")
    lab.update("1.4.0")
    return "1.4.0"


def _packaged_payload_is_untouched(lab: Lab) -> None:
    agent, updater = lab.build.payload("1.0.0")
    for path, name in ((agent, "agent"), (updater, "updater")):
        packaged = lab.box.path(f"/opt/fleet-agent/package/{name}")
        assert packaged.read_bytes() == path.read_bytes(), f"package/{name} was changed"


GROUPS = [
    Group(
        "update",
        (succeeds, prunes_old_versions),
        Settings(updater="ConfirmTimeoutSec=20\nSoakSec=2\nKeepVersions=2\n"),
    ),
    Group("package", (package_is_upgraded,)),
    Group("resume", (agent_dies_while_downloading,)),
    Group(
        "repeat",
        (repeated_instruction_is_done_once, final_status_is_repeated, two_steps_in_one_go),
        minutes=1,
    ),
]

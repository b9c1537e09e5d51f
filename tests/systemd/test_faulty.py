# SPDX-License-Identifier: Apache-2.0
"""Releases that pass their self-test and then fail, and those that cannot even do that."""

import os
import time

from . import bus, faults
from .lab import Lab, Settings
from .suite import Group, case

# 1.2.3 aborts three seconds after its start: the soak must last longer.
_SETTINGS = Settings(updater="ConfirmTimeoutSec=15\nSoakSec=6\n")


def _went_back(lab: Lab, version: str) -> None:
    assert version not in lab.machine.versions(), "the version that failed is still there"
    assert faults.denylist(lab.box), "the release is not on the denylist"


@case()
def exits_at_once(lab: Lab) -> str:
    lab.goes_back("1.2.0", "crashed")
    _went_back(lab, "1.2.0")
    return "1.0.0"


@case()
def crash_loop(lab: Lab) -> str:
    lab.goes_back("1.2.1", "crashed")
    _went_back(lab, "1.2.1")
    return "1.0.0"


@case()
def hangs(lab: Lab) -> str:
    """The watchdog ends it."""
    lab.goes_back("1.2.2", "watchdog", timeout=120)
    _went_back(lab, "1.2.2")
    return "1.0.0"


@case()
def crashes_while_soaking(lab: Lab) -> str:
    """It reaches the gateway, and then dies."""
    update = lab.goes_back("1.2.3", "crashed")
    assert update.get("failed_phase") == "confirming", update
    _went_back(lab, "1.2.3")
    return "1.0.0"


@case()
def new_updater_is_deaf(lab: Lab) -> str:
    """A release whose updater cannot be activated would be the last one: it is not committed."""
    lab.goes_back("1.2.4", "updater-failed")
    _went_back(lab, "1.2.4")
    return "1.0.0"


@case()
def never_reaches_the_gateway(lab: Lab) -> str:
    lab.goes_back("1.3.0", "not-connected")
    _went_back(lab, "1.3.0")
    return "1.0.0"


@case(fresh=True)
def never_reaches_the_gateway_in_real_time(lab: Lab) -> str:
    """The three minutes as they are in production: how long is the machine away?"""
    lab.release("1.3.0")
    lab.machine.update("1.3.0")
    faults.at_once(lambda: lab.machine.link("current") == "1.3.0", 60, "the switch")
    away = time.monotonic()
    lab.machine.wait_finished("1.3.0", "rolled-back", 240)
    lab.machine.wait_online("1.0.0", 30)
    took = time.monotonic() - away
    assert 170 < took < 190, f"it was away for {took:.1f} s"
    assert bus.last_result(lab.machine)["verdict"] == "not-connected"
    return "1.0.0"


@case()
def wrong_architecture(lab: Lab) -> str:
    """A file for another processor, properly signed as one for this: nothing is changed."""
    agent, updater = lab.build.payload("1.1.0")
    folder = lab.run.folder / f"{lab.name}-wrong"
    folder.mkdir(exist_ok=True)
    wrong = faults.for_another_machine(agent, folder / "agent")
    pid = lab.machine.main_pid()
    lab.order("1.5.0", files=(wrong, updater))
    lab.refused("1.5.0", "self-test-failed")
    assert lab.machine.main_pid() == pid, "the agent was restarted"
    assert "1.5.0" not in lab.machine.versions()
    return "1.0.0"


@case()
def self_test_cannot_be_run(lab: Lab) -> str:
    """This machine, not the release, is to blame: it may come again at once."""
    before = faults.denylist(lab.box)
    faults.drop_in(lab.box, "fleet-agent-self-test.service", "[Service]\nRootDirectory=/nowhere\n")
    lab.order("1.1.0")
    lab.refused("1.1.0", "internal")
    faults.no_drop_in(lab.box, "fleet-agent-self-test.service")
    assert faults.denylist(lab.box) == before, (before, faults.denylist(lab.box))
    return "1.0.0"


@case()
def says_another_version(lab: Lab) -> str:
    """The binaries of 1.1.0 signed as 1.6.0: whoever signed that did not mean it."""
    pid = lab.machine.main_pid()
    lab.order("1.6.0", files=lab.build.payload("1.1.0"))
    lab.refused("1.6.0", "self-test-failed")
    assert lab.machine.main_pid() == pid, "the agent was restarted"
    return "1.0.0"


@case()
def for_another_architecture_alone(lab: Lab) -> str:
    """There is nothing for this machine in the release: the gateway knows, and the updater, too."""
    other = "aarch64" if os.uname().machine != "aarch64" else "x86_64"
    lab.release("1.7.0", files=lab.build.payload("1.4.0"), arch=other)
    lab.machine.update("1.7.0")
    shown = lab.gateway.agent(lab.machine.agent_id)
    assert shown.get("reason") == "arch-missing", shown
    assert not [u for u in lab.gateway.updates(lab.machine.agent_id) if u["version"] == "1.7.0"]

    from .client import Offer

    offer = Offer.of(lab.repository, "1.7.0", arch=other)
    answer = lab.client.install(offer)
    assert answer.error in ("NotFound", "NotForUs") and answer.message, answer
    return "1.0.0"


@case()
def second_update_after_going_back(lab: Lab) -> str:
    """What failed does not stand in the way of what is good."""
    lab.update("1.4.0")
    return "1.4.0"


GROUPS = [
    Group(
        "faulty",
        (exits_at_once, crashes_while_soaking, new_updater_is_deaf, second_update_after_going_back),
        _SETTINGS,
        minutes=2,
    ),
    Group("loop", (crash_loop, never_reaches_the_gateway), _SETTINGS, minutes=1),
    Group("hang", (hangs,), Settings(updater="ConfirmTimeoutSec=60\nSoakSec=6\n"), minutes=2),
    Group(
        "foreign",
        (
            wrong_architecture,
            self_test_cannot_be_run,
            says_another_version,
            for_another_architecture_alone,
        ),
    ),
    Group(
        "threeminutes",
        (never_reaches_the_gateway_in_real_time,),
        Settings(updater=""),
        slow=True,
        minutes=4,
    ),
]

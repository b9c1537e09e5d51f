# SPDX-License-Identifier: Apache-2.0
"""Rollouts to real machines, and the way back that an operator orders at the gateway."""

from typing import Any

from harness import wait_for

from . import bus
from .lab import Lab, Settings
from .suite import Group, case

_AS_AGENT = ("setpriv", "--reuid=fleet-agent", "--regid=nogroup", "--clear-groups")


def _rollout(lab: Lab, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Made, and waited for."""
    made = lab.gateway.api("POST", path, body)

    def ended() -> dict[str, Any] | None:
        shown = dict(lab.gateway.api("GET", f"/rollouts/{made['id']}"))
        return shown if shown["terminal"] or shown["state"] == "paused" else None

    return wait_for(ended, 90, f"rollout {made['id']} to end", 0.2)


def _there(lab: Lab, version: str) -> dict[str, Any]:
    lab.release(version)
    body = {"version": version, "target": {"ids": [lab.machine.agent_id]}, "strategy": {"canary": {"count": 0}}}
    shown = _rollout(lab, "/rollouts", body)
    assert (shown["state"], shown["counts"]["succeeded"]) == ("completed", 1), shown
    assert lab.machine.link("current") == version
    return shown


def _rollback(lab: Lab, version: str, instruction: str = "0123456789abcdef0123456789abcdef") -> str:
    """The agent's user asks the updater by itself: only to be refused. The words of the answer."""
    options = ["1", "instruction", "s", instruction] if instruction else ["0"]
    argv = [*_AS_AGENT, "busctl", "call", *bus.UPDATER, "Rollback", "sa{sv}", version, *options]
    done = lab.box.run(argv, check=False)
    assert done.returncode != 0, f"it was taken: {done.stdout}"
    return str(done.stderr)


@case(fresh=True)
def there_and_back(lab: Lab) -> str:
    """Nothing is downloaded for the way back, and it is a trial like any other."""
    went = _there(lab, "1.1.0")
    lab.events.forget()
    shown = _rollout(lab, f"/rollouts/{went['id']}/roll-back", {"description": "as it was"})
    assert (shown["state"], shown["counts"]["succeeded"]) == ("completed", 1), shown
    assert (lab.machine.link("current"), lab.machine.link("good")) == ("1.0.0", "1.0.0")
    update = lab.gateway.updates(lab.machine.agent_id)[0]
    assert (update["version"], update["from_version"], update["phase"]) == ("1.0.0", "1.1.0", "succeeded"), update
    result = bus.last_result(lab.machine)
    assert (result["instruction"], result["verdict"]) == (update["id"], "operator"), result
    titles = lab.events.titles(lab.machine.agent_id, "1.0.0")
    assert "Restarting" in titles and "Downloading" not in titles, titles
    lab.machine.wait_online("1.0.0")
    return "1.0.0"


@case(fresh=True)
def the_gateway_goes_within_the_way_back(lab: Lab) -> str:
    """Neither version reaches it: the machine goes on with the one that it ran."""
    went = _there(lab, "1.1.0")
    path = f"/rollouts/{went['id']}/roll-back"
    made = lab.gateway.api("POST", path, {"strategy": {"attempts": 1}})
    wait_for(lambda: lab.machine.link("current") == "1.0.0", 30, "the switch", 0.02)
    lab.gateway.stop(kill=True)
    lab.machine.wait_links("1.1.0", "1.1.0", 60)
    lab.gateway.start()
    lab.machine.wait_online("1.1.0")
    wait_for(lambda: lab.gateway.api("GET", f"/rollouts/{made['id']}")["failures"] == 1, 30, "the failure to be told", 0.2)
    (member,) = lab.gateway.api("GET", f"/rollouts/{made['id']}/members")["members"]
    assert (member["state"], member["reason"]) == ("rolled-back", "gateway-unreachable"), member
    return "1.1.0"


@case(fresh=True)
def only_to_the_previous_version(lab: Lab) -> str:
    """Whoever has the gateway, or the agent, cannot choose among all that lies on the machine."""
    lab.update("1.1.0")
    lab.update("1.4.0")
    answer = _rollback(lab, "1.1.0", instruction="")  # the agent's own idea
    assert "Access denied" in answer, answer
    assert set(lab.machine.versions()) >= {"1.0.0", "1.1.0", "1.4.0"}
    for version, words in (("1.0.0", "1.1.0"), ("9.9.9", "1.1.0"), ("../1", "not one such as")):
        answer = _rollback(lab, version)
        assert words in answer, answer
    assert lab.machine.link("current") == "1.4.0" and bus.updater(lab.machine, "State") == "idle"
    return "1.4.0"


@case(fresh=True)
def the_owner_forbids_it(lab: Lab) -> str:
    went = _there(lab, "1.1.0")
    answer = _rollback(lab, "")
    assert "RemoteRollback=" in answer, answer
    shown = _rollout(lab, f"/rollouts/{went['id']}/roll-back", {})
    (member,) = lab.gateway.api("GET", f"/rollouts/{shown['id']}/members")["members"]
    assert (member["state"], member["reason"]) == ("skipped", "pinned"), member
    assert lab.machine.link("current") == "1.1.0"
    # its administrator may all the same
    lab.box.run(["fleet-agentctl", "rollback"])
    lab.machine.wait_links("1.0.0", "1.0.0", 60)
    return "1.0.0"


GROUPS = [
    Group("rollout", (there_and_back, only_to_the_previous_version), minutes=0.7),
    Group("rolloutlost", (the_gateway_goes_within_the_way_back,), minutes=0.7),
    Group(
        "rolloutowner",
        (the_owner_forbids_it,),
        Settings(updater="ConfirmTimeoutSec=20\nSoakSec=2\nRemoteRollback=no\n"),
    ),
]

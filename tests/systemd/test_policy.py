# SPDX-License-Identifier: Apache-2.0
"""Which versions may be installed when: denylist, floor, stepping stones, pins, the way back."""

import json

from harness import wait_for

from . import bus, faults
from .client import Offer
from .lab import Lab, Settings
from .suite import Group, case


def _ask_again(lab: Lab, version: str) -> None:
    """A fresh wish of the operator for the same version, without lifting a refusal."""
    desired = lab.gateway.agent(lab.machine.agent_id)["desired"]["id"]
    lab.gateway.api("DELETE", f"/desired/{desired}")
    lab.machine.update(version)


@case()
def denylisted_until_a_newer_release(lab: Lab) -> str:
    lab.goes_back("1.2.0", "crashed")
    first = lab.gateway.updates(lab.machine.agent_id)[0]["id"]
    _ask_again(lab, "1.2.0")
    wait_for(
        lambda: lab.gateway.updates(lab.machine.agent_id)[0]["id"] != first,
        20,
        "another instruction",
        0.2,
    )
    lab.refused("1.2.0", "denylisted")
    # Whoever talks to the updater himself gets no further.
    lab.client.refused(Offer.of(lab.repository, "1.2.0"), "Denylisted")
    assert lab.machine.versions() == ["1.0.0"]
    lab.update("1.4.0")
    return "1.4.0"


@case(fresh=True)
def explicit_retry_clears_it_once(lab: Lab) -> str:
    lab.goes_back("1.2.0", "crashed")
    first = lab.gateway.updates(lab.machine.agent_id)[0]["id"]
    lab.machine.update("1.2.0", retry=True)
    wait_for(
        lambda: lab.gateway.updates(lab.machine.agent_id)[0]["id"] != first, 20, "the retry", 0.2
    )
    second = lab.refused("1.2.0", "crashed", "rolled-back", 90)
    # Once per hour: the second retry is refused.
    lab.machine.update("1.2.0", retry=True)
    wait_for(
        lambda: lab.gateway.updates(lab.machine.agent_id)[0]["id"] != second["id"],
        20,
        "the second retry",
        0.2,
    )
    lab.refused("1.2.0", "denylisted")
    return "1.0.0"


@case()
def downgrade_is_refused(lab: Lab) -> str:
    """The gateway does not even ask; whoever asks the updater is told."""
    lab.update("1.1.0")
    lab.machine.update("1.0.0")
    shown = lab.gateway.agent(lab.machine.agent_id)
    assert shown.get("reason") == "already-newer", shown
    for version in ("1.0.0", "1.1.0"):
        lab.client.refused(Offer.of(lab.repository, version), "Downgrade")
    assert bus.updater(lab.machine, "State") == "idle"
    return "1.1.0"


@case(start="1.1.0")
def below_the_floor_is_refused(lab: Lab) -> str:
    """1.4.0 says that nothing older may run again: not even an operator goes back then."""
    lab.release("1.4.0", options=["--floor", "1.4.0"])
    lab.update("1.4.0")
    assert bus.updater(lab.machine, "Floor") == "1.4.0"
    told = lab.box.run(["fleet-agentctl", "rollback", "1.1.0"], check=False)
    assert told.returncode == 5 and "below-floor" in told.stderr, told
    told = lab.box.run(["fleet-agentctl", "rollback"], check=False)
    assert told.returncode == 5, told
    return "1.4.0"


@case()
def stepping_stone_comes_first(lab: Lab) -> str:
    lab.release("1.1.0")
    lab.release("1.4.0", options=["--requires", "1.1.0"])
    lab.client.refused(Offer.of(lab.repository, "1.4.0"), "RequiresOther")
    # The gateway knows the way, and asks for the stone first.
    lab.machine.update("1.4.0")
    lab.machine.wait_finished("1.4.0", "succeeded")
    done = [u["version"] for u in reversed(lab.gateway.updates(lab.machine.agent_id))]
    assert done == ["1.1.0", "1.4.0"], done
    lab.machine.wait_online("1.4.0")
    return "1.4.0"


@case()
def newer_packaging_comes_first(lab: Lab) -> str:
    lab.release("1.4.0", options=["--requires-packaging", "1000"])
    lab.machine.update("1.4.0")
    lab.refused("1.4.0", "requires-packaging")
    lab.client.refused(Offer.of(lab.repository, "1.4.0"), "RequiresPackaging")
    return "1.0.0"


@case()
def pin_holds_a_version(lab: Lab) -> str:
    lab.box.run(["fleet-agentctl", "pin", "1.0.0"])
    assert bus.updater(lab.machine, "PinnedVersion") == "1.0.0"
    wait_for(
        lambda: lab.gateway.agent(lab.machine.agent_id).get("pinned"),
        20,
        "the gateway to know of the pin",
        0.2,
    )
    lab.release("1.1.0")
    lab.machine.update("1.1.0")
    wait_for(
        lambda: lab.gateway.agent(lab.machine.agent_id).get("reason") == "pinned"
        or any(u.get("verdict") == "pinned" for u in lab.gateway.updates(lab.machine.agent_id)),
        20,
        "the pin to be respected",
        0.2,
    )
    lab.client.refused(Offer.of(lab.repository, "1.1.0"), "Pinned")
    # Pins are root's, and outlive everything.
    lab.box.run(["systemctl", "restart", "fleet-agent.service"])
    lab.machine.wait_online("1.0.0")
    assert bus.updater(lab.machine, "PinnedVersion") == "1.0.0"

    lab.box.run(["fleet-agentctl", "unpin"])
    assert bus.updater(lab.machine, "PinnedVersion") == ""
    lab.machine.update("1.1.0", retry=True)
    lab.machine.wait_finished("1.1.0", "succeeded")
    return "1.1.0"


@case(start="1.1.0", fresh=True)
def operator_goes_back(lab: Lab) -> str:
    """fleet-agentctl rollback: to the previous version, through the same trial as any update."""
    lab.update("1.4.0")
    told = lab.box.run(["fleet-agentctl", "rollback", "--json=short"], timeout=90)
    answer = json.loads(told.stdout)
    assert answer["phase"] == "succeeded" and answer["to"] == "1.1.0", answer
    lab.machine.wait_online("1.1.0")
    result = bus.last_result(lab.machine)
    assert result["verdict"] == "operator", result
    # The gateway wanted 1.4.0: what was left on purpose is not installed again over and over.
    wait_for(
        lambda: lab.gateway.agent(lab.machine.agent_id).get("reason") == "went-back",
        20,
        "the gateway to accept it",
        0.2,
    )
    assert not faults.denylist(lab.box)
    told = lab.box.run(["fleet-agentctl", "rollback", "9.9.9"], check=False)
    assert told.returncode in (3, 5), told
    return "1.1.0"


@case(start="1.1.0", fresh=True)
def operator_goes_back_without_a_gateway(lab: Lab) -> str:
    """Perhaps because of that very version: it is no reason to be brought forward again."""
    lab.update("1.4.0")
    lab.gateway.stop()
    wait_for(lambda: bus.agent(lab.machine, "GatewayState") != "connected", 20, "it to notice", 0.1)
    told = lab.box.run(["fleet-agentctl", "rollback", "--json=short"], timeout=90)
    assert json.loads(told.stdout)["phase"] == "succeeded", told
    lab.machine.wait_links("1.1.0", "1.1.0")
    lab.gateway.start()
    return "1.1.0"


_QUICK = Settings(updater="ConfirmTimeoutSec=15\nSoakSec=2\n")
GROUPS = [
    Group("denylist", (denylisted_until_a_newer_release,), _QUICK, minutes=1),
    Group("retry", (explicit_retry_clears_it_once,), _QUICK, minutes=1.5),
    Group("versions", (downgrade_is_refused, below_the_floor_is_refused), _QUICK, minutes=1),
    Group("stone", (stepping_stone_comes_first,), _QUICK),
    Group("packaging", (newer_packaging_comes_first,), _QUICK),
    Group("pin", (pin_holds_a_version,), _QUICK),
    Group("operator", (operator_goes_back, operator_goes_back_without_a_gateway), _QUICK),
]

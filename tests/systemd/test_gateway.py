# SPDX-License-Identifier: Apache-2.0
"""Gateways and links that fail, before, within and after an update."""

import time

from harness import wait_for
from harness.command import execute

from . import bus, faults
from .client import Offer
from .lab import Lab, Settings
from .suite import Group, case


@case(fresh=True)
def down_during_the_update(lab: Lab) -> str:
    """Neither version reaches it: the machine goes back, and the release is not blamed."""
    lab.order("1.1.0")
    faults.at_once(lambda: lab.machine.link("current") == "1.1.0", 60, "the switch")
    lab.gateway.stop(kill=True)
    lab.machine.wait_links("1.0.0", "1.0.0", 60)
    result = wait_for(lambda: bus.last_result(lab.machine), 20, "the result")
    assert (result["phase"], result["verdict"]) == ("rolled-back", "gateway-unreachable"), result
    assert not faults.denylist(lab.box), faults.denylist(lab.box)

    lab.gateway.start()
    update = lab.refused("1.1.0", "gateway-unreachable", "rolled-back", 30)
    # An order without "retry", which could lift a refusal that must not be there.
    answer = lab.client.install(Offer.of(lab.repository, "1.1.0"))
    assert answer.transaction, f"refused after {update}: {answer}"
    wait_for(
        lambda: bus.last_result(lab.machine)["transaction"] == answer.transaction,
        60,
        "the second attempt",
    )
    assert bus.last_result(lab.machine)["phase"] == "succeeded"
    return "1.1.0"


@case(fresh=True)
def drains_within_the_trial(lab: Lab) -> str:
    """It says that it goes, and is away beyond the deadline: the machine waits for it once."""
    lab.order("1.1.0")
    faults.at_once(lambda: faults.record(lab.box).get("phase") == "confirming", 60, "the soak")
    deadline = int(faults.record(lab.box)["deadline_usec"])
    lab.gateway.stop()
    wait_for(lambda: lab.uptime_usec() > deadline + 1_000_000, 40, "the deadline to pass", 0.1)
    assert lab.machine.link("current") == "1.1.0", "it did not wait"
    lab.gateway.start()
    lab.machine.wait_finished("1.1.0", "succeeded", 60)
    return "1.1.0"


@case(fresh=True)
def link_lost_during_the_update(lab: Lab) -> str:
    """The same with a cable that is cut: nothing answers, nothing refuses either."""
    lab.order("1.1.0")
    faults.at_once(lambda: lab.machine.link("current") == "1.1.0", 60, "the switch")
    lab.machine.container.link.cut()
    started = time.monotonic()
    try:
        lab.machine.wait_links("1.0.0", "1.0.0", 90)
        took = time.monotonic() - started
    finally:
        lab.machine.container.link.mend()
    result = wait_for(lambda: bus.last_result(lab.machine), 20, "the result")
    assert (result["phase"], result["verdict"]) == ("rolled-back", "gateway-unreachable"), result
    assert took < 15 + 10, f"the probe held up the way back: {took:.1f} s"
    assert not faults.denylist(lab.box), faults.denylist(lab.box)
    lab.refused("1.1.0", "gateway-unreachable", "rolled-back", 60)
    return "1.0.0"


@case(fresh=True)
def half_open_stream_does_not_keep_the_new_one_out(lab: Lab) -> str:
    """The agent dies while its link is cut: the gateway never hears of the old stream's end."""
    box = lab.box
    # The kernel goes on telling the peer about the closed connection; here it gives up at once.
    inside = ["nsenter", f"--net=/run/netns/{box.link.namespace}", "sysctl", "-q", "-w"]
    execute([*inside, "net.ipv4.tcp_orphan_retries=1", "net.ipv4.tcp_retries2=3"])
    pid = lab.machine.main_pid()
    box.link.cut()
    box.run(["systemctl", "kill", "--signal=KILL", "fleet-agent.service"])
    wait_for(lambda: lab.machine.main_pid() not in (pid, "0"), 20, "the agent to be started again")
    port = f"dport = :{lab.gateway.agent_port}"
    wait_for(
        lambda: "FIN-WAIT" not in box.run(["ss", "-Htan", port]).stdout,
        30,
        "the kernel to forget the old stream",
    )
    assert (
        lab.gateway.agent(lab.machine.agent_id)["state"] == "online"
    ), "the gateway has noticed: the case is void"
    box.link.mend()
    wait_for(
        lambda: bus.agent(lab.machine, "GatewayState") == "connected", 20, "the new stream", 0.2
    )
    assert bus.agent(lab.machine, "Sessions") >= 1
    lab.update("1.1.0")
    return "1.1.0"


@case()
def gateway_restarts(lab: Lab) -> str:
    pid = lab.machine.main_pid()
    for kill in (True, False):
        lab.gateway.stop(kill=kill)
        lab.gateway.start()
        lab.machine.wait_online("1.0.0", 20)
    assert lab.machine.main_pid() == pid
    return "1.0.0"


_SETTINGS = Settings(updater="ConfirmTimeoutSec=15\nSoakSec=2\n", agent="KeepaliveSec=5")
GROUPS = [
    Group("gatewaydown", (gateway_restarts, down_during_the_update), _SETTINGS, minutes=1),
    Group("drain", (drains_within_the_trial,), _SETTINGS, minutes=1),
    Group(
        "halfopen",
        (half_open_stream_does_not_keep_the_new_one_out,),
        Settings(gateway="HeartbeatIntervalSec=60"),
        minutes=1,
    ),
    Group("linklost", (link_lost_during_the_update,), _SETTINGS, minutes=1),
]

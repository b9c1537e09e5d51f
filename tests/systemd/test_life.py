# SPDX-License-Identifier: Apache-2.0
"""The agent between updates: it ends, dies, is broken, and is there again."""

import time

from harness import wait_for
from harness.product import Machine

from . import bus
from .lab import Lab, stays
from .suite import Group, case

_AGENT = "fleet-agent.service"
_SOCKET = "/run/fleet-agent/telemetry.sock"

_SENDER = f"""\
#!/bin/sh
n=0
while [ ! -e /run/stop-sending ]; do
        n=$((n + 1))
        logger --socket {_SOCKET} --udp --tag count "m$n" || echo "FAILED $n"
        sleep 0.02
done
echo "SENT $n"
"""


def _back(lab: Lab, old: str, timeout: float = 30) -> None:
    wait_for(lambda: lab.machine.main_pid() not in ("0", old), timeout, "another process")
    lab.machine.wait_online(lab.machine.link("current"))


@case()
def ends_by_itself(lab: Lab) -> str:
    """Exit status 0 is no reason to stay away."""
    pid = lab.machine.main_pid()
    lab.box.run(["kill", "-TERM", pid])
    _back(lab, pid)
    return "1.0.0"


@case()
def is_killed(lab: Lab) -> str:
    for _ in range(2):
        pid = lab.machine.main_pid()
        lab.box.run(["kill", "-KILL", pid])
        _back(lab, pid)
    return "1.0.0"


@case()
def is_stopped_for_good(lab: Lab) -> str:
    """A SIGSTOP is a hang: the watchdog ends it."""
    pid = lab.machine.main_pid()
    lab.box.run(["kill", "-STOP", pid])
    _back(lab, pid, 120)
    return "1.0.0"


@case()
def start_limit_without_an_update(lab: Lab) -> str:
    """It dies until PID 1 gives up; the rollback unit brings it back, and its socket."""
    deadline = time.monotonic() + 60
    while lab.box.show(_AGENT, "ActiveState") != "failed":
        assert time.monotonic() < deadline, "the start limit was never hit"
        lab.box.run(["systemctl", "kill", "--signal=KILL", _AGENT], check=False)
        time.sleep(0.05)
        if "Triggering OnFailure" in lab.box.journal.text(unit=_AGENT, since=lab.mark):
            break
    wait_for(
        lambda: lab.box.show(_AGENT, "ActiveState") == "active", 60, "the agent to be back", 0.2
    )
    wait_for(
        lambda: lab.box.show("fleet-agent.socket", "ActiveState") == "active", 20, "its socket", 0.2
    )
    lab.box.run(["logger", "--socket", _SOCKET, "--udp", "hello"])
    return "1.0.0"


@case()
def reboots(lab: Lab) -> str:
    lab.box.reboot()
    lab.machine.wait_online("1.0.0")
    return "1.0.0"


@case()
def both_links_lead_to_a_broken_version(lab: Lab) -> str:
    """current and good are the same, and it does not start: the packaged payload runs instead."""
    lab.update("1.1.0")
    for version in ("1.0.0", "1.1.0"):
        agent = f"/opt/fleet-agent/bin/v{version}/agent"
        lab.box.run(["sh", "-c", f"rm {agent} && echo broken >{agent} && chmod 755 {agent}"])
    lab.box.run(["systemctl", "kill", "--signal=KILL", _AGENT])
    lab.machine.wait_links("1.0.0", "1.0.0", 120)
    lab.machine.wait_online("1.0.0", 60)
    return "1.0.0"


@case(fresh=True)
def links_are_gone(lab: Lab) -> str:
    """Somebody has deleted bin/, and the machine boots."""
    lab.box.run(["sh", "-c", "rm -rf /opt/fleet-agent/bin/*"])
    lab.box.reboot()
    lab.machine.wait_links("1.0.0", "1.0.0", 60)
    return "1.0.0"


@case(fresh=True)
def no_datagram_is_lost(lab: Lab) -> str:
    """Programs write to the telemetry socket while the agent is restarted and updated.

    The kernel keeps net.unix.max_dgram_qlen datagrams; a sender that is faster waits. None gets
    an error.
    """
    box = lab.box
    box.write_file("/usr/local/bin/sender", _SENDER, mode=0o755)
    outputs = (("Output", "sender"), ("Error", "sender-errors"))
    files = [f"--property=Standard{what}=file:/var/log/{name}" for what, name in outputs]
    box.run(["systemd-run", "--quiet", "--unit=sender.service", *files, "/usr/local/bin/sender"])
    for _ in range(3):
        box.run(["systemctl", "restart", _AGENT])
    lab.update("1.1.0")
    box.run(["touch", "/run/stop-sending"])
    wait_for(
        lambda: box.show("sender.service", "ActiveState") == "inactive", 10, "the sender to end"
    )
    said = box.read_file("/var/log/sender")
    assert "FAILED" not in said and int(said.split("SENT ")[1]) > 50, said
    assert not box.read_file("/var/log/sender-errors").strip(), box.read_file(
        "/var/log/sender-errors"
    )
    # All of them have been read: nothing waits in the socket.
    wait_for(lambda: _queued(lab) == 0, 10, "the queue to be read")
    return "1.1.0"


@case(fresh=True)
def queued_datagrams_survive_a_crash(lab: Lab) -> str:
    """What waited for a process that hangs and is killed is read by the next one."""
    pid = lab.machine.main_pid()
    lab.box.run(["kill", "-STOP", pid])
    for n in range(5):
        lab.box.run(["logger", "--socket", _SOCKET, "--udp", f"m{n}"])
    assert _queued(lab) > 0
    lab.box.run(["kill", "-KILL", pid])
    _back(lab, pid)
    wait_for(lambda: _queued(lab) == 0, 10, "the queue to be read")
    return "1.0.0"


@case()
def current_link_is_gone(lab: Lab) -> str:
    """Somebody has removed it, and the agent dies: it is made anew from what is good."""
    link = "/opt/fleet-agent/bin/current"
    lab.box.run(["rm", link])
    lab.box.run(["systemctl", "kill", "--signal=KILL", _AGENT])
    wait_for(lambda: lab.box.path(link).is_symlink(), 60, "the link")
    return "1.0.0"


@case(fresh=True)
def clone_may_not_enrol(lab: Lab) -> str:
    """A copy of a machine, with its identity: it is refused with words, and the original stays."""
    identity = lab.box.read_file("/etc/machine-id").strip()
    clone = lab.run.container(f"{lab.name}copy", machine_id=identity)
    try:
        clone.boot()
        clone.wait_running()
        machine = Machine(clone, lab.gateway)
        machine.install(lab.gateway.join_token())
        wait_for(lambda: "AgentId=" in clone.journal.text(unit=_AGENT), 30, "it to be told", 0.2)
        assert bus.agent(machine, "GatewayState") != "connected"
        assert bus.agent(lab.machine, "GatewayState") == "connected"
        clone.write_file("/etc/fleet-agent/agent.conf.d/id.conf", "[Agent]\nAgentId=copy\n")
        clone.run(["systemctl", "restart", _AGENT])
        online = lambda: lab.gateway.agent("copy").get("state") == "online"  # noqa: E731
        wait_for(online, 30, "the clone to be somebody else", 0.2)
    finally:
        lab.run.destroy(clone)
    return "1.0.0"


def _queued(lab: Lab) -> int:
    """Bytes that wait in the socket, which PID 1 holds."""
    listed = lab.box.run(["ss", "-Hxan", "src", _SOCKET]).stdout.split()
    assert listed, "nobody holds the socket"
    return int(listed[2])


@case()
def gateway_is_not_configured(lab: Lab) -> str:
    """An agent without a gateway runs, says so, and joins as soon as it is told where."""
    conf = lab.box.read_file("/etc/fleet-agent/agent.conf")
    lab.box.run(["systemctl", "reset-failed", _AGENT])  # it was restarted often enough before
    lab.box.write_file("/etc/fleet-agent/agent.conf", "[Gateway]\nAddress=\nNonsense=1\n")
    lab.box.run(["systemctl", "restart", _AGENT])
    assert bus.agent(lab.machine, "GatewayState") == "unconfigured"
    lab.wait_journal("agent.conf:3")
    stays(lambda: lab.box.show(_AGENT, "ActiveState") == "active", 1, "the agent runs")
    lab.box.write_file("/etc/fleet-agent/agent.conf", conf)
    lab.box.run(["systemctl", "restart", _AGENT])
    return "1.0.0"


GROUPS = [
    Group(
        "life",
        (
            ends_by_itself,
            is_killed,
            gateway_is_not_configured,
            reboots,
            start_limit_without_an_update,
        ),
        minutes=1,
    ),
    Group("stopped", (is_stopped_for_good,), minutes=1),
    Group(
        "broken",
        (current_link_is_gone, both_links_lead_to_a_broken_version, links_are_gone),
        minutes=1.5,
    ),
    Group("clone", (clone_may_not_enrol,)),
    Group("telemetry", (no_datagram_is_lost, queued_datagrams_survive_a_crash)),
]

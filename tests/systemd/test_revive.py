# SPDX-License-Identifier: Apache-2.0
"""What brings the agent back is itself cut off, refused, or without room; agents that fail slowly."""

import re
import time

from harness import wait_for

from . import bus, faults
from .client import Offer
from .faults import ROLLBACK_UNIT, UPDATE_UNIT
from .lab import Lab, Settings, stays
from .suite import Group, case
from .test_disk import fill, small

_AGENT = "fleet-agent.service"
_BIN = "/opt/fleet-agent/bin"
_STATE = "/var/lib/fleet-agent-updater"
_RETRY = "fleet-agent-retry.timer"
_TRACE = "/var/log/rollback.trace"

# Neither READY=1 nor an end upon SIGTERM.
_HANGS = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n"


def _fail(lab: Lab) -> None:
    """Kills the agent until PID 1 gives up."""
    mark = lab.box.journal.cursor()
    deadline = time.monotonic() + 60
    while "Triggering OnFailure" not in lab.box.journal.text(unit=_AGENT, since=mark):
        assert time.monotonic() < deadline, "the start limit was never hit"
        lab.box.run(["systemctl", "kill", "--signal=KILL", _AGENT], check=False)
        time.sleep(0.05)


def _state(lab: Lab, unit: str = _AGENT) -> str:
    return lab.box.show(unit, "ActiveState")


def _wait_active(lab: Lab, timeout: float) -> None:
    wait_for(lambda: _state(lab) == "active", timeout, "the agent to be back", 0.2)


def _traced(lab: Lab, inject: str) -> None:
    """Both commands of the rollback unit under strace."""
    strace = f"/usr/bin/strace -f -A -s 300 -e trace=sendmsg {inject} -o {_TRACE}"
    faults.drop_in(
        lab.box,
        ROLLBACK_UNIT,
        f"[Service]\nExecStart=\nExecStart=-{strace} {_BIN}/good/updater rollback\n"
        f"ExecStart={strace} /opt/fleet-agent/package/updater rollback\n"
        "SystemCallFilter=\nCapabilityBoundingSet=~\n",
    )


@case(fresh=True)
def killed_between_reset_and_start(lab: Lab) -> str:
    """Whatever the rollback unit runs dies after the reset: the agent is inactive by then."""
    _traced(lab, "")
    _fail(lab)
    _wait_active(lab, 30)
    wait_for(lambda: _state(lab, _RETRY) != "active", 60, "rest", 0.5)
    calls = [c for c in lab.box.read_file(_TRACE).splitlines() if "sendmsg(" in c]
    number = next(i for i, call in enumerate(calls, 1) if "ResetFailedUnit" in call)
    lab.box.run(["rm", _TRACE])

    # Reset of the service and of the socket, start of the socket, start of the service.
    _traced(lab, f"-e inject=sendmsg:signal=KILL:when={number + 2}")
    _fail(lab)
    wait_for(lambda: _state(lab) == "inactive", 30, "the agent to be reset", 0.05)
    faults.no_drop_in(lab.box, ROLLBACK_UNIT)
    trace = lab.box.read_file(_TRACE)
    assert "ResetFailedUnit" in trace and "killed by SIGKILL" in trace, trace
    assert _state(lab) == "inactive", _state(lab)
    _wait_active(lab, 60)
    return "1.0.0"


@case(fresh=True)
def start_refused_after_the_reset(lab: Lab) -> str:
    """PID 1 resets the agent and then does not want to start it."""
    faults.drop_in(lab.box, _AGENT, "[Unit]\nRefuseManualStart=yes\n")
    _fail(lab)
    wait_for(lambda: _state(lab) == "inactive", 30, "the agent to be reset", 0.05)
    time.sleep(2)
    faults.no_drop_in(lab.box, _AGENT)
    _wait_active(lab, 60)
    return "1.0.0"


@case(fresh=True)
def a_stopped_agent_stays_stopped(lab: Lab) -> str:
    """An operator's stop is not to be fought, whatever starts the rollback unit."""
    lab.box.run(["systemctl", "stop", _AGENT])
    lab.box.run(["systemctl", "start", ROLLBACK_UNIT])
    stays(lambda: _state(lab) == "inactive", 2, "the agent is stopped")
    lab.box.run(["systemctl", "start", _AGENT])
    return "1.0.0"


@case(fresh=True)
def retries_chain(lab: Lab) -> str:
    """A run that the retry timer started arms the next one, although its timer is still active."""
    agent = f"{_BIN}/v1.0.0/agent"
    lab.box.run(["mv", agent, "/root/agent"])
    lab.box.write_file(agent, _HANGS, mode=0o755)
    _fail(lab)

    def runs() -> int:
        text = lab.box.journal.text(unit=ROLLBACK_UNIT, since=lab.mark)
        return len(re.findall("Starting (fleet-agent-rollback|Bring)", text))

    wait_for(lambda: runs() >= 3, 60, "a third run of the rollback unit", 0.2)
    lab.box.run(["sh", "-c", f"rm {agent} && mv /root/agent {agent}"])
    lab.box.run(["systemctl", "kill", "--signal=KILL", _AGENT], check=False)
    return "1.0.0"


@case(fresh=True)
def start_limit_covers_slow_failures(lab: Lab) -> str:
    """The limit is reached, too, by starts that hang until they are killed."""

    def seconds(name: str) -> float:
        text = lab.box.show(_AGENT, name)
        units = {"min": 60.0, "s": 1.0, "ms": 0.001}
        return sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+)(min|ms|s)", text))

    slowest = max(
        seconds("TimeoutStartUSec") + seconds("TimeoutStopUSec"),
        seconds("WatchdogUSec") + seconds("TimeoutAbortUSec"),
    )
    cycle = slowest + seconds("RestartUSec")
    assert cycle > 30, cycle
    assert seconds("StartLimitIntervalUSec") > int(lab.box.show(_AGENT, "StartLimitBurst")) * cycle
    return "1.0.0"


@case(fresh=True)
def no_room_to_close_a_transaction(lab: Lab) -> str:
    """The updater's disk is full and a record is left over: an agent that fails is started."""
    record = f"{_STATE}/transaction"
    lab.order("1.1.0")
    wait_for(
        lambda: lab.box.run(["grep", "-q", "phase=confirming", record], check=False).returncode
        == 0,
        40,
        "the trial",
        0.05,
    )
    lab.box.run(["cp", record, f"{_STATE}/kept"])
    lab.machine.wait_finished("1.1.0", "succeeded")
    fill(lab.box, _STATE, 0)
    # Only now: an updater that is asked something meanwhile would close it.
    lab.box.run(["mv", f"{_STATE}/kept", record])
    _fail(lab)
    _wait_active(lab, 30)
    lab.machine.wait_online("1.1.0")
    assert lab.box.run(["ls", record]).returncode == 0
    lab.box.run(["rm", f"{_STATE}/.filler"])
    wait_for(
        lambda: lab.box.run(["ls", record], check=False).returncode != 0,
        60,
        "the transaction to be closed",
        0.5,
    )
    return "1.1.0"


@case(fresh=True)
def restart_refused_on_the_way_back(lab: Lab) -> str:
    """PID 1 refuses to restart the agent: the transaction is not over before it has."""
    lab.release("1.1.0")
    answer = lab.client.install(Offer.of(lab.repository, "1.1.0"))
    assert answer.transaction, answer
    wait_for(
        lambda: faults.record(lab.box).get("phase") == "confirming", 40, "the trial to soak", 0.02
    )
    pid = lab.machine.main_pid()
    faults.drop_in(lab.box, _AGENT, "[Unit]\nRefuseManualStart=yes\n")
    lab.box.run(["systemctl", "stop", UPDATE_UNIT])
    lab.machine.wait_links("1.0.0", "1.0.0", 20)
    stays(lambda: faults.record(lab.box) != {}, 3, "the transaction is open")
    assert lab.machine.main_pid() == pid
    faults.no_drop_in(lab.box, _AGENT)
    wait_for(lambda: lab.machine.main_pid() not in ("0", pid), 75, "the restart", 0.5)
    wait_for(lambda: not faults.record(lab.box), 20, "the transaction to be closed", 0.2)
    assert bus.last_result(lab.machine)["phase"] == "rolled-back"
    return "1.0.0"


@case(fresh=True)
def hangs_at_each_start(lab: Lab) -> str:
    """A committed version begins to hang: another one takes its place in the end."""
    lab.update("1.1.0")
    agent = f"{_BIN}/v1.1.0/agent"
    lab.box.run(["rm", agent])
    lab.box.write_file(agent, _HANGS, mode=0o755)
    lab.box.run(["systemctl", "kill", "--signal=KILL", _AGENT])
    lab.machine.wait_links("1.0.0", "1.0.0", 1000)
    lab.machine.wait_online("1.0.0", 60)
    return "1.0.0"


GROUPS = [
    Group(
        "revive",
        (
            killed_between_reset_and_start,
            start_refused_after_the_reset,
            a_stopped_agent_stays_stopped,
            start_limit_covers_slow_failures,
        ),
        minutes=2,
    ),
    Group("chain", (retries_chain,), minutes=1.5),
    Group(
        "refused",
        (restart_refused_on_the_way_back,),
        Settings(updater="ConfirmTimeoutSec=20\nSoakSec=8\n"),
        minutes=1,
    ),
    Group(
        "diskclose",
        (no_room_to_close_a_transaction,),
        Settings(prepare=lambda box: small(box, _STATE, "4M")),
        minutes=1,
    ),
    Group("hangslow", (hangs_at_each_start,), slow=True, minutes=13),
]

# SPDX-License-Identifier: Apache-2.0
"""Whatever dies within an update, the machine comes back: all lines of defence but the first."""

import time
from collections.abc import Callable
from functools import cache

from harness import wait_for

from . import bus, faults
from .client import Offer
from .faults import ROLLBACK_UNIT, UPDATE_UNIT, UPDATER_UNIT, Traced
from .lab import Lab, Settings
from .suite import Case, Group, case

_SWAP = r"renameat2?\(.*\"current\""
_COMMIT = r"renameat2?\(.*\"good\""
_CLOSE = r"unlinkat\(.*\"transaction\""

# Where apply is killed or held: the call that it has not done then, and what must come of it.
_POINTS: dict[str, tuple[str, str | None, str]] = {
    "before_the_swap": (_SWAP, None, "1.0.0"),
    "after_the_swap": (_SWAP, "fsync", "1.0.0"),
    "before_the_commit": (_COMMIT, None, "1.0.0"),
    "after_the_commit": (_COMMIT, "fsync", "1.1.0"),
    "before_closing": (_CLOSE, None, "1.1.0"),
}


@cache
def _trace(lab: Lab) -> list[str]:
    """What apply does in an update that goes well; the machine is thrown away for it."""
    with Traced(lab.box) as traced:
        _begin(lab)
        lab.machine.wait_links("1.1.0", "1.1.0")
        wait_for(lambda: any("exited with 0" in c for c in traced.calls()), 20, "apply to end")
        calls = traced.calls()
    lab.drop_machine()
    lab.use_new_machine()
    return calls


def _begin(lab: Lab) -> str:
    """An update to 1.1.0 that nobody but the updater knows of; returns the transaction."""
    lab.release("1.1.0")
    answer = lab.client.install(Offer.of(lab.repository, "1.1.0"))
    assert answer.transaction, answer
    return answer.transaction


def _expect_end(lab: Lab, transaction: str, version: str, timeout: float) -> dict[str, str]:
    def ended() -> dict[str, str] | None:
        last = bus.last_result(lab.machine)
        return last if last.get("transaction") == transaction else None

    lab.machine.wait_links(version, version, timeout)
    last = wait_for(ended, 20, "the result of the transaction", 0.2)
    if version == "1.1.0":
        assert (last["phase"], last.get("verdict", "none")) == ("succeeded", "none"), last
    else:
        assert last["phase"] in ("rolled-back", "failed") and last["verdict"] == "interrupted", last
        assert last["phase"] == "rolled-back" or lab.machine.main_pid() != "0", last
        assert not faults.denylist(lab.box), "nobody may be blamed for this"
    return last


def _apply_killed(name: str) -> Case:
    """PID 1 starts the rollback unit as soon as the applying unit has failed."""
    pattern, then, version = _POINTS[name]

    def play(lab: Lab) -> str:
        call, number = faults.point(_trace(lab), pattern, then)
        with Traced(lab.box, inject=f"{call}:signal=KILL:when={number}") as traced:
            transaction = _begin(lab)
            wait_for(
                lambda: any("killed by SIGKILL" in c for c in traced.calls()),
                30,
                f"the kill at {call} {number}",
            )
            killed = time.monotonic()
            _expect_end(lab, transaction, version, 20)
            took = time.monotonic() - killed
        assert took < 15, f"only the timer has helped: {took:.1f} s"
        return version

    return Case(f"apply_killed_{name}", play, fresh=version != "1.0.0")


def _power_lost(name: str) -> Case:
    """apply is held at the point, and PID 1 dies: the recovery unit of the next boot decides."""
    pattern, then, version = _POINTS[name]

    def play(lab: Lab) -> str:
        call, number = faults.point(_trace(lab), pattern, then)
        with Traced(lab.box, inject=f"{call}:delay_enter=30000000:when={number}") as traced:
            transaction = _begin(lab)
            wait_for(
                lambda: _is_held(traced, call, number),
                40,
                f"apply to be held at {call} {number}",
                0.02,
            )
            boot = lab.box.boot_id()
            lab.box.kill_init()
        lab.box.boot()
        lab.box.wait_running()
        assert lab.box.boot_id() != boot
        _expect_end(lab, transaction, version, 30)
        return version

    return Case(f"power_lost_{name}", play, fresh=version != "1.0.0")


def _is_held(traced: Traced, call: str, number: int) -> bool:
    """strace has written the name of the call and waits before it lets it happen."""
    path = traced._box.path(traced._log)
    text = path.read_text(errors="replace") if path.exists() else ""
    return text.count(f" {call}(") >= number


@case()
def apply_killed_while_confirming(lab: Lab) -> str:
    """Through the gateway, which hears how it ended."""
    lab.order("1.1.0")
    wait_for(lambda: faults.record(lab.box).get("phase") == "confirming", 40, "the soak", 0.01)
    lab.box.run(["systemctl", "kill", "--signal=KILL", UPDATE_UNIT])
    lab.refused("1.1.0", "interrupted", "rolled-back", 30)
    assert not faults.denylist(lab.box)
    lab.gateway.api(
        "DELETE", f"/desired/{lab.gateway.agent(lab.machine.agent_id)['desired']['id']}"
    )
    return "1.0.0"


@case()
def apply_stopped_with_sigterm(lab: Lab) -> str:
    """That is no failure, so OnFailure= stays silent: settle does it."""
    transaction = _begin(lab)
    wait_for(lambda: faults.record(lab.box).get("phase") == "confirming", 40, "the soak", 0.01)
    lab.box.run(["systemctl", "stop", UPDATE_UNIT])
    _expect_end(lab, transaction, "1.0.0", 20)
    return "1.0.0"


@case()
def updater_killed_while_staging(lab: Lab) -> str:
    """Nothing has been changed yet, and nothing is."""
    pid = lab.machine.main_pid()
    # Held before the copy gets its name; the kill comes from outside.
    with Traced(lab.box, UPDATER_UNIT, "renameat2,renameat:delay_enter=1500000"):
        lab.box.run(["systemctl", "stop", UPDATER_UNIT])
        transaction = _begin(lab)
        wait_for(
            lambda: faults.record(lab.box).get("phase") == "staging", 20, "staging to begin", 0.01
        )
        lab.box.run(["systemctl", "kill", "--signal=KILL", UPDATER_UNIT])
    last = wait_for(
        lambda: (
            r if (r := bus.last_result(lab.machine)).get("transaction") == transaction else None
        ),
        30,
        "the end",
        0.2,
    )
    assert (last["phase"], last["verdict"]) == ("failed", "interrupted"), last
    assert lab.machine.main_pid() == pid and lab.machine.versions() == ["1.0.0"]
    return "1.0.0"


@case()
def second_install_is_busy(lab: Lab) -> str:
    """One at a time, and the second one is told so."""
    transaction = _begin(lab)
    lab.client.refused(Offer.of(lab.repository, "1.1.0"), "Busy")
    wait_for(lambda: faults.record(lab.box).get("phase") == "confirming", 40, "the soak", 0.01)
    lab.client.refused(Offer.of(lab.repository, "1.1.0"), "Busy")
    _expect_end(lab, transaction, "1.1.0", 30)
    return "1.1.0"


@case(fresh=True)
def init_is_executed_anew(lab: Lab) -> str:
    """As upgrades of systemd do it: connections to PID 1 break, and the trial goes on."""
    transaction = _begin(lab)
    wait_for(lambda: faults.record(lab.box).get("phase") == "confirming", 40, "the soak", 0.01)
    lab.box.run(["systemctl", "daemon-reexec"])
    _expect_end(lab, transaction, "1.1.0", 30)
    return "1.1.0"


@case(fresh=True)
def bus_dies(lab: Lab) -> str:
    """Nobody can tell then whether the new version is well: back, by PID 1's own socket."""
    _begin(lab)
    wait_for(lambda: faults.record(lab.box).get("phase") == "confirming", 40, "the soak", 0.01)
    pid = lab.box.show("dbus.service", "MainPID")
    lab.box.run(["systemctl", "mask", "--runtime", "--quiet", "dbus.service"])
    lab.box.run(["kill", "-KILL", pid])
    lab.machine.wait_links("1.0.0", "1.0.0", 60)
    lab.machine.wait_online("1.0.0")
    lab.box.run(["systemctl", "unmask", "--runtime", "--quiet", "dbus.service"])
    lab.box.run(["systemctl", "restart", "dbus.socket"])
    alive = ["busctl", "status"]
    wait_for(lambda: lab.box.run(alive, check=False).returncode == 0, 20, "the bus", 0.2)
    result = bus.last_result(lab.machine)
    assert result["phase"] == "rolled-back", result
    return "1.0.0"


@case()
def timer_alone(lab: Lab) -> str:
    """Neither settle nor OnFailure= does anything: PID 1's timer is the last one to come."""
    condition = "ExecCondition=/bin/test -e /run/may-roll-back\n"
    faults.drop_in(lab.box, UPDATE_UNIT, "[Service]\nExecStopPost=\n")
    faults.drop_in(lab.box, ROLLBACK_UNIT, f"[Service]\nExecStopPost=\n{condition}")
    try:
        transaction = _begin(lab)
        wait_for(lambda: faults.record(lab.box).get("phase") == "confirming", 40, "the soak", 0.01)
        lab.box.run(["systemctl", "kill", "--signal=KILL", UPDATE_UNIT])
        lab.wait_journal("fleet-agent-rollback.service: Skipped due to 'exec-condition'", 10)
        assert lab.machine.link("current") == "1.1.0"
        lab.box.run(["touch", "/run/may-roll-back"])
        _expect_end(lab, transaction, "1.0.0", 60)
    finally:
        faults.no_drop_in(lab.box, UPDATE_UNIT)
        faults.no_drop_in(lab.box, ROLLBACK_UNIT)
    return "1.0.0"


def _power_lost_at(name: str, instant: Callable[[Lab], bool]) -> Case:
    """Nothing is held: a real instant, as it comes."""

    def play(lab: Lab) -> str | None:
        transaction = _begin(lab)
        faults.at_once(lambda: instant(lab), 40, name)
        lab.box.kill_init()
        lab.box.boot()
        lab.box.wait_running()
        _expect_end(lab, transaction, "1.0.0", 30)
        return "1.0.0"

    return Case(f"power_lost_{name}", play)


@case()
def power_lost_while_the_agent_restarts(lab: Lab) -> str:
    """Through the gateway: it hears the verdict when the machine is back."""
    lab.order("1.1.0")
    faults.at_once(lambda: lab.machine.link("current") == "1.1.0", 40, "the switch")
    lab.box.kill_init()
    lab.box.boot()
    lab.box.wait_running()
    lab.machine.wait_links("1.0.0", "1.0.0")
    lab.refused("1.1.0", "interrupted", "rolled-back", 40)
    assert not faults.denylist(lab.box)
    return "1.0.0"


_QUICK = Settings(updater="ConfirmTimeoutSec=15\nSoakSec=4\n")
GROUPS = [
    Group("killapply", tuple(_apply_killed(name) for name in _POINTS), _QUICK, minutes=1.5),
    Group(
        "kill",
        (apply_stopped_with_sigterm, updater_killed_while_staging, apply_killed_while_confirming),
        _QUICK,
    ),
    Group("busy", (second_install_is_busy, init_is_executed_anew, bus_dies), _QUICK, minutes=1),
    Group(
        "timer", (timer_alone,), Settings(updater="ConfirmTimeoutSec=5\nSoakSec=4\n"), minutes=1.5
    ),
    Group("powerheld", tuple(_power_lost(name) for name in _POINTS), _QUICK, minutes=1.5),
    Group(
        "power",
        (
            _power_lost_at(
                "while_staging", lambda lab: faults.record(lab.box).get("phase") == "staging"
            ),
            _power_lost_at(
                "while_confirming", lambda lab: faults.record(lab.box).get("phase") == "confirming"
            ),
            power_lost_while_the_agent_restarts,
        ),
        _QUICK,
    ),
]

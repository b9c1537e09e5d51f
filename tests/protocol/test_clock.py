# SPDX-License-Identifier: Apache-2.0
"""A machine whose clock is wrong keeps its identity: the gateway's clock is the judge. And when that one is set, rollouts
go by the new time."""

import time
from collections.abc import Callable
from typing import Any

from harness.wait import wait_for

from .api import Api
from .loopback import Loopback, stays
from .simulation import LIMITS, Simulator, release


def clock_ahead() -> None:
    """By its own clock the certificate has expired; there is no join token; it connects all the same."""
    with Loopback("clock") as loop:
        loop.start_gateway()
        agent = loop.new_agent()
        agent.start(loop.token())
        agent.wait_online()
        assert agent.program is not None
        agent.program.stop()
        wait_for(lambda: agent.seen()["state"] == "offline", 10, "the gateway to see it leave")
        agent.start(clock_ahead=35 * 86400)
        agent.wait_online()
        # and again after the gateway has been away
        assert loop.gateway is not None
        loop.gateway.stop()
        loop.start_gateway()
        agent.wait_online()


def _begin(loop: Loopback, deaf: bool, **strategy: Any) -> tuple[Api, int, Callable[[int], None]]:
    """A rollout, and what sets the gateway's clock: so many seconds ahead of what it was."""
    ahead = loop.folder / "ahead"
    ahead.write_text("0")
    shim = loop.build.folder / "tests" / "protocol" / "libwrong-clock.so"
    env = {"LD_PRELOAD": str(shim), "WRONG_CLOCK_FILE": str(ahead)} | ({"WRONG_CLOCK_DEAF": "1"} if deaf else {})
    loop.start_gateway(f"LeaseSec=6h\n{LIMITS}", env)
    release(loop, "1.1.0")
    sim = Simulator(loop)
    sim.start(4, "--time=staging:10ms", "--time=restarting:50ms", "--time=confirming:3s")
    sim.wait_online(4)
    api = Api(loop)
    body = {"version": "1.1.0", "target": {"all": True}, "strategy": {"batch": {"size": 10}, **strategy}}
    rollout = int(api.ask("POST", "/rollouts", body, 201)["id"])

    def set_clock(seconds: int) -> None:
        ahead.write_text(str(seconds))

    return api, rollout, set_clock


def _shown(api: Api, rollout: int, member: str, value: str, timeout: float = 30) -> Any:
    def there() -> Any:
        shown = api.get(f"/rollouts/{rollout}")
        return shown if shown[member] == value else None

    return wait_for(there, timeout, f"{member} to be {value}", 0.1)


_WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _set_forward(deaf: bool) -> None:
    with Loopback("forward") as loop:
        start = time.strftime("%H:%M", time.gmtime(time.time() + 7200))
        window = {"days": _WEEK, "start": start, "duration_sec": 3600, "time_zone": "UTC"}
        api, rollout, set_clock = _begin(loop, deaf, canary={"count": 0}, windows=[window])
        _shown(api, rollout, "reason", "outside-window")
        set_clock(3600)
        stays(lambda: api.get(f"/rollouts/{rollout}")["reason"] == "outside-window", 2, "it is an hour too early")
        set_clock(7200 + 600)
        started = time.monotonic()
        shown = _shown(api, rollout, "state", "completed", 90)
        assert shown["counts"]["succeeded"] == 4, shown
        # the update itself takes three seconds
        assert deaf or time.monotonic() - started < 15, "it was noticed late"


def _set_back(deaf: bool) -> None:
    with Loopback("back") as loop:
        api, rollout, set_clock = _begin(loop, deaf, canary={"count": 1, "soak_sec": 8})
        assert api.get(f"/rollouts/{rollout}")["counts"]["in-flight"] == 1
        set_clock(3600)                   # the canary ends by this clock
        _shown(api, rollout, "reason", "soaking")
        set_clock(600)
        shown = _shown(api, rollout, "state", "completed", 40)
        assert shown["counts"]["succeeded"] == 4, shown


def gateway_clock_set_forward() -> None:
    """A window that opens in two hours is open when the gateway's clock is set to that, and not before."""
    _set_forward(deaf=False)


def gateway_clock_set_forward_unheard() -> None:
    """Also when nobody says that it was set: then within a minute."""
    _set_forward(deaf=True)


def gateway_clock_set_back() -> None:
    """What lies an hour ahead of a clock that was set back is not waited for."""
    _set_back(deaf=False)


def gateway_clock_set_back_unheard() -> None:
    """Nor when nobody says that it was set."""
    _set_back(deaf=True)


TESTS = [
    clock_ahead,
    gateway_clock_set_forward,
    gateway_clock_set_forward_unheard,
    gateway_clock_set_back,
    gateway_clock_set_back_unheard,
]

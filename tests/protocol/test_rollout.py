# SPDX-License-Identifier: Apache-2.0
"""Rollouts over the real protocol: simulated agents, a real gateway, and what each side says of it."""

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from typing import Any

from harness.progress import progress
from harness.wait import wait_for

from .api import Api
from .loopback import Loopback
from .simulation import FAST, LIMITS, Simulator, add_release, release

GOAL = "1.1.0"
KILLS = 100


def _instructions(loop: Loopback, rollout: int) -> list[dict[str, Any]]:
    """As the gateway's store has them, with their members' batch; oldest first."""
    with sqlite3.connect(f"file:{loop.state}/gateway.db?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        rows = db.execute(
            "SELECT i.*, m.canary FROM instructions i JOIN rollout_members m ON m.rollout = i.rollout AND m.agent = i.agent"
            " WHERE i.rollout = ? ORDER BY i.created",
            (rollout,),
        )
        return [dict(r) for r in rows]


def _check_limits(instructions: list[dict[str, Any]], batch: int, period: float, in_flight: int) -> None:
    """By the times in the store: never more at once, never more agents in any period, canaries first."""
    # A place is free again at the deadline, also when what became of the agent is learnt later.
    ends = [min(i["finished"], i["deadline"]) for i in instructions if i["finished"]]
    times = [(i["created"], 1) for i in instructions] + [(end, -1) for end in ends]
    flying = most = 0
    for _, step in sorted(times, key=lambda t: (t[0], t[1])):
        flying += step
        most = max(most, flying)
    assert most <= in_flight, f"{most} were in flight"
    rest = [i for i in instructions if not i["canary"]]
    for n, last in enumerate(rest):
        within = {i["agent"] for i in rest[: n + 1] if last["created"] - i["created"] < period * 10**6}
        assert len(within) <= batch, f"{len(within)} agents within {period} s"
    if rest:
        first = [i for i in instructions if i["canary"] and i["attempt"] == 1]
        assert all(i["finished"] and i["finished"] <= rest[0]["created"] for i in first), "a batch began before the canaries ended"


def _check_sides(loop: Loopback, api: Api, sim: Simulator, rollout: int, events: list[dict[str, Any]]) -> Counter[str]:
    """Nobody was lost, and both sides tell the same."""
    shown, members = api.get(f"/rollouts/{rollout}"), api.members(rollout)
    states = Counter(m["state"] for m in members)
    assert {k: v for k, v in shown["counts"].items() if v} == dict(states), (shown["counts"], states)
    assert sum(v for k, v in states.items() if k != "excluded") == shown["cohort"], shown
    instructions = {i["id"]: i for i in _instructions(loop, rollout)}
    final: dict[str, str] = {}
    for event in events:
        if event["event"] == "instruction":
            row = instructions[event["id"]]                 # nothing was sent that is not in the store
            assert row["agent"] == event["agent"] and row["version"] == event["version"], (row, event)
        elif event["event"] == "status" and event["phase"] in ("succeeded", "failed", "rolled-back"):
            final[event["id"]] = event["phase"]
        elif event["event"] == "acknowledged":              # what was acknowledged is there
            assert instructions[event["id"]]["phase"] == final[event["id"]], (instructions[event["id"]], event)
    report = sim.report()
    assert report["instructions"]["duplicates_executed"] == 0 and report["finals_unacknowledged"] == 0, report
    updated = {a["id"] for a in api.get("/agents?limit=1000&version=" + GOAL)["agents"]}
    assert updated == {m["agent"] for m in members if m["state"] == "succeeded"}
    return states


def _wait_end(api: Api, rollout: int, timeout: float = 120) -> Any:
    def ended() -> Any:
        shown = api.get_patiently(f"/rollouts/{rollout}")
        return shown if shown["terminal"] or shown["state"] == "paused" else None

    return wait_for(ended, timeout, "the rollout to end", 0.3)


def canary_then_batches() -> None:
    """Ten of sixty first, then by ten; each limit is kept, and what people see on the way is true."""
    with Loopback("batches") as loop:
        loop.start_gateway(LIMITS)
        release(loop, GOAL)
        sim = Simulator(loop)
        sim.start(60, "--fail=staging:5%", "--fail=downloading:8%", *FAST)
        sim.wait_online(60)
        api = Api(loop)
        strategy = {
            "canary": {"count": 6, "soak_sec": 2, "success_percent": 50},
            "batch": {"size": 10, "every_sec": 3, "success_percent": 50},
            "max_in_flight": 8,
            "max_failures": {"percent": 50},
            "attempts": 2,
            "retry_pause_sec": 1,
        }
        body = {"version": GOAL, "target": {"all": True}, "strategy": strategy}
        plan = api.ask("POST", "/rollouts", {**body, "dry_run": True})
        batches = [b["agents"] for b in plan["preview"]["batches"]]
        assert batches[0] == 6 and sum(batches) == 60 and max(batches[1:]) <= 10, plan["preview"]
        made = api.ask("POST", "/rollouts", body, 201)
        shown = _wait_end(api, made["id"])
        assert (shown["state"], shown["reason"]) == ("completed", "done"), shown
        instructions = _instructions(loop, made["id"])
        _check_limits(instructions, batch=10, period=3, in_flight=8)
        states = _check_sides(loop, api, sim, made["id"], sim.events())
        assert set(states) <= {"succeeded", "failed"} and states["succeeded"] >= 50, states
        assert {i["agent"] for i in instructions if i["canary"]} == {c["agent"] for c in plan["canaries"]}
        attempts = Counter(m["attempts"] for m in api.members(made["id"]))
        assert set(attempts) == {1, 2}, attempts            # what may pass was tried again, what may not was not
        for member in api.members(made["id"], "&state=failed"):
            assert member["attempts"] == {"self-test-failed": 1, "download-failed": 2}[member["reason"]], member

        # back again: all that were updated, and nobody else
        downloaded = sim.report()["bytes_downloaded"]
        back = api.ask("POST", f"/rollouts/{made['id']}/roll-back", {"description": "as it was"}, 201)
        assert back["cohort"] == states["succeeded"]
        shown = _wait_end(api, back["id"])
        assert (shown["state"], shown["counts"]["succeeded"]) == ("completed", back["cohort"]), shown
        assert sim.report()["versions"] == {"1.0.0": 60} and sim.report()["bytes_downloaded"] - downloaded < 60 * 4096
        updates = {i["id"]: i for i in _instructions(loop, back["id"])}
        assert all(i["version"] == "1.0.0" and i["from_version"] == GOAL and i["kind"] == "rollback" for i in updates.values())


def _kill_often(loop: Loopback, api: Api, rollout: int, times: int) -> None:
    draw = random.Random(7)
    for n in range(times):
        time.sleep(draw.uniform(0.1, 2.2))
        assert loop.gateway is not None
        loop.gateway.stop(kill=True)
        loop.start_gateway(loop.settings)
        if n % 20 == 19:
            shown = api.get_patiently(f"/rollouts/{rollout}")
            progress(f"killed {n + 1} times: {shown['reason']}, {shown['counts']}")
            assert shown["state"] == "running", shown


def gateway_is_killed_in_mid_rollout() -> None:
    """A hundred times, at random moments: nothing is lost, nothing sent beyond the limits, the counts add up."""
    agents = 150
    with Loopback("kills") as loop:
        loop.start_gateway(f"LeaseSec=25\n{LIMITS}")
        release(loop, GOAL)
        sim = Simulator(loop)
        faults = ("--fail=staging:2%", "--fail=restarting:2%", "--never-returns=2%", "--confirm-timeout=20s")
        sim.start(agents, "--connect-rate=0", *faults, *FAST)
        sim.wait_online(agents)
        api = Api(loop)
        strategy = {
            "canary": {"count": 6, "soak_sec": 0, "success_percent": 50},
            "batch": {"size": 8, "every_sec": 10, "success_percent": 0},
            "max_in_flight": 15,
            "max_failures": {"percent": 90},
            "attempts": 2,
            "retry_pause_sec": 2,
            "offline_wait_sec": 30,  # for those that never return
        }
        made = api.ask("POST", "/rollouts", {"version": GOAL, "target": {"all": True}, "strategy": strategy}, 201)
        _kill_often(loop, api, made["id"], KILLS)
        shown = _wait_end(api, made["id"], 240)
        progress(f"{shown['state']}, {shown['reason']}: {shown['counts']}")
        assert (shown["state"], shown["reason"]) == ("completed", "done"), shown
        instructions = _instructions(loop, made["id"])
        _check_limits(instructions, batch=8, period=10, in_flight=15)
        states = _check_sides(loop, api, sim, made["id"], sim.events())
        assert states["succeeded"] >= agents * 0.8 and set(states) <= {"succeeded", "failed", "rolled-back", "timed-out"}, states
        loop.ctl("audit", "verify")


def three_floors() -> None:
    """One rollout over two stepping stones: each machine takes them in order, as one turn each, and may not go back below."""
    with Loopback("floors") as loop:
        loop.start_gateway(LIMITS)
        repository = release(loop, "1.1.0")
        add_release(loop, repository, "1.2.0", options=("--requires", "1.1.0"))
        add_release(loop, repository, "1.3.0", options=("--requires", "1.2.0", "--floor", "1.3.0"))
        sim = Simulator(loop)
        sim.start(12, *FAST)
        sim.wait_online(12)
        api = Api(loop)
        strategy = {
            "canary": {"count": 2, "soak_sec": 1},
            "batch": {"size": 5, "every_sec": 1, "soak_sec": 0},
            "max_in_flight": 3,
        }
        made = api.ask("POST", "/rollouts", {"version": "1.3.0", "target": {"all": True}, "strategy": strategy}, 201)
        shown = _wait_end(api, made["id"])
        assert (shown["state"], shown["counts"]["succeeded"]) == ("completed", 12), shown
        assert sim.report()["versions"] == {"1.3.0": 12}
        instructions = _instructions(loop, made["id"])
        path: dict[str, list[tuple[str, str]]] = {}
        for i in instructions:
            assert i["phase"] == "succeeded", i
            path.setdefault(i["agent"], []).append((i["from_version"], i["version"]))
        steps = [("1.0.0", "1.1.0"), ("1.1.0", "1.2.0"), ("1.2.0", "1.3.0")]
        assert len(path) == 12 and all(p == steps for p in path.values()), path
        # the canaries were all the way up before anybody else began
        canaries = [i["finished"] for i in instructions if i["canary"]]
        assert len(canaries) == 6 and max(canaries) < min(i["created"] for i in instructions if not i["canary"])
        for member in api.members(made["id"]):
            assert (member["from"], member["goal"], member["version"]) == ("1.0.0", "1.3.0", "1.3.0"), member
        status, refused = api.once("POST", f"/rollouts/{made['id']}/roll-back", {})
        assert status == 409, refused


def two_rollouts_share_an_agent() -> None:
    """One whose lease has ended may be taken by another rollout; when it comes back, that costs nobody else anything."""
    with Loopback("share") as loop:
        loop.start_gateway(f"LeaseSec=10\n{LIMITS}")
        release(loop, GOAL, "1.2.0")
        sim = Simulator(loop)
        sim.start(6, *FAST)
        sim.wait_online(6)
        api = Api(loop)
        ids = [a["id"] for a in api.get("/agents?limit=100")["agents"]]
        assert sim.program is not None
        os.kill(sim.program.process.pid, signal.SIGSTOP)
        strategy = {
            "canary": {"count": 0},
            "batch": {"size": 50, "every_sec": 0, "success_percent": 0},
            "max_in_flight": 1,
            "max_failures": {"count": 100},
            "attempts": 3,
            "retry_pause_sec": 1,
        }
        first = api.ask("POST", "/rollouts", {"version": GOAL, "target": {"ids": ids[:5]}, "strategy": strategy}, 201)["id"]
        lost = wait_for(lambda: api.members(first, "&state=timed-out"), 40, "a lease to end", 0.2)[0]["agent"]
        sim.stop(kill=True)
        # the second holds it and waits for its window, all the time
        day = time.strftime("%a", time.gmtime(time.time() + 3 * 86400)).lower()
        window = [{"days": [day], "start": "00:00", "duration_sec": 3600, "time_zone": "UTC"}]
        second, third = (
            api.ask("POST", "/rollouts", {"version": "1.2.0", "target": {"ids": [i]}, "strategy": s}, 201)["id"]
            for i, s in ((lost, {"canary": {"count": 0}, "windows": window}), (ids[5], {"canary": {"count": 0}}))
        )
        back = Simulator(loop, "back")
        back.start(6, *FAST, token=False)
        back.wait_online(6)
        shown = _wait_end(api, third, 60)
        assert (shown["state"], shown["counts"]["succeeded"]) == ("completed", 1), shown

        def goes_its_way() -> Any:
            shown = api.get(f"/rollouts/{first}")
            assert shown["reason"] != "step-failed", shown
            return shown if shown["counts"]["succeeded"] == 4 else None

        shown = wait_for(goes_its_way, 60, "the first to get on without that one", 0.3)
        progress(f"the first: {shown['state']}, {shown['reason']}, {shown.get('reason_detail')}, {shown['counts']}")
        assert api.get(f"/rollouts/{second}")["counts"]["pending"] == 1
        for rollout in (first, second):
            if not api.get(f"/rollouts/{rollout}")["terminal"]:
                api.ask("POST", f"/rollouts/{rollout}/abort", {})
            shown = _wait_end(api, rollout)
            assert shown["terminal"], shown
            assert sum(v for k, v in shown["counts"].items() if k != "excluded") == shown["cohort"], shown
        # and it is free for whoever comes next
        last = api.ask("POST", "/rollouts", {"version": "1.2.0", "target": {"ids": [lost]}, "strategy": {"canary": {"count": 0}}}, 201)
        assert _wait_end(api, last["id"])["counts"]["succeeded"] == 1
        assert loop.gateway is not None and "Failed to step the rollouts" not in loop.gateway.output()


def becomes_the_rule() -> None:
    """With set_desired: whoever comes after the end is brought to its version as well, and whoever came before by it."""
    with Loopback("rule") as loop:
        loop.start_gateway(LIMITS)
        release(loop, GOAL)
        sim = Simulator(loop)
        sim.token.write_text(loop.token(uses=20))
        sim.token.chmod(0o600)
        sim.start(4, *FAST)
        sim.wait_online(4)
        api = Api(loop)
        strategy = {
            "canary": {"count": 1, "soak_sec": 0, "approval": True},
            "batch": {"size": 50, "every_sec": 0},
            "offline": "skip",
            "include_new_agents": True,
            "set_desired": True,
        }
        made = api.ask("POST", "/rollouts", {"version": GOAL, "target": {"all": True}, "strategy": strategy}, 201)
        wait_for(lambda: api.get(f"/rollouts/{made['id']}")["reason"] == "awaiting-approval", 30, "the gate", 0.2)
        during = Simulator(loop, "during")
        during.state = loop.folder / "machines-during"
        during.start(3, *FAST, first=4)
        during.wait_online(3)
        wait_for(lambda: api.get(f"/rollouts/{made['id']}")["cohort"] == 7, 30, "three to join", 0.2)
        assert api.get("/desired")["desired"] == []
        seen = api.etag(f"/rollouts/{made['id']}")
        api.ask("POST", f"/rollouts/{made['id']}/approve", {}, If_Match=seen)
        shown = _wait_end(api, made["id"])
        assert (shown["state"], shown["counts"]["succeeded"]) == ("completed", 7), shown
        assert [d["version"] for d in api.get("/desired")["desired"]] == [GOAL]
        later = Simulator(loop, "later")
        later.state = loop.folder / "machines-later"
        later.start(2, *FAST, first=10)
        wait_for(lambda: later.report()["versions"] == {GOAL: 2}, 40, "those who came later to be updated", 0.3)
        assert api.get(f"/rollouts/{made['id']}")["cohort"] == 7


TESTS = [
    canary_then_batches,
    gateway_is_killed_in_mid_rollout,
    three_floors,
    two_rollouts_share_an_agent,
    becomes_the_rule,
]

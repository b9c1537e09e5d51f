# SPDX-License-Identifier: Apache-2.0
"""A whole rollout to a fleet with a few failures: who succeeded, who was lost, and what it cost."""

import sqlite3
from collections import Counter
from typing import Any

from figures import Figures, Rows, table
from fleets import GOAL, Fleet, Stopwatch
from harness.wait import wait_for
from protocol.simulation import FAST

FAILURES = "0.2%"
CANARY = 10
BATCH = 800
PERIOD = 600


def _strategy(waits: bool) -> Figures:
    """Whoever fails for a reason that may pass gets the attempts that are usual; those who are made to fail here do not."""
    return {
        "canary": {"count": CANARY, "success_percent": 90, "soak_sec": 60 if waits else 0},
        "batch": {"size": BATCH, "every_sec": PERIOD if waits else 0},
        "max_in_flight": BATCH,
        "max_failures": {"percent": 2},
        "retry_pause_sec": 60 if waits else 0,
    }


def _orphans(fleet: Fleet, states: Counter[str], updated: set[str]) -> int:
    """Whom the gateway has lost sight of: a turn that did not end, an instruction that did not, or a machine of which it
    believes something else than is so."""
    unended = states["pending"] + states["in-flight"]
    with sqlite3.connect(f"file:{fleet.loop.state}/gateway.db?mode=ro", uri=True) as db:
        (open_ones,) = db.execute("SELECT count(*) FROM instructions WHERE NOT terminal").fetchone()
        believed = {row[0] for row in db.execute("SELECT id FROM agents WHERE version = ?", (GOAL,))}
    return int(unended + open_ones + len(believed ^ updated))


def _healthy(fleet: Fleet) -> int:
    return sum(
        machine["fate"] == "succeeds"
        for sim, first, n in fleet.sims
        for machine in sim.plan(n, GOAL, f"--fail=staging:{FAILURES}", first=first).values()
    )


def _roll_out(fleet: Fleet, waits: bool, timeout: float) -> tuple[Any, int]:
    api = fleet.api()
    body = {"version": GOAL, "target": {"all": True}, "strategy": _strategy(waits)}
    number = api.ask("POST", "/rollouts", body, 201)["id"]
    peak = 0

    def ended() -> Any:
        nonlocal peak
        assert fleet.gateway.running, "the gateway ended"
        peak = max(peak, fleet.gateway.resident_kib())
        shown = api.get_patiently(f"/rollouts/{number}", 60)
        return shown if shown["terminal"] or shown["state"] == "paused" else None

    return wait_for(ended, timeout, "the rollout to end", 0.5), peak


def measure(agents: int = 2400, *, waits: bool = True) -> Figures:
    figures: Figures = {"agents": agents, "waits": waits, "failures": FAILURES}
    with Fleet("bench-fleet", agents) as fleet:
        figures["healthy"] = _healthy(fleet)
        fleet.enrol(f"--fail=staging:{FAILURES}", *(() if waits else FAST))
        before = fleet.gateway.resident_kib()

        watch = Stopwatch(fleet)
        batches = max(0, agents - CANARY) // BATCH + 1
        shown, peak = _roll_out(fleet, waits, 900 + (PERIOD + 300) * batches)
        used = watch.stop()
        assert shown["state"] == "completed", f"the rollout is {shown['state']}: {shown['reason']}"
        states = Counter({name: n for name, n in shown["counts"].items() if n})
        reports = fleet.reports()
        versions = sum((Counter(r["versions"]) for r in reports), Counter())
        updated = {m["agent"] for m in fleet.api().members(shown["id"], "&state=succeeded")}
        figures |= {
            "succeeded": states["succeeded"],
            "share": round(states["succeeded"] / agents, 5),
            "states": dict(states),
            "orphans": _orphans(fleet, states, updated) + abs(versions[GOAL] - len(updated)),
            "wall_s": used["seconds"],
            "gateway_cpu_s": used["gateway_cpu_s"],
            "agents_cpu_s": used["agents_cpu_s"],
            "gateway_rss_kb": fleet.gateway.resident_kib(),
            "gateway_rss_before_kb": before,
            "gateway_peak_kb": max(peak, fleet.peak_kib()),
            "duplicates_executed": sum(r["instructions"]["duplicates_executed"] for r in reports),
            "update_ms": reports[0]["latency_ms"],
        }
        fleet.stop()
    _show(figures)
    return figures


def _show(f: Figures) -> None:
    rows: Rows = [
        ("what", ""),
        ("succeeded", f"{f['succeeded']} ({f['share']:.2%})"),
        ("of the healthy", f"{f['succeeded'] / f['healthy']:.2%}"),
        ("orphans", str(f["orphans"])),
        ("wall time", f"{f['wall_s']:.1f} s"),
        ("CPU of the gateway", f"{f['gateway_cpu_s']:.1f} s"),
        ("CPU of the agents", f"{f['agents_cpu_s']:.1f} s"),
        ("memory of the gateway before", f"{f['gateway_rss_before_kb'] / 1024:.0f} MiB"),
        ("at the end", f"{f['gateway_rss_kb'] / 1024:.0f} MiB"),
        ("at its highest", f"{f['gateway_peak_kb'] / 1024:.0f} MiB"),
    ]
    pace = f"then {BATCH} every {PERIOD} s" if f["waits"] else f"then by {BATCH}, no waits"
    table(f"Rollout to {f['agents']} agents, {CANARY} canaries, {pace}, {FAILURES} made to fail", rows)

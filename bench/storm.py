# SPDX-License-Identifier: Apache-2.0
"""Everybody comes back: after a gateway that said goodbye and spread its agents over time, and after one that was killed."""

import time
from typing import Any

from figures import Figures, Rows, percentile, table
from fleets import Fleet, Stopwatch


def _gaps(events: list[dict[str, Any]]) -> list[float]:
    """Seconds without a session, of each agent from the last that ended to the last that began."""
    lost: dict[str, int] = {}
    gaps: dict[str, float] = {}
    for event in events:
        if event["event"] != "session":
            continue
        if event["state"] == "ended":
            lost.setdefault(event["agent"], event["boottime"])
        elif event["agent"] in lost:
            gaps[event["agent"]] = (event["boottime"] - lost[event["agent"]]) / 1e6
    return list(gaps.values())


def _return(fleet: Fleet, *, kill: bool, timeout: float) -> Figures:
    fleet.events()
    started = time.monotonic()
    fleet.stop_gateway(kill=kill)
    down = time.monotonic() - started
    fleet.start_gateway()
    watch = Stopwatch(fleet)
    events = fleet.wait_online(timeout)
    begun = sum(e["event"] == "session" and e["state"] == "begun" for e in events)
    gaps = _gaps(events)
    assert len(gaps) == fleet.agents, f"{len(gaps)} of {fleet.agents} agents were seen to return"
    return {
        **watch.stop(),
        "gateway_stop_s": round(down, 2),
        "silence_s": {
            "p50": round(percentile(gaps, 50), 2),
            "p99": round(percentile(gaps, 99), 2),
            "max": round(max(gaps), 2),
        },
        "sessions": begun,
        "gateway_peak_kib": fleet.peak_kib(),
    }


def measure(agents: int = 10000) -> Figures:
    figures: Figures = {"agents": agents}
    with Fleet("bench-storm", agents) as fleet:
        fleet.enrol("--passive")
        for name, kill in (("stopped", False), ("killed", True)):
            figures[name] = _return(fleet, kill=kill, timeout=120 + agents / 10)
            if name == "stopped":
                time.sleep(min(35, agents / 100))  # a session this long forgets earlier failures
        fleet.stop()
    _show(figures)
    return figures


def _show(figures: Figures) -> None:
    rows: Rows = [("gateway was", "all back", "silence p50", "p99", "longest", "CPU gateway", "CPU agents")]
    for name in ("stopped", "killed"):
        f = figures[name]
        silence = [f"{f['silence_s'][key]:.1f} s" for key in ("p50", "p99", "max")]
        cpu = [f"{f['gateway_cpu_s']:.1f} s", f"{f['agents_cpu_s']:.1f} s"]
        rows.append((name, f"{f['seconds']:.1f} s", *silence, *cpu))
    table(f"{figures['agents']} agents return after a restart of the gateway, both sides on this machine", rows)

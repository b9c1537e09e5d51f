# SPDX-License-Identifier: Apache-2.0
"""What streams cost: to be accepted, to be kept, to be pushed an instruction on, to be listened to. The agents note
instructions and do nothing about them; these end with their lease, and the next version is pushed."""

import statistics
import time
from typing import Any

from figures import Figures, Rows, percentile, table
from fleets import Fleet, Stopwatch
from harness.wait import wait_for
from protocol.simulation import add_release, roll_out

RUNS = 3
LEASE = 30
REST = 15
SMALL = 1000  # fewer than that are for trying out: one run, and short ones
FLOOD = 3000  # heartbeats a second; more than two cores can send and read beside each other are dropped by the sender


def _accept(fleet: Fleet, *options: str) -> Figures:
    """All at once, with identities that they have."""
    fleet.events()
    watch = Stopwatch(fleet)
    fleet.start("--passive", *options)
    fleet.wait_online(120 + fleet.agents / 10)
    return watch.stop()


def _rest(fleet: Fleet, seconds: float) -> Figures:
    watch = Stopwatch(fleet)
    time.sleep(seconds)
    return watch.stop()


def _push(fleet: Fleet, version: str, *, last: bool) -> Figures:
    """To everybody in one step, from the request to the agent's own clock when it has read the instruction."""
    fleet.events()
    watch, arrived = Stopwatch(fleet), dict[str, int]()
    number = roll_out(fleet.loop, version, attempts=1)

    def all_there() -> bool:
        assert fleet.gateway.running, "the gateway ended"
        for event in fleet.events():
            if event["event"] == "instruction" and event["version"] == version:
                arrived.setdefault(event["agent"], event["time"])
        return len(arrived) == fleet.agents

    wait_for(all_there, LEASE, f"{fleet.agents} agents to have the instruction", 0.1)
    used = watch.stop()
    first = min(arrived.values())
    whole = [(t / 1e6 - watch.real) * 1000 for t in arrived.values()]
    fan_out = [(t - first) / 1000 for t in arrived.values()]

    def ended() -> bool:
        return bool(fleet.api().get_patiently(f"/rollouts/{number}")["terminal"])

    if not last:
        wait_for(ended, 4 * LEASE, "the instructions to end with their lease", 0.5)
    return {
        "p50_ms": percentile(whole, 50),
        "p99_ms": percentile(whole, 99),
        "max_ms": max(whole),
        "fan_out_p50_ms": percentile(fan_out, 50),
        "fan_out_p99_ms": percentile(fan_out, 99),
        "fan_out_max_ms": max(fan_out),
        "gateway_cpu_us_per_message": used["gateway_cpu_s"] * 1e6 / fleet.agents,
    }


def _medians(runs: list[Figures]) -> Figures:
    return {key: round(statistics.median(run[key] for run in runs), 1) for key in runs[0]}


def _flood(fleet: Fleet, rest: Figures, seconds: float) -> Figures:
    """How many heartbeats the gateway reads for a second of one core, what it needs at rest taken off."""
    before = sum(r["heartbeats_flooded"] for r in fleet.reports())
    watch = Stopwatch(fleet)
    time.sleep(seconds)
    sent = sum(r["heartbeats_flooded"] for r in fleet.reports()) - before
    used = watch.stop()
    cpu = used["gateway_cpu_s"] - rest["gateway_cpu_s"] * used["seconds"] / rest["seconds"]
    return {"per_second": round(sent / used["seconds"]), "per_core_second": round(sent / cpu) if cpu > 0.05 else None}


def _measure(agents: int) -> Figures:
    with Fleet("bench-push", agents, f"HeartbeatIntervalSec=30\nLeaseSec={LEASE}\n") as fleet:
        versions = [f"1.{i}.0" for i in range(1, 1 + (RUNS if agents >= SMALL else 1))]
        seconds = REST if agents >= SMALL else 1
        for version in versions[1:]:
            add_release(fleet.loop, fleet.repository, version)
        fleet.enrol("--passive")
        fleet.stop()
        fleet.restart_gateway()
        bare = fleet.gateway.resident_kib()
        accept = _accept(fleet)
        time.sleep(min(5, seconds))
        held = fleet.gateway.resident_kib()
        rest = _rest(fleet, seconds)
        pushes = [_push(fleet, version, last=version == versions[-1]) for version in versions]
        fleet.stop()
        _accept(fleet, f"--heartbeat-flood={FLOOD // len(fleet.sims)}")
        flood = _flood(fleet, rest, seconds)
        fleet.stop()
    return {
        "accept": accept,
        "kib_per_stream": round((held - bare) / agents, 1),
        "at_rest_cpu_percent": round(100 * rest["gateway_cpu_s"] / rest["seconds"], 2),
        "pushes": len(pushes),
        "push": _medians(pushes),
        "heartbeats": flood,
    }


def measure(agents: int | None = None) -> Figures:
    figures: Figures = {"streams": {str(n): _measure(n) for n in ([agents] if agents else (2400, 10000))}}
    _show(figures["streams"])
    return figures


def _show(streams: Figures) -> None:
    names = list(streams)
    rows: Rows = [("what", *(f"{n} streams" for n in names))]

    def row(text: str, value: Any) -> None:
        rows.append((text, *(value(streams[n]) for n in names)))

    row("to accept all, at once", lambda f: f"{f['accept']['seconds']:.1f} s")
    row("CPU of the gateway for that", lambda f: f"{f['accept']['gateway_cpu_s']:.1f} s")
    row("memory of the gateway per stream", lambda f: f"{f['kib_per_stream']:.0f} KiB")
    row("CPU at rest, heartbeats every 30 s", lambda f: f"{f['at_rest_cpu_percent']:.1f} %")
    for key in ("p50", "p99", "max"):
        row(f"push, from the request, {key}", lambda f, k=key: f"{f['push'][k + '_ms']:.0f} ms")
    for key in ("p50", "p99", "max"):
        row(f"push, from the first arrival, {key}", lambda f, k=key: f"{f['push']['fan_out_' + k + '_ms']:.0f} ms")
    row("CPU per message pushed", lambda f: f"{f['push']['gateway_cpu_us_per_message']:.0f} us")
    row("heartbeats read per second of one core", lambda f: f"{f['heartbeats']['per_core_second'] or 'too few'}")
    pushes = next(iter(streams.values()))["pushes"]
    table(f"Streams, medians of {pushes} pushes, both sides on this machine", rows)

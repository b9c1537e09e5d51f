# SPDX-License-Identifier: Apache-2.0
"""The pure core of a rollout by the size of the fleet, in bench-step.c: a process for each, so that the memory is its own."""

import json
import subprocess

from figures import Figures, Rows, table
from fleets import Unable
from harness.product import Build

SIZES = (1000, 10000, 100000)


def _once(agents: int) -> Figures:
    program = Build().folder / "bench" / "bench-step"
    if not program.exists():
        raise Unable(f"there is no {program.name}: run tools/build first")
    done = subprocess.run([program, str(agents)], check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    return dict(json.loads(done.stdout))


def measure(agents: int | None = None) -> Figures:
    found = [_once(n) for n in ([agents] if agents else SIZES)]
    figures: Figures = {"steps": found}
    if len(found) > 1:
        last, before = found[-1], found[-2]
        grown = last["agents"] / before["agents"]
        # 1 is linear, 10 would be the square
        figures["growth"] = {
            key: round(last[key] / before[key] / grown, 2) for key in ("admit_us", "watch_us", "whole_us", "memory_kib")
        }
    _show(found, figures)
    return figures


def _show(found: list[Figures], figures: Figures) -> None:
    rows: Rows = [("agents", "plan", "step that admits a tenth", "step that only looks", "all steps of a rollout", "memory")]
    for f in found:
        times = [f"{f[key] / 1000:.2f} ms" for key in ("plan_us", "admit_us", "watch_us")]
        whole = f"{f['whole_us'] / 1000:.1f} ms ({f['steps']})"
        rows.append((str(f["agents"]), *times, whole, f"{f['memory_kib'] / 1024:.1f} MiB"))
    table("The step function, a canary of ten and ten batches, medians of 9", rows)
    if "growth" in figures:
        growth = ", ".join(f"{key.rsplit('_', 1)[0]} {value}" for key, value in figures["growth"].items())
        print(f"the largest beside the one before, for each agent (1: linear): {growth}\n")

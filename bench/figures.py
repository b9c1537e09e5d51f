# SPDX-License-Identifier: Apache-2.0
"""What benchmarks share: the machine's description, tables, medians."""

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
Rows = list[tuple[str, ...]]


def machine_description() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores, {model}, {memory:.0f} GiB, Linux {platform.release()}"


def table(title: str, rows: Rows) -> None:
    print(f"{title}\n{machine_description()}\n")
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())
    print()


def spread(values: list[float], unit: str = "ms") -> tuple[str, str, str]:
    return tuple(
        f"{v:.1f} {unit}" for v in (min(values), statistics.median(values), max(values))
    )  # type: ignore[return-value]


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below or at which so many of a hundred lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

# SPDX-License-Identifier: Apache-2.0
"""bench/run, each benchmark with a handful of agents: that they work, and that what they claim is so, not how fast it is."""

import json
import subprocess
import sys
from typing import Any

from harness.command import execute
from harness.product import SOURCE

_RUN = SOURCE / "bench" / "run"


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-B", str(_RUN), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _figures(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, f"{process.args} ended with {process.returncode}: {errors[-3000:]}"
    lines = output.splitlines()
    assert len(lines) > 4 and "cores" in lines[1], output
    return dict(json.loads(lines[-1]))


def benchmarks() -> None:
    """All at once: they wait more than they work."""
    running = [
        _start("fleet", "--no-waits", "--agents=20"),
        _start("push", "--agents=20"),
        _start("storm", "--agents=20"),
        _start("list", "--agents=200"),
        _start("step", "--agents=1000"),
    ]
    try:
        fleet, push, storm, lists, step = map(_figures, running)
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()  # it ends what it has started
                process.communicate(timeout=60)
    names = [f["benchmark"] for f in (fleet, push, storm, lists, step)]
    assert names == ["fleet", "push", "storm", "list", "step"], names

    assert fleet["agents"] == 20 and fleet["succeeded"] == fleet["healthy"] > 15, fleet
    assert fleet["orphans"] == 0 and fleet["wall_s"] > 0 and fleet["gateway_rss_kb"] > 1000, fleet
    stream = push["streams"]["20"]
    assert 0 < stream["push"]["p50_ms"] <= stream["push"]["p99_ms"] <= stream["push"]["max_ms"], push
    assert stream["heartbeats"]["per_second"] > 100, push
    for name in ("stopped", "killed"):
        assert storm[name]["sessions"] >= 20 and storm[name]["silence_s"]["max"] > 0, storm
    assert lists["agents"] == 200 and len(lists["figures"]) > 40, lists
    assert step["steps"][0]["steps"] == 24 and step["steps"][0]["memory_kib"] > 100, step


def wrong_arguments() -> None:
    """Said what is wrong, and nothing run."""
    for wrong, said in (
        (["no-such"], "no-such"),
        (["payload", "--agents=5"], "--agents"),
        (["step", "--agents=0"], "--agents"),
        (["storm", "--no-waits"], "--no-waits"),
    ):
        done = execute([sys.executable, "-B", str(_RUN), *wrong], check=False, timeout=30)
        assert done.returncode == 2 and said in done.stderr, (wrong, done.stderr)
    # more agents than a process may have descriptors for
    few = ["prlimit", "--nofile=64:64", sys.executable, "-B", str(_RUN), "storm", "--agents=500"]
    done = execute(few, check=False, timeout=30)
    assert done.returncode == 1 and "descriptors" in done.stderr and "Traceback" not in done.stderr, done.stderr


TESTS = (wrong_arguments, benchmarks)

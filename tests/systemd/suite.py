# SPDX-License-Identifier: Apache-2.0
"""What a case and a group are, and running many groups at once."""

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from harness import Run
from harness.product import Build
from harness.progress import progress

from .lab import Lab, Settings
from .settled import check_settled


@dataclass(frozen=True)
class Case:
    """One story, from a machine online at `start` to the version that play() returns.

    fresh: a machine that went through an earlier case would falsify this one.
    """

    name: str
    play: Callable[[Lab], str | None]
    start: str = "1.0.0"
    fresh: bool = False


@dataclass(frozen=True)
class Group:
    """Cases that share a gateway, settings and, where they leave it as they want it, a machine."""

    name: str
    cases: tuple[Case, ...]
    settings: Settings = field(default_factory=Settings)
    slow: bool = False
    minutes: float = 0.5  # roughly; the longest groups are begun first

    def __post_init__(self) -> None:
        assert self.name.isalnum(), self.name


def case(
    start: str = "1.0.0", *, fresh: bool = False
) -> Callable[[Callable[[Lab], str | None]], Case]:
    """Decorator: the case is named as its function."""

    def wrap(play: Callable[[Lab], str | None]) -> Case:
        return Case(play.__name__, play, start, fresh)

    return wrap


@dataclass
class Score:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def run_groups(groups: Sequence[Group], jobs: int) -> Score:
    """Runs all groups, at most `jobs` of them at once, in one run of the harness."""
    score = Score()
    build = Build()
    with Run("systemd") as run:
        pool = ThreadPoolExecutor(jobs)
        ordered = sorted(enumerate(groups), key=lambda item: -item[1].minutes)
        futures: set[Future[None]] = {
            pool.submit(_run_group, run, build, number, group, score) for number, group in ordered
        }
        try:
            while futures:
                done, futures = wait(futures, timeout=1, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        finally:
            # When the run is told to end, the others fail as soon as their machines are gone.
            pool.shutdown(wait=False, cancel_futures=True)
    return score


def _run_group(run: Run, build: Build, number: int, group: Group, score: Score) -> None:
    try:
        lab = Lab(run, build, group.name, number, group.settings)
    except Exception:
        traceback.print_exc()
        progress(f"FAILED {group.name}: its gateway could not be started")
        score.failed += [f"{group.name}/{c.name}" for c in group.cases]
        return
    try:
        for one in group.cases:
            _run_case(lab, group, one, score)
    finally:
        _close(lab, group, score)


def _close(lab: Lab, group: Group, score: Score) -> None:
    try:
        lab.close()
    except Exception as error:
        traceback.print_exc()
        progress(f"FAILED {group.name}: its gateway did not end well: {error}")
        score.failed.append(f"{group.name}/gateway")


def _run_case(lab: Lab, group: Group, one: Case, score: Score) -> None:
    title = f"{group.name}/{one.name}"
    started = time.monotonic()
    try:
        lab.begin(title, one.start, fresh=one.fresh)
        version = one.play(lab)
        if version is not None:
            check_settled(lab.machine, version)
    except Exception as error:
        traceback.print_exc()
        progress(f"FAILED {title} ({time.monotonic() - started:.1f}s): {error}")
        score.failed.append(title)
        lab.save_and_drop(title)
    else:
        progress(f"ok {title} ({time.monotonic() - started:.1f}s)")
        score.passed.append(title)

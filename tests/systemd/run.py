#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line of the systemd tests; see __init__.py."""

import argparse
import os
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

if __package__ in (None, ""):  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    sys.dont_write_bytecode = True

from harness.host import HostError  # noqa: E402
from systemd.groups import GROUPS  # noqa: E402
from systemd.suite import Group, run_groups  # noqa: E402

# Two cores are busy with six machines, most of which wait for something.
_JOBS = 6


def choose(words: list[str], slow: bool) -> list[Group]:
    """The groups, cut down to the cases whose "group/case" contains one of the words."""
    chosen = []
    for group in GROUPS:
        if group.slow and not slow and not words:
            continue
        cases = tuple(
            c for c in group.cases if not words or any(w in f"{group.name}/{c.name}" for w in words)
        )
        if cases:
            chosen.append(replace(group, cases=cases))
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests/systemd/run.py",
        description="Agent, updater and gateway on machines with a real systemd.",
    )
    parser.add_argument(
        "words", nargs="*", metavar="NAME", help="only cases whose names contain one of these"
    )
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--slow", action="store_true", help="also what takes minutes")
    parser.add_argument(
        "--jobs", type=int, default=_JOBS, help=f"machines at once (default {_JOBS})"
    )
    options = parser.parse_args()

    chosen = choose(options.words, options.slow or os.environ.get("FLEET_TEST_SLOW") == "1")
    if options.list:
        for group in chosen if options.words else GROUPS:
            for one in group.cases:
                print(f"{group.name}/{one.name}" + (" (slow)" if group.slow else ""))
        return 0
    if not chosen:
        print("no case has such a name; --list shows them", file=sys.stderr)
        return 2

    started = time.monotonic()
    try:
        score = run_groups(chosen, options.jobs)
    except HostError as error:
        print(f"tests/systemd: {error}", file=sys.stderr)
        return 2
    for title in score.failed:
        print(f"FAILED {title}")
    print(f"{time.monotonic() - started:.0f} s")
    print(f"{len(score.passed)} passed, {len(score.failed)} failed", flush=True)
    return 1 if score.failed else 0


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:
        status = 130
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads of a run that was cut short are not waited for

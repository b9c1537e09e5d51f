# SPDX-License-Identifier: Apache-2.0
"""python3 -m protocol.run [NAME...]: runs the protocol tests, or those whose names contain a NAME."""

import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from harness.progress import progress

from . import (
    test_abuse,
    test_backup,
    test_bench,
    test_clock,
    test_ctl,
    test_ctl_rollout,
    test_download,
    test_enrolment,
    test_metrics,
    test_rollout,
    test_simulate,
    test_stream,
)


_WORKERS = 3
_LONGEST = {"gateway_is_killed_in_mid_rollout", "same_seed", "power_cut"}


def main() -> int:
    modules = (
        test_enrolment,
        test_stream,
        test_clock,
        test_download,
        test_abuse,
        test_ctl,
        test_ctl_rollout,
        test_backup,
        test_metrics,
        test_rollout,
        test_simulate,
        test_bench,
    )
    tests = [t for m in modules for t in m.TESTS]
    wanted = sys.argv[1:]
    chosen = [t for t in tests if not wanted or any(w in t.__name__ for w in wanted)]
    if not chosen:
        print(f"no such test; there are: {' '.join(t.__name__ for t in tests)}", file=sys.stderr)
        return 2
    # the one that takes minutes, and mostly waits, beside all others
    chosen.sort(key=lambda t: t.__name__ not in _LONGEST)
    with ThreadPoolExecutor(_WORKERS) as pool:
        passed = sum(pool.map(_play, chosen))
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return 0 if passed == len(chosen) else 1


def _play(test: Callable[[], None]) -> bool:
    started = time.monotonic()
    try:
        test()
    except Exception:
        traceback.print_exc()
        progress(f"FAILED {test.__name__}")
        return False
    progress(f"ok {test.__name__} ({time.monotonic() - started:.1f}s)")
    return True


if __name__ == "__main__":
    sys.exit(main())

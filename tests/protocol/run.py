# SPDX-License-Identifier: Apache-2.0
"""python3 -m protocol.run [NAME...]: runs the protocol tests, or those whose names contain a NAME."""

import sys
import time
import traceback

from harness.progress import progress

from . import (
    test_abuse,
    test_bench,
    test_clock,
    test_ctl,
    test_download,
    test_enrolment,
    test_metrics,
    test_rollout,
    test_simulate,
    test_stream,
)


def main() -> int:
    modules = (
        test_enrolment,
        test_stream,
        test_clock,
        test_download,
        test_abuse,
        test_ctl,
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
    passed = failed = 0
    for test in chosen:
        started = time.monotonic()
        try:
            test()
        except Exception:
            traceback.print_exc()
            progress(f"FAILED {test.__name__}")
            failed += 1
        else:
            progress(f"ok {test.__name__} ({time.monotonic() - started:.1f}s)")
            passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

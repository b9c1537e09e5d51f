# SPDX-License-Identifier: Apache-2.0
"""Removes what killed runs have left behind: python3 -m harness.cleanup

Every run does it at its start, too. Runs that are still going are left alone.
"""

from .host import require_host
from .leftovers import clean_stale_runs
from .progress import progress


def main() -> None:
    require_host()
    cleaned = clean_stale_runs()
    progress(f"removed {len(cleaned)} dead runs" if cleaned else "there was nothing to clean up")


if __name__ == "__main__":
    main()

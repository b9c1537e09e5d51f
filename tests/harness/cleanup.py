# SPDX-License-Identifier: Apache-2.0
"""Removes what killed runs have left behind: python3 -m harness.cleanup [--roots]

Every run does it at its start, too. Runs that are still going are left alone. With --roots, cached
base roots go as well, unless a run is going: each change of the package list leaves one.
"""

import argparse

from .host import require_host
from .leftovers import clean_stale_runs, remove_idle_roots
from .progress import progress


def main() -> None:
    parser = argparse.ArgumentParser(description="Remove what killed test runs have left behind.")
    parser.add_argument("--roots", action="store_true", help="remove cached base roots, too")
    arguments = parser.parse_args()

    require_host()
    cleaned = clean_stale_runs()
    progress(f"removed {len(cleaned)} dead runs" if cleaned else "there was nothing to clean up")
    if arguments.roots:
        progress(f"removed {remove_idle_roots()} cached roots")


if __name__ == "__main__":
    main()

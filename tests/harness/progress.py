# SPDX-License-Identifier: Apache-2.0
"""Lines that tell a watching person what goes on, and when."""

import sys
import threading
import time

_started = time.monotonic()
_lock = threading.Lock()


def progress(text: str) -> None:
    """Prints one line with the time of day and the seconds since the start.

    The elapsed time is what one looks for in the log of a slow run; the time of day is what one
    compares with the journals.
    """
    stamp = f"{time.strftime('%H:%M:%S')} +{time.monotonic() - _started:7.2f}s"
    with _lock:
        print(f"[{stamp}] {text}", file=sys.stderr, flush=True)

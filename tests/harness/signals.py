# SPDX-License-Identifier: Apache-2.0
"""Being told to end, and doing it tidily."""

import signal
import threading
from types import FrameType
from typing import Any


class PoliteEnd:
    """Makes SIGTERM and SIGHUP raise SystemExit, as SIGINT raises KeyboardInterrupt already.

    There is then one way out, through the context managers. Outside of the main thread, where
    Python has no say in signals, this does nothing.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}

    def catch(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._handlers[signal.SIGINT] = signal.getsignal(signal.SIGINT)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _raise_exit)

    def ignore(self) -> None:
        """While taking down, which is bounded: a second Ctrl-C must not cut it short."""
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)

    def restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()


def _raise_exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)

# SPDX-License-Identifier: Apache-2.0
"""Bounded waiting. Nothing in the tests sleeps for a fixed time and hopes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class WaitTimeout(AssertionError):
    """Something did not come true in time. An assertion, since that is what a test makes of it."""


def wait_for(predicate: Callable[[], T | None], timeout: float, what: str, interval: float = 0.05) -> T:
    """Polls until predicate() is true, and returns its value.

    The last value goes into the error: "state: downloading" tells more than "timed out". A
    predicate that raises is a broken test, so its exception is not swallowed.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise WaitTimeout(f"waited {timeout:g}s in vain: {what} (last value: {value!r})")
        time.sleep(interval)

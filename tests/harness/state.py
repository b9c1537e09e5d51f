# SPDX-License-Identifier: Apache-2.0
"""Where the harness keeps things, and who may touch them.

    STATE/roots/debian-KEY/     cached base roots, shared and never written to
    STATE/runs/RUN/             one run: its lock, and a folder for each container
    STATE/results/RUN-TIME/     journals and logs of failed runs
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .progress import progress
from .wait import wait_for


def state_folder() -> Path:
    """On disk and not in /run: an overlay wants a real file system, with xattrs and fsync."""
    return Path(os.environ.get("FLEET_TEST_STATE", "/var/tmp/fleet-agent-tests"))


def results_folder() -> Path:
    override = os.environ.get("FLEET_TEST_RESULTS")
    return Path(override) if override else state_folder() / "results"


class FileLock:
    """An advisory lock on a file, which the kernel gives back however its holder ends.

    That makes it the one safe way to tell a live run from a dead one: a process id in a file may
    have gone to somebody else. No child keeps the lock unless it is handed the descriptor.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fd = -1

    def try_acquire(self) -> bool:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self.fd = fd
        return True

    def release(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@contextmanager
def locked(path: Path, timeout: float, what: str) -> Iterator[int]:
    """Holds the lock on path, waiting at most timeout seconds for another process to be done.

    Gives the lock's descriptor: a child that inherits it holds the lock, too, even alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    if not lock.try_acquire():
        progress(f"waiting for another run: {what}")
        wait_for(lock.try_acquire, timeout, f"the lock for {what} ({path})", interval=0.2)
    try:
        yield lock.fd
    finally:
        lock.release()

# SPDX-License-Identifier: Apache-2.0
"""One run: owns the network, the containers and the processes, and takes all of them down."""

import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from .cgroup import run_group
from .container import BOOT_TIMEOUT, Container
from .host import require_host
from .leftovers import clean_stale_runs, new_run_folder, remove_run
from .netns import GATEWAY_ADDRESS, Network
from .process import Process
from .progress import progress
from .rootfs import base_root
from .signals import PoliteEnd
from .state import FileLock, results_folder

# More at once only makes each of them slower on the two cores of a small CI machine.
_PARALLEL = 8


class Run:
    """A context manager, to be entered from the main thread if signals are to end it cleanly.

    Leaving it on an exception, or with failed = True, keeps journals and logs in the results
    folder and prints the ends of them.
    """

    gateway_address = GATEWAY_ADDRESS

    def __init__(self, title: str, *, packages: Sequence[str] = ()) -> None:
        self.title = title
        self.id = f"fa{secrets.token_hex(3)}"
        self.failed = False
        self.containers: list[Container] = []
        self.processes: list[Process] = []
        self._packages = packages
        self._network = Network(self.id)
        self._group = run_group(self.id)
        self._lock: FileLock | None = None
        self._signals = PoliteEnd()

    def __enter__(self) -> "Run":
        require_host()
        self._signals.catch()
        try:
            clean_stale_runs()
            self._folder, self._lock = new_run_folder(self.id)
            self._base = base_root(self._packages)
            self._group.create()
            self._network.create()
        except BaseException:
            self._take_down()
            raise
        progress(f"{self.title}: run {self.id}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            progress(f"{self.title}: {kind.__name__ if kind else ''}: {error}")
        try:
            if error is not None or self.failed:
                self._save_results(show=error is None or isinstance(error, Exception))
        finally:
            self._take_down()

    @property
    def folder(self) -> Path:
        """A folder for whatever the run needs on the host; removed with it."""
        return self._folder

    @property
    def gateway_namespace(self) -> str:
        return self._network.gateway_namespace

    def container(self, name: str, *, machine_id: str | None = None) -> Container:
        """Makes a machine with its files and its place in the network, and does not boot it."""
        assert name.isalnum() and name not in (c.name for c in self.containers), name
        container = Container(
            name,
            f"{self.id}-{name}",
            self._folder / "containers" / name,
            self._group.child(f"container-{name}"),
            self._network.attach(name),
        )
        container.create(self._base, machine_id)
        self.containers.append(container)
        return container

    def boot_all(
        self, *containers: Container, timeout: float = BOOT_TIMEOUT
    ) -> tuple[Container, ...]:
        """Boots several at once and waits until all of them run."""

        def boot(container: Container) -> None:
            container.boot()
            container.wait_running(timeout)

        started = time.monotonic()
        self._each(boot, containers)
        took = time.monotonic() - started
        progress(f"{self.title}: {len(containers)} containers up after {took:.2f}s")
        return containers

    def spawn(
        self,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        namespace: str | None = None,
    ) -> Process:
        """Starts a program on the gateway's side of the network; it ends with the run."""
        process = Process(
            name,
            argv,
            group=self._group.child(f"process-{name}-{len(self.processes)}"),
            namespace=namespace or self.gateway_namespace,
            log=self._folder / f"{name}.log",
            env=env,
            cwd=cwd,
        )
        self.processes.append(process)
        return process

    def destroy(self, container: Container) -> None:
        """Ends one machine before its time. Its logs are gone with it."""
        self.containers.remove(container)
        container.destroy()

    # Private

    def _each(self, action: Callable[[Container], None], items: Sequence[Container]) -> None:
        pool = ThreadPoolExecutor(_PARALLEL)
        try:
            for future in [pool.submit(action, item) for item in items]:
                future.result()
        finally:
            # After an error or a signal the others are not waited for: they end by themselves when
            # their machines are taken down.
            pool.shutdown(wait=False, cancel_futures=True)

    def _save_results(self, *, show: bool) -> None:
        """Keeps the logs; shows their ends, too, unless the run was only told to stop."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        results = results_folder() / f"{self.title}-{self.id}-{stamp}"
        results.mkdir(parents=True, exist_ok=True)
        for container in self.containers:
            container.save_logs(results)
            if show:
                _print_tail(results / f"{container.name}.journal.txt")
        for process in self.processes:
            shutil.copy2(process.log, results)
            if show:
                _print_tail(results / process.log.name)
        progress(f"{self.title}: journals and logs are in {results}")

    def _take_down(self) -> None:
        """Ends things in the reverse order of their start, then removes all that bears the id.

        The second half is the same that cleans up after a killed run, so it is well tested, and
        does not depend on the first half having worked.
        """
        self._signals.ignore()
        started = time.monotonic()
        try:
            self._each(_stop_quietly, list(reversed(self.containers)))
            for process in reversed(self.processes):
                process.stop()
        finally:
            remove_run(self.id)
            if self._lock is not None:
                self._lock.release()
            self._signals.restore()
            progress(f"{self.title}: taken down in {time.monotonic() - started:.2f}s")


def _stop_quietly(container: Container) -> None:
    """A machine that a test has wrecked may not shut down; that is no failure of the test."""
    try:
        container.stop(timeout=15)
    except AssertionError as error:
        progress(f"{error}; killed it")


def _print_tail(path: Path, lines: int = 25) -> None:
    for line in path.read_text(errors="replace").splitlines()[-lines:]:
        progress(f"  {path.stem}: {line}")

# SPDX-License-Identifier: Apache-2.0
"""A program that runs beside the containers: the gateway, a web server, a simulator."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .cgroup import Group
from .progress import progress


class Process:
    """A background process in a control group of its own, its output in a file."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        group: Group,
        namespace: str,
        log: Path,
        env: Mapping[str, str] | None,
        cwd: Path | None,
    ) -> None:
        self.name = name
        self.log = log
        self._group = group
        self._group.create()
        inside = ["nsenter", f"--net=/run/netns/{namespace}", "--", *argv]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                group.entering(inside),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env} if env is not None else None,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The program's own id: the shell and nsenter before it become it."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; otherwise as in subprocess, negative for a signal."""
        return self._process.poll()

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float) -> int:
        return self._process.wait(timeout)

    def stop(self, timeout: float = 10) -> None:
        """SIGTERM, and SIGKILL for it and its children if that does not help in time."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                progress(f"{self.name}: did not end within {timeout:g}s, killing it")
        self._group.kill()
        self._process.wait(timeout)
        self._group.remove()

# SPDX-License-Identifier: Apache-2.0
"""What a case works with: a gateway and a repository of its own, and one machine at a time."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Container, Run, wait_for
from harness.product import Build, Gateway, Machine, Repository
from harness.progress import progress
from harness.state import results_folder

from .bus import last_result
from .client import Client
from .events import Events

# The three minutes, shortened; what is on trial for longer than a few seconds here says so itself.
_UPDATER = "ConfirmTimeoutSec=20\nSoakSec=2\n"


@dataclass(frozen=True)
class Settings:
    updater: str = _UPDATER
    agent: str = ""
    gateway: str = ""
    prepare: Callable[[Container], None] | None = None  # before anything is installed


class Lab:
    def __init__(self, run: Run, build: Build, name: str, number: int, settings: Settings) -> None:
        self.run = run
        self.build = build
        self.name = name
        self.settings = settings
        self.repository = Repository(build, run.folder / f"{name}-repository")
        self.gateway = Gateway(
            run, build, name=f"{name}-gateway", settings=settings.gateway, number=number
        )
        self.title = name
        self._released: set[str] = set()
        self._boxes = 0
        self._machine: Machine | None = None
        self._events: Events | None = None
        self.mark: str | None = None  # the place in the journal where the case began
        self.gateway.start()
        self.release("1.0.0")

    # Before and after a case

    def begin(self, title: str, version: str, *, fresh: bool) -> None:
        """Sees to it that there is a machine, online at this version, with nothing going on."""
        self.title = title
        self.mark = None
        if self._machine is not None and (fresh or self._machine.link("current") != version):
            self.drop_machine()
        if self._machine is None:
            self.use_new_machine(version)
        self.machine.wait_online(version)
        self.mark = self.machine.container.journal.cursor()
        self.events.forget()

    def save_and_drop(self, title: str) -> None:
        """Keeps the logs of a failed case and throws its machine away: it may be in any state."""
        folder = results_folder() / f"systemd-{self.run.id}" / title.replace("/", "-")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for process in self.run.processes:
                if process.name.startswith(f"{self.name}-"):
                    shutil.copy2(process.log, folder)
                    _show(title, process.name, process.output().splitlines()[-15:])
            if self._machine is not None:
                self._machine.container.save_logs(folder)
                _show(title, "journal", _ours(self._machine.container, self.mark)[-60:])
            progress(f"  journals and logs are in {folder}")
        finally:
            self.drop_machine()
            if self.gateway.process is None:
                self.gateway.start()

    def close(self) -> None:
        self.drop_machine()
        if self._events is not None:
            self._events.close()
        if self.gateway.process is not None:
            self.gateway.stop()

    # Things to work with

    @property
    def machine(self) -> Machine:
        assert self._machine is not None
        return self._machine

    @property
    def box(self) -> Container:
        return self.machine.container

    @property
    def client(self) -> Client:
        return Client(self.machine)

    @property
    def events(self) -> Events:
        """What the gateway tells its watchers, since the case began."""
        if self._events is None:
            self._events = Events(self.run, self.gateway, f"{self.name}-watch")
        return self._events

    def use_new_machine(self, version: str = "1.0.0") -> None:
        """Boots a machine with the agent installed as if `version` were the packaged one."""
        self._boxes += 1
        box = self.run.container(f"{self.name}{self._boxes}")
        self._machine = Machine(box, self.gateway)  # from now on it is saved and dropped with us
        if environment := os.environ.get("FLEET_TEST_MACHINE_ENVIRONMENT"):
            conf = f"[Manager]\nDefaultEnvironment={environment}\n"
            box.write_file("/etc/systemd/system.conf.d/test.conf", conf)
        box.boot()
        box.wait_running()
        if self.settings.prepare is not None:
            self.settings.prepare(box)
        self._machine.install(
            self.gateway.join_token(),
            version,
            agent_settings=self.settings.agent,
            updater_settings=self.settings.updater,
        )
        self._machine.wait_online(version)

    def drop_machine(self) -> None:
        if self._machine is not None:
            machine, self._machine = self._machine, None
            self.run.destroy(machine.container)

    def release(
        self,
        version: str,
        *,
        files: Sequence[Path] | None = None,
        options: Sequence[str] = (),
        arch: str | None = None,
    ) -> None:
        """Signs and imports a release, unless this lab has done so before."""
        if version in self._released:
            return
        how: dict[str, Any] = {"files": files, "options": options}
        if arch is not None:
            how["arch"] = arch
        self.repository.release(version, **how)
        self.gateway.import_releases(self.repository)
        self._released.add(version)

    def forget_release(self, version: str) -> None:
        """The next release() of this version replaces it."""
        self._released.discard(version)

    # Steps that many cases take

    def order(self, version: str, **how: Any) -> None:
        """Releases a version if need be and tells the machine to update to it."""
        self.release(version, **how)
        self.machine.update(version)

    def update(self, version: str, *, timeout: float = 60) -> dict[str, Any]:
        self.order(version)
        return self.machine.wait_finished(version, "succeeded", timeout)

    def refused(
        self, version: str, verdict: str, phase: str = "failed", timeout: float = 60
    ) -> dict[str, Any]:
        """The newest update to this version ends so, for this reason."""
        update = self.machine.wait_finished(version, phase, timeout)
        assert update.get("verdict") == verdict, f"expected {verdict}: {update}"
        assert update.get("message"), f"no word about why: {update}"
        return update

    def goes_back(self, version: str, verdict: str, *, timeout: float = 90) -> dict[str, Any]:
        self.order(version)
        update = self.refused(version, verdict, "rolled-back", timeout)
        result = last_result(self.machine)
        assert (result["phase"], result["verdict"]) == ("rolled-back", verdict), result
        assert result["instruction"] == update["id"], (result, update)
        return update

    def uptime_usec(self) -> int:
        """CLOCK_BOOTTIME, which is the host's as well."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def journal(self, **fields: str) -> list[dict[str, object]]:
        """Entries of this machine since the case began."""
        return self.box.journal.entries(since=self.mark, fields=fields)

    def wait_journal(self, text: str, timeout: float = 30) -> None:
        wait_for(
            lambda: text in self.box.journal.text(since=self.mark),
            timeout,
            f"the journal to say '{text}'",
            0.1,
        )


def stays(predicate: Callable[[], bool], seconds: float, what: str) -> None:
    """The opposite of wait_for(): it must hold all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert predicate(), f"no longer so: {what}"
        time.sleep(0.1)


def _ours(box: Container, mark: str | None) -> list[str]:
    """The lines of a journal that are about us, and what PID 1 says."""
    words = ("fleet", "systemd[1]", "updater[", "agent[", "audit")
    return [
        line for line in box.journal.text(since=mark).splitlines() if any(w in line for w in words)
    ]


def _show(title: str, what: str, lines: list[str]) -> None:
    for line in lines:
        progress(f"  {title} {what}: {line}")

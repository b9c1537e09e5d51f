# SPDX-License-Identifier: Apache-2.0
"""fleet-simulate against a real gateway: what the tests and benchmarks of many agents have in common."""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.product import Repository
from harness.wait import wait_for

from .api import Api
from .loopback import Loopback, Program

# All simulated agents come from one address.
LIMITS = "[Limits]\nHttpConnectionsMax=12000\nHttpConnectionsPerAddressMax=12000\n"

# A whole update in a second, for tests that are not about time.
FAST = (
    "--time=staging:10ms..100ms",
    "--time=restarting:50ms..200ms",
    "--time=confirming:200ms",
    "--time=rolling-back:50ms..200ms",
)


class Simulator:
    """One process of fleet-simulate, and what it has said."""

    def __init__(self, loop: Loopback, name: str = "simulate") -> None:
        self.loop = loop
        self.name = name
        self.log = loop.folder / f"{name}.ndjson"
        self.report_file = loop.folder / f"{name}.json"
        self.state = loop.folder / "machines"
        self.token = loop.folder / "join-token"
        self.program: Program | None = None
        # quick, for tests; empty for the agent's own patience, which a gateway under load needs
        self.reconnect = "ReconnectMinSec=100ms\nReconnectMaxSec=1s\n"

    def options(self, agents: int, *more: str, first: int = 0, version: str = "1.0.0") -> list[str]:
        return [f"--agents={agents}", f"--first={first}", f"--agent-version={version}", *more]

    def start(self, agents: int, *more: str, token: bool = True, first: int = 0) -> Program:
        ports = self.loop
        config = self.loop.folder / "simulate.conf"
        config.write_text(
            f"[Gateway]\nAddress=localhost:{ports.agent_port}\n"
            f"EnrollAddress=localhost:{ports.enroll_port}\nUrl=https://localhost:{ports.https_port}\n"
            f"{self.reconnect}"
        )
        argv = [str(self.loop.build.program("fleet-simulate")), f"--config={config}"]
        argv += [f"--state-directory={self.state}", f"--log={self.log}"]
        if token:
            if not self.token.exists():
                self.token.write_text(self.loop.token(uses=max(agents + first, 1)))
                self.token.chmod(0o600)
            argv.append(f"--join-token-file={self.token}")
        argv += self.options(agents, *more, first=first)
        self.program = self.loop.spawn(self.name, argv, output=self.report_file)
        wait_for(self._takes_signals, 20, f"{self.name} to be ready for signals", 0.02)
        return self.program

    def _takes_signals(self) -> bool:
        assert self.program is not None and self.program.running, f"{self.name} ended"
        status = Path(f"/proc/{self.program.process.pid}/status").read_text()
        blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
        return bool(int(blocked.split()[1], 16) & 1 << signal.SIGUSR1 - 1)

    # ---- what it says ----

    def events(self) -> list[dict[str, Any]]:
        """Lines of the log so far; one that is being written is left for later."""
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def report(self) -> dict[str, Any]:
        """Asks for a report of now."""
        assert self.program is not None
        before = self._reports()
        os.kill(self.program.process.pid, signal.SIGUSR1)
        wait_for(lambda: len(self._reports()) > len(before), 20, "a report", 0.05)
        return self._reports()[-1]

    def stop(self, *, kill: bool = False) -> dict[str, Any]:
        """Its last report; it has to end well, unless it is killed."""
        assert self.program is not None
        code = self.program.stop(kill=kill)
        if kill:
            return {}
        assert code == 0, f"{self.name} ended with {code}: {self.program.output()[-2000:]}"
        return self._reports()[-1]

    def wait_end(self, timeout: float) -> dict[str, Any]:
        """For --until=."""
        assert self.program is not None
        code = self.program.process.wait(timeout)
        assert code == 0, f"{self.name} ended with {code}: {self.program.output()[-2000:]}"
        return self._reports()[-1]

    def _reports(self) -> list[dict[str, Any]]:
        text = self.report_file.read_text() if self.report_file.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def wait_online(self, agents: int, timeout: float = 60) -> dict[str, Any]:
        def online() -> dict[str, Any] | None:
            assert self.program is not None and self.program.running, f"{self.name} ended"
            report = self.report()
            return report if report["online"] == agents else None

        return wait_for(online, timeout, f"{agents} simulated agents to be online", 0.3)

    def plan(self, agents: int, version: str, *more: str, first: int = 0) -> dict[int, dict[str, Any]]:
        """What it says beforehand of machines and updates, by number."""
        argv = [str(self.loop.build.program("fleet-simulate")), f"--plan={version}"]
        argv += self.options(agents, *more, first=first)
        return {m["number"]: m for m in map(json.loads, self.loop.run(argv).splitlines())}


def release(loop: Loopback, *versions: str, size: int = 1 << 16) -> Repository:
    """A repository with these versions, imported. Small files are enough: nobody runs them."""
    repository = Repository(loop.build, loop.folder / "repository")
    for version in versions:
        add_release(loop, repository, version, size)
    return repository


def add_release(
    loop: Loopback, repository: Repository, version: str, size: int = 1 << 16, options: Sequence[str] = ()
) -> None:
    repository.release(version, files=_files(loop.folder, size), arch="x86_64", options=options)
    loop.ctl("release", "import", str(repository.folder))


def _files(folder: Path, size: int) -> tuple[Path, Path]:
    agent, updater = folder / "release-agent", folder / "release-updater"
    agent.write_bytes(os.urandom(size))
    updater.write_bytes(os.urandom(size // 4))
    return agent, updater


def roll_out(loop: Loopback, version: str, **strategy: Any) -> int:
    """To everybody at once, however many fail; the number of the rollout."""
    all_at_once = {
        "canary": {"count": 0},
        "batch": {"percent": 100, "every_sec": 0, "success_percent": 0},
        "max_in_flight": 10000,
        "max_failures": {"percent": 100},
        "retry_pause_sec": 1,
    }
    body = {"version": version, "target": {"all": True}, "strategy": {**all_at_once, **strategy}}
    return int(Api(loop).ask("POST", "/rollouts", body, 201)["id"])


def fleet(loop: Loopback) -> dict[str, dict[str, Any]]:
    """All agents as the gateway has them, by id."""
    shown = loop.ctl("agent", "list", "-o", "json").stdout
    return {a["id"]: a for a in json.loads(shown)["agents"]}


def outcome(agent: dict[str, Any]) -> tuple[str, ...]:
    """How its last update ended: phase and verdict, and where it failed."""
    update = agent.get("update", {})
    failed = (update["failed_phase"],) if "failed_phase" in update else ()
    return (update.get("phase", ""), update.get("verdict", ""), *failed)


def outcomes(agents: dict[str, dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    return {i: outcome(a) for i, a in agents.items()}

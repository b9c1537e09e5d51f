# SPDX-License-Identifier: Apache-2.0
"""A gateway and agents as plain processes on 127.0.0.1, each with a folder of its own."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.command import execute
from harness.product import Build
from harness.progress import progress
from harness.wait import wait_for


_ports: set[int] = set()
_ports_lock = threading.Lock()


def free_port() -> int:
    """A port that nobody used a moment ago, and that no other test of this run gets."""
    with _ports_lock:
        while True:
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                port = int(s.getsockname()[1])
            if port not in _ports:
                _ports.add(port)
                return port


class Program:
    """A process whose output goes to a file; ended with its loopback."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        env: dict[str, str] | None = None,
        output: Path | None = None,
        *,
        close_fds: bool = True,
    ) -> None:
        """output: where its standard output goes, if not into the log."""
        self.name = name
        self.log = log
        with log.open("ab") as errors, (output or log).open("ab") as data:
            self.process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=data,
                stderr=errors,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                close_fds=close_fds,
            )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def resident_kib(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError(f"{self.name} has no VmRSS")

    def stop(self, *, kill: bool = False) -> int:
        if self.running:
            (self.process.kill if kill else self.process.terminate)()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(15)
                raise AssertionError(f"{self.name} did not end within 15 s of SIGTERM") from None
        return int(self.process.returncode)


class Agent:
    def __init__(self, loopback: "Loopback", name: str) -> None:
        self.loopback = loopback
        self.name = name
        self.id = uuid.uuid4().hex
        self.folder = loopback.folder / name
        self.state = self.folder / "state"
        self.state.mkdir(parents=True)
        self.credentials = self.folder / "credentials"
        self.credentials.mkdir()
        self.program: Program | None = None

    def start(self, token: str | None = None, *, clock_ahead: int = 0) -> Program:
        """clock_ahead: seconds by which its wall clock is wrong."""
        ports = self.loopback
        (self.folder / "agent.conf").write_text(
            f"[Agent]\nAgentId={self.id}\n[Gateway]\nAddress=localhost:{ports.agent_port}\n"
            f"EnrollAddress=localhost:{ports.enroll_port}\nUrl=https://localhost:{ports.https_port}\n"
            "ReconnectMinSec=100ms\nReconnectMaxSec=1s\n"
        )
        secret = self.credentials / "fleet-agent.join-token"
        secret.unlink(missing_ok=True)
        if token is not None:
            secret.write_text(token)
            secret.chmod(0o600)
        agent, _ = self.loopback.build.payload("1.0.0")
        argv = [str(agent), "--no-bus", f"--config={self.folder}/agent.conf"]
        argv.append(f"--state-directory={self.state}")
        env = {"CREDENTIALS_DIRECTORY": str(self.credentials)}
        if clock_ahead:
            shim = self.loopback.build.folder / "tests" / "protocol" / "libwrong-clock.so"
            env |= {"LD_PRELOAD": str(shim), "WRONG_CLOCK_SEC": str(clock_ahead)}
        self.program = self.loopback.spawn(self.name, argv, env)
        return self.program

    def seen(self) -> dict[str, Any]:
        return self.loopback.agent(self.id)

    def wait_online(self, timeout: float = 20) -> None:
        def online() -> bool:
            assert self.program is not None and self.program.running, f"{self.name} ended"
            return self.seen().get("state") == "online"

        wait_for(online, timeout, f"{self.name} to be online", 0.1)


class Loopback:
    """Owns the folder and the processes; prints the logs when a test fails."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.build = Build()
        self.programs: list[Program] = []
        self.settings = ""
        self.gateway: Program | None = None

    def __enter__(self) -> "Loopback":
        self.folder = Path(tempfile.mkdtemp(prefix=f"fleet-{self.title}-"))
        self.state = self.folder / "gateway"
        self.state.mkdir()
        self.agent_port, self.enroll_port, self.https_port = free_port(), free_port(), free_port()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for program in reversed(self.programs):
            try:
                program.stop()
            except AssertionError as stuck:
                progress(str(stuck))
        if error is not None:
            for log in sorted(self.folder.glob("*.log")):
                for line in log.read_text(errors="replace").splitlines()[-30:]:
                    progress(f"  {log.stem}: {line}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        env: dict[str, str] | None = None,
        output: Path | None = None,
        *,
        close_fds: bool = True,
    ) -> Program:
        program = Program(name, argv, self.folder / f"{name}.log", env, output, close_fds=close_fds)
        self.programs.append(program)
        return program

    def start_gateway(self, settings: str = "", env: dict[str, str] | None = None) -> Program:
        self.settings = settings
        config = self.folder / "gateway.conf"
        config.write_text(
            "[Gateway]\nName=localhost 127.0.0.1\n"
            f"AgentListen=127.0.0.1:{self.agent_port}\nEnrollListen=127.0.0.1:{self.enroll_port}\n"
            f"HttpListen=127.0.0.1:{self.https_port}\nHeartbeatIntervalSec=1\n{settings}\n"
        )
        argv = [str(self.build.program("fleet-gatewayd")), f"--config={config}"]
        argv.append(f"--state-directory={self.state}")
        self.gateway = self.spawn("gateway", argv, env)
        wait_for(self.healthy, 20, "the gateway to answer", 0.1)
        return self.gateway

    @staticmethod
    def run(argv: Sequence[str]) -> str:
        return str(execute(argv, timeout=60).stdout)

    def healthy(self) -> bool:
        assert self.gateway is not None and self.gateway.running, "the gateway ended"
        argv = ["curl", "-ksf", "--max-time", "2", f"https://localhost:{self.https_port}/readyz"]
        return execute(argv, check=False).returncode == 0

    @property
    def ca(self) -> Path:
        return self.state / "ca.pem"

    def ctl_environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "FLEET_GATEWAY": f"https://localhost:{self.https_port}",
            "FLEET_CA": str(self.ca),
            "FLEET_TOKEN_FILE": str(self.state / "admin.token"),
        }

    def ctl_command(self, *arguments: str) -> list[str]:
        return [str(self.build.program("fleet-gatewayctl")), *arguments]

    def ctl(self, *arguments: str, check: bool = True, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        return execute(self.ctl_command(*arguments), check=check, env=self.ctl_environment(), timeout=timeout)

    def agent(self, agent_id: str) -> dict[str, Any]:
        shown = self.ctl("agent", "show", agent_id, "-o", "json", check=False)
        return dict(json.loads(shown.stdout)) if shown.returncode == 0 else {}

    def token(self, uses: int = 1) -> str:
        return self.ctl("token", "create", "--uses", str(uses)).stdout.strip()

    def new_agent(self, name: str = "agent") -> Agent:
        return Agent(self, name)


def stays(predicate: Any, seconds: float, what: str) -> None:
    """The opposite of wait_for(): it must hold all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert predicate(), f"no longer so: {what}"
        time.sleep(0.1)

# SPDX-License-Identifier: Apache-2.0
"""A real gateway and a fleet of simulated agents in as many processes as descriptors ask for, measured from outside."""

import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from figures import Figures, cpu_seconds
from harness.wait import wait_for
from protocol.api import Api
from protocol.loopback import Loopback, Program
from protocol.simulation import LIMITS, Simulator, release

PER_PROCESS = 2500
GOAL = "1.1.0"
_PER_AGENT = {"gateway": 1.1, "simulator": 6.5}  # descriptors, at the most: while it updates
_MEMORY_PER_AGENT = 1 << 19


class Unable(Exception):
    """This machine cannot run the benchmark; the text says why."""


def _check_machine(agents: int) -> None:
    most = min(agents, PER_PROCESS)
    needed = max(agents * _PER_AGENT["gateway"], most * _PER_AGENT["simulator"]) + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise Unable(
            f"{agents} agents need {needed:.0f} descriptors in one process, and this shell may have {hard}:"
            " raise LimitNOFILE= or ulimit -Hn, or ask for fewer with --agents"
        )
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if free < agents * _MEMORY_PER_AGENT:
        raise Unable(
            f"{agents} agents and their gateway need {agents * _MEMORY_PER_AGENT >> 20} MiB of memory, and"
            f" {free >> 20} MiB are free: ask for fewer with --agents"
        )


def _use_memory(agents: int) -> None:
    """Agents sync to the disk; where there is memory for that it is not the disk that is measured."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.statvfs(memory).f_bavail * os.statvfs(memory).f_bsize > agents << 17:
        tempfile.tempdir = str(memory)


class Log:
    """What one simulator writes down of sessions and instructions, read on from where it was read last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def more(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self.offset += len(data)
        for line in data.splitlines():
            yield json.loads(line)


class Fleet:
    """Owns the gateway and the simulators; ends them."""

    def __init__(self, title: str, agents: int, settings: str = "HeartbeatIntervalSec=30\n") -> None:
        _check_machine(agents)
        _use_memory(agents)
        self.agents = agents
        self.settings = f"{settings}{LIMITS}AgentsMax={2 * agents}\n"
        self.loop = Loopback(title)
        self.sims: list[tuple[Simulator, int, int]] = []
        self.logs: list[Log] = []
        self.online: set[str] = set()

    def __enter__(self) -> "Fleet":
        self.loop.__enter__()
        try:
            self.start_gateway()
            self.repository = release(self.loop, GOAL)
            token = self.loop.folder / "join-token"
            token.write_text(self.loop.token(uses=self.agents))
            token.chmod(0o600)
        except BaseException as error:
            self.loop.__exit__(type(error), error, None)
            raise
        for first in range(0, self.agents, PER_PROCESS):
            sim = Simulator(self.loop, f"simulate-{first}")
            sim.reconnect = ""  # the agent's own patience
            self.sims.append((sim, first, min(PER_PROCESS, self.agents - first)))
            self.logs.append(Log(sim.log))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loop.__exit__(kind, error, trace)

    # ---- gateway ----

    @property
    def gateway(self) -> Program:
        assert self.loop.gateway is not None
        return self.loop.gateway

    def start_gateway(self) -> None:
        admin = f"AdminListen={self.loop.folder}/admin.sock\n"
        self.loop.start_gateway(admin + self.settings)

    def stop_gateway(self, *, kill: bool = False) -> None:
        self.gateway.stop(kill=kill)

    def restart_gateway(self) -> None:
        self.stop_gateway()
        self.start_gateway()

    def api(self) -> Api:
        return Api(self.loop)

    def peak_kib(self) -> int:
        status = Path(f"/proc/{self.gateway.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))

    # ---- agents ----

    def start(self, *options: str) -> None:
        """All at once."""
        for sim, first, n in self.sims:
            sim.start(n, "--connect-rate=0", "--quiet", *options, first=first)

    def enrol(self, *options: str) -> None:
        """One process after the other: this is not what is measured, and ten thousand that make keys at once on the
        processors of the gateway would only be in each other's way."""
        for sim, first, n in self.sims:
            sim.start(n, "--connect-rate=0", "--quiet", *options, first=first)
            self.wait_online(300 + n / 5, first + n)

    def stop(self) -> list[Figures]:
        return [sim.stop() for sim, _, _ in self.sims]

    def pids(self) -> list[int]:
        return [sim.program.process.pid for sim, _, _ in self.sims if sim.program and sim.program.running]

    def reports(self) -> list[Figures]:
        return [sim.report() for sim, _, _ in self.sims]

    def events(self) -> list[dict[str, Any]]:
        """New ones; sessions are followed on the way."""
        found = []
        for log in self.logs:
            for event in log.more():
                found.append(event)
                if event["event"] != "session":
                    continue
                (self.online.add if event["state"] == "begun" else self.online.discard)(event["agent"])
        return found

    def wait_online(self, timeout: float, agents: int = 0) -> list[dict[str, Any]]:
        """Until all, or so many, have a session; what happened meanwhile."""
        wanted = agents or self.agents
        seen: list[dict[str, Any]] = []

        def all_there() -> bool:
            assert self.gateway.running, "the gateway ended"
            assert all(sim.program is None or sim.program.running for sim, _, _ in self.sims), "a simulator ended"
            seen.extend(self.events())
            return len(self.online) == wanted

        try:
            wait_for(all_there, timeout, f"{wanted} agents to be online", 0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}; {len(self.online)} are online") from None
        return seen


class Stopwatch:
    """What passes on the clock and on the processors of both sides."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.gateway = fleet.gateway.process.pid
        self.started, self.real = time.monotonic(), time.time()
        self.before = cpu_seconds(self.gateway)
        self.agents = self._agents()

    def _agents(self) -> float:
        return sum(cpu_seconds(pid) for pid in self.fleet.pids())

    def stop(self) -> Figures:
        wall = time.monotonic() - self.started
        gateway = cpu_seconds(self.gateway) - self.before
        return {
            "seconds": round(wall, 2),
            "gateway_cpu_s": round(gateway, 2),
            "agents_cpu_s": round(self._agents() - self.agents, 2),
        }

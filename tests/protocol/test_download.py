# SPDX-License-Identifier: Apache-2.0
"""An instruction up to the hand-over, which needs a bus: the download, its interruptions, what is refused."""

import os
import signal
from pathlib import Path
from typing import Any

from harness.product import Repository
from harness.wait import wait_for

from .loopback import Agent, Loopback, stays


def _begin(loop: Loopback, *versions: str, settings: str = "") -> tuple[Agent, Repository]:
    loop.start_gateway()
    repository = Repository(loop.build, loop.folder / "repository")
    for version in versions:
        repository.release(version, files=_files(loop))
    loop.ctl("release", "import", str(repository.folder))
    agent = loop.new_agent()
    (agent.folder / "agent.conf.d").mkdir()
    (agent.folder / "agent.conf.d" / "test.conf").write_text(settings)
    agent.start(loop.token())
    agent.wait_online()
    return agent, repository


def _files(loop: Loopback) -> tuple[Path, Path]:
    """Large enough that a download can be interrupted; nobody runs them here."""
    agent, updater = loop.folder / "release-agent", loop.folder / "release-updater"
    agent.write_bytes(os.urandom(12 << 20))
    updater.write_bytes(os.urandom(1 << 20))
    return agent, updater


def _finished(agent: Agent, version: str, timeout: float = 30) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        for update in agent.seen().get("updates", []):
            if update["version"] == version and update["terminal"]:
                return dict(update)
        return None

    return wait_for(ended, timeout, f"the update to {version} to end", 0.1)


def _parts(agent: Agent) -> list[Path]:
    return sorted((agent.state / "downloads").glob("*.part"))


def _downloaded(agent: Agent) -> int:
    return sum(p.stat().st_size for p in _parts(agent))


def whole_path_to_the_updater() -> None:
    """Everything is fetched and verified; without a bus it ends there, with a reason."""
    with Loopback("fetch") as loop:
        agent, _ = _begin(loop, "1.1.0")
        loop.ctl("update", agent.id, "--version", "1.1.0")
        update = _finished(agent, "1.1.0")
        assert update["phase"] == "failed" and update["failed_phase"] == "staging", update
        assert "bus" in update["message"], update
        assert agent.program is not None and agent.program.running
        assert not list((agent.state / "downloads").iterdir()), "downloads were left behind"


def killed_in_the_middle() -> None:
    """The agent dies while it downloads; the next one goes on with the file and the instruction."""
    with Loopback("resume") as loop:
        agent, _ = _begin(loop, "1.1.0", settings="[Update]\nSpeedLimit=1M\n")
        loop.ctl("update", agent.id, "--version", "1.1.0")
        wait_for(lambda: _downloaded(agent) > 1_500_000, 20, "something to be downloaded", 0.05)
        assert agent.program is not None
        os.kill(agent.program.process.pid, signal.SIGKILL)
        agent.program.process.wait(5)
        kept = _downloaded(agent)
        assert kept > 1_000_000
        (agent.folder / "agent.conf.d" / "test.conf").write_text("")
        agent.start()
        agent.wait_online()
        update = _finished(agent, "1.1.0")
        assert update["failed_phase"] == "staging", update
        assert "Going on with the update" in agent.program.output()
        assert len(agent.seen()["updates"]) == 1, "the instruction was given twice"


def gateway_killed_in_the_middle() -> None:
    """The download is continued when the gateway is back, and nothing is begun twice."""
    with Loopback("torn") as loop:
        agent, _ = _begin(loop, "1.1.0", settings="[Update]\nSpeedLimit=2M\n")
        loop.ctl("update", agent.id, "--version", "1.1.0")
        wait_for(lambda: _downloaded(agent) > 1_500_000, 20, "something to be downloaded", 0.05)
        assert loop.gateway is not None and agent.program is not None
        loop.gateway.stop(kill=True)
        loop.start_gateway()
        update = _finished(agent, "1.1.0")
        assert update["failed_phase"] == "staging", update
        output = agent.program.output()
        assert output.count("The gateway asks for version 1.1.0") == 1, output
        assert "interrupted at" in output, output


def tampered_target() -> None:
    """What arrives is not what was signed: refused, not kept."""
    with Loopback("tamper") as loop:
        agent, _ = _begin(loop, "1.1.0")
        served = [p for p in loop.state.rglob("*.agent") if "1.1.0" in str(p)]
        assert served, "the gateway keeps its targets somewhere else"
        for path in served:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.chmod(0o644)
            path.write_bytes(data)
        loop.ctl("update", agent.id, "--version", "1.1.0")
        update = _finished(agent, "1.1.0")
        assert update["verdict"] == "verification-failed", update
        assert not list((agent.state / "downloads").iterdir()), "the tampered file was kept"
        assert agent.program is not None and agent.program.running


def final_status_survives() -> None:
    """Gateway and agent are both killed in the moment in which the update ends: it has ended, and only once."""
    with Loopback("final") as loop:
        agent, _ = _begin(loop, "1.1.0")
        loop.ctl("update", agent.id, "--version", "1.1.0")
        assert loop.gateway is not None and agent.program is not None
        program = agent.program
        wait_for(lambda: "ended as failed" in program.output(), 30, "the update to end", 0.001)
        loop.gateway.stop(kill=True)
        os.kill(program.process.pid, signal.SIGKILL)
        program.process.wait(5)
        assert list((agent.state / "outbox").glob("*.final")), "the final status is not on disk"
        loop.start_gateway()
        agent.start()
        agent.wait_online()
        update = _finished(agent, "1.1.0", 15)
        assert update["phase"] == "failed" and update["failed_phase"] == "staging", update
        stays(lambda: len(agent.seen()["updates"]) == 1, 1, "one instruction")


TESTS = [
    whole_path_to_the_updater,
    killed_in_the_middle,
    gateway_killed_in_the_middle,
    tampered_target,
    final_status_survives,
]

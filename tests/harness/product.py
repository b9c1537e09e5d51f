# SPDX-License-Identifier: Apache-2.0
"""What is tested: built programs, a signed repository, a gateway, and agents on machines."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .command import execute
from .container import Container
from .process import Process
from .run import Run
from .state import locked
from .wait import wait_for

SOURCE = Path(__file__).resolve().parents[2]

# Machines are installed from several threads at once.
_strip_lock = threading.Lock()
_install_lock = threading.Lock()

# What a package's script does after its files are in place.
_ACTIVATE = (
    ["systemd-sysusers"],
    ["systemd-tmpfiles", "--create"],
    ["journalctl", "--update-catalog"],
    ["systemctl", "daemon-reload"],
    ["systemctl", "reload", "dbus.service"],
    ["/opt/fleet-agent/package/updater", "adopt"],
)
_START = ["systemctl", "enable", "--now", "--quiet", "fleet-agent-recover.service"]
_START += ["fleet-agent.socket", "fleet-agent.service"]


class Build:
    """A build directory made by tools/build."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(os.environ.get("FLEET_TEST_BUILD", SOURCE / "build"))
        if not (self.folder / "trust").is_dir():
            raise SystemExit(f"{self.folder} is not built; run tools/build")

    def program(self, name: str) -> Path:
        place = {
            "fleet-release": "release",
            "fleet-gatewayd": "gateway",
            "fleet-gatewayctl": "ctl",
            "fleet-agentctl": "ctl",
            "fleet-simulate": "simulate",
        }
        return self.folder / "src" / place[name] / name

    def payload(self, version: str) -> tuple[Path, Path]:
        """Agent and updater of a version of src/payloads/meson.build, stripped as in a release."""
        folder = self.folder / "src" / "payloads"
        return (
            self._stripped(folder / f"agent-{version}"),
            self._stripped(folder / f"updater-{version}"),
        )

    def _stripped(self, program: Path) -> Path:
        target = self.folder / "stripped" / program.name
        with _strip_lock:
            if not target.exists() or target.stat().st_mtime < program.stat().st_mtime:
                target.parent.mkdir(exist_ok=True)
                partial = target.with_name(f"{target.name}.{os.getpid()}")
                execute(["strip", "-o", str(partial), str(program)])
                partial.rename(target)
        return target

    @property
    def console(self) -> Path:
        """Is there unless it was left out (-Dconsole=false)."""
        return self.folder / "ui" / "console"

    @property
    def key(self) -> Path:
        return self.folder / "trust" / "key"

    def machine_files(self, run: Run) -> Path:
        """An installation tree as a package would have it, made once per run."""
        tree = run.folder / "machine-files"
        with _install_lock:
            if not tree.exists():
                # Another run with the same build may be doing the same.
                with locked(self.folder / "machine-files.lock", 300, "installing the build"):
                    execute(
                        ["meson", "install", "-C", str(self.folder), "--no-rebuild", "--quiet"],
                        env={**os.environ, "DESTDIR": str(tree)},
                        timeout=120,
                    )
            return tree


class Repository:
    """A signed repository of its own; all of them share the root that the binaries carry."""

    def __init__(self, build: Build, folder: Path) -> None:
        self.build = build
        self.folder = folder
        shutil.copytree(build.folder / "trust" / "repo", folder)

    def tool(self, *arguments: str | Path) -> str:
        release = self.build.program("fleet-release")
        argv = [str(release), "--repo", str(self.folder), *map(str, arguments)]
        return execute(argv).stdout

    def add(
        self,
        version: str,
        files: Sequence[Path] | None = None,
        *,
        arch: str = os.uname().machine,
        options: Sequence[str] = (),
    ) -> None:
        """Puts a release in; files other than the version's own payload are named by content."""
        agent, updater = files or self.build.payload(version)
        staging = self.folder.parent / f"{self.folder.name}-files-{version}"
        staging.mkdir(exist_ok=True)
        shutil.copy(agent, staging / "agent")
        shutil.copy(updater, staging / "updater")
        self.tool(
            "add", staging / "agent", staging / "updater",
            "--version", version, "--arch", arch, "--os", "linux", *options,
        )  # fmt: skip

    def sign(self) -> None:
        self.tool("sign", "targets", "--yes", "--key", self.build.key)

    def publish(self) -> None:
        self.tool("publish", "--yes", "--key", self.build.key)

    def release(self, version: str, **how: Any) -> None:
        self.add(version, **how)
        self.sign()
        self.publish()


@dataclass
class Gateway:
    """fleet-gatewayd on the gateway's side of the network.

    All gateways of a run share one address; those after the first listen on other ports.
    """

    run: Run
    build: Build
    name: str = "gateway"
    settings: str = ""
    number: int = 0
    process: Process | None = None

    def __post_init__(self) -> None:
        self.state = self.run.folder / f"{self.name}-state"
        self.state.mkdir(exist_ok=True)
        self.config = self.run.folder / f"{self.name}.conf"
        self.address = self.run.gateway_address
        self.agent_port = 7443 + 10 * self.number
        self.enroll_port = 7444 + 10 * self.number
        self.https_port = 8443 + 10 * self.number

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.https_port}"

    def start(self) -> None:
        """Starts it on what an earlier start has left, if anything."""
        lines = ["[Gateway]", f"Name=gateway {self.address} localhost", "HeartbeatIntervalSec=2"]
        if self.build.console.is_dir():
            lines += [f"ConsoleDirectory={self.build.console}"]
        lines += [f"AgentListen={self.address}:{self.agent_port}"]
        lines += [f"EnrollListen={self.address}:{self.enroll_port}"]
        lines += [f"HttpListen={self.address}:{self.https_port}", self.settings]
        self.config.write_text("\n".join(lines) + "\n")
        argv = [str(self.build.program("fleet-gatewayd")), f"--config={self.config}"]
        argv.append(f"--state-directory={self.state}")
        self.process = self.run.spawn(argv, name=self.name)
        wait_for(self._answers, 20, "the gateway to answer")

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.returncode is not None:
            raise AssertionError(f"the gateway ended:\n{self.process.output()[-2000:]}")
        argv = ["curl", "-ksf", "--max-time", "2", f"{self.url}/readyz"]
        return self.inside(argv, check=False).returncode == 0

    def stop(self, *, kill: bool = False) -> None:
        """Without kill it has to end by itself, and well."""
        assert self.process is not None
        process, self.process = self.process, None
        if kill:
            process.signal(signal.SIGKILL)
        process.stop()
        ended = process.returncode
        assert kill or ended == 0, f"{self.name} ended with {ended}:\n{process.output()[-2000:]}"

    def inside(self, argv: Sequence[str], *, check: bool = True, timeout: float = 60) -> Any:
        """A command on the gateway's side of the network."""
        enter = ["nsenter", f"--net=/run/netns/{self.run.gateway_namespace}", "--"]
        return execute([*enter, *argv], check=check, timeout=timeout, env=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "FLEET_GATEWAY": self.url,
            "FLEET_CA": str(self.state / "ca.pem"),
            "FLEET_TOKEN_FILE": str(self.state / "admin.token"),
        }

    def ctl(self, *arguments: str | Path, check: bool = True, timeout: float = 60) -> Any:
        argv = [str(self.build.program("fleet-gatewayctl")), *map(str, arguments)]
        return self.inside(argv, check=check, timeout=timeout)

    def ctl_json(self, *arguments: str | Path) -> Any:
        return json.loads(self.ctl(*arguments, "-o", "json").stdout)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One call of docs/openapi.yaml; the decoded answer. An error is a CommandError."""
        token = (self.state / "admin.token").read_text().strip()
        argv = ["curl", "-sS", "--fail-with-body", "--max-time", "20", "--request", method]
        argv += [
            "--cacert",
            str(self.state / "ca.pem"),
            "--header",
            f"Authorization: Bearer {token}",
        ]
        if body is not None:
            argv += ["--header", "Content-Type: application/json", "--data", json.dumps(body)]
        text = self.inside([*argv, f"{self.url}/api/v1{path}"]).stdout
        return json.loads(text) if text else None

    def import_releases(self, repository: Repository) -> None:
        self.ctl("release", "import", repository.folder)

    def join_token(self, uses: int = 1, *labels: str) -> str:
        more = [part for label in labels for part in ("--label", label)]
        return str(self.ctl("token", "create", "--uses", str(uses), *more).stdout).strip()

    def agent(self, agent_id: str) -> dict[str, Any]:
        shown = self.ctl("agent", "show", agent_id, "-o", "json", check=False)
        return dict(json.loads(shown.stdout)) if shown.returncode == 0 else {}

    def updates(self, agent_id: str) -> list[dict[str, Any]]:
        """The instructions of one agent, newest first."""
        return list(self.agent(agent_id).get("updates", []))


class Machine:
    """A container with the agent installed as a package would do it."""

    def __init__(self, container: Container, gateway: Gateway) -> None:
        self.container = container
        self.gateway = gateway
        self.build = gateway.build
        self.name = container.name

    def install(
        self,
        token: str,
        version: str = "1.0.0",
        *,
        agent_settings: str = "",
        updater_settings: str = "",
    ) -> None:
        """Puts files in place and starts; the container is up."""
        box = self.container
        files = self.build.machine_files(self.gateway.run)
        for part in ("usr", "opt", "etc"):
            source = files / part
            if source.is_dir():
                execute(["cp", "-a", f"{source}/.", str(box.path(f"/{part}"))])
        agent, updater = self.build.payload(version)
        box.copy_in(agent, "/opt/fleet-agent/package/agent", 0o755)
        box.copy_in(updater, "/opt/fleet-agent/package/updater", 0o755)
        box.write_file("/opt/fleet-agent/package/VERSION", f"{version}\n")
        box.write_file(
            "/etc/fleet-agent/agent.conf",
            f"[Gateway]\nAddress=gateway:{self.gateway.agent_port}\n"
            f"EnrollAddress=gateway:{self.gateway.enroll_port}\n"
            f"Url=https://gateway:{self.gateway.https_port}\n"
            f"ReconnectMinSec=200ms\nReconnectMaxSec=2\n{agent_settings}\n",
        )
        box.write_file("/etc/fleet-agent/updater.conf", f"[Updater]\n{updater_settings}")
        box.path("/etc/credstore").mkdir(mode=0o700, exist_ok=True)
        box.write_file("/etc/credstore/fleet-agent.join-token", token, mode=0o600)
        for argv in _ACTIVATE:
            box.run(argv)
        box.run(_START)

    def wait_online(self, version: str = "1.0.0", timeout: float = 30) -> None:
        def online() -> bool:
            shown = self.gateway.agent(self.agent_id)
            return shown.get("state") == "online" and shown.get("version") == version

        wait_for(online, timeout, f"{self.name} to be online with {version}", 0.2)

    @cached_property
    def agent_id(self) -> str:
        def known() -> str:
            return str(self.status().get("agent", {}).get("id", ""))

        return wait_for(known, 30, f"{self.name} to know its id", 0.2)

    def status(self) -> dict[str, Any]:
        shown = self.container.run(["fleet-agentctl", "status", "--json=short"], check=False)
        try:
            return dict(json.loads(shown.stdout))
        except ValueError:
            return {}

    def link(self, name: str) -> str:
        """The version that current or good points at."""
        return os.readlink(self.container.path(f"/opt/fleet-agent/bin/{name}")).removeprefix("v")

    def versions(self) -> list[str]:
        entries = os.listdir(self.container.path("/opt/fleet-agent/bin"))
        return sorted(e[1:] for e in entries if e.startswith("v"))

    def wait_links(self, current: str, good: str, timeout: float = 60) -> None:
        def links() -> tuple[str, str]:
            return self.link("current"), self.link("good")

        wait_for(
            lambda: links() == (current, good),
            timeout,
            f"{self.name}: current={current} good={good}",
            0.1,
        )

    def main_pid(self) -> str:
        return self.container.show("fleet-agent.service", "MainPID")

    def update(self, version: str, *, retry: bool = False) -> None:
        more = ["--retry"] if retry else []
        self.gateway.ctl("update", self.agent_id, "--version", version, *more)

    def wait_finished(self, version: str, phase: str, timeout: float = 60) -> dict[str, Any]:
        """Waits until the gateway has a terminal state of the newest update to this version."""

        def finished() -> dict[str, Any] | None:
            for update in self.gateway.updates(self.agent_id):
                if update["version"] == version:
                    return update if update["terminal"] else None
            return None

        what = f"{self.name}: the update to {version} to end as {phase}"
        update = wait_for(finished, timeout, what, 0.2)
        assert update["phase"] == phase, f"{what}: {update}"
        return update

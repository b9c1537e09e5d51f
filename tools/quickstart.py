#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration behind tools/quickstart, which builds first."""

import argparse
import json
import os
import signal
import ssl
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import Run, wait_for  # noqa: E402
from harness.process import Process  # noqa: E402
from harness.product import Build, Gateway, Machine, Repository  # noqa: E402
from harness.relay import Relay  # noqa: E402

# The machines go back within three minutes; nobody wants to watch that long twice.
_UPDATER_SETTINGS = "ConfirmTimeoutSec=25\nSoakSec=3\n"
_WANTED = ("Downloading", "Verifying", "Restarting", "Back Online")

# Machines that are played, so that the console has something to show, and how the rollout to watch goes about them.
_SIMULATED = 60
_SIMULATED_HOW = (
    "--time=staging:1s..3s",
    "--time=restarting:1s..4s",
    "--time=confirming:3s",
    "--fail=staging:3%",
    "--offline=3%:2min",
)
_ROLLOUT = {
    "canary": {"count": 5, "soak_sec": 15},
    "batch": {"size": 5, "every_sec": 20, "success_percent": 60},
    "max_failures": {"percent": 20},
}
_CONSOLE_PORT = 8443


class Watch:
    """Follows the gateway's events and prints each machine's phases as they come."""

    def __init__(self, run: Run, gateway: Gateway) -> None:
        self._names: dict[str, str] = {}
        self.phases: dict[tuple[str, str], list[str]] = {}
        self._process: Process = run.spawn(
            [str(gateway.build.program("fleet-gatewayctl")), "watch", "-o", "json"],
            name="watch",
            env=gateway.environment,
        )
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def name(self, agent_id: str, name: str) -> None:
        self._names[agent_id] = name

    def close(self) -> None:
        self._done.set()
        self._thread.join(5)

    def _follow(self) -> None:
        with self._process.log.open() as log:
            rest = ""
            while not self._done.is_set():
                rest += log.read()
                while "\n" in rest:
                    line, rest = rest.split("\n", 1)
                    self._show(line)
                time.sleep(0.05)

    def _show(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return
        update = event.get("data", event)
        if "phase" not in update:
            return
        machine = self._names.get(update["agent"])
        if machine is None:  # one that is played
            return
        seen = self.phases.setdefault((machine, update["version"]), [])
        title = update["title"]
        done, total = update.get("bytes_done"), update.get("bytes_total")
        if title in seen:
            return
        seen.append(title)
        more = f" {total / 1e6:.1f} MB" if title == "Downloading" and done is not None and total else ""
        if update.get("terminal") and update["phase"] != "succeeded":
            more = f": {update.get('verdict_text') or update.get('verdict', '')}"
        say(f"  {machine:<8} {update.get('from_version', '?')} -> {update['version']}   {title}{more}")


def say(text: str = "") -> None:
    print(text, flush=True)


def headline(text: str) -> None:
    say()
    say(f"== {text}")


class Demonstration:
    def __init__(self, run: Run, agents: int) -> None:
        self.run = run
        self.build = Build()
        self.repository = Repository(self.build, run.folder / "repository")
        self.gateway = Gateway(run, self.build)
        self.machines: list[Machine] = []
        self.agents = agents
        self.results: list[tuple[bool, str]] = []
        self.watch: Watch | None = None
        self.relay: Relay | None = None

    def check(self, ok: bool, what: str) -> None:
        self.results.append((ok, what))
        say(f"  {'ok' if ok else 'NOT SO'}: {what}")

    def start_gateway(self) -> None:
        headline("A signed repository with v1.0.0, and a gateway that verified and imported it")
        self.repository.release("1.0.0")
        self.gateway.start()
        self.gateway.import_releases(self.repository)
        say(self.gateway.ctl("release", "list").stdout.rstrip())

    def start_machines(self) -> None:
        headline(f"{self.agents} machines with a real systemd; the agent is installed and enrols")
        boxes = [self.run.container(f"node{i + 1}") for i in range(self.agents)]
        self.run.boot_all(*boxes)
        token = self.gateway.join_token(uses=self.agents)
        self.watch = Watch(self.run, self.gateway)
        for box in boxes:
            machine = Machine(box, self.gateway)
            machine.install(token, updater_settings=_UPDATER_SETTINGS)
            self.machines.append(machine)
        for machine in self.machines:
            machine.wait_online()
            self.watch.name(machine.agent_id, machine.name)
        self.show_agents()
        self.check(True, f"{self.agents} agents enrolled, v1.0.0 online")

    def show_agents(self) -> None:
        # those that are played have a label
        say(self.gateway.ctl("agent", "list", "--selector", "!env").stdout.rstrip())

    def order(self, version: str) -> None:
        self.repository.release(version)
        self.gateway.import_releases(self.repository)
        self.gateway.ctl("update", "--all", "--yes", "--version", version)

    def finish(self, version: str, timeout: float) -> list[dict[str, Any]]:
        def ended() -> list[dict[str, Any]]:
            found = []
            for machine in self.machines:
                newest = next(
                    (u for u in self.gateway.updates(machine.agent_id) if u["version"] == version), None
                )
                if newest and newest["terminal"]:
                    found.append(newest)
            return found if len(found) == len(self.machines) else []

        return wait_for(ended, timeout, f"every machine to finish {version}", 0.3)

    def good_update(self) -> None:
        headline("v1.1.0 is signed and imported; all machines are told to update")
        self.order("1.1.0")
        ended = self.finish("1.1.0", 120)
        for machine in self.machines:
            machine.wait_online("1.1.0")
        assert self.watch is not None
        time.sleep(0.3)  # the last events may still be on their way to the watch
        for machine in self.machines:
            seen = self.watch.phases.get((machine.name, "1.1.0"), [])
            path = [title for title in seen if title in _WANTED]
            self.check(path == list(_WANTED), f"{machine.name}: {' -> '.join(path)}")
        self.check(
            all(u["phase"] == "succeeded" for u in ended)
            and all(m.link("current") == m.link("good") == "1.1.0" for m in self.machines),
            "every machine runs v1.1.0 and has committed it",
        )

    def bad_update(self, version: str, what: str, verdict: str) -> None:
        headline(f"v{version} {what}; every machine goes back by itself")
        self.order(version)
        ended = self.finish(version, 180)
        for machine in self.machines:
            machine.wait_online("1.1.0")
        self.check(
            all(u["phase"] == "rolled-back" and u["verdict"] == verdict for u in ended)
            and all(m.link("current") == m.link("good") == "1.1.0" for m in self.machines),
            f"every machine is back at v1.1.0, verdict {verdict}",
        )

    def simulated(self) -> None:
        headline(f"{_SIMULATED} simulated agents join, and v1.1.0 is rolled out to them: canaries first")
        # what all were told to run is not for those that come now
        for desired in self.gateway.api("GET", "/desired")["desired"]:
            self.gateway.api("DELETE", f"/desired/{desired['id']}")
        config = self.run.folder / "simulate.conf"
        config.write_text(
            f"[Gateway]\nAddress={self.gateway.address}:{self.gateway.agent_port}\n"
            f"EnrollAddress={self.gateway.address}:{self.gateway.enroll_port}\nUrl={self.gateway.url}\n"
        )
        token = self.run.folder / "simulate.token"
        token.touch(0o600)
        token.write_text(self.gateway.join_token(_SIMULATED, "env=simulated"))
        argv = [str(self.build.program("fleet-simulate")), f"--config={config}"]
        argv += [f"--state-directory={self.run.folder / 'simulated'}", f"--join-token-file={token}"]
        argv += [f"--agents={_SIMULATED}", "--agent-version=1.0.0", *_SIMULATED_HOW]
        self.run.spawn(argv, name="simulate")
        wait_for(self._simulated_joined, 60, "the simulated agents to join", 0.5)
        target = {"selector": "env=simulated"}
        body = {"version": "1.1.0", "target": target, "strategy": _ROLLOUT, "description": "Watch me"}
        self.rollout = self.gateway.api("POST", "/rollouts", body)["id"]
        wait_for(self._rollout_moves, 60, "the first canary", 0.5)
        self.check(True, f"rollout {self.rollout} of v1.1.0 is under way on simulated agents")

    def _simulated_joined(self) -> bool:
        summary = self.gateway.api("GET", "/agents/summary?selector=env%3Dsimulated")
        # some of them are away at times
        return bool(summary["total"] == _SIMULATED and summary["states"]["online"] >= _SIMULATED * 0.8)

    def _rollout_moves(self) -> bool:
        return bool(self.gateway.api("GET", f"/rollouts/{self.rollout}")["counts"]["succeeded"])

    def console(self) -> None:
        headline("The console")
        if not self.build.console.is_dir():
            say("  It was left out of this build (-Dconsole=false).")
            return
        target = (self.gateway.address, self.gateway.https_port)
        self.relay = Relay(self.run.gateway_namespace, target, _CONSOLE_PORT)
        self.url = f"https://localhost:{self.relay.port}"
        context = ssl.create_default_context(cafile=str(self.gateway.state / "ca.pem"))
        with urllib.request.urlopen(self.url, context=context, timeout=10) as answer:
            page = answer.read().decode()
        self.check(answer.status == 200 and '<div id="app">' in page, f"{self.url} answers")

    def summary(self) -> bool:
        headline("Summary")
        self.show_agents()
        say()
        for ok, what in self.results:
            say(f"  {'ok    ' if ok else 'NOT SO'}  {what}")
        return all(ok for ok, _ in self.results)

    def stay(self) -> None:
        control = self.build.program("fleet-gatewayctl")
        env = " ".join(
            f"{k}={v}" for k, v in self.gateway.environment.items() if k.startswith("FLEET_")
        )
        say()
        say("Everything stays up until Ctrl-C. In another terminal, for example:")
        say(f"  nsenter --net=/run/netns/{self.run.gateway_namespace} env {env} {control} agent list")
        if self.relay:
            code = (self.gateway.state / "setup-code").read_text().strip()
            say()
            say("Or in a browser; its certificate is of this gateway's own authority, so the browser will ask:")
            say()
            say(f"  {self.url}/rollouts/{self.rollout}")
            say(f"  one-time code for the first user: {code}")
            say()
            say(f"{self.agents} real and {_SIMULATED} simulated agents are on it, and a rollout that takes some minutes.")
            say(f"From elsewhere: ssh -L {self.relay.port}:localhost:{self.relay.port} here first.")
        signal.pause()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/quickstart",
        description="Shows fleet-agent on this machine: gateway, containers, updates, going back.",
    )
    parser.add_argument("--agents", type=int, default=3, metavar="N", help="machines (default 3)")
    parser.add_argument(
        "--once", action="store_true", help="end after the summary; status 0 only if all happened"
    )
    options = parser.parse_args()
    if not 1 <= options.agents <= 30:
        parser.error("--agents takes 1 to 30")

    started = time.monotonic()
    try:
        with Run("quickstart") as run:
            demonstration = Demonstration(run, options.agents)
            demonstration.start_gateway()
            demonstration.start_machines()
            demonstration.good_update()
            demonstration.bad_update("1.2.0", "cannot start", "crashed")
            demonstration.bad_update("1.3.0", "starts, but never reaches the gateway", "not-connected")
            demonstration.simulated()
            demonstration.console()
            ok = demonstration.summary()
            run.failed = not ok
            say(f"\n{time.monotonic() - started:.0f} s, without building.")
            if not options.once:
                demonstration.stay()
            if demonstration.watch:
                demonstration.watch.close()
            if demonstration.relay:
                demonstration.relay.close()
    except KeyboardInterrupt:
        say("\nquickstart: interrupted; everything is taken down")
        return 130 if options.once else 0
    return 0 if ok else 1


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())

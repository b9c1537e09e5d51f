# SPDX-License-Identifier: Apache-2.0
"""Rollouts by the command line, with the real gateway and simulated agents: what operators type, see, and get as an exit
status. (Options, forms of output and broken connections: src/ctl/test-gatewayctl-rollout.py.)"""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from typing import Any

from harness.wait import wait_for

from .loopback import Loopback
from .simulation import FAST, LIMITS, Simulator, release

GOAL = "1.1.0"
QUICK = ("--canary-soak=0", "--retry-pause=1s")


class Terminal:
    """fleet-gatewayctl on a terminal of its own, and what is to be seen on it."""

    def __init__(self, loop: Loopback, *arguments: str) -> None:
        argv = loop.ctl_command(*arguments)
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.execve(argv[0], argv, loop.ctl_environment() | {"TERM": "xterm"})
        self.text = ""
        self.status: int | None = None

    def _read(self) -> None:
        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 10000)
            except OSError:
                return
            if not data:
                return
            self.text += data.decode()

    def wait_text(self, text: str, timeout: float) -> None:
        def there() -> bool:
            self._read()
            return text in self.text

        wait_for(there, timeout, f"{text!r} on the terminal", 0.02)

    def write(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait_end(self, timeout: float) -> int:
        def ended() -> bool:
            self._read()
            pid, status = os.waitpid(self.child, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            return bool(pid)

        try:
            wait_for(ended, timeout, "the command to end", 0.05)
        finally:
            if self.status is None:
                os.kill(self.child, signal.SIGKILL)
                os.waitpid(self.child, 0)
            self._read()
            os.close(self.fd)
        assert self.status is not None
        return self.status


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


def _shown(loop: Loopback, rollout: int) -> Any:
    return json.loads(loop.ctl("rollout", "show", str(rollout), "-o", "json").stdout)


def _members(loop: Loopback, rollout: int, *filters: str) -> list[dict[str, Any]]:
    shown = loop.ctl("rollout", "members", str(rollout), "-o", "json", *filters).stdout
    return list(json.loads(shown)["members"])


def as_in_the_manual() -> None:
    """The example, word for word, on a terminal: the plan, the question, the block that moves, and the end of it."""
    line = (
        f"rollout create --release {GOAL} -l fact.os=ubuntu --canary 2 --batch 5 --every 2s --max-failures 20% --wait"
    )
    with Loopback("ctl-rollout") as loop:
        loop.start_gateway(LIMITS)
        release(loop, GOAL)
        sim = Simulator(loop)
        sim.start(40, *FAST)
        sim.wait_online(40)
        ubuntu = set(loop.ctl("agent", "list", "-l", "fact.os=ubuntu", "-o", "name").stdout.split())
        assert 7 < len(ubuntu) < 40
        plan = json.loads(loop.ctl(*line.split(), "--dry-run", "-o", "json").stdout)
        assert plan["cohort"] == len(ubuntu) and not json.loads(loop.ctl("rollout", "list", "-o", "json").stdout)["total"]

        started = time.monotonic()
        terminal = Terminal(loop, *line.split())
        terminal.wait_text("[y/N]", 20)
        asked = _plain(terminal.text)
        assert f"{len(ubuntu)} of the {len(ubuntu)} that match (fact.os=ubuntu)" in asked, asked
        assert all(c["agent"] in asked for c in plan["canaries"]) and "Ends " in asked, asked
        terminal.write("y\n")
        terminal.wait_text("watched for a while", 20)   # the canaries are done, and soak for the minute that is the default
        assert 2 <= _shown(loop, 1)["counts"]["succeeded"] <= 2
        assert terminal.wait_end(120) == 0, terminal.text[-2000:]
        took = time.monotonic() - started
        assert took > 60, f"the canaries were not watched: {took:.0f} s"
        text = _plain(terminal.text)
        assert f"Rollout 1 is completed: {len(ubuntu)} of {len(ubuntu)} updated." in text, text[-2000:]
        assert "\x1b[5F" in terminal.text and "Next: it goes on, if all is well, in " in text and "canaries" in text

        updated = loop.ctl("agent", "list", f"--version-is={GOAL}", "-o", "name").stdout.split()
        assert set(updated) == ubuntu
        members = _members(loop, 1)
        assert {m["agent"] for m in members if m["canary"]} == {c["agent"] for c in plan["canaries"]}
        sizes = [b["admitted"] for b in _shown(loop, 1)["batches"]]
        assert sizes[0] == 2 and max(sizes[1:]) <= 5 and sum(sizes) == len(ubuntu), sizes
        # the same again has nobody left
        again = loop.ctl(*line.split(), "--yes", check=False)
        assert again.returncode == 5 and "up-to-date" in again.stderr, again


def a_bad_release_stops() -> None:
    """It fails everywhere: 7, also for who watches; who failed and why; resumed, retried, aborted."""
    with Loopback("ctl-bad") as loop:
        loop.start_gateway(LIMITS)
        release(loop, GOAL)
        sim = Simulator(loop)
        sim.start(20, "--fail=staging:100%", *FAST)
        sim.wait_online(20)
        strategy = ("--canary=4", "--batch=4", "--every=1s", "--max-failures=1", "--canary-success=0%", *QUICK)
        made = loop.ctl("rollout", "create", "--release", GOAL, "--all", *strategy, "--yes", "--wait", "--timeout=60", check=False, timeout=90)
        assert made.returncode == 7, made
        assert "Rollout 1 is paused, by itself: 0 of 20 updated, " in made.stdout and "self-test-failed" in made.stderr, made
        assert loop.ctl("rollout", "watch", "1", check=False).returncode == 7
        assert loop.ctl("rollout", "list", "--active", "--state=paused", "-o", "name").stdout == "1\n"

        # as the journal's catalog says
        failed = _members(loop, 1, "--state=failed")
        assert len(failed) == 4 and {m["reason"] for m in failed} == {"self-test-failed"}, failed
        assert _members(loop, 1, "--state=failed,pending", "--reason=self-test-failed", "--batch=0") == failed
        text = loop.ctl("rollout", "show", "1").stdout
        assert "State: paused" in text and "FAILED" in text and "self-test-failed" in text, text
        assert loop.ctl("rollout", "approve", "1", check=False).returncode == 5
        assert loop.ctl("rollout", "resume", "1", "--why=they were old", "--wait", "--timeout=60", check=False, timeout=90).returncode == 7
        assert loop.ctl("rollout", "retry-failed", "1", "--wait", check=False).returncode == 7     # still paused: nobody resumed it
        aborted = loop.ctl("rollout", "abort", "1", "--wait", "--timeout=60", timeout=90)
        assert "Rollout 1 is aborted" in aborted.stdout, aborted
        assert _shown(loop, 1)["counts"]["cancelled"] > 0 and loop.ctl("rollout", "watch", "1", check=False).returncode == 7
        assert "they were old" in loop.ctl("audit", "list", "--action=rollout.resume", "-o", "json").stdout
        assert loop.ctl("rollout", "resume", "1", check=False).returncode == 5
        assert loop.ctl("rollout", "show", "2", check=False).returncode == 3


def steered_while_watched() -> None:
    """Approval, pause, an interrupted wait, a watch that outlives the gateway; then the way back."""
    with Loopback("ctl-steer") as loop:
        loop.start_gateway(LIMITS)
        release(loop, GOAL)
        sim = Simulator(loop)
        sim.start(24, *FAST)
        sim.wait_online(24)
        strategy = ("--canary=2", "--canary-approval", "--batch=3", "--every=2s", "--offline=skip", *QUICK)
        made = loop.ctl("rollout", "create", "--release", GOAL, "--all", *strategy, "--yes", "-o", "name").stdout.strip()
        assert made == "1"
        argv = loop.ctl_command("rollout", "watch", "1", "-o", "json", "--timeout=180")
        watch = subprocess.Popen(argv, env=loop.ctl_environment(), stdout=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: _shown(loop, 1)["reason"] == "awaiting-approval", 30, "the canaries to be done", 0.2)
            assert "rollout approve 1" in loop.ctl("rollout", "show", "1").stdout

            argv = loop.ctl_command("rollout", "approve", "1", "--wait")
            waiting = subprocess.Popen(argv, env=loop.ctl_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            wait_for(lambda: _shown(loop, 1)["batch"] >= 2, 30, "the second batch", 0.1)
            waiting.send_signal(signal.SIGINT)
            out, err = waiting.communicate(timeout=20)
            assert waiting.returncode == -signal.SIGINT and "Rollout 1 goes on" in err and not out, (waiting.returncode, out, err)

            assert "is paused" in loop.ctl("rollout", "pause", "1", "--why=lunch").stdout
            held = _shown(loop, 1)["admitted"]
            time.sleep(3)
            assert _shown(loop, 1)["admitted"] == held < 24
            timed = loop.ctl("rollout", "watch", "1", "--timeout=1", check=False)
            assert timed.returncode == 6 and "goes on" in timed.stderr, timed
            assert "is running" in loop.ctl("rollout", "resume", "1").stdout
            assert loop.gateway is not None
            loop.gateway.stop()
            loop.start_gateway(LIMITS)
            assert loop.ctl("rollout", "watch", "1", "--timeout=90", timeout=120).stdout.endswith("completed: 24 of 24 updated.\n")
            watched = [json.loads(line) for line in watch.communicate(timeout=60)[0].splitlines()]
            assert watch.returncode == 0
        finally:
            if watch.poll() is None:
                watch.kill()
                watch.wait(10)
        states = [e["data"]["state"] for e in watched]
        assert states[0] == "running" and "paused" in states and states[-1] == "completed", states
        ids = [e["id"] for e in watched if "id" in e]
        assert ids == sorted(ids) and len(set(ids)) == len(ids), ids

        back = json.loads(loop.ctl("rollout", "roll-back", "1", "--dry-run", "-o", "json").stdout)
        assert (back["kind"], back["cohort"], back["canaries"]) == ("rollback", 24, []), back
        assert sum(b["agents"] for b in back["preview"]["batches"]) == 24 and back["strategy"]["batch"]["every_sec"] == 0, back
        slow = json.loads(loop.ctl("rollout", "roll-back", "1", "--dry-run", "--batch=6", "--every=1m", "-o", "json").stdout)
        assert [b["agents"] for b in slow["preview"]["batches"]] == [6, 6, 6, 6] and slow["strategy"]["canary"]["count"] == 0, slow
        plan = loop.ctl("rollout", "roll-back", "1", "--dry-run").stdout
        assert "Back from: 1.1.0" in plan and "24 of the 24 that the rollout updated" in plan, plan
        assert loop.ctl("rollout", "list", "-o", "name").stdout == "1\n"
        done = loop.ctl("rollout", "roll-back", "1", "--yes", "--wait", "--timeout=60", timeout=90)
        assert done.stdout == "Rollout 2 is completed: 24 of 24 back.\n", done
        assert len(loop.ctl("agent", "list", "--version-is=1.0.0", "-o", "name").stdout.split()) == 24
        assert loop.ctl("rollout", "roll-back", "1", "--yes", check=False).returncode == 5


def options_that_are_refused() -> None:
    """By the real gateway, in terms of the option."""
    with Loopback("ctl-options") as loop:
        loop.start_gateway()
        release(loop, GOAL)
        agent = loop.new_agent()
        agent.start(loop.token())
        agent.wait_online()
        for option, code, told in (
            ("--batch=0", 2, "--batch="),
            ("--canary=5", 2, "--canary="),
            ("--canary-agent=nobody", 5, "--canary-agent="),
            ("--attempts=99", 2, "--attempts="),
            ("--window=Mon 25:00 6h UTC", 2, "--window="),
            ("--window=Mon 22:00 6h Nowhere/Land", 2, "--window="),
            ("--max-failures=200%", 2, "--max-failures="),
            ("--ramp=0", 2, "--ramp="),
            ("--every=60d", 2, "--every="),
        ):
            refused = loop.ctl("rollout", "create", "--release", GOAL, "--all", "--dry-run", option, check=False)
            assert refused.returncode == code and f"fleet-gatewayctl: {told}" in refused.stderr, (option, refused)
        for arguments, code, told in (
            (("--release=9.9.9", "--all"), 3, "--release="),
            ((f"--release={GOAL}", "-l", "env=("), 2, "--selector="),
            ((f"--release={GOAL}", "--group=none"), 3, "--group="),
            ((f"--release={GOAL}", "--agent=nobody"), 3, "--agent="),
        ):
            refused = loop.ctl("rollout", "create", "--dry-run", *arguments, check=False)
            assert refused.returncode == code and f"fleet-gatewayctl: {told}" in refused.stderr, (arguments, refused)
        one = loop.ctl("rollout", "create", "--release", GOAL, f"--agent={agent.id}", "--dry-run").stdout
        label = loop.ctl("rollout", "create", "--release", GOAL, "-l", "os=debian", "--dry-run", check=False)
        assert label.returncode == 5 and 'fact.os' in label.stderr, label
        assert f"1 of the 1 that match (agent {agent.id})" in one and "Canaries: none" in one, one


def update_of_many() -> None:
    """Without a rollout: waited for by what is heard of each agent."""
    with Loopback("ctl-update") as loop:
        loop.start_gateway(LIMITS)
        release(loop, GOAL)
        sim = Simulator(loop)
        # few fail: the third of forty would hold the rest back, and which are sent before that is up to chance
        fails = "--fail=staging:8%"
        failed = sum(m["fate"] != "succeeds" for m in sim.plan(40, GOAL, fails).values())
        assert 1 <= failed <= 2, failed
        sim.start(40, fails, *FAST)
        sim.wait_online(40)
        done = loop.ctl("update", "--all", "--version", GOAL, "--yes", "--wait", "--timeout=120", check=False, timeout=150)
        updated = len(loop.ctl("agent", "list", f"--version-is={GOAL}", "-o", "name").stdout.split())
        # more than may be at it at once, and the rest follows
        assert done.returncode == 7 and updated == 40 - failed, done
        assert done.stdout.endswith(f"{updated} up to date, {failed} failed, 0 pending, 0 not to be changed.\n"), done
        one = loop.ctl("update", "-l", f"fact.version={GOAL}", "--version", GOAL, "--yes", "--wait", "--timeout=30")
        assert f"{updated} up to date, 0 failed" in one.stdout, one


TESTS = (update_of_many, options_that_are_refused, a_bad_release_stops, steered_while_watched, as_in_the_manual)

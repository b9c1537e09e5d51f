# SPDX-License-Identifier: Apache-2.0
"""fleet-gatewayctl with the real gateway and real agents."""

import json
import os
import re
import signal
import subprocess
import threading
from typing import Any

from harness.product import Repository
from harness.wait import wait_for

from .loopback import Loopback


class Watch:
    """fleet-gatewayctl watch; its events as they come."""

    def __init__(self, loop: Loopback, *arguments: str) -> None:
        env = {
            "PATH": os.environ["PATH"],
            "FLEET_GATEWAY": f"https://localhost:{loop.https_port}",
            "FLEET_CA": str(loop.ca),
            "FLEET_TOKEN_FILE": str(loop.state / "admin.token"),
        }
        argv = [str(loop.build.program("fleet-gatewayctl")), "watch", "-o", "json", *arguments]
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def changes(self, agent_id: str) -> list[str]:
        return [
            e["data"]["change"]
            for e in self.events
            if e["event"] == "agent" and e["data"]["id"] == agent_id
        ]

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def operators_view() -> None:
    """Labels from the token, selectors, lists, and a watch that outlives the gateway."""
    with Loopback("ctl") as loop:
        loop.start_gateway()
        token = loop.ctl("token", "create", "--label", "env=x").stdout.strip()
        one, two = loop.new_agent("one"), loop.new_agent("two")
        two.start(loop.token())
        two.wait_online()
        with Watch(loop) as watch, Watch(loop, two.id) as watch_two:
            one.start(token)
            one.wait_online()
            wait_for(lambda: "online" in watch.changes(one.id), 10, "the watch to see it")

            assert loop.gateway is not None and one.program is not None
            loop.gateway.stop()
            loop.start_gateway()
            one.wait_online(30)
            one.program.stop()
            wait_for(lambda: "offline" in watch.changes(one.id)[-1:], 20, "the watch to be back")
            assert not watch_two.changes(one.id)
            # it had seen nothing that it could have gone on from, so it says that something may be missing
            assert "reset" in [e["event"] for e in watch_two.events]

        listed = loop.ctl("agent", "list", "-l", "env=x", "-o", "name").stdout.split()
        assert listed == [one.id]
        assert loop.ctl("agent", "list", "-l", "env!=x", "-o", "name").stdout.split() == [two.id]
        everything = json.loads(loop.ctl("agent", "list", "-o", "json").stdout)
        assert everything["total"] == 2
        row = loop.ctl("agent", "list", "--no-legend", "-o", "wide").stdout.splitlines()
        assert all("env=x" in line for line in row if line.startswith(one.id)), row
        shown = loop.ctl("agent", "show", one.id).stdout
        assert "State: offline" in shown and "Version: 1.0.0" in shown, shown


def exit_codes() -> None:
    """What scripts rely on, with the gateway's own refusals."""
    with Loopback("codes") as loop:
        loop.start_gateway()
        repository = Repository(loop.build, loop.folder / "repository")
        repository.release("1.0.0")

        def code(*arguments: str) -> int:
            return int(loop.ctl(*arguments, check=False).returncode)

        assert code("agent", "show", "a" * 32) == 3
        assert code("watch", "a" * 32) == 3
        assert code("agent", "list", "-l", "a==,") == 2
        assert code("update", "--all", "--yes", "--version", "1.0.0") == 3
        assert code("update", "--all", "--version", "1.0.0") == 2

        timestamp = repository.folder / "metadata" / "timestamp.json"
        good = timestamp.read_bytes()
        changed = re.sub(rb'("version": ?)\d', rb"\g<1>9", good, count=1)
        assert changed != good
        timestamp.write_bytes(changed)
        refused = loop.ctl("release", "import", str(repository.folder), check=False)
        assert refused.returncode == 1 and "timestamp" in refused.stderr, refused.stderr
        timestamp.write_bytes(good)
        assert loop.ctl("release", "import", str(repository.folder)).stdout == "Imported 1.0.0.\n"
        again = loop.ctl("release", "import", str(repository.folder))
        assert "Nothing new" in again.stdout and " 2 were there already" in again.stderr
        assert code("update", "--all", "--yes", "--version", "1.0.0", "--wait") == 0
        assert loop.ctl("release", "list", "-o", "name").stdout == "1.0.0\n"

        token = loop.state / "admin.token"
        secret = token.read_text()
        token.write_text("fga1_wrong\n")
        assert code("agent", "list") == 4
        token.write_text(secret)
        assert loop.gateway is not None
        loop.gateway.stop()
        assert code("agent", "list") == 1


def seldom_done() -> None:
    """Taking back what is desired, tokens for people, and removing an agent."""
    with Loopback("seldom") as loop:
        loop.start_gateway()
        repository = Repository(loop.build, loop.folder / "repository")
        repository.release("1.0.0")
        loop.ctl("release", "import", str(repository.folder))
        agent = loop.new_agent()
        agent.start(loop.token())
        agent.wait_online()

        refused = loop.ctl("update", "-l", "env=x", "--yes", "--version", "1.0.0", check=False)
        assert refused.returncode == 5 and "--allow-empty" in refused.stderr, refused
        assert loop.ctl("update", "-l", "fact.oss!=x", "--yes", "--version", "1.0.0", check=False).returncode == 2
        loop.ctl("update", "-l", "env=x", "--yes", "--allow-empty", "--version", "1.0.0")
        number = loop.ctl("desired", "list", "-o", "name").stdout.strip()
        assert "env=x" in loop.ctl("desired", "list").stdout and number.isdigit()
        loop.ctl("desired", "delete", number)
        assert not loop.ctl("desired", "list", "-o", "name").stdout
        assert loop.ctl("desired", "delete", number, check=False).returncode == 3

        assert loop.ctl("api-token", "create", check=False).returncode == 2
        made = loop.ctl("api-token", "create", "--role", "viewer", "--description", "CI")
        assert made.stdout.startswith("fga1_")
        assert "CI" in loop.ctl("api-token", "list").stdout
        (token,) = (
            t
            for t in json.loads(loop.ctl("api-token", "list", "-o", "json").stdout)["api_tokens"]
            if t["role"] == "viewer"
        )
        loop.ctl("api-token", "delete", token["id"])
        assert "CI" not in loop.ctl("api-token", "list").stdout

        assert loop.ctl("agent", "remove", agent.id, check=False).returncode == 2
        loop.ctl("agent", "remove", agent.id, "--yes")
        assert not agent.seen()
        assert loop.ctl("agent", "remove", agent.id, "--yes", check=False).returncode == 3


def labels_and_groups() -> None:
    """What real agents say of themselves reaches the columns that lists filter by; labels and groups."""
    with Loopback("groups") as loop:
        loop.start_gateway()
        one, two = loop.new_agent("one"), loop.new_agent("two")
        for agent in (one, two):
            agent.start(loop.token())
            agent.wait_online()

        def names(*filters: str) -> list[str]:
            return sorted(loop.ctl("agent", "list", "-o", "name", *filters).stdout.split())

        both = sorted((one.id, two.id))
        assert names("--state=online", "--version-is=1.0.0", "--update-is=none", "--sort=-connected") == both
        assert names("--state=offline,never") == names("--version-is=none") == names("--update-is=failed") == []
        assert names("-m", f"{one.id},nobody") == [one.id]

        assert loop.ctl("agent", "label", one.id, "env=x").stdout == "1 of 1 agent changed.\n"
        loop.ctl("group", "create", "xs", "-l", "env=x")
        assert names("--group=xs") == [one.id]
        assert loop.ctl("agent", "label", "--all", "tier=web", check=False).returncode == 2
        loop.ctl("agent", "label", "--all", "--yes", "tier=web")
        assert names("-l", "tier=web,env!=x") == [two.id]
        assert "Agents: 1, 1 online" in loop.ctl("group", "show", "xs").stdout
        loop.ctl("group", "set", "xs", "-l", "tier=web")
        assert names("--group=xs") == both
        loop.ctl("group", "remove", "xs")
        assert loop.ctl("agent", "list", "--group=xs", check=False).returncode == 3

        # a Hello moves what the agent says, and nothing that people say
        before = one.seen()
        assert before["address"].startswith("127.0.0.1:") and before["connected"], before
        assert one.program is not None
        one.program.stop()
        wait_for(lambda: names("--state=offline") == [one.id], 20, "the agent to be offline")
        one.start(loop.token())
        one.wait_online()
        after = one.seen()
        assert after["address"] != before["address"] and after["connected"] >= before["connected"]
        assert after["revision"] == before["revision"] and after["labels"] == {"env": "x", "tier": "web"}


TESTS = (seldom_done, operators_view, exit_codes, labels_and_groups)

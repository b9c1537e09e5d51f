# SPDX-License-Identifier: Apache-2.0
"""Follows the gateway's events through fleet-gatewayctl, as an operator would."""

import json
from typing import Any

from harness import Run, wait_for
from harness.process import Process
from harness.product import Gateway


class Events:
    """One watch per gateway. It survives restarts of the gateway, or is not worth its name."""

    def __init__(self, run: Run, gateway: Gateway, name: str) -> None:
        argv = [str(gateway.build.program("fleet-gatewayctl")), "watch", "-o", "json"]
        self._process: Process = run.spawn(argv, name=name, env=gateway.environment)
        self._offset = 0

    def forget(self) -> None:
        """What came until now belongs to an earlier case."""
        self._offset = self._process.log.stat().st_size

    def updates(self, agent: str, version: str) -> list[dict[str, Any]]:
        """Events about the updates of one agent to one version, in order."""
        found = []
        with self._process.log.open("rb") as log:
            log.seek(self._offset)
            for line in log.read().splitlines():
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # the newest may be half written, and errors are words
                data = event.get("data", event)
                if (
                    data.get("agent") == agent
                    and data.get("version") == version
                    and "phase" in data
                ):
                    found.append(data)
        return found

    def titles(self, agent: str, version: str) -> list[str]:
        """The phases as people see them, each one once."""
        return list(dict.fromkeys(update["title"] for update in self.updates(agent, version)))

    def wait_title(self, agent: str, version: str, title: str, timeout: float = 20) -> None:
        wait_for(
            lambda: title in self.titles(agent, version), timeout, f"'{title}' of {version}", 0.1
        )

    def close(self) -> None:
        self._process.stop()

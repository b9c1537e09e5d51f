# SPDX-License-Identifier: Apache-2.0
"""Agent and updater over the system bus of a machine, by busctl."""

import json
import time
from typing import Any

from harness import CommandError
from harness.product import Machine

AGENT = ("org.fleetagent.Agent1", "/org/fleetagent/Agent1", "org.fleetagent.Agent1")
UPDATER = ("org.fleetagent.Updater1", "/org/fleetagent/Updater1", "org.fleetagent.Updater1")


# An updater that is stopped, to be started in a new version, may take a question with it.
_IN_BETWEEN = ("without replying", "was canceled", "RF-kill", "is shutting down", "timed out")
_TRIES = 5


def _ask(machine: Machine, argv: list[str]) -> str:
    for attempt in range(1, _TRIES + 1):
        try:
            return machine.container.run(["busctl", "--json=short", *argv]).stdout
        except CommandError as error:
            if attempt == _TRIES or not any(words in str(error) for words in _IN_BETWEEN):
                raise
            time.sleep(0.3)
    raise AssertionError


def get_property(machine: Machine, what: tuple[str, str, str], name: str) -> Any:
    return json.loads(_ask(machine, ["get-property", *what, name]))["data"]


def call(machine: Machine, what: tuple[str, str, str], method: str, *arguments: str) -> Any:
    text = _ask(machine, ["call", *what, method, *arguments]).strip()
    return json.loads(text)["data"] if text else None


def refused(machine: Machine, what: tuple[str, str, str], method: str, *arguments: str) -> str:
    """The words of a call that must fail."""
    try:
        answer = call(machine, what, method, *arguments)
    except CommandError as error:
        return str(error)
    raise AssertionError(f"{method} was answered with {answer}")


def agent(machine: Machine, name: str) -> Any:
    return get_property(machine, AGENT, name)


def updater(machine: Machine, name: str) -> Any:
    return get_property(machine, UPDATER, name)


def last_result(machine: Machine) -> dict[str, str]:
    """Of the last finished transaction; empty if there was none."""
    (result,) = call(machine, UPDATER, "GetLastResult")
    return dict(result)


def installed(machine: Machine) -> dict[str, str]:
    """What ListVersions says: version to remarks."""
    (versions,) = call(machine, UPDATER, "ListVersions")
    return {version: remarks for version, remarks, _digest in versions}

# SPDX-License-Identifier: Apache-2.0
"""What matters most, after every case: the machine is back, and nothing is left half-done."""

import os
import time

from harness import CommandError
from harness.product import Machine

from .bus import agent, updater

_BIN = "/opt/fleet-agent/bin"
_RECORD = "/var/lib/fleet-agent-updater/transaction"
_TRANSIENT = (
    "fleet-agent-update.service",
    "fleet-agent-backstop.timer",
    "fleet-agent-retry.timer",
    "fleet-agent-self-test.service",
    "fleet-agent-probe.service",
)


def check_settled(machine: Machine, version: str, timeout: float = 40) -> None:
    deadline = time.monotonic() + timeout
    while (wrong := problem(machine, version)) != "":
        assert time.monotonic() < deadline, f"not at rest after {timeout:g} s: {wrong}"
        time.sleep(0.3)
    machine.wait_online(version, 10)
    _check_once(machine, version)


def problem(machine: Machine, version: str) -> str:
    """What is not as it should be in the end, or nothing. Some of it takes a moment."""
    links = (machine.link("current"), machine.link("good"))
    if links != (version, version):
        return f"current and good are {links}"
    if machine.container.path(_RECORD).exists():
        return "a transaction is open"
    left = transient_units(machine)
    if left:
        return f"left over: {left}"
    for unit in ("fleet-agent.service", "fleet-agent.socket"):
        state = machine.container.show(unit, "ActiveState")
        if state != "active":
            return f"{unit} is {state}"
    if running_version(machine) != version:
        return f"the running binary is {running_version(machine)}"
    for name, wanted in (("GatewayState", "connected"), ("UpdateState", "idle")):
        try:
            state = agent(machine, name)
        except CommandError:
            return "the agent is not on the bus"
        if state != wanted:
            return f"the agent's {name} is {state}"
    shown = machine.gateway.agent(machine.agent_id)
    if (shown.get("state"), shown.get("version")) != ("online", version):
        return f"the gateway sees {shown.get('state')} {shown.get('version')}"
    return ""


def transient_units(machine: Machine) -> list[str]:
    """Those that run or have failed.

    One that is dead may still be loaded: PID 1 sometimes forgets to forget it.
    """
    listed = machine.container.run(
        ["systemctl", "list-units", "--all", "--plain", "--no-legend", *_TRANSIENT]
    ).stdout
    found = [line.split() for line in listed.splitlines() if line.strip()]
    return [f"{unit} {active}" for unit, _load, active, *_rest in found if active != "inactive"]


def running_version(machine: Machine) -> str:
    """Of the file that the process was started from."""
    pid = machine.main_pid()
    if pid == "0":
        return "not running"
    linked = machine.container.run(["readlink", f"/proc/{pid}/exe"], check=False).stdout.strip()
    return linked.removeprefix(f"{_BIN}/v").removesuffix("/agent")


def _check_once(machine: Machine, version: str) -> None:
    names = os.listdir(machine.container.path(_BIN))
    stray = [name for name in names if name.startswith(".")]
    assert not stray, f"left in {_BIN}: {stray}"
    failed = machine.container.run(
        ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "fleet-*"]
    ).stdout.strip()
    assert not failed, f"failed units: {failed}"
    assert agent(machine, "Version") == version
    assert updater(machine, "State") == "idle"
    assert updater(machine, "CurrentVersion") == version
    assert updater(machine, "PendingVersion") == ""

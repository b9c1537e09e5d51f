# SPDX-License-Identifier: Apache-2.0
"""Who may ask for what, and what the processes may do themselves."""

import json
import re
import xml.etree.ElementTree as ElementTree

from harness import wait_for
from harness.command import execute
from harness.product import SOURCE

from . import bus
from .client import Offer
from .lab import Lab
from .suite import Group, case

_BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_DENIED = "org.freedesktop.DBus.Error.AccessDenied"


def _as(user: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups"]


@case()
def others_may_not_install(lab: Lab) -> str:
    """Install is for user fleet-agent alone; the bus does not deliver the call of anybody else."""
    lab.release("1.1.0")
    pid = lab.machine.main_pid()
    offer = Offer.of(lab.repository, "1.1.0")
    for user in ("nobody", None):
        answer = lab.client.install(offer, user=user)
        assert answer.error == _DENIED, (user, answer)
    assert lab.machine.main_pid() == pid and lab.machine.versions() == ["1.0.0"]
    return "1.0.0"


@case()
def others_may_not_go_back_or_pin(lab: Lab) -> str:
    """polkit says no to whoever is not an administrator, and to the agent as well, unless the gateway asked for it."""
    lab.update("1.1.0")
    for user in ("nobody", "fleet-agent"):
        for argv in (["rollback"], ["pin", "1.0.0"], ["unpin"]):
            told = lab.box.run(
                [
                    "setpriv",
                    f"--reuid={user}",
                    "--regid=nogroup",
                    "--clear-groups",
                    "fleet-agentctl",
                    *argv,
                ],
                check=False,
                timeout=60,
            )
            assert told.returncode == 4, (user, argv, told)
    assert bus.updater(lab.machine, "PinnedVersion") == ""
    # Looking is for everybody.
    told = lab.box.run(
        [
            "setpriv",
            "--reuid=nobody",
            "--regid=nogroup",
            "--clear-groups",
            "fleet-agentctl",
            "status",
        ]
    )
    assert "1.1.0" in told.stdout, told
    return "1.1.0"


@case(start="1.1.0")
def others_may_not_own_the_names(lab: Lab) -> str:
    for user in ("nobody", "fleet-agent"):
        for name in ("org.fleetagent.Updater1", "org.fleetagent.Agent1"):
            if (user, name) == ("fleet-agent", "org.fleetagent.Agent1"):
                continue  # its own
            said = lab.box.run(
                [*_as(user), "busctl", "call", *_BUS, "RequestName", "su", name, "4"], check=False
            )
            assert said.returncode != 0 and "denied" in said.stderr, (user, name, said)
    return "1.1.0"


@case(start="1.1.0")
def agent_has_no_privileges(lab: Lab) -> str:
    """User fleet-agent, no capabilities, no way to new ones, nothing writable but its own."""
    pid = lab.machine.main_pid()
    status = dict(
        line.split(":\t", 1)
        for line in lab.box.run(["cat", f"/proc/{pid}/status"]).stdout.splitlines()
        if ":\t" in line
    )
    uid = lab.box.run(["id", "-u", "fleet-agent"]).stdout.strip()
    assert set(status["Uid"].split()) == {uid} and uid != "0", status["Uid"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, (name, status[name])
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", status
    for path, writable in (
        ("/var/lib/fleet-agent", True),
        ("/opt/fleet-agent/bin", False),
        ("/etc", False),
    ):
        probe = [
            "nsenter",
            f"--target={pid}",
            "--mount",
            "--setuid",
            uid,
            "touch",
            f"{path}/.probe",
        ]
        done = lab.box.run(probe, check=False)
        assert (done.returncode == 0) == writable, (path, done)
    lab.box.run(["rm", "-f", "/var/lib/fleet-agent/.probe"])
    owner = lab.box.run(
        ["stat", "-c", "%U %a", "/var/lib/fleet-agent", "/var/lib/fleet-agent-updater"]
    ).stdout.split("\n")
    assert owner[0].startswith("fleet-agent 7") and owner[0].endswith("00"), owner
    assert owner[1].startswith("root 7") and owner[1].endswith("00"), owner
    return "1.1.0"


@case(start="1.1.0")
def updater_has_no_network(lab: Lab) -> str:
    bus.updater(lab.machine, "State")
    pid = lab.box.show("fleet-agent-updater.service", "MainPID")
    assert pid != "0"
    devices = lab.box.run(["cat", f"/proc/{pid}/net/dev"]).stdout
    assert "eth0" not in devices and "lo" in devices, devices
    return "1.1.0"


@case(start="1.1.0")
def updater_ends_when_idle(lab: Lab) -> str:
    bus.updater(lab.machine, "State")
    wait_for(
        lambda: lab.box.show("fleet-agent-updater.service", "ActiveState") == "inactive",
        90,
        "it to end",
        0.5,
    )
    assert bus.updater(lab.machine, "State") == "idle"
    return "1.1.0"


@case(start="1.1.0")
def introspection_is_as_documented(lab: Lab) -> str:
    for name, path in (("Agent1", bus.AGENT[1]), ("Updater1", bus.UPDATER[1])):
        service = f"org.fleetagent.{name}"
        answer = lab.box.run(
            [
                "busctl",
                "--json=short",
                "call",
                service,
                path,
                "org.freedesktop.DBus.Introspectable",
                "Introspect",
            ]
        )
        (text,) = json.loads(answer.stdout)["data"]
        documented = (SOURCE / "dbus" / f"{service}.xml").read_text()
        assert _interface(text, service) == _interface(
            documented, service
        ), f"{service} differs:\n{text}"
    return "1.1.0"


def _interface(text: str, name: str) -> list[tuple[str, ...]]:
    """Everything that an interface promises, in no order."""
    text = re.sub(r"<!DOCTYPE[^>]*>", "", text, flags=re.DOTALL)
    (interface,) = [
        i for i in ElementTree.fromstring(text).iter("interface") if i.get("name") == name
    ]
    found: list[tuple[str, ...]] = []
    for member in interface:
        here = (
            member.tag,
            member.get("name", ""),
            member.get("type", ""),
            member.get("access", ""),
        )
        found.append(here)
        for number, child in enumerate(member):
            if child.tag == "arg":
                direction = child.get("direction", "out" if member.tag == "signal" else "in")
                found.append(
                    (*here, str(number), child.get("name", ""), child.get("type", ""), direction)
                )
            elif child.tag == "annotation" and "EmitsChanged" in child.get("name", ""):
                if child.get("value") != "true":  # that is what goes without saying
                    found.append((*here, child.get("value", "")))
    return sorted(found)


@case(start="1.1.0")
def binaries_link_what_they_may(lab: Lab) -> str:
    agent, updater = lab.build.payload("1.1.0")
    if b"__asan_init" in updater.read_bytes():
        return "1.1.0"  # sanitizers bring libraries along; nobody ships that
    needed = _needed(updater)
    assert needed <= {
        "libc.so.6",
        "libsystemd.so.0",
        "libsodium.so.23",
        "libjansson.so.4",
        "ld-linux-x86-64.so.2",
    }, needed
    bad = {
        lib
        for lib in _needed(agent)
        if re.match(r"lib(grpc|gpr|stdc\+\+|absl|protobuf|re2|cares|upb|address_sorting)", lib)
    }
    assert not bad, bad
    return "1.1.0"


def _needed(program: object) -> set[str]:
    text = execute(["readelf", "-d", str(program)]).stdout
    return set(re.findall(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]", text))


GROUPS = [
    Group(
        "access",
        (
            others_may_not_install,
            others_may_not_go_back_or_pin,
            others_may_not_own_the_names,
            agent_has_no_privileges,
            updater_has_no_network,
            introspection_is_as_documented,
            binaries_link_what_they_may,
            updater_ends_when_idle,
        ),
        minutes=1.2,
    ),
]

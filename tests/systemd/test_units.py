# SPDX-License-Identifier: Apache-2.0
"""What is installed, as systemd sees it."""

import json

from harness import wait_for
from harness.command import execute

from .lab import Lab
from .suite import Group, case

_UNITS = "/usr/lib/systemd/system"
_AGENT_UNITS = (
    "agent.service",
    "agent.socket",
    "agent-updater.service",
    "agent-rollback.service",
    "agent-recover.service",
)
_SWAPPED = "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e07"
_GATEWAY_STARTED = "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e60"
_GATEWAY_STOPPING = "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e61"


@case()
def units_verify_clean(lab: Lab) -> str:
    own = ["find", _UNITS, "-maxdepth", "1", "-type", "f", "-name", "fleet-*"]
    found = lab.box.run(own).stdout.split()
    assert {f"{_UNITS}/fleet-{name}" for name in _AGENT_UNITS} <= set(found), found
    told = lab.box.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", *found], check=False
    )
    assert told.returncode == 0, told
    lines = [line for line in (told.stdout + told.stderr).splitlines() if "fleet-" in line]
    assert not lines, lines
    return "1.0.0"


@case()
def exposure_is_low(lab: Lab) -> str:
    """systemd-analyze security: at most 1.5 for what talks to the network."""
    for unit, limit in (
        ("fleet-agent.service", 15),
        ("fleet-gateway.service", 15),
        ("fleet-agent-updater.service", 40),
    ):
        told = lab.box.run(
            [
                "systemd-analyze",
                "security",
                "--offline=yes",
                f"--threshold={limit}",
                f"{_UNITS}/{unit}",
            ],
            check=False,
        )
        last = told.stdout.strip().splitlines()[-1:]
        assert told.returncode == 0, (unit, last, told.stderr)
    return "1.0.0"


@case()
def unit_settings_that_matter(lab: Lab) -> str:
    show = lab.box.show
    assert show("fleet-agent.service", "Type") == "notify"
    assert show("fleet-agent.service", "Restart") == "always"
    assert show("fleet-agent.service", "WatchdogUSec") not in ("0", "infinity")
    assert "fleet-agent-rollback.service" in show("fleet-agent.service", "OnFailure")
    assert show("fleet-agent.service", "User") == "fleet-agent"
    assert show("fleet-agent-updater.service", "PrivateNetwork") == "yes"
    required = show("fleet-agent-recover.service", "RequiredBy")
    assert "fleet-agent.service" not in required, "a failed recovery would keep the agent down"
    assert "fleet-agent.service" in show("fleet-agent-recover.service", "Before")
    return "1.0.0"


@case()
def journal_explains_itself(lab: Lab) -> str:
    """journalctl -x shows the catalog's text with the fields filled in."""
    lab.update("1.1.0")
    text = lab.box.run(["journalctl", "-x", "--no-pager", f"MESSAGE_ID={_SWAPPED}"]).stdout
    assert 'The link "current" now points at version 1.1.0' in text, text
    assert "@FLEET_" not in text, text
    entries = lab.journal(MESSAGE_ID=_SWAPPED)
    assert [e["FLEET_VERSION"] for e in entries] == ["1.1.0"], entries
    secrets = lab.box.run(
        ["sh", "-c", "journalctl --no-pager -o export | grep -a -c 'fjt1_[0-9a-f]' || true"]
    )
    assert secrets.stdout.strip() == "0", "a join token is in the journal"
    return "1.1.0"


@case(start="1.1.0")
def status_for_people_and_programs(lab: Lab) -> str:
    human = lab.box.run(["fleet-agentctl", "status"]).stdout
    assert "1.1.0" in human and "connected" in human, human
    status = json.loads(lab.box.run(["fleet-agentctl", "status", "--json=short"]).stdout)
    assert (
        status["agent"]["version"] == "1.1.0" and status["agent"]["gateway_state"] == "connected"
    ), status
    assert status["updater"]["current_version"] == "1.1.0", status
    versions = lab.box.run(["fleet-agentctl", "versions"]).stdout
    assert "1.0.0" in versions and "1.1.0" in versions, versions
    lab.release("1.4.0")
    found = lab.box.run(["fleet-agentctl", "check-update", "--json=short"]).stdout
    assert json.loads(found)["version"] == "1.4.0", found
    return "1.1.0"


_ADMIN = "/run/fleet-gateway/admin.sock"


def _scrape(lab: Lab) -> str:
    """From outside of the machine, which has nothing that speaks HTTP."""
    path = str(lab.box.mounted_path(_ADMIN))
    argv = ["curl", "-sSf", "--max-time", "10", "--unix-socket", path, "http://localhost/metrics"]
    return execute(argv).stdout


def _admin_socket_is_for_a_group(lab: Lab) -> None:
    """It is the manager's, survives restarts of the service with its owner and mode, and answers after each."""
    box = lab.box
    may = lambda *who: box.run(["setpriv", *who, "test", "-w", _ADMIN], check=False)  # noqa: E731
    nobody = ("--reuid=65534", "--regid=65534")
    group = box.run(["getent", "group", "fleet-gateway-admin"]).stdout.split(":")[2]
    for _ in range(2):
        found = box.run(["stat", "-c", "%U:%G %a", _ADMIN, "/run/fleet-gateway"]).stdout.splitlines()
        assert found == ["root:fleet-gateway-admin 660", "fleet-gateway:fleet-gateway 755"], found
        assert may(*nobody, "--clear-groups").returncode == 1, "everybody may read the metrics"
        assert may(*nobody, f"--groups={group}").returncode == 0, "the group may not"
        text = _scrape(lab)
        assert "\nfleet_store_up 1\n" in text and "\nprocess_open_fds " in text, text
        box.run(["systemctl", "restart", "fleet-gateway.service"])


@case(start="1.1.0")
def gateway_runs_as_a_service(lab: Lab) -> str:
    """On a machine: started by systemd, serving, killed and back without losing the port."""
    box = lab.box
    box.write_file("/etc/fleet-gateway/gateway.conf", f"[Gateway]\nName={box.name} localhost\n")
    box.run(
        ["systemctl", "enable", "--now", "--quiet", "fleet-gateway.socket", "fleet-gateway.service"]
    )
    state = lambda: box.show("fleet-gateway.service", "ActiveState")  # noqa: E731
    wait_for(lambda: state() == "active", 30, "the gateway's service", 0.2)
    ask = f"curl -ksSf --max-time 5 https://{box.address}:8443/healthz"
    answer = lab.gateway.inside(["sh", "-c", ask]).stdout
    assert json.loads(answer)["status"] == "ok", answer
    pid = box.show("fleet-gateway.service", "MainPID")
    box.run(["kill", "-KILL", pid])
    answer = lab.gateway.inside(["sh", "-c", ask.replace("--max-time 5", "--max-time 20")]).stdout
    assert json.loads(answer)["status"] == "ok", answer
    assert box.show("fleet-gateway.service", "MainPID") != pid
    _admin_socket_is_for_a_group(lab)
    started = lab.journal(MESSAGE_ID=_GATEWAY_STARTED)
    assert len(started) == 4 and {e["FLEET_VERSION"] for e in started} == {"1.0.0"}, started
    text = box.run(["journalctl", "-x", "--no-pager", f"MESSAGE_ID={_GATEWAY_STOPPING}"]).stdout
    assert "0 agents were connected" in text and "@FLEET_" not in text, text
    mode = box.run(
        ["stat", "-c", "%U %a", "/var/lib/fleet-gateway", "/var/lib/fleet-gateway/admin.token"]
    ).stdout.split()
    assert mode[0] == "fleet-gateway" and mode[3] == "600", mode
    status = box.run(["cat", f"/proc/{box.show('fleet-gateway.service', 'MainPID')}/status"]).stdout
    assert "CapEff:\t0000000000000000" in status, status
    box.run(
        [
            "systemctl",
            "disable",
            "--now",
            "--quiet",
            "fleet-gateway.socket",
            "fleet-gateway-admin.socket",
            "fleet-gateway.service",
        ]
    )
    return "1.1.0"


GROUPS = [
    Group(
        "units",
        (
            units_verify_clean,
            exposure_is_low,
            unit_settings_that_matter,
            journal_explains_itself,
            status_for_people_and_programs,
            gateway_runs_as_a_service,
        ),
        minutes=0.8,
    ),
]

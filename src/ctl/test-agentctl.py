#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-agentctl.py FLEET-AGENTCTL SERVICE: what fleet-agentctl prints and how it ends, on a bus of its own where SERVICE
plays agent and updater."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
<allow user="*"/></policy></busconfig>"""


class Bus:
    def __init__(self, folder, service, *arguments):
        self.folder, self.service, self.arguments = Path(folder), service, arguments
        self.processes = []

    def __enter__(self):
        socket = self.folder / "bus"
        config = self.folder / "bus.conf"
        config.write_text(CONFIG.format(path=socket))
        self.env = {"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"}
        daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"], stdout=subprocess.PIPE, text=True
        )
        self.processes.append(daemon)
        assert daemon.stdout.readline(), "dbus-daemon did not start"
        if self.service:
            service = subprocess.Popen([self.service, *self.arguments], stdout=subprocess.PIPE, text=True, env=self.env)
            self.processes.append(service)
            assert service.stdout.readline() == "ready\n", "the service did not start"
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(10)


def main():
    program, service = sys.argv[1:3]

    def ctl(bus, *arguments, code=0, **extra):
        result = subprocess.run(
            [program, *arguments], env=bus.env | extra, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
        )
        assert result.returncode == code, f"{arguments}: {result.returncode}, not {code}\n{result.stdout}{result.stderr}"
        assert "\x1b" not in result.stdout + result.stderr or extra, f"{arguments}: control characters"
        return result

    def test_status(bus):
        text = ctl(bus, "status").stdout
        for part in (
            "Agent: 6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e01",
            "Host: web1",
            "Version: 1.0.0",
            "Gateway: connected",
            "Last error: bad \\x1b[31mnews",
            "Metadata expires: 2100-01-01 00:00:00 UTC (in ",
            "Update: idle",
            "Last update: 1.0.0 -> 1.1.0: Rolled back, watchdog, 2026-11-24 12:34:56 UTC",
            "Verdict: The new version hung.",
            "Previous version: 0.9.0",
            "Floor: 0.8.0",
        ):
            assert part in text, f"{part!r} is not in:\n{text}"
        assert "Pinned" not in text

        status = json.loads(ctl(bus, "status", "--json=short").stdout)
        assert status["agent"]["running"] is True and status["agent"]["pid"] == 17
        assert status["agent"]["last_error"] == "bad \x1b[31mnews"
        assert status["agent"]["metadata_expires"] == "2100-01-01T00:00:00Z"
        assert (status["agent"]["bytes_done"], status["agent"]["bytes_total"]) == (3, 4)
        assert status["agent"]["metadata_age_sec"] == 90
        assert "target_version" not in status["agent"] and "deadline_in_sec" not in status["updater"]
        assert status["updater"]["floor"] == "0.8.0" and status["updater"]["root_version"] == 5
        assert status["last_result"]["verdict"] == "watchdog"
        assert status["last_result"]["time"] == "2026-11-24T12:34:56Z"
        pretty = ctl(bus, "status", "--json=pretty").stdout
        assert json.loads(pretty) == status and pretty.count("\n") > 10
        assert "\x1b[32m" in ctl(bus, "status", CLICOLOR_FORCE="1").stdout

    def test_lists(bus):
        lines = ctl(bus, "versions").stdout.splitlines()
        assert lines[0].split() == ["VERSION", "STATE", "SHA256"]
        assert lines[1].startswith("1.0.0") and "current, good, packaged" in lines[1]
        assert ctl(bus, "versions", "--no-legend").stdout.splitlines()[0].startswith("1.0.0")
        versions = json.loads(ctl(bus, "versions", "--json=short").stdout)["versions"]
        assert versions == [
            {"flags": ["current", "good", "packaged"], "version": "1.0.0", "sha256": "aa11"},
            {"flags": ["previous"], "version": "0.9.0"},
        ]
        assert ctl(bus, "check-update").stdout == "Version 1.1.0 is available.\nPinned at 1.0.0.\n"
        found = json.loads(ctl(bus, "check-update", "--json=short").stdout)
        assert found == {"version": "1.1.0", "available": True, "message": "Pinned at 1.0.0."}

    def test_changes(bus):
        assert "1.0.0" in ctl(bus, "pin", "1.0.0").stderr
        assert "Pinned: 1.0.0" in ctl(bus, "status").stdout
        ctl(bus, "unpin")
        assert "Pinned" not in ctl(bus, "status").stdout
        assert "as root" in ctl(bus, "pin", "6.6.6", code=4).stderr
        ctl(bus, "pin", "1.0", code=2)
        ctl(bus, "pin", code=2)

        assert "below-floor" in ctl(bus, "rollback", "0.0.1", code=5).stderr
        ctl(bus, "rollback", "0.0.2", code=3)
        ctl(bus, "rollback", "0.0.3", code=4)
        ctl(bus, "rollback", "nonsense", code=2)
        ctl(bus, "rollback", "--timeout=1", "0.9.2", code=6)
        result = ctl(bus, "rollback")
        assert result.stdout == "Version 0.9.0 runs again and has proved itself.\n"
        assert result.stderr.split() == ["Restarting", "Confirming"]
        result = ctl(bus, "rollback", "0.9.1", "--json=short", code=7)
        assert json.loads(result.stdout)["verdict"] == "crashed"
        assert "The new version kept exiting." in result.stderr
        assert "Started" in ctl(bus, "rollback", "--no-wait").stdout
        status = ctl(bus, "status").stdout
        assert "goes back by itself in " in status

    def test_watch(bus):
        watch = subprocess.Popen([program, "watch", "--json=short"], env=bus.env, stdout=subprocess.PIPE, text=True)
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(watch.stdout), daemon=True)
        reader.start()
        time.sleep(0.5)
        subprocess.run(
            ["busctl", "--system", "call", "org.fleetagent.Agent1", "/org/fleetagent/Agent1", "org.fleetagent.Agent1", "Reconnect"],
            env=bus.env, check=True, timeout=10,
        )
        ctl(bus, "pin", "1.0.0")
        ctl(bus, "unpin")
        time.sleep(0.5)
        bus.processes.pop().send_signal(signal.SIGTERM)
        time.sleep(0.5)
        watch.terminate()
        watch.wait(10)
        reader.join(10)
        events = [json.loads(line) for line in lines]
        assert all(e["time"].endswith("Z") and e["source"] in ("agent", "updater") for e in events)

        def position(**wanted):
            for i, e in enumerate(events):
                if wanted.items() <= e.items():
                    return i
            raise AssertionError(f"{wanted} is not among\n{''.join(lines)}")

        order = [
            position(event="changed", source="agent", property="gateway_state", value="connected"),
            position(event="changed", source="agent", property="gateway_state", value="connecting"),
            position(event="finished", version="1.1.0", phase="rolled-back", verdict="crashed"),
            position(event="changed", source="updater", property="pinned_version", value="1.0.0"),
            position(event="changed", source="updater", property="pinned_version", value=""),
            position(event="stopped"),
        ]
        assert order == sorted(order), lines
        ctl(bus, "watch", "--json=pretty", code=2)

    def test_absent(bus):
        text = ctl(bus, "status", code=3).stdout
        assert "Agent: not running" in text and "Last update:" in text
        status = json.loads(ctl(bus, "status", "--json=short", code=3).stdout)
        assert status["agent"] == {"running": False} and status["updater"]["running"] is True
        assert "not running" in ctl(bus, "check-update", code=1).stderr

    def test_nobody(bus):
        text = ctl(bus, "status", code=3).stdout
        assert "Updater: cannot be started over the bus" in text
        ctl(bus, "versions", code=1)
        ctl(bus, "rollback", code=1)
        nowhere = Bus("/nonexistent", None)
        nowhere.env = {"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus"}
        assert "bus" in ctl(nowhere, "status", code=1).stderr

    for tests, arguments in (
        ([test_status, test_lists, test_changes], [service]),
        ([test_watch], [service]),
        ([test_absent], [service, "updater-only"]),
        ([test_nobody], [None]),
    ):
        with tempfile.TemporaryDirectory(prefix="fleet-ctl-") as folder, Bus(folder, *arguments) as bus:
            for test in tests:
                test(bus)
    return 0


if __name__ == "__main__":
    sys.exit(main())

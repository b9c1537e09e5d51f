# SPDX-License-Identifier: Apache-2.0
"""What a backup of 100,000 agents costs those who use the gateway meanwhile: the same requests, one after the other, without a
backup and while one after the other is made."""

import http.client
import json
import re
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from gateway_fleet import Gateway
from lists import AGENTS, fill

SECONDS = 20.0


class Backups(threading.Thread):
    """One after the other, until it is told to stop; read by a process of its own."""

    def __init__(self, gateway: Gateway, ctl: Path) -> None:
        super().__init__(daemon=True)
        self.gateway, self.ctl, self.times, self.size, self.over = gateway, ctl, [], 0, False
        self.start()

    def run(self) -> None:
        env = {
            "FLEET_GATEWAY": f"https://localhost:{self.gateway.port}",
            "FLEET_CA": str(self.gateway.state / "ca.pem"),
            "FLEET_TOKEN_FILE": str(self.gateway.state / "admin.token"),
        }
        file = self.gateway.folder / "backup.tar"
        argv = [str(self.ctl), "backup", str(file), "--force", "-o", "json", f"--state-directory={self.gateway.state}"]
        while not self.over:
            started = time.perf_counter()
            made = subprocess.run(argv, env=env, check=True, capture_output=True, timeout=120)
            self.times.append(time.perf_counter() - started)
            self.size = json.loads(made.stdout)["database_bytes"]

    def stop(self) -> None:
        self.over = True
        self.join(120)


class Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def steps(gateway: Gateway) -> list[tuple[str, int]]:
    """How many steps of backups kept the store busy for at most so long, as the gateway counts them."""
    connection = Unix(gateway.folder / "admin.sock")
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    found = re.findall(r'^fleet_db_query_duration_seconds_bucket\{query="backup",le="([^"]+)"\} (\d+)', text, re.M)
    return [(bound, int(n)) for bound, n in found]


def ask(gateway: Gateway) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {"a page of 200, by id": [], "a label of one agent": []}
    end = time.perf_counter() + SECONDS
    n = 0
    while time.perf_counter() < end:
        agent = gateway.online[n * 7919 % len(gateway.online)]
        for name, request in (
            ("a page of 200, by id", ("GET", "/agents?fields=narrow")),
            ("a label of one agent", ("POST", "/agents/labels", {"agent": agent, "labels": {"wave": str(n)}})),
        ):
            started = time.perf_counter()
            status, _, data = gateway.raw(*request)
            times[name].append((time.perf_counter() - started) * 1000)
            assert status == 200, data
        n += 1
    return times


def measure(program: Path, ctl: Path) -> tuple[str, list[tuple[str, ...]], dict[str, Any]]:
    rows: list[tuple[str, ...]] = [("what", "p50", "p99", "max", "requests")]
    figures: dict[str, Any] = {"agents": AGENTS}
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(str(program), Path(folder))
        with gateway.config.open("a") as config:
            config.write(f"AdminListen={folder}/admin.sock\n")
        gateway.start()
        gateway.stop()
        fill(gateway)
        gateway.start()
        try:
            for when in ("at rest", "during backups"):
                backups = Backups(gateway, ctl) if when == "during backups" else None
                for name, times in ask(gateway).items():
                    p99 = statistics.quantiles(times, n=100)[98]
                    rows.append((f"{name}, {when}", *(f"{t:.1f} ms" for t in (statistics.median(times), p99, max(times))), str(len(times))))
                    figures[f"{name}, {when}"] = {"p50_ms": round(statistics.median(times), 1), "p99_ms": round(p99, 1), "max_ms": round(max(times), 1)}
                if backups:
                    backups.stop()
                    took = statistics.median(backups.times)
                    rows.append(("a backup (while asked)", f"{took:.1f} s", "", f"{max(backups.times):.1f} s", str(len(backups.times))))
                    counted = steps(gateway)
                    for bound, n in counted:
                        if bound in ("0.005", "0.01", "0.025", "0.05", "0.1", "+Inf"):
                            rows.append((f"steps of a backup within {bound} s", str(n), "", "", ""))
                    figures["steps"] = dict(counted)
                    figures["backup"] = {"seconds": round(took, 1), "bytes": backups.size}
        finally:
            gateway.stop()
    return f"Backups of {AGENTS} agents, {figures['backup']['bytes'] / 1e6:.0f} MB each", rows, figures

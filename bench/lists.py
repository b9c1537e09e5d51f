# SPDX-License-Identifier: Apache-2.0
"""How long lists of 100,000 agents take. The agents are put into the gateway's database while it is stopped; then one client
asks over one HTTPS connection, so that the figures are those of the gateway and not of handshakes."""

import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway_fleet import SORTS, Gateway

AGENTS = 100_000
REQUESTS = 100
NOW = 1_790_000_000_000_000
LABELS = {
    "env": ["production"] * 6 + ["staging"] * 3 + ["test"],
    "role": ["web", "db", "app", "cache"],
    "site": ["ams", "fra", "nyc"],
    "rack": [f"r{i}" for i in range(500)],
}
VERSIONS = ["1.0.0", "1.1.0", "1.2.0", "1.2.1", "2.0.0-rc.1"]
PHASES = [""] * 6 + ["succeeded"] * 3 + ["failed"]

_AGENT = (
    "INSERT INTO agents (id, state, version, enrolled, last_seen, connected, hostname, os_id, os_version_id, kernel,"
    " architecture, boot_id, key_hash, address, update_phase, update_version, token_misses, clone_suspected,"
    " metadata_expires, pinned, packaging) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,0,0,0,0,1)"
)
_INSTRUCTION = (
    "INSERT INTO instructions (id, agent, desired, generation, attempt, version, phase, terminal, retry, cancel_requested,"
    " sequence, bytes_done, bytes_total, created, updated, deadline, finished)"
    " VALUES (?,?,1,1,1,'1.2.0',?,1,0,0,0,0,0,1,1,1,1)"
)


def fill(gateway: Gateway, count: int = AGENTS) -> None:
    draw = random.Random(1)
    agents, labels, instructions = [], [], []
    for i in range(count):
        agent = draw.randbytes(16).hex()
        chosen = {key: draw.choice(values) for key, values in LABELS.items()}
        state = 2 if draw.random() < 0.95 else draw.choice((0, 1))
        phase = draw.choice(PHASES)
        # hosts are named by what they do, as they are: then a label and a name lie close together
        host = f"{chosen['role']}{i:06}.{chosen['site']}.example.com"
        agents.append((
            agent, state, draw.choice(VERSIONS), NOW - draw.randrange(10**12), NOW - draw.randrange(10**9),
            NOW - draw.randrange(10**10), host, draw.choice(("debian", "ubuntu", "rhel")), "12",
            draw.choice(("6.1.0-31-amd64", "5.15.0-100-generic", "5.14.0-427.el9")),
            draw.choice(["x86_64"] * 9 + ["aarch64"]), draw.randbytes(16).hex(), agent * 2,
            f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}:4711", phase, "1.2.0" if phase else None,
        ))  # fmt: skip
        labels += [(agent, key, value) for key, value in chosen.items()]
        if phase:
            instructions.append((agent, agent, phase))
        if state == 2:
            gateway.online.append(agent)
    with gateway.database() as db:
        db.executemany(_AGENT, agents)
        db.executemany("INSERT INTO agent_labels VALUES (?,?,?)", labels)
        db.executemany(_INSTRUCTION, instructions)


class Clock:
    def __init__(self, gateway: Gateway, agents: int, requests: int) -> None:
        self.gateway = gateway
        self.agents, self.requests = agents, requests
        self.rows: list[tuple[str, ...]] = [("what", "p50", "p99", "KiB")]
        self.figures: dict[str, Any] = {}

    def time(self, name: str, path: str, body: Any = None, **headers: str) -> Any:
        """The same request again and again; its answer."""
        times = []
        for _ in range(self.requests):
            started = time.perf_counter()
            status, _, data = self.gateway.raw("POST" if body else "GET", path, body, **headers)
            times.append((time.perf_counter() - started) * 1000)
            assert status == 200, data
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        self.rows.append((name, f"{p50:.1f} ms", f"{p99:.1f} ms", f"{len(data) / 1024:.0f}"))
        self.figures[name] = {"p50_ms": round(p50, 1), "p99_ms": round(p99, 1)}
        return json.loads(data)

    def middle(self, query: str) -> str:
        """A cursor to the middle of the list."""
        cursor = ""
        for _ in range(self.agents // 2 // 1000):
            page = self.gateway.ask("GET", f"/agents?fields=narrow&limit=1000&{query}{cursor}")
            cursor = f"&cursor={page['next_cursor']}"
        return cursor


def orders(clock: Clock) -> None:
    for sort in SORTS:
        clock.time(f"first page by {sort}", f"/agents?fields=narrow&sort={sort}")
        middle = clock.middle(f"sort={sort}")
        clock.time(f"middle page by {sort}", f"/agents?fields=narrow&sort={sort}{middle}")
    clock.time("first page, full view", "/agents")
    clock.time("1000 agents, narrow", "/agents?fields=narrow&limit=1000")


def filters(clock: Clock) -> None:
    for name, query in (
        ("one label (30 %)", "selector=" + quote("env=staging")),
        ("one label (0.2 %)", "selector=" + quote("rack=r7")),
        ("two labels", "selector=" + quote("env=staging,role=db")),
        ("not a label", "selector=" + quote("env!=production")),
        ("label, state and version", "state=online&version=1.1.0&selector=" + quote("env=staging")),
        ("state and version", "state=online&version=1.1.0"),
        ("update failed", "update=failed"),
        ("one host name", "q=web0123"),
        ("1,000 host names", "q=" + ",".join(f"web{i:06}" for i in range(0, clock.agents, 100))),
    ):
        page = clock.time(f"{name}, by id", f"/agents?fields=narrow&{query}")
        clock.time(f"{name}, by last_seen", f"/agents?fields=narrow&sort=-last_seen&{query}")
        clock.figures[f"{name}, by id"]["total"] = page["total"]
    clock.time("worst: a label that the order leaves behind", "/agents?fields=narrow&sort=hostname&selector=" + quote("role=web"))


def counts(clock: Clock) -> None:
    clock.time("summary", "/agents/summary")
    clock.time("summary with two labels as facets", "/agents/summary?facet=label:env,label:role")
    clock.time("summary of one label (30 %)", "/agents/summary?selector=" + quote("env=staging"))
    clock.time("summary of state and version", "/agents/summary?state=online&version=1.1.0")
    clock.time("count and digest of all", "/agents/match", {"all": True})
    clock.time("count and digest of one label", "/agents/match", {"selector": "env=staging"})
    clock.time("labels and their values", "/labels")


def once(clock: Clock) -> None:
    for name, call in (
        ("CSV of all agents", lambda: clock.gateway.raw("GET", "/agents", Accept="text/csv")),
        ("a label for all agents", lambda: clock.gateway.raw("POST", "/agents/labels", {"all": True, "labels": {"x": "y"}})),
    ):
        started = time.perf_counter()
        status, _, data = call()
        took = (time.perf_counter() - started) * 1000
        assert status == 200, data
        clock.rows.append((f"{name} (once)", f"{took:.0f} ms", "", f"{len(data) / 1024:.0f}"))
        clock.figures[name] = {"ms": round(took)}


def measure(
    program: Path, agents: int = AGENTS, requests: int = REQUESTS
) -> tuple[str, list[tuple[str, ...]], dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(str(program), Path(folder))
        gateway.start()
        gateway.stop()
        fill(gateway, agents)
        gateway.start()
        try:
            clock = Clock(gateway, agents, requests)
            orders(clock)
            filters(clock)
            counts(clock)
            once(clock)
        finally:
            gateway.stop()
    title = f"Lists of {agents} agents, pages of 200 unless said otherwise, {requests} requests each"
    return title, clock.rows, {"agents": agents, "requests": requests, "figures": clock.figures}

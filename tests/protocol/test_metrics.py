# SPDX-License-Identifier: Apache-2.0
"""The numbers of a gateway with agents, as Prometheus reads them."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

from harness.command import execute
from harness.product import Repository
from harness.wait import wait_for

from . import h2
from .identity import own
from .loopback import Agent, Loopback, Program
from .test_stream import hello

_OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"

Samples = dict[str, float]


def _scrape(loop: Loopback, accept: str = "*/*") -> str:
    path = str(loop.folder / "admin.sock")
    argv = ["curl", "-sSf", "--max-time", "10", "--unix-socket", path, "--header", f"Accept: {accept}"]
    return execute([*argv, "http://localhost/metrics"]).stdout


def _samples(text: str) -> Samples:
    """Each line as it stands, without its value: name and labels."""
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    found: Samples = {}
    for series, value in lines:
        assert series not in found, f"twice: {series}"
        found[series] = float(value)
    return found


def _fresh(loop: Loopback, wanted: Samples, what: str) -> Samples:
    """The store counts at most every five seconds."""

    def there() -> Samples | None:
        have = _samples(_scrape(loop))
        return have if all(have.get(series) == value for series, value in wanted.items()) else None

    try:
        return wait_for(there, 20, what, 0.3)
    except AssertionError:
        have = _samples(_scrape(loop))
        raise AssertionError({s: have.get(s) for s in wanted}) from None


def _promtool(*arguments: str, text: str = "") -> None:
    assert shutil.which("promtool"), "promtool is missing: tools/deps test"
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, (arguments, done.stdout, done.stderr)


def _types(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.M))


def _documented() -> dict[str, str]:
    rows = re.findall(
        r"^\| `(\w+)` \| (counter|gauge|histogram|info) \|",
        (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(),
        flags=re.M,
    )
    return dict(rows)


def _import(loop: Loopback, repository: Repository, *, check: bool = True) -> int:
    return loop.ctl("release", "import", str(repository.folder), check=check).returncode


def _small_files(loop: Loopback) -> tuple[Path, Path]:
    agent, updater = loop.folder / "release-agent", loop.folder / "release-updater"
    for path in (agent, updater):
        path.write_bytes(os.urandom(1 << 20))
    return agent, updater


def _damaged(loop: Loopback, repository: Repository) -> Repository:
    copy = Repository.__new__(Repository)
    copy.build, copy.folder = repository.build, loop.folder / "damaged"
    shutil.copytree(repository.folder, copy.folder)
    timestamp = copy.folder / "metadata" / "timestamp.json"
    data = timestamp.read_text()
    at = data.index('"sig"') + 10
    timestamp.write_text(data[:at] + ("0" if data[at] != "0" else "1") + data[at + 1 :])
    return copy


def _begin(loop: Loopback) -> tuple[Agent, Agent]:
    loop.start_gateway(f"AdminListen={loop.folder}/admin.sock\nLeaseSec=10")
    repository = Repository(loop.build, loop.folder / "repository")
    repository.release("1.1.0", files=_small_files(loop))
    assert _import(loop, _damaged(loop, repository), check=False) != 0
    _import(loop, repository)
    agents = loop.new_agent("one"), loop.new_agent("two")
    for agent in agents:
        agent.start(loop.token())
    stranger = loop.new_agent("stranger")
    stranger.start(f"fjt1_{'0' * 16}_{'0' * 64}_{loop.token().rsplit('_', 1)[1]}")
    for agent in agents:
        agent.wait_online()
    assert stranger.program is not None
    wait_for(lambda: "not known here" in stranger.program.output(), 20, "the stranger to be refused", 0.1)
    stranger.program.stop()
    return agents


def numbers_move() -> None:
    """Two agents, an update that ends, one that runs out of time, an import that is refused, a stranger."""
    with Loopback("metrics") as loop:
        one, two = _begin(loop)
        before = _fresh(
            loop,
            {
                'fleet_agents{state="online"}': 2,
                'fleet_agents{state="offline"}': 0,
                'fleet_agents_by_version{version="1.0.0"}': 2,
                "fleet_instructions_in_flight": 0,
                "fleet_grpc_streams": 2,
                "fleet_store_up": 1,
                'fleet_enrollments_total{result="ok"}': 2,
                'fleet_signature_verifications_total{result="ok"}': 1,
                'fleet_signature_verifications_total{result="bad-signature"}': 1,
                "fleet_sse_clients": 0,
            },
            "the fleet to be counted",
        )
        assert before['fleet_enrollments_total{result="token-unknown"}'] >= 1, before
        updates = {s: v for s, v in before.items() if s.startswith("fleet_agent_updates_total")}
        assert updates and set(updates.values()) == {0}, updates
        assert [s for s in before if s.startswith("fleet_build_info{") and 'version="1.0.0"' in s]
        now = time.time()
        for which in ("ca", "server", "agent_earliest"):
            assert before[f'fleet_certificate_expiry_timestamp_seconds{{which="{which}"}}'] > now + 86400
        for role in ("root", "timestamp", "snapshot", "targets"):
            assert before[f'fleet_metadata_expiry_timestamp_seconds{{role="{role}"}}'] > now + 86400
        assert before["process_start_time_seconds"] < now + 1 < before["process_start_time_seconds"] + 120

        # one ends by itself (there is no updater here), one is stopped and says nothing any more
        assert two.program is not None
        loop.ctl("update", one.id, "--version", "1.1.0")
        wait_for(lambda: one.seen()["updates"][:1] and one.seen()["updates"][0]["terminal"], 30, "the update", 0.1)
        os.kill(two.program.process.pid, signal.SIGSTOP)
        loop.ctl("update", two.id, "--version", "1.1.0")
        _fresh(loop, {"fleet_instructions_in_flight": 1}, "an instruction to be in flight")
        events = loop.spawn("events", _curl_events(loop))
        after = _fresh(
            loop,
            {
                'fleet_agents{state="online"}': 1,
                'fleet_agents{state="offline"}': 1,
                'fleet_agent_updates_total{result="failed",phase="staging"}': 1,
                'fleet_agent_updates_total{result="timed-out",phase="offered"}': 1,
                'fleet_agent_updates_total{result="succeeded",phase="none"}': 0,
                'fleet_agent_update_duration_seconds_count{result="failed"}': 1,
                'fleet_agent_update_duration_seconds_count{result="timed-out"}': 1,
                "fleet_leases_expired_total": 1,
                "fleet_grpc_streams": 1,
                "fleet_sse_clients": 1,
            },
            "the updates to be counted",
        )
        os.kill(two.program.process.pid, signal.SIGCONT)
        assert events.running
        assert after['fleet_agent_update_duration_seconds_sum{result="timed-out"}'] >= 10
        assert after["process_cpu_seconds_total"] > before["process_cpu_seconds_total"]
        _no_machine_is_named(loop, one, two)
        for series, value in before.items():
            name = series.split("{")[0]
            if name.endswith(("_total", "_count", "_bucket")):
                assert after[series] >= value, f"a counter went back: {series}"
        assert not [s for s, v in after.items() if s.startswith("fleet_invariant_violations_total") and v > 0]
        assert 'fleet_http_request_duration_seconds_count{route="/api/v1/updates",method="POST",code="2xx"}' in after
        for query in ("hello", "status", "reconcile", "enroll", "import", "commit", "metrics", "api_read"):
            assert after[f'fleet_db_query_duration_seconds_count{{query="{query}"}}'] > 0, query
        assert 'fleet_db_query_duration_seconds_count{query="other"}' not in after, "a job without a kind"


def _curl_events(loop: Loopback) -> list[str]:
    token = (loop.state / "admin.token").read_text().strip()
    argv = ["curl", "-sSN", "--cacert", str(loop.ca), "--header", f"Authorization: Bearer {token}"]
    return [*argv, f"https://localhost:{loop.https_port}/api/v1/events"]


def _no_machine_is_named(loop: Loopback, *agents: Agent) -> None:
    text = _scrape(loop)
    for word in (*(a.id for a in agents), os.uname().nodename, "127.0.0.1", str(loop.folder)):
        assert word not in text, f"{word} is in the metrics"
    assert len(text) < 200_000, f"{len(text)} bytes for two agents"


def prometheus_reads_it() -> None:
    """Both formats by Prometheus' own parsers, and the names against those that are promised."""
    with Loopback("promtool") as loop:
        loop.start_gateway(f"AdminListen={loop.folder}/admin.sock")
        agent = loop.new_agent()
        agent.start(loop.token())
        agent.wait_online()
        _fresh(loop, {'fleet_agents{state="online"}': 1}, "the agent to be counted")

        text = _scrape(loop)
        _promtool("check", "metrics", text=text)
        new = _scrape(loop, _OPENMETRICS)
        assert new.endswith("\n# EOF\n") and "# UNIT process_cpu_seconds seconds\n" in new
        _read_by_openmetrics_parser(loop, new)
        try:  # the check is worth something
            _read_by_openmetrics_parser(loop, new.replace("# UNIT process_cpu_seconds seconds\n", "# UNIT process_cpu_seconds hours\n"))
        except AssertionError:
            pass
        else:
            raise AssertionError("promtool takes everything for OpenMetrics")

        # the same families and series in both, but for what OpenMetrics calls them; one may be born in between
        wait_for(
            lambda: set(_samples(_scrape(loop))) == set(_samples(_scrape(loop, _OPENMETRICS))),
            10,
            "the same series in both formats",
        )
        types = {n + {"counter": "_total", "info": "_info"}.get(t, ""): t for n, t in _types(new).items()}
        assert {n: "gauge" if t == "info" else t for n, t in types.items()} == _types(text)
        promised = _documented()
        assert types == promised, set(types.items()) ^ set(promised.items())


def _read_by_openmetrics_parser(loop: Loopback, text: str) -> None:
    """The only command of promtool that reads this format wants samples with a time."""
    stamped = "".join(
        line if line.startswith("#") else line.rstrip("\n") + " 1700000000\n"
        for line in text.splitlines(keepends=True)
    )
    source, target = loop.folder / "openmetrics.txt", loop.folder / "blocks"
    source.write_text(stamped)
    _promtool("tsdb", "create-blocks-from", "openmetrics", str(source), str(target))


def loopback_port_instead_of_a_path() -> None:
    """AdminListen=127.0.0.1:PORT works, an address that others reach does not, and empty means none."""
    with Loopback("admin") as loop:
        loop.start_gateway("AdminListen=127.0.0.1:0")
        assert loop.gateway is not None
        found = re.search(r"metrics and health on port (\d+)", loop.gateway.output())
        assert found, loop.gateway.output()
        url = f"http://127.0.0.1:{found[1]}"
        assert "\nfleet_store_up 1\n" in execute(["curl", "-sSf", f"{url}/metrics"]).stdout
        assert '"status":"ok"' in execute(["curl", "-sSf", f"{url}/readyz"]).stdout
        loop.gateway.stop()
        loop.start_gateway("AdminListen=")
        assert "metrics and health" not in loop.gateway.output().split("The gateway stops")[-1]
        loop.gateway.stop()
        loop.start_gateway(f"AdminListen=0.0.0.0:9464\nAdminListen={loop.folder}/admin.sock")
        assert "must not be reached from other machines" in loop.gateway.output()
        assert "fleet_store_up 1" in _scrape(loop)


def _health(loop: Loopback, path: str) -> dict[str, Any]:
    admin = str(loop.folder / "admin.sock")
    argv = ["curl", "-sS", "--max-time", "10", "--unix-socket", admin, f"http://localhost{path}"]
    return dict(json.loads(execute(argv).stdout))


def watched_from_the_start_to_the_end() -> None:
    """The admin socket is there before the gateway is ready, and until it has ended."""
    with Loopback("health") as loop:
        settings = f"AdminListen={loop.folder}/admin.sock"
        gateway = loop.start_gateway(settings)
        agent = loop.new_agent()
        agent.start(loop.token())
        agent.wait_online()
        assert _health(loop, "/readyz")["status"] == "ok"

        # somebody who takes nothing, and so cannot be told goodbye, holds up the end for five seconds
        assert agent.program is not None
        agent.program.stop()
        deaf = h2.Connection(loop.agent_port, ca=loop.ca, identity=own(agent.state))
        deaf.send(h2.frame(h2.SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))  # a window of nothing
        deaf.open(1, "Connect", hello(agent.id))
        wait_for(lambda: agent.seen().get("state") == "online", 20, "the deaf one to be online", 0.1)
        gateway.process.terminate()
        wait_for(lambda: _health(loop, "/readyz")["status"] == "stopping", 3, "the gateway to stop", 0.05)
        stopping = _health(loop, "/readyz")
        assert stopping["checks"]["running"] == "failing" and stopping["checks"]["store"] == "ok", stopping
        assert _health(loop, "/healthz")["status"] == "ok"
        assert "\nfleet_store_up 1\n" in _scrape(loop)
        public = f"https://localhost:{loop.https_port}"
        answer = execute(["curl", "-ks", f"{public}/readyz"]).stdout
        assert json.loads(answer)["status"] == "stopping", answer
        answer = execute(["curl", "-ks", f"{public}/ca.pem"]).stdout
        assert json.loads(answer)["status"] == 503, answer
        assert gateway.process.wait(15) == 0
        deaf.close()
        assert not (loop.folder / "admin.sock").exists()

        # somebody holds the database while it starts
        database = sqlite3.connect(loop.state / "gateway.db", isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        argv = [str(a) for a in gateway.process.args]
        loop.gateway = loop.spawn("again", argv)
        wait_for((loop.folder / "admin.sock").exists, 10, "the admin socket", 0.05)
        starting = _health(loop, "/readyz")
        assert starting["status"] == "starting" and starting["checks"]["ports"] == "failing", starting
        assert _health(loop, "/healthz")["status"] == "ok"
        database.execute("ROLLBACK")
        database.close()
        wait_for(lambda: _health(loop, "/readyz")["status"] == "ok", 10, "the gateway to be ready", 0.1)


def _start_with_socket(loop: Loopback, listening: socket.socket, gateway: list[str]) -> Program:
    """As the service manager does it: the descriptor is number 3, and has a name."""
    handed = os.dup(listening.fileno())
    script = f'exec 3<&{handed}; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=admin; exec "$@"'
    os.set_inheritable(handed, True)
    try:
        return loop.spawn("activated", ["sh", "-c", script, "sh", *gateway], close_fds=False)
    finally:
        os.close(handed)


def socket_of_the_service_manager() -> None:
    """It is taken and not removed; one that other machines can reach is refused, whoever passed it."""
    with Loopback("activated") as loop:
        gateway = loop.start_gateway(f"AdminListen={loop.folder}/not-this-one.sock")
        gateway.stop()
        argv = [str(a) for a in gateway.process.args]
        with socket.create_server(("0.0.0.0", 0)) as everybody:
            refused = _start_with_socket(loop, everybody, argv)
            assert refused.process.wait(10) != 0
            assert "can be reached from other machines" in refused.output(), refused.output()
        with socket.socket(socket.AF_UNIX) as ours:
            ours.bind(str(loop.folder / "admin.sock"))
            ours.listen()
            taken = _start_with_socket(loop, ours, argv)
            assert "fleet_store_up 1" in wait_for(lambda: _scrape(loop), 10, "the metrics", 0.1)
            assert not (loop.folder / "not-this-one.sock").exists()
            taken.stop()
            assert (loop.folder / "admin.sock").exists()


TESTS = [
    numbers_move,
    prometheus_reads_it,
    loopback_port_instead_of_a_path,
    watched_from_the_start_to_the_end,
    socket_of_the_service_manager,
]

# SPDX-License-Identifier: Apache-2.0
"""Peers that break the rules cost the gateway little, and the other agents nothing."""

import os
import random
import socket
import sqlite3
import ssl
import time

from harness.wait import wait_for

from . import h2
from .identity import issue, own, request
from .loopback import Agent, Loopback
from .test_stream import enrolled, hello

_MEMORY_KIB = 64 * 1024


class Bystander:
    """A well-behaved agent that must not notice any of it."""

    def __init__(self, loop: Loopback) -> None:
        self.loop = loop
        self.agent: Agent = enrolled(loop, "bystander")
        assert loop.gateway is not None
        self.gateway = loop.gateway
        self.before = self.gateway.resident_kib()

    def check(self) -> None:
        assert self.loop.healthy()
        assert self.agent.seen()["state"] == "online", "the bystander is offline"
        assert self.agent.program is not None
        assert "disconnected" not in self.agent.program.output().lower()
        grown = self.gateway.resident_kib() - self.before
        assert grown < _MEMORY_KIB, f"the gateway grew by {grown} KiB"


def _connection(loop: Loopback, agent_id: str, **how: int) -> h2.Connection:
    (state,) = (f.parent for f in loop.folder.glob("*/state") if agent_id in (f.parent / "agent.conf").read_text())
    identity = own(state / "state")
    return h2.Connection(loop.agent_port, ca=loop.ca, identity=identity, **how)


def _guest(loop: Loopback) -> str:
    """An enrolled id whose agent is gone, for connections of our own."""
    agent = enrolled(loop, "guest")
    assert agent.program is not None
    agent.program.stop()
    return agent.id


def garbage() -> None:
    with Loopback("garbage") as loop:
        loop.start_gateway()
        bystander = Bystander(loop)
        guest = _guest(loop)
        noise = random.Random(1)
        for port in (loop.agent_port, loop.enroll_port, loop.https_port):
            for _ in range(10):
                with socket.create_connection(("127.0.0.1", port), 5) as raw:
                    raw.sendall(noise.randbytes(2000))
        context = ssl.create_default_context(cafile=str(loop.ca))
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", loop.enroll_port), 5) as raw:
                with context.wrap_socket(raw, server_hostname="localhost") as peer:
                    peer.sendall(h2.PREFACE + noise.randbytes(2000))

        payloads = [
            noise.randbytes(1000),
            b"",  # no message in the oneof
            h2.pb_bytes(2, b""),  # Heartbeat before Hello
            h2.pb_bytes(1, h2.pb_bytes(1, b"\xff\xfe")),  # an id that is no UTF-8
            h2.pb_bytes(1, h2.pb_bytes(1, guest) + h2.pb_bytes(2, "no version")),
            hello(guest) + hello(guest),
        ]
        for payload in payloads:
            connection = _connection(loop, guest)
            connection.open(1, "Connect", payload)
            answer = connection.read(1, timeout=5)
            if payload is not payloads[-1]:
                assert answer.ended or answer.reset or connection.closed, (payload[:40], answer)
            connection.close()
        connection = _connection(loop, guest)
        connection.open(1, "NoSuchMethod", b"")
        assert b"grpc-status" in connection.read(1, timeout=5).headers or connection.closed
        connection.close()
        bystander.check()


def oversized() -> None:
    with Loopback("oversized") as loop:
        loop.start_gateway()
        bystander = Bystander(loop)
        guest = _guest(loop)
        huge = h2.pb_bytes(1, h2.pb_bytes(1, "a" * (8 << 20)))
        for port_name, method in (("agent_port", "Connect"), ("enroll_port", "Enroll")):
            if method == "Enroll":
                connection = h2.Connection(loop.enroll_port, ca=loop.ca)
            else:
                connection = _connection(loop, guest)
            try:
                connection.open(1, method, huge, end=method == "Enroll")
                answer = connection.read(1, timeout=5)
                assert answer.ended or answer.reset or connection.closed, (port_name, answer)
            except OSError:
                pass  # closed in our face while we were still sending
            connection.close()
        body = loop.folder / "body"
        body.write_bytes(b'{"x": "' + b"a" * (4 << 20))
        url = f"https://localhost:{loop.https_port}/api/v1/updates"
        token = (loop.state / "admin.token").read_text().strip()
        status = os.popen(  # noqa: S605 - the command is ours
            f"curl -sk -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {token}' "
            f"--data-binary @{body} {url}"
        ).read()
        assert status in ("413", "400"), status
        bystander.check()


def slow_reader() -> None:
    """It asks for answers and never reads them: its stream is ended, its queue never grows."""
    with Loopback("slow-reader") as loop:
        loop.start_gateway()
        bystander = Bystander(loop)
        guest = _guest(loop)
        connection = _connection(loop, guest, receive_buffer=4096)
        connection.open(1, "Connect", hello(guest))
        status = h2.pb_bytes(1, "0" * 32) + h2.pb_bytes(4, "0.9.0") + h2.pb_bytes(5, "1.0.0")
        flood = h2.pb_bytes(3, status + b"\x18\x03")
        sent = 0
        try:
            connection.socket.settimeout(5)
            for _ in range(200_000):
                connection.send_message(1, flood)
                sent += 1
        except OSError:
            pass  # the gateway has stopped taking it, or has closed it
        bystander.check()
        connection.close()
        wait_for(lambda: loop.agent(guest).get("state") == "offline", 20, "the guest to be gone")


def idle_connections() -> None:
    """Hundreds that connect and say nothing do not keep an agent out."""
    with Loopback("idle") as loop:
        loop.start_gateway()
        bystander = Bystander(loop)
        idle = []
        try:
            for port in (loop.agent_port, loop.enroll_port, loop.https_port):
                idle += [socket.create_connection(("127.0.0.1", port), 5) for _ in range(150)]
            late = enrolled(loop, "late")
            assert late.seen()["state"] == "online"
            bystander.check()
        finally:
            for connection in idle:
                connection.close()


def strange_statuses() -> None:
    """What cannot be about an instruction of the gateway's is acknowledged, and does not fill its journal."""
    with Loopback("statuses") as loop:
        gateway = loop.start_gateway()
        bystander = Bystander(loop)
        guest = _guest(loop)
        connection = _connection(loop, guest)
        connection.open(1, "Connect", hello(guest))
        connection.read(1, until_end=False)
        for i in range(30):
            for text in ("line\nfleet-gatewayd: forged", "x" * 300, f"{i:032x}"):
                connection.send_message(1, h2.pb_bytes(3, h2.pb_bytes(1, text) + b"\x18\x03"))
        for _ in range(5):  # TIMED_OUT is the gateway's word
            connection.send_message(1, h2.pb_bytes(3, h2.pb_bytes(1, "0" * 32) + b"\x18\x0d"))
        answer = connection.read(1, timeout=2)
        assert answer.data.count(b"0" * 31) >= 6, "they were not acknowledged"
        assert not answer.ended, "the stream was ended"
        connection.close()
        log = gateway.output()
        assert "forged" not in log and "xxxx" not in log, log
        assert log.count("ignoring") == 1, log
        bystander.check()


def strange_versions() -> None:
    """What a status says that an update began with is kept if it is a version, and else left out."""
    with Loopback("versions") as loop:
        loop.start_gateway()
        guest = _guest(loop)
        instruction = "b" * 32
        with sqlite3.connect(loop.state / "gateway.db", timeout=10) as database:
            t = int(time.time() * 1e6)
            values = {"id": instruction, "agent": guest, "version": "1.1.0", "from_version": "1.0.0", "phase": "offered",
                      "created": t, "updated": t, "deadline": t + 3600 * 10**6, "verdict": "none"}
            names = [row[1] for row in database.execute("PRAGMA table_info(instructions)") if row[1] != "number"]
            nullable = {row[1] for row in database.execute("PRAGMA table_info(instructions)") if not row[3]}
            row = {n: values.get(n, None if n in nullable else 0) for n in names}
            marks = ",".join("?" * len(row))
            database.execute(f"INSERT INTO instructions ({','.join(row)}) VALUES ({marks})", list(row.values()))
        database.close()
        connection = _connection(loop, guest)
        connection.open(1, "Connect", hello(guest))
        connection.read(1, until_end=False)
        odd = ("\x1b[31m1.0.0", "a" * 63 + "\u00e9" * 3, "1.0.0 ", "latest", "1.0.0-" + "a" * 300)
        for number, text in enumerate(odd, 1):
            status = h2.pb_bytes(1, instruction) + b"\x18\x03" + h2.pb_bytes(4, text) + b"\x60" + h2.varint(number)
            connection.send_message(1, h2.pb_bytes(3, status))
        answer = connection.read(1, timeout=3)
        assert not answer.ended, "the stream was ended"
        assert answer.data.count(instruction.encode()) >= len(odd), "they were not acknowledged"
        connection.close()
        with sqlite3.connect(loop.state / "gateway.db", timeout=10) as database:
            kept = database.execute("SELECT from_version, phase FROM instructions WHERE id = ?", (instruction,)).fetchone()
        database.close()
        assert kept == ("1.0.0", "downloading"), kept


def hello_flood() -> None:
    """Each Hello is written down for good: one id that says it all the time is sent away for a while."""
    with Loopback("flood") as loop:
        loop.start_gateway()
        bystander = Bystander(loop)
        guest = _guest(loop)
        welcome = drained = 0
        for _ in range(40):
            connection = _connection(loop, guest)
            connection.open(1, "Connect", hello(guest))
            answer = connection.read(1, until_end=False)
            # the first field of the first message: 1 Welcome, 4 Drain
            welcome += answer.data[5:6] == b"\x0a"
            drained += answer.data[5:6] == b"\x22"
            connection.close()
        assert 10 <= welcome <= 25 and welcome + drained == 40, (welcome, drained)
        bystander.check()


def silent_streams() -> None:
    """One certificate, with as many streams as it likes that say no Hello, takes nobody's place."""
    with Loopback("silent") as loop:
        loop.start_gateway("[Limits]\nAgentsMax=4")
        bystander = Bystander(loop)
        guest = _guest(loop)
        connections = [_connection(loop, guest) for _ in range(8)]
        for connection in connections:
            for stream in range(1, 17, 2):
                connection.open(stream, "Connect", None)
        refused = sum(connections[-1].read(stream, timeout=2).ended for stream in range(1, 17, 2))
        assert refused >= 4, f"{refused} of the last eight streams were refused"
        begun = time.monotonic()
        late = enrolled(loop, "late")
        took = time.monotonic() - begun
        assert late.seen()["state"] == "online" and took < 10, f"it came in after {took:.1f} s"
        bystander.check()
        for connection in connections:
            connection.close()


def old_certificate() -> None:
    """Who has a copy of an identity that was replaced cannot use up what the agent itself may, nor fill the journal."""
    with Loopback("old-certificate") as loop:
        gateway = loop.start_gateway()
        bystander = Bystander(loop)
        guest = _guest(loop)
        stolen = issue(loop.folder / "stolen", guest, ca=loop.ca, ca_key=loop.state / "ca.key")
        for _ in range(60):
            connection = h2.Connection(loop.agent_port, ca=loop.ca, identity=stolen)
            connection.open(1, "Connect", hello(guest))
            answer = connection.read(1)
            assert answer.data[5:6] != b"\x0a", "it was welcome"
            connection.close()
        own_connection = _connection(loop, guest)
        own_connection.open(1, "Connect", hello(guest))
        assert own_connection.read(1, until_end=False).data[5:6] == b"\x0a", "the agent itself is not welcome"
        own_connection.close()
        assert 1 <= gateway.output().count("was replaced by a newer one") <= 20
        bystander.check()


def probe_flood() -> None:
    """A Probe writes, and a renewal more: one agent may ask for few."""
    with Loopback("probe-flood") as loop:
        loop.start_gateway()
        bystander = Bystander(loop)
        guest = _guest(loop)
        answered = 0
        for _ in range(40):
            connection = _connection(loop, guest)
            connection.open(1, "Probe", h2.pb_bytes(1, guest) + h2.pb_bytes(2, "1.0.0"), end=True)
            answered += bool(connection.read(1).data)
            connection.close()
        assert 10 <= answered <= 25, answered
        renewed = 0
        csr = request(loop.folder / "csr", "guest")
        for _ in range(40):
            connection = _connection(loop, guest)
            connection.open(1, "RenewCertificate", h2.pb_bytes(1, csr), end=True)
            renewed += bool(connection.read(1).data)
            connection.close()
        assert 10 <= renewed <= 25, renewed
        bystander.check()


TESTS = [
    garbage, oversized, slow_reader, idle_connections, strange_statuses, strange_versions, hello_flood, silent_streams, old_certificate,
    probe_flood,
]

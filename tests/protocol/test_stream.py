# SPDX-License-Identifier: Apache-2.0
"""Sessions that end, return, and are taken over."""

import socket
import sqlite3
import ssl
import threading
from pathlib import Path

from harness.command import execute
from harness.wait import wait_for

from . import h2
from .identity import issue, own, request
from .loopback import Agent, Loopback


def hello(agent_id: str, version: str = "1.0.0") -> bytes:
    """AgentMessage { hello { agent_id, version } }"""
    return h2.pb_bytes(1, h2.pb_bytes(1, agent_id) + h2.pb_bytes(2, version))


def enrolled(loop: Loopback, name: str = "agent") -> Agent:
    agent = loop.new_agent(name)
    agent.start(loop.token())
    agent.wait_online()
    return agent


def reconnect() -> None:
    """The gateway dies and comes back, twice; nobody touches the agent."""
    with Loopback("reconnect") as loop:
        loop.start_gateway()
        agent = enrolled(loop)
        for kill in (True, False):
            assert loop.gateway is not None
            loop.gateway.stop(kill=kill)
            loop.start_gateway()
            agent.wait_online()


def newest_wins() -> None:
    """After a crash the old stream is a ghost: the new one must not wait for it."""
    with Loopback("newest") as loop:
        loop.start_gateway()
        agent = enrolled(loop)
        assert agent.program is not None
        agent.program.stop()
        identity = own(agent.state)
        old = h2.Connection(loop.agent_port, ca=loop.ca, identity=identity)
        first = old.open(1, "Connect", hello(agent.id))
        old.read(1, until_end=False)
        assert first.data, "no Welcome for the first"
        new = h2.Connection(loop.agent_port, ca=loop.ca, identity=identity)
        second = new.open(1, "Connect", hello(agent.id))
        new.read(1, until_end=False)
        assert second.data and not second.ended, "no Welcome for the second"
        old.read(1, until_end=True, timeout=5)
        assert first.ended or first.reset or old.closed, "the old stream was left open"


def ready(loop: Loopback, agent: Agent) -> bool:
    """Probe, as the updater's old binary asks it before it blames a release."""
    connection = h2.Connection(loop.agent_port, ca=loop.ca, identity=own(agent.state))
    connection.open(1, "Probe", h2.pb_bytes(1, agent.id) + h2.pb_bytes(2, "1.0.0"), end=True)
    answer = connection.read(1)
    connection.close()
    assert answer.data, answer
    return answer.data[5:7] == b"\x08\x01"


def probe_is_honest() -> None:
    """Ready means that a Hello would be answered by Welcome: not when the gateway is full, cannot store, or
    does not know the agent any more."""
    with Loopback("probe") as loop:
        loop.start_gateway("[Limits]\nAgentsMax=1")
        gone = enrolled(loop, "gone")
        assert ready(loop, gone)
        assert gone.program is not None and loop.gateway is not None
        gone.program.stop()
        wait_for(lambda: gone.seen()["state"] == "offline", 10, "the gateway to see it leave")
        here = enrolled(loop, "here")
        assert ready(loop, here), "an agent that has a session may renew it"
        assert not ready(loop, gone), "a Hello would be refused for AgentsMax="
        assert here.program is not None
        here.program.stop()
        wait_for(lambda: ready(loop, gone), 10, "room for the other")
        database = sqlite3.connect(loop.state / "gateway.db", isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        assert not ready(loop, gone), "the store cannot be written"
        database.execute("ROLLBACK")
        database.close()
        assert ready(loop, gone)
        token = (loop.state / "admin.token").read_text().strip()
        url = f"https://localhost:{loop.https_port}/api/v1/agents/{gone.id}"
        execute(["curl", "-ksf", "-X", "DELETE", "-H", f"Authorization: Bearer {token}", url])
        assert not ready(loop, gone), "it is not enrolled any more"


def wrong_identity() -> None:
    """A certificate speaks for one id, is for clients, is of our CA, and has not expired."""
    with Loopback("identity") as loop:
        loop.start_gateway()
        agent = enrolled(loop)
        ca_key = loop.state / "ca.key"
        other = issue(loop.folder / "other", "f" * 32, ca=loop.ca, ca_key=ca_key)
        connection = h2.Connection(loop.agent_port, ca=loop.ca, identity=other)
        connection.open(1, "Connect", hello(agent.id))
        answer = connection.read(1)
        assert not answer.data and (answer.ended or answer.reset or connection.closed), answer
        assert agent.seen()["state"] == "online"

        key, _ = own(agent.state)
        expired = issue(
            loop.folder / "old", agent.id, ca=loop.ca, ca_key=ca_key, expired=True, own_key=key
        )
        server = issue(
            loop.folder / "srv", agent.id, ca=loop.ca, ca_key=ca_key, usage="serverAuth", own_key=key
        )
        former = issue(loop.folder / "former", agent.id, ca=loop.ca, ca_key=ca_key)
        for what, identity in (
            ("none", None),
            ("expired", expired),
            ("a server's", server),
            ("for another key than the agent's", former),
        ):
            _refused(loop, agent, what, identity)
        assert agent.seen()["state"] == "online"


def _refused(loop: Loopback, agent: Agent, what: str, identity: tuple[Path, Path] | None) -> None:
    try:
        connection = h2.Connection(loop.agent_port, ca=loop.ca, identity=identity)
        connection.open(1, "Connect", hello(agent.id))
        answer = connection.read(1, timeout=5)
    except OSError:
        return  # refused in the handshake
    assert not answer.data and (answer.ended or answer.reset or connection.closed), (what, answer)


def replaced_certificate() -> None:
    """The old certificate is good until the new one is used, so that a lost answer costs nothing; then no more,
    neither for a stream nor for Probe and renewal. Whoever shows it does not disturb the agent."""
    with Loopback("replaced") as loop:
        loop.start_gateway()
        agent = enrolled(loop)
        assert agent.program is not None
        agent.program.stop()
        old = own(agent.state)
        csr = request(loop.folder, "new")
        connection = h2.Connection(loop.agent_port, ca=loop.ca, identity=old)
        connection.open(1, "RenewCertificate", h2.pb_bytes(1, csr), end=True)
        answer = connection.read(1)
        connection.close()
        der = answer.data[5:]
        assert der[0] == 0x0A, answer  # field 1, more than 127 bytes and less than 16384
        size = (der[1] & 127) | der[2] << 7
        (loop.folder / "new.crt.der").write_bytes(der[3 : 3 + size])
        certificate = loop.folder / "new.crt"
        convert = ["openssl", "x509", "-inform", "DER", "-in", f"{certificate}.der", "-out", str(certificate)]
        execute(convert)
        new = (certificate, loop.folder / "new.key")

        def welcome(identity: tuple[Path, Path], method: str, payload: bytes) -> h2.Connection | None:
            connection = h2.Connection(loop.agent_port, ca=loop.ca, identity=identity)
            connection.open(1, method, payload, end=method != "Connect")
            if connection.read(1, until_end=False).data:
                return connection
            connection.close()
            return None

        first = welcome(old, "Connect", hello(agent.id))
        assert first, "the old one is good until the new one was used"
        second = welcome(new, "Connect", hello(agent.id))
        assert second, "the new one was refused"
        assert not welcome(old, "Connect", hello(agent.id)), "the old one is still good for a stream"
        assert not welcome(old, "RenewCertificate", h2.pb_bytes(1, csr)), "and for another certificate"
        assert not ready(loop, agent), "and for Probe"
        assert second.read(1, timeout=0.5).ended is False and not second.closed
        assert agent.seen()["state"] == "online", "the old one ended the stream of the new one"


def left_while_stuck() -> None:
    """An agent that leaves while the store cannot be written is not shown as online for ever."""
    with Loopback("stuck") as loop:
        loop.start_gateway()
        agent = enrolled(loop)
        database = sqlite3.connect(loop.state / "gateway.db", isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        assert agent.program is not None and loop.gateway is not None
        agent.program.stop(kill=True)
        wait_for(lambda: "that it left" in loop.gateway.output(), 20, "the gateway to fail to store it")
        database.execute("ROLLBACK")
        database.close()
        wait_for(lambda: agent.seen().get("state") == "offline", 20, "the gateway to store it after all")


def strange_gateway() -> None:
    """The agent meets a server with the right certificate that talks nonsense, then the real one."""
    with Loopback("strange") as loop:
        loop.start_gateway()
        agent = enrolled(loop)
        assert loop.gateway is not None
        loop.gateway.stop()
        met = threading.Event()
        stop = threading.Event()
        thread = threading.Thread(target=_talk_nonsense, args=(loop, met, stop), daemon=True)
        thread.start()
        try:
            wait_for(met.is_set, 20, "the agent to meet the strange gateway")
            assert agent.program is not None and agent.program.running
        finally:
            stop.set()
            thread.join(10)
        loop.start_gateway()
        agent.wait_online(30)


def _talk_nonsense(loop: Loopback, met: threading.Event, stop: threading.Event) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(loop.state / "server.pem", loop.state / "server.key")
    context.set_alpn_protocols(["h2"])
    answers = [
        b"HTTP/1.1 200 OK\r\n\r\n" * 50,
        h2.frame(h2.SETTINGS, 0, 0) + b"\xff" * 4096,
        h2.frame(h2.SETTINGS, 0, 0) + h2.frame(h2.DATA, 0, 1, h2.message(b"\xff" * 1000)),
    ]
    with socket.create_server(("127.0.0.1", loop.agent_port)) as listener:
        listener.settimeout(0.2)
        count = 0
        while not stop.is_set():
            try:
                raw, _ = listener.accept()
            except TimeoutError:
                continue
            try:
                raw.settimeout(2)
                with context.wrap_socket(raw, server_side=True) as peer:
                    peer.sendall(answers[count % len(answers)])
                    peer.recv(4096)
            except OSError:
                pass
            count += 1
            if count > len(answers):
                met.set()


TESTS = [reconnect, newest_wins, probe_is_honest, replaced_certificate, left_while_stuck, wrong_identity, strange_gateway]

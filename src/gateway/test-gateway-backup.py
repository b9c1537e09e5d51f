#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gateway-backup.py FLEET-GATEWAYD: the copy of the database that the API gives out. Who may have it, that it is whole and
entered before it leaves, one at a time, and what becomes of one that is broken off."""

import copy
import http.client
import json
import os
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path

from gateway_fleet import exchanges, run

FILLER = 64 << 20      # more than sockets swallow


class Download:
    """A backup of which only the headers are read, at first."""

    def __init__(self, gateway, token=None, buffer=None):
        self.connection = exchanges.HTTPSConnection("localhost", gateway.port, context=gateway.tls, timeout=60)
        if buffer:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            raw.connect(("127.0.0.1", gateway.port))
            self.connection.sock = gateway.tls.wrap_socket(raw, server_hostname="localhost")
        self.connection.request("GET", "/api/v1/backup", headers={"Authorization": f"Bearer {token or gateway.token}"})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def read(self):
        data = self.answer.read()
        self.connection.close()
        return data

    def close(self):
        self.connection.close()


def token(gateway, **members):
    return gateway.ask("POST", "/api-tokens", members, 201)["token"]


class Copy(sqlite3.Connection):
    file = None


def open_copy(data):
    file = tempfile.NamedTemporaryFile(suffix=".db")
    file.write(data)
    file.flush()
    db = sqlite3.connect(file.name, factory=Copy)
    db.file = file
    return db


def entries(gateway):
    return [e["entry"] for e in gateway.ask("GET", "/audit?action=backup.*&limit=1000")["entries"]]


def patiently(predicate, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not (value := predicate()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)
    return value


def fill(gateway):
    """Makes it large: in a table that nobody lists."""
    gateway.stop()
    with gateway.database() as db:
        for i in range(FILLER >> 20):
            db.execute("INSERT INTO settings VALUES (?, ?)", (f"filler-{i}", "x" * (1 << 20)))
    gateway.start()


def test_who(gateway):
    for members in ({"role": "viewer"}, {"role": "operator"}, {"role": "admin", "scopes": ["audit", "users", "agents"]}):
        d = Download(gateway, token(gateway, **members))
        assert d.status == 403 and json.loads(d.read())["type"].endswith(":forbidden")
    assert Download(gateway, "fga1_nobody").status == 401
    # for whoever makes backups each night, and nothing else
    only = token(gateway, role="admin", scopes=["backup"])
    d = Download(gateway, only)
    assert d.status == 200 and len(d.read()) == int(d.answer.headers["Content-Length"])
    assert gateway.raw("GET", "/users", token=only)[0] == gateway.raw("GET", "/agents", token=only)[0] == 403
    status, _, data = gateway.raw("GET", "/me", token=only)
    assert json.loads(data)["capabilities"] == ["backup.administer"]
    (entry,) = entries(gateway)
    assert entry["actor"] == f"token:{json.loads(data)['id']}" and entry["source"] == "127.0.0.1", entry
    gateway.problem(400, "bad-request", "?all", "GET", "/backup?all=true")
    gateway.problem(405, "method-not-allowed", None, "POST", "/backup", {})
    assert gateway.raw("HEAD", "/backup")[0] == 200 and len(entries(gateway)) == 1


def test_copy(gateway, fleet):
    """While others write: everything that was there when it was asked for, and nothing half."""
    over = threading.Event()

    writer = copy.copy(gateway)
    writer.connection = None

    written, meanwhile = 0, []

    def write():
        nonlocal written
        while not over.is_set():
            writer.ask("POST", "/agents/labels", {"ids": [a.id for a in fleet[:2]], "labels": {"wave": str(written)}})
            written += 1

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        patiently(lambda: written, "the first change")
        for _ in range(5):
            before, n = gateway.ask("GET", "/audit?limit=1")["head"]["seq"], written
            d = Download(gateway)
            meanwhile.append(written - n)
            assert d.status == 200 and d.answer.headers["Content-Type"] == "application/vnd.sqlite3"
            assert d.answer.headers["Cache-Control"] == "no-store"
            db = open_copy(d.read())
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            assert db.execute("SELECT count(*) FROM agents").fetchone() == (len(fleet),)
            waves = db.execute("SELECT value FROM agent_labels WHERE key = 'wave' AND agent IN (?,?)", [a.id for a in fleet[:2]]).fetchall()
            assert len(waves) == 2 and waves[0] == waves[1], waves
            last, = db.execute("SELECT max(seq) FROM audit").fetchone()
            assert last >= before                           # what was there when it was asked for
            db.close()
    finally:
        over.set()
        thread.join(20)
    assert not thread.is_alive() and max(meanwhile) > 1, meanwhile     # nobody waits for the whole copy


def test_one_at_a_time(gateway):
    """And it is in the audit log before anybody has a byte of it."""
    n = len(entries(gateway))
    first = Download(gateway, buffer=4096)
    size = int(first.answer.headers["Content-Length"])
    assert first.status == 200 and size > FILLER
    newest = entries(gateway)
    assert len(newest) == n + 1 and newest[0]["action"] == "backup.create" and newest[0]["detail"] == {"bytes": size}, newest[0]
    second = Download(gateway)
    problem = json.loads(second.read())
    assert second.status == 429 and problem["type"].endswith(":too-many") and second.answer.headers["Retry-After"], problem
    # no name leads to it, and nothing else is kept up
    assert "backup.db" not in os.listdir(gateway.state)
    assert gateway.ask("GET", "/agents?limit=1")["total"] > 0
    assert len(first.read()) == size
    assert len(entries(gateway)) == n + 1                   # what was refused did not happen
    assert Download(gateway).read()


def open_copies(gateway):
    found = []
    for fd in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        try:
            found += [fd] if "backup.db" in os.readlink(fd) else []
        except OSError:
            pass
    return found


def test_broken_off(gateway):
    """By the client, in the midst of it; by the gateway's end, while it is made and while it is sent."""
    for _ in range(3):
        d = Download(gateway, buffer=4096)
        assert d.status == 200 and len(open_copies(gateway)) == 1
        d.answer.read(10000)
        d.close()
        patiently(lambda: not open_copies(gateway), "the copy to be given back")
    raw = gateway.tls.wrap_socket(socket.create_connection(("127.0.0.1", gateway.port)), server_hostname="localhost")
    raw.sendall(f"GET /api/v1/backup HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.token}\r\n\r\n".encode())
    raw.close()                                             # it may be at any step of it
    patiently(lambda: Download(gateway).status == 200, "the next one to be let in")

    d = Download(gateway, buffer=4096)
    gateway.stop()
    try:
        whole = len(d.read()) == int(d.answer.headers["Content-Length"])
    except http.client.IncompleteRead:
        whole = False
    assert not whole
    gateway.start()
    raw = gateway.tls.wrap_socket(socket.create_connection(("127.0.0.1", gateway.port)), server_hostname="localhost")
    raw.sendall(f"GET /api/v1/backup HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.token}\r\n\r\n".encode())
    patiently(lambda: open_copies(gateway), "the copy to be begun")
    gateway.stop()
    assert "backup.db" not in os.listdir(gateway.state)
    # one that a gateway which was killed has left is taken away by the next
    (gateway.state / "backup.db").write_text("left")
    gateway.start()
    assert Download(gateway).read()[:15] == b"SQLite format 3" and "backup.db" not in os.listdir(gateway.state)


if __name__ == "__main__":
    run(sys.argv[1], [fill, test_who, test_copy, test_one_at_a_time, test_broken_off])

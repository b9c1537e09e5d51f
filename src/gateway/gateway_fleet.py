# SPDX-License-Identifier: Apache-2.0
"""For the tests of the real gateway over HTTPS that need many agents: they are put into its database while it is stopped,
and what it answers is compared with a model that looks at each of them."""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from contract import exchanges  # noqa: E402

N = 400
T0 = 1_790_000_000
STATES = ("never", "offline", "online")
SORTS = ("id", "hostname", "state", "version", "last_seen", "connected", "enrolled", "update", "os", "arch", "kernel")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Agent:
    """One agent as the model has it."""

    def __init__(self, i, draw):
        self.id = f"{draw.choice(('a', 'b', 'web'))}{i:04}"
        self.hostname = draw.choice(("", f"web{i:03}", f"Web{i:03}", f"db-{i % 50}", "zürich"))
        self.state = draw.choice(STATES)
        self.version = draw.choice(("", "1.0.0", "1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0"))
        self.update = draw.choice(("", "", "succeeded", "failed", "downloading"))
        self.os = draw.choice(("debian", "ubuntu", ""))
        self.arch = draw.choice(("x86_64", "aarch64"))
        self.kernel = draw.choice(("6.1.0-31-amd64", "5.14.0"))
        self.labels = {}
        for key, values in (("env", ("production", "staging", "test")), ("tier", ("web", "db")), ("gpu", ("1",))):
            if draw.random() < 0.6:
                self.labels[key] = draw.choice(values)
        self.enrolled, self.last_seen, self.connected = (T0 + draw.randrange(9) for _ in range(3))

    def put(self, db):
        number = 0
        db.execute(
            "INSERT INTO agents (id, state, version, token_misses, clone_suspected, metadata_expires, pinned, enrolled,"
            " last_seen, connected, hostname, os_id, architecture, kernel, packaging) VALUES (?,?,?,0,0,0,0,?,?,?,?,?,?,?,0)",
            (self.id, STATES.index(self.state), self.version or None, self.enrolled * 10**6, self.last_seen * 10**6,
             self.connected * 10**6, self.hostname or None, self.os or None, self.arch, self.kernel))
        db.executemany("INSERT INTO agent_labels VALUES (?,?,?)", [(self.id, k, v) for k, v in self.labels.items()])
        if self.update:
            number = db.execute(
                "INSERT INTO instructions (id, agent, desired, generation, attempt, version, phase, terminal, retry,"
                " cancel_requested, sequence, bytes_done, bytes_total, created, updated, deadline, finished)"
                " VALUES (?,?,1,1,1,'2.0.0',?,?,0,0,0,0,0,1,1,?,0)",
                (hashlib.md5(self.id.encode()).hexdigest(), self.id, self.update, self.update != "downloading", 2 * T0 * 10**6)).lastrowid
            db.execute("UPDATE agents SET update_number = ?, update_phase = ?, update_version = '2.0.0' WHERE id = ?",
                       (number, self.update, self.id))

    def key(self, sort):
        if sort == "state":
            return STATES.index(self.state)
        if sort == "hostname":
            return "".join(c.lower() if c.isascii() else c for c in self.hostname).encode()
        if sort == "version":
            if not self.version:
                return ()
            core, _, pre = self.version.partition("-")
            return (*map(int, core.split(".")), not pre, pre)
        value = getattr(self, sort)
        return value.encode() if isinstance(value, str) else value

    def matches(self, selector):
        """Of the few forms that are used here."""
        for part in selector.replace(" in (", "@").replace(" notin (", "#").replace(")", "").split("&"):
            for mark in ("@", "#", "!=", "="):
                if mark in part:
                    key, values = part.split(mark, 1)
                    value = self.lookup(key)
                    if (value in values.split(",")) != (mark in "@="):
                        return False
                    break
            else:
                if (self.lookup(part.lstrip("!")) is None) != part.startswith("!"):
                    return False
        return True

    def lookup(self, key):
        if key.startswith("fact."):
            return getattr(self, key[5:]) or None
        return self.labels.get(key)


class Gateway:
    def __init__(self, program, folder):
        self.program, self.folder, self.process = program, folder, None
        self.online = []        # ids; the gateway calls everybody offline when it starts
        self.state = folder / "state"
        self.state.mkdir()
        self.port = free_port()
        self.config = folder / "gateway.conf"
        self.config.write_text(
            f"[Gateway]\nName=localhost 127.0.0.1\nHttpListen=127.0.0.1:{self.port}\nAgentListen=127.0.0.1:0\n"
            "EnrollListen=127.0.0.1:0\n")

    def start(self):
        exchanges.begin(self.program)
        log = (self.folder / "log").open("ab")
        argv = [self.program, f"--config={self.config}", f"--state-directory={self.state}"]
        # where memory is measured, a sanitizer's store of what was freed must not count
        env = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
        self.process = subprocess.Popen(argv, stdout=log, stderr=log, env=env)
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        self.tls = ssl.create_default_context(cafile=str(self.state / "ca.pem"))
        self.token = (self.state / "admin.token").read_text().strip()
        self.connection = None
        with self.database() as db:
            db.executemany("UPDATE agents SET state = 2 WHERE id = ?", [(i,) for i in self.online])

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        status = self.process.wait(30)
        assert sig != signal.SIGTERM or status == 0, f"ended with {status}:\n{(self.folder / 'log').read_text()[-4000:]}"

    def database(self):
        db = sqlite3.connect(self.state / "gateway.db")
        db.execute("PRAGMA foreign_keys = ON")
        return db

    def connect(self):
        return exchanges.HTTPSConnection("localhost", self.port, context=self.tls, timeout=30)

    def raw(self, method, path, body=None, token=None, **headers):
        """(status, headers, bytes); the connection is kept."""
        if self.connection is None:
            self.connection = self.connect()
        send = {"Authorization": f"Bearer {token or self.token}"}
        send |= {k.replace("_", "-"): v for k, v in headers.items()}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        self.connection.request(method, "/api/v1" + path, body, send)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.will_close:
            self.connection = None
        return answer.status, dict(answer.getheaders()), data

    def ask(self, method, path, body=None, expect=200, **headers):
        status, _, data = self.raw(method, path, body, **headers)
        assert status == expect, (method, path, body, status, data[:500])
        return json.loads(data) if data else None

    def problem(self, expected, kind, where, method, path, body=None, **headers):
        """where: a JSON pointer, "?parameter", or None."""
        status, _, data = self.raw(method, path, body, **headers)
        answer = json.loads(data)
        assert status == expected and answer["type"] == f"urn:fleet-agent:problem:{kind}", (path, body, status, answer)
        errors = answer.get("errors", [{}])[0]
        assert errors.get("pointer", "?" + errors["parameter"] if "parameter" in errors else None) == where, (path, answer)
        return answer

    def pages(self, query, limit=None):
        """Ids of all pages, and the total, which all of them agree on."""
        ids, totals, cursor = [], set(), None
        while True:
            more = {"limit": limit} if limit else {}
            more |= {"cursor": cursor} if cursor else {}
            answer = self.ask("GET", "/agents?" + urllib.parse.urlencode({"fields": "narrow", **query, **more}))
            ids += [a["id"] for a in answer["agents"]]
            totals.add(answer["total"])
            cursor = answer.get("next_cursor")
            if not cursor:
                assert len(totals) == 1, totals
                return ids, totals.pop()


class Events:
    def __init__(self, gateway, query):
        self.connection = gateway.connect()
        self.connection.request("GET", f"/api/v1/events{query}", headers={"Authorization": f"Bearer {gateway.token}"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200

    def next(self):
        event = {}
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            if not line and "event" in event:
                return event["event"], json.loads(event["data"])
            if ": " in line and not line.startswith(":"):
                event.update([line.split(": ", 1)])


def run(program, tests):
    """A gateway with a fleet, and each of the tests; one that wants the fleet has an argument of this name."""
    folder = Path(tempfile.mkdtemp(prefix="test-gateway-"))
    gateway = Gateway(str(Path(program).resolve()), folder)
    draw = random.Random(1)
    fleet = [Agent(i, draw) for i in range(N)]
    try:
        gateway.start()
        gateway.stop()
        with gateway.database() as db:
            for agent in fleet:
                agent.put(db)
        gateway.online = [a.id for a in fleet if a.state == "online"]
        gateway.start()
        gateway.ask("POST", "/groups", {"name": "web", "selector": "tier=web"}, 201)
        for test in tests:
            started = time.monotonic()
            test(gateway, *([fleet] if "fleet" in test.__code__.co_varnames[: test.__code__.co_argcount] else []))
            print(f"ok {test.__name__} ({time.monotonic() - started:.1f}s)", flush=True)
        gateway.stop()
    except BaseException:
        if (folder / "log").exists():
            print((folder / "log").read_text()[-6000:], file=sys.stderr)
        raise
    finally:
        if gateway.process and gateway.process.poll() is None:
            gateway.process.kill()
        shutil.rmtree(folder, ignore_errors=True)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gateway-api.py FLEET-GATEWAYD FLEET-RELEASE: the real gateway over HTTPS, with repositories that are signed,
damaged, incomplete, expired or old, and clients that do not behave."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from contract import exchanges  # noqa: E402


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Repository:
    def __init__(self, release, folder):
        self.release, self.folder = release, folder
        self.key = folder.parent / "key"
        if not self.key.exists():
            self.tool(["key", "new", self.key, "--unprotected"], repo=False)
        self.tool(["init", "--key", self.key, "--yes"])

    def tool(self, arguments, repo=True):
        where = ["--repo", self.folder] if repo else []
        argv = [str(a) for a in [self.release, *where, *arguments]]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def add(self, version, size=100_000, arch="x86_64"):
        files = self.folder.parent / "files"
        files.mkdir(exist_ok=True)
        for name in ("agent", "updater"):
            (files / name).write_bytes(f"{name} {version} {arch}".encode() + os.urandom(size))
        self.tool(["add", files / "agent", files / "updater", "--version", version, "--arch", arch, "--yes"])
        self.publish()

    def publish(self, *more):
        self.tool(["sign", "targets", "--key", self.key, "--yes"])
        self.tool(["publish", "--key", self.key, "--yes", *more])

    @property
    def root(self):
        return self.folder / "metadata" / "1.root.json"

    def files(self):
        return {
            str(p.relative_to(self.folder)): p.read_bytes()
            for part in ("metadata", "targets")
            for p in sorted((self.folder / part).rglob("*"))
            if p.is_file()
        }


class Gateway:
    def __init__(self, program, folder, root):
        self.program, self.folder = program, folder
        self.state = folder / "state"
        self.state.mkdir()
        self.port = free_port()
        self.config = folder / "gateway.conf"
        self.config.write_text(
            f"[Gateway]\nName=localhost 127.0.0.1\nTrustedRoot={root}\nHttpListen=127.0.0.1:{self.port}\n"
            f"AgentListen=127.0.0.1:0\nEnrollListen=127.0.0.1:0\nAdminListen={folder}/admin.sock\n[Limits]\nTargetSizeMax=64M\nEventStreamsMax=3\nHttpConnectionsPerAddressMax=100\n"
        )
        self.process = None

    def start(self):
        exchanges.begin(self.program)
        log = (self.folder / "log").open("ab")
        argv = [self.program, f"--config={self.config}", f"--state-directory={self.state}"]
        self.process = subprocess.Popen(argv, stdout=log, stderr=log)
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

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        status = self.process.wait(30)
        assert sig != signal.SIGTERM or status == 0, f"ended with {status}:\n{(self.folder / 'log').read_text()[-4000:]}"

    def connect(self):
        return exchanges.HTTPSConnection("localhost", self.port, context=self.tls, timeout=30)

    def ask(self, method, path, body=None, token=None, headers=None, raw=False):
        connection = self.connect()
        send = dict(headers or {})
        if token != "":
            send["Authorization"] = f"Bearer {token or self.token}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection.request(method, path, body, send)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if raw:
            return answer.status, dict(answer.getheaders()), data
        return answer.status, json.loads(data) if data else None

    def problem(self, expected, kind, *request, **more):
        status, answer = self.ask(*request, **more)
        assert status == expected and answer["type"] == f"urn:fleet-agent:problem:{kind}", (request, status, answer)
        assert answer["status"] == status and answer["detail"] and answer["request_id"]
        return answer

    def upload(self, files):
        status, begun = self.ask("POST", "/api/v1/imports")
        assert status == 201, begun
        path = f"/api/v1/imports/{begun['id']}"
        for name, data in files.items():
            status, answer = self.ask("PUT", f"{path}/files/{name}", data)
            assert status == 201, (name, status, answer)
        return path

    def commit(self, files):
        return self.ask("POST", self.upload(files) + "/commit")

    def refused(self, files, *words):
        answer = self.problem(422, "import-refused", "POST", self.upload(files) + "/commit")
        for word in words:
            assert word in answer["detail"], answer
        assert not list((self.state / "import").iterdir())


def published(gateway):
    tuf = gateway.state / "tuf"
    return {str(p.relative_to(tuf)): p.read_bytes() for p in sorted(tuf.rglob("*")) if p.is_file()}


def test_imports(gateway, repository):
    repository.add("1.0.0")
    old = repository.files()
    status, answer = gateway.commit(old)
    assert status == 200 and answer["imported"] == ["1.0.0"] and answer["releases"] == ["1.0.0"], answer
    assert published(gateway) == {k: v for k, v in old.items()}
    status, answer = gateway.commit(old)
    assert status == 200 and answer["imported"] == [], answer

    repository.add("1.1.0")
    repository.add("1.1.0-rc.1", arch="aarch64")
    new = repository.files()
    before = published(gateway)
    target = next(k for k in new if "/1.1.0/" in k and k.endswith(".agent"))
    latest = max((k for k in new if k.endswith(".targets.json")), key=lambda k: int(k.split("/")[1].split(".")[0]))

    def changed(name, data):
        return {**new, name: data}

    gateway.refused(changed(target, new[target][:-1] + bytes([new[target][-1] ^ 1])), target, "SHA-256")
    gateway.refused(changed(target, new[target] + b"X"), target, "bytes")
    gateway.refused({k: v for k, v in new.items() if k != target}, target, "not sent")
    gateway.refused(changed(latest, new[latest].replace(b"1.1.0", b"6.6.6")), "metadata")
    gateway.refused(changed("metadata/timestamp.json", b"{}"), "timestamp")
    gateway.refused({k: v for k, v in new.items() if "timestamp" not in k}, "timestamp")
    gateway.refused({}, "timestamp")
    assert {k: v for k, v in published(gateway).items() if k.startswith("metadata/")} == {
        k: v for k, v in before.items() if k.startswith("metadata/")
    }
    assert [r["version"] for r in gateway.ask("GET", "/api/v1/releases")[1]["releases"]] == ["1.0.0"]

    # what is served already need not be sent again; what nobody signed does not get in
    only_new = {k: v for k, v in new.items() if k.startswith("metadata/") or k not in before}
    status, answer = gateway.commit({**only_new, "targets/agent/9.9.9/evil": b"evil", "metadata/evil.json": b"{}"})
    assert status == 200 and sorted(answer["imported"]) == ["1.1.0", "1.1.0-rc.1"], answer
    assert answer["releases"] == ["1.0.0", "1.1.0-rc.1", "1.1.0"], answer
    assert not any("evil" in name for name in published(gateway))
    releases = gateway.ask("GET", "/api/v1/releases")[1]
    assert [r["version"] for r in releases["releases"]] == ["1.1.0", "1.1.0-rc.1", "1.0.0"]
    assert [a["arch"] for a in releases["releases"][1]["artifacts"]] == ["aarch64", "aarch64"]
    assert releases["metadata"]["targets"] == 3 and releases["metadata"]["expires"]
    roles = releases["metadata"]["roles"]
    assert [r["role"] for r in roles] == ["root", "targets", "snapshot", "timestamp"]
    for role in roles:
        assert role["version"] == releases["metadata"][role["role"]] and role["threshold"] == 1, role
        assert role["expires"].endswith("Z") and [k["signed"] for k in role["keys"]] == [True], role
        assert len(role["keys"][0]["keyid"]) == 64
    assert min(r["expires"] for r in roles) == releases["metadata"]["expires"]
    assert not any("failed_on" in r for r in releases["releases"])

    gateway.refused(old, "rollback")
    gateway.stop(signal.SIGKILL)
    gateway.start()
    gateway.refused(old, "rollback")


def test_stranger(gateway, release, folder):
    """Another root: everything well signed, but not by whom we trust."""
    (folder / "stranger").mkdir()
    stranger = Repository(release, folder / "stranger" / "repo")
    stranger.add("7.0.0")
    gateway.refused(stranger.files())
    assert "7.0.0" not in [r["version"] for r in gateway.ask("GET", "/api/v1/releases")[1]["releases"]]


def test_import_limits(gateway):
    path = gateway.upload({})
    for name in ("metadata/a/b", "elsewhere/x", "targets/.hidden", "metadata", "targets/a%20b"):
        gateway.problem(400, "bad-request", "PUT", f"{path}/files/{name}", b"x")
    gateway.problem(400, "bad-request", "PUT", f"{path}/files/targets/%2e%2e/x", b"x")
    gateway.problem(413, "too-large", "PUT", f"{path}/files/metadata/x", b"x" * (1 << 20) + b"x")
    connection = gateway.connect()
    connection.putrequest("PUT", f"{path}/files/targets/big")
    connection.putheader("Authorization", f"Bearer {gateway.token}")
    connection.putheader("Content-Length", str(65 << 20))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()

    # a client that goes away in the middle leaves nothing
    connection = gateway.connect()
    connection.putrequest("PUT", f"{path}/files/targets/part")
    connection.putheader("Authorization", f"Bearer {gateway.token}")
    connection.putheader("Content-Length", "1000")
    connection.endheaders()
    connection.send(b"x" * 500)
    time.sleep(0.3)
    gateway.problem(409, "conflict", "POST", f"{path}/commit")
    connection.close()
    folder = gateway.state / "import" / path.split("/")[-1]
    deadline = time.monotonic() + 10
    while any(p.is_file() for p in folder.rglob("*")):
        assert time.monotonic() < deadline, list(folder.rglob("*"))
        time.sleep(0.05)

    more = [gateway.upload({}) for _ in range(3)]
    gateway.problem(429, "too-many", "POST", "/api/v1/imports")
    for p in [path, *more]:
        assert gateway.ask("DELETE", p) == (204, None)
    gateway.problem(404, "not-found", "POST", f"{path}/commit")


def _announce(gateway, path, length):
    connection = gateway.connect()
    connection.putrequest("PUT", path)
    connection.putheader("Authorization", f"Bearer {gateway.token}")
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    return connection


def _answer_within(connection, seconds):
    """The status; None: the gateway waits for the body."""
    connection.sock.settimeout(seconds)
    try:
        return connection.getresponse().status
    except TimeoutError:
        return None


def test_import_room(gateway):
    """What open uploads have announced counts as taken, so that together they cannot fill the disk; and none is
    open for ever."""
    gateway.stop()
    before = gateway.config.read_text()
    gateway.config.write_text(before.replace("TargetSizeMax=64M", f"TargetSizeMax={1 << 50}"))
    gateway.start()
    path = gateway.upload({})

    slow, opened = _announce(gateway, f"{path}/files/targets/slow", 1000), time.monotonic()
    disk = os.statvfs(gateway.state)
    most = (disk.f_bavail * disk.f_frsize - (64 << 20)) * 2 // 3
    first = _announce(gateway, f"{path}/files/targets/first", most)
    assert _answer_within(first, 1) is None
    second = _announce(gateway, f"{path}/files/targets/second", most)
    assert _answer_within(second, 10) == 503
    first.close()
    for _ in range(100):  # until the gateway has seen that
        third = _announce(gateway, f"{path}/files/targets/third", most)
        status = _answer_within(third, 0.5)
        third.close()
        if status is None:
            break
    assert status is None, status

    # a byte now and then does not keep it open
    with contextlib.suppress(OSError):
        while time.monotonic() < opened + 60:
            slow.send(b"x")
            time.sleep(1)
    took = time.monotonic() - opened
    assert 25 < took < 50, took
    slow.close()
    gateway.stop()
    gateway.config.write_text(before)
    gateway.start()


def test_static(gateway, repository):
    name = next(k for k in repository.files() if "/1.1.0/" in k and k.endswith(".agent"))
    data = repository.files()[name]
    url = f"/tuf/{name}"

    def get(method="GET", **headers):
        return gateway.ask(method, url, token="", headers={k.replace("_", "-"): v for k, v in headers.items()}, raw=True)

    status, headers, body = get()
    assert status == 200 and body == data and headers["Content-Length"] == str(len(data)) and headers["Accept-Ranges"] == "bytes"
    etag = headers["ETag"]
    status, headers, body = get("HEAD")
    assert status == 200 and body == b"" and headers["Content-Length"] == str(len(data))
    status, headers, body = get(Range="bytes=100-199")
    assert status == 206 and body == data[100:200] and headers["Content-Range"] == f"bytes 100-199/{len(data)}"
    assert get(Range="bytes=-5")[::2] == (206, data[-5:])
    gateway.problem(416, "bad-range", "GET", url, token="", headers={"Range": f"bytes={len(data)}-"})
    assert get(Range="bytes=5-", If_Range=etag)[::2] == (206, data[5:])
    assert get(Range="bytes=5-", If_Range='"other"')[::2] == (200, data)
    assert get(If_None_Match=etag)[::2] == (304, b"")
    status, headers, body = gateway.ask("GET", "/tuf/metadata/1.root.json", token="", headers={"Range": "bytes=1-9"}, raw=True)
    assert status == 206 and body == repository.files()["metadata/1.root.json"][1:10] and headers["Content-Type"] == "application/json"
    assert gateway.ask("GET", "/tuf/metadata/timestamp.json", token="", raw=True)[1]["Cache-Control"] == "no-cache"
    for path in ("/tuf/metadata", "/tuf/targets/agent", "/tuf/metadata/absent.json", "/tuf/gateway.db"):
        gateway.problem(404, "not-found", "GET", path, token="")
    gateway.problem(400, "bad-request", "GET", "/tuf/metadata/../../gateway.db", token="")
    assert gateway.ask("GET", "/ca.pem", token="", raw=True)[2] == (gateway.state / "ca.pem").read_bytes()


def test_people(gateway):
    gateway.problem(401, "unauthenticated", "GET", "/api/v1/agents", token="")
    gateway.problem(401, "unauthenticated", "GET", "/api/v1/agents", token="fga1_x")
    forged = gateway.token[:-1] + ("0" if gateway.token[-1] != "0" else "1")
    gateway.problem(401, "unauthenticated", "GET", "/api/v1/agents", token=forged)
    made = {}
    for role in ("viewer", "operator"):
        status, made[role] = gateway.ask("POST", "/api/v1/api-tokens", {"role": role, "description": f"a {role}"})
        assert status == 201 and made[role]["token"].startswith("fga1_")
    viewer, operator = made["viewer"]["token"], made["operator"]["token"]
    assert gateway.ask("GET", "/api/v1/me", token=viewer)[1]["role"] == "viewer"
    gateway.problem(403, "forbidden", "POST", "/api/v1/join-tokens", {}, token=viewer)
    gateway.problem(403, "forbidden", "POST", "/api/v1/updates", {"all": True, "version": "1.1.0"}, token=viewer)
    gateway.problem(403, "forbidden", "POST", "/api/v1/api-tokens", {"role": "admin"}, token=operator)
    assert gateway.ask("POST", "/api/v1/join-tokens", {}, token=operator)[0] == 201
    assert "token" not in gateway.ask("GET", "/api/v1/join-tokens", token=viewer)[1]["join_tokens"][0]
    gateway.stop()
    gateway.start()                                 # tokens outlive a restart, their secrets are not in the database
    assert gateway.ask("GET", "/api/v1/me", token=viewer)[0] == 200
    database = b"".join(p.read_bytes() for p in gateway.state.glob("gateway.db*"))
    for token in (gateway.token, viewer, operator):
        assert token.split("_")[2].encode() not in database
    assert gateway.ask("DELETE", f"/api/v1/api-tokens/{made['viewer']['id']}")[0] == 204
    gateway.problem(401, "unauthenticated", "GET", "/api/v1/me", token=viewer)
    gateway.problem(404, "not-found", "DELETE", f"/api/v1/api-tokens/{made['viewer']['id']}")


def test_requests(gateway):
    bad = [
        ("POST", "/api/v1/updates", "not json"), ("POST", "/api/v1/updates", "[]"), ("POST", "/api/v1/updates", {}),
        ("POST", "/api/v1/updates", {"version": "1.1.0"}),
        ("POST", "/api/v1/updates", {"all": True, "agent": "x", "version": "1.1.0"}),
        ("POST", "/api/v1/updates", {"all": True, "version": "1.1.0", "surprise": 1}),
        ("POST", "/api/v1/updates", '{"all": true, "all": true, "version": "1.1.0"}'),
        ("POST", "/api/v1/updates", '{"all":' * 40 + "1" + "}" * 40),
        ("GET", "/api/v1/agents?limit=0", None), ("GET", "/api/v1/agents?limit=x", None), ("GET", "/api/v1/agents?what=1", None),
        ("GET", "/api/v1/agents?cursor=xyz", None), ("GET", "/api/v1/events?topics=secrets", None),
    ]
    for method, path, body in bad:
        gateway.problem(400, "bad-request", method, path, body)
    # a parameter that a route does not know may be meant to leave something out; each is named that is no good
    for path in (
        "/api/v1/me", "/api/v1/desired", "/api/v1/releases", "/api/v1/join-tokens", "/api/v1/api-tokens", "/api/v1/users",
        "/api/v1/agents/x", "/api/v1/updates/x", "/api/v1/rollouts/1", "/api/v1/events", "/api/v1/audit", "/api/v1/setup",
    ):
        assert gateway.problem(400, "bad-request", "GET", f"{path}?selector=x")["errors"][0]["parameter"] == "selector"
    gateway.problem(400, "bad-request", "POST", "/api/v1/updates?dry_run=true", {"all": True, "version": "1.0.0"})
    gateway.problem(400, "bad-request", "DELETE", "/api/v1/desired/1?x=", token=gateway.token)
    for path in ("updates?active=maybe", "updates?agent=a%20b", "events?topics=", "events?topics=agent,x", "events?agent=a%20b"):
        key = path.split("?")[1].split("=")[0]
        assert gateway.problem(400, "bad-request", "GET", f"/api/v1/{path}")["errors"][0]["parameter"] == key, path
    assert gateway.ask("GET", "/healthz?from=a-balancer", token="")[0] == 200
    assert gateway.problem(400, "bad-request", "POST", "/api/v1/imports", {"x": 1})["errors"][0]["pointer"] == "/x"
    gateway.problem(400, "bad-selector", "GET", "/api/v1/agents?selector=")
    gateway.problem(400, "bad-selector", "POST", "/api/v1/updates", {"selector": "a=b,", "version": "1.1.0"})
    gateway.problem(404, "not-found", "POST", "/api/v1/updates", {"agent": "nobody", "version": "1.1.0"})
    answer = gateway.problem(422, "unknown-version", "POST", "/api/v1/updates", {"all": True, "version": "6.6.6"})
    assert "1.0.0" in answer["detail"] and answer["errors"][0]["pointer"] == "/version"
    gateway.problem(409, "conflict", "POST", "/api/v1/updates", {"all": True, "version": "1.1.0", "expected_count": 5})
    gateway.problem(405, "method-not-allowed", "DELETE", "/api/v1/agents")
    assert gateway.ask("DELETE", "/api/v1/groups", raw=True)[1]["Allow"] == "GET, HEAD, POST"
    assert gateway.ask("PUT", "/api/v1/agents/summary", raw=True)[1]["Allow"] == "GET, HEAD, PATCH, DELETE"
    gateway.problem(404, "not-found", "GET", "/api/v1/nothing")
    gateway.problem(413, "too-large", "POST", "/api/v1/updates", "x" * 70000)

    empty = {"version": "1.1.0", "allow_empty": True}
    gateway.problem(409, "conflict", "POST", "/api/v1/updates", {"selector": "b=c, a", "version": "1.1.0"})
    gateway.problem(400, "bad-selector", "POST", "/api/v1/updates", {"selector": "fact.oss!=debian", **empty})
    assert not gateway.ask("GET", "/api/v1/desired")[1]["desired"]
    status, first = gateway.ask("POST", "/api/v1/updates", {"selector": "b=c, a", **empty})
    assert status == 202 and first["matched"] == 0 and first["desired"]["selector"] == "a,b=c", first
    again = gateway.ask("POST", "/api/v1/updates", {"selector": "a,b=c", **empty})[1]["desired"]
    assert again == first["desired"]
    retry = gateway.ask("POST", "/api/v1/updates", {"selector": "a,b=c", **empty, "retry": True})[1]["desired"]
    assert retry["id"] == again["id"] and retry["generation"] == again["generation"] + 1
    assert len(gateway.ask("GET", "/api/v1/desired")[1]["desired"]) == 1
    assert gateway.ask("DELETE", f"/api/v1/desired/{retry['id']}")[0] == 204
    gateway.problem(404, "not-found", "DELETE", f"/api/v1/desired/{retry['id']}")


class Events:
    def __init__(self, gateway, query="", last=None, token=None):
        self.connection = gateway.connect()
        headers = {"Authorization": f"Bearer {token or gateway.token}"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self.connection.request("GET", f"/api/v1/events{query}", headers=headers)
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def next(self):
        """(id, event, data) of the next event; comments are passed over."""
        event = {}
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            if not line and "event" in event:
                return int(event.get("id", 0)), event["event"], json.loads(event["data"])
            if ": " in line and not line.startswith(":"):
                key, value = line.split(": ", 1)
                event[key] = value


def test_greedy_host(gateway):
    """One host without credentials that takes all the connections it can, and sends its headers for ever."""
    stranger = ("127.0.0.2", 0)
    held = [socket.create_connection(("127.0.0.1", gateway.port), 10, source_address=stranger) for _ in range(150)]
    refused = set()
    deadline = time.monotonic() + 10
    while len(refused) < 50 and time.monotonic() < deadline:
        for s in held:
            s.setblocking(False)
            try:
                if s.recv(1) == b"":
                    refused.add(s)
            except BlockingIOError:
                pass
            except OSError:
                refused.add(s)
        time.sleep(0.1)
    assert len(refused) == 50, len(refused)
    assert gateway.ask("GET", "/healthz", token="")[0] == 200
    for s in held:
        s.close()

    begun = time.monotonic()
    # from another address: the first one's connections may not all be over yet
    raw = socket.create_connection(("127.0.0.1", gateway.port), 10, source_address=("127.0.0.3", 0))
    slow = gateway.tls.wrap_socket(raw, server_hostname="localhost")
    slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    slow.settimeout(0.5)
    while time.monotonic() < begun + 30:
        try:
            slow.sendall(b"x")
            if slow.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    took = time.monotonic() - begun
    slow.close()
    assert 14 < took < 20, f"its connection lasted {took:.1f} s"


def test_framing(gateway):
    """Where a request ends, and whom it is for, has one answer, or the connection ends."""
    body = '{"name": "smuggled", "selector": "a"}'
    hidden = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    group = f"POST /api/v1/groups HTTP/1.1\r\nAuthorization: Bearer {gateway.token}\r\nHost: localhost\r\n"
    length = f"Content-Length: {len(body)}\r\n"
    for request in (
        group + length + f"Content-Length: {len(body) + len(hidden)}\r\n\r\n" + body + hidden,
        group + length + length + "\r\n" + body + hidden,
        group + "Transfer-Encoding: chunked\r\n" + length + "\r\n0\r\n\r\n" + hidden,
        group + "Host: elsewhere\r\n" + length + "\r\n" + body + hidden,
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n" + hidden,
    ):
        with gateway.tls.wrap_socket(socket.create_connection(("127.0.0.1", gateway.port), 10), server_hostname="localhost") as s:
            s.sendall(request.encode())
            answer = b""
            with contextlib.suppress(OSError):
                while piece := s.recv(65536):
                    answer += piece
        assert answer.startswith(b"HTTP/1.1 400") and answer.count(b"HTTP/1.1 ") == 1, (request, answer)
    assert gateway.ask("GET", "/api/v1/groups")[1]["total"] == 0


def test_slow_readers(gateway):
    """Who asks and hardly takes the answers is not waited for; who takes them slowly is."""
    def connect(address):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.bind((address, 0))
        raw.settimeout(10)
        raw.connect(("127.0.0.1", gateway.port))
        s = gateway.tls.wrap_socket(raw, server_hostname="localhost")
        s.settimeout(1)
        with contextlib.suppress(TimeoutError):
            s.sendall(b"GET /ca.pem HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3000)
        return s

    stingy, patient = connect("127.0.0.4"), connect("127.0.0.5")
    begun = time.monotonic()
    ended, taken = None, 0
    while time.monotonic() < begun + 35:
        time.sleep(0.5)
        taken += sum(len(patient.recv(2048)) for _ in range(4))     # some KiB a second
        if ended is None:
            if stingy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1:    # established
                assert stingy.recv(1)
            else:
                ended = time.monotonic() - begun
    assert ended is not None and ended > 15, f"the one that takes two bytes a second: {ended} s"
    assert taken > 40 * 1024, taken                 # and was not ended by it
    stingy.close()
    patient.close()


def scrape(gateway, path="/metrics", accept=None):
    connection = exchanges.LocalConnection(gateway.folder / "admin.sock")
    connection.request("GET", path, headers={"Accept": accept} if accept else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), text


def test_health(gateway):
    """Ready means that a Hello could be stored: another program that holds the database shows it. The process lives
    all the same, and its numbers can be had."""
    ready = lambda: gateway.ask("GET", "/readyz", token="")
    time.sleep(1.1)
    assert ready()[1]["status"] == "ok"
    assert set(ready()[1]["checks"].values()) == {"ok"}
    assert "fleet_store_up 1\n" in scrape(gateway)[2]
    assert "\nfleet_instructions_in_flight 0\n" in scrape(gateway)[2]
    time.sleep(5.1)
    database = sqlite3.connect(gateway.state / "gateway.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        begun = time.monotonic()
        status, answer = ready()
        assert status == 503 and answer["status"] == "store-failing", answer
        assert answer["checks"]["store"] == "failing" and answer["checks"]["registry"] == "ok", answer
        begun, took = time.monotonic(), time.monotonic() - begun
        assert took < 4, f"it took {took:.1f} s to say that the store does not answer"
        status, _, text = scrape(gateway)
        took = time.monotonic() - begun
        assert status == 200 and "\nfleet_store_up 0\n" in text and took < 4, (took, text)
        assert "fleet_agents{" not in text and "\nfleet_instructions_in_flight " not in text
        assert "\nfleet_grpc_streams 0\n" in text and "\nprocess_resident_memory_bytes " in text
        assert gateway.ask("GET", "/healthz", token="")[0] == 200
    log = lambda: (gateway.folder / "log").read_text()
    deadline = time.monotonic() + 15                # the database itself waits for five seconds
    while "The store cannot be used" not in log():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    database.execute("ROLLBACK")
    database.close()
    deadline = time.monotonic() + 15
    while "The store can be used again" not in log():       # which it finds out by itself
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while ready()[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert log().count("The store cannot be used") == log().count("The store can be used again") == 1

    # what is served is gone
    time.sleep(1.1)
    (gateway.state / "tuf" / "metadata").rename(gateway.state / "tuf" / "elsewhere")
    status, answer = ready()
    (gateway.state / "tuf" / "elsewhere").rename(gateway.state / "tuf" / "metadata")
    assert status == 503 and answer["status"] == "registry-failing", answer
    time.sleep(1.1)
    assert ready()[0] == 200


def test_admin(gateway):
    """Metrics are on the admin socket alone, health on both; nothing else is on it."""
    assert (gateway.folder / "admin.sock").stat().st_mode & 0o777 == 0o660
    status, kind, text = scrape(gateway)
    assert status == 200 and kind == "text/plain; version=0.0.4; charset=utf-8" and "# EOF" not in text
    status, kind, text = scrape(gateway, accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert status == 200 and kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith("# EOF\n")
    for path in ("/healthz", "/readyz"):
        assert json.loads(scrape(gateway, path)[2])["status"] == "ok"
        assert gateway.ask("GET", path, token="")[1]["status"] == "ok"
    assert scrape(gateway, "/api/v1/agents")[0] == 404
    gateway.problem(404, "not-found", "GET", "/metrics", token="")

    # labels are words of this program, whatever a client invents
    assert gateway.ask("BREW", "/healthz", token="")[0] == 405
    gateway.ask("GET", "/secret-path-of-a-client", token="")
    text = scrape(gateway)[2]
    assert "BREW" not in text and "secret-path" not in text
    assert 'route="none",method="other",code="4xx"' in text

    gateway.stop(signal.SIGKILL)                    # its socket is left over, and does not stop the next one
    gateway.start()
    assert scrape(gateway)[0] == 200
    gateway.stop()
    assert not (gateway.folder / "admin.sock").exists()
    gateway.start()


def test_events(gateway):
    made = gateway.ask("POST", "/api/v1/api-tokens", {"role": "viewer"})[1]
    brief = Events(gateway, token=made["token"])
    assert brief.status == 200
    assert gateway.ask("DELETE", f"/api/v1/api-tokens/{made['id']}")[0] == 204
    brief.connection.sock.settimeout(5)
    assert b"data: {\"" not in brief.answer.read()   # it comes to its end
    brief.connection.close()

    # events are no back door into what the token is not made for
    made = gateway.ask("POST", "/api/v1/api-tokens", {"role": "viewer", "scopes": ["events", "releases", "agents"]})[1]
    narrow = made["token"]
    bare = gateway.ask("POST", "/api/v1/api-tokens", {"role": "viewer", "scopes": ["events"]})[1]["token"]
    gateway.problem(403, "forbidden", "GET", "/api/v1/events?topics=agent,desired", token=narrow)
    gateway.problem(403, "forbidden", "GET", "/api/v1/events", token=bare)
    partial = Events(gateway, token=narrow)
    assert gateway.ask("POST", "/api/v1/updates", {"all": True, "version": "1.1.0"})[0] < 300
    assert gateway.ask("POST", "/api/v1/groups", {"name": "seen", "selector": "a"})[0] == 201
    assert partial.next()[1] == "group"
    assert gateway.ask("DELETE", f"/api/v1/api-tokens/{made['id']}")[0] == 204
    partial.answer.read()                            # so that its place is free
    partial.connection.close()

    stream, only_agents = Events(gateway), Events(gateway, "?topics=agent")
    assert stream.status == 200 and stream.answer.getheader("Content-Type") == "text/event-stream"
    ids = []
    for version in ("1.0.0", "1.1.0", "1.0.0"):
        gateway.ask("POST", "/api/v1/updates", {"all": True, "version": version})
        number, event, data = stream.next()
        assert event == "desired" and data["version"] == version and data["by"] == "all"
        ids.append(number)
    assert ids == sorted(ids) and ids[0] > 0
    third = Events(gateway, last=ids[0])
    assert [third.next()[0], third.next()[0]] == ids[1:]
    gateway.problem(429, "too-many", "GET", "/api/v1/events")
    for s in (stream, only_agents, third):
        s.connection.close()

    gateway.stop(signal.SIGKILL)                    # what was committed is there after it
    gateway.start()
    resumed = Events(gateway, last=ids[1])
    assert resumed.next()[0] == ids[2]
    lost = Events(gateway, last=10**15)
    assert lost.next()[1] == "reset"


def test_many_clients(gateway):
    """More at once than a client should: all are answered."""
    failures = []

    def work():
        try:
            connection = gateway.connect()
            for _ in range(30):
                connection.request("GET", "/api/v1/agents", headers={"Authorization": f"Bearer {gateway.token}"})
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    failures.append((answer.status, body))
        except Exception as e:
            failures.append(e)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures[:3]


def test_killed_while_importing(gateway, repository):
    """Whenever it dies, what is served is a repository that is whole, and the next import works."""
    for attempt in range(8):
        repository.add(f"2.{attempt}.0", size=300_000)
        path = gateway.upload(repository.files())
        asker = threading.Thread(target=lambda: _ignore(lambda: gateway.ask("POST", f"{path}/commit")))
        asker.start()
        time.sleep(0.004 * attempt)
        gateway.stop(signal.SIGKILL)
        asker.join()
        gateway.start()
        copy = gateway.folder / "served"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(gateway.state / "tuf", copy)
        check = [str(repository.release), "--repo", str(copy), "verify", "--root", str(repository.root)]
        done = subprocess.run(check, capture_output=True, text=True)
        assert done.returncode == 0, done
        status, answer = gateway.commit(repository.files())
        assert status == 200 and f"2.{attempt}.0" in answer["releases"], answer


def _ignore(action):
    try:
        action()
    except (OSError, http.client.HTTPException):
        pass


def main():
    program, release = (str(Path(a).resolve()) for a in sys.argv[1:3])
    folder = Path(tempfile.mkdtemp(prefix="test-gateway-api-"))
    gateway = None
    try:
        repository = Repository(release, folder / "repo")
        gateway = Gateway(program, folder, repository.root)
        gateway.start()
        for test, arguments in (
            (test_imports, (repository,)),
            (test_stranger, (release, folder)),
            (test_import_limits, ()),
            (test_import_room, ()),
            (test_static, (repository,)),
            (test_people, ()),
            (test_requests, ()),
            (test_health, ()),
            (test_admin, ()),
            (test_greedy_host, ()),
            (test_framing, ()),
            (test_slow_readers, ()),
            (test_events, ()),
            (test_many_clients, ()),
            (test_killed_while_importing, (repository,)),
        ):
            started = time.monotonic()
            test(gateway, *arguments)
            print(f"ok {test.__name__} ({time.monotonic() - started:.1f}s)", flush=True)
        gateway.stop()
    except BaseException:
        if (folder / "log").exists():
            print((folder / "log").read_text()[-6000:], file=sys.stderr)
        raise
    finally:
        if gateway and gateway.process and gateway.process.poll() is None:
            gateway.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

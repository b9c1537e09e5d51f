#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gatewayctl.py FLEET-GATEWAYCTL: what it asks for, prints, and how it ends, against a server that answers as
docs/api.md says, and in the ways a real gateway seldom does: pages, refusals, streams that break. (The real gateway is
tested in tests/protocol.)"""

import http.server
import json
import os
import pty
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

TOKEN = "fga1_0123456789abcdef"
AGENTS = [
    {
        "id": f"{i:032x}", "state": "online", "version": "1.0.0", "reason": "none-desired", "pinned": False,
        "labels": {"env": "staging"}, "facts": {"hostname": f"web{i}", "os_name": "Debian", "arch": "x86_64", "kernel": "6.1"},
        "last_seen": "2026-11-24T12:34:56Z",
    }
    for i in range(1203)
]
EVIL = {"id": "e" * 32, "state": "online", "facts": {"hostname": "\x1b[31mevil\u009b"}, "labels": {}}


class State:
    """What the tests set and what they look at afterwards."""

    def __init__(self):
        self.requests, self.bodies = [], {}
        self.agents = list(AGENTS)
        self.files, self.served = {}, set()
        self.streams = []       # one list of bytes for each connection that comes
        self.fail = {}          # path -> (status, problem)
        self.query = {}         # of the last list of agents
        self.groups = {n: {"name": n, "selector": "env=x", "description": "d", "revision": 3} for n in ("a", "b", "c")}
        self.meanwhile = False  # somebody else changes groups


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, format, *args):
        pass

    def answer(self, status, value=None, kind="application/json", headers={}):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for key, text in headers.items():
            self.send_header(key, text)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def problem(self, status, name, detail="Because."):
        self.answer(status, {"type": f"urn:fleet-agent:problem:{name}", "title": "No", "status": status, "detail": detail,
                             "request_id": "abc"}, "application/problem+json")

    def handle_any(self):
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        s = self.state
        s.requests.append(f"{self.command} {path}")
        s.bodies[path] = body
        if path.startswith("/tuf/"):
            return self.answer(200 if path in s.served else 404)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.problem(401, "unauthenticated")
        if path in s.fail:
            return self.problem(*s.fail[path])
        return self.route(self.command, path, query, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def route(self, method, path, query, body):
        s = self.state
        if (method, path) == ("GET", "/api/v1/agents"):
            s.query = query
            if query.get("selector", "") not in ("", "env=staging,!a b", "env=x"):
                return self.problem(400, "bad-selector", "at character 3")
            start, limit = int(query.get("cursor", "c0")[1:]), int(query["limit"])
            found = [a for a in s.agents if a["id"] in query["id"].split(",")] if "id" in query else s.agents
            page = {"agents": found[start : start + limit], "total": len(found)}
            if start + limit < len(found):
                page["next_cursor"] = f"c{start + limit}"
            return self.answer(200, page)
        if (method, path) == ("POST", "/api/v1/agents/match"):
            target = json.loads(body)
            return self.answer(200, {"count": len(s.agents), "digest": "d1" * 32, "selector": target.get("selector", "env=x")})
        if (method, path) == ("POST", "/api/v1/agents/labels"):
            return self.answer(200, {"matched": 3, "changed": 2})
        if (method, path) == ("GET", "/api/v1/labels"):
            values = [{"value": "staging", "count": 3}, {"value": "test", "count": 1}]
            return self.answer(200, {"labels": [{"key": query.get("key", "env"), "count": 4, "values": values, "more": True}]})
        if path.startswith("/api/v1/groups"):
            return self.groups(method, path, query, json.loads(body or "null"))
        if path.startswith("/api/v1/agents/"):
            for agent in s.agents:
                if agent["id"] == path.rsplit("/", 1)[1]:
                    return self.answer(200, agent)
            return self.problem(404, "not-found", "There is no such agent.")
        if (method, path) == ("GET", "/api/v1/releases"):
            return self.answer(200, {"releases": [{"version": "1.1.0", "product": "agent", "imported": "2026-11-24T12:34:56Z",
                "artifacts": [{"arch": "x86_64", "length": 1024}, {"arch": "x86_64", "length": 1024}]}]})
        if (method, path) == ("POST", "/api/v1/join-tokens"):
            return self.answer(201, {"id": "aa", "token": "fjt1_secret", "uses": json.loads(body).get("uses", 1), "expires": "x"})
        if (method, path) == ("POST", "/api/v1/imports"):
            return self.answer(201, {"id": "11" * 16, "max_metadata_bytes": 100, "max_target_bytes": 3_000_000})
        if method == "PUT":
            s.files[path] = body
            return self.answer(201, {"path": path, "length": len(body)})
        if path.endswith("/commit"):
            return self.answer(200, {"imported": ["1.1.0"], "releases": ["1.1.0"], "metadata": {}})
        if method == "DELETE":
            return self.answer(204)
        if (method, path) == ("POST", "/api/v1/updates"):
            return self.answer(202, {"desired": {"id": 7, "by": "all"}, "matched": 2, "online": 2, "up_to_date": 0})
        if path == "/api/v1/events":
            return self.stream()
        return self.problem(404, "not-found")

    def groups(self, method, path, query, body):
        s = self.state
        name = path.removeprefix("/api/v1/groups").strip("/")
        if method == "GET" and not name:
            names = sorted(s.groups)
            start = int(query.get("cursor", "0"))
            page = {"groups": [s.groups[n] for n in names[start : start + 2]], "total": len(names)}
            return self.answer(200, page | ({"next_cursor": str(start + 2)} if start + 2 < len(names) else {}))
        if method == "POST":
            s.groups[body["name"]] = {"revision": 1, **body}
            return self.answer(201, s.groups[body["name"]])
        if name not in s.groups:
            return self.problem(404, "not-found", "There is no group.")
        group, etag = s.groups[name], f'"e-{s.groups[name]["revision"]}"'
        if method == "GET":
            return self.answer(200, group | {"agents": {"total": 5, "online": 4, "versions": {
                "values": [{"value": "1.1.0", "count": 3}], "none": 2}}}, headers={"ETag": etag})
        if method == "PUT":
            if s.meanwhile or self.headers.get("If-Match") != etag:
                return self.problem(412, "precondition-failed", "Somebody has changed it.")
            s.groups[name] = {"name": name, "revision": group["revision"] + 1, **body}
            return self.answer(200, s.groups[name])
        del s.groups[name]
        return self.answer(204)

    def stream(self):
        s = self.state
        s.requests.append(f"Last-Event-ID {self.headers.get('Last-Event-ID')}")
        if not s.streams:
            return self.problem(403, "forbidden")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for piece in s.streams.pop(0):
            if callable(piece):
                piece()
            else:
                self.wfile.write(piece)
                self.wfile.flush()
            time.sleep(0.05)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Bench:
    handler = Handler

    def __init__(self, program, folder):
        self.program, self.folder, self.state = program, Path(folder), State()
        self.handler.state = self.state
        key, pem = str(self.folder / "key.pem"), str(self.folder / "ca.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", pem],
            check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key)
        server = Server(("127.0.0.1", 0), self.handler)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.token = self.folder / "token"
        self.token.write_text(TOKEN + "\n")
        self.env = {"PATH": os.environ["PATH"], "FLEET_GATEWAY": f"https://localhost:{server.server_address[1]}/",
                    "FLEET_CA": pem, "FLEET_TOKEN_FILE": str(self.token)}

    def ctl(self, *arguments, code=0, env=None):
        result = subprocess.run([self.program, *arguments], env=self.env if env is None else env, capture_output=True,
                                text=True, timeout=30, stdin=subprocess.DEVNULL)
        assert result.returncode == code, f"{arguments}: {result.returncode}, not {code}\n{result.stdout}{result.stderr}"
        assert "\x1b" not in result.stdout + result.stderr and "\u009b" not in result.stdout + result.stderr
        assert TOKEN not in result.stdout + result.stderr
        return result


def test_agents(b):
    lines = b.ctl("agent", "list").stdout.splitlines()
    assert len(lines) == 1204 and lines[0].split() == ["ID", "HOST", "STATE", "VERSION", "DESIRED", "UPDATE"]
    assert b.ctl("agent", "list", "-o", "name").stdout.split() == [a["id"] for a in AGENTS]
    found = json.loads(b.ctl("agent", "list", "-l", "env=staging,!a b", "-o", "json").stdout)
    assert found["total"] == 1203 and found["agents"][1202] == AGENTS[1202]
    assert "env=staging" in b.ctl("agent", "list", "-o", "wide").stdout.splitlines()[1]
    assert "at character 3" in b.ctl("agent", "list", "-l", "e==", code=2).stderr

    text = b.ctl("agent", "show", AGENTS[3]["id"]).stdout
    assert "Host: web3" in text and "State: online" in text
    assert json.loads(b.ctl("agent", "show", AGENTS[3]["id"], "--json=short").stdout) == AGENTS[3]
    b.ctl("agent", "show", "f" * 32, code=3)
    b.ctl("agent", "show", "../releases", code=2)
    b.ctl("agent", "list", "--group=web", "--state", "online,never", "--version-is=1.0.0", "--update-is=failed,none", "-m", "web1 web2",
          "--sort=-last_seen", "-o", "name")
    assert {k: v for k, v in b.state.query.items() if k != "cursor"} == {
        "limit": "1000", "fields": "narrow", "group": "web", "state": "online,never", "version": "1.0.0", "update": "failed,none",
        "q": "web1 web2", "sort": "-last_seen"}
    for wrong in ("--group=", "--state=", "--sort=", "--match=", "--version-is="):
        b.ctl("agent", "list", wrong, code=2)
    for old in (("agents", "list"), ("releases", "list")):
        b.ctl(*old, code=2)
    text = b.ctl("agent", "show", AGENTS[3]["id"], "-o", "yaml").stdout
    assert 'version: "1.0.0"\n' in text and "  hostname: web3\n" in text and "pinned: false\n" in text, text
    text = b.ctl("agent", "list", "-o", "yaml").stdout
    assert text.startswith(f'agents:\n  - id: "{AGENTS[0]["id"]}"\n    state: online\n') and text.endswith("total: 1203\n")
    b.state.agents = [EVIL]
    assert "\\x1b[31mevil" in b.ctl("agent", "list").stdout
    assert '"\\x1B[31mevil\\x9B"' in b.ctl("agent", "list", "-o", "yaml").stdout
    assert json.loads(b.ctl("agent", "list", "-o", "json").stdout)["agents"] == [EVIL]
    b.state.agents = list(AGENTS)


def test_errors(b):
    for status, name, code in ((400, "bad-request", 2), (401, "unauthenticated", 4), (403, "forbidden", 4), (404, "not-found", 3),
                               (409, "conflict", 5), (422, "unknown-version", 3), (422, "import-refused", 1), (503, "overloaded", 1)):
        b.state.fail["/api/v1/releases"] = (status, name, f"detail of {name}")
        assert f"detail of {name}" in b.ctl("release", "list", code=code).stderr
    assert "abc" in b.ctl("release", "list", code=1).stderr
    b.state.fail.clear()

    b.token.write_text("wrong\n")
    b.ctl("release", "list", code=4)
    b.token.write_text(f"{TOKEN}\n")
    without = {k: v for k, v in b.env.items() if k != "FLEET_TOKEN_FILE"}
    b.ctl("release", "list", env=without | {"FLEET_TOKEN": TOKEN})
    b.ctl("release", "list", f"--token-file={b.token}", env=without)
    b.ctl("release", "list", "--token-file=/nonexistent", code=4)
    assert "CA" in b.ctl("release", "list", "--ca=/nonexistent", code=1).stderr
    assert "reached" in b.ctl("release", "list", "--gateway=https://localhost:1", code=1).stderr
    b.ctl("release", "list", "--gateway=http://localhost:1", code=2)
    other = b.folder / "other.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=other", "-keyout", "/dev/null", "-out", str(other)], check=True, capture_output=True)
    assert "not to be trusted" in b.ctl("release", "list", f"--ca={other}", code=1).stderr


def test_releases(b):
    assert b.ctl("release", "list").stdout.splitlines()[1].split()[:3] == ["1.1.0", "agent", "x86_64"]
    assert b.ctl("release", "list", "-o", "name").stdout == "1.1.0\n"

    repository = b.folder / "repository"
    target = repository / "targets" / "agent" / "1.1.0" / "linux-x86_64"
    target.mkdir(parents=True)
    (repository / "metadata").mkdir()
    (target / "aa.agent").write_bytes(b"A" * 2_000_000)
    (target / "bb.updater").write_bytes(b"B")
    (target / ".hidden").write_bytes(b"no")
    (target / "link").symlink_to("aa.agent")
    (repository / "metadata" / "1.root.json").write_text("{}")
    b.state.served.add("/tuf/targets/agent/1.1.0/linux-x86_64/bb.updater")
    result = b.ctl("release", "import", str(repository))
    assert result.stdout == "Imported 1.1.0.\n"
    prefix = f"/api/v1/imports/{'11' * 16}/files/"
    assert b.state.files == {prefix + "targets/agent/1.1.0/linux-x86_64/aa.agent": b"A" * 2_000_000,
                             prefix + "metadata/1.root.json": b"{}"}
    assert json.loads(b.ctl("release", "import", str(repository), "-o", "json").stdout)["imported"] == ["1.1.0"]

    # what goes wrong on the way takes the import back
    b.state.requests.clear()
    (repository / "metadata" / "2.root.json").write_text("x" * 101)
    assert "larger" in b.ctl("release", "import", str(repository), code=1).stderr
    assert f"DELETE /api/v1/imports/{'11' * 16}" in b.state.requests
    b.ctl("release", "import", "/nonexistent", code=3)
    b.ctl("release", "import", str(b.folder), code=1)


def test_token(b):
    result = b.ctl("token", "create", "--uses", "3", "--expires-in", "2h", "--label", "env=x", "--label", "gpu=", "--description", "rack 4")
    assert result.stdout == "fjt1_secret\n"
    assert json.loads(b.state.bodies["/api/v1/join-tokens"]) == {
        "uses": 3, "expires_in_sec": 7200, "labels": {"env": "x", "gpu": ""}, "description": "rack 4"}
    b.ctl("token", "create")
    assert json.loads(b.state.bodies["/api/v1/join-tokens"]) == {}
    for wrong in ("--uses=0", "--uses=x", "--expires-in=5s", "--label=novalue", "--label=fact.os=x", "--label=a b=c"):
        b.ctl("token", "create", wrong, code=2)


def test_labels(b):
    path = "/api/v1/agents/labels"
    assert b.ctl("agent", "label", AGENTS[0]["id"], "env=x", "role-").stdout == "2 of 3 agents changed.\n"
    assert json.loads(b.state.bodies[path]) == {"agent": AGENTS[0]["id"], "labels": {"env": "x", "role": ""}}
    b.ctl("agent", "label", "--group=web", "--yes", "env=x")
    assert json.loads(b.state.bodies[path]) == {"group": "web", "labels": {"env": "x"}}
    b.state.bodies.clear()
    b.state.requests.clear()
    for wrong in ([AGENTS[0]["id"]], ["env=x"], ["--all", "env=x"], ["--all", "--yes", "env"], ["--all", "--yes", "env="], ["--all", "--yes", "a b=c"],
                  ["--all", "--yes", "env=x", "env-"], ["--all", "-l", "a", "--yes", "env=x"], ["--all", "--yes", "fact.os=x"], ["--all", "--yes", "-"]):
        b.ctl("agent", "label", *wrong, code=2)
    assert path not in b.state.bodies
    assert "1203 agents" in b.ctl("agent", "label", "-l", "env=x", "a=b", code=2).stderr

    lines = [line.split(None, 2) for line in b.ctl("label", "list").stdout.splitlines()]
    assert lines[:3] == [["KEY", "VALUE", "AGENTS"], ["env", "staging", "3"], ["env", "test", "1"]] and "more" in lines[3][2]
    assert b.ctl("label", "list", "rack", "-o", "name").stdout == "rack\n"


def test_groups(b):
    s = b.state
    assert b.ctl("group", "list", "-o", "name").stdout.split() == ["a", "b", "c"]
    assert json.loads(b.ctl("group", "list", "-o", "json").stdout)["total"] == 3
    assert b.ctl("group", "list").stdout.splitlines()[0].split() == ["NAME", "AGENTS", "ONLINE", "SELECTOR", "DESCRIPTION"]
    text = b.ctl("group", "show", "a").stdout
    assert "Agents: 5, 4 online" in text and "1.1.0" in text and "(none yet)  2" in text, text
    b.ctl("group", "show", "nobody", code=3)
    b.ctl("group", "create", "new", code=2)
    b.ctl("group", "create", "new", "-l", "env=new", "--description=of today")
    assert s.groups["new"] == {"name": "new", "selector": "env=new", "description": "of today", "revision": 1}

    b.ctl("group", "set", "a", code=2)
    b.ctl("group", "set", "a", "-l", "env=y")     # what is not said stays
    assert s.groups["a"] == {"name": "a", "selector": "env=y", "description": "d", "revision": 4}
    b.ctl("group", "set", "a", "--description=new")
    assert s.groups["a"] == {"name": "a", "selector": "env=y", "description": "new", "revision": 5}
    s.meanwhile = True
    assert "Somebody" in b.ctl("group", "set", "a", "-l", "env=z", code=5).stderr
    s.meanwhile = False
    b.ctl("group", "remove", "new")
    assert sorted(s.groups) == ["a", "b", "c"]
    b.ctl("group", "remove", "new", code=3)


def test_update(b):
    agent = AGENTS[0]["id"]
    for wrong in ([], ["--all"], ["--version", "1.1.0"], [agent, "--all", "--version=1.1.0"], [agent, "--version=v1"],
                  ["--all", "-l", "a", "--version=1.1.0"], ["--all", "--version=1.1.0"], [agent, "--uses=3"], ["-l", "env=x", "--version=1.1.0"]):
        b.ctl("update", *wrong, code=2)
    unknown = b.ctl("update", "--wrong", code=2).stderr
    assert unknown.startswith("fleet-gatewayctl: ") and '"fleet-gatewayctl --help"' in unknown, unknown
    assert "POST /api/v1/updates" not in b.state.requests
    b.ctl("update", "--all", "--yes", "--version", "1.1.0")
    assert json.loads(b.state.bodies["/api/v1/updates"]) == {"all": True, "version": "1.1.0"}
    b.ctl("update", "-l", "env=x", "--version", "1.1.0", "--retry", "--yes", "--allow-empty")
    assert json.loads(b.state.bodies["/api/v1/updates"]) == {
        "selector": "env=x", "version": "1.1.0", "retry": True, "allow_empty": True}
    assert "2 online" in b.ctl("update", agent, "--version", "1.1.0").stdout
    assert json.loads(b.state.bodies["/api/v1/updates"]) == {"agent": agent, "version": "1.1.0"}
    b.state.fail["/api/v1/updates"] = (422, "unknown-version", "x")
    b.ctl("update", agent, "--version", "9.0.0", code=3)
    b.state.fail.clear()


def ask(b, answer, *target):
    """On a terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(b.program, [b.program, "update", *target, "--version=1.1.0"], b.env)
    text = b""
    while b"[y/N]" not in text:
        text += os.read(terminal, 1000)
    os.write(terminal, answer)
    try:
        while more := os.read(terminal, 1000):
            text += more
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def test_confirm(b):
    b.state.bodies.clear()
    code, text = ask(b, b"n\n", "--all")
    assert code == 2 and b"all 1203 agents" in text and "/api/v1/updates" not in b.state.bodies
    code, text = ask(b, b"y\n", "--all")
    assert code == 0
    seen = {"expected_count": 1203, "expected_digest": "d1" * 32}
    assert json.loads(b.state.bodies["/api/v1/agents/match"]) == {"all": True}
    assert json.loads(b.state.bodies["/api/v1/updates"]) == {"all": True, "version": "1.1.0", **seen}
    code, text = ask(b, b"y\n", "-l", "env=x")
    assert code == 0 and b"1203 agents (env=x) to version 1.1.0" in text, text
    assert json.loads(b.state.bodies["/api/v1/updates"]) == {"selector": "env=x", "version": "1.1.0", **seen}
    code, text = ask(b, b"y\n", "--group=web")
    assert code == 0 and b"1203 agents (group web: env=x) to version 1.1.0" in text, text
    assert json.loads(b.state.bodies["/api/v1/updates"]) == {"group": "web", "version": "1.1.0", **seen}


def event(number, name, data):
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def update_event(number, phase, title, **more):
    data = {"id": "u1", "agent": AGENTS[0]["id"], "desired": 7, "version": "1.1.0", "from_version": "1.0.0", "phase": phase, "title": title,
            "terminal": False}
    return event(number, "update", data | more)


def test_wait(b):
    def reason(*values):
        b.state.agents = [AGENTS[i] | {"reason": v, "desired": {"id": 7}} for i, v in enumerate(values)]

    reason("due", "up-to-date")
    b.state.streams = [[b"retry: 500\n\n", update_event(1, "restarting", "Restarting"), lambda: reason("up-to-date", "up-to-date"),
                        update_event(2, "succeeded", "Back Online", terminal=True), b": x\n\n"]]
    b.state.requests.clear()
    result = b.ctl("update", "--all", "--yes", "--version=1.1.0", "--wait")
    assert "2 up to date, 0 failed" in result.stdout
    # all of them once, then the one of which something was heard
    assert b.state.requests.count("GET /api/v1/agents") == 2 and b.state.query["id"] == AGENTS[0]["id"], b.state.query
    assert "Restarting" in result.stderr and "Back Online" in result.stderr and "web0" in result.stderr
    # one that does not match any more is not waited for; what concerns many has all of them read anew
    reason("due", "up-to-date")
    b.state.streams = [[b": x\n\n", lambda: time.sleep(0.5), lambda: b.state.agents.pop(0),
                        event(1, "agent", AGENTS[0] | {"change": "labels"}), b": x\n\n", lambda: time.sleep(1)]]
    assert "1 up to date, 0 failed" in b.ctl("update", "-l", "env=x", "--yes", "--version=1.1.0", "--wait").stdout
    reason("due", "up-to-date")
    b.state.streams = [[b": x\n\n", lambda: time.sleep(0.5), lambda: reason("up-to-date", "up-to-date"),
                        event(1, "desired", {"id": 8, "by": "all", "version": "1.2.0"}), b": x\n\n", lambda: time.sleep(1)]]
    assert "2 up to date" in b.ctl("update", "--all", "--yes", "--version=1.1.0", "--wait").stdout and "id" not in b.state.query
    for pending in ("limit", "in-rollout", "waiting", "offline", "updating"):
        reason(pending)
        b.state.streams = [[b": x\n\n", lambda: time.sleep(0.3), lambda: reason("up-to-date"),
                            update_event(2, "succeeded", "Back Online", terminal=True), lambda: time.sleep(1)]]
        assert "1 up to date" in b.ctl("update", "--all", "--yes", "--version=1.1.0", "--wait").stdout
    reason("held", "up-to-date")
    b.state.streams = [[b": x\n\n"]]
    assert "1 failed" in b.ctl("update", "--all", "--yes", "--version=1.1.0", "--wait", code=7).stdout
    reason("failed", "up-to-date")
    b.state.streams = [[b": x\n\n"]]
    assert "1 failed" in b.ctl("update", "--all", "--yes", "--version=1.1.0", "--wait", code=7).stdout
    reason("pinned")
    b.state.streams = [[b": x\n\n"]]
    b.ctl("update", AGENTS[0]["id"], "--version=1.1.0", "--wait", code=7)
    reason("offline")
    b.state.streams = [[b": x\n\n", lambda: time.sleep(3)]]
    result = b.ctl("update", "--all", "--yes", "--version=1.1.0", "--wait", "--timeout=1", "-o", "json", code=6)
    assert json.loads(result.stdout)["pending"] == 1
    b.state.agents = list(AGENTS)


def run_watch(b, until, *arguments):
    process = subprocess.Popen([b.program, "watch", *arguments], env=b.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killer = threading.Timer(20, process.kill)
    killer.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if until in line:
            break
    process.terminate()
    killer.cancel()
    process.wait(10)
    assert lines and until in lines[-1], f"{lines}\n{process.stderr.read()}"
    return lines


def test_watch(b):
    first = [b"retry: 500\n\n: hello\n\n", update_event(41, "downloading", "Downloading"),
             update_event(None, "downloading", "Downloading", bytes_done=50, bytes_total=100),
             update_event(None, "downloading", "Downloading", bytes_done=51, bytes_total=100),
             update_event(42, "verifying", "Verifying")]
    second = [update_event(43, "failed", "Failed", terminal=True, verdict="disk-full", verdict_text="No \x1b[1mspace."),
              event(44, "agent", AGENTS[1] | {"change": "offline"}), event(45, "release", {"version": "1.1.0"}), lambda: time.sleep(5)]
    b.state.streams = [list(first), list(second)]
    b.state.requests.clear()
    text = "".join(run_watch(b, "release 1.1.0 imported"))
    assert "Last-Event-ID None" in b.state.requests and "Last-Event-ID 42" in b.state.requests
    assert text.count("Downloading") == 2 and "50% (50B of 100B)" in text, text
    assert "web0" in text and "Failed: disk-full" in text and "No \\x1b[1mspace." in text and "web1" in text

    b.state.streams = [list(first), list(second)]
    events = [json.loads(line) for line in run_watch(b, '"release"', AGENTS[0]["id"], "-o", "json")]
    assert [e.get("id") for e in events] == [41, None, None, 42, 43, 44, 45]
    assert events[0]["event"] == "update" and events[0]["data"]["title"] == "Downloading"
    b.ctl("watch", code=4)                      # no streams left: forbidden
    b.ctl("watch", "f" * 32, code=3)


def main():
    with tempfile.TemporaryDirectory(prefix="fleet-gatewayctl-") as folder:
        b = Bench(sys.argv[1], folder)
        for test in (test_agents, test_errors, test_releases, test_token, test_labels, test_groups, test_update, test_confirm, test_wait, test_watch):
            test(b)
            print(f"{test.__name__}: ok", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

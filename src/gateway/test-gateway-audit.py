#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gateway-audit.py FLEET-GATEWAYD FLEET-RELEASE FLEET-GATEWAYCTL: the audit log of the real gateway: what is
entered, that nothing changes without an entry, and that fleet-gatewayctl finds every kind of damage."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gateway_lab import api


class Log:
    """The audit log as a client sees it, and as somebody with the database in hand may change it."""

    def __init__(self, gateway, ctl, folder):
        self.gateway, self.program = gateway, ctl
        self.folder = folder

    def entries(self, query=""):
        status, answer = self.gateway.ask("GET", f"/api/v1/audit{query}")
        assert status == 200, answer
        return answer["entries"]

    def last(self):
        return self.entries("?limit=1")[0]["entry"]

    def ctl(self, *arguments, expect=0, **more):
        env = {
            "PATH": os.environ["PATH"], "FLEET_GATEWAY": f"https://localhost:{self.gateway.port}",
            "FLEET_CA": str(self.gateway.state / "ca.pem"), "FLEET_TOKEN_FILE": str(self.gateway.state / "admin.token"),
        }
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True, env=env, timeout=60, **more)
        assert done.returncode == expect, (arguments, done)
        return done

    def spawn(self, *arguments):
        env = {
            "PATH": os.environ["PATH"], "FLEET_GATEWAY": f"https://localhost:{self.gateway.port}",
            "FLEET_CA": str(self.gateway.state / "ca.pem"), "FLEET_TOKEN_FILE": str(self.gateway.state / "admin.token"),
        }
        return subprocess.Popen([self.program, *arguments], stdout=subprocess.PIPE, text=True, env=env)

    @contextlib.contextmanager
    def database(self):
        database = sqlite3.connect(self.gateway.state / "gateway.db", isolation_level=None, timeout=10)
        try:
            yield database
        finally:
            database.close()

    @contextlib.contextmanager
    def damaged(self, *statements):
        """What the statements do to the table, undone afterwards; the triggers are no obstacle to who has the file."""
        with self.database() as database:
            triggers = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'").fetchall()
            rows = database.execute("SELECT * FROM audit ORDER BY seq").fetchall()
            for name, _ in triggers:
                database.execute(f"DROP TRIGGER {name}")
            for statement, *values in statements:
                assert database.execute(statement, values).rowcount != 0, statement
        try:
            yield
        finally:
            with self.database() as database:
                database.execute("DELETE FROM audit")
                database.executemany(f"INSERT INTO audit VALUES ({','.join('?' * len(rows[0]))})", rows)
                for _, sql in triggers:
                    database.execute(sql)


def check_chain(lines):
    """The chain, by a few lines that share nothing with the program."""
    prev = "0" * 64
    for number, line in enumerate(lines, 1):
        text, digest = re.fullmatch(r'\{"entry":(.*),"hash":"([0-9a-f]{64})"\}', line).groups()
        entry = json.loads(text)
        assert hashlib.sha256(text.encode()).hexdigest() == digest
        assert entry["seq"] == number and entry["prev"] == prev
        assert json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False) == text
        prev = digest
    return prev


def put_agent(log, agent):
    with log.database() as database:
        database.execute(
            "INSERT INTO agents (id, state, token_misses, clone_suspected, metadata_expires, pinned, enrolled, last_seen, packaging, hostname)"
            " VALUES (?, 0, 0, 0, 0, 0, 1, 0, 0, 'host1')", (agent,))


def test_entries(log, gateway, repository):
    """Every route that changes something, and what it leaves."""
    first = log.entries("?order=asc&limit=1")[0]["entry"]
    assert (first["seq"], first["actor"], first["method"], first["action"]) == (1, "gateway", "none", "api-token.create")
    assert "source" not in first and first["detail"]["role"] == "admin"
    me = f"token:{gateway.ask('GET', '/api/v1/me')[1]['id']}"
    put_agent(log, "box1")
    secrets = [gateway.token]

    def did(action, target, count, status, method, path, body=None, **detail):
        before = log.last()["seq"]
        got, answer = gateway.ask(method, path, body, headers={"If-Match": "*"})
        assert got == status, (path, got, answer)
        entry = log.last()
        assert entry["seq"] == before + 1, (path, entry)
        assert (entry["actor"], entry["method"], entry["source"]) == (me, "token", "127.0.0.1"), entry
        assert (entry["action"], entry["count"]) == (action, count), entry
        assert re.fullmatch(target, entry["target"]), entry
        assert re.fullmatch("[0-9a-f]{32}", entry["request_id"])
        for key, value in detail.items():
            assert entry["detail"].get(key) == value, (key, entry)
        if answer and "token" in answer:
            secrets.append(answer["token"])
        return answer

    repository.add("1.0.0")
    path = gateway.upload(repository.files())
    did("release.import", "", 1, 200, "POST", f"{path}/commit", versions=["1.0.0"])
    path = gateway.upload(repository.files())
    did("release.import", "", 0, 200, "POST", f"{path}/commit", versions=[])
    repository.add("1.1.0")
    path = gateway.upload(repository.files())
    did("release.import", "", 1, 200, "POST", f"{path}/commit", versions=["1.1.0"], targets=2)

    updates = "/api/v1/updates"
    did("desired.set", "all", 1, 202, "POST", updates, {"all": True, "version": "1.0.0"}, version="1.0.0", retry=False)
    did("desired.set", "all", 1, 202, "POST", updates, {"all": True, "version": "1.1.0"}, version="1.1.0", before="1.0.0")
    number = gateway.ask("GET", "/api/v1/desired")[1]["desired"][0]["id"]
    same = log.last()["seq"]
    assert gateway.ask("POST", updates, {"all": True, "version": "1.1.0"})[0] == 202
    assert log.last()["seq"] == same                    # nothing was changed
    did("desired.set", "agent:box1", 1, 202, "POST", updates, {"agent": "box1", "version": "1.1.0"})
    did("desired.set", "selector:env=x", 0, 202, "POST", updates, {"selector": "env = x", "version": "1.1.0", "allow_empty": True})
    did("desired.delete", f"desired:{number}", 1, 204, "DELETE", f"/api/v1/desired/{number}", version="1.1.0", by="all")

    did("agent.labels", "agent:box1", 1, 200, "PATCH", "/api/v1/agents/box1", {"labels": {"env": "test"}}, env={"from": "", "to": "test"})
    did("agent.labels", "agents:fact.hostname=host1", 1, 200, "POST", "/api/v1/agents/labels",
        {"selector": "fact.hostname=host1", "labels": {"rack": "a1"}}, labels={"rack": "a1"})
    did("group.create", "group:web", 1, 201, "POST", "/api/v1/groups", {"name": "web", "selector": "env=test"})
    did("group.change", "group:web", 1, 200, "PUT", "/api/v1/groups/web", {"selector": "env=production"})
    did("group.remove", "group:web", 1, 204, "DELETE", "/api/v1/groups/web")
    did("agent.labels", "agent:box1", 1, 200, "PATCH", "/api/v1/agents/box1", {"labels": {"env": ""}}, env={"from": "test", "to": ""})
    token = did("join-token.create", "join-token:[0-9a-f]{16}", 1, 201, "POST", "/api/v1/join-tokens", {"uses": 3}, uses=3)
    did("join-token.delete", f"join-token:{token['id']}", 1, 204, "DELETE", f"/api/v1/join-tokens/{token['id']}", uses=3)
    token = did("api-token.create", "api-token:[0-9a-f]{16}", 1, 201, "POST", "/api/v1/api-tokens", {"role": "viewer"}, role="viewer")
    did("api-token.delete", f"api-token:{token['id']}", 1, 204, "DELETE", f"/api/v1/api-tokens/{token['id']}", role="viewer")
    did("agent.remove", "agent:box1", 1, 204, "DELETE", "/api/v1/agents/box1", id="box1")

    # what is refused leaves nothing, and no entry holds what would open a door
    before = log.last()["seq"]
    gateway.problem(404, "not-found", "DELETE", "/api/v1/agents/box1")
    gateway.problem(404, "not-found", "DELETE", f"/api/v1/api-tokens/{token['id']}")
    gateway.problem(404, "not-found", "POST", updates, {"agent": "nobody", "version": "1.1.0"})
    assert log.last()["seq"] == before
    everything = json.dumps(log.entries("?limit=1000"))
    for secret in secrets:
        assert secret.split("_")[2] not in everything
    with log.database() as database:
        for (digest,) in database.execute("SELECT hash FROM api_tokens").fetchall():
            assert digest not in everything


def test_nothing_without_entry(log, gateway, repository):
    """A change whose entry cannot be written fails, and nothing has changed."""
    put_agent(log, "box2")
    repository.add("1.2.0")
    path = gateway.upload(repository.files())
    made = gateway.ask("POST", "/api/v1/api-tokens", {"role": "viewer"})[1]
    gateway.ask("POST", "/api/v1/updates", {"all": True, "version": "1.0.0"})
    number = gateway.ask("GET", "/api/v1/desired")[1]["desired"][0]["id"]

    def world():
        lists = ("agents", "desired", "releases", "join-tokens", "api-tokens", "updates")
        served = {str(p.relative_to(gateway.state)) for p in (gateway.state / "tuf" / "metadata").rglob("*")}
        return [gateway.ask("GET", f"/api/v1/{name}")[1] for name in lists], served, log.last()

    before = world()
    with log.database() as database:
        database.execute("CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
    for request in (
        ("POST", "/api/v1/updates", {"all": True, "version": "1.1.0"}),
        ("POST", "/api/v1/updates", {"agent": "box2", "version": "1.1.0"}),
        ("DELETE", f"/api/v1/desired/{number}"),
        ("PATCH", "/api/v1/agents/box2", {"labels": {"env": "test"}}),
        ("DELETE", "/api/v1/agents/box2"),
        ("POST", "/api/v1/agents/labels", {"all": True, "labels": {"env": "test"}}),
        ("POST", "/api/v1/groups", {"name": "web", "selector": "env=test"}),
        ("POST", "/api/v1/join-tokens", {}),
        ("POST", "/api/v1/api-tokens", {"role": "admin"}),
        ("DELETE", f"/api/v1/api-tokens/{made['id']}"),
        ("POST", f"{path}/commit"),
    ):
        gateway.problem(500, "internal", *request, headers={"If-Match": "*"})
    assert gateway.ask("GET", "/api/v1/me", token=made["token"])[0] == 200
    with log.database() as database:
        database.execute("DROP TRIGGER refuse")
    assert world() == before
    assert gateway.ask("DELETE", f"/api/v1/desired/{number}")[0] == 204
    status, answer = gateway.commit(repository.files())
    assert status == 200 and answer["imported"] == ["1.2.0"], answer


def test_lists(log, gateway):
    everything = log.entries("?limit=1000")
    assert [e["seq"] for e in everything] == list(range(len(everything), 0, -1))
    for e in everything:
        assert json.loads(e["text"]) == e["entry"] and "mismatch" not in e

    def pages(query):
        found, cursor = [], ""
        while True:
            status, answer = gateway.ask("GET", f"/api/v1/audit?{query}{cursor}")
            assert status == 200, answer
            found += answer["entries"]
            if "next_cursor" not in answer:
                return found
            cursor = f"&cursor={answer['next_cursor']}"

    assert pages("limit=3") == everything
    assert pages("limit=4&order=asc") == everything[::-1]
    assert pages("order=asc&limit=2&after=5") == everything[::-1][5:]
    for query, wanted in (
        ("actor=gateway", lambda e: e["actor"] == "gateway"),
        ("action=desired.set", lambda e: e["action"] == "desired.set"),
        ("action=api-token.*", lambda e: e["action"].startswith("api-token.")),
        ("target=agent:box1", lambda e: e["target"] == "agent:box1"),
        ("target=agent:*&action=agent.labels", lambda e: e["action"] == "agent.labels" and e["target"].startswith("agent:")),
        ("actor=token:*&target=all", lambda e: e["target"] == "all"),
        ("until=2026-01-01T00:00:00Z&since=2000-01-01T00:00:00Z", lambda e: e["time"] < "2026-01-01T00:00:00Z"),
        ("since=2000-01-01T00:00:00Z", lambda e: True),
    ):
        expected = [e for e in everything if wanted(e["entry"])]
        assert pages(f"limit=2&{query}") == expected, query
        assert pages(f"limit=2&{query}&order=asc") == expected[::-1], query
    assert len(pages("action=desired.set")) >= 4
    head = gateway.ask("GET", "/api/v1/audit?limit=1")[1]["head"]
    assert head == {"seq": everything[0]["seq"], "hash": everything[0]["hash"]}

    cursor = gateway.ask("GET", "/api/v1/audit?limit=1&actor=token:*")[1]["next_cursor"]
    for query, key in (
        (f"cursor={cursor}", "cursor"), (f"actor=token:*&order=asc&cursor={cursor}", "cursor"), ("cursor=x", "cursor"),
        ("order=up", "order"), ("since=yesterday", "since"), ("limit=0", "limit"), ("actor=", "actor"), ("what=1", "what"),
    ):
        answer = gateway.problem(400, "bad-request", "GET", f"/api/v1/audit?{query}")
        assert answer["errors"][0]["parameter"] == key, (query, answer)
    for role in ("viewer", "operator"):
        token = gateway.ask("POST", "/api/v1/api-tokens", {"role": role})[1]["token"]
        gateway.problem(403, "forbidden", "GET", "/api/v1/audit", token=token)

    status, headers, body = gateway.ask("GET", "/api/v1/audit?order=asc&limit=1000", headers={"Accept": "application/x-ndjson"}, raw=True)
    assert status == 200 and headers["Content-Type"] == "application/x-ndjson"
    check_chain(body.decode().splitlines())
    headers = gateway.ask("GET", "/api/v1/audit?limit=1", headers={"Accept": "application/x-ndjson;q=0.5, application/json"}, raw=True)[1]
    assert headers["Content-Type"] == "application/json"


def test_ctl(log, gateway):
    head = log.entries("?limit=1")[0]
    assert f"Entries 1 to {head['seq']} are whole. Head: {head['hash']}" in log.ctl("audit", "verify").stdout
    verdict = json.loads(log.ctl("audit", "verify", "-o", "json").stdout)
    assert verdict == {"good": True, "first": 1, "last": head["seq"], "head": head["hash"]}
    log.ctl("audit", "verify", f"--head={log.entries('?limit=5')[4]['hash']}")
    exported = log.ctl("audit", "export").stdout
    assert check_chain(exported.splitlines()) == head["hash"]
    (log.folder / "export").write_text(exported)
    assert head["hash"] in log.ctl("audit", "verify", f"--from-file={log.folder / 'export'}").stdout
    (log.folder / "part").write_text("".join(exported.splitlines(keepends=True)[3:]))
    assert "Entries 4 to" in log.ctl("audit", "verify", f"--from-file={log.folder / 'part'}").stdout
    (log.folder / "bad").write_text(exported.replace('"actor":"gateway"', '"actor":"nobody"', 1))
    assert "entry 1 was changed" in log.ctl("audit", "verify", f"--from-file={log.folder / 'bad'}", expect=7).stderr

    table = log.ctl("audit", "list", "--action=desired.*", "--since=1h").stdout.splitlines()
    assert table[0].split() == ["SEQ", "TIME", "ACTOR", "ACTION", "TARGET", "COUNT", "SOURCE"]
    assert len(table) > 4 and all("desired." in line for line in table[1:])
    assert log.ctl("audit", "list", "--until=1h", "--no-legend").stdout == ""
    assert log.ctl("audit", "list", "-n", "2", "-o", "name").stdout.split() == [str(head["seq"]), str(head["seq"] - 1)]
    assert len(json.loads(log.ctl("audit", "list", "-n", "0", "-o", "json").stdout)["entries"]) == head["seq"]
    assert "DETAIL" in log.ctl("audit", "list", "-o", "wide").stdout
    log.ctl("audit", "list", "--since=yesterday", expect=2)
    log.ctl("audit", "verify", "--head=xyz", expect=2)

    lines = log.ctl("audit", "tail", "-n", "3").stdout.splitlines()
    assert [int(line.split()[1]) for line in lines] == [head["seq"] - 2, head["seq"] - 1, head["seq"]]
    follower = log.spawn("audit", "tail", "-n", "1", "--follow")
    try:
        assert follower.stdout.readline() == lines[-1] + "\n"
        made = gateway.ask("POST", "/api/v1/join-tokens", {})[1]
        assert f"join-token.create  join-token:{made['id']}" in follower.stdout.readline()
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()


def rewritten(row):
    """An entry that was changed by somebody who knows how to hash."""
    seq, when, actor, action, target, text, _ = row
    text = text.replace('"count":1', '"count":2')
    return text, hashlib.sha256(text.encode()).hexdigest(), seq


def test_damage(log, gateway):
    with log.database() as database:
        rows = database.execute("SELECT * FROM audit ORDER BY seq").fetchall()
    last, head = rows[-1][0], rows[-1][-1]
    middle = next(r for r in rows[3:] if '"count":1' in r[5])
    n = middle[0]

    def found(bad, *words, **more):
        done = log.ctl("audit", "verify", "-o", "json", *more.get("arguments", ()), expect=7)
        verdict = json.loads(done.stdout)
        assert not verdict["good"] and verdict["bad_seq"] == bad, verdict
        for word in words:
            assert word in verdict["reason"], verdict
        exported = log.folder / "damaged"
        exported.write_text(log.ctl("audit", "export").stdout)
        log.ctl("audit", "verify", f"--from-file={exported}", *more.get("arguments", ()), expect=more.get("file", 7))

    with log.damaged(("UPDATE audit SET text = replace(text, '\"count\":1', '\"count\":2') WHERE seq = ?", n)):
        found(n, "was changed")
    with log.damaged(("UPDATE audit SET text = ?, hash = ? WHERE seq = ?", *rewritten(middle))):
        found(n + 1, "does not follow")                 # hashed anew: the next one shows it
    with log.damaged(("DELETE FROM audit WHERE seq = ?", n)):
        found(n, f"comes entry {n + 1}")
    with log.damaged(("DELETE FROM audit WHERE seq = ?", n), ("UPDATE audit SET seq = seq - 1 WHERE seq > ?", n)):
        found(n)                                        # closing the gap does not help
    with log.damaged(("DELETE FROM audit WHERE seq <= 2",)):
        found(1, "begins with entry 3", file=0)         # a file may hold the rest of a log
    with log.damaged(("UPDATE audit SET actor = 'gateway' WHERE seq = ?", n)):
        found(n, "listed by other values")              # who hides an entry from lists
    with log.damaged(("UPDATE audit SET text = 'x' || char(10) || 'y' WHERE seq = ?", n)):
        found(n, "damaged")
        assert log.entries(f"?order=asc&limit=1&after={n - 1}")[0]["damaged"]
        assert "(damaged)" in log.ctl("audit", "list", "-n", "0").stdout
    for column in ("text", "actor", "target"):          # what a C string does not show
        with log.damaged((f"UPDATE audit SET {column} = CAST({column} || char(0) || 'x' AS TEXT) WHERE seq = ?", n)):
            found(n, "damaged")
    with log.damaged(("DELETE FROM audit WHERE seq > ?", last - 2)):
        log.ctl("audit", "verify")                      # the rest is whole: that is why the head is told elsewhere
        found(last - 1, "cut off", arguments=[f"--head={head}"])
    assert head in log.ctl("audit", "verify", f"--head={head}").stdout


def test_journal(log, gateway):
    """The head goes to the journal, after the commit and not without it."""
    text = (gateway.folder / "log").read_text()
    told = re.findall(r'Audit entry (\d+): (\S+) by (\S+) on "([^"]*)", hash ([0-9a-f]{64})\.', text)
    with log.database() as database:
        rows = database.execute("SELECT seq, action, actor, target, hash FROM audit ORDER BY seq").fetchall()
    assert [(int(seq), *rest) for seq, *rest in told] == rows


def test_killed(log, gateway):
    """The chain goes on after the gateway was killed."""
    gateway.stop(api.signal.SIGKILL)
    gateway.start()
    assert gateway.ask("POST", "/api/v1/join-tokens", {})[0] == 201
    log.ctl("audit", "verify")


def test_lost(log, gateway):
    """What the gateway itself has noted of the end."""
    place = gateway.state / "gateway.db.audit-head"
    log_file = gateway.folder / "log"

    def restart(*statements):
        gateway.stop()
        before = len(log_file.read_text())
        with log.database() as database:
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'").fetchall():
                if statements:
                    database.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                database.execute(statement)
        gateway.start()
        return log_file.read_text()[before:]

    head = log.entries("?limit=1")[0]
    assert place.read_text() == f"{head['seq']} {head['hash']}\n"
    assert place.stat().st_mode & 0o777 == 0o600
    assert "cut off" not in restart()
    for statement in ("DELETE FROM audit WHERE seq > 5", "DELETE FROM audit"):
        head = log.entries("?limit=1")[0]
        said = restart(statement)
        assert f"it held entry {head['seq']} with the hash {head['hash']}, and does not now" in said, said
        (entry,) = log.entries("?action=audit.lost&limit=1")
        assert entry["entry"]["actor"] == "gateway", entry
        assert entry["entry"]["detail"] == {"seq": head["seq"], "hash": head["hash"]}, entry
        done = log.ctl("audit", "verify")
        assert f"Entry {entry['seq']} says that" in done.stderr, done
    assert "cut off" not in restart()                   # said once, and entered for good

    place.write_text("nonsense\n")                      # who spoils it does not keep the gateway from starting
    assert "Failed to read the last hash of the audit log" in restart()
    place.unlink()
    restart()
    assert gateway.ask("POST", "/api/v1/join-tokens", {})[0] == 201
    head = log.entries("?limit=1")[0]
    assert place.read_text() == f"{head['seq']} {head['hash']}\n"


def test_head_file(log, gateway):
    """Who verifies again and again need not note the head."""
    remembered = log.folder / "heads"
    done = log.ctl("audit", "verify")
    assert "--head" in done.stderr, done                # not to be seen without
    head = log.entries("?limit=1")[0]["hash"]
    first = log.ctl("audit", "verify", f"--head-file={remembered}")
    assert remembered.read_text() == head + "\n" and remembered.stat().st_mode & 0o777 == 0o600
    assert "no head was noted" in first.stderr, first
    assert gateway.ask("POST", "/api/v1/join-tokens", {})[0] == 201
    again = log.ctl("audit", "verify", f"--head-file={remembered}")
    assert again.stderr == "" and remembered.read_text() == log.entries("?limit=1")[0]["hash"] + "\n", again
    kept = remembered.read_text()
    seq = log.entries("?limit=1")[0]["seq"]
    with log.damaged(("DELETE FROM audit WHERE seq = ?", seq)):
        assert "cut off" in log.ctl("audit", "verify", f"--head-file={remembered}", expect=7).stderr
    assert remembered.read_text() == kept
    log.ctl("audit", "verify", f"--head-file={remembered}", f"--head={head}", expect=2)
    remembered.write_text("nonsense\n")
    assert "nonsense" not in log.ctl("audit", "verify", f"--head-file={remembered}", expect=1).stdout
    assert remembered.read_text() == "nonsense\n"


def main():
    program, release, ctl = (str(Path(a).resolve()) for a in sys.argv[1:4])
    folder = Path(tempfile.mkdtemp(prefix="test-gateway-audit-"))
    gateway = None
    try:
        repository = api.Repository(release, folder / "repo")
        gateway = api.Gateway(program, folder, repository.root)
        gateway.start()
        log = Log(gateway, ctl, folder)
        for test, arguments in (
            (test_entries, (repository,)),
            (test_nothing_without_entry, (repository,)),
            (test_lists, ()),
            (test_ctl, ()),
            (test_damage, ()),
            (test_journal, ()),
            (test_killed, ()),
            (test_head_file, ()),
            (test_lost, ()),
        ):
            started = time.monotonic()
            test(log, gateway, *arguments)
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

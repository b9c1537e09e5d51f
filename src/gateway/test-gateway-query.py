#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gateway-query.py FLEET-GATEWAYD: lists of agents, their filters, orders, pages, summaries and exports."""

import base64
import csv
import http.client
import io
import itertools
import random
import ssl
import sys
import threading
import time
import urllib.parse
from pathlib import Path

from gateway_fleet import SORTS, STATES, N, run

# ---- filters ----

# parameter, value, what it means
FILTERS = [
    ("selector", "env=production", lambda a: a.matches("env=production")),
    ("selector", "env!=production,!gpu", lambda a: a.matches("env!=production&!gpu")),
    ("selector", "tier in (web,x),fact.os=debian", lambda a: a.matches("tier in (web,x)&fact.os=debian")),
    ("selector", "fact.os notin (debian),gpu", lambda a: a.matches("fact.os notin (debian)&gpu")),
    ("group", "web", lambda a: a.matches("tier=web")),
    ("state", "online", lambda a: a.state == "online"),
    ("state", "offline,never", lambda a: a.state != "online"),
    ("version", "1.10.0,2.0.0-rc.1", lambda a: a.version in ("1.10.0", "2.0.0-rc.1")),
    ("version", "none", lambda a: not a.version),
    ("update", "failed,none", lambda a: a.update in ("failed", "")),
    ("update", "downloading", lambda a: a.update == "downloading"),
    ("q", "WEB0", lambda a: a.hostname.lower().startswith("web0") or a.id.startswith("WEB0")),
    ("q", "db-1\nzürich, a00\tnobody", lambda a: a.hostname.startswith(("db-1", "zürich")) or a.id.startswith("a00")),
    ("id", None, None),             # of what there is: see below
]


def filters(fleet):
    ids = [a.id for a in fleet[::7]]
    for key, value, meaning in FILTERS:
        yield (key, value, meaning) if value else ("id", ",".join([*ids, "nobody"]), lambda a: a.id in ids)


def test_filters(gateway, fleet):
    """Every filter alone, every pair, and orders drawn for each; the ids, their order and the total."""
    draw = random.Random(7)
    every = list(filters(fleet))
    combinations = [[f] for f in every] + [list(p) for p in itertools.combinations(every, 2) if p[0][0] != p[1][0]]
    assert len(combinations) > 80
    hits = 0
    for chosen in combinations:
        query = {key: value for key, value, _ in chosen}
        expected = [a for a in fleet if all(meaning(a) for _, _, meaning in chosen)]
        hits += bool(expected)
        sort, descending = draw.choice(SORTS), draw.random() < 0.5
        expected.sort(key=lambda a: (a.key(sort), a.id), reverse=descending)
        got, total = gateway.pages({**query, "sort": ("-" if descending else "") + sort}, draw.choice((3, 50, 1000)))
        assert got == [a.id for a in expected] and total == len(expected), (query, sort, descending)
        summary = gateway.ask("GET", "/agents/summary?" + urllib.parse.urlencode(query))
        assert summary["total"] == total and sum(summary["states"].values()) == total, (query, summary)
    assert hits > len(combinations) / 2


def test_orders(gateway, fleet):
    for sort in SORTS:
        for descending in (False, True):
            expected = sorted(fleet, key=lambda a: (a.key(sort), a.id), reverse=descending)
            got, total = gateway.pages({"sort": ("-" if descending else "") + sort}, 37)
            assert got == [a.id for a in expected] and total == N, (sort, descending)


def test_forms(gateway, fleet):
    a = max(fleet, key=lambda a: (len(a.labels), a.update == "failed", a.hostname != ""))
    narrow = gateway.ask("GET", f"/agents?id={a.id}&fields=narrow")["agents"][0]
    assert narrow["labels"] == a.labels and narrow["revision"] == 1 and narrow["arch"] == a.arch
    assert narrow.get("update_phase", "") == a.update and "reason" not in narrow and "facts" not in narrow
    full = gateway.ask("GET", f"/agents?id={a.id}")["agents"][0]
    assert full["facts"]["arch"] == a.arch and full["reason"] == "none-desired" and full["revision"] == 1
    assert full["connected"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(a.connected))
    assert len(gateway.ask("GET", "/agents")["agents"]) == 200


def test_wrong(gateway):
    for query, where in (
        ("what=1", "?what"), ("state=", "?state"), ("state=on", "?state"), ("version=1", "?version"), ("version=,", "?version"),
        ("update=done", "?update"), ("q=", "?q"), ("q=%20,%0A", "?q"), ("id=", "?id"), ("id=a%2Fb", "?id"), ("group=", "?group"),
        ("group=a%20b", "?group"), ("sort=", "?sort"), ("sort=name", "?sort"), ("sort=--id", "?sort"), ("limit=0", "?limit"),
        ("limit=1001", "?limit"), ("limit=", "?limit"), ("fields=wide", "?fields"), ("fields=", "?fields"), ("cursor=", "?cursor"),
        ("cursor=%2B", "?cursor"), ("facet=label:env", "?facet"),
    ):
        gateway.problem(400, "bad-request", where, "GET", f"/agents?{query}")
    for query in ("selector=", "selector=a%0Ab", "selector=fact.x=1", "selector=a=b,"):
        gateway.problem(400, "bad-selector", "?selector", "GET", f"/agents?{query}")
    gateway.problem(404, "not-found", "?group", "GET", "/agents?group=nobody")
    gateway.problem(404, "not-found", "?group", "GET", "/agents?group=nobody", Accept="text/csv")
    gateway.problem(400, "bad-request", "?q", "GET", "/agents?q=" + ",".join(f"h{i}" for i in range(1001)))
    for query in ("facet=", "facet=env", "facet=label:", "facet=label:fact.os", "facet=" + ",".join(f"label:k{i}" for i in range(9))):
        gateway.problem(400, "bad-request", "?facet", "GET", f"/agents/summary?{query}")
    gateway.problem(400, "bad-request", "?limit", "GET", "/agents?limit=5", Accept="text/csv")
    status, _, _ = gateway.raw("GET", "/agents?q=" + ",".join(f"host-{i:020}" for i in range(1000)))
    assert status == 200, "a thousand names of 25 characters fit"


def test_cursors(gateway):
    base = {"selector": "env=production", "sort": "hostname", "limit": 5, "fields": "narrow"}
    cursor = gateway.ask("GET", "/agents?" + urllib.parse.urlencode(base))["next_cursor"]
    good = {**base, "cursor": cursor}
    gateway.ask("GET", "/agents?" + urllib.parse.urlencode(good))
    gateway.ask("GET", "/agents?" + urllib.parse.urlencode({**good, "limit": 7, "fields": "full", "selector": "env == production"}))
    for other in ({"selector": "env=test"}, {"selector": "env!=production"}, {"sort": "-hostname"}, {"sort": "id"}, {"state": "online"},
                  {"version": "1.0.0"}, {"update": "none"}, {"q": "a"}, {"id": "a"}, {"group": "web"}):
        gateway.problem(400, "bad-request", "?cursor", "GET", "/agents?" + urllib.parse.urlencode({**good, **other}))
    # one that was made up points nowhere, or into the list, but into no other
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for text, status in ((raw + b"z", 200), (raw[:16], 400), (raw[:17], 400), (b"x" + raw[1:], 400), (raw + b"\0", 400)):
        made_up = base64.urlsafe_b64encode(text).decode().rstrip("=")
        assert gateway.raw("GET", "/agents?" + urllib.parse.urlencode({**good, "cursor": made_up}))[0] == status, text
    # of a group whose meaning has changed, the old pages are no longer its pages
    gateway.ask("POST", "/groups", {"name": "moving", "selector": "env=production"}, 201)
    cursor = gateway.ask("GET", "/agents?group=moving&limit=2")["next_cursor"]
    gateway.ask("GET", f"/agents?group=moving&limit=2&cursor={cursor}")
    gateway.ask("PUT", "/groups/moving", {"selector": "env=staging"}, If_Match="*")
    gateway.problem(400, "bad-request", "?cursor", "GET", f"/agents?group=moving&limit=2&cursor={cursor}")
    gateway.ask("DELETE", "/groups/moving", expect=204)


def test_offset(gateway, fleet):
    """Pages by their place, for a scroll bar: the same order, without what stands before."""
    for query, some in (({}, fleet), ({"selector": "env=production"}, [a for a in fleet if a.matches("env=production")])):
        for sort in ("hostname", "-last_seen", "version"):
            expected = sorted(some, key=lambda a: (a.key(sort.lstrip("-")), a.id), reverse=sort.startswith("-"))
            for offset in (0, 1, 37, len(some) - 1, len(some), len(some) + 5, 10_000_000):
                text = urllib.parse.urlencode({**query, "sort": sort, "offset": offset, "limit": 10, "fields": "narrow"})
                page = gateway.ask("GET", "/agents?" + text)
                assert [a["id"] for a in page["agents"]] == [a.id for a in expected[offset:offset + 10]], (query, sort, offset)
                assert page["total"] == len(some) and ("next_cursor" in page) == (offset + 10 < len(some))
    cursor = gateway.ask("GET", "/agents?limit=3&offset=5&sort=id")["next_cursor"]
    ids = [a["id"] for a in gateway.ask("GET", f"/agents?limit=3&sort=id&cursor={cursor}")["agents"]]
    assert ids == sorted(a.id for a in fleet)[8:11]
    gateway.problem(400, "bad-request", "?offset", "GET", f"/agents?limit=3&sort=id&offset=1&cursor={cursor}")
    for bad in ("-1", "x", "10000001", ""):
        gateway.problem(400, "bad-request", "?offset", "GET", f"/agents?offset={bad}")


def test_steps(gateway):
    """Updates with their steps, and how long each takes in the fleet."""
    phases = ("queued", "offered", "downloading", "verifying", "succeeded")
    with gateway.database() as db:
        db.execute("UPDATE instructions SET phase = 'cancelled' WHERE phase = 'succeeded'")
    assert gateway.ask("GET", "/updates/durations") == {"phases": []}
    with gateway.database() as db:
        for i, seconds in enumerate((10, 20, 60)):
            number = db.execute(
                "INSERT INTO instructions (id, agent, desired, generation, attempt, version, phase, terminal, retry, cancel_requested,"
                " sequence, bytes_done, bytes_total, created, updated, deadline, finished, rollout, kind) SELECT ?, id, 0, 0, 1, '3.0.0',"
                " 'succeeded', 1, 0, 0, 0, 0, 0, 1000000, 1, 4e15, ?, 7, 'rollback' FROM agents LIMIT 1",
                (f"{i:032x}", 10**6 + seconds * 4 * 10**6)).lastrowid
            db.executemany("INSERT INTO instruction_phases VALUES (?, ?, ?)",
                           [(number, p, 10**6 + k * seconds * 10**6 + 500 * k) for k, p in enumerate(phases)])
    durations = gateway.ask("GET", "/updates/durations")
    assert durations["median_ms"] == 80_000, durations
    # the state that it ends in takes no time
    assert {p["phase"]: (p["median_ms"], p["count"]) for p in durations["phases"]} == {p: (20_000, 3) for p in phases[:-1]}, durations
    update = gateway.ask("GET", f"/updates/{0:032x}")
    assert update["rollout"] == 7 and update["back"] is True and "desired" not in update
    assert [p["phase"] for p in update["phases"]] == list(phases)
    assert [p.get("took_ms") for p in update["phases"]] == [10_000] * 4 + [None]
    assert update["phases"][0]["entered"] == "1970-01-01T00:00:01Z"
    agent = gateway.ask("GET", f"/agents/{update['agent']}")
    assert [u["id"] for u in agent["updates"][:3]] == [f"{i:032x}" for i in (2, 1, 0)]
    assert all(len(u["phases"]) == 5 for u in agent["updates"][:3])
    with gateway.database() as db:
        db.execute("DELETE FROM instructions WHERE version = '3.0.0'")
        db.execute("UPDATE instructions SET phase = 'succeeded' WHERE phase = 'cancelled'")


def test_failures(gateway, fleet):
    """Which release failed on how many agents: by the newest update of each."""
    with gateway.database() as db:
        db.execute("INSERT INTO releases VALUES ('2.0.0', 'agent', 1, NULL, NULL, NULL, 0)")
        db.execute("INSERT INTO releases VALUES ('1.0.0', 'agent', 1, NULL, NULL, NULL, 0)")
    releases = {r["version"]: r for r in gateway.ask("GET", "/releases")["releases"]}
    failed = sum(a.update == "failed" for a in fleet)
    assert failed > 10 and releases["2.0.0"]["failed_on"] == {"failed": failed, "rolled_back": 0, "timed_out": 0}, releases
    assert "failed_on" not in releases["1.0.0"]
    with gateway.database() as db:
        db.execute("DELETE FROM releases")


def test_summary(gateway, fleet):
    def tally(facet):
        return {v["value"]: v["count"] for v in facet["values"]} | ({"": facet["none"]} if "none" in facet else {})

    def count(values):
        return {v: values.count(v) for v in set(values)}

    for query, chosen in (("", fleet), ("state=online", [a for a in fleet if a.state == "online"]),
                          ("selector=env", [a for a in fleet if "env" in a.labels]), ("version=9.9.9", [])):
        s = gateway.ask("GET", f"/agents/summary?facet=label:env,label:absent&{query}")
        assert s["states"] == {state: [a.state for a in chosen].count(state) for state in STATES}
        assert tally(s["versions"]) == count([a.version for a in chosen])
        assert tally(s["updates"]) == count([a.update for a in chosen])
        assert tally(s["os"]) == count([a.os for a in chosen]) and tally(s["arch"]) == count([a.arch for a in chosen])
        assert tally(s["labels"]["env"]) == count([a.labels.get("env", "") for a in chosen])
        assert tally(s["labels"]["absent"]) == ({"": len(chosen)} if chosen else {})
        counts = [v["count"] for v in s["versions"]["values"]]
        assert counts == sorted(counts, reverse=True)


# ---- CSV ----

def test_csv(gateway, fleet):
    evil = {"=cmd|' /C calc'!A0": "e1", "+1": "e2", "-2+3": "e3", "@SUM(1)": "e4", 'say "hi", you': "e5"}
    gateway.stop()
    with gateway.database() as db:
        for hostname, agent in evil.items():
            db.execute(
                "INSERT INTO agents (id, state, hostname, token_misses, clone_suspected, metadata_expires, pinned, enrolled,"
                " last_seen, packaging) VALUES (?,0,?,0,0,0,0,1,1,0)", (agent, hostname))
    gateway.start()
    status, headers, data = gateway.raw("GET", "/agents?sort=-id", Accept="text/csv")
    assert status == 200 and headers["Content-Type"].startswith("text/csv") and "attachment" in headers["Content-Disposition"]
    assert data.count(b"\r\n") == N + len(evil) + 1
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert [r["id"] for r in rows] == sorted([a.id for a in fleet] + list(evil.values()), reverse=True)
    by_id = {r["id"]: r for r in rows}
    for a in fleet:
        r = by_id[a.id]
        assert (r["hostname"], r["state"], r["version"], r["update_phase"], r["os"]) == (a.hostname, a.state, a.version, a.update, a.os)
        assert r["labels"] == ";".join(f"{k}={v}" for k, v in sorted(a.labels.items()))
    for hostname, agent in evil.items():
        assert by_id[agent]["hostname"] == ("'" if hostname[0] in "=+-@" else "") + hostname
    status, _, data = gateway.raw("GET", "/agents?selector=env%3Dtest&q=web", Accept="text/csv, */*;q=0.1")
    wanted = [a.id for a in fleet if a.labels.get("env") == "test" and (a.hostname.lower().startswith("web") or a.id.startswith("web"))]
    assert [r["id"] for r in csv.DictReader(io.StringIO(data.decode(), newline=""))] == sorted(wanted)
    status, headers, data = gateway.raw("HEAD", "/agents", Accept="text/csv")
    assert status == 200 and not data and "attachment" in headers["Content-Disposition"] and headers["Cache-Control"] == "no-store"
    assert gateway.raw("GET", "/agents", Accept="text/csv;q=0, application/json")[1]["Content-Type"] == "application/json"
    for agent in evil.values():
        gateway.ask("DELETE", f"/agents/{agent}", expect=204)


def test_csv_broken_off(gateway):
    """A client that goes away in the middle costs nothing; a gateway that stops does not let a part look like the whole."""
    gateway.stop()
    with gateway.database() as db:
        db.executemany(
            "INSERT INTO agents (id, state, hostname, token_misses, clone_suspected, metadata_expires, pinned, enrolled,"
            " last_seen, packaging) VALUES (?,0,?,0,0,0,0,1,1,0)", [(f"csv{i:06}", "h" * 250) for i in range(30000)])
    gateway.start()

    def begin():
        connection = gateway.connect()
        connection.request("GET", "/api/v1/agents", headers={"Authorization": f"Bearer {gateway.token}", "Accept": "text/csv"})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read(1000)
        return connection, answer

    for _ in range(5):
        begin()[0].close()
    connection, answer = begin()
    memory = int(next(line.split()[1] for line in Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines() if "VmRSS" in line))
    whole = gateway.raw("GET", "/agents?q=csv", Accept="text/csv")[2]
    assert whole.count(b"\r\n") == 30001 and len(whole) > 9_000_000
    after = int(next(line.split()[1] for line in Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines() if "VmRSS" in line))
    assert after - memory < 6000, f"{after - memory} KiB more for an export of {len(whole) >> 10} KiB"
    stopper = threading.Thread(target=gateway.stop)
    stopper.start()
    try:
        rest = answer.read()
        raise AssertionError(f"{len(rest)} bytes look like all of it")
    except (http.client.IncompleteRead, ConnectionError, ssl.SSLError):
        pass
    stopper.join()
    with gateway.database() as db:
        db.execute("DELETE FROM agents WHERE id LIKE 'csv%'")
    gateway.start()


if __name__ == "__main__":
    run(sys.argv[1], (test_filters, test_orders, test_forms, test_wrong, test_cursors, test_offset, test_steps, test_failures, test_summary, test_csv, test_csv_broken_off))

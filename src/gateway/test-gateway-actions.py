#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gateway-actions.py FLEET-GATEWAYD: whom an action is for, labels of many, groups, revisions, and requests that are
repeated."""

import hashlib
import json
import signal
import sqlite3
import sys
import threading
import time

from gateway_fleet import Events, run

# ---- targets and labels ----

def digest(agents):
    return hashlib.sha256("".join(f"{i}\n" for i in sorted(agents)).encode()).hexdigest()


def test_match(gateway, fleet):
    everybody = [a.id for a in fleet]
    web = [a.id for a in fleet if a.labels.get("tier") == "web"]
    for target, expected in (({"all": True}, everybody), ({"selector": "tier=web"}, web), ({"group": "web"}, web),
                             ({"ids": web[:3]}, web[:3]), ({"agent": web[0]}, web[:1]), ({"selector": "tier=x"}, [])):
        answer = gateway.ask("POST", "/agents/match", target)
        assert (answer["count"], answer["digest"]) == (len(expected), digest(expected)), target
    assert gateway.ask("POST", "/agents/match", {"group": "web"})["selector"] == "tier=web"
    gateway.problem(400, "bad-request", "", "POST", "/agents/match", {})
    gateway.problem(400, "bad-request", "", "POST", "/agents/match", {"all": True, "selector": "a"})
    gateway.problem(400, "bad-request", "/all", "POST", "/agents/match", {"all": False, "selector": "a"})
    gateway.problem(400, "bad-request", "/ids", "POST", "/agents/match", {"ids": []})
    gateway.problem(400, "bad-request", "/expected_count", "POST", "/agents/match", {"all": True, "expected_count": 1})
    gateway.problem(404, "not-found", "/ids", "POST", "/agents/match", {"ids": [web[0], "nobody"]})
    gateway.problem(404, "not-found", "/group", "POST", "/agents/match", {"group": "nobody"})
    many = [f"{'x' * 50}{i:06}" for i in range(10000)]
    gateway.problem(404, "not-found", "/ids", "POST", "/agents/match", {"ids": many})
    gateway.problem(400, "bad-request", "/ids", "POST", "/agents/match", {"ids": [*many, "y"]})
    gateway.problem(413, "too-large", None, "POST", "/agents/match", '{"ids": ["' + "x" * (1 << 20) + '"]}')


def test_bulk_labels(gateway, fleet):
    events = Events(gateway, "?topics=agent,labels,desired")
    web = [a for a in fleet if a.labels.get("tier") == "web"]
    few = [a.id for a in web[:3]]
    seen = gateway.ask("POST", "/agents/match", {"selector": "tier=web"})
    body = {"selector": "tier=web", "labels": {"batch": "one", "gpu": ""}, "expected_count": seen["count"],
            "expected_digest": seen["digest"]}

    # others than those that were seen: nothing happens
    answer = gateway.problem(409, "conflict", "/expected_count", "POST", "/agents/labels", {**body, "expected_count": 1})
    assert answer["count"] == len(web) and answer["expected_count"] == 1 and answer["digest"] == seen["digest"]
    gateway.problem(409, "conflict", "/expected_digest", "POST", "/agents/labels", {**body, "expected_digest": "0" * 64})
    for wrong, where in (({"labels": {}}, "/labels"), ({"labels": {"fact.os": "x"}}, "/labels"), ({"labels": {"a": "b c"}}, "/labels"),
                         ({"expected_digest": "x"}, "/expected_digest"), ({"force": True}, "/force"), ({"a/b~": 1}, "/a~1b~0")):
        gateway.problem(400, "bad-request", where, "POST", "/agents/labels", {**body, **wrong})
    gateway.problem(400, "bad-request", "", "POST", "/agents/labels", {"labels": {"a": "b"}})
    assert gateway.ask("GET", "/agents?selector=batch&limit=1")["total"] == 0

    assert gateway.ask("POST", "/agents/labels", body) == {"matched": len(web), "changed": len(web)}
    kind, data = events.next()                    # one for all of them
    assert kind == "labels" and data == {"target": {"selector": "tier=web"}, "labels": {"batch": "one", "gpu": ""}, "changed": len(web)}
    for a in web:
        a.labels["batch"] = "one"
        a.labels.pop("gpu", None)
    assert gateway.pages({"selector": "batch=one"})[0] == sorted(a.id for a in web)
    assert gateway.ask("GET", f"/agents/{few[0]}")["labels"] == web[0].labels
    assert gateway.ask("POST", "/agents/labels", body) == {"matched": len(web), "changed": 0}

    assert gateway.ask("POST", "/agents/labels", {"ids": few, "labels": {"batch": "two"}}) == {"matched": 3, "changed": 3}
    for _ in few:                                 # and one for each, where they are few
        kind, data = events.next()
        assert kind == "agent" and data["change"] == "labels" and data["labels"]["batch"] == "two" and data["revision"] > 2
    gateway.problem(404, "not-found", "/ids", "POST", "/agents/labels", {"ids": [*few, "nobody"], "labels": {"batch": "x"}})
    assert gateway.ask("GET", "/agents?selector=batch=x&limit=1")["total"] == 0

    many = {f"k{i}": "1" for i in range(63)}
    answer = gateway.problem(409, "conflict", "/labels", "POST", "/agents/labels", {"ids": few, "labels": many})
    assert min(few) in answer["detail"] and "64" in answer["detail"]
    assert gateway.ask("GET", "/agents?selector=k1&limit=1")["total"] == 0
    gateway.ask("POST", "/agents/labels", {"all": True, "labels": {"batch": ""}})
    for a in web:
        del a.labels["batch"]
    gateway.ask("POST", "/updates", {"all": True, "version": "1.0.0"}, 422)
    events.connection.close()


def test_labels(gateway, fleet):
    def expected(key):
        values = [a.labels[key] for a in fleet if key in a.labels]
        return {"key": key, "count": len(values), "values": [{"value": v, "count": values.count(v)} for v in sorted(set(values))]}

    assert gateway.ask("GET", "/labels") == {"labels": [expected(k) for k in ("env", "gpu", "tier")]}
    assert gateway.ask("GET", "/labels?key=env") == {"labels": [expected("env")]}
    assert gateway.ask("GET", "/labels?key=absent") == {"labels": []}
    gateway.problem(400, "bad-request", "?key", "GET", "/labels?key=fact.os")
    for i, a in enumerate(fleet[:150]):
        gateway.ask("POST", "/agents/labels", {"agent": a.id, "labels": {"serial": f"s{i:03}"}})
    serial = next(entry for entry in gateway.ask("GET", "/labels")["labels"] if entry["key"] == "serial")
    assert serial["count"] == 150 and len(serial["values"]) == 100 and serial["more"] is True
    serial = gateway.ask("GET", "/labels?key=serial")["labels"][0]
    assert len(serial["values"]) == 150 and "more" not in serial
    gateway.ask("POST", "/agents/labels", {"all": True, "labels": {"serial": ""}})


# ---- groups and revisions ----

def test_groups(gateway, fleet):
    path = "/groups/staging"
    status, headers, data = gateway.raw("POST", "/groups", {"name": "staging", "selector": "gpu , env = staging", "description": "d"})
    made = json.loads(data)
    assert status == 201 and made["selector"] == "env=staging,gpu" and made["revision"] == 1 and headers["ETag"], (status, made)
    inside = [a for a in fleet if a.matches("env=staging&gpu")]
    assert made["agents"]["total"] == len(inside)
    gateway.problem(409, "conflict", "/name", "POST", "/groups", {"name": "staging", "selector": "a"})
    gateway.problem(400, "bad-selector", "/selector", "POST", "/groups", {"name": "x", "selector": ""})
    gateway.problem(400, "bad-request", "/name", "POST", "/groups", {"name": "a b", "selector": "a"})

    status, headers, data = gateway.raw("GET", path)
    shown = json.loads(data)
    assert shown["agents"]["online"] == sum(a.state == "online" for a in inside)
    assert sum(v["count"] for v in shown["agents"]["versions"]["values"]) + shown["agents"]["versions"].get("none", 0) == len(inside)
    etag = headers["ETag"]
    assert gateway.raw("GET", path, If_None_Match=etag)[0] == 200, "counts change by themselves"
    assert gateway.raw("GET", path + "?fields=narrow", If_None_Match=etag)[::2] == (304, b"")
    assert gateway.raw("GET", path + "?fields=narrow", If_None_Match='"x"')[0] == 200

    change = {"selector": "env=staging"}
    gateway.problem(428, "precondition-required", None, "PUT", path, change)
    gateway.problem(412, "precondition-failed", None, "PUT", path, change, If_Match='"x"')
    gateway.problem(412, "precondition-failed", None, "PUT", path, change, If_Match="W/" + etag)
    status, headers, data = gateway.raw("PUT", path, change, If_Match=etag)
    changed = json.loads(data)
    assert status == 200 and changed["revision"] == 2 and "description" not in changed and headers["ETag"] != etag
    gateway.problem(412, "precondition-failed", None, "PUT", path, change, If_Match=etag)
    gateway.ask("PUT", path, change, If_Match="*")
    gateway.problem(404, "not-found", None, "PUT", "/groups/nobody", change, If_Match="*")
    gateway.problem(404, "not-found", None, "GET", "/groups/nobody")
    gateway.problem(412, "precondition-failed", None, "DELETE", path, If_Match=etag)

    # one that something needs stays
    with gateway.database() as db:
        columns = [r[1] for r in db.execute("PRAGMA table_info(rollouts)") if r[1] != "id"]
        values = {"active": 1, "spec": '{"target": {"group": "staging"}}'}
        db.execute(f"INSERT INTO rollouts ({','.join(columns)}) VALUES ({','.join('?' * len(columns))})",
                   [values.get(c, 0) for c in columns])
    answer = gateway.problem(409, "conflict", None, "DELETE", path)
    assert "rollout 1" in answer["detail"]
    with gateway.database() as db:
        db.execute("UPDATE rollouts SET active = 0")
    gateway.ask("DELETE", path, expect=204)
    gateway.problem(404, "not-found", None, "DELETE", path)
    with gateway.database() as db:
        db.execute("DELETE FROM rollouts")
    # made anew under its name it is another
    gateway.ask("POST", "/groups", {"name": "staging", "selector": "env=staging"}, 201)
    gateway.problem(412, "precondition-failed", None, "PUT", path, change, If_Match=etag)
    gateway.ask("DELETE", path, expect=204)


def test_group_pages(gateway, fleet):
    for i in range(60):
        gateway.ask("POST", "/groups", {"name": f"g{i:02}", "selector": f"env=staging,g!={i}"}, 201)
    names, cursor = [], ""
    while True:
        page = gateway.ask("GET", "/groups?limit=7" + (f"&cursor={cursor}" if cursor else ""))
        names += [g["name"] for g in page["groups"]]
        assert page["total"] == 61 and "agents" not in page["groups"][0]
        if not (cursor := page.get("next_cursor")):
            break
    assert names == [f"g{i:02}" for i in range(60)] + ["web"]
    page = gateway.ask("GET", "/groups?counts=true")
    assert len(page["groups"]) == 50 and page["next_cursor"]
    staging = [a for a in fleet if a.labels.get("env") == "staging"]
    assert page["groups"][3]["agents"] == {"total": len(staging), "online": sum(a.state == "online" for a in staging)}
    for query, where in (("counts=yes", "?counts"), ("counts=true&limit=51", "?limit"), ("cursor=x", "?cursor"), ("limit=0", "?limit")):
        gateway.problem(400, "bad-request", where, "GET", f"/groups?{query}")
    for name in names[:-1]:
        gateway.ask("DELETE", f"/groups/{name}", expect=204)

    with gateway.database() as db:                  # at most a thousand
        db.executemany("INSERT INTO groups VALUES (?, 'a', NULL, 1, 1, 1)", [(f"full{i}",) for i in range(999)])
    gateway.problem(409, "conflict", None, "POST", "/groups", {"name": "one-more", "selector": "a"})
    with gateway.database() as db:
        db.execute("DELETE FROM groups WHERE name LIKE 'full%'")


def test_agent_revisions(gateway, fleet):
    a = fleet[0]
    status, headers, data = gateway.raw("GET", f"/agents/{a.id}")
    etag, revision = headers["ETag"], json.loads(data)["revision"]
    change = {"labels": {"note": "x"}}
    gateway.problem(428, "precondition-required", None, "PATCH", f"/agents/{a.id}", change)
    status, headers, data = gateway.raw("PATCH", f"/agents/{a.id}", change, If_Match=f'"other", {etag}')
    assert status == 200 and json.loads(data)["revision"] == revision + 1 and headers["ETag"] != etag
    gateway.problem(412, "precondition-failed", None, "PATCH", f"/agents/{a.id}", change, If_Match=etag)
    gateway.ask("PATCH", f"/agents/{a.id}", {"labels": {"note": ""}}, If_Match="*")
    gateway.problem(404, "not-found", None, "PATCH", "/agents/nobody", change, If_Match="*")
    # who says which one is to be removed is taken at the word, too
    last, etag = fleet[-1], gateway.raw("GET", f"/agents/{fleet[-1].id}")[1]["ETag"]
    gateway.problem(412, "precondition-failed", None, "DELETE", f"/agents/{last.id}", If_Match='"x"')
    status, headers, _ = gateway.raw("DELETE", f"/agents/{last.id}", If_Match=etag)
    assert status == 204 and "ETag" not in headers
    gateway.problem(404, "not-found", None, "GET", f"/agents/{last.id}")
    fleet.remove(last)


# ---- requests that are repeated ----

def test_idempotency(gateway):
    group = {"name": "again", "selector": "a"}
    first = gateway.raw("POST", "/groups", group, Idempotency_Key="k1")
    assert first[0] == 201 and "Idempotency-Replayed" not in first[1]
    second = gateway.raw("POST", "/groups", group, Idempotency_Key="k1")
    assert second[0] == 201 and second[2] == first[2] and second[1]["Idempotency-Replayed"] == "true"
    gateway.problem(409, "conflict", "/name", "POST", "/groups", group, Idempotency_Key="k2")
    gateway.problem(409, "conflict", "/name", "POST", "/groups", group)
    gateway.problem(422, "idempotency-mismatch", None, "POST", "/groups", {**group, "name": "other"}, Idempotency_Key="k1")
    gateway.problem(422, "idempotency-mismatch", None, "POST", "/agents/labels", {"all": True, "labels": {"a": "b"}}, Idempotency_Key="k1")
    for key in ("", "a b", "x" * 129, "caf\xe9"):
        gateway.problem(400, "bad-request", None, "POST", "/groups", {"name": "other", "selector": "a"}, Idempotency_Key=key)
    for path, body in (("/join-tokens", {}), ("/api-tokens", {"role": "viewer"})):
        gateway.problem(400, "bad-request", None, "POST", path, body, Idempotency_Key="k3")

    # it survives a restart, and a death: the answer was committed with the change
    gateway.ask("DELETE", "/groups/again", expect=204)
    gateway.stop(signal.SIGKILL)
    gateway.start()
    third = gateway.raw("POST", "/groups", group, Idempotency_Key="k1")
    assert third[0] == 201 and third[2] == first[2] and third[1]["Idempotency-Replayed"] == "true"
    gateway.problem(404, "not-found", None, "GET", "/groups/again")

    # another's key is another key
    token = gateway.ask("POST", "/api-tokens", {"role": "operator"}, 201)["token"]
    status, headers, data = gateway.raw("POST", "/groups", {"name": "mine", "selector": "b"}, token=token, Idempotency_Key="k1")
    assert status == 201 and "Idempotency-Replayed" not in headers and json.loads(data)["name"] == "mine"
    gateway.ask("DELETE", "/groups/mine", expect=204)

    # what was refused changed nothing and is tried anew
    gateway.problem(404, "not-found", "/group", "POST", "/agents/labels", {"group": "late", "labels": {"x": "y"}}, Idempotency_Key="k4")
    gateway.ask("POST", "/groups", {"name": "late", "selector": "absent"}, 201)
    assert gateway.ask("POST", "/agents/labels", {"group": "late", "labels": {"x": "y"}}, Idempotency_Key="k4") == {"matched": 0, "changed": 0}
    gateway.ask("DELETE", "/groups/late", expect=204)

    # a day later it is forgotten; so are all but the newest of one who makes too many
    with gateway.database() as db:
        db.execute("UPDATE idempotency SET created = created - 86401000000 WHERE key = 'k1'")
        actor = db.execute("SELECT actor FROM idempotency WHERE key = 'k4'").fetchone()[0]
        db.executemany("INSERT INTO idempotency VALUES (?, ?, '', 200, NULL, ?)", [(actor, f"n{i}", 10**15 * 2 + i) for i in range(1100)])
    gateway.ask("POST", "/groups", group, 201, Idempotency_Key="k1")
    with gateway.database() as db:
        assert db.execute("SELECT count(*) FROM idempotency WHERE actor = ?", (actor,)).fetchone()[0] == 1000
        db.execute("DELETE FROM idempotency")
    gateway.ask("DELETE", "/groups/again", expect=204)


def test_idempotency_race(gateway):
    """The same request many times at once, and while the store stands still: it is done once."""
    blocker = sqlite3.connect(gateway.state / "gateway.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    answers = []

    def work():
        connection = gateway.connect()
        connection.request("POST", "/api/v1/groups", json.dumps({"name": "race", "selector": "a"}),
                           {"Authorization": f"Bearer {gateway.token}", "Idempotency-Key": "race"})
        answer = connection.getresponse()
        answers.append((answer.status, answer.getheader("Idempotency-Replayed"), json.loads(answer.read()).get("type")))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    deadline = time.monotonic() + 4.5               # the store waits 5 s for who holds its database
    while len(answers) < 7 and time.monotonic() < deadline:
        time.sleep(0.02)
    busy = (409, None, "urn:fleet-agent:problem:idempotency-busy")
    assert answers == [busy] * 7, answers
    blocker.execute("ROLLBACK")
    blocker.close()
    for t in threads:
        t.join()
    assert answers[7] == (201, None, None), answers
    assert gateway.raw("POST", "/groups", {"name": "race", "selector": "a"}, Idempotency_Key="race")[1]["Idempotency-Replayed"] == "true"
    gateway.ask("DELETE", "/groups/race", expect=204)


# ---- updates ----

def test_updates(gateway, fleet):
    """A target of any kind; a group is its selector at that moment."""
    with gateway.database() as db:
        db.execute("INSERT INTO releases VALUES ('3.0.0', 'agent', 1, NULL, NULL, NULL, 0)")
    web = [a for a in fleet if a.labels.get("tier") == "web"]
    body = {"group": "web", "version": "3.0.0"}
    gateway.problem(409, "conflict", "/expected_digest", "POST", "/updates", {**body, "expected_digest": "0" * 64})
    gateway.problem(400, "bad-request", "/ids", "POST", "/updates", {"ids": ["a", "b"], "version": "3.0.0"})
    gateway.problem(404, "not-found", "/group", "POST", "/updates", {"group": "nobody", "version": "3.0.0"})
    seen = gateway.ask("POST", "/agents/match", {"group": "web"})
    answer = gateway.ask("POST", "/updates", {**body, "expected_digest": seen["digest"], "expected_count": seen["count"]}, 202)
    assert answer["desired"]["selector"] == "tier=web" and answer["matched"] == len(web)
    assert answer["online"] == sum(a.state == "online" for a in web) and answer["up_to_date"] == 0
    same = gateway.ask("POST", "/updates", {"ids": [web[0].id], "version": "3.0.0"}, 202)["desired"]
    assert same["by"] == "agent" and same["agent"] == web[0].id
    again = gateway.ask("POST", "/updates", {"agent": web[0].id, "version": "3.0.0"}, 202, Idempotency_Key="u")["desired"]
    assert again == same and gateway.raw("POST", "/updates", {"agent": web[0].id, "version": "3.0.0"}, Idempotency_Key="u")[0] == 202
    for d in (answer["desired"], same):
        gateway.ask("DELETE", f"/desired/{d['id']}", expect=204)


if __name__ == "__main__":
    run(sys.argv[1], (test_match, test_labels, test_bulk_labels, test_groups, test_group_pages, test_agent_revisions, test_idempotency,
                      test_idempotency_race, test_updates))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gateway-rollouts.py FLEET-GATEWAYD: rollouts as the API makes, shows and steers them. No agent is connected: what
agents do with their instructions is for the tests of the protocol."""

import json
import sys
import time

from gateway_fleet import Events, run

GOAL = "3.0.0"
WEB = {"selector": "tier=web"}
SLOW = {"canary": {"count": 3}, "batch": {"size": 10, "every_sec": 600}}


def setup(gateway):
    with gateway.database() as db:
        for version in ("1.9.0", "2.0.0", GOAL):
            db.execute("INSERT INTO releases VALUES (?, 'agent', 1, NULL, NULL, NULL, 0)", (version,))
            for arch in ("x86_64", "aarch64"):
                db.execute("INSERT INTO artifacts VALUES (?,?,?,'linux',1,?)", (f"agent/{version}/{arch}", version, arch, "0" * 64))


def create(gateway, expect=201, **members):
    return gateway.ask("POST", "/rollouts", {"version": GOAL, "target": WEB, "strategy": SLOW, **members}, expect)


def members(gateway, rollout, query="", limit=7):
    """All pages; that they are in order and that their totals agree."""
    found, cursor, totals = [], "", set()
    while True:
        page = gateway.ask("GET", f"/rollouts/{rollout}/members?limit={limit}{query}{cursor}")
        found += page["members"]
        totals.add(page["total"])
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert totals == {len(found)}, totals
    assert [m["position"] for m in found] == sorted({m["position"] for m in found})
    for offset in (1, len(found) // 2, len(found)):
        page = gateway.ask("GET", f"/rollouts/{rollout}/members?limit={limit}{query}&offset={offset}")
        assert page["members"] == found[offset:offset + limit] and page["total"] == len(found), offset
    gateway.problem(400, "bad-request", "?offset", "GET", f"/rollouts/{rollout}/members?offset=-1")
    return found


def abort(gateway, rollout):
    """Ends it, instructions included, as if each had run out of time."""
    gateway.ask("POST", f"/rollouts/{rollout}/abort", {})
    with gateway.database() as db:
        db.execute("UPDATE instructions SET deadline = 1 WHERE NOT terminal AND rollout <> 0")
    deadline = time.monotonic() + 30
    while not (shown := gateway.ask("GET", f"/rollouts/{rollout}"))["terminal"]:
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)
    return shown


def count(seen):
    counts = seen["counts"]
    assert sum(v for k, v in counts.items() if k != "excluded") == seen["cohort"], seen
    return counts


# ---- making ----

def test_refused(gateway):
    body = {"version": GOAL, "target": WEB, "strategy": SLOW}
    for wrong, status, kind, where in (
            ({"version": "9.9.9"}, 422, "unknown-version", "/version"), ({"version": "x"}, 400, "bad-request", "/version"),
            ({"target": {}}, 400, "bad-request", "/target"), ({"target": {"selektor": "x"}}, 400, "bad-request", "/target/selektor"),
            ({"target": "all"}, 400, "bad-request", "/target"),
            ({"target": {"ids": []}}, 400, "bad-request", "/target/ids"),
            ({"target": {"ids": ["nobody"]}}, 404, "not-found", "/target/ids"),
            ({"target": {"selector": "tier=("}}, 400, "bad-selector", "/target/selector"),
            ({"target": {"selector": "tier=none"}}, 409, "conflict", "/target"),
            ({"target": {"group": "none"}}, 404, "not-found", "/target/group"),
            ({"target": {"all": False}}, 400, "bad-request", "/target/all"),
            ({"target": {"all": True, "selector": "x"}}, 400, "bad-request", "/target"),
            ({"expected_count": 1}, 409, "conflict", "/expected_count"),
            ({"strategy": {"canary": {"count": -1}}}, 400, "bad-request", "/strategy/canary/count"),
            ({"strategy": {"batch": {"size": 0}}}, 400, "bad-request", "/strategy/batch/size"),
            ({"strategy": {"max_failures": 0.5}}, 400, "bad-request", "/strategy/max_failures"),
            ({"strategy": {"windows": [{"days": ["mon"], "start": "25:00", "duration_sec": 60}]}}, 400, "bad-request", "/strategy/windows/0/start"),
            ({"strategy": {"canary": {"ids": ["nobody"]}}}, 409, "conflict", "/strategy/canary/ids"),
            ({"strategy": {"bathc": {}}}, 400, "bad-request", "/strategy/bathc"), ({"strategie": {}}, 400, "bad-request", "/strategie")):
        gateway.problem(status, kind, where, "POST", "/rollouts", {**body, **wrong})
    gateway.problem(404, "not-found", None, "GET", "/rollouts/1")
    gateway.problem(404, "not-found", None, "GET", "/rollouts/x")
    gateway.problem(404, "not-found", None, "GET", "/rollouts/1/members")
    gateway.problem(404, "not-found", None, "POST", "/rollouts/1/pause", {})
    assert gateway.ask("GET", "/rollouts") == {"rollouts": [], "total": 0}


def test_dry_run(gateway, fleet):
    web = [a for a in fleet if a.labels.get("tier") == "web"]
    plan = create(gateway, 200, dry_run=True)
    assert plan["dry_run"] and plan["matched"] == len(web) and plan["target"] == {**WEB}, plan["target"]
    excluded = {e["reason"]: e["count"] for e in plan["excluded"]}
    assert plan["cohort"] + sum(excluded.values()) == len(web), plan
    assert len(plan["canaries"]) == 3 and len({c["os"] for c in plan["canaries"] if "os" in c} | {""}) > 1, plan["canaries"]
    assert len({(c.get("os"), c["arch"], c["kernel"]) for c in plan["canaries"]}) == 3      # drawn across, not at random
    batches = plan["preview"]["batches"]
    assert batches[0]["batch"] == 0 and batches[0]["agents"] == 3 and batches[1]["agents"] == 10, batches[:3]
    assert sum(b["agents"] for b in batches) + plan["preview"]["waiting_offline"] == plan["cohort"], plan["preview"]
    # everything that was not said is told
    assert plan["strategy"]["max_failures"] and plan["strategy"]["batch"]["every_sec"] == 600 and plan["strategy"]["attempts"]
    assert create(gateway, 200, dry_run=True)["canaries"] == plan["canaries"]                # the same again
    assert gateway.ask("GET", "/rollouts")["total"] == 0
    with gateway.database() as db:
        for table in ("rollouts", "rollout_members", "instructions WHERE rollout <> 0"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


# ---- what is made ----

def test_life(gateway, fleet):
    events = Events(gateway, "?topics=rollout")
    plan = create(gateway, 200, dry_run=True)
    seen = gateway.ask("POST", "/agents/match", WEB)
    status, headers, data = gateway.raw(
        "POST", "/rollouts", {"version": GOAL, "target": WEB, "strategy": SLOW, "description": "the third",
                              "expected_count": seen["count"], "expected_digest": seen["digest"]}, Idempotency_Key="third")
    made = json.loads(data)
    assert status == 201 and headers["ETag"], (status, made)
    again = gateway.raw("POST", "/rollouts", {"version": GOAL, "target": WEB, "strategy": SLOW, "description": "the third",
                                             "expected_count": seen["count"], "expected_digest": seen["digest"]},
                        Idempotency_Key="third")
    assert again[0] == 201 and json.loads(again[2]) == made and gateway.ask("GET", "/rollouts")["total"] == 1
    assert made["canaries"] == plan["canaries"] and made["cohort"] == plan["cohort"] and made["strategy"] == plan["strategy"]
    assert made["state"] == "running" and made["description"] == "the third" and made["actor"], made
    assert count(made)["in-flight"] == 3 and made["reason_text"]

    # the preview holds: those in flight are those that were shown
    flying = members(gateway, made["id"], "&state=in-flight")
    assert sorted(m["agent"] for m in flying) == sorted(c["agent"] for c in plan["canaries"])
    assert all(m["canary"] and m["batch"] == 0 and m["update"] and m["attempts"] == 1 for m in flying)
    everybody = members(gateway, made["id"], limit=1000)
    assert everybody == members(gateway, made["id"]) and len(everybody) == made["matched"]
    outside = members(gateway, made["id"], "&state=excluded")
    assert len(outside) == sum(e["count"] for e in made["excluded"]) and all(m["reason"] and m["reason_text"] for m in outside)
    assert members(gateway, made["id"], "&batch=0") == flying
    reason = outside[0]["reason"] if outside else "up-to-date"
    assert members(gateway, made["id"], f"&reason={reason}") == [m for m in outside if m["reason"] == reason]
    agent = gateway.ask("GET", f"/agents/{flying[0]['agent']}")
    assert agent["desired"] == {"id": made["id"], "version": GOAL, "by": "rollout"}, agent["desired"]
    kind, event = events.next()
    assert kind == "rollout" and event["id"] == made["id"] and event["state"] == "running", event

    shown = gateway.ask("GET", f"/rollouts/{made['id']}")
    assert shown["batches"] == [{"batch": 0, "admitted": 3, "in_flight": 3, "succeeded": 0, "failed": 0}] and shown["causes"] == []
    assert shown["counted"] == {"failures": 0, "admitted": 3}
    assert shown["preview"]["batches_total"] >= 2
    for query in ("state=flying", "reason=none", "batch=-1", "limit=0", "limit=1001", "cursor=x", "colour=red"):
        gateway.problem(400, "bad-request", "?" + query.split("=")[0], "GET", f"/rollouts/{made['id']}/members?{query}")
    page = gateway.ask("GET", f"/rollouts/{made['id']}/members?limit=2")
    gateway.problem(400, "bad-request", "?cursor", "GET",
                    f"/rollouts/{made['id']}/members?state=pending&limit=2&cursor={page['next_cursor']}")

    # those who are in it are in no other, and are let go at its end
    second = create(gateway, 409)
    gateway.problem(409, "conflict", "/target", "POST", "/rollouts", {"version": GOAL, "target": WEB, "strategy": SLOW})
    assert "107 other-rollout" in json.dumps(second), second
    ended = abort(gateway, made["id"])
    assert ended["state"] == "aborted" and count(ended)["timed-out"] == 3 and count(ended)["in-flight"] == 0, ended
    assert count(ended)["cancelled"] + 3 == ended["cohort"] and ended["finished"]
    assert [c for c in ended["causes"] if c["state"] == "timed-out"][0]["count"] == 3
    again = create(gateway, 200, dry_run=True)
    assert again["cohort"] == made["cohort"]


def test_verbs(gateway):
    made = create(gateway)
    path = f"/rollouts/{made['id']}"
    gateway.problem(404, "not-found", None, "POST", f"{path}/restart", {})
    gateway.problem(400, "bad-request", "/because", "POST", f"{path}/pause", {"because": "x"})
    assert gateway.raw("PUT", f"{path}/pause")[1]["Allow"] == "POST"
    for verb in ("resume", "retry-failed"):
        gateway.problem(409, "conflict", None, "POST", f"{path}/{verb}", {})
    gateway.problem(428, "precondition-required", None, "POST", f"{path}/approve", {})
    gateway.problem(409, "conflict", None, "POST", f"{path}/approve", {}, If_Match="*")
    gateway.problem(409, "conflict", None, "POST", f"{path}/roll-back", {})
    status, headers, _ = gateway.raw("GET", path)
    paused = gateway.ask("POST", f"{path}/pause", {"why": "a look"}, If_Match=headers["ETag"])
    assert (paused["state"], paused["reason"]) == ("paused", "operator") and paused["paused_since"] and "next_look" not in paused, paused
    gateway.problem(412, "precondition-failed", None, "POST", f"{path}/resume", {}, If_Match=headers["ETag"])
    gateway.problem(409, "conflict", None, "POST", f"{path}/pause", {})
    assert count(paused)["in-flight"] == 3                   # who is on the way gets through
    resumed = gateway.ask("POST", f"{path}/resume", {})
    assert resumed["state"] == "running" and "paused_since" not in resumed and resumed["revision"] == paused["revision"] + 1
    ended = abort(gateway, made["id"])
    gateway.problem(409, "conflict", None, "POST", f"{path}/abort", {})
    gateway.problem(409, "conflict", None, "POST", f"{path}/retry-failed", {})
    audit = [e["entry"] for e in gateway.ask("GET", "/audit?limit=1000")["entries"]]
    mine = [e for e in audit if e.get("target") == f"rollout:{made['id']}"]
    assert {e["action"] for e in mine} == {"rollout.create", "rollout.pause", "rollout.resume", "rollout.abort", "rollout.end"}, mine
    assert [e["detail"]["why"] for e in mine if e["action"] == "rollout.pause"] == ["a look"]
    assert ended["terminal"]


def test_gate(gateway):
    """Canaries that are waved through before they are done; then a batch that a person lets go."""
    made = create(gateway, strategy={"canary": {"count": 2, "approval": True, "soak_sec": 0}, "batch": {"size": 5, "every_sec": 600}})
    with gateway.database() as db:
        # the machines report: as they would through the stream
        db.execute("UPDATE instructions SET phase = 'succeeded', terminal = 1, finished = updated WHERE rollout = ?", (made["id"],))
        db.execute("UPDATE agents SET previous_version = version, version = ? WHERE id IN (SELECT agent FROM instructions WHERE rollout = ?)", (GOAL, made["id"]))
    deadline = time.monotonic() + 60
    while (shown := gateway.ask("GET", f"/rollouts/{made['id']}"))["reason"] != "awaiting-approval":
        assert time.monotonic() < deadline and shown["state"] == "running", shown
        gateway.ask("POST", f"/rollouts/{made['id']}/pause", {})      # somebody looks: it is stepped
        gateway.ask("POST", f"/rollouts/{made['id']}/resume", {})
    assert count(shown)["succeeded"] == 2 and count(shown)["in-flight"] == 0, shown
    gateway.problem(428, "precondition-required", None, "POST", f"/rollouts/{made['id']}/approve", {})
    status, headers, _ = gateway.raw("GET", f"/rollouts/{made['id']}")
    approved = gateway.ask("POST", f"/rollouts/{made['id']}/approve", {}, If_Match=headers["ETag"])
    assert count(approved)["in-flight"] == 5 and approved["batch"] == 1, approved
    # again, by who has not seen that it went on
    gateway.problem(412, "precondition-failed", None, "POST", f"/rollouts/{made['id']}/approve", {}, If_Match=headers["ETag"])
    # what stopped by itself is not resumed unseen, what a person has paused is
    with gateway.database() as db:
        db.execute("UPDATE rollouts SET state = 'paused', reason = 'success-threshold', paused_since = updated WHERE id = ?", (made["id"],))
    gateway.problem(428, "precondition-required", None, "POST", f"/rollouts/{made['id']}/resume", {})
    gateway.problem(412, "precondition-failed", None, "POST", f"/rollouts/{made['id']}/resume", {}, If_Match=headers["ETag"])
    status, headers, _ = gateway.raw("GET", f"/rollouts/{made['id']}")
    assert gateway.ask("POST", f"/rollouts/{made['id']}/resume", {}, If_Match=headers["ETag"])["state"] == "running"
    abort(gateway, made["id"])

    # back to what they ran: its members are those that it updated, all at once
    path = f"/rollouts/{made['id']}/roll-back"
    gateway.problem(400, "bad-request", "/version", "POST", path, {"version": "1.0.0"})
    gateway.problem(412, "precondition-failed", None, "POST", path, {"dry_run": True}, If_Match='"x"')
    etag = gateway.raw("GET", f"/rollouts/{made['id']}")[1]["ETag"]
    status, headers, _ = gateway.raw("POST", path, {"dry_run": True}, If_Match=etag)
    assert status == 200 and "ETag" not in headers
    plan = gateway.ask("POST", path, {"dry_run": True})
    updated = members(gateway, made["id"], "&state=succeeded")
    assert plan["kind"] == "rollback" and plan["cohort"] == 2 and not plan["canaries"], plan
    assert [b["agents"] for b in plan["preview"]["batches"]] == [2]
    back = gateway.ask("POST", path, {"description": "it eats the disks"}, 201)
    assert back["parent"] == made["id"] and back["version"] == GOAL and count(back)["in-flight"] == 2, back
    returning = members(gateway, back["id"], "&state=in-flight")
    assert {(m["agent"], m["goal"]) for m in returning} == {(m["agent"], m["from"]) for m in updated}
    update = gateway.ask("GET", f"/updates/{returning[0]['update']}")
    assert update["version"] == returning[0]["goal"] and update["from_version"] == GOAL, update
    assert update["rollout"] == back["id"] and "desired" not in update and "generation" not in update, update
    abort(gateway, back["id"])
    gateway.problem(409, "conflict", None, "POST", f"/rollouts/{back['id']}/roll-back", {})


def test_desired(gateway):
    """What is desired for one agent goes before a rollout to many, and yields to one that names it."""
    web = [a["id"] for a in gateway.ask("GET", "/agents?selector=tier%3Dweb&state=offline&fields=narrow&limit=500")["agents"]]
    gateway.ask("POST", "/updates", {"agent": web[0], "version": "2.0.0"}, 202)
    plan = create(gateway, 200, dry_run=True)
    assert [(e["reason"], e["examples"]) for e in plan["excluded"] if e["reason"] == "overridden"] == [("overridden", [web[0]])]
    named = create(gateway, target={"ids": web[:2]}, strategy={"batch": {"size": 2}})
    assert named["cohort"] == 2 and gateway.ask("GET", "/desired")["desired"] == []
    problem = gateway.problem(409, "conflict", "/agent", "POST", "/updates", {"agent": web[0], "version": "2.0.0"})
    assert f"Rollout {named['id']}" in problem["detail"]
    abort(gateway, named["id"])
    gateway.problem(400, "bad-request", "/strategy/set_desired", "POST", "/rollouts",
                    {"version": GOAL, "target": {"ids": web[:2]}, "strategy": {"set_desired": True}})


def only(gateway, n, key):
    """A selector for some agents that could be updated now, under a label of their own."""
    with gateway.database() as db:
        found = [i for i, in db.execute(
            "SELECT id FROM agents WHERE state = 2 AND version < '3' AND pinned = 0 AND id NOT IN (SELECT agent FROM instructions"
            " WHERE NOT terminal) AND id NOT IN (SELECT agent FROM rollout_members WHERE active) ORDER BY id LIMIT ?", (n,))]
        assert len(found) == n, found
        db.executemany("INSERT INTO agent_labels VALUES (?,?,'1')", [(i, key) for i in found])
    return {"selector": f"{key}=1"}


def answer(gateway, rollout, phase="succeeded", verdict=None):
    """Machines in flight report, as they would through the stream."""
    with gateway.database() as db:
        if phase == "succeeded":
            db.execute("UPDATE agents SET previous_version = version, version = ? WHERE id IN (SELECT agent FROM instructions WHERE"
                       " rollout = ? AND NOT terminal)", (GOAL, rollout))
        db.execute("UPDATE instructions SET phase = ?, verdict = ?, terminal = 1, finished = updated WHERE rollout = ? AND NOT terminal",
                   (phase, verdict, rollout))
    return step(gateway, rollout)


def step(gateway, rollout):
    """Somebody looks, so that it is stepped, if it did not end just now."""
    if gateway.raw("POST", f"/rollouts/{rollout}/pause", {})[0] == 200:
        gateway.ask("POST", f"/rollouts/{rollout}/resume", {})
    return gateway.ask("GET", f"/rollouts/{rollout}")


def closed_window():
    return [{"days": [time.strftime("%a", time.gmtime(time.time() + 3 * 86400)).lower()], "start": "00:00", "duration_sec": 3600,
             "time_zone": "UTC"}]


def desired(gateway, selector):
    return [d["version"] for d in gateway.ask("GET", "/desired")["desired"] if d.get("selector") == selector]


def test_set_desired(gateway):
    """Its version becomes the rule only when somebody runs it, and past canaries and gate; else it says why not."""
    # nobody took it: they were pinned before their turn
    target = only(gateway, 3, "desire-a")
    made = create(gateway, target=target, strategy={"canary": {"count": 1}, "set_desired": True, "windows": closed_window()})
    with gateway.database() as db:
        db.execute("UPDATE agents SET pinned = 1, pinned_version = version WHERE id IN (SELECT agent FROM agent_labels WHERE key = 'desire-a')")
    shown = step(gateway, made["id"])
    assert (shown["state"], shown["counts"]["skipped"]) == ("completed", 3), shown
    assert desired(gateway, target["selector"]) == [] and "nobody" in shown["reason_detail"].lower(), shown

    # all of them were canaries: nobody has approved, nothing has soaked
    for strategy in ({"approval": True, "soak_sec": 0}, {"soak_sec": 600}):
        key = f"desire-{len(strategy)}"
        target = only(gateway, 2, key)
        made = create(gateway, target=target, strategy={"canary": {"count": 2, **strategy}, "set_desired": True})
        shown = answer(gateway, made["id"])
        assert (shown["state"], shown["counts"]["succeeded"]) == ("completed", 2), shown
        assert desired(gateway, target["selector"]) == [] and "canaries" in shown["reason_detail"], shown
        with gateway.database() as db:
            entry = db.execute("SELECT text FROM audit WHERE action = 'rollout.end' AND target = ?", (f"rollout:{made['id']}",)).fetchone()
        assert "canaries" in entry[0], entry

    # more failed than it allows, when nobody was left to be spared: it ends, and says so
    target = only(gateway, 2, "desire-b")
    made = create(gateway, target=target, strategy={"canary": {"count": 1, "soak_sec": 0}, "batch": {"size": 5, "every_sec": 0},
                                                    "max_failures": {"count": 0}, "set_desired": True})
    answer(gateway, made["id"])
    shown = answer(gateway, made["id"], "rolled-back", "crashed")
    assert (shown["state"], shown["reason"], shown["counts"]["rolled-back"]) == ("completed", "max-failures", 1), shown
    assert desired(gateway, target["selector"]) == [] and "failures" in shown["reason_detail"], shown

    # past the gate, and somebody runs it
    target = only(gateway, 3, "desire-c")
    made = create(gateway, target=target, strategy={"canary": {"count": 1, "soak_sec": 0, "approval": True}, "batch": {"size": 5},
                                                    "set_desired": True})
    assert answer(gateway, made["id"])["reason"] == "awaiting-approval" and desired(gateway, target["selector"]) == []
    gateway.ask("POST", f"/rollouts/{made['id']}/approve", {}, If_Match="*")
    shown = answer(gateway, made["id"])
    assert shown["state"] == "completed" and "reason_detail" not in shown, shown
    assert desired(gateway, target["selector"]) == [GOAL]
    for d in gateway.ask("GET", "/desired")["desired"]:
        gateway.ask("DELETE", f"/desired/{d['id']}", expect=204)


def test_lists(gateway):
    rollouts = gateway.ask("GET", "/rollouts")["rollouts"]
    assert [r["id"] for r in rollouts] == sorted((r["id"] for r in rollouts), reverse=True) and len(rollouts) >= 3
    assert {r["target_text"] for r in rollouts} >= {"tier=web"}, rollouts
    assert gateway.ask("GET", f"/rollouts/{rollouts[0]['id']}")["target_text"] == rollouts[0]["target_text"]
    assert gateway.ask("GET", "/rollouts?active=true")["total"] == 0
    assert gateway.ask("GET", "/rollouts?state=aborted&version=" + GOAL)["total"] == len(rollouts)
    assert gateway.ask("GET", "/rollouts?version=1.0.0")["total"] == 0
    found, cursor = [], ""
    while True:
        page = gateway.ask("GET", f"/rollouts?limit=2{cursor}")
        found += page["rollouts"]
        if "next_cursor" not in page:
            break
        cursor = "&cursor=" + page["next_cursor"]
    assert found == rollouts
    for query in ("state=flying", "version=x", "limit=0", "cursor=x", "active=maybe"):
        gateway.problem(400, "bad-request", "?" + query.split("=")[0], "GET", f"/rollouts?{query}")


def newcomer(gateway, name, state=0, version=None, label="new", seen=1):
    """One that has enrolled; with a version, and has said Hello."""
    with gateway.database() as db:
        db.execute(
            "INSERT INTO agents (id, state, version, token_misses, clone_suspected, metadata_expires, pinned, enrolled, last_seen,"
            " connected, hostname, os_id, architecture, kernel, packaging) VALUES (?,?,?,0,0,0,0,1,?,1,?,'debian','x86_64','6.1',0)",
            (name, state, version, seen, name))
        db.execute("INSERT INTO agent_labels VALUES (?,?,'1')", (name, label))


def hello(gateway, name, version="1.9.0"):
    with gateway.database() as db:
        db.execute("UPDATE agents SET state = 2, version = ? WHERE id = ?", (version, name))


def wait(what, found, seconds=30):
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.2)
    return value


def test_newcomers(gateway):
    """They join when they are there, whenever somebody looked before, and nothing else needs to happen for it."""
    target = only(gateway, 2, "new")
    gate = {"canary": {"count": 1, "soak_sec": 0, "approval": True}, "batch": {"size": 20, "every_sec": 0}, "max_in_flight": 20}
    made = create(gateway, target=target, strategy={**gate, "offline": "skip", "include_new_agents": True})
    assert answer(gateway, made["id"])["reason"] == "awaiting-approval"
    newcomer(gateway, "new-early")                                # it has enrolled and has not said Hello
    newcomer(gateway, "new-away", 1, "1.9.0")
    newcomer(gateway, "new-at-once", 2, "1.9.0")
    newcomer(gateway, "new-updated", 2, GOAL)
    newcomer(gateway, "new-elsewhere", 2, "1.9.0")
    elsewhere = create(gateway, target={"ids": ["new-elsewhere"]}, strategy={"canary": {"count": 0}})

    def state(name):
        found = [m for m in gateway.ask("GET", f"/rollouts/{made['id']}/members?limit=1000")["members"] if m["agent"] == name]
        return found[0]["state"] if found else None

    # what is decided for good is: who cannot take part, and does not only happen to be away
    wait("the first to join", lambda: state("new-at-once") == "pending")
    assert state("new-updated") == "excluded" and state("new-elsewhere") is None, state("new-elsewhere")
    assert state("new-early") is None and state("new-away") is None
    abort(gateway, elsewhere["id"])
    hello(gateway, "new-early")
    hello(gateway, "new-away")
    for name in ("new-early", "new-away", "new-elsewhere"):
        wait(f"{name} to join", lambda: state(name) == "pending")     # looks every ten seconds
    shown = gateway.ask("GET", f"/rollouts/{made['id']}")
    assert (shown["cohort"], shown["counts"]["excluded"], shown["matched"]) == (6, 1, 7), shown
    assert len({m["position"] for m in members(gateway, made["id"])}) == 7
    gateway.ask("POST", f"/rollouts/{made['id']}/approve", {}, If_Match="*")
    wait("all of them to be updated", lambda: answer(gateway, made["id"])["state"] == "completed")
    shown = gateway.ask("GET", f"/rollouts/{made['id']}")
    assert shown["counts"]["succeeded"] == 6, shown


def test_emergency(gateway):
    """Windows, soaks and gates are skipped; limits and the automatic stop are not."""
    strategy = {"canary": {"count": 1, "soak_sec": 600, "approval": True}, "batch": {"size": 3, "every_sec": 600, "approval": True, "soak_sec": 600},
                "max_in_flight": 2, "max_failures": {"count": 1}, "windows": closed_window(), "set_desired": True}
    target = only(gateway, 9, "calm")
    calm = create(gateway, target=target, strategy=strategy)
    assert (calm["reason"], count(calm)["in-flight"]) == ("outside-window", 0), calm
    abort(gateway, calm["id"])
    made = create(gateway, target=target, strategy={**strategy, "emergency": True})
    assert count(made)["in-flight"] == 1, made
    shown = answer(gateway, made["id"])
    assert shown["batch"] == 1 and (count(shown)["succeeded"], count(shown)["in-flight"]) == (1, 2), shown
    shown = answer(gateway, made["id"])
    assert (count(shown)["succeeded"], count(shown)["in-flight"]) == (3, 1), shown     # three each ten minutes
    shown = answer(gateway, made["id"])
    assert (shown["reason"], count(shown)["succeeded"], count(shown)["in-flight"]) == ("next-batch", 4, 0), shown
    abort(gateway, made["id"])
    assert desired(gateway, target["selector"]) == []
    again = create(gateway, target=target, strategy={**strategy, "emergency": True, "canary": {"count": 0}})
    assert count(again)["in-flight"] == 2, again
    shown = answer(gateway, again["id"], "failed", "self-test-failed")
    assert (shown["state"], shown["reason"]) == ("paused", "max-failures") and count(shown)["failed"] == 2, shown
    abort(gateway, again["id"])


def test_retry_failed(gateway):
    """Those that failed get another turn, but for who is elsewhere by now; what ended goes on with it."""
    target = only(gateway, 3, "again")
    made = create(gateway, target=target, strategy={"canary": {"count": 0}, "batch": {"size": 9, "every_sec": 0, "success_percent": 0},
                                                    "max_failures": {"percent": 100}})
    path = f"/rollouts/{made['id']}"
    shown = answer(gateway, made["id"], "failed", "self-test-failed")
    assert shown["state"] == "completed" and count(shown)["failed"] == 3, shown
    assert [(c["reason"], c["count"]) for c in shown["causes"]] == [("self-test-failed", 3)]
    first = {m["agent"]: m["update"] for m in members(gateway, made["id"])}
    elsewhere = create(gateway, target={"ids": [min(first)]}, strategy={"canary": {"count": 0}})
    retried = gateway.ask("POST", f"{path}/retry-failed", {"why": "the disks were full"})
    assert retried["state"] == "running" and (count(retried)["in-flight"], count(retried)["failed"]) == (2, 1), retried
    audit = [e["entry"] for e in gateway.ask("GET", "/audit?limit=1000&action=rollout.retry-failed")["entries"]]
    assert [(e["count"], e["detail"]["why"]) for e in audit if e["target"] == f"rollout:{made['id']}"] == [(2, "the disks were full")]
    for m in members(gateway, made["id"], "&state=in-flight"):
        update = gateway.ask("GET", f"/updates/{m['update']}")
        assert m["attempts"] == 1 and m["update"] != first[m["agent"]] and update["rollout"] == made["id"], (m, update)
        with gateway.database() as db:      # the machine forgets that it has refused this release
            assert db.execute("SELECT retry FROM instructions WHERE id = ?", (m["update"],)).fetchone() == (1,)
    shown = answer(gateway, made["id"])
    assert shown["state"] == "completed" and (count(shown)["succeeded"], count(shown)["failed"]) == (2, 1), shown
    gateway.problem(409, "conflict", None, "POST", f"{path}/retry-failed", {})       # its turn is elsewhere
    abort(gateway, elsewhere["id"])
    assert count(gateway.ask("POST", f"{path}/retry-failed", {}))["in-flight"] == 1
    shown = answer(gateway, made["id"])
    assert shown["state"] == "completed" and count(shown)["succeeded"] == 3, shown


if __name__ == "__main__":
    run(sys.argv[1], (setup, test_refused, test_dry_run, test_life, test_verbs, test_gate, test_desired, test_lists, test_set_desired, test_newcomers, test_emergency,
                      test_retry_failed))

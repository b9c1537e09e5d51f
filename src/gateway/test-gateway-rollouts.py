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
    returning = members(gateway, back["id"])
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


if __name__ == "__main__":
    run(sys.argv[1], (setup, test_refused, test_dry_run, test_life, test_verbs, test_gate, test_desired, test_lists))

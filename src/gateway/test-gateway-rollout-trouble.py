#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gateway-rollout-trouble.py FLEET-GATEWAYD: rollouts that cannot be read or stepped, and what becomes of the others.
What is in the way is written into the database, as a damaged file, another release's gateway or a machine without tzdata
would have it."""

import json
import sys
import time

from gateway_fleet import run

GOAL = "3.0.0"
ONE_BY_ONE = {"canary": {"count": 0}, "batch": {"size": 1, "every_sec": 0}, "max_in_flight": 1,
              "windows": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "start": "00:00", "duration_sec": 86400,
                           "time_zone": "Europe/Berlin"}]}


def setup(gateway):
    with gateway.database() as db:
        db.execute("INSERT INTO releases VALUES (?, 'agent', 1, NULL, NULL, NULL, 0)", (GOAL,))
        for arch in ("x86_64", "aarch64"):
            db.execute("INSERT INTO artifacts VALUES (?,?,?,'linux',1,?)", (f"agent/{GOAL}/{arch}", GOAL, arch, "0" * 64))


def ready(gateway):
    """Agents that could be updated now."""
    with gateway.database() as db:
        return [i for i, in db.execute(
            "SELECT id FROM agents WHERE state = 2 AND version < '3' AND pinned = 0 AND id NOT IN (SELECT agent FROM instructions"
            " WHERE NOT terminal) AND id NOT IN (SELECT agent FROM rollout_members WHERE active) ORDER BY id")]


def create(gateway, ids, **strategy):
    return gateway.ask("POST", "/rollouts", {"version": GOAL, "target": {"ids": ids}, "strategy": {**ONE_BY_ONE, **strategy}}, 201)


def three(gateway):
    """Of two agents each, all running; the first of each is in flight."""
    ids = ready(gateway)[:6]
    return [create(gateway, ids[i:i + 2])["id"] for i in (0, 2, 4)]


def execute(gateway, sql, *values):
    with gateway.database() as db:
        assert db.execute(sql, values).rowcount > 0, sql


def machines_answer(gateway, rollout):
    """What is in flight succeeds, as the stream would tell."""
    with gateway.database() as db:
        db.execute("UPDATE agents SET version = ? WHERE id IN (SELECT agent FROM instructions WHERE rollout = ? AND NOT terminal)",
                   (GOAL, rollout))
        db.execute("UPDATE instructions SET phase = 'succeeded', terminal = 1, finished = updated WHERE rollout = ? AND NOT terminal",
                   (rollout,))


def kick(gateway, but=0):
    """A person does something to another rollout, so that all are stepped."""
    for r in gateway.ask("GET", "/rollouts?active=true")["rollouts"]:
        if r["id"] != but and r["state"] == "running" and gateway.raw("POST", f"/rollouts/{r['id']}/pause", {})[0] == 200:
            gateway.ask("POST", f"/rollouts/{r['id']}/resume", {})


def wait(gateway, what, found, seconds=20):
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.2)
    return value


def show(gateway, rollout):
    return gateway.ask("GET", f"/rollouts/{rollout}")


def finish(gateway, *rollouts):
    """They get on, whatever is the matter with another one."""
    for rollout in rollouts:
        def ended():
            machines_answer(gateway, rollout)
            kick(gateway)
            return show(gateway, rollout)["terminal"]
        wait(gateway, f"rollout {rollout} to go on", ended)
        shown = show(gateway, rollout)
        assert shown["state"] == "completed" and shown["counts"]["succeeded"] == 2, shown


def parked(gateway, rollout):
    """It is named with its reason wherever one looks, once."""
    def there():
        kick(gateway, but=rollout)
        shown = show(gateway, rollout)
        return shown if shown["reason"] == "step-failed" and "reason_detail" in shown else None
    shown = wait(gateway, f"rollout {rollout} to be parked", there)
    assert shown["state"] == "paused" and shown["reason_detail"] and shown["paused_since"] and "preview" not in shown, shown
    listed = [r for r in gateway.ask("GET", "/rollouts?active=true")["rollouts"] if r["id"] == rollout]
    assert [(r["state"], r["reason_detail"]) for r in listed] == [("paused", shown["reason_detail"])]
    audit = [e["entry"] for e in gateway.ask("GET", f"/audit?target=rollout%3A{rollout}")["entries"]]
    told = [e["detail"] for e in audit if e["action"] == "rollout.stop"]
    assert [d["reason"] for d in told] == ["step-failed"] and told[0]["detail"] == shown["reason_detail"], audit
    log = (gateway.folder / "log").read_text()
    lines = [line for line in log.splitlines() if f"Rollout {rollout} of {GOAL} cannot be stepped" in line]
    assert len(lines) == 1 and shown["reason_detail"] in lines[0] and f"rollout abort {rollout}" in lines[0], lines
    return shown


def aborted(gateway, rollout, **counts):
    answer = gateway.ask("POST", f"/rollouts/{rollout}/abort", {"why": "it cannot go on"})
    assert answer["state"] in ("aborting", "aborted"), answer
    with gateway.database() as db:
        db.execute("UPDATE instructions SET deadline = 1 WHERE rollout = ? AND NOT terminal", (rollout,))

    def ended():
        kick(gateway)
        shown = show(gateway, rollout)
        return shown if shown["terminal"] else None
    shown = wait(gateway, f"rollout {rollout} to end", ended)
    assert shown["state"] == "aborted" and shown["finished"] and not shown["counts"]["pending"], shown
    assert sum(v for k, v in shown["counts"].items() if k != "excluded") == shown["cohort"], shown
    with gateway.database() as db:
        assert db.execute("SELECT count(*) FROM rollout_members WHERE rollout = ? AND active", (rollout,)).fetchone() == (0,)
        tallies = dict(db.execute("SELECT state, count(*) FROM rollout_members WHERE rollout = ? GROUP BY state", (rollout,)))
    assert tallies == {k: v for k, v in shown["counts"].items() if v}, (tallies, shown["counts"])
    return shown


# ---- one that cannot be read ----

def test_strategy(gateway):
    """A window in a zone that this machine does not know."""
    bad, *good = three(gateway)
    execute(gateway, "UPDATE rollouts SET spec = replace(spec, 'Europe/Berlin', 'Europe/Atlantis') WHERE id = ?", bad)
    shown = parked(gateway, bad)
    assert "Europe/Atlantis" in shown["reason_detail"] and shown["matched"] == 2, shown
    assert "Europe/Atlantis" in json.dumps(shown["strategy"])
    finish(gateway, *good)
    members = gateway.ask("GET", f"/rollouts/{bad}/members")["members"]
    assert sorted(m["state"] for m in members) == ["in-flight", "pending"], members
    for verb in ("resume", "retry-failed", "roll-back"):
        problem = gateway.problem(409, "conflict", None, "POST", f"/rollouts/{bad}/{verb}", {}, If_Match="*")
        assert verb == "roll-back" or "Europe/Atlantis" in problem["detail"], problem
    # what is in flight is looked after all the same, and what became of it is not lost
    machines_answer(gateway, bad)
    ended = aborted(gateway, bad)
    assert ended["counts"]["succeeded"] == 1 and ended["counts"]["cancelled"] == 1, ended
    problem = gateway.problem(409, "conflict", None, "POST", f"/rollouts/{bad}/roll-back", {})
    assert "Europe/Atlantis" in problem["detail"], problem


def test_strategy_mended(gateway):
    """When what was missing is there again, a person lets it go on."""
    bad, *good = three(gateway)
    execute(gateway, "UPDATE rollouts SET spec = replace(spec, 'Europe/Berlin', 'Europe/Atlantis') WHERE id = ?", bad)
    parked(gateway, bad)
    execute(gateway, "UPDATE rollouts SET spec = replace(spec, 'Europe/Atlantis', 'Europe/Berlin') WHERE id = ?", bad)
    kick(gateway)
    assert show(gateway, bad)["state"] == "paused"
    resumed = gateway.ask("POST", f"/rollouts/{bad}/resume", {}, If_Match="*")
    assert resumed["state"] == "running" and "reason_detail" not in resumed, resumed
    finish(gateway, bad, *good)


def test_no_json(gateway):
    bad, *good = three(gateway)
    execute(gateway, "UPDATE rollouts SET spec = '{\"target\": ' WHERE id = ?", bad)
    shown = parked(gateway, bad)
    assert "target" not in shown and "strategy" not in shown, shown
    finish(gateway, *good)
    aborted(gateway, bad)


def test_row(gateway):
    """Words of the rollout's own row that this gateway does not know."""
    bad, *good = three(gateway)
    execute(gateway, "UPDATE rollouts SET reason = 'waiting-for-full-moon', counts = 'many' WHERE id = ?", bad)
    parked(gateway, bad)
    finish(gateway, *good)
    ended = aborted(gateway, bad)
    assert ended["cohort"] == 2, ended


def test_member(gateway):
    """A member in a state that this gateway does not know; and a roll-back of what others hold goes on."""
    bad, *good = three(gateway)
    execute(gateway, "UPDATE rollout_members SET state = 'flying' WHERE rollout = ? AND state = 'in-flight'", bad)
    shown = parked(gateway, bad)
    assert shown["matched"] == 2 and shown["batches"] == shown["causes"] == [], shown
    finish(gateway, *good)
    gateway.problem(409, "conflict", None, "POST", f"/rollouts/{bad}/resume", {}, If_Match="*")
    answer = gateway.ask("POST", f"/rollouts/{bad}/abort", {})
    assert (answer["state"], answer["counts"]["cancelled"], answer["counts"]["timed-out"]) == ("aborted", 1, 1), answer
    with gateway.database() as db:
        assert db.execute("SELECT count(*) FROM rollout_members WHERE active").fetchone() == (0,)
    with gateway.database() as db:
        db.execute("UPDATE instructions SET deadline = 1 WHERE NOT terminal AND rollout = ?", (bad,))


# ---- one that cannot be stepped ----

def test_step(gateway):
    """What its step would write is refused by the store: it alone is taken back, with its instruction."""
    bad, *good = three(gateway)
    with gateway.database() as db:
        db.execute(f"CREATE TRIGGER trouble BEFORE INSERT ON instructions WHEN NEW.rollout = {bad} BEGIN SELECT RAISE(ABORT, 'no'); END")
        before = db.execute("SELECT count(*) FROM instructions WHERE rollout = ?", (bad,)).fetchone()
    machines_answer(gateway, bad)
    shown = parked(gateway, bad)
    finish(gateway, *good)
    with gateway.database() as db:
        assert db.execute("SELECT count(*) FROM instructions WHERE rollout = ?", (bad,)).fetchone() == before
        db.execute("DROP TRIGGER trouble")
    resumed = gateway.ask("POST", f"/rollouts/{bad}/resume", {}, If_Match="*")
    assert resumed["state"] == "running" and resumed["counts"]["succeeded"] == 1, (resumed, shown)
    finish(gateway, bad)


def test_abort_that_fails(gateway):
    """Aborting is a step, too: when that cannot be made, its members are let go all the same."""
    bad, *good = three(gateway)
    with gateway.database() as db:
        db.execute(f"CREATE TRIGGER trouble BEFORE UPDATE OF state ON rollout_members WHEN NEW.rollout = {bad} AND"
                   " NEW.state = 'succeeded' BEGIN SELECT RAISE(ABORT, 'no'); END")
    machines_answer(gateway, bad)
    parked(gateway, bad)
    answer = gateway.ask("POST", f"/rollouts/{bad}/abort", {})
    assert answer["state"] == "aborted" and answer["counts"]["cancelled"] == 1 and answer["counts"]["timed-out"] == 1, answer
    with gateway.database() as db:
        db.execute("DROP TRIGGER trouble")
    finish(gateway, *good)
    assert gateway.ask("GET", "/rollouts?active=true")["total"] == 0


def test_survives(gateway):
    """After a restart it is as it was, and is not told again."""
    bad, *good = three(gateway)
    execute(gateway, "UPDATE rollouts SET spec = replace(spec, 'Europe/Berlin', 'Europe/Atlantis') WHERE id = ?", bad)
    before = parked(gateway, bad)
    gateway.stop()
    gateway.start()
    after = parked(gateway, bad)
    assert {**after, "preview": 0} == {**before, "preview": 0}, (before, after)
    finish(gateway, *good)
    aborted(gateway, bad)


if __name__ == "__main__":
    run(sys.argv[1], (setup, test_strategy, test_strategy_mended, test_no_json, test_row, test_member, test_step, test_abort_that_fails,
                      test_survives))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gatewayctl-rollout.py FLEET-GATEWAYCTL: the rollout commands against a server that answers as docs/api.md says. (With
the real gateway and agents: tests/protocol/test_ctl_rollout.py.)"""

import json
import signal
import subprocess
import sys
import tempfile
import time

from gatewayctl_bench import Terminal, base, interrupt, plain

IDS = [f"{i:032x}" for i in range(3)]
COUNTS = ("pending", "in-flight", "succeeded", "failed", "rolled-back", "timed-out", "skipped", "cancelled", "excluded")
STRATEGY = {
    "canary": {"count": 2, "success_percent": 100, "soak_sec": 60, "approval": False},
    "batch": {"size": 5, "ramp": [1, 2], "every_sec": 600, "success_percent": 90, "soak_sec": 0, "approval": False},
    "max_in_flight": 5, "max_failures": {"percent": 20}, "attempts": 3, "retry_pause_sec": 60, "offline": "wait",
    "offline_wait_sec": 604800, "include_new_agents": False, "set_desired": False, "emergency": False, "windows": [],
}
PLAN = {
    "dry_run": True, "kind": "update", "version": "1.1.0", "cohort": 28, "matched": 30, "digest": "d1" * 32, "target": {"selector": "env=x"},
    "strategy": STRATEGY, "update_takes_sec": 35,
    "excluded": [{"reason": "pinned", "reason_text": "The owner holds it.", "count": 2, "examples": IDS[:2]}],
    "canaries": [{"agent": IDS[i], "hostname": f"web{i}", "os": "debian 12", "kernel": "6.1", "arch": "x86_64"} for i in range(2)],
    "preview": {"batches": [{"batch": n, "begins": "2026-11-24T12:34:56Z", "agents": 5} for n in range(30)], "batches_total": 30,
                "ends": "2026-11-24T13:34:56Z", "waiting_offline": 3, "approvals": True, "approximate": True},
}


def rollout(state="running", reason="updating", batch=1, cohort=30, number=7, **more):
    counts = {k: more.pop(k.replace("-", "_"), 0) for k in COUNTS}
    known = sum(v for k, v in counts.items() if k != "excluded")
    counts["pending"] += cohort - known
    return {"id": number, "kind": "update", "version": "1.1.0", "state": state, "terminal": state in ("completed", "aborted"), "reason": reason,
            "reason_text": f"Text of {reason}.", "batch": batch, "cohort": cohort, "admitted": 0, "failures": 0, "counts": counts,
            "created": "2026-11-24T12:34:56Z", "updated": "2026-11-24T12:34:56Z", "actor": "user:alice", "revision": 1, **more}


WHOLE = {"target": {"selector": "env=x"}, "strategy": STRATEGY}
DONE = rollout("completed", "done", succeeded=30)


class Handler(base.Handler):
    def route(self, method, path, query, body):
        s = self.state
        if not path.startswith("/api/v1/rollouts"):
            return super().route(method, path, query, body)
        s.asked.append((method, path, query, json.loads(body) if body else None, self.headers.get("Idempotency-Key"), self.headers.get("If-Match")))
        if method == "POST" and s.drop:
            s.drop -= 1
            self.close_connection = True
            return None
        if method == "POST" and s.busy:
            s.busy -= 1
            return self.problem(409, "idempotency-busy")
        if s.refuse:
            status, name, pointer = s.refuse
            return self.answer(status, {"type": f"urn:fleet-agent:problem:{name}", "title": "No", "status": status, "detail": "It is wrong.",
                                        "errors": [{"pointer": pointer, "detail": "It is wrong."}]})
        return self.rollouts(method, path.removeprefix("/api/v1/rollouts").strip("/"), query, json.loads(body or "null"))

    def rollouts(self, method, rest, query, body):
        s = self.state
        if method == "GET" and not rest:
            return self.answer(200, self.page("rollouts", s.list, query))
        if method == "GET" and rest.endswith("/members"):
            found = [m for m in s.members if m["state"] == query.get("state", m["state"])]
            return self.answer(200, self.page("members", found, query))
        if method == "GET":
            if not rest.startswith("7"):
                return self.problem(404, "not-found", "There is no such rollout.")
            shown = WHOLE | s.rollout | ({"preview": PLAN["preview"]} if s.rollout["state"] == "running" else {})
            return self.answer(200, shown, headers={"ETag": '"c-1"'})
        if body.get("dry_run"):
            back = {"kind": "rollback", "strategy": STRATEGY | {"canary": {"count": 0}}} if rest else {}
            return self.answer(200, {k: v for k, v in (PLAN | back).items() if not (rest and k == "digest")})
        return self.answer(201 if not rest or rest.endswith("roll-back") else 200, WHOLE | s.rollout)

    def page(self, key, everything, query):
        start, step = int(query.get("cursor", "0")), 2
        page = {key: everything[start : start + step], "total": len(everything)}
        return page | ({"next_cursor": str(start + step)} if start + step < len(everything) else {})


class Bench(base.Bench):
    handler = Handler

    def __init__(self, program, folder):
        super().__init__(program, folder)
        self.clear()

    def clear(self, shown=DONE):
        s = self.state
        s.asked, s.drop, s.busy, s.refuse, s.rollout = [], 0, 0, None, shown
        s.list, s.members, s.streams = [], [], []

    def posted(self):
        """The body of the only request that changes something."""
        (body,) = [b for m, _, _, b, *_ in self.state.asked if m == "POST" and not b.get("dry_run")]
        return body

    def create(self, *options, code=0, **more):
        return self.ctl("rollout", "create", "--release=1.1.0", "-l", "env=x", "--yes", *options, code=code, **more)

    def strategy(self, *options):
        self.clear()
        self.create(*options)
        return self.posted().get("strategy")


def event(number, data):
    return base.event(number, "rollout", data)


def happen(b, number, data):
    """From here on it is so, and whoever listens hears of it."""
    return [lambda: setattr(b.state, "rollout", data), event(number, data)]


# ---- what is asked for ----

def test_targets(b):
    for options, target in ((["-l", "env=x"], {"selector": "env=x"}), (["--group=web"], {"group": "web"}), (["--all"], {"all": True}),
                            (["--agent=a,b", "--agent", "c"], {"ids": ["a", "b", "c"]})):
        b.clear()
        b.ctl("rollout", "create", "--release=1.1.0", "--yes", *options)
        assert b.posted() == {"version": "1.1.0", "target": target}, b.posted()
    b.clear()
    for wrong in ([], ["--all", "--group=x"], ["-l", "a", "--agent=x"], ["--group="], ["--release=x", "--all"], ["--nonsense"], ["--all", "--state=x"],
                  ["--all", "something"]):
        b.ctl("rollout", "create", "--release=1.1.0", "--yes", *wrong, code=2)
    b.ctl("rollout", "create", "--yes", "--all", code=2)
    assert "--yes" in b.ctl("rollout", "create", "--release=1.1.0", "--all", code=2).stderr     # nobody can be asked, and nothing hangs
    assert b.state.asked == []


def test_strategy(b):
    assert b.strategy() is None
    assert b.strategy("--canary=2", "--batch", "5", "--every", "2s", "--max-failures", "20%") == {
        "canary": {"count": 2}, "batch": {"size": 5, "every_sec": 2}, "max_failures": {"percent": 20}}
    assert b.strategy("--canary=12.5%", "--canary-soak=1h30m", "--canary-success=99.99%", "--canary-approval", "--batch=10%", "--ramp=1,5,20",
                      "--batch-success=80", "--batch-soak=90", "--approval", "--max-in-flight=7", "--max-failures=3", "--attempts=2",
                      "--retry-pause=10m", "--offline=skip", "--offline-wait=2d", "--include-new-agents", "--set-desired", "--emergency",
                      "--window=Mon..Wed,Sat 22:00 6h Europe/Berlin", "--window", "fri..monday 9:30 1h 30min UTC") == {
        "canary": {"percent": 12.5, "soak_sec": 5400, "success_percent": 99.99, "approval": True},
        "batch": {"percent": 10, "ramp": [1, 5, 20], "success_percent": 80, "soak_sec": 90, "approval": True},
        "max_in_flight": 7, "max_failures": {"count": 3}, "attempts": 2, "retry_pause_sec": 600, "offline": "skip", "offline_wait_sec": 172800,
        "include_new_agents": True, "set_desired": True, "emergency": True,
        "windows": [{"days": ["mon", "tue", "wed", "sat"], "start": "22:00", "duration_sec": 21600, "time_zone": "Europe/Berlin"},
                    {"days": ["mon", "fri", "sat", "sun"], "start": "09:30", "duration_sec": 5400, "time_zone": "UTC"}]}
    assert b.strategy("--canary-agent=a,b", "--canary-agent=c") == {"canary": {"ids": ["a", "b", "c"]}}
    assert b.strategy("--canary=5", "--canary=10%") == {"canary": {"percent": 10}}      # the last one counts
    b.create("--description=the third")
    b.clear()
    for wrong in ("--canary=x", "--canary=-1", "--canary=101%", "--canary=1.234%", "--canary=%", "--canary=1.%", "--canary=", "--canary-soak=soon",
                  "--canary-soak=500ms", "--canary-success=many", "--canary-agent=,", "--canary-agent=../x", "--batch=1.5", "--ramp=", "--ramp=1,x", "--every=1x",
                  "--every=infinity", "--max-in-flight=2%", "--attempts=x", "--offline=never", "--strategy-file=", "--window=", "--window=Mon",
                  "--window=Mon 22:00 6h", "--window=Mxn 22:00 6h UTC", "--window=Mon..x 22:00 6h UTC", "--window=Mon 2200 6h UTC",
                  "--window=Mon 22:00 x UTC", "--window=Mond 22:00 6h UTC", "--window=Mon a:00 6h UTC"):
        b.create(wrong, code=2)
    assert "--canary-agent" in b.create("--canary=2", "--canary-agent=a", code=2).stderr
    assert b.state.asked == []


def test_strategy_file(b):
    file = b.folder / "strategy.json"
    file.write_text(json.dumps({"canary": {"percent": 10, "soak_sec": 5}, "batch": {"size": 9, "ramp": [1]}, "windows": [], "attempts": 1}))
    path = f"--strategy-file={file}"
    assert b.strategy(path) == json.loads(file.read_text())
    assert b.strategy("--canary=2", path, "--max-failures=1", "--batch=20%", "--window=Sun 0:00 1d UTC") == {
        "canary": {"count": 2, "soak_sec": 5}, "batch": {"percent": 20, "ramp": [1]}, "attempts": 1, "max_failures": {"count": 1},
        "windows": [{"days": ["sun"], "start": "00:00", "duration_sec": 86400, "time_zone": "UTC"}]}
    assert b.strategy(path, "--canary-agent=a")["canary"] == {"ids": ["a"], "soak_sec": 5}
    # what "rollout show" prints will do as well
    result = subprocess.run([b.program, "rollout", "create", "--release=1.1.0", "--all", "--yes", "--strategy-file=-"], env=b.env, text=True,
                            input=json.dumps(WHOLE), capture_output=True, timeout=30)
    assert result.returncode == 0 and b.state.asked[-1][3]["strategy"] == STRATEGY, result
    b.clear()
    for text, code in (("[]", 2), ("{", 2), ('{"a": 1, "a": 2}', 2)):
        file.write_text(text)
        assert str(file) in b.create(path, code=code).stderr
    b.create("--strategy-file=/nonexistent", code=3)
    assert b.state.asked == []


def test_blame(b):
    """What the gateway refuses is told by the option it came from."""
    file = b.folder / "strategy.json"
    file.write_text('{"batch": {"size": 0}}')
    for pointer, options, told in (
            ("/strategy/batch/size", ["--batch=5"], "--batch="), ("/strategy/batch/percent", ["--batch=5%"], "--batch="),
            ("/strategy/canary/count", ["--canary=99"], "--canary="), ("/strategy/canary/ids", ["--canary-agent=a"], "--canary-agent="),
            ("/strategy/windows/1/start", ["--window=Mon 25:00 6h UTC"], "--window="), ("/strategy/batch", ["--every=30d"], "--every="),
            ("/strategy/max_failures/count", ["--max-failures=1"], "--max-failures="), ("/strategy/attempts", ["--attempts=99"], "--attempts="),
            ("/strategy/batch/size", [f"--strategy-file={file}"], "--strategy-file="),
            ("/strategy/batch/size", [f"--strategy-file={file}", "--batch=5"], "--batch="),
            ("/strategy/batch/size", [f"--strategy-file={file}", "--every=5"], "--strategy-file="),
            ("/version", [], "--release="), ("/target/selector", [], "--selector="), ("/description", [], "--description="),
            ("/expected_count", [], "No. It is wrong."), ("/strategy/batch", [], "No. It is wrong.")):
        b.clear()
        b.state.refuse = (409, "conflict", pointer)
        text = b.create(*options, code=5).stderr
        assert text == f"fleet-gatewayctl: {told}{'' if told.startswith('No') else ': It is wrong.'}\n", (pointer, options, text)


# ---- plan and question ----

def test_dry_run(b):
    b.clear()
    text = b.ctl("rollout", "create", "--release=1.1.0", "-l", "env=x", "--dry-run").stdout
    (asked,) = b.state.asked
    assert asked[:2] == ("POST", "/api/v1/rollouts") and asked[3] == {"version": "1.1.0", "target": {"selector": "env=x"}, "dry_run": True}
    for part in ("Release: 1.1.0", "28 of the 30 that match (env=x)", "Canaries: 2, all of which must succeed, then watched for 1min",
                 "Batches: 1, 2, then 5 every 10min, 90% of each must succeed before the next", "at more than 20% failures",
                 "LEFT OUT  REASON  WHY", f"2         pinned  The owner holds it.  {IDS[0]} {IDS[1]}", f"{IDS[1]}  web1  debian 12  6.1     x86_64",
                 "canaries  5       2026-11-24 12:34:56 UTC", "... and 10 more", "Ends about 2026-11-24 13:34:56 UTC", "every update takes 35s",
                 "approvals", "3 agents are offline"):
        assert part in text, (part, text)
    wide = b.ctl("rollout", "create", "--release=1.1.0", "--all", "--dry-run", "-o", "wide").stdout
    assert "... and" not in wide and wide.count("2026-11-24 12:34:56") == 30
    assert json.loads(b.ctl("rollout", "create", "--release=1.1.0", "--all", "--dry-run", "-o", "json").stdout) == PLAN
    assert b.ctl("rollout", "create", "--release=1.1.0", "--all", "--dry-run", "-o", "name").stdout.split() == IDS[:2]
    assert "version: \"1.1.0\"" in b.ctl("rollout", "create", "--release=1.1.0", "--all", "--dry-run", "-o", "yaml").stdout


def test_question(b):
    for answer, code in (("n\n", 2), ("y\n", 0)):
        b.clear()
        terminal = Terminal(b, "rollout", "create", "--release=1.1.0", "-l", "env=x", "--batch=5")
        text = plain(terminal.read("[y/N]"))
        assert "28 of the 30" in text and "Begin, for 28 agents?" in text, text
        terminal.write(answer)
        assert terminal.end()[0] == code
        if code == 0:
            assert b.posted() == {"version": "1.1.0", "target": {"selector": "env=x"}, "strategy": {"batch": {"size": 5}},
                                  "expected_count": 30, "expected_digest": "d1" * 32}
        else:
            assert all(a[3]["dry_run"] for a in b.state.asked)
    # data goes to standard output, and nothing else does
    b.clear()
    result = b.create()
    assert result.stdout == "Rollout 7 has begun: 1.1.0 for 30 agents, 0 left out.\n" and result.stderr == ""
    assert b.create("-o", "name").stdout == "7\n"
    assert json.loads(b.create("-o", "json").stdout) == WHOLE | DONE


def test_roll_back(b):
    b.clear()
    text = b.ctl("rollout", "roll-back", "7", "--dry-run").stdout
    assert "Back from: 1.1.0" in text and b.state.asked[0][1:4:2] == ("/api/v1/rollouts/7/roll-back", {"dry_run": True})
    b.ctl("rollout", "roll-back", "7", code=2)
    b.clear()
    b.ctl("rollout", "roll-back", "7", "--yes", "--why=it is slow")
    assert b.posted() == {"description": "it is slow"}
    # a single option changes what the gateway would do, which is known from a plan; a file says everything
    b.clear()
    b.ctl("rollout", "roll-back", "7", "--yes", "--description=d", "--max-in-flight=2", "--canary=1")
    assert b.posted() == {"description": "d", "strategy": STRATEGY | {"canary": {"count": 1}, "max_in_flight": 2}}
    file = b.folder / "strategy.json"
    file.write_text('{"attempts": 1}')
    b.clear()
    b.ctl("rollout", "roll-back", "7", "--yes", f"--strategy-file={file}", "--max-in-flight=2")
    assert b.posted() == {"strategy": {"attempts": 1, "max_in_flight": 2}}
    b.clear()
    terminal = Terminal(b, "rollout", "roll-back", "7")
    terminal.read("[y/N]")
    terminal.write("yes\n")
    assert terminal.end()[0] == 0 and b.posted() == {}
    b.ctl("rollout", "roll-back", "x", "--yes", code=2)


# ---- lists ----

def test_list(b):
    b.clear()
    b.state.list = [rollout("paused", "max-failures", number=3, succeeded=5, failed=1, rolled_back=1, in_flight=2), rollout(number=2) | {"kind": "rollback"},
                    DONE | {"id": 1}]
    lines = [line.split() for line in b.ctl("rollout", "list").stdout.splitlines()]
    assert lines[0] == ["ID", "RELEASE", "STATE", "REASON", "UPDATED", "FAILED", "IN", "FLIGHT", "CREATED"]
    assert lines[1][:7] == ["3", "1.1.0", "paused", "max-failures", "5/30", "2", "2"] and len(lines) == 4, lines
    assert lines[2][:4] == ["2", "back", "from", "1.1.0"]
    assert b.ctl("rollout", "list", "-o", "name").stdout.split() == ["3", "2", "1"]
    found = json.loads(b.ctl("rollout", "list", "-o", "json").stdout)
    assert found["total"] == 3 and found["rollouts"] == b.state.list
    assert "user:alice" in b.ctl("rollout", "list", "-o", "wide", "--no-legend").stdout
    b.clear()
    b.ctl("rollout", "list", "--state=paused", "--active", "--release=1.1.0")
    assert b.state.asked[0][2] == {"limit": "1000", "state": "paused", "active": "true", "version": "1.1.0"}


def test_members(b):
    b.clear()
    b.state.members = [{"agent": IDS[0], "hostname": "web0", "state": "failed", "reason": "crashed", "reason_text": "It ended.", "batch": 0, "attempts": 2,
                        "version": "1.0.0", "canary": True, "online": True, "goal": "1.1.0", "from": "1.0.0", "os": "debian 12"},
                       {"agent": IDS[1], "state": "in-flight", "phase": "downloading", "batch": 1, "attempts": 1, "online": True},
                       {"agent": IDS[2], "hostname": "\x1b[31mevil", "state": "pending", "attempts": 0, "online": False}]
    lines = [line.split() for line in b.ctl("rollout", "members", "7").stdout.splitlines()]
    assert lines[1] == [IDS[0], "web0", "failed", "crashed", "canary", "1.0.0", "2"] and lines[2][2:5] == ["in-flight", "downloading", "1"], lines
    assert b.ctl("rollout", "members", "7", "-o", "name").stdout.split() == IDS
    assert json.loads(b.ctl("rollout", "members", "7", "-o", "json").stdout) == {"members": b.state.members, "total": 3}
    assert "It ended." in b.ctl("rollout", "members", "7", "-o", "wide").stdout
    b.state.asked.clear()
    assert b.ctl("rollout", "members", "7", "--state=failed,in-flight", "--reason=crashed", "--batch=0", "-o", "name").stdout.split() == IDS[:2]
    assert [a[2] for a in b.state.asked] == [{"limit": "1000", "state": s, "reason": "crashed", "batch": "0"} for s in ("failed", "in-flight")]
    for wrong in (["x"], ["0"], ["-1"], [], ["7", "--batch=2%"], ["7", "--batch=x"], ["7", "--state=,"]):
        b.ctl("rollout", "members", *wrong, code=2)


def test_show(b):
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 325))
    b.clear(rollout("running", "next-batch", batch=2, succeeded=12, failed=1, rolled_back=2, in_flight=3, excluded=4, description="the third", next_look=soon,
                    batches=[{"batch": 0, "admitted": 2, "in_flight": 0, "succeeded": 2, "failed": 0}, {"batch": 1, "admitted": 5, "in_flight": 1, "succeeded": 3, "failed": 1}],
                    causes=[{"state": "failed", "reason": "crashed", "reason_text": "It ended.", "count": 1}]))
    text = b.ctl("rollout", "show", "7").stdout
    for part in ("Rollout: 7", "Release: 1.1.0", "Description: the third", "Target: env=x", "State: running, batch 2", "Why: Text of next-batch.",
                 "Next: the next batch begins in 5min 2", "12 of 30 updated, 3 failed (2 rolled-back), 3 in flight, 12 to come", "Left out: 4",
                 "Ends about: 2026", "By: user:alice", "Canaries: 2, all of which", "[################xxxx>>>>----------------]  50%",
                 "canaries  2         2        0       0", "1         5         3        1       1", "1       failed  crashed  It ended."):
        assert part in text, (part, text)
    assert json.loads(b.ctl("rollout", "show", "7", "-o", "json").stdout)["strategy"] == STRATEGY
    assert b.ctl("rollout", "show", "7", "-o", "name").stdout == "7\n"
    b.state.rollout = rollout("running", "awaiting-approval", batch=0, succeeded=2)
    assert "Next: when somebody approves: fleet-gatewayctl rollout approve 7" in b.ctl("rollout", "show", "7").stdout
    b.state.rollout = rollout("paused", "correlated-failures", reason_detail="os \x1b[1mubuntu", paused_since="2026-11-24T12:34:56Z") | {
        "kind": "rollback", "parent": 3, "batches": [{"batch": 1, "admitted": 5, "succeeded": 4, "failed": 0, "in_flight": 1}]}
    text = b.ctl("rollout", "show", "7").stdout
    assert "(os \\x1b[1mubuntu)" in text and "Paused since: 2026" in text and "Back from: 1.1.0" in text and "Of rollout: 3" in text
    assert "Agents: 0 of 30 back, 30 to come" in text and "ADMITTED  BACK  FAILED" in text, text
    b.ctl("rollout", "show", "8", code=3)
    b.ctl("rollout", "show", "seven", code=2)


def test_verbs(b):
    for verb in ("pause", "resume", "abort", "approve", "retry-failed"):
        b.clear(rollout("paused", "operator"))
        assert b.ctl("rollout", verb, "7").stdout == "Rollout 7 is paused: Text of operator.\n"
        b.ctl("rollout", verb, "7", "--why=look at db1", "-o", "json")
        asked = [a[:2] + a[3:4] for a in b.state.asked]
        posts = [("POST", f"/api/v1/rollouts/7/{verb}", {}), ("POST", f"/api/v1/rollouts/7/{verb}", {"why": "look at db1"})]
        # what depends on what it waits for names what was read, and tells it
        read = ("GET", "/api/v1/rollouts/7", None)
        seen = verb in ("resume", "approve")
        assert asked == ([read, posts[0], read, posts[1]] if seen else posts), asked
        assert [a[5] for a in b.state.asked if a[0] == "POST"] == ['"c-1"' if seen else None] * 2
        b.state.refuse = (409, "conflict", "")
        b.ctl("rollout", verb, "7", code=5)
        b.ctl("rollout", verb, "x", code=2)
        b.ctl("rollout", verb, code=2)
    b.ctl("rollout", "pause", "7", "--wait", code=2)
    b.ctl("rollout", "cancel", "7", code=2)


# ---- requests that may be repeated ----

def test_repeated(b):
    b.clear()
    b.state.drop = 1
    result = b.create()
    first, second = b.state.asked
    assert first == second and first[4] and len(first[4]) == 32 and "connection broke" in result.stderr, (first, second, result)
    b.create()
    assert b.state.asked[-1][4] != first[4]                 # another request has another key
    # the gateway still works on it
    b.clear()
    b.state.drop, b.state.busy = 1, 2
    b.create()
    assert len(b.state.asked) == 4 and len({a[4] for a in b.state.asked}) == 1
    # one that is busy without that belongs to somebody else
    b.clear()
    b.state.busy = 1
    b.create(code=5)
    b.clear()
    b.state.drop = 100
    assert "not known" in b.create(code=1).stderr and len(b.state.asked) < 10
    b.clear()
    b.ctl("rollout", "create", "--release=1.1.0", "--all", "--dry-run")
    assert b.state.asked[0][4] is None                      # changes nothing


# ---- waiting ----

def wait(b, *states, code, shown=None, arguments=("--wait",), **more):
    """create --wait, while the rollout goes through these states; each is an event."""
    b.clear(states[0])
    stream = [b": hello\n\n"]
    for n, state in enumerate(states[1:]):
        stream += happen(b, n + 1, state)
    b.state.streams = [[*stream, lambda: time.sleep(1)]]
    b.state.members = more.pop("members", [])
    result = b.create(*arguments, code=code)
    if shown:
        assert shown in result.stdout, result
    return result


def test_exit_codes(b):
    running = rollout(in_flight=5)
    result = wait(b, running, rollout(batch=2, succeeded=20, in_flight=5), DONE, code=0, shown="Rollout 7 is completed: 30 of 30 updated.\n")
    assert result.stdout.count("\n") == 1 and "has begun" in result.stderr, result
    assert "rollout 7: running, batch 1 (updating): 0 of 30 updated, 5 in flight, 25 to come" in result.stderr
    assert "rollout 7: running, batch 2 (updating): 20 of 30 updated, 5 in flight, 5 to come" in result.stderr
    result = wait(b, running, rollout("completed", "done", succeeded=29, rolled_back=1, causes=[
        {"state": "rolled-back", "reason": "crashed", "reason_text": "It ended.", "count": 1}]), code=7, shown="1 failed (1 rolled-back)")
    assert "1 rolled-back: crashed It ended." in result.stderr and "rollout members 7 --state=failed,rolled-back,timed-out" in result.stderr
    wait(b, running, rollout("paused", "max-failures", failed=3), code=7, shown="Rollout 7 is paused, by itself: ")
    wait(b, running, rollout("aborting", "operator", in_flight=1), rollout("aborted", "operator", cancelled=30), code=7, shown="is aborted")
    # a person's pause is waited out
    wait(b, running, rollout("paused", "operator"), rollout(in_flight=1), DONE, code=0)
    # who came to the version in another way is as good; who was skipped for another reason is not
    skipped = rollout("completed", "done", succeeded=29, skipped=1)
    wait(b, running, skipped, code=0, members=[{"state": "skipped"}])
    wait(b, running, skipped, code=7, members=[])
    # forms of the answer
    assert json.loads(wait(b, running, DONE, code=0, arguments=("--wait", "-o", "json")).stdout) == WHOLE | DONE
    assert wait(b, running, DONE, code=0, arguments=("--wait", "-o", "name")).stdout == "7\n"
    # a rollout that is over already
    assert "completed" in wait(b, DONE, code=0).stdout
    wait(b, rollout("paused", "soak-failed"), code=7)


def test_wait_of_verbs(b):
    for verb, code in (("abort", 0), ("resume", 7), ("approve", 7), ("retry-failed", 7)):
        b.clear(rollout("aborting", "operator", in_flight=1))
        ended = rollout("aborted", "operator", cancelled=30)
        b.state.streams = [[b": hello\n\n", *happen(b, 1, ended), lambda: time.sleep(1)]]
        assert "is aborted" in b.ctl("rollout", verb, "7", "--wait", code=code).stdout


def test_timeout_and_signals(b):
    b.clear(rollout(in_flight=1))
    b.state.streams = [[b": hello\n\n", lambda: time.sleep(5)]]
    text = b.create("--wait", "--timeout=1", code=6).stderr
    assert "goes on" in text and "rollout watch 7" in text, text
    for signo in (signal.SIGINT, signal.SIGTERM):
        b.clear(rollout(in_flight=1))
        b.state.streams = [[b": hello\n\n", lambda: time.sleep(5)]]
        code, out, err = interrupt(b, "rollout", "create", "--release=1.1.0", "--all", "--yes", "--wait", signo=signo,
                                   when=lambda: any(a[0] == "GET" for a in b.state.asked) and not b.state.streams)
        assert code == -signo and out == "" and "Interrupted. Rollout 7 goes on" in err and "rollout pause 7" in err, (code, out, err)
        assert [a[0] for a in b.state.asked].count("POST") == 1                        # nothing was stopped


def test_watch(b):
    """Lines, over a connection that breaks."""
    b.clear(rollout(in_flight=1))
    ended = rollout("completed", "done", succeeded=30)
    b.state.requests.clear()
    b.state.streams = [[b"retry: 500\n\n", *happen(b, 41, rollout(batch=2, in_flight=2)), *happen(b, None, rollout(batch=2, in_flight=1, succeeded=1)),
                        *happen(b, 42, rollout("paused", "operator", batch=2)), event(43, rollout(number=8)), lambda: time.sleep(0.5)],
                       [*happen(b, 44, rollout(batch=3)), *happen(b, 45, ended), lambda: time.sleep(1)]]
    result = b.ctl("rollout", "watch", "7")
    assert "Last-Event-ID None" in b.state.requests and "Last-Event-ID 43" in b.state.requests
    lines = [line[10:] for line in result.stdout.splitlines()]
    for part in ("rollout 7: running, batch 2 (updating)", "rollout 7: paused, batch 2 (operator)", "Connection to the gateway lost",
                 "rollout 7: completed (done): 30 of 30 updated"):
        assert any(line.startswith(part) for line in lines), (part, lines)
    assert result.stdout.endswith("\nRollout 7 is completed: 30 of 30 updated.\n") and result.stderr == ""
    assert "succeeded=1" not in result.stdout and result.stdout.count("batch 2 (updating)") == 1       # a tenth is worth a line, one agent is not

    b.state.rollout = rollout(in_flight=1)
    b.state.streams = [[b": hello\n\n", lambda: time.sleep(0.5), *happen(b, 41, rollout(batch=2)), *happen(b, None, ended), lambda: time.sleep(1)]]
    events = [json.loads(line) for line in b.ctl("rollout", "watch", "7", "-o", "json").stdout.splitlines()]
    assert [e.get("id") for e in events[-2:]] == [41, None] and all(e["event"] == "rollout" for e in events), events
    assert events[-1]["data"] == ended and events[0]["data"]["batch"] == 1
    b.state.rollout = rollout(in_flight=1)
    b.ctl("rollout", "watch", "7", code=4)                                             # no streams are left: forbidden
    b.ctl("rollout", "watch", "8", code=3)
    b.ctl("rollout", "watch", "x", code=2)


def test_terminal(b):
    """One block, drawn anew; none of it where the terminal cannot, or standard output is none."""
    ended = rollout("completed", "done", succeeded=30)

    def stream():
        b.clear(rollout(in_flight=1))
        b.state.streams = [[b": hello\n\n", *happen(b, 41, rollout(batch=2, in_flight=3, succeeded=12)), lambda: time.sleep(1.5),
                            *happen(b, 42, ended), lambda: time.sleep(1)]]

    stream()
    code, text = Terminal(b, "rollout", "watch", "7").end()
    assert code == 0 and text.count("\x1b[5F") >= 3, text
    shown = plain(text)
    assert "Rollout 7, to 1.1.0: running, batch 2" in shown and "[####################>>>>>-------------------------]  40%" in shown, shown
    assert shown.endswith("Rollout 7 is completed: 30 of 30 updated.\r\n") and "\x1b[32m" in text
    stream()
    code, text = Terminal(b, "rollout", "watch", "7", NO_COLOR="1").end()
    assert code == 0 and "\x1b[5F" in text and "m####" not in text and "\x1b[32m" not in text, text
    stream()
    code, text = Terminal(b, "rollout", "watch", "7", TERM="dumb").end()
    assert code == 0 and "\x1b" not in text and "rollout 7: running, batch 2" in text, text


def main():
    with tempfile.TemporaryDirectory(prefix="fleet-gatewayctl-") as folder:
        b = Bench(sys.argv[1], folder)
        for test in (test_targets, test_strategy, test_strategy_file, test_blame, test_dry_run, test_question, test_roll_back, test_list, test_members,
                     test_show, test_verbs, test_repeated, test_exit_codes, test_wait_of_verbs, test_timeout_and_signals, test_watch, test_terminal):
            started = time.monotonic()
            test(b)
            print(f"{test.__name__}: ok ({time.monotonic() - started:.1f}s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

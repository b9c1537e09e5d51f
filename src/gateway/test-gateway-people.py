#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gateway-people.py FLEET-GATEWAYD FLEET-RELEASE FLEET-GATEWAYCTL API.C: the first user and the others, who may do
what, and tokens, at the real gateway over HTTPS."""

import concurrent.futures
import json
import os
import pty
import re
import time

from gateway_lab import WORDS, bearer, guess_until_limited, run

ROLES = ("nobody", "viewer", "operator", "admin")

# Every route, who may use it at least, and its area. A route that is not here fails the test, and so does one that is
# here and not there.
ROUTES = """
GET    /healthz                         nobody   none
GET    /readyz                          nobody   none
GET    /ca.pem                          nobody   none
GET    /tuf/*                           nobody   none
GET    /api/v1/setup                    nobody   none
POST   /api/v1/setup                    nobody   none
POST   /api/v1/session                  nobody   none
DELETE /api/v1/session                  viewer   none
GET    /api/v1/me                       viewer   none
PUT    /api/v1/me/password              viewer   none
POST   /api/v1/me/tokens                viewer   tokens
GET    /api/v1/me/tokens                viewer   tokens
DELETE /api/v1/me/tokens/{}             viewer   tokens
GET    /api/v1/agents                   viewer   agents
GET    /api/v1/agents/summary           viewer   agents
POST   /api/v1/agents/match             viewer   agents
POST   /api/v1/agents/labels            operator agents
GET    /api/v1/agents/{}                viewer   agents
PATCH  /api/v1/agents/{}                operator agents
DELETE /api/v1/agents/{}                admin    agents
GET    /api/v1/labels                   viewer   agents
GET    /api/v1/groups                   viewer   agents
POST   /api/v1/groups                   operator agents
GET    /api/v1/groups/{}                viewer   agents
PUT    /api/v1/groups/{}                operator agents
DELETE /api/v1/groups/{}                operator agents
POST   /api/v1/updates                  operator rollouts
GET    /api/v1/updates                  viewer   rollouts
GET    /api/v1/updates/durations        viewer   rollouts
GET    /api/v1/updates/{}               viewer   rollouts
GET    /api/v1/desired                  viewer   rollouts
DELETE /api/v1/desired/{}               operator rollouts
GET    /api/v1/rollouts                 viewer   rollouts
POST   /api/v1/rollouts                 operator rollouts
GET    /api/v1/rollouts/{}              viewer   rollouts
GET    /api/v1/rollouts/{}/members      viewer   rollouts
POST   /api/v1/rollouts/{}/roll-back    operator rollouts
POST   /api/v1/rollouts/{}/pause        operator rollouts
POST   /api/v1/rollouts/{}/resume       operator rollouts
POST   /api/v1/rollouts/{}/abort        operator rollouts
POST   /api/v1/rollouts/{}/approve      operator rollouts
POST   /api/v1/rollouts/{}/retry-failed operator rollouts
GET    /api/v1/releases                 viewer   releases
POST   /api/v1/imports                  operator releases
PUT    /api/v1/imports/{}/files/*       operator releases
POST   /api/v1/imports/{}/commit        operator releases
DELETE /api/v1/imports/{}               operator releases
POST   /api/v1/join-tokens              operator enrolment
GET    /api/v1/join-tokens              viewer   enrolment
DELETE /api/v1/join-tokens/{}           operator enrolment
POST   /api/v1/api-tokens               admin    tokens
GET    /api/v1/api-tokens               admin    tokens
DELETE /api/v1/api-tokens/{}            admin    tokens
POST   /api/v1/users                    admin    users
GET    /api/v1/users                    admin    users
GET    /api/v1/users/{}                 admin    users
PATCH  /api/v1/users/{}                 admin    users
DELETE /api/v1/users/{}                 admin    users
PUT    /api/v1/users/{}/password        admin    users
GET    /api/v1/audit                    admin    audit
GET    /api/v1/backup                   admin    backup
GET    /api/v1/events                   viewer   events
"""


def routes():
    return [tuple(line.split()) for line in ROUTES.strip().splitlines()]


def test_setup(lab):
    """The first user: who has the code, once."""
    g, code_file = lab.gateway, lab.gateway.state / "setup-code"
    assert g.ask("GET", "/api/v1/setup", token="") == (200, {"needed": True})
    old = code_file.read_text().strip()
    assert re.fullmatch("([2-9a-km-np-z]{4}-){4}[2-9a-km-np-z]{4}", old) and old in lab.log()
    assert code_file.stat().st_mode & 0o777 == 0o600
    g.stop()
    g.start()
    code = code_file.read_text().strip()
    assert code != old                              # each start makes a new one

    def setup(code, name="alice", password=WORDS, browser=None):
        return (browser or lab.browser()).ask("POST", "/api/v1/setup", {"code": code, "name": name, "password": password})

    for name, password in (("Alice", WORDS), ("alice", "short"), ("alice.the.great", "Alice.The.Great"), ("a" * 33, WORDS), ("alice", "x" * 257)):
        status, answer = setup(code, name, password)
        assert status == 400 and WORDS not in json.dumps(answer), answer
    guesser = lab.browser()
    guess_until_limited(guesser, 401, "POST", "/api/v1/setup", {"code": old, "name": "alice", "password": WORDS})
    assert setup(code, browser=guesser)[0] == 429   # with the right one, too; others are not concerned, as is seen below
    assert g.ask("GET", "/api/v1/setup", token="")[1]["needed"]

    with concurrent.futures.ThreadPoolExecutor() as pool:   # twice at once: one of them
        results = list(pool.map(lambda name: setup(code.upper().replace("-", " "), name), ("alice", "mallory")))
    results = [r for r in results if r[0] != 429]
    made = [answer["name"] for status, answer in results if status == 201]
    assert len(made) == 1 and all(status in (201, 409) for status, _ in results), results
    assert g.ask("GET", "/api/v1/setup", token="") == (200, {"needed": False})
    assert not code_file.exists()
    assert setup(code, "bob")[0] in (409, 429)
    if made != ["alice"]:
        lab.make_user("alice", "admin")
    user = g.ask("GET", f"/api/v1/users/{made[0]}")[1]
    assert user["role"] == "admin" and not user["disabled"] and user["revision"] == 1
    entries = lab.audit()
    assert {e["action"] for e in entries if e["action"].startswith("setup.")} == {"setup.code", "setup.refused"}
    created = next(e for e in entries if e["action"] == "user.create" and e["target"] == f"user:{made[0]}")
    assert (created["actor"], created["method"]) == ("setup-code", "setup-code"), created
    assert code not in json.dumps(entries) and old not in json.dumps(entries)
    lab.make_user("victor", "viewer", display_name="Victor")
    lab.make_user("olga", "operator")


def test_users(lab):
    g = lab.gateway
    status, headers, _ = g.ask("POST", "/api/v1/users", {"name": "brief", "role": "viewer", "password": WORDS}, raw=True)
    assert status == 201 and headers["ETag"] == lab.etag("brief")           # who made it can change it
    g.problem(412, "precondition-failed", "DELETE", "/api/v1/users/brief", headers={"If-Match": '"x"'})
    status, gone, _ = g.ask("DELETE", "/api/v1/users/brief", headers={"If-Match": headers["ETag"]}, raw=True)
    assert status == 204 and "ETag" not in gone
    victor = g.ask("GET", "/api/v1/users/victor")[1]
    assert victor["display_name"] == "Victor" and "last_login" not in victor
    listed = g.ask("GET", "/api/v1/users")[1]["users"]
    assert [u["name"] for u in listed] == sorted(u["name"] for u in listed) and victor in listed
    assert all("password" not in key for u in listed for key in u)
    g.problem(409, "conflict", "POST", "/api/v1/users", {"name": "victor", "role": "viewer", "password": WORDS})
    for body in (
        {"name": "x", "role": "root", "password": WORDS}, {"name": "x", "role": "viewer"}, {"role": "viewer", "password": WORDS},
        {"name": "../x", "role": "viewer", "password": WORDS}, {"name": "x", "role": "viewer", "password": "elevenbytes"},
        {"name": "twelve.bytes", "role": "viewer", "password": "twelve.bytes"}, {"name": "x", "role": "viewer", "password": WORDS, "x": 1},
    ):
        g.problem(400, "bad-request", "POST", "/api/v1/users", body)
    for name in ("nobody", "Nobody", "%2e"):
        status, answer = g.ask("GET", f"/api/v1/users/{name}")
        assert status in (400, 404), answer

    # who changes must have seen what is changed
    path, match = "/api/v1/users/victor", {"If-Match": lab.etag("victor")}
    g.problem(428, "precondition-required", "PATCH", path, {"display_name": "V"})
    g.problem(412, "precondition-failed", "PATCH", path, {"display_name": "V"}, headers={"If-Match": '"7"'})
    g.problem(412, "precondition-failed", "PATCH", path, {"display_name": "V"}, headers={"If-Match": f"W/{match['If-Match']}"})
    g.problem(428, "precondition-required", "PUT", f"{path}/password", {"password": WORDS})
    status, headers, body = g.ask("PATCH", path, {"display_name": "V"}, headers=match, raw=True)
    assert status == 200 and headers["ETag"] != match["If-Match"] and json.loads(body)["revision"] == 2
    g.problem(412, "precondition-failed", "PATCH", path, {"display_name": "W"}, headers=match)
    before = lab.audit()[0]["seq"]
    assert lab.change("victor", display_name="V")[1]["revision"] == 2       # nothing new: nothing changed
    assert lab.audit()[0]["seq"] == before
    assert lab.etag("victor") == headers["ETag"]
    g.problem(400, "bad-request", "PATCH", path, {}, headers=match)
    g.problem(400, "bad-request", "PATCH", path, {"password": WORDS}, headers=match)
    entry = lab.audit("&action=user.change")[0]
    assert entry["detail"] == {"display_name": {"from": "Victor", "to": "V"}} and entry["target"] == "user:victor"


def test_name_anew(lab):
    """Who gets the name of one who is gone does not get the answers to that one's requests."""
    g, body, key = lab.gateway, {"name": "shared", "selector": "a"}, {"Idempotency-Key": "k1"}
    for _ in range(2):
        lab.make_user("ivan", "operator")
        ivan = lab.browser("ivan")
        assert ivan.ask("POST", "/api/v1/groups", body, headers=key)[0] == 201
        assert "Idempotency-Replayed" not in ivan.headers
        assert ivan.ask("POST", "/api/v1/groups", body, headers=key)[0] == 201
        assert ivan.headers["Idempotency-Replayed"] == "true"
        again = lab.browser("ivan")                     # the same person, signed in once more
        assert again.ask("POST", "/api/v1/groups", body, headers=key)[0] == 201
        assert again.headers["Idempotency-Replayed"] == "true"
        assert g.ask("DELETE", "/api/v1/groups/shared")[0] == 204
        assert g.ask("DELETE", "/api/v1/users/ivan")[0] == 204


def test_last_admin(lab):
    g = lab.gateway
    admins = [u["name"] for u in g.ask("GET", "/api/v1/users")[1]["users"] if u["role"] == "admin"]
    for name in admins[1:]:
        assert g.ask("DELETE", f"/api/v1/users/{name}")[0] == 204
    last = admins[0]
    if last != "alice":
        raise AssertionError(admins)
    for members in ({"role": "operator"}, {"disabled": True}):
        status, answer = lab.change("alice", **members)
        assert status == 409 and "last admin" in answer["detail"], answer
    g.problem(409, "conflict", "DELETE", "/api/v1/users/alice")
    lab.make_user("adam", "admin", disabled=True)   # one who cannot sign in does not count
    assert lab.change("alice", role="viewer")[0] == 409
    assert lab.change("adam", disabled=False)[0] == 200
    assert lab.change("alice", role="viewer")[0] == 200
    assert lab.change("adam", disabled=True)[0] == 409
    assert lab.change("alice", role="admin")[0] == 200
    assert g.ask("DELETE", "/api/v1/users/adam")[0] == 204
    # two who would each leave the other as the last one: one of them stays
    lab.make_user("adam", "admin")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        statuses = sorted(status for status, _ in pool.map(lambda name: lab.change(name, disabled=True), ("adam", "alice")))
    assert statuses == [200, 409], statuses
    for name in ("adam", "alice"):
        assert lab.change(name, disabled=False)[0] == 200
    assert g.ask("DELETE", "/api/v1/users/adam")[0] == 204


def fill(path):
    return path.replace("/*", "/metadata/x").replace("{}", "0123456789abcdef")


def test_every_route(lab):
    """Every role, with a token and with a session, and every area, at every route."""
    g, table = lab.gateway, routes()
    # what stands in the program, from its text
    text = lab.source.read_text().split("const HttpRoute api_routes[] = {")[1].split("\n};")[0]
    there = re.findall(r'\{\s*"([A-Z]+)",\s*"([^"]+)",\s*API_ROLE_([A-Z]+),\s*API_AREA_([A-Z]+)', text)
    there = {(m, p, "nobody" if r == "PUBLIC" else r.lower(), a.lower()) for m, p, r, a in there}
    assert len(there) == text.count('{ "'), "a route of api.c is not understood by this test"
    assert there == set(table), f"not in both: {there ^ set(table)}"

    names = {"viewer": "victor", "operator": "olga", "admin": "alice"}
    tokens = {role: g.ask("POST", "/api/v1/api-tokens", {"role": role})[1]["token"] for role in ROLES[1:]}
    browsers = {role: lab.browser(names[role]) for role in ROLES[1:]}

    def outcome(status, answer):
        if answer is None and status in (401, 403):     # HEAD
            return {401: "unauthenticated", 403: "forbidden"}[status]
        kind = (answer or {}).get("type", "").rpartition(":")[2]
        if kind in ("unauthenticated", "forbidden"):
            return kind
        assert status not in (401, 403, 500, 503), (status, answer)
        return "allowed"

    def knock(method, path, ask):
        if path in ("/api/v1/events", "/api/v1/backup"):
            method = "HEAD"                         # the same decision, and no stream
        body = '{"surprise": 1}' if method in ("POST", "PUT", "PATCH") and "files" not in path else "x" if "files" in path else None
        return ask(method, fill(path), body)

    quiet = {("DELETE", "/api/v1/session")}         # would sign out; it has tests of its own
    for method, path, role, area in table:
        if (method, path) == ("GET", "/healthz"):
            assert g.ask(method, path, token="")[0] in (200, 503)
            continue
        raw = path in ("/ca.pem", "/tuf/*")
        anonymous = knock(method, path, lambda m, p, b: g.ask(m, p, b, token="", raw=True)[::2] if raw else g.ask(m, p, b, token=""))
        if raw:
            assert anonymous[0] in (200, 404)
            continue
        expected = "allowed" if role == "nobody" else "unauthenticated"
        assert outcome(*anonymous) == expected, (method, path, anonymous)
        for who in ROLES[1:]:
            expected = "allowed" if ROLES.index(who) >= ROLES.index(role) else "forbidden"
            got = knock(method, path, lambda m, p, b: bearer(g, tokens[who], m, p, b))
            assert outcome(*got) == expected, (method, path, who, got)
            if (method, path) not in quiet:
                got = knock(method, path, browsers[who].ask)
                assert outcome(*got) == expected, (method, path, "session of", who, got)

    areas = {area for _, _, _, area in table} - {"none"}
    for scope in sorted(areas):
        made = g.ask("POST", "/api/v1/api-tokens", {"role": "admin", "scopes": [scope]})[1]
        assert made["scopes"] == [scope]
        for method, path, role, area in table:
            if role == "nobody":
                continue
            got = knock(method, path, lambda m, p, b: bearer(g, made["token"], m, p, b))
            # of events alone there is nothing to see: each topic needs its area, too
            mine = area in ("none", scope) and area != "events"
            assert outcome(*got) == ("allowed" if mine else "forbidden"), (scope, method, path, got)
        me = bearer(g, made["token"], "GET", "/api/v1/me")[1]
        assert me["scopes"] == [scope] and {c.split(".")[0] for c in me["capabilities"]} == {scope}

    # what /me says one can do is what one can do
    verbs = {"viewer": "view", "operator": "operate", "admin": "administer"}
    for who in ROLES[1:]:
        for me in (browsers[who].ask("GET", "/api/v1/me")[1], bearer(g, tokens[who], "GET", "/api/v1/me")[1]):
            expected = {f"{area}.{verbs[role]}" for _, _, role, area in table if area != "none" and ROLES.index(role) <= ROLES.index(who)}
            assert set(me["capabilities"]) == expected and len(me["capabilities"]) == len(expected), me


def test_crowd(lab):
    """Each user has twenty sessions; the oldest makes room."""
    crowd = [lab.browser("victor") for _ in range(21)]
    crowd[0].problem(401, "unauthenticated", "GET", "/api/v1/me")
    assert all(b.ask("GET", "/api/v1/me")[0] == 200 for b in crowd[1:])
    with lab.database() as database:
        assert database.execute("SELECT count(*) FROM sessions WHERE user = 'victor'").fetchone() == (20,)
    for b in crowd[1:]:
        assert b.ask("DELETE", "/api/v1/session")[0] == 204


def test_tokens(lab):
    g = lab.gateway
    make, own = "/api/v1/api-tokens", "/api/v1/me/tokens"
    default = g.ask("POST", make, {"role": "viewer"})[1]
    days = (time.mktime(time.strptime(default["expires"], "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.strptime(default["created"], "%Y-%m-%dT%H:%M:%SZ"))) / 86400
    assert 89.9 < days < 90.1 and "scopes" not in default
    assert re.fullmatch(r"fga1_[0-9a-f]{16}_[0-9a-f]{64}", default["token"])
    assert "expires" not in g.ask("POST", make, {"role": "viewer", "expires_in_sec": 0})[1]
    for body in ({"role": "viewer", "expires_in_sec": 59}, {"role": "viewer", "expires_in_sec": 315360001}, {"role": "viewer", "scopes": []},
                 {"role": "viewer", "scopes": ["all"]}, {"role": "viewer", "scopes": "agents"}):
        g.problem(400, "bad-request", "POST", make, body)

    # nobody makes more of themselves
    olga = lab.browser("olga")
    mine = olga.ask("POST", own, {"role": "operator", "scopes": ["agents", "tokens"], "expires_in_sec": 3600, "description": "CI"})[1]
    assert mine["owner"] == "user:olga" and mine["scopes"] == ["agents", "tokens"]
    olga.problem(403, "forbidden", "POST", own, {"role": "admin"})
    olga.problem(403, "forbidden", "POST", own, {"role": "viewer", "expires_in_sec": 0})
    olga.problem(403, "forbidden", "POST", make, {"role": "viewer"})

    def by(token, body):
        return bearer(g, token, "POST", own, body)

    for body in (
        {"role": "admin", "scopes": ["agents"], "expires_in_sec": 60}, {"role": "viewer", "expires_in_sec": 60},
        {"role": "viewer", "scopes": ["agents", "audit"], "expires_in_sec": 60}, {"role": "viewer", "scopes": ["users"], "expires_in_sec": 60},
        {"role": "viewer", "scopes": ["agents"], "expires_in_sec": 4000}, {"role": "viewer", "scopes": ["agents"]},
        {"role": "viewer", "scopes": ["agents"], "expires_in_sec": 0},
    ):
        status, answer = by(mine["token"], body)
        assert status == 403 and answer["type"].endswith(":forbidden"), (body, answer)
    child = by(mine["token"], {"role": "viewer", "scopes": ["agents"], "expires_in_sec": 60})
    assert child[0] == 201 and child[1]["owner"] == "user:olga"
    g.problem(403, "forbidden", "POST", own, {"role": "viewer", "scopes": ["agents"], "expires_in_sec": 60}, token=child[1]["token"])
    scoped = g.ask("POST", make, {"role": "admin", "scopes": ["tokens"], "expires_in_sec": 0})[1]
    g.problem(403, "forbidden", "POST", make, {"role": "viewer"}, token=scoped["token"])
    assert bearer(g, scoped["token"], "POST", make, {"role": "admin", "scopes": ["tokens"]})[0] == 201
    g.problem(403, "forbidden", "GET", "/api/v1/agents", token=scoped["token"])

    # what a token made goes with it, and what that made; other tokens of the same owner stay
    leaked = g.ask("POST", make, {"role": "admin"})[1]
    child2 = by(leaked["token"], {"role": "admin", "expires_in_sec": 3600})[1]
    grandchild = by(child2["token"], {"role": "viewer", "expires_in_sec": 60})[1]
    assert child2["parent"] == leaked["id"] and grandchild["parent"] == child2["id"] and "parent" not in mine
    g.stop()
    g.start()
    assert g.ask("DELETE", f"{make}/{leaked['id']}")[0] == 204
    for gone in (leaked, child2, grandchild):
        g.problem(401, "unauthenticated", "GET", "/api/v1/me", token=gone["token"])
    entry = g.ask("GET", f"/api/v1/audit?target=api-token:{leaked['id']}&action=api-token.delete")[1]["entries"][0]["entry"]
    assert entry["count"] == 3 and sorted(entry["detail"]["made"]) == sorted((child2["id"], grandchild["id"])), entry
    assert bearer(g, scoped["token"], "GET", "/api/v1/me")[0] == 200
    g.stop()
    g.start()
    for gone in (leaked, child2, grandchild):
        g.problem(401, "unauthenticated", "GET", "/api/v1/me", token=gone["token"])

    # people see and delete their own, admins all
    victor = lab.browser("victor")
    theirs = {t["id"] for t in olga.ask("GET", own)[1]["api_tokens"]}
    assert theirs == {mine["id"], child[1]["id"]} and not victor.ask("GET", own)[1]["api_tokens"]
    victor.problem(404, "not-found", "DELETE", f"{own}/{mine['id']}")
    everybody = {t["id"]: t for t in g.ask("GET", make)[1]["api_tokens"]}
    assert theirs < set(everybody) and all("token" not in t and "hash" not in t for t in everybody.values())
    assert olga.ask("DELETE", f"{own}/{child[1]['id']}")[0] == 204
    g.problem(401, "unauthenticated", "GET", "/api/v1/me", token=child[1]["token"])
    me = bearer(g, mine["token"], "GET", "/api/v1/me")[1]
    assert (me["kind"], me["id"], me["user"], me["description"]) == ("token", mine["id"], "olga", "CI") and "csrf_token" not in me
    first = next(t for t in everybody.values() if t.get("description") == "local operator")
    assert "owner" not in first and first["role"] == "admin"
    g.stop()
    g.start()
    assert bearer(g, mine["token"], "GET", "/api/v1/agents")[0] == 200
    g.problem(403, "forbidden", "GET", "/api/v1/releases", token=mine["token"])


def test_nothing_without_entry(lab):
    """People and their passwords, too, change only with an entry."""
    g, b = lab.gateway, lab.browser("olga")
    users, match = g.ask("GET", "/api/v1/users")[1], {"If-Match": lab.etag("victor")}
    with lab.database() as database:
        sessions = database.execute("SELECT id FROM sessions").fetchall()
        hashes = database.execute("SELECT name, password_hash FROM users").fetchall()
        database.execute("CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
    g.problem(500, "internal", "POST", "/api/v1/users", {"name": "frank", "role": "admin", "password": WORDS})
    g.problem(500, "internal", "PATCH", "/api/v1/users/victor", {"role": "admin"}, headers=match)
    g.problem(500, "internal", "PUT", "/api/v1/users/victor/password", {"password": WORDS * 2}, headers=match)
    g.problem(500, "internal", "DELETE", "/api/v1/users/victor")
    b.problem(500, "internal", "PUT", "/api/v1/me/password", {"old": WORDS, "new": WORDS * 2})
    b.problem(500, "internal", "POST", "/api/v1/me/tokens", {"role": "viewer"})
    b.problem(500, "internal", "DELETE", "/api/v1/session")
    lab.browser().problem(500, "internal", "POST", "/api/v1/session", {"name": "victor", "password": WORDS})
    assert b.ask("GET", "/api/v1/me")[0] == 200
    with lab.database() as database:
        database.execute("DROP TRIGGER refuse")
        assert database.execute("SELECT id FROM sessions").fetchall() == sessions
        assert database.execute("SELECT name, password_hash FROM users").fetchall() == hashes
    assert g.ask("GET", "/api/v1/users")[1] == users

def on_terminal(lab, arguments, *typed):
    """What fleet-gatewayctl says on a terminal, and its exit status; each text is typed when it asks."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(lab.ctl_program, [lab.ctl_program, *arguments], lab.ctl_environment())
    text, asked = b"", 0
    try:
        while more := os.read(terminal, 1000):
            text += more
            if asked < len(typed) and text.rstrip(b" ").endswith((b":", b"[y/N]")):
                os.write(terminal, typed[asked].encode() + b"\n")
                asked += 1
                text += b"\n"
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text.decode()


def test_ctl(lab):
    secret = lab.folder / "password"
    secret.write_text(f"{WORDS}\nnot this line\n")
    lab.ctl("user", "create", "carol", "--role=operator", "--display-name=Carol C.", f"--password-file={secret}")
    lab.browser("carol")
    lab.ctl("user", "create", "dave", "--role=viewer", "--password-file=-", input="from standard input")
    lab.browser("dave", "from standard input")
    shown = lab.ctl("user", "show", "carol").stdout
    assert "User: carol" in shown and "Display name: Carol C." in shown and "Role: operator" in shown
    assert json.loads(lab.ctl("user", "show", "dave", "-o", "json").stdout)["name"] == "dave"
    assert {"carol", "dave", "olga"} <= set(lab.ctl("user", "list", "-o", "name").stdout.split())
    table = lab.ctl("user", "list").stdout.splitlines()
    assert table[0].split() == ["NAME", "ROLE", "DISABLED", "DISPLAY", "NAME", "LAST", "LOGIN"]
    assert any(line.split()[:3] == ["carol", "operator", "no"] for line in table)

    lab.ctl("user", "set-role", "carol", "viewer")
    assert json.loads(lab.ctl("user", "disable", "carol", "-o", "json").stdout)["disabled"] is True
    assert "Disabled: yes" in lab.ctl("user", "show", "carol").stdout
    lab.ctl("user", "enable", "carol")
    user = lab.gateway.ask("GET", "/api/v1/users/carol")[1]
    assert (user["role"], user["disabled"], user["revision"]) == ("viewer", False, 4), user
    secret.write_text("words of another kind\n")
    lab.ctl("user", "set-password", "carol", f"--password-file={secret}")
    lab.browser("carol", "words of another kind")

    lab.ctl("user", "show", "nobody", expect=3)
    lab.ctl("user", "set-role", "carol", "root", expect=2)
    lab.ctl("user", "set-role", "carol", expect=2)
    lab.ctl("user", "create", "erin", f"--password-file={secret}", expect=2)
    lab.ctl("user", "create", "Erin", "--role=viewer", f"--password-file={secret}", expect=2)
    lab.ctl("user", "create", "carol", "--role=viewer", f"--password-file={secret}", expect=5)
    assert "last admin" in lab.ctl("user", "disable", "alice", expect=5).stderr
    assert "12 bytes" in lab.ctl("user", "create", "erin", "--role=viewer", "--password-file=-", input="short", expect=2).stderr
    for bad in ("", "\n", "x" * 1000):
        lab.ctl("user", "create", "erin", "--role=viewer", "--password-file=-", input=bad, expect=2)
    lab.ctl("user", "create", "erin", "--role=viewer", "--password-file=/nonexistent", expect=1)
    lab.ctl("user", "create", "erin", "--role=viewer", expect=2, start_new_session=True)      # nobody to ask
    lab.ctl("user", "remove", "dave", expect=2)

    code, text = on_terminal(lab, ["user", "create", "erin", "--role=viewer"], "typed by a person", "typed by a person")
    assert code == 0 and "Password for erin:" in text and "Again:" in text and "typed by" not in text, text
    lab.browser("erin", "typed by a person")
    code, text = on_terminal(lab, ["user", "set-password", "erin"], "typed by a person", "typed by another")
    assert code == 2 and "differ" in text, text
    code, text = on_terminal(lab, ["user", "remove", "erin"], "n")
    assert code == 2 and "Remove user erin" in text
    code, text = on_terminal(lab, ["user", "remove", "erin"], "y")
    assert code == 0
    lab.ctl("user", "show", "erin", expect=3)
    lab.ctl("user", "remove", "dave", "--yes")

    # tokens: scopes, an end or none, one's own
    made = json.loads(lab.ctl("api-token", "create", "--role=viewer", "--scope=agents,events", "--scope=audit", "--expires-in=730d", "-o", "json").stdout)
    assert made["scopes"] == ["agents", "audit", "events"] and made["expires"]
    done = lab.ctl("api-token", "create", "--role=viewer", "--expires-in=0")
    assert "without an end" in done.stderr and done.stdout.startswith("fga1_")
    for bad in (["--scope=everything"], ["--expires-in=5s"], ["--expires-in=4000d"], []):
        lab.ctl("api-token", "create", *(["--role=viewer"] if bad else []), *bad, expect=2)
    table = lab.ctl("api-token", "list").stdout.splitlines()
    assert table[0].split()[:4] == ["ID", "ROLE", "SCOPES", "OWNER"] and any("agents,audit,events" in line for line in table)
    browser = lab.browser("olga")
    hers = browser.ask("POST", "/api/v1/me/tokens", {"role": "operator"})[1]
    token_file = lab.folder / "token"
    token_file.write_text(hers["token"] + "\n")
    as_olga = f"--token-file={token_file}"
    lab.ctl("api-token", "create", "--role=viewer", as_olga, expect=4)
    made = lab.ctl("api-token", "create", "--role=viewer", "--own", "--expires-in=1d", as_olga, "-o", "name").stdout.strip()
    assert made in lab.ctl("api-token", "list", "--own", as_olga, "-o", "name").stdout.split()
    lab.ctl("api-token", "delete", made, "--own", as_olga)
    lab.ctl("user", "list", as_olga, expect=4)
    lab.ctl("audit", "list", as_olga, expect=4)


if __name__ == "__main__":
    run((test_setup, test_users, test_name_anew, test_last_admin, test_every_route, test_crowd, test_tokens, test_nothing_without_entry, test_ctl))

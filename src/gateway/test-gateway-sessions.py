#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gateway-sessions.py FLEET-GATEWAYD FLEET-RELEASE FLEET-GATEWAYCTL API.C: signing in and staying so at the real
gateway over HTTPS, what ends it, and what somebody tries who should not get in."""

import concurrent.futures
import json
import re
import signal
import threading
import time

from gateway_lab import COOKIE, WORDS, Browser, Stream, bearer, guess_until_limited, run


def test_people(lab):
    """Those whom the others are about."""
    for name, role in (("alice", "admin"), ("olga", "operator"), ("victor", "viewer")):
        lab.make_user(name, role, display_name=name.title())


def test_cookie(lab):
    b = lab.browser()
    answer = b.must_sign_in("victor")
    name, *attributes = (part.strip() for part in b.set_cookie.split(";"))
    assert re.fullmatch(f"{COOKIE}=fgs1_[0-9a-f]{{16}}_[0-9a-f]{{64}}", name)
    assert set(attributes) == {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"}
    assert b.headers["Cache-Control"] == "no-store"
    assert (answer["kind"], answer["name"], answer["role"], answer["display_name"]) == ("user", "victor", "viewer", "Victor")
    assert "agents.view" in answer["capabilities"] and "scopes" not in answer
    status, me = b.ask("GET", "/api/v1/me")
    assert status == 200 and me == answer           # the same token, as often as it is asked for
    assert b.ask("GET", "/api/v1/agents")[0] == 200 and b.set_cookie is None
    with lab.database() as database:
        rows = database.execute("SELECT hash, csrf, address FROM sessions WHERE user = 'victor'").fetchall()
    everything = b"".join(p.read_bytes() for p in lab.gateway.state.glob("gateway.db*"))
    secret = b.cookie.split("_")[2]
    assert rows[0][2] == b.address and secret.encode() not in everything and b.csrf.encode() not in everything
    assert secret not in lab.log() and WORDS not in lab.log() and WORDS.encode() not in everything
    entry = lab.audit("&action=session.create")[0]
    assert (entry["actor"], entry["method"], entry["source"]) == ("user:victor", "password", b.address), entry
    assert lab.gateway.ask("GET", "/api/v1/users/victor")[1]["last_login"]

    # a header comes before the cookie, be it as bad as it may
    assert b.ask("GET", "/api/v1/me", headers={"Authorization": f"Bearer {lab.gateway.token}"})[1]["kind"] == "token"
    b.problem(401, "unauthenticated", "GET", "/api/v1/me", headers={"Authorization": "Bearer fga1_x"})
    b.problem(401, "unauthenticated", "GET", "/api/v1/me", headers={"Authorization": "Basic eDp5"})
    for cookie in (f"{COOKIE}={b.cookie}; {COOKIE}={b.cookie}", f"{COOKIE}=", f"{COOKIE}={b.cookie}x", f"{COOKIE}={b.cookie[:-1]}0x",
                   f"{COOKIE.lower()}={b.cookie}", f"{COOKIE}=fgs1_{'0' * 16}_{'0' * 64}", "", "x" * 4000):
        b.problem(401, "unauthenticated", "GET", "/api/v1/me", headers={"Cookie": cookie})

    assert b.ask("DELETE", "/api/v1/session")[0] == 204
    assert f"{COOKIE}=;" in b.set_cookie and "Max-Age=0" in b.set_cookie
    b.problem(401, "unauthenticated", "GET", "/api/v1/me")
    assert lab.audit("&action=session.delete")[0]["actor"] == "user:victor"
    lab.gateway.problem(409, "conflict", "DELETE", "/api/v1/session")


def test_csrf(lab):
    b, other = lab.browser("olga"), lab.browser("olga")
    made = {"uses": 1}
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": other.csrf}, {"X-CSRF-Token": b.csrf + "0"}, {"X-CSRF-Token": b.csrf.upper()}):
        if headers.get("X-CSRF-Token") == b.csrf:
            continue
        b.problem(403, "csrf", "POST", "/api/v1/join-tokens", made, headers=headers, csrf=False)
        b.problem(403, "csrf", "DELETE", "/api/v1/session", headers=headers, csrf=False)
        b.problem(403, "csrf", "PUT", "/api/v1/me/password", {"old": WORDS, "new": WORDS * 2}, headers=headers, csrf=False)
    assert b.ask("POST", "/api/v1/join-tokens", made)[0] == 201

    origin = f"https://localhost:{lab.gateway.port}"
    for headers in ({"Sec-Fetch-Site": "same-origin", "Origin": origin}, {"Sec-Fetch-Site": "none"}, {"Origin": origin}):
        assert b.ask("POST", "/api/v1/join-tokens", made, headers=headers)[0] == 201, headers
    login = {"name": "olga", "password": WORDS}
    for headers in (
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"},
        {"Origin": origin.replace("https", "http")}, {"Origin": f"{origin}0"}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ):
        b.problem(403, "cross-site", "POST", "/api/v1/join-tokens", made, headers=headers)
        b.problem(403, "cross-site", "POST", "/api/v1/session", login, headers=headers)
        b.problem(403, "cross-site", "POST", "/api/v1/setup", {}, headers=headers)
        assert b.ask("GET", "/api/v1/agents", headers=headers)[0] == 200        # reading is what SameSite is for
    # a program with a token shows no CSRF token
    assert lab.gateway.ask("POST", "/api/v1/join-tokens", made)[0] == 201


def test_sessions_end(lab):
    g = lab.gateway
    kept, killed = lab.browser("victor"), lab.browser("olga")
    g.stop()
    g.start()
    assert kept.ask("GET", "/api/v1/me")[1]["csrf_token"] == kept.csrf      # a restart signs nobody out
    g.stop(signal.SIGKILL)
    g.start()
    assert killed.ask("GET", "/api/v1/me")[0] == 200
    assert kept.ask("GET", "/api/v1/me")[0] == 200

    time.sleep(3)
    assert kept.ask("GET", "/api/v1/me")[0] == 200                          # 5 s without a request end it
    time.sleep(3)
    assert kept.ask("GET", "/api/v1/me")[0] == 200
    answer = killed.problem(401, "unauthenticated", "GET", "/api/v1/me")
    assert "ended" in answer["detail"], answer

    old = lab.browser("victor")                                             # and so does its age, whatever it does
    g.stop()
    end = time.time() + 4
    with lab.database() as database:
        assert database.execute("UPDATE sessions SET expires = ? WHERE user = 'victor'", (int(end * 1e6),)).rowcount
    g.start()
    while time.time() < end - 0.5:
        assert old.ask("GET", "/api/v1/me")[0] == 200 or time.time() > end
        time.sleep(0.2)
    time.sleep(max(0, end + 0.1 - time.time()))
    old.problem(401, "unauthenticated", "GET", "/api/v1/me")
    g.stop()
    g.start()
    old.problem(401, "unauthenticated", "GET", "/api/v1/me")


def test_changes_at_once(lab):
    """What becomes of a user becomes of what the user has open, without a delay."""
    g = lab.gateway
    lab.make_user("eve", "operator")
    b = lab.browser("eve")
    token = b.ask("POST", "/api/v1/me/tokens", {"role": "operator"})[1]["token"]
    assert b.ask("POST", "/api/v1/join-tokens", {})[0] == 201
    assert lab.change("eve", role="viewer")[0] == 200
    b.problem(403, "forbidden", "POST", "/api/v1/join-tokens", {})
    assert b.ask("GET", "/api/v1/me")[1]["role"] == "viewer"
    g.problem(403, "forbidden", "POST", "/api/v1/join-tokens", {}, token=token)     # nor is her token more than she is

    stream = Stream(b)
    assert lab.change("eve", disabled=True)[0] == 200
    assert stream.ended()
    b.problem(401, "unauthenticated", "GET", "/api/v1/me")
    answer = g.problem(401, "unauthenticated", "GET", "/api/v1/me", token=token)
    assert "disabled" in answer["detail"]
    b.problem(401, "bad-credentials", "POST", "/api/v1/session", {"name": "eve", "password": WORDS})
    assert lab.change("eve", disabled=False)[0] == 200
    b.problem(401, "unauthenticated", "GET", "/api/v1/me")                  # the old session does not come back
    assert bearer(g, token, "GET", "/api/v1/me")[0] == 200

    # a new password ends the others, one by an admin ends all
    here, there = lab.browser("eve"), lab.browser("eve")
    stream = Stream(there)
    new = "quite other words"
    here.problem(403, "forbidden", "PUT", "/api/v1/me/password", {"old": "wrong words here", "new": new})
    here.problem(400, "bad-request", "PUT", "/api/v1/me/password", {"old": WORDS, "new": "short"})
    here.problem(400, "bad-request", "PUT", "/api/v1/me/password", {"old": WORDS, "new": WORDS})
    here.problem(412, "precondition-failed", "PUT", "/api/v1/me/password", {"old": WORDS, "new": new}, headers={"If-Match": '"99"'})
    assert there.ask("GET", "/api/v1/me")[0] == 200
    assert here.ask("PUT", "/api/v1/me/password", {"old": WORDS, "new": new})[0] == 204
    assert stream.ended()
    there.problem(401, "unauthenticated", "GET", "/api/v1/me")
    assert here.ask("GET", "/api/v1/me")[0] == 200
    lab.browser().problem(401, "bad-credentials", "POST", "/api/v1/session", {"name": "eve", "password": WORDS})
    there = lab.browser("eve", new)
    revision = g.ask("GET", "/api/v1/users/eve")[1]["revision"]
    status, answer = g.ask("PUT", "/api/v1/users/eve/password", {"password": WORDS}, headers={"If-Match": lab.etag("eve")})
    assert status == 200 and answer["revision"] == revision + 1
    for browser in (here, there):
        browser.problem(401, "unauthenticated", "GET", "/api/v1/me")
    g.problem(409, "conflict", "PUT", "/api/v1/me/password", {"old": WORDS, "new": new})     # a token has none
    assert [e["actor"].split(":")[0] for e in lab.audit("&action=user.password&target=user:eve")] == ["token", "user"]

    b = lab.browser("eve")
    stream = Stream(b)
    assert g.ask("DELETE", "/api/v1/users/eve")[0] == 204
    assert stream.ended()
    b.problem(401, "unauthenticated", "GET", "/api/v1/me")
    g.problem(401, "unauthenticated", "GET", "/api/v1/me", token=token)
    lab.make_user("eve", "viewer")                  # of the same name, and yet another
    b.problem(401, "unauthenticated", "GET", "/api/v1/me")
    g.problem(401, "unauthenticated", "GET", "/api/v1/me", token=token)
    assert not any(t.get("owner") == "user:eve" for t in g.ask("GET", "/api/v1/api-tokens")[1]["api_tokens"])
    assert g.ask("DELETE", "/api/v1/users/eve")[0] == 204


def test_idle_stream(lab):
    """Watching events does not keep a session alive."""
    stream = Stream(lab.browser("victor"))
    begun = time.monotonic()
    assert stream.ended(22) and time.monotonic() - begun > 4


def test_limits(lab):
    """Guesses slow down: for a name from one address, for an address whatever it tries."""
    wrong = {"name": "victor", "password": "wrong words here"}
    lab.browser("victor")
    b = lab.browser()
    wait = guess_until_limited(b, 401, "POST", "/api/v1/session", wrong)
    b.problem(429, "too-many-attempts", "POST", "/api/v1/session", {"name": "victor", "password": WORDS})
    longer = int(b.headers["Retry-After"])
    assert longer >= wait                           # who does not wait waits longer
    lab.browser().must_sign_in("victor")            # nobody is kept out by guesses from elsewhere
    lab.browser("olga").must_sign_in("olga")
    time.sleep(longer + 0.1)
    assert b.sign_in("victor")[0] == 201            # and the right one ends it
    assert [lab.browser().ask("POST", "/api/v1/session", wrong)[0] for _ in range(2)] == [401] * 2

    sprayer = lab.browser()
    seen = [sprayer.ask("POST", "/api/v1/session", {"name": f"made-up-{i}", "password": WORDS})[0] for i in range(26)]
    assert seen[:20] == [401] * 20 and 429 in seen[20:], seen
    assert lab.browser("olga").ask("GET", "/api/v1/me")[0] == 200

    # who has a session cannot guess the password with it either
    wait = guess_until_limited(lab.browser("olga"), 403, "PUT", "/api/v1/me/password", {"old": "wrong words here", "new": WORDS * 2})
    time.sleep(wait + 0.1)

    told = lab.audit("&action=session.*")
    refused = [e for e in told if e["action"] == "session.refused"]
    limited = [e for e in told if e["action"] == "session.limited"]
    assert {"user:victor", "user:olga", ""} <= {e["target"] for e in refused} and {e["target"] for e in limited} >= {"user:victor", ""}
    assert not any("made-up" in json.dumps(e) for e in told), "a name that does not exist may be a password"
    assert {e["actor"] for e in refused} <= {"anonymous", "user:olga", "user:eve"}, refused
    log = lab.log()
    assert "Too many attempts to sign in as victor from" in log and "User victor from" in log and "made-up" not in log


def test_same_answer(lab):
    """Whether there is such a user cannot be told from the answer, nor from how long it takes."""
    rounds = 6                                      # in turn, so that what else the machine does hits all of them
    for i in range(rounds):
        lab.make_user(f"disabled{i}", "viewer", disabled=True)
        lab.make_user(f"wrong{i}", "viewer")
    answers, times = {}, {}
    for i in range(rounds):
        for case, name, password in (
            ("unknown", f"nobody{i}", WORDS), ("wrong", f"wrong{i}", "wrong words here"), ("disabled", f"disabled{i}", WORDS),
            ("no name", f"No/Name{i}", WORDS), ("nothing computed", "x" * 300, WORDS),
        ):
            b = lab.browser()
            begun = time.monotonic()
            status, answer = b.ask("POST", "/api/v1/session", {"name": name, "password": password})
            taken = time.monotonic() - begun
            times[case] = min(taken, times.get(case, taken))
            if case == "nothing computed":
                assert status == 400
                continue
            answer.pop("request_id")
            assert status == 401 and b.set_cookie is None, answer
            answers[case] = (answer, b.headers["WWW-Authenticate"])
    assert len({json.dumps(a) for a in answers.values()}) == 1, answers
    least = times.pop("nothing computed")
    assert min(times.values()) > 2 * least, (times, least)
    assert max(times.values()) < 3 * min(times.values()), times


def test_at_once(lab):
    """Two at once are two sessions; more than four wait their turn or are told to."""
    lab.make_user("carl", "viewer")
    time.sleep(1)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        browsers = [lab.browser(), lab.browser()]
        results = list(pool.map(lambda b: b.sign_in("carl"), browsers))
    assert [status for status, _ in results] == [201, 201], results
    assert browsers[0].cookie != browsers[1].cookie and browsers[0].csrf != browsers[1].csrf
    assert all(b.ask("GET", "/api/v1/me")[0] == 200 for b in browsers)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        many = [lab.browser() for _ in range(12)]
        results = list(pool.map(lambda b: b.sign_in("carl"), many))
    assert {status for status, _ in results} <= {201, 429} and sum(status == 201 for status, _ in results) >= 4, results
    assert lab.gateway.ask("DELETE", "/api/v1/users/carl")[0] == 204


def test_flood(lab):
    """An attacker with many addresses fills neither disk nor store, and keeps nobody out who is in: not from what needs a
    hash itself either."""
    olga = lab.browser("olga")
    before = len(lab.audit())
    stop = threading.Event()
    counts = {}

    def attack(number):
        i = 0
        while not stop.is_set():
            i += 1
            b = Browser(lab.gateway, f"127.0.{2 + number}.{i % 250 + 1}")
            try:
                status = b.ask("POST", "/api/v1/session", {"name": f"x{number}-{i}", "password": WORDS})[0]
            except OSError:
                continue
            counts[status] = counts.get(status, 0) + 1

    threads = [threading.Thread(target=attack, args=(n,), daemon=True) for n in range(6)]
    for t in threads:
        t.start()
    slowest, made = 0, []
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        begun = time.monotonic()
        assert olga.ask("GET", "/api/v1/agents")[0] == 200
        slowest = max(slowest, time.monotonic() - begun)
        lab.make_user(f"amid{len(made)}", "viewer")
        made.append(f"amid{len(made)}")
        if len(made) % 10 == 1:                     # who came in from there before still does
            olga.must_sign_in("olga")
        time.sleep(0.1)
    stop.set()
    for t in threads:
        t.join()
    assert counts.get(429, 0) > 0 and counts.get(401, 0) > 0 and set(counts) <= {401, 429}, counts
    assert slowest < 5, slowest
    entries = len(lab.audit()) - before - len(made)
    assert entries <= 60, f"{entries} entries for {counts}"
    print(f"   flood: {counts}, the slowest list of agents meanwhile took {slowest * 1000:.0f} ms")


def test_last_used(lab):
    """When a token and a session were used last is stored, though not with every request."""
    g, b = lab.gateway, lab.browser("victor")
    made = g.ask("POST", "/api/v1/api-tokens", {"role": "viewer"})[1]
    assert bearer(g, made["token"], "GET", "/api/v1/me")[0] == 200

    def stored():
        with lab.database() as database:
            return database.execute("SELECT last_used FROM api_tokens WHERE id = ?", (made["id"],)).fetchone()[0]

    assert stored() == 0
    deadline = time.monotonic() + 65
    while stored() == 0:
        assert time.monotonic() < deadline
        assert b.ask("GET", "/api/v1/me")[0] == 200
        time.sleep(1)
    assert next(t for t in g.ask("GET", "/api/v1/api-tokens")[1]["api_tokens"] if t["id"] == made["id"])["last_used"]
    with lab.database() as database:
        used, created = database.execute("SELECT max(last_used), max(created) FROM sessions WHERE user = 'victor'").fetchone()
        assert used > created
        idle = database.execute("SELECT count(*) FROM sessions WHERE last_used < ?", (int((time.time() - 10) * 1e6),)).fetchone()[0]
    assert idle == 0, "sessions that have ended are still there"


if __name__ == "__main__":
    run(
        (test_people, test_cookie, test_csrf, test_sessions_end, test_changes_at_once, test_idle_stream,
         test_limits, test_same_answer, test_at_once, test_flood, test_last_used),
        "SessionIdleSec=5\nSessionMaxSec=1h\n",
    )

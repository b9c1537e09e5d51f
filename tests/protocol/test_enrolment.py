# SPDX-License-Identifier: Apache-2.0
"""Joining, and refusing to join."""

import json
import re

from harness.command import execute
from harness.wait import wait_for

from . import h2
from .identity import request
from .loopback import Loopback, stays


def enrol_and_return() -> None:
    """A token is needed once; afterwards the certificate is the identity."""
    with Loopback("enrol") as loop:
        loop.start_gateway()
        agent = loop.new_agent()
        token = loop.token()
        agent.start(token)
        agent.wait_online()
        log = json.loads(loop.ctl("audit", "list", "--action=agent.enroll", "-o", "json").stdout)["entries"]
        assert [(e["entry"]["target"], e["entry"]["source"]) for e in log] == [(f"agent:{agent.id}", "127.0.0.1")], log
        number, secret = token.split("_")[1:3]
        assert log[0]["entry"]["actor"] == f"join-token:{number}" and secret not in log[0]["text"], log
        assert log[0]["entry"]["method"] == "join-token"
        loop.ctl("audit", "verify")
        seen = agent.seen()
        assert seen["version"] == "1.0.0" and seen["facts"]["kernel"], seen
        for path in agent.state.rglob("*"):
            if "key" in path.name and path.is_file():
                assert path.stat().st_mode & 0o077 == 0, f"{path.name} can be read by others"
        assert agent.program is not None and agent.program.stop() == 0
        wait_for(lambda: agent.seen()["state"] == "offline", 10, "the gateway to see it leave")
        agent.start(token=None)
        agent.wait_online()


def wrong_token() -> None:
    """A wrong secret is refused with a reason; the agent stays, and joins with the right one later."""
    with Loopback("wrong-token") as loop:
        loop.start_gateway()
        agent = loop.new_agent()
        good = loop.token()
        prefix, number, secret, pin = good.split("_")
        bad = "_".join((prefix, number, "0" * len(secret), pin))
        program = agent.start(bad)
        wait_for(lambda: "token" in program.output().lower(), 15, "the agent to say why")
        stays(lambda: program.running and not agent.seen(), 2, "running, and unknown to the gateway")
        assert "0" * len(secret) not in program.output(), "the secret is in the log"
        program.stop()
        agent.start(good)
        agent.wait_online()


def used_up_token() -> None:
    with Loopback("used-token") as loop:
        loop.start_gateway()
        token = loop.token(uses=1)
        first, second = loop.new_agent("first"), loop.new_agent("second")
        first.start(token)
        first.wait_online()
        program = second.start(token)
        wait_for(lambda: "token" in program.output().lower(), 15, "the second to be refused")
        stays(lambda: program.running and not second.seen(), 1, "running, and unknown to the gateway")


def wrong_pin() -> None:
    """A CA that is not the pinned one is told before the token leaves the machine."""
    with Loopback("wrong-pin") as loop:
        loop.start_gateway()
        agent = loop.new_agent()
        prefix, number, secret, pin = loop.token().split("_")
        program = agent.start("_".join((prefix, number, secret, "0" * len(pin))))
        wait_for(lambda: re.search(r"\bpin", program.output()), 15, "the agent to speak of the pin")
        stays(lambda: program.running and not agent.seen(), 2, "running, and unknown to the gateway")
        (left,) = json.loads(loop.ctl("token", "list", "-o", "json").stdout)["join_tokens"]
        assert left["uses_left"] == 1, left
        loop.ctl("token", "delete", left["id"])
        assert not loop.ctl("token", "list", "-o", "name").stdout
        assert not (agent.state / "ca.pem").exists(), "it kept the wrong CA"


def malformed_tokens() -> None:
    with Loopback("bad-token") as loop:
        loop.start_gateway()
        agent = loop.new_agent()
        for token in ("", "nonsense", "fjt1_x_y_z", "fjt1_" + "0" * 5000, "fjt2_00_00_00"):
            program = agent.start(token)
            wait_for(lambda: "token" in program.output().lower(), 15, f"a word about {token[:20]!r}")
            stays(lambda: program.running, 0.5, "still running")
            program.stop()
            program.log.unlink()


def ask(loop: Loopback, token: str, csr: bytes, agent_id: str) -> bool:
    """Enroll by hand; whether a certificate came."""
    connection = h2.Connection(loop.enroll_port, ca=loop.ca)
    fields = h2.pb_bytes(1, token) + h2.pb_bytes(2, csr) + h2.pb_bytes(3, agent_id)
    connection.open(1, "Enroll", fields, end=True)
    answer = connection.read(1)
    connection.close()
    assert answer.ended, answer
    return bool(answer.data)


def _remove(loop: Loopback, agent_id: str) -> None:
    secret = (loop.state / "admin.token").read_text().strip()
    url = f"https://localhost:{loop.https_port}/api/v1/agents/{agent_id}"
    execute(["curl", "-ksf", "-X", "DELETE", "-H", f"Authorization: Bearer {secret}", url])


def lost_answer() -> None:
    """Who never got the answer asks again with the same key, and a token for one machine is enough for it;
    for no other machine, key, or life."""
    with Loopback("lost-answer") as loop:
        loop.start_gateway()
        token = loop.token(uses=1)
        mine, other = request(loop.folder, "mine"), request(loop.folder, "other")
        assert ask(loop, token, mine, "a" * 32)
        assert ask(loop, token, mine, "a" * 32), "the same request again was refused"
        assert not ask(loop, token, other, "a" * 32), "another key got a certificate"
        assert not ask(loop, token, mine, "b" * 32), "another id got a certificate"
        (left,) = json.loads(loop.ctl("token", "list", "-o", "json").stdout)["join_tokens"]
        assert left["uses_left"] == 0, left
        _remove(loop, "a" * 32)
        assert not ask(loop, token, mine, "a" * 32), "a removed agent came back with a used up token"


def taken_over() -> None:
    """A join token is good for new ids alone: one that is known, connected or not, belongs to who has its key."""
    with Loopback("taken-over") as loop:
        gateway = loop.start_gateway()
        agent = loop.new_agent()
        agent.start(loop.token())
        agent.wait_online()
        other = request(loop.folder, "other")
        assert agent.program is not None
        agent.program.stop()
        wait_for(lambda: agent.seen()["state"] == "offline", 10, "the gateway to see it leave")
        token = loop.token(uses=5)
        assert not ask(loop, token, other, agent.id), "a stranger took the id over"
        assert "enrolled with another key" in gateway.output()
        (left,) = (
            t
            for t in json.loads(loop.ctl("token", "list", "-o", "json").stdout)["join_tokens"]
            if t["uses"] == 5
        )
        assert left["uses_left"] == 5, "a refusal used the token up"
        agent.start(token=None)
        agent.wait_online()
        agent.program.stop()
        wait_for(lambda: agent.seen()["state"] == "offline", 10, "the gateway to see it leave")

        bound = loop.ctl("token", "create", "--agent", agent.id).stdout.strip()
        assert not ask(loop, bound, other, "c" * 32), "a token for one id was good for another"
        assert ask(loop, bound, other, agent.id), "the token for this id was refused"
        assert ask(loop, token, request(loop.folder, "third"), "c" * 32)
        _remove(loop, "c" * 32)
        assert ask(loop, token, request(loop.folder, "fourth"), "c" * 32), "a removed id is not free"


def token_comes_first() -> None:
    """Without a good token nothing is verified or signed, and the log does not grow by a line for each try."""
    with Loopback("token-first") as loop:
        gateway = loop.start_gateway()
        prefix, number, secret, pin = loop.token().split("_")
        for _ in range(60):
            assert not ask(loop, "_".join((prefix, number, "0" * len(secret), pin)), b"no request", "a" * 32)
        assert "the join token is not known" in gateway.output(), gateway.output()
        assert "certificate request" not in gateway.output(), "it looked at the request first"
        assert gateway.output().count("refused") <= 20, "a line for each refusal"


TESTS = [enrol_and_return, wrong_token, used_up_token, wrong_pin, malformed_tokens, lost_answer, taken_over, token_comes_first]

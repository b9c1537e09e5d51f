# SPDX-License-Identifier: Apache-2.0
"""python3 -m contract.fleet: a day in the life of a small fleet, for what the gateway only says when there are agents: events,
rollouts that go well, that stop by themselves and that go back, and everything that is written about them. What it sees is
recorded for check-exchanges.mjs. Then probe.mjs asks for what the contract forbids, and what it just allows."""

import json
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from harness.progress import progress
from harness.wait import wait_for
from protocol.api import Api
from protocol.loopback import Loopback
from protocol.simulation import FAST, LIMITS, Simulator, release

from . import exchanges

AGENTS = 12
_LIMIT = "\n          schema: { type: integer, minimum: 1, maximum: "
GOOD, BAD = "1.1.0", "1.2.0"
# nobody waits for people, periods or watching
QUICK: dict[str, Any] = {
    "canary": {"count": 2, "soak_sec": 0},
    "batch": {"size": 5, "every_sec": 0},
    "retry_pause_sec": 0,
}


class Stream(threading.Thread):
    """All events, until the gateway stops."""

    def __init__(self, api: Api) -> None:
        super().__init__(daemon=True)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.connection = exchanges.HTTPSConnection("localhost", api.port, context=api.tls, timeout=60)
        self.connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {api.token}"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        self.start()

    def run(self) -> None:
        name = ""
        while line := self.answer.readline().decode().rstrip("\n") or self.answer.readline().decode().rstrip("\n"):
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                self.events.append((name, json.loads(value)))

    def words(self, name: str, member: str) -> Counter[str]:
        return Counter(str(data[member]) for event, data in self.events if event == name and member in data)


def _wait_rollout(api: Api, number: int, *words: str) -> dict[str, Any]:
    """words: states or reasons, one of which it must have."""

    def seen() -> dict[str, Any] | None:
        shown: dict[str, Any] = api.get(f"/rollouts/{number}")
        counts = shown["counts"]
        assert sum(counts.values()) - counts["excluded"] == shown["cohort"], shown
        return shown if {shown["state"], shown["reason"]} & set(words) else None

    return wait_for(seen, 60, f"rollout {number} to be {' or '.join(words)}", 0.1)


def _steer(api: Api, number: int, verb: str, **body: Any) -> dict[str, Any]:
    etag = api.etag(f"/rollouts/{number}")
    return dict(api.ask("POST", f"/rollouts/{number}/{verb}", body, If_Match=etag))


def _groups(api: Api) -> None:
    api.ask("POST", "/groups", {"name": "canaries", "selector": "wave=0"}, 201)
    api.ask("PUT", "/groups/canaries", {"selector": "wave in (0,1)", "description": "who goes first"}, If_Match="*")
    api.ask("DELETE", "/groups/canaries", expect=204)


def _one_agent(api: Api, agent: str) -> None:
    """Desired for one: its update is told from the beginning to the end."""
    api.ask("POST", "/updates", {"agent": agent, "version": GOOD}, 202)
    wait_for(lambda: api.get(f"/agents/{agent}").get("version") == GOOD, 30, "the first update", 0.1)
    update = api.get(f"/updates?agent={agent}&limit=1")["updates"][0]
    wait_for(lambda: api.get(f"/updates/{update['id']}")["phase"] == "succeeded", 30, "its end", 0.1)
    api.ask("PATCH", f"/agents/{agent}", {"labels": {"wave": "0"}}, If_Match="*")


def _good_rollout(api: Api) -> int:
    strategy = {**QUICK, "canary": {**QUICK["canary"], "approval": True}, "set_desired": True}
    body = {"version": GOOD, "target": {"all": True}, "strategy": strategy, "description": "the good one"}
    plan = api.ask("POST", "/rollouts", {"version": GOOD, "target": {"all": True}, "dry_run": True})
    assert plan["strategy"]["batch"]["every_sec"] > 0, plan           # what is not said is not quick
    plan = api.ask("POST", "/rollouts", {**body, "dry_run": True})
    assert plan["cohort"] == AGENTS - 1 and [e["reason"] for e in plan["excluded"]] == ["up-to-date"], plan
    made = api.ask("POST", "/rollouts", {**body, "expected_digest": plan["digest"]}, 201)
    number = int(made["id"])
    _wait_rollout(api, number, "awaiting-approval")
    _steer(api, number, "pause", why="a look")
    _steer(api, number, "resume")
    _wait_rollout(api, number, "awaiting-approval")
    _steer(api, number, "approve", why="they do well")
    done = _wait_rollout(api, number, "completed")
    assert done["counts"]["succeeded"] == AGENTS - 1, done
    return number


def _bad_rollout(api: Api) -> None:
    """Its canaries go back: it stops, is tried once more, and is given up."""
    made = api.ask("POST", "/rollouts", {"version": BAD, "target": {"all": True}, "strategy": {**QUICK, "attempts": 1}}, 201)
    number = int(made["id"])
    stopped = _wait_rollout(api, number, "paused")
    assert stopped["reason"] in ("max-failures", "success-threshold", "correlated-failures"), stopped
    assert stopped["causes"] and stopped["batches"][0]["failed"] > 0, stopped
    again = _steer(api, number, "retry-failed")
    assert again["counts"]["pending"] > 0 and again["state"] == "paused", again
    _steer(api, number, "resume")
    _wait_rollout(api, number, "paused")
    failed = api.members(number, "&state=rolled-back")
    assert failed and all(m["reason"] and m["reason_text"] for m in failed), failed
    _steer(api, number, "abort", why="it is bad")
    ended = _wait_rollout(api, number, "aborted")
    assert ended["counts"]["cancelled"] > 0 and ended["counts"]["in-flight"] == 0, ended


def _back(api: Api, number: int) -> None:
    """Whether the machines do go back is for other tests."""
    path = f"/rollouts/{number}/roll-back"
    plan = api.ask("POST", path, {"dry_run": True})
    assert plan["kind"] == "rollback" and plan["cohort"] == AGENTS - 1 and "digest" not in plan, plan
    back = int(api.ask("POST", path, {"description": "as an exercise"}, 201)["id"])
    shown = _wait_rollout(api, back, "completed", "paused")
    assert shown["parent"] == number and {m["goal"] for m in api.members(back)} == {"1.0.0"}, shown
    if not shown["terminal"]:
        _steer(api, back, "abort")
        _wait_rollout(api, back, "aborted")


def _read_everything(api: Api) -> None:
    for path in ("/agents", "/agents?fields=narrow", "/agents/summary?facet=label:wave", "/updates?limit=1000", "/desired", "/labels",
                 "/rollouts", "/rollouts?active=true", "/releases", "/join-tokens", "/api-tokens", "/audit?limit=1000"):
        api.get(path)
    for rollout in api.get("/rollouts")["rollouts"]:
        api.members(rollout["id"])
    for agent in api.get("/agents?fields=narrow")["agents"]:
        api.get(f"/agents/{agent['id']}")


def _probe(loop: Loopback, *more: str | Path) -> tuple[int, str]:
    script = Path(__file__).with_name("probe.mjs")
    argv = ["node", str(script), f"https://localhost:{loop.https_port}", str(loop.ca), str(loop.state / "admin.token")]
    done = subprocess.run(
        [*argv, *map(str, more)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120
    )
    return done.returncode, done.stdout.strip()


def _probe_everything(loop: Loopback) -> None:
    """What the contract forbids, and what it just allows; and a contract that is a little wrong is found out."""
    status, said = _probe(loop)
    progress(said)
    assert status == 0, "the gateway and the contract differ in what they allow"

    text = (Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text()
    for old, new in (
        ("minimum: 1, maximum: 10, default: 3", "minimum: 2, maximum: 11, default: 3"),     # attempts of a rollout
        ("enum: [wait, skip]", "enum: [wait, skip, hope]"),
        (f"the default, too.{_LIMIT}1000", f"the default, too.{_LIMIT}999"),                # of groups
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    planted = loop.folder / "openapi.yaml"
    planted.write_text(text)
    status, said = _probe(loop, planted, "createRollout", "listGroups")
    assert status == 1, said
    for mistake in ("/strategy/attempts 11 is refused", "/strategy/attempts 1 is not refused", '/strategy/offline "hope" is refused',
                    "listGroups: limit=1000 is not refused"):
        assert mistake in said, (mistake, said)


def main() -> None:
    with Loopback("contract") as loop:
        loop.start_gateway(LIMITS)
        api = Api(loop)
        stream = Stream(api)
        release(loop, GOOD, BAD)
        sim = Simulator(loop)
        fates = (*FAST, f"--release-fault={BAD}:100%", "--confirm-timeout=2s")
        sim.start(AGENTS, *fates)
        sim.wait_online(AGENTS)
        _groups(api)
        _one_agent(api, api.get("/agents?fields=narrow")["agents"][0]["id"])
        progress("they are there")
        good = _good_rollout(api)
        progress("a good rollout")
        _bad_rollout(api)
        progress("a bad one")
        sim.stop()                        # when they come again they say what they could go back to
        sim.start(AGENTS, *fates, token=False)
        sim.wait_online(AGENTS)
        _back(api, good)
        progress("and back")
        _probe_everything(loop)
        sim.stop()
        wait_for(lambda: stream.words("agent", "change")["offline"] >= AGENTS, 30, "all to be offline", 0.1)
        _read_everything(api)
        assert stream.words("agent", "change")["enrolled"] == AGENTS, stream.words("agent", "change")
        assert stream.words("release", "version") == {GOOD: 1, BAD: 1}
        assert set(stream.words("group", "change")) == {"created", "changed", "removed"}
        assert {"queued", "downloading", "restarting", "confirming", "succeeded", "rolled-back"} <= set(stream.words("update", "phase"))
        assert {"running", "paused", "aborted", "completed"} <= set(stream.words("rollout", "state")), stream.words("rollout", "state")
        assert loop.gateway is not None
        loop.gateway.stop()
        stream.join(10)
        assert not stream.is_alive(), "the stream did not end with the gateway"


if __name__ == "__main__":
    main()

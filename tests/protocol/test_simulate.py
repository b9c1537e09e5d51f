# SPDX-License-Identifier: Apache-2.0
"""fleet-simulate: many agents at once, and what the gateway makes of them."""

import os
import signal
import time
from collections import Counter
from typing import Any

from harness.command import execute
from harness.wait import wait_for

from .loopback import Loopback, stays
from .simulation import FAST, LIMITS, Simulator, add_release, fleet, outcome, outcomes, release, roll_out

Outcomes = dict[str, tuple[str, ...]]


def _connections(port: int) -> list[str]:
    """The agents' ends of the streams to this port, as ss shows them."""
    argv = ["ss", "-Htn", "state", "established", f"( dport = :{port} )"]
    return [line.split()[2] for line in execute(argv).stdout.splitlines()]


def _wait_ended(sim: Simulator, agents: int, timeout: float = 60) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        report = sim.report()
        done = sum(report["finished"].values()) >= agents and report["finals_unacknowledged"] == 0
        return report if done and report["online"] == report["agents"] else None

    return wait_for(ended, timeout, f"{agents} updates to end", 0.3)


def fifty_agents() -> None:
    """They enrol, update, and come back with the new version: each with a connection and an identity of its own."""
    with Loopback("fifty") as loop:
        loop.start_gateway(LIMITS)
        release(loop, "1.1.0")
        sim = Simulator(loop)
        sim.start(50, "--connect-rate=100/s", *FAST)
        sim.wait_online(50)
        ends = _connections(loop.agent_port)
        assert len(ends) == len(set(ends)) == 50, f"{len(ends)} connections, {len(set(ends))} of their own"
        keys = {p.read_bytes() for p in sim.state.glob("*/identity/identity.pem")}
        assert len(keys) == 50, f"{len(keys)} identities"
        wait_for(
            lambda: sim.report()["process"]["descriptors"] < 30 + 2.5 * 50, 30, "idle agents to let go", 0.5
        )

        loop.ctl("update", "--all", "--yes", "--version", "1.1.0")
        report = _wait_ended(sim, 50)
        assert report["versions"] == {"1.1.0": 50} and report["finished"]["succeeded"] == 50, report
        assert report["instructions"]["duplicates_executed"] == 0, report
        assert report["finals_acknowledged"] == 50 and report["bytes_downloaded"] > 50 * (1 << 16), report
        for agent in fleet(loop).values():
            assert agent["state"] == "online" and agent["version"] == "1.1.0", agent
            assert outcome(agent) == ("succeeded", ""), agent

        # each went through all of it, in order
        phases: dict[str, list[str]] = {}
        for event in sim.events():
            if event["event"] == "status":
                seen = phases.setdefault(event["agent"], [])
                if event["phase"] not in seen:
                    seen.append(event["phase"])
        whole = ["downloading", "verifying", "staging", "restarting", "connected", "confirming", "succeeded"]
        assert len(phases) == 50 and all(p == whole for p in phases.values()), Counter(
            map(tuple, phases.values())
        )

        # SIGTERM: goodbye on every stream, and soon
        started = time.monotonic()
        sim.stop()
        assert time.monotonic() - started < 5, "it took its time"
        wait_for(
            lambda: all(a["state"] == "offline" for a in fleet(loop).values()), 5, "all to be offline", 0.2
        )
        assert loop.gateway is not None and "no heartbeat" not in loop.gateway.output()

        # the next one needs no token, and finds the machines as they were
        sim.start(50, "--until=connected", token=False)
        assert sim.wait_end(60)["versions"] == {"1.1.0": 50}
        assert all(a["previous_version"] == "1.0.0" for a in fleet(loop).values())


def machines_as_drawn() -> None:
    """The gateway sees what --plan= shows; pinned machines and other architectures are left alone."""
    drawn = ("--seed=5", "--arch-mix=20%", "--pinned=25%")
    with Loopback("drawn") as loop:
        loop.start_gateway(LIMITS)
        release(loop, "1.1.0")
        sim = Simulator(loop)
        plan = sim.plan(40, "1.1.0", *drawn)
        sim.start(40, *drawn, *FAST)
        sim.wait_online(40)
        loop.ctl("update", "--all", "--yes", "--version", "1.1.0")
        taken = [m for m in plan.values() if m["arch"] == "x86_64" and not m["pinned"]]
        assert 10 < len(taken) < 35, "the seed does not serve"
        _wait_ended(sim, len(taken))
        seen = fleet(loop)
        for machine in plan.values():
            agent = seen[machine["id"]]
            for fact in ("hostname", "os", "os_version", "kernel", "arch", "packaging"):
                assert agent["facts"][fact] == machine[fact], (machine, agent)
            assert agent["pinned"] == machine["pinned"], agent
            reason = (
                "up-to-date"
                if machine in taken
                else "arch-missing"
                if machine["arch"] == "aarch64"
                else "pinned"
            )
            assert agent["reason"] == reason, (reason, agent)
        systems = {m["os"] + m["os_version"] for m in plan.values()}
        assert len(systems) >= 4, f"{systems} is no mix"
        assert sim.stop()["instructions"]["executed"] == len(taken)


_BAD = (
    "--seed=11",
    "--release-fault=1.2.0:20%",
    "--fault-where=1.2.0:os=rhel:60%",
    "--fail=downloading:10%",
    "--fail=verifying:10%",
    "--fail=staging:10%",
    "--fail=restarting:8%",
    "--fail=confirming:8%",
)


def _expected(machine: dict[str, Any]) -> tuple[str, ...]:
    if machine["fate"] == "succeeds":
        return ("succeeded", "")
    before = machine["phase"] in ("downloading", "verifying", "staging")
    return ("failed" if before else "rolled-back", machine["verdict"], machine["phase"])


def bad_release() -> None:
    """Each update ends where and how it was drawn to, as a real one would; the machines are fine afterwards."""
    with Loopback("bad") as loop:
        loop.start_gateway(LIMITS)
        release(loop, "1.2.0")
        sim = Simulator(loop)
        plan = sim.plan(60, "1.2.0", *_BAD)
        ends = Counter(_expected(m) for m in plan.values())
        assert len(ends) == 6, f"the seed does not serve: {ends}"
        sim.start(60, "--connect-rate=0", *_BAD, *FAST)
        sim.wait_online(60)
        roll_out(loop, "1.2.0", attempts=1)
        report = _wait_ended(sim, 60)
        seen = fleet(loop)
        for machine in plan.values():
            agent = seen[machine["id"]]
            assert outcome(agent) == _expected(machine), (machine, agent["update"])
            version = "1.2.0" if machine["fate"] == "succeeds" else "1.0.0"
            assert agent["version"] == version and agent["state"] == "online", agent
        assert report["finished"]["rolled-back"] == sum(
            n for e, n in ends.items() if e[0] == "rolled-back"
        ), report
        assert Counter(report["verdicts"]) == Counter(
            {v: n for v, n in _by_verdict(ends).items() if v}
        ), report
        leftovers = list(sim.state.glob("*/downloads/*"))
        damaged = [m for m in plan.values() if m.get("phase") == "downloading"]
        assert len(leftovers) <= 2 * len(damaged), leftovers
        sim.stop()


def _by_verdict(ends: Counter[tuple[str, ...]]) -> Counter[str]:
    verdicts: Counter[str] = Counter()
    for end, n in ends.items():
        verdicts[end[1]] += n
    return verdicts


def never_returns() -> None:
    """The lease of a machine that stays away ends; switched on again, it has gone back and says so."""
    options = ("--seed=3", "--never-returns=30%")
    with Loopback("never") as loop:
        loop.start_gateway(LIMITS + "[Gateway]\nLeaseSec=10\nRetryMax=1\n")
        release(loop, "1.1.0")
        sim = Simulator(loop)
        plan = sim.plan(20, "1.1.0", *options)
        lost = {m["id"] for m in plan.values() if m["fate"] == "never-returns"}
        assert 3 <= len(lost) <= 10, "the seed does not serve"
        sim.start(20, *options, *FAST)
        sim.wait_online(20)
        loop.ctl("update", "--all", "--yes", "--version", "1.1.0")

        def given_up() -> bool:
            phases = {a["id"]: a["update"]["phase"] for a in fleet(loop).values() if "update" in a}
            return phases == {
                m["id"]: "timed-out" if m["id"] in lost else "succeeded" for m in plan.values()
            }

        wait_for(given_up, 40, "the lease of lost machines to end", 0.5)
        report = sim.report()
        assert report["lost"] == len(lost) and report["online"] == 20 - len(lost), report
        assert all((fleet(loop)[i]["state"]) == "offline" for i in lost)
        sim.stop()

        sim.start(20, *options, *FAST, token=False)
        sim.wait_online(20)
        wait_for(
            lambda: all(outcome(fleet(loop)[i])[:2] == ("rolled-back", "interrupted") for i in lost),
            20, "the lost ones to tell", 0.3,
        )  # fmt: skip
        assert all(fleet(loop)[i]["version"] == "1.0.0" for i in lost)
        sim.stop()


def power_cut() -> None:
    """SIGKILL is a power cut for all at once: nothing is lost, nothing is done twice but what was cut off."""
    slow = ("--time=staging:200ms..2s", "--time=restarting:200ms..2s", "--time=confirming:1s..2s")
    with Loopback("cut") as loop:
        loop.start_gateway(LIMITS)
        release(loop, "1.1.0")
        sim = Simulator(loop)
        sim.start(30, "--connect-rate=0", *slow)
        sim.wait_online(30)
        roll_out(loop, "1.1.0", attempts=5)
        for phase in ("staging", "confirming"):
            wait_for(lambda: sim.report()["phases"][phase] >= 4, 20, f"some to be {phase}", 0.05)
            sim.stop(kill=True)
            sim.start(30, "--connect-rate=0", *slow, token=False)
        wait_for(lambda: sim.report()["versions"] == {"1.1.0": 30}, 60, "all to have it", 0.5)
        wait_for(
            lambda: all(u["terminal"] for u in _all_updates(loop)),
            30,
            "every instruction to have ended",
            0.5,
        )

        events = sim.events()
        installs = Counter(e["id"] for e in events if e["event"] == "installing")
        ends: dict[str, set[str]] = {}
        for event in events:
            if event["event"] == "status" and event["phase"] in ("succeeded", "failed", "rolled-back"):
                ends.setdefault(event["id"], set()).add(event["phase"])
        assert all(len(e) == 1 for e in ends.values()), "an instruction ended in two ways"
        # a transaction that was cut off ends, and never begins anew under the same instruction
        assert max(installs.values()) == 1, installs.most_common(3)
        cut = Counter(next(iter(e)) for e in ends.values())
        assert cut["failed"] > 0 and cut["rolled-back"] > 0 and cut["succeeded"] == 30, cut
        told = {u["id"]: u for u in _all_updates(loop)}
        assert set(told) == set(ends), set(told) ^ set(ends)
        for update in told.values():
            assert ends[update["id"]] == {update["phase"]}, update
            assert update["phase"] == "succeeded" or update["verdict"] == "interrupted", update
        sim.stop()


def _all_updates(loop: Loopback) -> list[dict[str, Any]]:
    return [update for agent in fleet(loop) for update in loop.agent(agent)["updates"]]


def same_seed() -> None:
    """Outcomes hang on the seed alone: not on the order, the pace, or the process that plays an agent."""
    options = (*_BAD, "--never-returns=5%", *FAST)
    results: list[Outcomes] = []
    for pace, parts in (("--connect-rate=0", [(0, 40)]), ("--connect-rate=30/s", [(25, 15), (0, 25)])):
        with Loopback("seed") as loop:
            loop.start_gateway(LIMITS + "[Gateway]\nLeaseSec=10\n")
            release(loop, "1.2.0")
            sims = [Simulator(loop, f"simulate{first}") for first, _ in parts]
            for sim, (first, n) in zip(sims, parts):
                sim.start(n, pace, *options, first=first)
            for sim, (_, n) in zip(sims, parts):
                sim.wait_online(n)
            roll_out(loop, "1.2.0", attempts=1)

            def settled() -> Outcomes | None:
                agents = fleet(loop)
                done = all(a.get("update", {}).get("terminal") for a in agents.values())
                return outcomes(agents) if done and len(agents) == 40 else None

            results.append(wait_for(settled, 60, "all updates to end", 0.5))
            for sim in sims:
                sim.stop()
    assert results[0] == results[1], [
        (k, v, results[1][k]) for k, v in results[0].items() if results[1][k] != v
    ]
    assert len(set(results[0].values())) >= 6, Counter(results[0].values())


def passive() -> None:
    """Instructions are noted with their time, and nothing else is done; heartbeats come as asked for."""
    with Loopback("passive") as loop:
        loop.start_gateway(LIMITS)
        release(loop, "1.1.0")
        sim = Simulator(loop)
        sim.start(10, "--passive", "--heartbeat-flood=2000/s")
        sim.wait_online(10)
        sent = _bytes_sent(loop.agent_port)
        began = time.time()
        loop.ctl("update", "--all", "--yes", "--version", "1.1.0")

        def received() -> list[dict[str, Any]]:
            return [e for e in sim.events() if e["event"] == "instruction"]

        wait_for(lambda: len(received()) == 10, 20, "instructions to arrive", 0.1)
        stays(lambda: len(received()) == 10 and not _statuses(sim), 2, "nothing else happens")
        assert all(e["decision"] == "passive" and e["version"] == "1.1.0" for e in received())
        assert all(began - 1 < e["time"] / 1e6 < time.time() for e in received())
        assert {a["update"]["phase"] for a in fleet(loop).values()} == {"offered"}
        # a heartbeat is more than ten bytes, and there were thousands of them in these seconds
        assert _bytes_sent(loop.agent_port) - sent > 2000 * 10, "no flood"
        report = sim.stop()
        assert report["sessions"] == 10 and report["instructions"]["executed"] == 0, report


def _statuses(sim: Simulator) -> list[dict[str, Any]]:
    return [e for e in sim.events() if e["event"] == "status"]


def _bytes_sent(port: int) -> int:
    argv = ["ss", "-Htni", "state", "established", f"( dport = :{port} )"]
    words = execute(argv).stdout.split()
    return sum(int(w.removeprefix("bytes_sent:")) for w in words if w.startswith("bytes_sent:"))


def flapping_and_away() -> None:
    """Connections that are cut come back by the agent's own means; machines that are away miss nothing."""
    with Loopback("flap") as loop:
        loop.start_gateway(LIMITS)
        release(loop, "1.1.0")
        sim = Simulator(loop)
        # away for up to 4 s again and again, and all the time cut off after about 3 s
        sim.start(6, "--flapping=100%:3s", "--offline=100%:4s", *FAST)
        wait_for(lambda: sim.report()["absent"] > 0, 30, "somebody to be away", 0.1)
        wait_for(lambda: sim.report()["reconnects"] >= 3, 60, "connections to be cut", 0.3)
        loop.ctl("update", "--all", "--yes", "--version", "1.1.0")

        def updated() -> bool:
            return sim.report()["versions"] == {"1.1.0": 6}

        wait_for(updated, 60, "all to be updated in spite of that", 0.3)
        report = sim.stop()
        assert report["instructions"]["duplicates_executed"] == 0, report
        assert report["longest_silence_ms"] > 0 and report["reconnect_ms"]["max"] < 30_000, report
        assert "lost" not in {e["event"] for e in sim.events()}


def slow_download() -> None:
    """Time for the download is taken by the agent's own speed limit, over the real connection."""
    with Loopback("slow") as loop:
        loop.start_gateway(LIMITS)
        release(loop, "1.1.0", size=1 << 20)
        sim = Simulator(loop)
        sim.start(3, "--time=downloading:3s", "--slow=100%:1.5", *FAST)
        sim.wait_online(3)
        loop.ctl("update", "--all", "--yes", "--version", "1.1.0")
        report = _wait_ended(sim, 3)
        assert report["finished"]["succeeded"] == 3 and 3500 < report["latency_ms"]["p50"] < 12_000, report
        sim.stop()


def refuses_nonsense() -> None:
    """What is wrong with the command line, or with the state, is said, with a way out."""
    with Loopback("nonsense") as loop:
        loop.start_gateway(LIMITS)
        sim = Simulator(loop)
        program = str(loop.build.program("fleet-simulate"))
        no_token = loop.folder / "no-token"
        no_token.write_text("let-me-in")
        state = f"--state-directory={loop.folder}/other"
        there = ["--gateway=localhost", state]
        for argv, code, sentence in (
            ([], 2, "--gateway="),
            (["--gateway=localhost"], 2, "--state-directory="),
            ([*there, "--config=/dev/null"], 2, "--config="),
            ([*there, "--agents=0"], 2, "--agents=0"),
            ([*there, "--fail=connected:1%"], 2, "staging"),
            ([*there, "--fail=staging:60%", "--fail=restarting:60%"], 2, "add up"),
            ([*there, "--fault-where=1.2.0:shoes=42:1%"], 2, "kernel"),
            ([*there, "--until=tomorrow"], 2, "idle"),
            ([*there, "extra"], 2, "extra"),
            ([*there, "--agents=90000"], 1, "--first="),
            ([*there, "--join-token-file=/nonexistent"], 1, "join token"),
            ([*there, f"--join-token-file={no_token}"], 1, "token create"),
        ):
            ended = execute([program, *argv], check=False, timeout=20)
            assert ended.returncode == code and sentence in ended.stderr, (argv, ended)

        sim.start(5)
        sim.wait_online(5)
        config = f"--config={loop.folder}/simulate.conf"
        for more, sentence in (
            (["--agents=3", "--first=4"], "--first="),
            (["--seed=9", "--first=9"], "--seed=1"),
        ):
            argv = [program, config, f"--state-directory={sim.state}", *more]
            ended = execute(argv, check=False, timeout=20)
            assert ended.returncode == 1 and sentence in ended.stderr, (more, ended)

        # a token that is used up is said once, and costs the others nothing
        argv = [program, config, f"--state-directory={sim.state}", "--first=20", "--agents=8"]
        more = loop.spawn("more", [*argv, f"--join-token-file={sim.token}"])
        wait_for(lambda: "does not accept join token" in more.output(), 20, "the trouble to be told", 0.1)
        stays(lambda: more.output().count("does not accept join token") == 1, 1, "told once")
        assert sim.token.read_text().split("_")[2] not in more.output(), "the secret is in the output"
        assert more.stop() == 0
        assert sim.stop()["online"] == 5


def second_signal() -> None:
    """The first signal says goodbye; with a gateway that is stuck the second one does not wait."""
    with Loopback("twice") as loop:
        gateway = loop.start_gateway(LIMITS)
        sim = Simulator(loop)
        program = sim.start(5)
        sim.wait_online(5)
        os.kill(gateway.process.pid, signal.SIGSTOP)
        try:
            program.process.terminate()
            time.sleep(0.3)
            assert program.running, "it did not wait for the goodbye"
            started = time.monotonic()
            program.process.terminate()
            program.process.wait(10)
            assert time.monotonic() - started < 2, "the second signal had to wait"
        finally:
            os.kill(gateway.process.pid, signal.SIGCONT)


def gateway_restarts() -> None:
    """The whole fleet comes back by itself, and what is under way goes on."""
    with Loopback("storm") as loop:
        loop.start_gateway(LIMITS)
        repository = release(loop, "1.1.0")
        sim = Simulator(loop)
        sim.start(30, "--time=confirming:3s", *FAST[:2])
        sim.wait_online(30)
        loop.ctl("update", "--all", "--yes", "--version", "1.1.0")
        wait_for(lambda: sim.report()["phases"]["confirming"] > 0, 20, "a trial", 0.1)
        assert loop.gateway is not None
        loop.gateway.stop(kill=True)
        loop.start_gateway(LIMITS)
        report = _wait_ended(sim, 30)
        assert report["finished"]["succeeded"] == 30 and report["reconnects"] > 0, report
        assert report["longest_silence_ms"] >= report["reconnect_ms"]["max"] > 0, report
        sim.stop()

        # --until=idle ends by itself when there is nothing left to do
        sim.start(30, "--until=idle", *FAST, token=False)
        sim.wait_online(30)
        add_release(loop, repository, "1.2.0")
        roll_out(loop, "1.2.0")  # a change of what is desired has pauses, after which nobody may be at it
        report = sim.wait_end(60)
        assert report["versions"] == {"1.2.0": 30}, report["versions"]


TESTS = [
    fifty_agents,
    machines_as_drawn,
    bad_release,
    never_returns,
    power_cut,
    same_seed,
    passive,
    flapping_and_away,
    slow_download,
    refuses_nonsense,
    second_signal,
    gateway_restarts,
]

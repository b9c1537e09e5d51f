# SPDX-License-Identifier: Apache-2.0
"""A gateway that is backed up while it works, lost, and restored as fleet-gatewayd(8) says."""

import json
import shutil
import sqlite3
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from harness.product import Repository
from harness.wait import wait_for

from .api import Api
from .loopback import Loopback
from .simulation import FAST, LIMITS, Simulator, release

GOAL = "1.1.0"
AGENTS = 44


def _backup(loop: Loopback, name: str, *options: str) -> Path:
    file = loop.folder / name
    made = loop.ctl("backup", str(file), f"--state-directory={loop.state}", *options)
    assert made.stdout == "" and str(file) in made.stderr, made
    return file


def _lose(loop: Loopback) -> None:
    """The machine is gone, and its disk."""
    assert loop.gateway is not None
    loop.gateway.stop(kill=True)
    shutil.rmtree(loop.state)


def _restore(loop: Loopback, file: Path, repository: Repository) -> None:
    """An empty state directory, the archive in it, and the repository from where it was published."""
    loop.state.mkdir(0o700)
    subprocess.run(["tar", "-xpf", str(file), "-C", str(loop.state)], check=True)
    for part in ("metadata", "targets"):
        shutil.copytree(repository.folder / part, loop.state / "tuf" / part)


def _keys(loop: Loopback) -> set[str]:
    """What each agent is known by."""
    with sqlite3.connect(f"file:{loop.state}/gateway.db?mode=ro", uri=True, timeout=20) as db:
        return {f"{agent} {key}" for agent, key in db.execute("SELECT id, key_hash FROM agents")}


def _rollout(loop: Loopback) -> Any:
    return json.loads(loop.ctl("rollout", "show", "1", "-o", "json").stdout)


def lost_and_restored() -> None:
    """In the midst of a rollout: nobody enrols again, and it goes on to its end."""
    with Loopback("backup") as loop:
        loop.start_gateway(LIMITS)
        repository = release(loop, GOAL)
        sim = Simulator(loop)
        sim.start(AGENTS, *FAST)
        sim.wait_online(AGENTS)
        loop.ctl("group", "create", "web", "-l", "role=web")
        strategy = ("--canary=2", "--canary-soak=0", "--batch=4", "--every=2s", "--max-failures=0", "--retry-pause=1s")
        loop.ctl("rollout", "create", "--release", GOAL, "--all", *strategy, "--yes")
        wait_for(lambda: _rollout(loop)["counts"]["succeeded"] >= 10, 60, "the rollout to get on", 0.2)
        wait_for(lambda: _rollout(loop)["counts"]["in-flight"] > 0, 20, "agents to be in flight", 0.05)
        file = _backup(loop, "backup.tar")
        assert file.stat().st_mode & 0o777 == 0o600
        with tarfile.open(file) as archive:
            assert {"gateway.db", "ca.key", "ca.pem", "server.key", "admin.token", "trust"} <= set(archive.getnames())
            assert not [n for n in archive.getnames() if n.startswith(("tuf", "import", "setup-code"))]

        # what happens from here on is lost with the gateway
        then = _rollout(loop)["counts"]["succeeded"]
        wait_for(lambda: _rollout(loop)["counts"]["succeeded"] >= then + 6, 60, "more to be updated", 0.2)
        keys, enrolled = _keys(loop), loop.ctl("audit", "list", "--action=agent.enroll", "--lines=0", "-o", "name").stdout
        before = _rollout(loop)
        _lose(loop)
        _restore(loop, file, repository)
        loop.start_gateway(LIMITS)
        after = _rollout(loop)
        assert after["counts"]["succeeded"] < before["counts"]["succeeded"] and not after["terminal"], (before["counts"], after["counts"])

        watched = loop.ctl("rollout", "watch", "1", "--timeout=120", check=False, timeout=150)
        counts = _rollout(loop)["counts"]
        assert watched.returncode == 0, (watched, counts)
        assert counts["succeeded"] + counts["skipped"] == AGENTS, counts
        # those that were updated after the backup are found to be up to date already
        assert counts["skipped"] > 0, counts
        sim.wait_online(AGENTS)
        updated = json.loads(loop.ctl("agent", "list", f"--version-is={GOAL}", "--state=online", "-o", "json").stdout)
        assert updated["total"] == AGENTS
        assert _keys(loop) == keys and loop.ctl("audit", "list", "--action=agent.enroll", "--lines=0", "-o", "name").stdout == enrolled
        assert "group web" not in loop.ctl("audit", "verify").stdout and loop.ctl("group", "list", "-o", "name").stdout == "web\n"
        assert loop.ctl("release", "list", "-o", "name").stdout == f"{GOAL}\n"
        assert "Nothing new" in loop.ctl("release", "import", str(repository.folder)).stdout
        report = sim.report()
        assert report["finals_unacknowledged"] == 0, report


def database_alone() -> None:
    """From another machine, with a token for that alone; it needs the keys that were saved once."""
    with Loopback("backup-db") as loop:
        loop.start_gateway()
        repository = release(loop, GOAL)
        agent = loop.new_agent()
        agent.start(loop.token())
        agent.wait_online()
        whole = _backup(loop, "whole.tar")
        api = Api(loop)
        secret = api.ask("POST", "/api-tokens", {"role": "admin", "scopes": ["backup"]}, 201)["token"]
        (loop.folder / "backup-token").write_text(secret)
        loop.ctl("agent", "label", agent.id, "env=late")
        file = loop.folder / "database.tar"
        options = ("--database-only", f"--token-file={loop.folder}/backup-token")
        loop.ctl("backup", str(file), *options)
        assert loop.ctl("agent", "list", options[1], check=False).returncode == 4
        (entry,) = api.get("/audit?action=backup.create&limit=1&order=desc")["entries"]
        assert entry["entry"]["actor"].startswith("token:") and entry["entry"]["detail"]["bytes"] > 0, entry

        _lose(loop)
        _restore(loop, whole, repository)
        subprocess.run(["tar", "-xpf", str(file), "-C", str(loop.state)], check=True)
        loop.start_gateway()
        agent.wait_online(30)
        assert agent.seen()["labels"] == {"env": "late"}
        # another gateway's directory is not taken for this one's
        with Loopback("backup-other") as other:
            other.start_gateway()
            refused = loop.ctl("backup", str(loop.folder / "x.tar"), f"--state-directory={other.state}", check=False)
            assert refused.returncode == 5 and "another gateway" in refused.stderr, refused


def full_disk() -> None:
    """Refused when there is no room, given up when there is none any more; the gateway goes on and nothing stays behind."""
    with Loopback("backup-full") as loop:
        said = loop.folder / "disk"
        said.write_text("")
        shim = loop.build.folder / "tests" / "protocol" / "libfull-disk.so"
        loop.start_gateway(env={"LD_PRELOAD": str(shim), "FULL_DISK_FILE": str(said)})
        with sqlite3.connect(loop.state / "gateway.db", timeout=20) as db:
            for i in range(8):
                db.execute("INSERT INTO settings VALUES (?, ?)", (f"filler-{i}", "x" * (1 << 20)))
        file = loop.folder / "backup.tar"
        arguments = ("backup", str(file), f"--state-directory={loop.state}")
        for state, told in (("almost", "MiB in the state directory; 16 are free"), ("within", "became full")):
            said.write_text(state)
            refused = loop.ctl(*arguments, check=False)
            assert refused.returncode == 1 and told in refused.stderr, (state, refused)
            assert not list(loop.folder.glob("*backup.tar*")) and not (loop.state / "backup.db").exists()
            assert loop.ctl("token", "list").returncode == 0
        assert loop.ctl("audit", "list", "--action=backup.*", "-o", "name").stdout == ""
        said.write_text("")
        loop.ctl(*arguments)
        assert file.stat().st_size > 8 << 20


TESTS = (database_alone, full_disk, lost_and_restored)

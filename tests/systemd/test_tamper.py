# SPDX-License-Identifier: Apache-2.0
"""Files that the offline keys did not sign: refused by the agent, and again by the updater."""

import json
import shutil
from pathlib import Path

from harness import wait_for
from harness.command import execute

from . import bus, faults
from .client import Offer
from .lab import Lab, Settings
from .suite import Group, case


def _mirror(lab: Lab) -> Path:
    """Where the gateway keeps what it serves. Whoever owns the gateway owns this."""
    found = [
        p.parent.parent
        for p in lab.gateway.state.rglob("timestamp.json")
        if p.parent.name == "metadata"
    ]
    assert found, list(lab.gateway.state.iterdir())
    return found[0]


def _unchanged(lab: Lab, pid: str) -> None:
    assert lab.machine.main_pid() == pid, "the agent was restarted"
    assert lab.machine.versions() == ["1.0.0"], lab.machine.versions()
    assert bus.updater(lab.machine, "State") == "idle"


def _put(lab: Lab, repository: Path) -> None:
    """The gateway serves this repository, which it would not have imported."""
    mirror = _mirror(lab)
    shutil.copytree(repository / "metadata", mirror / "metadata", dirs_exist_ok=True)
    shutil.copytree(repository / "targets", mirror / "targets", dirs_exist_ok=True)


def _attackers(lab: Lab, version: str, key: Path) -> Path:
    """A repository with the real root, and a release that only the attacker's key has signed."""
    folder = lab.run.folder / f"{lab.name}-attacker"
    tool = str(lab.build.program("fleet-release"))
    execute([tool, "key", "new", "--unprotected", str(key)])
    argv = [tool, "--repo", str(folder)]
    execute([*argv, "init", "--yes", "--key", str(key)])
    staging = lab.run.folder / f"{lab.name}-attacker-files"
    staging.mkdir()
    for source, name in zip(lab.build.payload(version), ("agent", "updater"), strict=True):
        shutil.copy(source, staging / name)
    files = [str(staging / "agent"), str(staging / "updater")]
    execute([*argv, "add", *files, "--version", version, "--arch", _arch(), "--os", "linux"])
    for _ in range(3):  # so that no version number is in the way
        execute([*argv, "renew", "--yes"], check=False)
        execute([*argv, "sign", "targets", "--yes", "--key", str(key)])
        execute([*argv, "publish", "--yes", "--key", str(key)])
    return folder


def _arch() -> str:
    return execute(["uname", "-m"]).stdout.strip()


@case()
def tampered_target(lab: Lab) -> str:
    """One bit of the agent is flipped, at the same length."""
    pid = lab.machine.main_pid()
    lab.release("1.1.0")
    offer = Offer.of(lab.repository, "1.1.0")
    served = (
        _mirror(lab)
        / "targets"
        / offer.targets[0][1].relative_to(lab.repository.folder / "targets")
    )
    faults.flip_byte(served)
    lab.machine.update("1.1.0")
    lab.refused("1.1.0", "verification-failed", timeout=120)

    bad = faults.flip_byte(offer.targets[0][1], lab.run.folder / f"{lab.name}-bad")
    offer.targets[0] = (offer.targets[0][0], bad)
    lab.client.ends(offer, "failed", "verification-failed")
    # Longer and shorter ones do not even get that far, or end the same way.
    for size in (bad.stat().st_size + 1, bad.stat().st_size - 1, 0):
        with bad.open("r+b") as f:
            f.truncate(size)
        answer = lab.client.install(offer)
        if not answer.error:
            wait_for(
                lambda: bus.last_result(lab.machine)["transaction"] == answer.transaction,
                30,
                "the end",
                0.2,
            )
            assert bus.last_result(lab.machine)["verdict"] == "verification-failed"
    _unchanged(lab, pid)
    assert not faults.denylist(lab.box), "a file that was tampered with is not the release's fault"
    shutil.copy(Offer.of(lab.repository, "1.1.0").targets[0][1], served)
    lab.machine.update("1.1.0", retry=True)
    lab.machine.wait_finished("1.1.0", "succeeded", 60)
    return "1.1.0"


@case()
def tampered_metadata(lab: Lab) -> str:
    """Each role in turn, one digit changed under the old signatures."""
    pid = lab.machine.main_pid()
    lab.release("1.1.0")
    for index, (name, path) in enumerate(Offer.of(lab.repository, "1.1.0").metadata):
        offer = Offer.of(lab.repository, "1.1.0")
        text = path.read_text()
        bad = lab.run.folder / f"{lab.name}-{name}"
        bad.write_text(text.replace('"expires": "20', '"expires": "21'))
        assert bad.read_text() != text, name
        offer.metadata[index] = (name, bad)
        lab.client.refused(offer, "VerificationFailed")
    faulty = _mirror(lab) / "metadata" / "timestamp.json"
    faulty.write_text(faulty.read_text().replace('"expires": "20', '"expires": "21'))
    lab.machine.update("1.1.0")
    lab.refused("1.1.0", "verification-failed")
    _unchanged(lab, pid)
    return "1.0.0"


@case()
def rubbish_as_metadata(lab: Lab) -> str:
    """What a taken-over agent may send: empty, huge, doubled, nested, missing, misnamed."""
    pid = lab.machine.main_pid()
    lab.release("1.1.0")
    rubbish = lab.run.folder / f"{lab.name}-rubbish"
    for content in (
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"signed":{},"signed":{}}',
        b"\x00\xff" * 1000,
        b"9" * 2_000_000,
    ):
        rubbish.write_bytes(content)
        for index in range(3):
            # New versions of all roles: what was verified before is not read again.
            lab.repository.tool("renew")
            lab.repository.sign()
            lab.repository.publish()
            offer = Offer.of(lab.repository, "1.1.0")
            offer.metadata[index] = (offer.metadata[index][0], rubbish)
            answer = lab.client.install(offer)
            assert answer.error and not answer.transaction, (content[:20], index, answer)
    for change in (
        lambda o: o.metadata.clear(),
        lambda o: o.metadata.pop(),
        lambda o: o.metadata.extend(o.metadata * 20),
        lambda o: o.metadata.append(("../../etc/passwd", rubbish)),
        lambda o: o.targets.clear(),
        lambda o: o.targets.pop(),
        lambda o: o.targets.append(o.targets[0]),
        lambda o: o.targets.append(("agent/1.1.0/linux-x86_64/../../../../etc/shadow", rubbish)),
        lambda o: setattr(o, "version", "../../1.1.0"),
        lambda o: setattr(o, "version", "9.9.9"),
    ):
        offer = Offer.of(lab.repository, "1.1.0")
        change(offer)
        answer = lab.client.install(offer)
        assert answer.error and answer.message, offer
    offer = Offer.of(lab.repository, "1.1.0")
    answer = lab.client.install(offer, options=["--padding=60000000"])
    assert answer.error, answer
    _unchanged(lab, pid)
    return "1.0.0"


@case()
def descriptors_that_are_no_files(lab: Lab) -> str:
    pid = lab.machine.main_pid()
    lab.release("1.1.0")
    for odd in (Path("/dev/zero"), Path("/dev/null"), lab.run.folder):
        offer = Offer.of(lab.repository, "1.1.0")
        offer.targets[0] = (offer.targets[0][0], odd)
        answer = lab.client.install(offer)
        assert answer.error and answer.message, (odd, answer)
    answer = lab.client.install(Offer.of(lab.repository, "1.1.0"), options=["--write-only"])
    if not answer.error:
        wait_for(
            lambda: bus.last_result(lab.machine).get("transaction") == answer.transaction,
            30,
            "the end",
            0.2,
        )
        assert bus.last_result(lab.machine)["phase"] == "failed"
    _unchanged(lab, pid)
    return "1.0.0"


@case()
def expired_timestamp(lab: Lab) -> str:
    """Old metadata is as good as none: it stops updates, and never the agent."""
    pid = lab.machine.main_pid()
    lab.release("1.1.0")
    old = lab.run.folder / f"{lab.name}-old"
    shutil.copytree(lab.repository.folder, old)
    tool = [str(lab.build.program("fleet-release")), "--repo", str(old)]
    execute([*tool, "timestamp", "--yes", "--key", str(lab.build.key), "--expires", "1s"])
    expires = json.loads((old / "metadata" / "timestamp.json").read_text())["signed"]["expires"]
    wait_for(lambda: _now() > expires, 10, "the timestamp to expire", 0.2)
    lab.client.refused(Offer.of(old, "1.1.0"), "MetadataExpired")

    _put(lab, old)
    lab.machine.update("1.1.0")
    lab.refused("1.1.0", "metadata-expired")
    _unchanged(lab, pid)
    return "1.0.0"


@case()
def unsigned_release(lab: Lab) -> str:
    """Complete and consistent, but signed by somebody else."""
    pid = lab.machine.main_pid()
    attacker = _attackers(lab, "1.4.0", lab.run.folder / f"{lab.name}-attacker.key")
    lab.client.refused(Offer.of(attacker, "1.4.0"), "VerificationFailed")
    # With the attacker's root as the "next" one, too.
    offer = Offer.of(attacker, "1.4.0")
    offer.metadata.insert(0, ("2.root.json", attacker / "metadata" / "1.root.json"))
    lab.client.refused(offer, "VerificationFailed")

    told = lab.gateway.ctl("release", "import", attacker, check=False)
    assert told.returncode != 0, "the gateway imported it"
    assert [r["version"] for r in lab.gateway.api("GET", "/releases")["releases"]] == ["1.0.0"]

    lab.release("1.4.0")  # the gateway must know the version to ask for it
    _put(lab, attacker)
    lab.machine.update("1.4.0")
    lab.refused("1.4.0", "verification-failed")
    _unchanged(lab, pid)
    return "1.0.0"


@case()
def older_metadata(lab: Lab) -> str:
    """Metadata that was good once: whoever has seen newer does not take it."""
    lab.release("1.1.0")
    old = lab.run.folder / f"{lab.name}-older"
    shutil.copytree(lab.repository.folder, old)
    lab.release("1.2.0")
    lab.update("1.1.0")
    lab.release("1.4.0")
    answer = lab.client.install(Offer.of(old, "1.1.0"))
    assert answer.error == "VerificationFailed", answer
    return "1.1.0"


def _now() -> str:
    return execute(["date", "-u", "+%Y-%m-%dT%H:%M:%SZ"]).stdout.strip()


_QUICK = Settings(updater="ConfirmTimeoutSec=15\nSoakSec=1\n")
GROUPS = [
    Group("tamper", (tampered_target, older_metadata), _QUICK, minutes=1),
    Group("tampermeta", (tampered_metadata,), _QUICK),
    Group("rubbish", (rubbish_as_metadata, descriptors_that_are_no_files), _QUICK),
    Group("expired", (expired_timestamp,), _QUICK),
    Group("unsigned", (unsigned_release,), _QUICK),
]

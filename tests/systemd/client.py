# SPDX-License-Identifier: Apache-2.0
"""Hands files straight to the updater, past the agent: as user fleet-agent, or as anybody else."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import wait_for
from harness.product import Machine, Repository

from . import bus

_PROGRAM = "/usr/local/bin/updater-client"
_FOLDER = "/var/lib/offers"
_ERROR = "org.fleetagent.Error."


@dataclass
class Offer:
    """What Install is called with: files on the host. Who wants other ones changes the lists."""

    version: str
    metadata: list[tuple[str, Path]] = field(default_factory=list)
    targets: list[tuple[str, Path]] = field(default_factory=list)

    @staticmethod
    def of(repository: Repository | Path, version: str, arch: str = os.uname().machine) -> "Offer":
        """All that belongs to a version in a published repository, as an agent would collect it."""
        folder = repository.folder if isinstance(repository, Repository) else repository
        metadata = folder / "metadata"
        roots = sorted(metadata.glob("*.root.json"), key=lambda p: int(p.name.split(".")[0]))
        snapshot = (
            metadata / f"{_version(metadata / 'timestamp.json', 'snapshot.json')}.snapshot.json"
        )
        targets = metadata / f"{_version(snapshot, 'targets.json')}.targets.json"
        files = [*roots[1:], metadata / "timestamp.json", snapshot, targets]
        offer = Offer(version, [(path.name, path) for path in files])
        known = json.loads(targets.read_text())["signed"]["targets"]
        for name in ("agent", "updater"):
            path = f"agent/{version}/linux-{arch}/{name}"
            if path in known:
                digest = known[path]["hashes"]["sha256"]
                offer.targets.append(
                    (path, folder / "targets" / Path(path).parent / f"{digest}.{name}")
                )
        return offer


@dataclass
class Answer:
    transaction: str = ""  # 32 hexadecimal digits, when it was accepted
    error: str = ""  # name of the D-Bus error, without our prefix where it is ours
    message: str = ""


class Client:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def install(
        self, offer: Offer, *, user: str | None = "fleet-agent", options: Sequence[str] = ()
    ) -> Answer:
        """One call. user None is root."""
        box = self._machine.container
        program = self._machine.build.folder / "tests" / "systemd" / "updater-client"
        box.copy_in(program, _PROGRAM, 0o755)
        folder = box.path(_FOLDER)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o755)
        argv = [_PROGRAM, *options]
        for kind, files in (("metadata", offer.metadata), ("target", offer.targets)):
            for number, (name, path) in enumerate(files):
                inside = str(path)
                if not inside.startswith("/dev/"):
                    inside = f"{_FOLDER}/{kind}-{number}"
                    if path.is_dir():
                        box.path(inside).mkdir(mode=0o755)
                    else:
                        box.copy_in(path, inside, 0o666)
                argv.append(f"--{kind}={name}={inside}")
        argv.append(offer.version)
        if user is not None:
            argv = ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups", *argv]
        done = box.run(argv, check=False)
        text = done.stdout.strip()
        assert done.returncode in (0, 1), f"updater-client: {done}"
        if done.returncode == 0:
            return Answer(transaction=text.rsplit("/", 1)[1])
        name, _, message = text.partition(" ")
        return Answer(error=name.removeprefix(_ERROR), message=message)

    def refused(self, offer: Offer, error: str, **how: object) -> Answer:
        """The call is answered with this error, and with words."""
        answer = self.install(offer, **how)  # type: ignore[arg-type]
        assert answer.error == error and answer.message, f"expected {error}: {answer}"
        return answer

    def ends(
        self, offer: Offer, phase: str, verdict: str, *, timeout: float = 60, **how: object
    ) -> dict[str, str]:
        """The call is accepted, and its transaction ends so."""
        answer = self.install(offer, **how)  # type: ignore[arg-type]
        assert answer.transaction, f"refused: {answer}"

        def result() -> dict[str, str] | None:
            last = bus.last_result(self._machine)
            return last if last.get("transaction") == answer.transaction else None

        last = wait_for(result, timeout, f"the transaction to {offer.version} to end", 0.2)
        assert (last["phase"], last.get("verdict", "")) == (phase, verdict), last
        return last


def _version(path: Path, name: str) -> int:
    return int(json.loads(path.read_text())["signed"]["meta"][name]["version"])

# SPDX-License-Identifier: Apache-2.0
"""One machine: an overlay over the shared root, systemd as PID 1, its own network."""

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from .cgroup import Group
from .command import CommandError, execute
from .host import raise_inotify_limit
from .journal import Journal
from .mounts import unmount_below
from .netns import GATEWAY_ADDRESS, Link
from .paths import locate
from .wait import wait_for

# The host's environment says nothing about a fresh machine.
_ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")

# nspawn would show the container whatever hierarchies the host has. A mount of its own, in a mount
# namespace of its own, makes it see what production has, which is cgroup v2 and nothing else.
_PURE_CGROUP_V2 = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'

# bpf() is what IPAddressDeny= and DevicePolicy= are made of. nspawn allows it only when asked to,
# and drops CAP_NET_ADMIN when it is handed a network namespace, without which PrivateNetwork=
# leaves the loopback device down.
_SYSTEM_CALLS = "bpf"
_CAPABILITIES = "CAP_NET_ADMIN,CAP_BPF"

BOOT_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


class Container:
    """Made by Run.container(). Every method that waits is bounded."""

    def __init__(self, name: str, unique_name: str, folder: Path, group: Group, link: Link) -> None:
        self.name = name
        self.root = folder / "root"
        self.link = link
        self.journal = Journal(self.root)
        self._unique_name = unique_name
        self._folder = folder
        self._console = folder / "console.log"
        self._group = group
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init: int | None = None

    def __repr__(self) -> str:
        return f"Container({self.name!r}, {self.address})"

    @property
    def address(self) -> str:
        return self.link.address

    # Life and death

    def create(self, base: Path, machine_id: str | None = None) -> None:
        """Makes the file system. Two containers with one machine_id are a machine and its clone."""
        upper, work = self._folder / "upper", self._folder / "work"
        for folder in (upper, work, self.root):
            folder.mkdir(parents=True)
        layers = f"lowerdir={base},upperdir={upper},workdir={work}"
        execute(["mount", "-t", "overlay", "-o", layers, "overlay", str(self.root)])

        # An identity from the start, so that systemd does not take this for a first boot.
        self.write_file("/etc/machine-id", f"{machine_id or uuid.uuid4().hex}\n", mode=0o444)
        self.write_file("/etc/hostname", f"{self.name}\n")
        self.write_file(
            "/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n{GATEWAY_ADDRESS} gateway\n"
        )

    def boot(self) -> None:
        """Starts the machine and returns at once; wait_running() waits for it."""
        assert self._nspawn is None, f"{self.name} is up already"
        raise_inotify_limit()
        self._group.create()
        argv = self._group.entering(
            ["unshare", "--mount", "--propagation=private", "/bin/sh", "-c", _PURE_CGROUP_V2, "sh"]
        )
        argv += [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            f"--directory={self.root}",
            f"--machine={self._unique_name}",
            f"--hostname={self.name}",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--kill-signal=SIGRTMIN+3",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            f"--system-call-filter={_SYSTEM_CALLS}",
            f"--capability={_CAPABILITIES}",
            f"--network-namespace-path=/run/netns/{self.link.namespace}",
        ]
        with self._console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True,
            )

    def wait_running(self, timeout: float = BOOT_TIMEOUT, *, degraded_ok: bool = False) -> None:
        """Waits until systemd says that it has started everything, and that nothing failed."""
        state = wait_for(self._final_state, timeout, f"{self.name} to be up")
        if state == "running" or (degraded_ok and state == "degraded"):
            return
        failed = self.run(["systemctl", "--failed", "--plain", "--no-legend"]).stdout
        raise AssertionError(f"{self.name} is {state} after booting:\n{failed}")

    def is_up(self) -> bool:
        return self._nspawn is not None and self._nspawn.poll() is None

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Shuts down as an operator would; all units are stopped in order."""
        if self._nspawn is None:
            return
        if self.is_up():
            self._nspawn.terminate()
        self._reap(timeout)

    def kill_init(self) -> None:
        """Kills PID 1, and with it everything, at once: a power cut that spares the page cache."""
        os.kill(self._init_pid(), signal.SIGKILL)
        self._reap(STOP_TIMEOUT)

    def reboot(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Reboots from inside. nspawn ends upon that, and it is started again from here."""
        self.run(["systemctl", "reboot"])
        self._reap(STOP_TIMEOUT)
        self.boot()
        self.wait_running(timeout)

    def destroy(self) -> None:
        """Removes the machine and all its files. Its journal is gone after that."""
        self._group.kill()
        if self._nspawn is not None:
            self._reap(STOP_TIMEOUT)
        unmount_below(self._folder)
        self.link.remove()
        shutil.rmtree(self._folder)

    # Doing things inside

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        timeout: float = 60,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in all the machine's namespaces, as root, outside of every unit."""
        enter = ["nsenter", f"--target={self._init_pid()}", "--mount", "--uts", "--ipc", "--net"]
        enter += ["--pid", "--cgroup", "--root", "--wd", "--", "/usr/bin/env", "-i", *_ENVIRONMENT]
        return execute([*enter, *argv], check=check, timeout=timeout, input=input)

    def unit(
        self,
        argv: Sequence[str],
        *,
        properties: Sequence[str] = (),
        check: bool = True,
        timeout: float = 60,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in a transient unit, for what depends on its unit, user or sandbox."""
        wrapper = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]
        wrapper += [f"--property={setting}" for setting in properties]
        return self.run([*wrapper, "--", *argv], check=check, timeout=timeout, input=input)

    def show(self, unit: str, name: str) -> str:
        """One property of a unit, as systemctl show gives it."""
        shown = self.run(["systemctl", "show", "--value", f"--property={name}", "--", unit])
        return shown.stdout.strip()

    def boot_id(self) -> str:
        return self.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip()

    # Files, which can be reached while the machine is down, too

    def path(self, inside: str) -> Path:
        """Where a file of the machine is on the host; the file itself may be a link."""
        return locate(self.root, inside)

    def mounted_path(self, inside: str) -> Path:
        """Where it is while the machine runs, also on what is mounted there: a socket below /run."""
        return Path(f"/proc/{self._init_pid()}/root{inside}")

    def write_file(self, inside: str, content: str | bytes, mode: int = 0o644) -> None:
        target = self._replaceable(inside)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    def read_file(self, inside: str) -> str:
        return locate(self.root, inside, follow=True).read_text()

    def copy_in(self, source: Path, inside: str, mode: int | None = None) -> None:
        """Copies a file or a whole folder from the host."""
        if source.is_dir():
            shutil.copytree(source, self.path(inside), symlinks=True, dirs_exist_ok=True)
            return
        target = self._replaceable(inside)
        shutil.copy2(source, target)
        if mode is not None:
            target.chmod(mode)

    def save_logs(self, folder: Path) -> None:
        """Keeps the journal, for people and for programs, and what the console said."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.journal.txt").write_text(self.journal.text())
        stored = self.path("/var/log/journal")
        if stored.is_dir():
            shutil.copytree(stored, folder / f"{self.name}.journal", dirs_exist_ok=True)
        if self._console.exists():
            shutil.copy2(self._console, folder / f"{self.name}.console.log")

    # Private

    def _replaceable(self, inside: str) -> Path:
        """A place for a new file. An old one goes: it may be a link, or a running program."""
        target = self.path(inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        return target

    def _final_state(self) -> str | None:
        """What `systemctl is-system-running` says once it is final, None before."""
        if not self.is_up():
            raise AssertionError(f"{self.name} ended while booting:\n{self._console_tail()}")
        if self._find_init() is None:
            return None
        try:
            answer = self.run(
                ["systemctl", "is-system-running", "--wait"], check=False, timeout=20
            )
        except CommandError:
            return None  # too early for the bus: ask again, until the caller's time is up
        state = answer.stdout.strip()
        return state if state in ("running", "degraded", "maintenance", "stopping") else None

    def _console_tail(self) -> str:
        return "\n".join(self._console.read_text(errors="replace").splitlines()[-20:])

    def _init_pid(self) -> int:
        pid = self._find_init()
        if pid is None:
            raise AssertionError(f"{self.name} is not up:\n{self._console_tail()}")
        return pid

    def _find_init(self) -> int | None:
        """The host's id of the machine's PID 1: the one child that nspawn keeps."""
        if self._init is None and self.is_up():
            assert self._nspawn is not None
            for child in _children(self._nspawn.pid):
                if _is_systemd_init(child):
                    self._init = child
        return self._init

    def _reap(self, timeout: float) -> None:
        assert self._nspawn is not None
        try:
            self._nspawn.wait(timeout)
        except subprocess.TimeoutExpired:
            self._group.kill()
            self._nspawn.wait(timeout)
            raise AssertionError(f"{self.name} did not end within {timeout:g}s") from None
        finally:
            self._nspawn = None
            self._init = None
        self._group.kill()
        self._group.remove()


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _is_systemd_init(pid: int) -> bool:
    """True once the child has become systemd; before that it is still nspawn setting things up."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return facts.get("Name") == "systemd" and facts.get("NSpid", "").split()[-1:] == ["1"]

# SPDX-License-Identifier: Apache-2.0
"""Shows that the harness keeps its promises: python3 -m harness.selftest

Boots real machines. What it checks is what other tests build on, among it the effect of sandbox
settings that a container may ignore in silence.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import CommandError, Container, Run, wait_for
from .leftovers import clean_stale_runs, traces
from .progress import progress

_PORT = 7000

# Answers each connection with the address that it came from.
_SERVER = f"""
import socketserver
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.client_address[0].encode() + b"\\n")
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", {_PORT}), Handler).serve_forever()
"""

_ASK = ["timeout", "2", "bash", "-c", f"read -r a </dev/tcp/gateway/{_PORT} && echo $a"]

_SERVICE = """\
[Service]
ExecStart=/bin/sleep infinity
Restart=always
RestartSec=0
"""


def reach_gateway(run: Run, machines: tuple[Container, ...]) -> None:
    run.spawn([sys.executable, "-c", _SERVER], name="server")
    first = machines[0]
    wait_for(lambda: first.run(_ASK, check=False).returncode == 0, 10, "the server to answer")
    seen = [machine.run(_ASK).stdout.strip() for machine in machines]
    assert seen == [machine.address for machine in machines], seen
    assert len(set(seen)) == len(machines), seen


def cut_link(_run: Run, machines: tuple[Container, ...]) -> None:
    machine, other = machines[:2]
    for break_it, repair, status in (
        (machine.link.down, machine.link.up, 1),
        (machine.link.cut, machine.link.mend, 124),  # the time limit's, as nothing answers
    ):
        break_it()
        assert machine.run(_ASK, check=False).returncode == status
        assert other.run(_ASK).stdout.strip() == other.address
        repair()
        wait_for(lambda: machine.run(_ASK, check=False).returncode == 0, 10, "the link to be back")


def restart_unit(_run: Run, machines: tuple[Container, ...]) -> None:
    machine = machines[0]
    machine.write_file("/etc/systemd/system/sleeper.service", _SERVICE)
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "start", "sleeper.service"])
    before = machine.show("sleeper.service", "MainPID")
    machine.run(["systemctl", "restart", "sleeper.service"])
    after = machine.show("sleeper.service", "MainPID")
    assert "0" not in (before, after) and before != after, (before, after)

    machine.run(["systemctl", "kill", "--signal=KILL", "sleeper.service"])
    restarts = wait_for(
        lambda: int(machine.show("sleeper.service", "NRestarts")), 10, "systemd to restart it"
    )
    assert restarts == 1, restarts


def sandbox_is_real(_run: Run, machines: tuple[Container, ...]) -> None:
    machine = machines[0]
    assert machine.unit(_ASK).stdout.strip() == machine.address
    assert machine.unit(_ASK, properties=["IPAddressDeny=any"], check=False).returncode != 0
    alone = machine.unit(["cat", "/proc/net/dev"], properties=["PrivateNetwork=yes"]).stdout
    assert "lo:" in alone and "eth0:" not in alone, alone
    hierarchies = machine.run(["sh", "-c", "stat -f -c %T /sys/fs/cgroup"]).stdout.strip()
    assert hierarchies == "cgroup2fs", hierarchies


def files_and_errors(_run: Run, machines: tuple[Container, ...]) -> None:
    machine = machines[0]
    machine.write_file("/opt/a/b", "text\n", mode=0o600)
    assert machine.run(["cat", "/opt/a/b"]).stdout == "text\n" == machine.read_file("/opt/a/b")
    assert machine.run(["tr", "a-z", "A-Z"], input="in\n").stdout == "IN\n"
    machine.copy_in(Path(__file__).parent, "/opt/harness")
    assert machine.run(["test", "-f", "/opt/harness/selftest.py"]).returncode == 0

    for bad in ("/var/run/x", "/tmp/x", "relative"):
        _expect(ValueError, partial(machine.write_file, bad, ""))
    error = _expect(CommandError, lambda: machine.run(["sh", "-c", "echo why >&2; exit 7"]))
    assert "exit status 7" in error and "why" in error, error
    error = _expect(CommandError, lambda: machine.run(["sleep", "60"], timeout=0.3))
    assert "still running after 0.3s" in error, error


def read_journal(_run: Run, machines: tuple[Container, ...]) -> None:
    machine = machines[0]
    cursor = machine.journal.cursor()
    message_id = "0123456789abcdef0123456789abcdef"
    fields = f"MESSAGE=hello\nMESSAGE_ID={message_id}\nFLEET_VERSION=1.1.0\n"
    machine.run(["logger", "--journald"], input=fields)
    entries = wait_for(
        lambda: machine.journal.entries(since=cursor, fields={"MESSAGE_ID": message_id}),
        10,
        "the entry in the journal",
    )
    assert [entry["FLEET_VERSION"] for entry in entries] == ["1.1.0"], entries
    assert machine.journal.text(since=cursor).endswith(": hello\n")
    assert not machine.journal.text(since=machine.journal.cursor())
    assert "Started sleeper.service" in machine.journal.text(unit="sleeper.service")


def lose_power(_run: Run, machines: tuple[Container, ...]) -> None:
    machine = machines[0]
    machine.write_file("/opt/kept", "kept")
    before = machine.boot_id()
    machine.kill_init()
    assert not machine.is_up()
    assert machine.journal.entries(unit="sleeper.service"), "the journal after the crash"
    machine.boot()
    machine.wait_running()
    after = machine.boot_id()
    assert before != after
    assert machine.read_file("/opt/kept") == "kept"

    machine.reboot()
    assert machine.boot_id() not in (before, after)
    assert machine.run(_ASK).stdout.strip() == machine.address
    boots = {entry["_BOOT_ID"] for entry in machine.journal.entries()}
    assert len(boots) == 3, boots


def clone(run: Run, machines: tuple[Container, ...]) -> None:
    identity = machines[1].read_file("/etc/machine-id").strip()
    twin = run.container("twin", machine_id=identity)
    run.boot_all(twin)
    assert twin.run(["cat", "/etc/machine-id"]).stdout.strip() == identity
    assert twin.address != machines[1].address
    twin.stop()
    twin.boot()
    twin.wait_running()
    run.destroy(twin)


_CHECKS: tuple[Callable[[Run, tuple[Container, ...]], None], ...] = (
    reach_gateway,
    cut_link,
    restart_unit,
    sandbox_is_real,
    files_and_errors,
    read_journal,
    lose_power,
    clone,
)


def leave_nothing(ended: Run) -> None:
    left = traces(ended.id)
    assert not left, left


def keep_logs_of_failures() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FLEET_TEST_RESULTS"] = folder
        try:
            with Run("failing") as run:
                run.boot_all(run.container("a"))
                run.spawn(["echo", "from the server"], name="server").wait(10)
                raise RuntimeError("as intended")
        except RuntimeError:
            pass
        finally:
            del os.environ["FLEET_TEST_RESULTS"]
        (saved,) = Path(folder).iterdir()
        assert "Startup finished" in (saved / "a.journal.txt").read_text()
        assert (saved / "server.log").read_text() == "from the server\n"
        leave_nothing(run)


def end_on_signal(number: int, status: int) -> None:
    """A run is told to end, or killed; in the second case the next run cleans up."""
    with tempfile.TemporaryDirectory() as results:
        child, run_id = _start_victim(results)
        child.send_signal(number)
        assert child.wait(60) == status, child.returncode
        saved = [path.name for path in Path(results).glob("*/*.journal.txt")]
    if number == signal.SIGKILL:
        # Another run at the same time may have been quicker, which is as good.
        clean_stale_runs()
    else:
        assert sorted(saved) == ["a.journal.txt", "b.journal.txt"], saved
    assert not traces(run_id), traces(run_id)


def _start_victim(results: str) -> tuple[subprocess.Popen[str], str]:
    child = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.selftest", "--victim"],
        stdout=subprocess.PIPE,
        env={**os.environ, "FLEET_TEST_RESULTS": results},
        text=True,
    )
    assert child.stdout is not None
    run_id = child.stdout.readline().strip()
    assert run_id, "the victim did not start"
    return child, run_id


def _be_victim() -> None:
    with Run("victim") as run:
        run.spawn(["sleep", "1000"], name="sleeper")
        run.boot_all(run.container("a"), run.container("b"))
        print(run.id, flush=True)
        time.sleep(120)


def _expect(kind: type[Exception], action: Callable[[], object]) -> str:
    try:
        action()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


class _Score:
    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, name: str, action: Callable[[], object]) -> bool:
        started = time.monotonic()
        try:
            action()
        except Exception:
            traceback.print_exc()
            progress(f"FAILED {name}")
            self.failed += 1
            return False
        progress(f"ok {name} ({time.monotonic() - started:.2f}s)")
        self.passed += 1
        return True


def main() -> int:
    if sys.argv[1:] == ["--victim"]:
        _be_victim()
        return 0

    score = _Score()
    with Run("selftest") as run:
        machines = run.boot_all(*(run.container(name) for name in ("a", "b", "c")))
        for check in _CHECKS:
            name = check.__name__
            run.failed |= not score.check(name, lambda: check(run, machines))
    score.check("leave_nothing", lambda: leave_nothing(run))
    score.check("keep_logs_of_failures", keep_logs_of_failures)
    score.check("end_on_sigterm", lambda: end_on_signal(signal.SIGTERM, 128 + signal.SIGTERM))
    score.check("end_on_sigkill", lambda: end_on_signal(signal.SIGKILL, -signal.SIGKILL))
    print(f"{score.passed} passed, {score.failed} failed")
    return 1 if score.failed else 0


if __name__ == "__main__":
    sys.exit(main())

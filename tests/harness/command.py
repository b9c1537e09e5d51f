# SPDX-License-Identifier: Apache-2.0
"""Runs a host command with a time limit, and says everything about it when it fails."""

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence


class CommandError(AssertionError):
    """A command failed or took too long. Shows what it printed, which CalledProcessError hides."""

    def __init__(self, why: str, argv: Sequence[str], stdout: str, stderr: str) -> None:
        lines = [f"{shlex.join(argv)}: {why}"]
        lines += [f"  stdout: {line}" for line in stdout.splitlines()[-20:]]
        lines += [f"  stderr: {line}" for line in stderr.splitlines()[-20:]]
        super().__init__("\n".join(lines))


def execute(
    argv: Sequence[str],
    *,
    check: bool = True,
    timeout: float = 60,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Runs argv to its end and returns its output as text.

    The command gets a session of its own, for two reasons: at the time limit the whole group is
    killed, and a Ctrl-C reaches only the harness, which then takes things down in order.
    """
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env) if env is not None else None,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=pass_fds,
    )
    try:
        stdout, stderr = process.communicate(input, timeout)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        stdout, stderr = process.communicate()
        raise CommandError(f"still running after {timeout:g}s", argv, stdout, stderr) from None
    except BaseException:
        _kill_group(process)
        process.communicate()
        raise

    if check and process.returncode != 0:
        raise CommandError(_describe(process.returncode), argv, stdout, stderr)
    return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)


def _kill_group(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _describe(returncode: int) -> str:
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"

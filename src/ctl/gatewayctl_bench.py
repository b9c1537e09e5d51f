# SPDX-License-Identifier: Apache-2.0
"""The server and the bench of test-gatewayctl.py, for the tests of more commands."""

import importlib.machinery
import importlib.util
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

_loader = importlib.machinery.SourceFileLoader("test_gatewayctl", str(Path(__file__).with_name("test-gatewayctl.py")))
_spec = importlib.util.spec_from_loader(_loader.name, _loader)
base = importlib.util.module_from_spec(_spec)
_loader.exec_module(base)


def patiently(predicate, what, seconds=15):
    deadline = time.monotonic() + seconds
    while not (value := predicate()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)
    return value


class Terminal:
    """The program on a terminal of its own, or with that as its standard error alone."""

    def __init__(self, b, *arguments, **env):
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.execve(b.program, [b.program, *arguments], {**b.env, "TERM": "xterm", **env})
        self.text = ""

    def read(self, until, seconds=15):
        """What it has written by now, once that is there."""
        patiently(lambda: self._more() or until in self.text, until, seconds)
        return self.text

    def _more(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 10000)
            except OSError:
                return
            if not data:
                return
            self.text += data.decode()

    def write(self, text):
        os.write(self.fd, text.encode())

    def end(self, seconds=15):
        """Its exit code (negative: the signal), and everything it has written."""
        def gone():
            self._more()
            pid, status = os.waitpid(self.child, os.WNOHANG)
            return pid and (status,)

        (status,) = patiently(gone, "it to end", seconds)
        self._more()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status), self.text


def interrupt(b, *arguments, when, signo=signal.SIGINT):
    """Sends a signal once when() is true."""
    process = subprocess.Popen([b.program, *arguments], env=b.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        patiently(when, "the moment to interrupt")
        process.send_signal(signo)
        out, err = process.communicate(timeout=15)
    finally:
        if process.poll() is None:
            process.kill()
    return process.returncode, out, err


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)

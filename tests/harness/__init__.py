# SPDX-License-Identifier: Apache-2.0
"""Machines with a real systemd as PID 1, for the tests and the quickstart.

Containers made by systemd-nspawn share one Debian root and talk to each other in network
namespaces of their own. Nothing of the host is changed except one sysctl, and nothing is left.

    from harness import Run

    with Run("smoke") as run:
        run.spawn(["fleet-gatewayd", "..."], name="gateway")   # beside the containers, on 10.77.0.1
        a, b = run.boot_all(run.container("a"), run.container("b"))
        a.run(["systemctl", "is-active", "dbus"])

Only the standard library is used, and nothing outside of this folder.
"""

from .command import CommandError, execute
from .container import Container
from .run import Run
from .wait import WaitTimeout, wait_for

__all__ = ["CommandError", "Container", "Run", "WaitTimeout", "execute", "wait_for"]

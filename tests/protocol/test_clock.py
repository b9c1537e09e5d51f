# SPDX-License-Identifier: Apache-2.0
"""A machine whose clock is wrong keeps its identity: the gateway's clock is the judge."""

from harness.wait import wait_for

from .loopback import Loopback


def clock_ahead() -> None:
    """By its own clock the certificate has expired; there is no join token; it connects all the same."""
    with Loopback("clock") as loop:
        loop.start_gateway()
        agent = loop.new_agent()
        agent.start(loop.token())
        agent.wait_online()
        assert agent.program is not None
        agent.program.stop()
        wait_for(lambda: agent.seen()["state"] == "offline", 10, "the gateway to see it leave")
        agent.start(clock_ahead=35 * 86400)
        agent.wait_online()
        # and again after the gateway has been away
        assert loop.gateway is not None
        loop.gateway.stop()
        loop.start_gateway()
        agent.wait_online()


TESTS = [clock_ahead]

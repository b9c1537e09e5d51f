# SPDX-License-Identifier: Apache-2.0
"""The private network of a run: a bridge for the gateway, a cable for each container.

Every machine has a network namespace of its own. The addresses exist inside these namespaces only,
without any route to the host or beyond, so that all runs use the same ones.
"""

import ipaddress
import threading
from dataclasses import dataclass
from pathlib import Path

from .command import execute

_NETWORK = ipaddress.ip_network("10.77.0.0/16")
_FIRST_CONTAINER = 11
_NAMESPACES = Path("/run/netns")

# Otherwise a bridge takes the lowest address of its ports, a new one whenever a machine comes or
# goes, and all others lose the gateway for the seconds that their neighbour caches need.
_BRIDGE_MAC = "02:fa:00:00:00:01"

GATEWAY_ADDRESS = str(_NETWORK[1])


@dataclass(frozen=True)
class Link:
    """A machine's place in the network. Its own end of the cable is eth0."""

    namespace: str
    address: str
    switch: str
    port: str

    def down(self) -> None:
        """Takes the interface down: the machine sees it, and connecting fails at once."""
        _configure(self.namespace, "link set eth0 down")

    def up(self) -> None:
        _configure(self.namespace, "link set eth0 up")

    def cut(self) -> None:
        """Loses all packets in silence, as when a switch dies: peers find out by their timers."""
        _configure(self.switch, f"link set {self.port} nomaster")

    def mend(self) -> None:
        _configure(self.switch, f"link set {self.port} master br0")

    def remove(self) -> None:
        _delete(self.namespace)


class Network:
    """Makes namespaces whose names start with the run's id, which is how leftovers are found."""

    def __init__(self, run_id: str) -> None:
        self._prefix = f"{run_id}-"
        self._attached = 0
        self._lock = threading.Lock()
        self.gateway_namespace = f"{self._prefix}gw"

    def create(self) -> None:
        gateway = self.gateway_namespace
        execute(["ip", "netns", "add", gateway])
        _configure(
            gateway,
            "link set lo up",
            f"link add br0 address {_BRIDGE_MAC} type bridge",
            f"addr add {GATEWAY_ADDRESS}/{_NETWORK.prefixlen} dev br0",
            "link set br0 up",
        )

    def attach(self, name: str) -> Link:
        """Makes the namespace of one machine and plugs it into the bridge."""
        with self._lock:
            index = self._attached
            self._attached += 1
        link = Link(
            namespace=f"{self._prefix}{name}",
            address=str(_NETWORK[_FIRST_CONTAINER + index]),
            switch=self.gateway_namespace,
            port=f"port{index}",
        )

        execute(["ip", "netns", "add", link.namespace])
        _configure(
            link.namespace,
            "link set lo up",
            f"link add eth0 type veth peer name {link.port} netns {link.switch}",
            f"addr add {link.address}/{_NETWORK.prefixlen} dev eth0",
            "link set eth0 up",
        )
        _configure(link.switch, f"link set {link.port} master br0 up")
        return link

    def destroy(self) -> None:
        if not _NAMESPACES.is_dir():
            return
        for path in sorted(_NAMESPACES.iterdir()):
            if path.name.startswith(self._prefix):
                _delete(path.name)


def _configure(namespace: str, *commands: str) -> None:
    execute(["ip", "-n", namespace, "-batch", "-"], input="\n".join(commands) + "\n")


def _delete(namespace: str) -> None:
    execute(["ip", "netns", "delete", namespace])

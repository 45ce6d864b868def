"""Network namespaces of the stage: one with a bridge, one per cluster, joined by virtual Ethernet pairs."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..cluster.addresses import FABRIC_ADDRESS, FABRIC_NAMESPACE, FABRIC_NETWORK, NAME_PREFIX, ClusterAddresses
from ..errors import StageError
from .namespaces import NAMESPACES, call_inside

BRIDGE = "br0"
UPLINK = "eth0"

_NODE_SETTINGS = {
    # Pods reach each other and Services through the node.
    "net/ipv4/ip_forward": "1",
    # kube-proxy answers on 127.0.0.1 for node ports.
    "net/ipv4/conf/all/route_localnet": "1",
}


def fabric_commands(clusters: Sequence[ClusterAddresses]) -> list[str]:
    """Return the `ip` commands that lay the fabric, to be run inside its namespace."""
    commands = [
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"link set {BRIDGE} up",
        f"address add {FABRIC_ADDRESS}/{FABRIC_NETWORK.prefixlen} dev {BRIDGE}",
    ]
    for cluster in clusters:
        link = cluster.namespace
        commands += [
            f"link add {link} type veth peer name {UPLINK} netns {cluster.namespace}",
            f"link set {link} master {BRIDGE} up",
        ]
    return commands


def node_commands(cluster: ClusterAddresses) -> list[str]:
    """Return the `ip` commands that set up a node, to be run inside its namespace after the fabric's."""
    length = FABRIC_NETWORK.prefixlen
    return [
        "link set lo up",
        f"address add {cluster.node}/{length} dev {UPLINK}",
        f"address add {cluster.gateway}/{length} dev {UPLINK}",
        f"link set {UPLINK} up",
        f"route add default via {FABRIC_ADDRESS}",
    ]


def create_network(clusters: Sequence[ClusterAddresses], *, env: Mapping[str, str]) -> None:
    """Make every namespace with its links and addresses.

    Args:
        clusters: The clusters to join.
        env: Environment of the programs that do it, with the mark of the stage.

    Raises:
        StageError: A name is taken, or the kernel refuses a link.
    """
    names = [FABRIC_NAMESPACE, *(cluster.namespace for cluster in clusters)]
    _batch([f"netns add {name}" for name in names], namespace=None, env=env)
    _batch(fabric_commands(clusters), namespace=FABRIC_NAMESPACE, env=env)
    for cluster in clusters:
        _batch(node_commands(cluster), namespace=cluster.namespace, env=env)
        call_inside(cluster.namespace, _set_node_settings)


def existing_namespaces() -> tuple[str, ...]:
    """Return the names of network namespaces that have the stage's prefix."""
    if not NAMESPACES.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in NAMESPACES.iterdir() if entry.name.startswith(NAME_PREFIX)))


def remove_namespaces(names: Sequence[str]) -> None:
    """Remove network namespaces that exist; their links go with them.

    Raises:
        StageError: The kernel refuses.
    """
    present = set(existing_namespaces())
    commands = [f"netns delete {name}" for name in names if name in present]
    if commands:
        _batch(commands, namespace=None)


def _set_node_settings() -> None:
    for name, value in _NODE_SETTINGS.items():
        (Path("/proc/sys") / name).write_text(value, encoding="ascii")


def _batch(commands: Sequence[str], *, namespace: str | None, env: Mapping[str, str] | None = None) -> None:
    inside = ["-n", namespace] if namespace else []
    done = subprocess.run(
        ["ip", *inside, "-batch", "-"],
        input="\n".join(commands) + "\n",
        capture_output=True,
        text=True,
        check=False,
        env=env,
        timeout=30,
    )
    if done.returncode != 0:
        where = f" in {namespace}" if namespace else ""
        raise StageError(
            f"Cannot lay the stage's network{where}",
            remedy="Check that this machine may make network namespaces, bridges and veth links",
            details=tuple(done.stderr.strip().splitlines()),
        )

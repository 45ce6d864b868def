"""The command lines of one cluster's programs. Pure: program name and arguments."""

from collections.abc import Sequence
from pathlib import Path

from ..machine.namespaces import NAMESPACES
from .addresses import ClusterAddresses
from .files import API_PORT, ClusterFolder
from .pki import ClusterSecrets

ETCD_ADDRESS = "127.0.0.1:2379"
"""Loopback of the node's own network namespace."""

ETCD_PEER_ADDRESS = "127.0.0.1:2380"
"""The same; a single member listens there although nobody comes."""

PRIVATE_FOLDERS = (
    "/run/netns",
    "/run/containerd",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
)
"""Folders with fixed paths that containerd, its plugins and the kubelet write to.

Each node sees empty ones of its own, in a mount namespace that is gone with its last process: so nothing of
theirs can be left behind, and two nodes never meet.
"""


def in_network(namespace: str, argv: list[str]) -> list[str]:
    """Return a command that runs `argv` in a network namespace.

    Not ``ip netns exec``: that mounts /sys anew and hides the control groups.
    """
    return ["nsenter", f"--net={NAMESPACES / namespace}", *argv]


def in_node(namespace: str, mounts_pid: int, argv: list[str]) -> list[str]:
    """Return a command that runs `argv` in a node's network and mount namespaces.

    Args:
        namespace: The node's network namespace.
        mounts_pid: Process that holds its mount namespace.
        argv: Program and arguments.
    """
    mounts = f"--mount=/proc/{mounts_pid}/ns/mnt"
    return ["nsenter", f"--net={NAMESPACES / namespace}", mounts, *argv]


def mounts_holder() -> list[str]:
    """Return a command that holds a mount namespace with private folders for the node's programs."""
    return private_mounts(["sleep", "infinity"])


def private_mounts(argv: list[str], folders: Sequence[str] = PRIVATE_FOLDERS) -> list[str]:
    """Return a command that runs `argv` in a mount namespace of its own, with empty folders in place of `folders`.

    Mounts of the machine go in and are taken away there as well (`slave`), mounts of the node stay inside.
    Every folder must exist.
    """
    mounts = [f"mount -t tmpfs -o mode=755 tmpfs {folder}" for folder in folders]
    script = " && ".join(["mount --make-rshared /", *mounts, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation=slave", "sh", "-c", script, "sh", *argv]


def etcd(program: Path, folder: ClusterFolder) -> list[str]:
    """Return the command of the database.

    Its data live in memory, for as long as the process: they are worth nothing without it, and no disk is waited for.
    """
    client, peer = f"http://{ETCD_ADDRESS}", f"http://{ETCD_PEER_ADDRESS}"
    argv = [
        str(program),
        f"--data-dir={folder.database / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
        "--logger=zap",
    ]
    return private_mounts(argv, [str(folder.database)])


def api_server(program: Path, addresses: ClusterAddresses, secrets: ClusterSecrets) -> list[str]:
    """Return the command of the API server."""
    return [
        str(program),
        f"--etcd-servers=http://{ETCD_ADDRESS}",
        f"--secure-port={API_PORT}",
        "--bind-address=0.0.0.0",
        f"--advertise-address={addresses.node}",
        f"--tls-cert-file={secrets.certificate('apiserver')}",
        f"--tls-private-key-file={secrets.key('apiserver')}",
        f"--kubelet-client-certificate={secrets.certificate('kubelet-client')}",
        f"--kubelet-client-key={secrets.key('kubelet-client')}",
        f"--kubelet-certificate-authority={secrets.authority}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--token-auth-file={secrets.tokens}",
        "--authorization-mode=RBAC",
        f"--service-cluster-ip-range={addresses.services}",
        f"--service-account-key-file={secrets.service_account_verifier}",
        f"--service-account-signing-key-file={secrets.key('service-accounts')}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--allow-privileged=true",
        "--enable-aggregator-routing=true",
        "--profiling=false",
    ]


def controller_manager(program: Path, folder: ClusterFolder, secrets: ClusterSecrets) -> list[str]:
    """Return the command of the controller manager, without the controllers that need a cloud."""
    off = ("cloud-node-lifecycle-controller", "service-lb-controller", "node-route-controller")
    return [
        str(program),
        f"--kubeconfig={folder.kubeconfig}",
        "--leader-elect=false",
        f"--service-account-private-key-file={secrets.key('service-accounts')}",
        f"--root-ca-file={secrets.authority}",
        f"--cluster-signing-cert-file={secrets.authority}",
        f"--cluster-signing-key-file={secrets.authority_key}",
        f"--flex-volume-plugin-dir={folder.root / 'volume-plugins'}",
        f"--controllers=*,{','.join(f'-{name}' for name in off)}",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    ]


def scheduler(program: Path, folder: ClusterFolder) -> list[str]:
    """Return the command of the scheduler."""
    return [
        str(program),
        f"--kubeconfig={folder.kubeconfig}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    ]


def kubelet(program: Path, addresses: ClusterAddresses, folder: ClusterFolder) -> list[str]:
    """Return the command of the kubelet."""
    return [
        str(program),
        f"--config={folder.kubelet_config}",
        f"--kubeconfig={folder.kubeconfig}",
        f"--root-dir={folder.root / 'kubelet'}",
        f"--cert-dir={folder.root / 'kubelet-pki'}",
        f"--hostname-override={addresses.node_name}",
        f"--node-ip={addresses.node}",
    ]


def import_image(folder: ClusterFolder, archive: Path) -> list[str]:
    """Return the command that loads an image archive into a cluster's containerd."""
    return ["ctr", "-a", str(folder.containerd_socket), "-n", "k8s.io", "images", "import", str(archive)]

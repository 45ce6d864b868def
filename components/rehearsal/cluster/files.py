"""The configuration files of one cluster, as text. Pure: what goes where, and why."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from ...model import JsonObject
from .addresses import ClusterAddresses

PAUSE_IMAGE = "stage.local/pause:1"
"""Image of the container that holds a pod's namespaces."""

API_PORT = 6443
KUBELET_PORT = 10250
PROXY_HEALTH_PORT = 10256
DNS_PORT = 53


@dataclass(frozen=True, kw_only=True)
class ClusterFolder:
    """Where one cluster keeps its files, below the stage's state directory."""

    root: Path

    @property
    def pki(self) -> Path:
        """Certificates, keys and tokens."""
        return self.root / "pki"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's access; a secret."""
        return self.root / "kubeconfig"

    @property
    def database(self) -> Path:
        """Mount point of the memory that holds the API server's database."""
        return self.root / "database"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd answers."""
        return self.root / "containerd.sock"

    @property
    def image_store(self) -> Path:
        """Images and containers of the node."""
        return self.root / "containerd"

    @property
    def containerd_config(self) -> Path:
        """Configuration of containerd."""
        return self.root / "containerd.toml"

    @property
    def cni(self) -> Path:
        """Folder with the pod network's configuration."""
        return self.root / "cni"

    @property
    def kubelet_config(self) -> Path:
        """Configuration of the kubelet."""
        return self.root / "kubelet.yaml"

    @property
    def proxy_config(self) -> Path:
        """Configuration of kube-proxy."""
        return self.root / "kube-proxy.yaml"

    @property
    def corefile(self) -> Path:
        """Configuration of CoreDNS."""
        return self.root / "Corefile"

    @property
    def hosts(self) -> Path:
        """Names outside the cluster that its DNS server knows, in the format of /etc/hosts."""
        return self.root / "hosts"

    @property
    def resolv(self) -> Path:
        """Name servers of the node: none, so that nothing of the machine's configuration gets into pods."""
        return self.root / "resolv.conf"


def kubeconfig(addresses: ClusterAddresses, *, authority: bytes, token: str) -> str:
    """Return a kubeconfig with one cluster, one user, one context, each named after the role."""
    name = addresses.role
    return _yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": f"https://{addresses.node}:{API_PORT}",
                        "certificate-authority-data": base64.b64encode(authority).decode(),
                    },
                }
            ],
            "users": [{"name": f"{name}-admin", "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-admin"}}],
            "current-context": name,
        }
    )


def containerd_config(folder: ClusterFolder, *, store: Path | None = None) -> str:
    """Return containerd's configuration: everything below the cluster's folder, nothing shared with others.

    Args:
        folder: The cluster's folder.
        store: Where images are kept; None means the cluster's own store.
    """
    root = folder.root
    values = {
        "root": str(store or folder.image_store),
        "state": str(root / "containerd-run"),
        "socket": str(folder.containerd_socket),
        "pause": PAUSE_IMAGE,
        "cni": str(folder.cni),
        "runc": str(root / "runc"),
    }
    text = {name: json.dumps(value) for name, value in values.items()}
    # `opt` would make /opt/containerd; the snapshotters are for file systems that are not used here.
    # restrict_oom_score_adj: the kernel refuses lower values than the caller's inside many sandboxes.
    # Own runc root: two clusters that share the default one end each other's pods.
    return f"""\
version = 2
root = {text["root"]}
state = {text["state"]}
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = {text["socket"]}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {text["pause"]}
  restrict_oom_score_adj = true
  disable_apparmor = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = {text["cni"]}

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = {text["runc"]}
"""


def pod_network(addresses: ClusterAddresses, folder: ClusterFolder) -> str:
    """Return the CNI configuration: a bridge in the node's namespace; pods leave with the node's address."""
    bridge: JsonObject = {
        "type": "bridge",
        "bridge": "cni0",
        "isDefaultGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(folder.root / "ipam"),
            "ranges": [[{"subnet": str(addresses.pods)}]],
        },
    }
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "0.4.0", "name": addresses.namespace, "plugins": plugins}, indent=2)


def kubelet_config(addresses: ClusterAddresses, folder: ClusterFolder) -> str:
    """Return the kubelet's configuration."""
    root, pki = folder.root, folder.pki
    return _yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            # Version 1 control groups still are what many machines have.
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{addresses.cgroup}",
            # The control groups of the system's own programs are not ours to limit.
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "address": str(addresses.node),
            "port": KUBELET_PORT,
            "readOnlyPort": 0,
            "healthzPort": 0,
            "tlsCertFile": str(pki / "kubelet.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet.key"),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "clusterDNS": [str(addresses.node)],
            "clusterDomain": "cluster.local",
            "resolvConf": str(folder.resolv),
            # Images are imported, never pulled: they must neither be collected nor checked for pull secrets.
            "imageGCHighThresholdPercent": 100,
            "imagePullCredentialsVerificationPolicy": "NeverVerify",
            "evictionHard": {"memory.available": "100Mi"},
            "containerRuntimeEndpoint": f"unix://{folder.containerd_socket}",
            "podLogsDir": str(root / "pod-logs"),
            "volumePluginDir": str(root / "volume-plugins"),
            "maxPods": 60,
            "nodeStatusUpdateFrequency": "5s",
            "syncFrequency": "10s",
        }
    )


def proxy_config(addresses: ClusterAddresses, folder: ClusterFolder) -> str:
    """Return kube-proxy's configuration."""
    return _yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(folder.kubeconfig)},
            "clusterCIDR": str(addresses.pods),
            "hostnameOverride": addresses.node_name,
            # The sizes of the connection table belong to the whole machine and are not writable in a namespace.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "metricsBindAddress": "127.0.0.1:10249",
            "healthzBindAddress": f"127.0.0.1:{PROXY_HEALTH_PORT}",
        }
    )


def corefile(folder: ClusterFolder) -> str:
    """Return CoreDNS' configuration: the cluster's names, and the hosts file for names outside."""
    return f"""\
.:{DNS_PORT} {{
  errors
  cache 5
  hosts {folder.hosts} {{
    ttl 5
    reload 1s
    fallthrough
  }}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {folder.kubeconfig}
    pods insecure
  }}
}}
"""


def hosts_file(entries: Mapping[str, str]) -> str:
    """Return the hosts file for names and their addresses, sorted by name."""
    return "".join(f"{address} {name}\n" for name, address in sorted(entries.items()))


def _yaml(value: JsonObject) -> str:
    return yaml.safe_dump(value, sort_keys=False)

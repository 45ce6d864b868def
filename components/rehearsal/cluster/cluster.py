"""One cluster of the stage: real Kubernetes programs in one network namespace, with one node."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from ..machine.cgroups import create_cgroup
from ..machine.files import write_secret, write_text
from ..machine.processes import ProcessTable, StageProcess, wait_until
from ..progress import Progress
from ..toolchain import Toolchain
from . import commands, files
from .addresses import ClusterAddresses
from .api_probe import ApiProbe
from .files import ClusterFolder
from .image_store import link_store
from .pki import ClusterSecrets, make_secrets

READY_TIMEOUT = 120.0
"""Seconds until a part counts as broken. Twenty times what it takes; a loaded machine is slow, not broken."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Starts one cluster; ending it is the business of the clean-up, which needs no memory of the start."""

    addresses: ClusterAddresses
    folder: ClusterFolder
    toolchain: Toolchain
    processes: ProcessTable
    image_store: Path
    """Unpacked images that the node starts with."""
    progress: Progress
    cancelled: Event
    """Set when the start is given up."""

    def start(self) -> None:
        """Start every program and wait until the node is ready.

        Raises:
            StageError: A program failed or did not become ready; the error has the end of its log.
        """
        secrets = self._write_files()
        create_cgroup(self.addresses.cgroup)
        probe = ApiProbe(self.addresses, secrets)
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix=self.addresses.role) as pool:
            node = pool.submit(self._start_containerd)
            api = pool.submit(self._start_api, probe, secrets)
            mounts = node.result()
            api.result()
            with self.progress.step(f"{self.addresses.role}: node"):
                self._start_node(probe, mounts)

    def _write_files(self) -> ClusterSecrets:
        addresses, folder = self.addresses, self.folder
        secrets = make_secrets(
            folder.pki,
            role=addresses.role,
            node_name=addresses.node_name,
            node=addresses.node,
            api_service=addresses.api_service,
        )
        access = files.kubeconfig(addresses, authority=secrets.authority.read_bytes(), token=secrets.token)
        write_secret(folder.kubeconfig, access.encode())
        write_text(folder.containerd_config, files.containerd_config(folder))
        write_text(folder.cni / "10-pods.conflist", files.pod_network(addresses, folder))
        write_text(folder.kubelet_config, files.kubelet_config(addresses, folder))
        write_text(folder.proxy_config, files.proxy_config(addresses, folder))
        write_text(folder.corefile, files.corefile(folder))
        write_text(folder.hosts, files.hosts_file({}))
        write_text(folder.resolv, "")
        return secrets

    def _start(self, program: str, argv: list[str]) -> StageProcess:
        return self.processes.start(f"{self.addresses.role}-{program}", argv)

    def _in_network(self, program: str, argv: list[str]) -> StageProcess:
        return self._start(program, commands.in_network(self.addresses.namespace, argv))

    def _start_api(self, probe: ApiProbe, secrets: ClusterSecrets) -> None:
        program, folder = self.toolchain.program, self.folder
        with self.progress.step(f"{self.addresses.role}: API server"):
            folder.database.mkdir(mode=0o700, exist_ok=True)
            etcd = self._in_network("etcd", commands.etcd(program("etcd"), folder))
            host, _, port = commands.ETCD_ADDRESS.partition(":")
            self._wait(lambda: probe.accepts(host, int(port)), "database accepts connections", etcd)
            command = commands.api_server(program("kube-apiserver"), self.addresses, secrets)
            server = self._in_network("apiserver", command)
            self._wait(probe.ready, "API server is ready", server, etcd)
            command = commands.controller_manager(program("kube-controller-manager"), folder, secrets)
            self._in_network("controller-manager", command)
            self._in_network("scheduler", commands.scheduler(program("kube-scheduler"), folder))

    def _start_containerd(self) -> int:
        link_store(self.image_store, self.folder.image_store, env=self.processes.environment)
        holder = self._start("mounts", commands.mounts_holder())
        self._wait(lambda: _program_of(holder.pid) == "sleep", "node has its own mounts", holder)
        argv = ["containerd", f"--config={self.folder.containerd_config}"]
        command = commands.in_node(self.addresses.namespace, holder.pid, argv)
        containerd = self._start("containerd", command)
        self._wait(self.folder.containerd_socket.exists, "containerd answers", containerd)
        return holder.pid

    def _start_node(self, probe: ApiProbe, mounts: int) -> None:
        program, folder, namespace = self.toolchain.program, self.folder, self.addresses.namespace
        kubelet_argv = commands.kubelet(program("kubelet"), self.addresses, folder)
        kubelet = self._start("kubelet", commands.in_node(namespace, mounts, kubelet_argv))
        proxy_argv = [str(program("kube-proxy")), f"--config={folder.proxy_config}"]
        proxy = self._start("kube-proxy", commands.in_node(namespace, mounts, proxy_argv))
        dns = self._in_network("coredns", [str(program("coredns")), "-conf", str(folder.corefile)])
        self._wait(probe.node_ready, "node is ready", kubelet)
        self._wait(probe.proxy_ready, "kube-proxy is ready", proxy)
        self._wait(lambda: probe.accepts(str(self.addresses.node), files.DNS_PORT), "DNS answers", dns)
        self._wait(probe.has_default_account, "service accounts are made", kubelet)

    def _wait(self, condition: Callable[[], bool], what: str, *watched: StageProcess) -> None:
        wait_until(
            condition,
            what=f"{self.addresses.role}: {what}",
            timeout=READY_TIMEOUT,
            watched=watched,
            cancelled=self.cancelled,
        )


def publish_hosts(folder: ClusterFolder, entries: Mapping[str, str]) -> None:
    """Make a cluster's DNS server answer names outside the cluster; it reads the file every second."""
    write_text(folder.hosts, files.hosts_file(entries))


def _program_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

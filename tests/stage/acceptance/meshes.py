"""Both meshes, brought up once: what the components declare, by Helm and by server-side apply."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.mesh import IstioCharts
from pulumi_traffic_mirror.model import MirrorOffer, Protocol
from pulumi_traffic_mirror.rehearsal.cluster.commands import import_image
from pulumi_traffic_mirror.rehearsal.cluster.pki import Authority
from pulumi_traffic_mirror.rehearsal.images.build import python_app_image
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until
from pulumi_traffic_mirror.rehearsal.places import cache_directory
from pulumi_traffic_mirror.rehearsal.stage import Stage
from pulumi_traffic_mirror.rehearsal.stage_values import GATEWAY_VALUES, ISTIOD_VALUES

from . import terms
from .declared import cluster, declare
from .outpost import Outpost
from .peers import SOURCE, caller_objects, echo_objects
from .terms import CLIENT_CREDENTIAL, CONTRACTS, GATEWAY, NAMESPACE, PORTS, SERVER_CREDENTIAL, STAGING, TESTING

READY_SECONDS = 120

GATEWAY_NAMESPACES = (GATEWAY.namespace, "native-gateway")
"""Where gateways may be; in the second only while cases of the Gateway API run."""


class Meshes:
    """Istio, gateways and workloads in both clusters of a stage.

    Args:
        stage: Two empty clusters.
        outpost: Reaches them.
    """

    def __init__(self, stage: Stage, outpost: Outpost) -> None:
        self.stage = stage
        self.outpost = outpost
        self.offers: dict[Protocol, dict[str, Any]] = {}
        self._authority = Authority("acceptance")

    def bring_up(self) -> None:
        """Install everything and wait until all pods are ready."""
        peer = self._peer_image()
        programs = {STAGING: self.staging, TESTING: self.testing}
        steps = {
            role: declare(program, gateway_address=self.stage.gateway_addresses[role]).steps
            for role, program in programs.items()
        }
        versions = {STAGING: ("v1", "v2", "v3"), TESTING: ("v1",)}
        own = {role: [o for v in versions[role] for o in echo_objects(peer, v)] for role in programs}
        own[STAGING] += list(caller_objects(peer))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda role: self.install(role, [*steps[role], *own[role]]), programs))
        for protocol, contract in CONTRACTS.items():
            self.offers[protocol] = dict(MirrorOffer.of(contract, self.stage.gateway_addresses[TESTING]).to_json())

    def staging(self, env: Mapping[str, str] | None = None) -> None:
        """Declare the cluster that owns the traffic."""
        mesh, hello = self._control_plane(env or {})
        servers = [tm.client_server(terms.hosts(protocol), port, protocol) for protocol, port in PORTS.items()]
        tm.MeshGateway("gateway", self.gateway(mesh, servers, CLIENT_CREDENTIAL))
        self._greeters(mesh, hello, "v1", "v2")

    def testing(self) -> None:
        """Declare the cluster that receives mirrors."""
        mesh, hello = self._control_plane({})
        servers = [tm.receiver_server(contract, SERVER_CREDENTIAL) for contract in CONTRACTS.values()]
        names = [str(contract.mirror_host) for contract in CONTRACTS.values()]
        gateway = tm.MeshGateway("gateway", self.gateway(mesh, servers, SERVER_CREDENTIAL, *names))
        self._greeters(mesh, hello, "v1")
        for protocol, contract in CONTRACTS.items():
            service = terms.greeter() if protocol is Protocol.GRPC else terms.echo("v1", protocol)
            tm.MirrorReceiver(
                f"receiver-{protocol.port_name}",
                tm.MirrorReceiverArgs(
                    mesh=mesh, gateway=gateway, contract=contract, namespace=NAMESPACE, service=service
                ),
            )

    def install_istiod(self, role: str, env: Mapping[str, str]) -> None:
        """Change the environment of a control plane and wait until the new one serves."""
        declared = declare(lambda: self._control_plane(env))
        istiod = next(step for step in declared.steps if step.get("name") == "istiod")
        self.install(role, [istiod])
        # Ended in order, the old one would keep its proxies for ten seconds and leave them waiting for longer.
        pods = self.outpost.ask("find", role, "v1", "Pod", "istio-system", "app=istiod")
        for pod in pods:
            if pod["metadata"].get("deletionTimestamp"):
                name = pod["metadata"]["name"]
                # Without force: that would take the pod off the list and leave the node its time.
                now = ("--grace-period=1", "--wait=false", "--ignore-not-found")
                self.stage.kubectl(role, "-n", "istio-system", "delete", "pod", name, *now)

    def issue(self, name: str, *, own: bool = True) -> tuple[bytes, bytes]:
        """Return certificate and key of a client, by the authority that the gateways trust or by another one."""
        return (self._authority if own else Authority("stranger")).issue(name)

    def _control_plane(self, env: Mapping[str, str]) -> tuple[tm.MeshHandle, tm.MeshNamespace]:
        here = cluster()
        args = tm.IstioControlPlaneArgs(
            cluster=here,
            version=self.stage.istio_version,
            charts=IstioCharts.in_directory(str(self.stage.charts)),
            size=tm.Size.SMALL,
            image_pull_policy=tm.ImagePullPolicy.IF_NOT_PRESENT,
            values=ISTIOD_VALUES,
            env=env,
        )
        mesh = tm.IstioControlPlane("istio", args).handle
        return mesh, tm.MeshNamespace("hello", tm.MeshNamespaceArgs(cluster=here, mesh=mesh, namespace=NAMESPACE))

    def gateway(
        self, mesh: tm.MeshHandle, servers: list[tm.GatewayServer], credential: str, *names: str, **values: Any
    ) -> tm.MeshGatewayArgs:
        """Return the arguments of a gateway with a certificate for some names."""
        certificate, key = self._authority.issue(credential, dns=names)
        pem = tm.TlsCredential(
            name=credential,
            certificate=certificate.decode(),
            key=key.decode(),
            ca=self._authority.certificate.public_bytes(Encoding.PEM).decode(),
        )
        return tm.MeshGatewayArgs(
            mesh=mesh,
            servers=servers,
            credentials=[pem],
            size=tm.Size.SMALL,
            values=GATEWAY_VALUES,
            internal_by_itself=tm.Waiver(reason="the fabric of this machine leads nowhere else"),
            **values,
        )

    def _greeters(self, mesh: tm.MeshHandle, hello: tm.MeshNamespace, *versions: str) -> None:
        for version in versions:
            args = tm.GreeterArgs(
                cluster=mesh.cluster,
                mesh=mesh,
                namespace=hello,
                image=self.stage.images["greeter"],
                allow_tag=True,
                version=version,
                replicas=1,
            )
            tm.Greeter(f"greeter-{version}", args)

    def _peer_image(self) -> str:
        image = python_app_image(
            "stage.local/acceptance-peer",
            tag=None,
            source=SOURCE,
            entry="/app/echo.py",
            cache=cache_directory(),
            progress=self.stage.progress,
        )
        for role in self.stage.roles:
            command = import_image(self.stage.folder(role), image.archive)
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        return image.reference

    def install(self, role: str, steps: Sequence[Mapping[str, Any]]) -> None:
        """Make releases and objects, and wait until every Deployment is ready."""
        for step in steps:
            if "chart" in step:
                self._helm(role, step)
            else:
                self.outpost.ask("apply", role, dict(step))
        wait_until(lambda: self.all_ready(role), what=f"{role}: every Deployment is ready", timeout=READY_SECONDS)

    def _helm(self, role: str, release: Mapping[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            values = Path(folder) / "values.json"
            values.write_text(json.dumps(release.get("values", {})), encoding="utf-8")
            self.stage.run_in_fabric(
                [
                    *("helm", f"--kubeconfig={self.stage.kubeconfigs[role]}", f"--namespace={release['namespace']}"),
                    *("upgrade", "--install", "--wait", f"--timeout={READY_SECONDS}s", f"--values={values}"),
                    *(str(release["name"]), str(release["chart"])),
                ],
                timeout=READY_SECONDS + 30,
            )

    def all_ready(self, role: str) -> bool:
        """Tell whether every Deployment has exactly the pods that it wants, all of the newest template and ready."""
        found = [
            deployment
            for namespace in (NAMESPACE, *GATEWAY_NAMESPACES, "istio-system")
            for deployment in self.outpost.ask("find", role, "apps/v1", "Deployment", namespace, "")
        ]
        return all(_is_ready(deployment) for deployment in found)


def _is_ready(deployment: Mapping[str, Any]) -> bool:
    wanted, status = deployment["spec"]["replicas"], deployment.get("status", {})
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
    return counts == [wanted] * 3 and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]

"""What the linter says of a mesh."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pulumi_traffic_mirror.model.istio import IstioBehaviour, IstioVersion
from pulumi_traffic_mirror.model.routing import service_host
from pulumi_traffic_mirror.model.rules import (
    ClusterObjects,
    Finding,
    Mesh,
    MirrorEntry,
    Outcome,
    run_rules,
)
from pulumi_traffic_mirror.model.rules.objects import service_name
from pulumi_traffic_mirror.model.rules.outlets import own_hosts
from pulumi_traffic_mirror.model.rules.sidecar_ports import may_be_elsewhere
from pulumi_traffic_mirror.operations.meshes import mesh_settings
from tests.differential.maker import Object


@dataclass(frozen=True)
class Claims:
    """What the linter says of a mesh."""

    cluster: ClusterObjects
    findings: Sequence[Finding]

    def of(self, mirror_entry: MirrorEntry, *, sure: bool = False) -> set[str]:
        """Rules that find fault with a mirror; with ``sure`` only where nothing that is not at hand may change it."""
        subject, path = str(mirror_entry.source), mirror_entry.node.path
        return {
            found.rule
            for found in self.findings
            if found.object == subject
            and (found.field.startswith(path) or path.startswith(found.field))
            and not (sure and found.likely)
        }

    def external(self, mirror_entry: MirrorEntry) -> bool:
        """Whether a mirror goes to a Service of type ExternalName, whose cluster depends on the listener's port."""
        return mirror_entry.target.host in self.stand_ins

    @property
    def stand_ins(self) -> dict[str, str]:
        """What Services of type ExternalName stand for, by their full names."""
        found = self.cluster.of("Service")
        return {
            service_host(each.name, each.namespace): each.spec["externalName"].text()
            for each in found
            if each.spec["type"].text() == "ExternalName"
        }

    def defined_twice(self, mirror_entry: MirrorEntry) -> bool:
        """Whether a ServiceEntry defines a Service's name that a mirror's entry is for or leads to."""
        leads_to = (each.host for each in (mirror_entry.target, *mirror_entry.route.primaries))
        hosts = (*own_hosts(mirror_entry.route), *leads_to)
        return any(service_name(host) and self.cluster.service_entries.exactly(host) for host in hosts)

    def unclear(self, mirror_entry: MirrorEntry) -> bool:
        """Whether who sends depends on what is not at hand.

        On labels of callers or of the route's namespace, or on the ports of a Service whose namespace has none here.
        """
        if any(may_be_elsewhere(self.cluster, host) for host in own_hosts(mirror_entry.route)):  # beyond: elsewhere
            return True
        selective = [
            each.spec["workloadSelector"]
            for each in self.cluster.of("EnvoyFilter", "DestinationRule", "Sidecar")
            if each.spec["workloadSelector"].given
        ]
        labelled = any(
            match["sourceLabels"].given
            for route in self.cluster.routing.of_owner(mirror_entry.route.owner)
            for entry in (route.entry, route.outer)
            for match in entry["match"].elements()
        )
        unlabelled = self.unlabelled(mirror_entry.source.namespace, mirror_entry.route.gateways)
        gateways = mirror_entry.route.gateways
        nowhere = any(not self.cluster.gateways.has_pods_of(each) for each in gateways)
        return labelled or unlabelled or (bool(selective) and nowhere)  # beyond: labels

    def unlabelled(self, namespace: str, gateways: Iterable[str]) -> bool:
        """Whether some gateway takes routes by labels of a namespace that is not at hand."""
        return not self.cluster.find("Namespace", "default", namespace) and any(
            listener.node["allowedRoutes"]["namespaces"]["from"].text() == "Selector"
            for name in gateways
            for listener in self.cluster.listeners.by_gateway.get(name, ())
        )

    def about(self, subject: str) -> set[str]:
        """Rules that find fault with an object."""
        return {found.rule for found in self.findings if found.object == subject}

    def naming(self, *texts: str) -> set[str]:
        """Rules whose findings name something."""
        return {found.rule for found in self.findings if all(text in found.message for text in texts)}

    def patched(self, mirror_entry: MirrorEntry) -> bool:
        """Whether an EnvoyFilter is said to do something about a mirror."""
        target = f"|{mirror_entry.target.subset}|{mirror_entry.target.host}"
        return "mirror-policy-drift" in self.naming(str(mirror_entry.source), target)


def claims_of(objects: Sequence[Object]) -> Claims:
    """Run every rule."""
    istio = IstioBehaviour(version=IstioVersion(1, 31))
    mesh = mesh_settings(objects)
    cluster = ClusterObjects(
        name="mesh",
        objects=objects,
        istio=istio,
        complete=True,
        root_namespace=mesh.root_namespace,
        mesh_config=mesh.config,
    )
    found = run_rules(Mesh(clusters=[cluster]))
    return Claims(cluster, [each for each in found if each.outcome is not Outcome.WAIVED])

"""The route that mirrors hang on where this library owns it: what staging is told to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .checks import bounded, instance, member
from .contract import contract_hosts
from .errors import ValidationError
from .guards import Guards, check_guards, guards
from .istio import IstioBehaviour
from .mirror_checks import all_mirrors, check_beside, check_contract, check_distinct, check_selection
from .mirrors import CrossClusterMirror, InClusterMirror, Mirror
from .overlay import FIRST_OVERLAY_ISTIO, GatewayHosts, MeshService, OverlayRoute
from .routing import CLUSTER_DOMAIN, Destination, GatewayRef, HeaderRules
from .safety import Scrub
from .values import DnsLabel, Port, Protocol, RouteApi


@dataclass(frozen=True, kw_only=True)
class MirroredRoute:
    """One service's routing in staging with its mirrors: the whole input of staging's rendering.

    Attributes:
        name: Name of the routing objects, a DNS label.
        namespace: Their namespace.
        hosts: Authorities that clients use at the gateway; empty when no gateway is given.
        port: Port clients use at the gateway.
        protocol: What they speak.
        primary: Who answers.
        mirrors: Who gets copies; any number, none included.
        gateway: Gateway that clients enter by; None for callers inside the mesh only.
        mesh: Whether callers inside the mesh, who use the primary's own name, are governed and mirrored in-cluster.
        istio: Behaviour of staging's control plane.
        headers: Header changes for primary and mirrors alike.
        timeout_seconds: Bound on the primary (and on mirrors of the route), 0.001 to 3,600 s; None for no bound.
        root_namespace: Istio's root namespace, where the EnvoyFilter takes effect for gateways and sidecars alike.
        api: Whose kinds of objects it is written in.

    Raises:
        ValidationError: Any rule of a single route is broken; ``field`` names the mirror by index.
    """

    name: str
    namespace: str
    primary: Destination
    istio: IstioBehaviour
    hosts: Sequence[str] = ()
    port: int = 8000
    protocol: Protocol = Protocol.GRPC
    mirrors: Sequence[Mirror] = ()
    gateway: GatewayRef | None = None
    mesh: bool = True
    headers: HeaderRules = field(default_factory=HeaderRules)
    timeout_seconds: float | None = None
    root_namespace: str = "istio-system"
    api: RouteApi = RouteApi.ISTIO

    def __post_init__(self) -> None:
        for name in ("name", "namespace", "root_namespace"):
            object.__setattr__(self, name, DnsLabel(getattr(self, name), field=name))
        object.__setattr__(self, "port", Port(self.port, field="port"))
        object.__setattr__(self, "protocol", member(Protocol, self.protocol, field="protocol"))
        object.__setattr__(self, "api", member(RouteApi, self.api, field="api"))
        object.__setattr__(self, "mirrors", all_mirrors(self.mirrors))
        instance(self.mesh, bool, field="mesh")
        instance(self.primary, Destination, field="primary")
        instance(self.istio, IstioBehaviour, field="istio")
        instance(self.gateway, GatewayRef, field="gateway", optional=True)
        instance(self.headers, HeaderRules, field="headers")
        self._check_reach()
        for index, mirror in enumerate(self.mirrors):
            try:
                self._check_mirror(mirror)
                check_beside(mirror, self.mirrors[:index], self.primary, self.protocol)
            except ValidationError as error:
                raise error.within(f"mirrors[{index}]") from None
        check_distinct(self.mirrors, self.protocol)
        if self.api is RouteApi.GATEWAY:
            self._check_native()

    def guards(self, mirror: Mirror) -> Guards:
        """Which guards one of its mirrors keeps, and by what."""
        timeout = self.timeout_seconds is not None
        return guards(mirror, self.istio, self.protocol, timeout=timeout, added=self._is_added(mirror))

    def _is_added(self, mirror: Mirror) -> bool:
        """Whether an overlay's patch makes it: in the Gateway API nothing else takes headers off a copy alone."""
        able = self.istio.version >= FIRST_OVERLAY_ISTIO and self.istio.patches_all("HTTP_ROUTE", "CLUSTER")
        return self.api is RouteApi.GATEWAY and isinstance(mirror.scrub, Scrub) and able

    @property
    def native(self) -> list[Mirror]:
        """The mirrors that its routes name."""
        return [mirror for mirror in self.mirrors if not self._is_added(mirror)]

    @cached_property
    def overlay(self) -> OverlayRoute | None:
        """What adds the others to its routes; None where there are none."""
        added = [mirror for mirror in self.mirrors if self._is_added(mirror)]
        if not added:
            return None
        gateways = [GatewayHosts(hosts=self.hosts)] if self.gateway else []
        callers = [MeshService(str(self.primary.host), int(self.primary.port))] if self.mesh else []
        return OverlayRoute(
            name=self.name,
            namespace=self.namespace,
            on=[*gateways, *callers],
            mirrors=added,
            protocol=self.protocol,
            istio=self.istio,
            root_namespace=self.root_namespace,
            gateway=None if self.mesh else self.gateway,
        )

    def _check_native(self) -> None:
        """Refuse what the Gateway API has no words for."""
        subsets = [("primary.subset", self.primary.subset)]
        subsets += [
            (f"mirrors[{index}].subset", each.subset)
            for index, each in enumerate(self.mirrors)
            if isinstance(each, InClusterMirror)
        ]
        for name, subset in subsets:
            if subset:
                raise ValidationError(
                    field=name,
                    value=str(subset),
                    rule="has no form in the Gateway API, which knows whole Services",
                    remedy="Name a Service of its own on the same pods, or use api='istio'",
                )
        if not str(self.primary.host).endswith(f".{self.namespace}.svc.{CLUSTER_DOMAIN}"):
            raise ValidationError(
                field="namespace",
                value=str(self.namespace),
                rule=f"must be that of the primary's Service ({self.primary.host}) in the Gateway API, where routes of"
                " another one govern its own callers alone",
                remedy="Put the routing beside the Service, or use api='istio'",
            )
        if self.timeout_seconds and self.protocol is Protocol.GRPC:
            raise ValidationError(
                field="timeout_seconds",
                value=self.timeout_seconds,
                rule="has no form in a GRPCRoute",
                remedy="Leave it out, or use api='istio'",
            )
        _ = self.overlay

    def _check_reach(self) -> None:
        if self.gateway:
            object.__setattr__(self, "hosts", contract_hosts(self.hosts, field="hosts"))
            if self.primary.host in self.hosts:
                raise ValidationError(
                    field="hosts",
                    value=str(self.primary.host),
                    rule="must not list the primary's own Service name, which callers inside the mesh use",
                    remedy="List the names that clients use at the gateway",
                )
        elif self.hosts:
            raise ValidationError(
                field="gateway",
                value=None,
                rule="must be given when hosts are",
                remedy="Pass the gateway, or drop hosts",
            )
        elif not self.mesh:
            raise ValidationError(
                field="gateway",
                value=None,
                rule="must be given where callers inside the mesh are not governed, or nobody could reach the route",
                remedy="Pass the gateway, or let them be governed",
            )
        if self.timeout_seconds is not None:
            bounded(self.timeout_seconds, "timeout_seconds", 0.001, 3_600, "seconds")

    def _check_mirror(self, mirror: Mirror) -> None:
        target = mirror.destination(self.primary)
        if (target.host, target.subset) == (self.primary.host, self.primary.subset):
            raise ValidationError(
                field="service" if isinstance(mirror, CrossClusterMirror) or mirror.service else "subset",
                value=target.cluster_name,
                rule="must not be the primary itself, which would answer every request twice",
                remedy="Mirror to another Service or subset",
            )
        self._check_mark(mirror)
        check_guards(
            mirror,
            self.istio,
            self.protocol,
            timeout=self.timeout_seconds is not None,
            added=self._is_added(mirror),
        )
        check_selection(mirror, self.protocol)
        if isinstance(mirror, CrossClusterMirror):
            self._check_cross(mirror)
        elif mirror.service and mirror.service.host == self.primary.host:
            raise ValidationError(
                field="service",
                value=mirror.service.cluster_name,
                rule="must not be the primary's Service, whose callers reach the mirror with real requests",
                remedy="Give the mirror its own Service, or use subset with shared_service=Waiver(reason=…)",
            )
        elif mirror.subset and self.primary.subset is None:
            raise ValidationError(
                field="subset",
                value=str(mirror.subset),
                rule="needs a primary with a subset, or the primary takes in the mirror's pods",
                remedy="Give the primary its subset, e.g. subset='v1'",
            )

    def _check_mark(self, mirror: Mirror) -> None:
        scrub, rules = mirror.scrub, self.headers
        if isinstance(scrub, Scrub) and scrub.mark_header in (
            *rules.request_set,
            *rules.request_add,
            *rules.request_remove,
        ):
            raise ValidationError(
                field="scrub.mark_header",
                value=str(scrub.mark_header),
                rule="must not be changed by the route's header rules, which primary requests follow as well",
                remedy="Choose another mark, or take it off the rules",
            )

    def _check_cross(self, mirror: CrossClusterMirror) -> None:
        if self.gateway is None:
            raise ValidationError(
                field="contract",
                value=mirror.contract.receiver,
                rule="needs a gateway",
                remedy="Pass the route's gateway",
            )
        check_contract(mirror.contract, hosts=self.hosts, port=self.port, protocol=self.protocol)

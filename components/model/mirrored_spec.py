"""What ``mirrored()`` takes and gives beside the mirrors: which route, and the spec with its helpers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .checks import instance, listed, member
from .errors import ValidationError
from .guards import Guards
from .istio import IstioBehaviour
from .jsontypes import JsonObject
from .values import DnsLabel, Protocol


@dataclass(frozen=True, kw_only=True)
class SpecOf:
    """The VirtualService, HTTPRoute or GRPCRoute that a spec belongs to, and the control plane that reads it.

    Attributes:
        name: Its name; names the helper objects as well.
        namespace: Its namespace.
        istio: Behaviour of the control plane.
        protocol: What callers speak.
        entries: Names of the entries or rules that are mirrored; empty for all that forward.
        root_namespace: Istio's root namespace, where an EnvoyFilter takes effect for gateways and sidecars alike.

    Raises:
        ValidationError: A value is malformed.
    """

    name: str
    namespace: str
    istio: IstioBehaviour
    protocol: Protocol = Protocol.HTTP
    entries: Sequence[str] = ()
    root_namespace: str = "istio-system"

    def __post_init__(self) -> None:
        for name in ("name", "namespace", "root_namespace"):
            object.__setattr__(self, name, DnsLabel(getattr(self, name), field=name))
        instance(self.istio, IstioBehaviour, field="istio")
        object.__setattr__(self, "protocol", member(Protocol, self.protocol, field="protocol"))
        entries = tuple(listed(self.entries, field="entries"))
        for index, entry in enumerate(entries):
            if not isinstance(entry, str) or not entry:
                raise ValidationError(
                    field=f"entries[{index}]",
                    value=entry,
                    rule="must be the name of an entry",
                    remedy="Write spec.http[].name, or leave entries out",
                )
        object.__setattr__(self, "entries", entries)


@dataclass(frozen=True, kw_only=True)
class MirroredSpec:
    """A spec with mirrors, and what they need.

    Attributes:
        spec: The route's spec.
        objects: DestinationRules, ServiceEntries and the EnvoyFilter, in the order in which they must come; the
            route comes after all of them.
        routes: Names of the entries that an entry of a VirtualService was split into, its own among them. An Argo
            Rollout must list them all under ``trafficRouting.istio.virtualService.routes``: it sets weights on no
            other.
        annotations: For the VirtualService: names, ends and waivers of the mirrors, which ``traffic-mirror`` reads.
            None for other routes, whose EnvoyFilter has them.
        guards: By the mirror's name, which guards it keeps and by what.
    """

    spec: JsonObject
    objects: Sequence[JsonObject]
    routes: Sequence[str]
    annotations: JsonObject
    guards: Mapping[str, Guards]

"""Where requests go: destinations, gateways and header rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .errors import ValidationError
from .values import DnsLabel, HeaderName, Hostname, Port


@dataclass(frozen=True)
class Destination:
    """A Service, and optionally a subset of its pods, that requests are sent to.

    Attributes:
        host: Fully qualified name of the Service, e.g. ``greeter.hello.svc.cluster.local``; short names depend on
            the namespace of whoever reads them.
        port: Service port, 1 to 65535. Always given: with several ports Istio would guess the listener's.
        subset: Subset of a DestinationRule; None for every pod of the Service.
        subset_labels: Pod labels that define the subset; default ``{"version": subset}``.

    Raises:
        ValidationError: Host or port is malformed, or labels come without a subset.
    """

    host: str
    port: int
    subset: str | None = None
    subset_labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", Hostname(self.host, field="host"))
        object.__setattr__(self, "port", Port(self.port, field="port"))
        labels = dict(self.subset_labels)
        if self.subset is not None:
            object.__setattr__(self, "subset", DnsLabel(self.subset, field="subset"))
            labels = labels or {"version": str(self.subset)}
        elif labels:
            raise ValidationError(
                field="subset_labels",
                value=labels,
                rule="needs a subset",
                remedy="Name the subset, or drop the labels",
            )
        object.__setattr__(self, "subset_labels", labels)

    def __hash__(self) -> int:
        return hash((self.host, self.port, self.subset))

    @property
    def cluster_name(self) -> str:
        """Name of the cluster that Istio makes for it in every proxy."""
        return f"outbound|{int(self.port)}|{self.subset or ''}|{self.host}"


@dataclass(frozen=True, kw_only=True)
class GatewayRef:
    """A Gateway object that routes are bound to.

    Attributes:
        name: Its name.
        namespace: Its namespace, which is also that of the gateway's pods and credentials.

    Raises:
        ValidationError: One is no DNS label.
    """

    name: str
    namespace: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", DnsLabel(self.name, field="name"))
        object.__setattr__(self, "namespace", DnsLabel(self.namespace, field="namespace"))

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class HeaderRules:
    """Changes to the headers of requests and responses of a route; primary and mirrors get the same.

    Attributes:
        request_set: Request headers to overwrite.
        request_add: Request headers to append.
        request_remove: Request headers to take off.
        response_set: Response headers to overwrite.
        response_add: Response headers to append.
        response_remove: Response headers to take off.

    Raises:
        ValidationError: A name is malformed, e.g. not in lower case.
    """

    request_set: Mapping[str, str] = field(default_factory=dict[str, str])
    request_add: Mapping[str, str] = field(default_factory=dict[str, str])
    request_remove: Sequence[str] = ()
    response_set: Mapping[str, str] = field(default_factory=dict[str, str])
    response_add: Mapping[str, str] = field(default_factory=dict[str, str])
    response_remove: Sequence[str] = ()

    def __post_init__(self) -> None:
        for side in ("request", "response"):
            for verb in ("set", "add"):
                given: Mapping[str, str] = getattr(self, f"{side}_{verb}")
                named = {str(HeaderName(name, field=f"{side}_{verb}")): value for name, value in given.items()}
                object.__setattr__(self, f"{side}_{verb}", named)
            removed: Sequence[str] = getattr(self, f"{side}_remove")
            object.__setattr__(
                self, f"{side}_remove", tuple(HeaderName(name, field=f"{side}_remove") for name in removed)
            )

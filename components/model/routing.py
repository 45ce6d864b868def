"""Where requests go: destinations, gateways and header rules."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from .checks import listed
from .errors import ValidationError
from .values import DnsLabel, HeaderName, Hostname, Port

CLUSTER_DOMAIN: Final = "cluster.local"
"""Domain of Services; Istio's default and the only one that its documentation assumes."""


def service_host(name: str, namespace: str) -> str:
    """The full name of a Service, as Istio and DNS know it."""
    return f"{name}.{namespace}.svc.{CLUSTER_DOMAIN}"


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
        if self.host.endswith(".svc"):
            raise ValidationError(
                field="host",
                value=str(self.host),
                rule="must be the full name of the Service, because Istio completes no partial one",
                remedy=f"Write '{self.host}.{CLUSTER_DOMAIN}'",
            )
        labels = pod_labels(self.subset_labels, "subset_labels")
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
        return cluster_name(self.host, int(self.port), self.subset)


def cluster_name(host: str, port: int | None, subset: str | None = None) -> str:
    """Return the name of the cluster that Istio makes in every proxy for a destination.

    Args:
        host: Full name.
        port: Port number; None where a route leaves it out.
        subset: Subset; None or empty for none.
    """
    return f"outbound|{port or ''}|{subset or ''}|{host}"


_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def pod_labels(labels: object, field: str) -> dict[str, str]:
    """Validate labels that select pods, by the rules of Kubernetes.

    Raises:
        ValidationError: A key or value is no label.
    """
    if not isinstance(labels, Mapping):
        raise ValidationError(
            field=field, value=labels, rule="must be labels by name", remedy="Write for example {'version': 'v2'}"
        )
    checked: dict[str, str] = {}
    for key, value in cast("Mapping[object, object]", labels).items():
        for text, form in ((key, _LABEL_KEY), (value, _LABEL_VALUE)):
            if not isinstance(text, str) or not form.fullmatch(text):
                raise ValidationError(
                    field=f"{field}.{key}",
                    value=text,
                    rule="must be a label of Kubernetes: at most 63 letters, digits, '-', '_' and '.'",
                    remedy="Use the labels of the pods",
                )
        checked[str(key)] = str(value)
    return checked


@dataclass(frozen=True, kw_only=True)
class GatewayRef:
    """A Gateway object that routes are bound to.

    Attributes:
        name: Its name.
        namespace: Its namespace, which is also that of the gateway's pods and credentials.
        labels: Labels of the gateway's pods, as the Gateway's selector has them. What is for this gateway alone then
            reaches these pods alone; without them all gateways of the namespace.

    Raises:
        ValidationError: A name is no DNS label, or a label is none.
    """

    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", pod_labels(self.labels, "labels"))
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
                object.__setattr__(
                    self, f"{side}_{verb}", _header_values(getattr(self, f"{side}_{verb}"), f"{side}_{verb}")
                )
            name = f"{side}_remove"
            removed = listed(getattr(self, name), field=name)
            object.__setattr__(self, name, tuple(HeaderName(cast("str", each), field=name) for each in removed))


def _header_values(given: object, field: str) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise ValidationError(
            field=field, value=given, rule="must be values by header name", remedy="Write {'x-name': 'value'}"
        )
    checked: dict[str, str] = {}
    for name, value in cast("Mapping[object, object]", given).items():
        header = HeaderName(cast("str", name), field=field)
        if not isinstance(value, str) or not value.isprintable():
            raise ValidationError(
                field=f"{field}.{header}",
                value=value,
                rule="must be a text without control characters",
                remedy="Give the value as text in one line",
            )
        checked[str(header)] = value
    return checked

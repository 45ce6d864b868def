"""What the oracle answers: the JSON of its own types, see its `main.go`, `routes.go`, `clusters.go`, `rendered.go`."""

from typing import Any, NotRequired, TypedDict


class ObjectFact(TypedDict):
    """What happens to an object before istiod sees it."""

    index: int
    object: str
    refused: NotRequired[str]
    by: NotRequired[str]
    pruned: NotRequired[list[str]]
    warning: NotRequired[str]


class MirrorFact(TypedDict):
    """One mirror policy; `share` in per cent, header names in lower case."""

    cluster: str
    share: float
    remove: NotRequired[list[str]]
    append: NotRequired[list[str]]


class RouteFact(TypedDict):
    """One route; `timeout` in seconds, left out for none."""

    name: NotRequired[str]
    match: str
    action: str
    clusters: NotRequired[dict[str, float]]
    mirrors: NotRequired[list[MirrorFact]]
    timeout: NotRequired[float]
    remove: NotRequired[list[str]]


class HostFact(TypedDict):
    """One virtual host."""

    name: str
    domains: list[str]
    routes: list[RouteFact] | None
    mirrors: NotRequired[list[MirrorFact]]
    require_tls: NotRequired[str]


class RoutesFact(TypedDict):
    """One route configuration; `refused` says why Envoy would take none of it."""

    name: str
    listeners: NotRequired[list[str]]
    hosts: list[HostFact] | None
    refused: NotRequired[str]


class LimitsFact(TypedDict):
    """A cluster's limits; 0 for none."""

    connections: int
    pending: int
    requests: int


class OutliersFact(TypedDict):
    """Outlier detection; shares in per cent."""

    ejects: bool
    max_ejection_percent: int
    min_health_percent: float


class ClusterFact(TypedDict):
    """One cluster of Envoy; durations in seconds, 0 for none."""

    type: str
    endpoints: int
    connect_timeout: float
    limits: LimitsFact
    outlier_detection: NotRequired[OutliersFact]
    keep_alive: bool
    tls: bool
    max_stream_duration: float
    refused: NotRequired[str]


class RenderingFact(TypedDict):
    """All that a proxy gets, in Envoy's own JSON, None for nothing; `endpoints` counts addresses by cluster."""

    listeners: list[dict[str, Any]] | None
    routes: list[dict[str, Any]] | None
    clusters: list[dict[str, Any]] | None
    endpoints: dict[str, int]
    unreadable: NotRequired[list[str]]


class ProxyFact(TypedDict):
    """What one proxy gets; `rendered` where it was asked for."""

    envoy_filters: NotRequired[list[str]]
    routes: list[RoutesFact] | None
    clusters: dict[str, ClusterFact]
    rendered: NotRequired[RenderingFact]


class Answer(TypedDict):
    """All of an answer; `error` where istiod's own parts failed."""

    version: str
    milliseconds: float
    error: NotRequired[str]
    objects: NotRequired[list[ObjectFact]]
    proxies: NotRequired[dict[str, ProxyFact]]
    statuses: NotRequired[dict[str, object]]

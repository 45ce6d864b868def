"""Values that the façade's arguments are made of: flat, plain, without unions, as every language of Pulumi has them.

What they mean and what is refused is the library's; each is turned into the library's own value by ``values``.
"""

from typing import NotRequired, TypedDict


class Mesh(TypedDict):
    """A control plane that is there."""

    version: str
    """Version of istiod, e.g. "1.31.0"."""
    revision: NotRequired[str]
    """Revision or revision tag that proxies ask for; default the unnamed one."""
    root_namespace: NotRequired[str]
    """Namespace of the control plane; default istio-system."""
    charts: NotRequired[str]
    """URL of a Helm repository with Istio's charts, or the folder manifests/charts of a release."""


class Service(TypedDict):
    """A Service and its port."""

    host: str
    """Full name, e.g. "orders.shop.svc.cluster.local"."""
    port: int
    """Port of the Service, 1 to 65535."""


class Contract(TypedDict):
    """What both clusters agree on; both stacks give the same values."""

    hosts: list[str]
    """Authorities that clients use, without port; exact names."""
    port: NotRequired[int]
    """Port of both gateways; default 8000."""
    protocol: NotRequired[str]
    """GRPC, HTTP or HTTP2; default GRPC."""
    receiver: NotRequired[str]
    """Name of the receiving side, a DNS label; default testing."""
    tls: NotRequired[str]
    """MUTUAL (default) or SIMPLE."""
    plain_text: NotRequired[str]
    """Why mirrors go without TLS; then tls is left out."""


class Server(TypedDict):
    """A listener of a gateway for its own clients."""

    hosts: list[str]
    """Authorities that it accepts; exact names."""
    port: NotRequired[int]
    """Port that it listens on; default 8000."""
    protocol: NotRequired[str]
    """GRPC, HTTP or HTTP2; default GRPC."""
    tls: NotRequired[str]
    """SIMPLE or MUTUAL; default plain text."""
    credential: NotRequired[str]
    """Secret with the certificate in the gateway's namespace; with tls only."""


class Mirror(TypedDict):
    """A mirror in the same cluster."""

    service: Service
    """The mirror's own Service."""
    percent: float
    """Share of the primary's requests, 0 to 100."""
    name: NotRequired[str]
    """Unique among the mirrors; default the Service's name."""
    path_prefixes: NotRequired[list[str]]
    """Paths with everything below them; any one of them."""
    http_methods: NotRequired[list[str]]
    """Methods; default GET, HEAD and OPTIONS."""
    rpc_methods: NotRequired[list[str]]
    """gRPC methods as package.Service/Method; needed with GRPC, unless sideEffects says why all may be copied."""
    side_effects: NotRequired[str]
    """Why requests may be copied whose methods are not named."""
    expires: NotRequired[str]
    """End of the mirror as ISO text, e.g. "2026-12-31"."""


class CrossClusterMirror(TypedDict):
    """A mirror in another cluster; its offer stands under its name in offers."""

    contract: Contract
    """What that cluster accepts."""
    percent: float
    """Share of the primary's requests, 0 to 100."""
    name: NotRequired[str]
    """Unique among the mirrors; default the contract's receiver."""
    client_credential: NotRequired[str]
    """Secret with the client's certificate in the gateway's namespace; needed unless the contract waives TLS."""
    path_prefixes: NotRequired[list[str]]
    """As for Mirror."""
    http_methods: NotRequired[list[str]]
    """As for Mirror."""
    rpc_methods: NotRequired[list[str]]
    """As for Mirror."""
    side_effects: NotRequired[str]
    """As for Mirror."""
    expires: NotRequired[str]
    """As for Mirror."""

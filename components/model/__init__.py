"""The mirroring model: pure values, one contract, rendering and rules. No Pulumi, no I/O, no clock."""

from .contract import MirrorContract, MirrorOffer, MirrorTls, TlsMode, gateway_address, is_private
from .errors import ValidationError
from .istio import AuthorityMode, IstioBehaviour, IstioVersion
from .jsontypes import JsonObject, JsonValue
from .matching import HeaderMatch, HeaderTest, Match
from .mirrored_route import MirroredRoute
from .mirrored_spec import MirroredSpec, SpecOf
from .mirrors import CrossClusterMirror, InClusterMirror, Mirror, expired, matched
from .overlay import FIRST_OVERLAY_ISTIO, GatewayHosts, MeshService, OverlayRoute, WaypointService
from .receiver import GatewayServer, MirrorReceiverRoute, client_server, receiver_server
from .routing import Destination, GatewayRef, HeaderRules
from .safety import Brakes, Expiry, Scrub, Waiver
from .values import DnsLabel, HeaderName, Hostname, Percent, Port, Protocol, RouteApi, RpcMethod

__all__ = [
    "FIRST_OVERLAY_ISTIO",
    "AuthorityMode",
    "Brakes",
    "CrossClusterMirror",
    "Destination",
    "DnsLabel",
    "Expiry",
    "GatewayHosts",
    "GatewayRef",
    "GatewayServer",
    "HeaderMatch",
    "HeaderName",
    "HeaderRules",
    "HeaderTest",
    "Hostname",
    "InClusterMirror",
    "IstioBehaviour",
    "IstioVersion",
    "JsonObject",
    "JsonValue",
    "Match",
    "MeshService",
    "Mirror",
    "MirrorContract",
    "MirrorOffer",
    "MirrorReceiverRoute",
    "MirrorTls",
    "MirroredRoute",
    "MirroredSpec",
    "OverlayRoute",
    "Percent",
    "Port",
    "Protocol",
    "RouteApi",
    "RpcMethod",
    "Scrub",
    "SpecOf",
    "TlsMode",
    "ValidationError",
    "Waiver",
    "WaypointService",
    "client_server",
    "expired",
    "gateway_address",
    "is_private",
    "matched",
    "receiver_server",
]

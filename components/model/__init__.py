"""The mirroring model: pure values, one contract, rendering and rules. No Pulumi, no I/O, no clock."""

from .contract import MirrorContract, MirrorOffer, MirrorTls, TlsMode, gateway_address, is_private
from .errors import ValidationError
from .jsontypes import JsonObject, JsonValue
from .matching import HeaderMatch, HeaderTest, Match
from .mirrors import CrossClusterMirror, InClusterMirror, Mirror, MirroredRoute, expired, matched
from .receiver import GatewayServer, MirrorReceiverRoute, client_server, receiver_server
from .routing import Destination, GatewayRef, HeaderRules
from .safety import Brakes, Expiry, Scrub, Waiver
from .values import (
    AuthorityMode,
    DnsLabel,
    HeaderName,
    Hostname,
    IstioBehaviour,
    IstioVersion,
    Percent,
    Port,
    Protocol,
    RpcMethod,
)

__all__ = [
    "AuthorityMode",
    "Brakes",
    "CrossClusterMirror",
    "Destination",
    "DnsLabel",
    "Expiry",
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
    "Mirror",
    "MirrorContract",
    "MirrorOffer",
    "MirrorReceiverRoute",
    "MirrorTls",
    "MirroredRoute",
    "Percent",
    "Port",
    "Protocol",
    "RpcMethod",
    "Scrub",
    "TlsMode",
    "ValidationError",
    "Waiver",
    "client_server",
    "expired",
    "gateway_address",
    "is_private",
    "matched",
    "receiver_server",
]

"""What must hold of mirrors wherever they hang: on a route of ours, or on one that somebody else owns."""

from collections.abc import Iterable, Sequence
from typing import Final, cast

from .checks import instance, listed
from .contract import MirrorContract
from .errors import ValidationError
from .mirrors import CrossClusterMirror, InClusterMirror, Mirror, matched
from .routing import Destination
from .values import Protocol

UPGRADE_HEADER: Final = "upgrade"
"""Header of requests that ask for another protocol on the connection, such as a WebSocket's. Source: RFC 9110, 7.8."""


MAX_DISTINCT_MATCHES: Final = 4
"""Different matches on one route. Every combination needs a route of its own, so four give at most fifteen."""


def check_selection(mirror: Mirror, protocol: Protocol) -> None:
    """Refuse a mirror whose match does not fit the protocol, or would run what nobody named.

    Raises:
        ValidationError: It does not fit.
    """
    match = mirror.match
    if protocol is Protocol.GRPC:
        if match and (match.path_prefixes or match.exact_paths):
            raise ValidationError(
                field="match.path_prefixes" if match.path_prefixes else "match.exact_paths",
                value=[*match.path_prefixes, *match.exact_paths],
                rule="belongs to HTTP; gRPC methods are named one by one",
                remedy="Use rpc_methods, or give the route protocol=Protocol.HTTP2",
            )
        if mirror.side_effects is None and not (match and match.rpc_paths):
            raise ValidationError(
                field="match",
                value=match,
                rule="must list the gRPC methods that may run twice",
                remedy="Add match=Match(rpc_methods=[…]), or side_effects=Waiver(reason=…) to mirror every method",
            )
    if match and mirror.websockets is None and any(header.name == UPGRADE_HEADER for header in match.headers):
        raise ValidationError(
            field="match.headers",
            value=UPGRADE_HEADER,
            rule="takes requests that upgrade the connection, every frame of which the proxy then copies",
            remedy="Leave the header out, or add websockets=Waiver(reason=…)",
        )


def check_beside(mirror: Mirror, earlier: Sequence[Mirror], primary: Destination, protocol: Protocol) -> None:
    """Hold a mirror against those before it on the same route.

    Raises:
        ValidationError: Two have one name, share a destination and so its brakes, or match what cannot be combined.
    """
    chosen = matched(mirror, protocol)
    check_apart(mirror, earlier, primary)
    for other in earlier:
        try:
            chosen.joined(matched(other, protocol))
        except ValidationError as error:
            raise error.within("match") from None


def check_apart(mirror: Mirror, earlier: Sequence[Mirror], primary: Destination | None = None) -> None:
    """Refuse a mirror that has the name or the destination of one before it.

    Raises:
        ValidationError: It has.
    """
    target = mirror.destination(primary)
    for other in earlier:
        theirs = other.destination(primary)
        if mirror.name == other.name:
            raise ValidationError(
                field="name",
                value=str(mirror.name),
                rule="must be unique on the route",
                remedy="Give each mirror a name",
            )
        if target.host == theirs.host and (target.subset == theirs.subset or None in (target.subset, theirs.subset)):
            raise ValidationError(
                field="service" if isinstance(mirror, InClusterMirror) else "contract.mirror_host",
                value=target.cluster_name,
                rule=f"must be another destination than that of the mirror {other.name!s}: they would share brakes",
                remedy="Combine the two mirrors, or give one its own Service",
            )


def check_contract(contract: MirrorContract, *, hosts: Iterable[str], port: int | None, protocol: Protocol) -> None:
    """Refuse a contract whose receiver would not accept what is sent.

    Args:
        contract: What the receiver accepts.
        hosts: Authorities that copies carry.
        port: Port that clients use; None where it is not known.
        protocol: What they speak.

    Raises:
        ValidationError: It would not.
    """
    missing = [str(host) for host in hosts if host not in contract.hosts]
    if missing:
        raise ValidationError(
            field="contract.hosts",
            value=[str(host) for host in contract.hosts],
            rule=f"must contain every host of the route; {', '.join(missing)} is not accepted by the receiver",
            remedy="Add it to the contract in both stacks",
        )
    for name, ours in (("port", port), ("protocol", protocol)):
        if ours is not None and getattr(contract, name) != ours:
            raise ValidationError(
                field=f"contract.{name}",
                value=str(getattr(contract, name)),
                rule=f"must equal the route's {name} ({ours!s})",
                remedy="Use one value for both",
            )


def all_mirrors(values: object) -> tuple[Mirror, ...]:
    """Return what must be a list of mirrors.

    Raises:
        ValidationError: It is none, or something else is in it.
    """
    mirrors = listed(values, field="mirrors")
    for index, mirror in enumerate(mirrors):
        instance(mirror, InClusterMirror, CrossClusterMirror, field=f"mirrors[{index}]")
    return tuple(cast("list[Mirror]", mirrors))


def check_distinct(mirrors: Sequence[Mirror], protocol: Protocol) -> None:
    """Refuse more different matches than entries of a VirtualService can combine.

    Raises:
        ValidationError: There are more.
    """
    distinct = {chosen for each in mirrors if not (chosen := matched(each, protocol)).is_everything}
    if len(distinct) > MAX_DISTINCT_MATCHES:
        raise ValidationError(
            field="mirrors",
            value=len(distinct),
            rule=f"may use at most {MAX_DISTINCT_MATCHES} different matches, because every combination is a route",
            remedy="Let mirrors share a match, or split the service's hosts",
        )

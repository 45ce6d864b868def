"""Which mirrors there are, as Prometheus' rules: what the alerts read beside counters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..jsontypes import JsonObject
from ..mirrored_route import MirroredRoute
from ..mirrors import Mirror, matched
from ..overlay import OverlayRoute
from ..routing import Destination
from ..safety import Expiry
from .counters import DUE, END, INFO, SENT

INVENTORY_GROUP = "traffic-mirror-inventory"


@dataclass(frozen=True, kw_only=True)
class MonitoredMirror:
    """What is known of one mirror.

    Attributes:
        mirror: Its name: namespace, route or overlay, and mirror, with slashes.
        cluster: Cluster that Envoy sends copies to.
        primaries: Clusters that answer; empty where somebody else routes and nobody said.
        percent: Share of requests that is copied, 0 to 100.
        selective: Whether only some requests fit.
        expires: Its end.
    """

    mirror: str
    cluster: str
    primaries: Sequence[str] = ()
    percent: float = 100.0
    selective: bool = False
    expires: Expiry | None = None


def of_route(route: MirroredRoute) -> tuple[MonitoredMirror, ...]:
    """The mirrors of a route; those at rest are left out."""
    return tuple(
        _of(route, each, each.destination(route.primary), [route.primary]) for each in route.mirrors if each.percent
    )


def of_overlay(overlay: OverlayRoute, answered_by: Sequence[Destination] = ()) -> tuple[MonitoredMirror, ...]:
    """The mirrors of an overlay; those at rest are left out.

    Args:
        overlay: The overlay.
        answered_by: Who answers on its routes, which only their owner knows.
    """
    return tuple(_of(overlay, each, each.destination(), answered_by) for each in overlay.mirrors if each.percent)


def _of(
    route: MirroredRoute | OverlayRoute, mirror: Mirror, target: Destination, answered_by: Sequence[Destination]
) -> MonitoredMirror:
    selection = matched(mirror, route.protocol)
    return MonitoredMirror(
        mirror=f"{route.namespace}/{route.name}/{mirror.name}",
        cluster=target.cluster_name,
        primaries=tuple(each.cluster_name for each in answered_by),
        percent=float(mirror.percent),
        selective=selection.match is not None,
        expires=mirror.expires,
    )


def inventory_group(mirrors: Iterable[MonitoredMirror], *, window: str) -> JsonObject:
    """A group of recording rules that say which mirrors there are.

    Args:
        mirrors: The mirrors.
        window: How far back the alerts look, as Prometheus writes durations; must be theirs.
    """
    return {"name": INVENTORY_GROUP, "rules": [rule for mirror in mirrors for rule in _rules(mirror, window)]}


def _rules(mirror: MonitoredMirror, window: str) -> Iterable[JsonObject]:
    chosen: JsonObject = {
        "mirror": mirror.mirror,
        "cluster_name": mirror.cluster,
        "takes": "some requests" if mirror.selective else "all requests",
    }
    yield {"record": INFO, "expr": "vector(1)", "labels": chosen}
    own: JsonObject = {"mirror": mirror.mirror}
    if mirror.expires:
        yield {"record": END, "expr": f"vector({int(mirror.expires.at.timestamp())})", "labels": own}
    if mirror.primaries:
        calls = " + ".join(
            f'(sum(increase({SENT}{{cluster_name="{each}"}}[{window}])) or vector(0))' for each in mirror.primaries
        )
        yield {"record": DUE, "expr": f"({calls}) * {mirror.percent / 100:g}", "labels": own}

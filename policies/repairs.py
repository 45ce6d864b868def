"""Changes that the level ``remediate`` makes, where they cannot change what a primary request meets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, cast

from pulumi_policy import ResourceValidationArgs

from pulumi_traffic_mirror.model import Brakes
from pulumi_traffic_mirror.model.render.destinations import traffic_policy
from pulumi_traffic_mirror.model.rules import Node

from .parameters import read_settings
from .resources import read_resource
from .rules.mirrors import HOST_LIMITS, LIMITS, is_destination_rule

Repair: TypeAlias = Callable[[ResourceValidationArgs], Mapping[str, object] | None]
Raw: TypeAlias = Mapping[str, object]

DEPRECATED: Final = ("mirrorPercent", "mirror_percent")
CURRENT: Final = "mirrorPercentage"


def current_percentage(args: ResourceValidationArgs) -> Raw | None:
    """Write a VirtualService's deprecated ``mirrorPercent`` as ``mirrorPercentage``; both mean the same share."""
    resource = read_resource(args)
    if resource.kind != "VirtualService":
        return None
    entries = resource.props["spec"]["http"].elements()
    shares = [_deprecated_share(entry) for entry in entries]
    if not any(share is not None for share in shares):
        return None
    props = _held(args.props)
    spec = _held(props["spec"])
    http = cast("Sequence[Raw]", spec["http"])
    rewritten = [_rewritten(_held(entry), share) for entry, share in zip(http, shares, strict=True)]
    return {**props, "spec": {**spec, "http": rewritten}}


def _deprecated_share(entry: Node) -> float | None:
    """The share that a route gives in the deprecated field only."""
    if not entry["mirror"].given or entry[CURRENT].given:
        return None
    share = entry.either(*DEPRECATED).number()
    return share if share is not None and 0 <= share <= 100 else None  # noqa: PLR2004 -- the definition of per cent


def _rewritten(entry: Raw, share: float | None) -> Raw:
    if share is None:
        return entry
    kept = {key: value for key, value in entry.items() if key not in DEPRECATED}
    return {**kept, CURRENT: {"value": float(share)}}


def host_limits(args: ResourceValidationArgs) -> Raw | None:
    """Add the limits that a DestinationRule of a host that gets mirrors only lacks; given ones are kept."""
    resource = read_resource(args)
    if not is_destination_rule(resource):
        return None
    settings = read_settings(HOST_LIMITS, args.get_config(), resource.stack)
    faults = list(HOST_LIMITS.judge(resource, settings.limits))
    if not faults:
        return None
    props = _held(args.props)
    spec = _held(props["spec"])
    return {**props, "spec": {**spec, **_limited(spec, {fault.field for fault in faults})}}


def _limited(spec: Raw, missing: set[str]) -> Raw:
    """The parts of a DestinationRule that change."""
    changed: dict[str, object] = {}
    if any(path.startswith("spec.trafficPolicy.") for path in missing):
        changed["trafficPolicy"] = _with_limits(spec.get("trafficPolicy"))
    subsets = list(cast("Sequence[Raw]", spec.get("subsets") or ()))
    for index, subset in enumerate(subsets):
        if any(path.startswith(f"spec.subsets[{index}].") for path in missing):
            held = _held(subset)
            subsets[index] = {**held, "trafficPolicy": _with_limits(held.get("trafficPolicy"))}
            changed["subsets"] = subsets
    return changed


def _with_limits(given: object) -> Raw:
    policy = _held(given)
    pool = _held(policy.get("connectionPool"))
    wanted = Node(traffic_policy(Brakes()))["connectionPool"]
    groups: dict[str, object] = dict(pool)
    for group, key in LIMITS:
        present = _held(groups.get(group))
        groups[group] = {key: wanted[group][key].value, **present}
    return {**policy, "connectionPool": groups}


def _held(value: object) -> Raw:
    """What the SDK's proxy holds: values inside keep being secret, which reading them through it would end."""
    if isinstance(value, dict):
        return cast("Raw", value)
    if not isinstance(value, Mapping):
        return {}
    return cast("Raw", cast("Mapping[str, object]", value)["__target"])


REPAIRS: Final[Mapping[str, Repair]] = {
    "mirror-deprecated-percent": current_percentage,
    HOST_LIMITS.id: host_limits,
}

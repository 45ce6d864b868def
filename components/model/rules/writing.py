"""Rules on how a mirror is written: its form, its share and its end."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from ..annotations import EXPIRES, EXPIRES_OF
from ..errors import ValidationError
from ..safety import Expiry
from ..values import PERCENT_RESOLUTION
from .filter_mirrors import FilterMirror
from .mends import Edit, remove, write
from .mirror_entries import MirrorEntry
from .nodes import Node, NotJudgedError
from .objects import ROUTES, KubeObject
from .registry import FILTER, Case, Report, Rule, Scope, Severity, Unjudged, mirror_rule, object_rule, problem
from .settings import RuleSettings

VIRTUAL_SERVICE_REFERENCE: Final = "https://istio.io/latest/docs/reference/config/networking/virtual-service/"
"""Annotation that holds the end of an object's mirrors; ``expires.<mirror>`` for one of them."""


@object_rule(
    kinds=ROUTES,
    rule_id="mirrors-readable",
    decided_by=ROUTES,
    title="Mirrors can be listed before the deployment",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="What is not known yet cannot be judged by any rule.",
    source="Pulumi leaves values unknown in a preview that only a deployment decides.",
    remedy="Decide which mirrors exist by plain configuration",
)
def mirrors_readable(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report objects whose list of mirrors is unknown."""
    for source, path in case.cluster.routing.unknown:
        if source is subject:
            raise NotJudgedError(path)
    yield from ()


@mirror_rule(
    rule_id="mirror-and-mirrors",
    decided_by=("VirtualService",),
    title="A route uses either mirror or mirrors",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Istio's validation rejects a route with both.",
    source=VIRTUAL_SERVICE_REFERENCE,
    remedy="Move the destination of mirror into mirrors",
    with_disabled=True,
)
def mirror_and_mirrors(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report routes with both forms."""
    alone = not mirror_entry.route.native and mirror_entry.node.key == "mirror"
    if alone and mirror_entry.route.setting("mirrors").elements():
        yield problem(mirror_entry.source, mirror_entry.node, "mirror and mirrors are given on one route")


@mirror_rule(
    rule_id="mirror-deprecated-percent",
    decided_by=ROUTES,
    repair="Writes mirrorPercent of a VirtualService as mirrorPercentage, which means the same share",
    title="The share is written as mirrorPercentage or as mirrors[].percentage",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="mirror_percent and mirrorPercent take whole per cents only and are deprecated.",
    source=VIRTUAL_SERVICE_REFERENCE,
    remedy="Write mirrors: [{destination: …, percentage: {value: …}}]",
    with_disabled=True,
)
def deprecated_percent(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report the deprecated field."""
    if mirror_entry.route.native or mirror_entry.node.key != "mirror":
        return
    for name in ("mirrorPercent", "mirror_percent"):
        place = mirror_entry.route.setting(name)
        if place.given:
            share, entry = mirror_entry.percent, mirror_entry.route.entry
            valid = share is not None and 0 <= share <= 100  # noqa: PLR2004 -- the definition of per cent
            alone = valid and not mirror_entry.route.outer.given and not entry["mirrorPercentage"].given
            mend = (write(entry, "mirrorPercentage", value={"value": share}), remove(place)) if alone else ()
            yield problem(mirror_entry.source, place, f"{name} is deprecated", mend=mend)


@mirror_rule(
    rule_id="mirror-percent-range",
    decided_by=ROUTES,
    title="The share is a number from 0 to 100 that the proxy can express",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Envoy counts in millionths and cuts off the rest: a smaller share mirrors nothing.",
    source="https://www.envoyproxy.io/docs/envoy/latest/api-v3/type/v3/percent.proto",
    remedy="Give a number of per cent from 0.0001 to 100, or take the mirror off",
    unsent=True,
)
def percent_range(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report shares that are no numbers, out of range, or too fine."""
    percent = mirror_entry.percent
    if percent is None:
        yield problem(mirror_entry.source, mirror_entry.share, f"the share {mirror_entry.share.known!r} is no number")
    elif not 0 <= percent <= 100:  # noqa: PLR2004 -- the definition of per cent
        yield problem(mirror_entry.source, mirror_entry.share, f"the share {percent:g} is not between 0 and 100")
    elif 0 < percent < PERCENT_RESOLUTION:
        yield problem(
            mirror_entry.source,
            mirror_entry.share,
            f"the share {percent:g} is below {PERCENT_RESOLUTION:g}: nothing arrives",
        )


@mirror_rule(
    rule_id="mirror-percent-implicit",
    decided_by=ROUTES,
    title="The share is written down",
    severity=Severity.NOTICE,
    scope=Scope.ROUTE,
    why="A share that is left out means every request, which a reader may not expect.",
    source=VIRTUAL_SERVICE_REFERENCE,
    remedy="Write the share, 100 included",
    unsent=True,
)
def percent_implicit(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors without a share."""
    if not mirror_entry.share.given:
        yield problem(
            mirror_entry.source,
            mirror_entry.node,
            "no share is given, so every request is mirrored",
            mend=_whole(mirror_entry),
        )


def _whole(mirror_entry: MirrorEntry) -> tuple[Edit, ...]:
    """The share of 100 %, written where a mirror of its kind has it."""
    if mirror_entry.route.native:
        return (write(mirror_entry.node, "percent", value=100),)
    if mirror_entry.node.key != "mirror":
        return (write(mirror_entry.node, "percentage", value={"value": 100.0}),)
    return (
        ()
        if mirror_entry.route.outer.given
        else (write(mirror_entry.route.entry, "mirrorPercentage", value={"value": 100.0}),)
    )


@mirror_rule(
    rule_id="mirror-percent-ignored",
    decided_by=("VirtualService",),
    title="A share stands where it counts",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="mirrorPercentage counts for mirror alone: an entry of mirrors without a share of its own gets every request.",
    source=VIRTUAL_SERVICE_REFERENCE,
    remedy="Write percentage: {value: …} in each entry of mirrors",
    unsent=True,
)
def percent_ignored(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report shares of a mirror that is not there, beside mirrors without one."""
    if mirror_entry.route.native or mirror_entry.node.key == "mirror" or mirror_entry.share.given:
        return
    for name in ("mirrorPercentage", "mirrorPercent", "mirror_percent"):
        place = mirror_entry.route.setting(name)
        if place.given:
            yield problem(
                mirror_entry.source,
                place,
                f"{name} does not count for {mirror_entry.node.path}: every request is mirrored",
            )


def _limits_shares(allowed: RuleSettings) -> bool:
    return allowed.max_percent != 100  # noqa: PLR2004 -- no limit; an unknown share then breaks none


def _filter_share(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    percent, limit = mirror.policy.percent, case.settings.max_percent
    if percent is None:
        yield Unjudged(
            subject=mirror.source,
            field=mirror.node.path,
            message="has a share that cannot be read, so that it is held against no limit",
            remedy="Write it as runtime_fraction.default_value, or look at it by hand",
        )
    elif percent > limit:
        yield problem(mirror.source, mirror.node, _too_much(percent, limit))


def _too_much(percent: float, limit: float) -> str:
    return f"{percent:g} % are mirrored; at most {limit:g} % are allowed"


@mirror_rule(
    rule_id="mirror-percent-limit",
    decided_by=(*ROUTES, FILTER),
    settings=("max_percent",),
    title="The share stays within the allowed maximum",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Each mirrored request costs the proxy about as much as a primary one.",
    source="Measured: CPU per request times 1.4 at 100 %, times 1.1 at 10 %.",
    remedy="Lower the share, or raise the limit",
    unsent=True,
    by_filter=_filter_share,
    limited=_limits_shares,
)
def percent_limit(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report shares above the limit."""
    limit = case.settings.max_percent
    if not _limits_shares(case.settings):
        return
    percent = mirror_entry.percent
    if percent is not None and limit < percent <= 100:  # noqa: PLR2004 -- more is another rule's
        place = mirror_entry.share if mirror_entry.share.given else mirror_entry.node
        yield problem(mirror_entry.source, place, _too_much(percent, limit))


def _filter_end(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    yield from _ended(case, mirror.source, mirror.node, mirror.end)


def _ended(case: Case, source: KubeObject, node: Node, text: str) -> Iterator[Report]:
    now = case.mesh.now
    if not text:
        return
    try:
        end = Expiry.parse(text)
    except ValidationError as error:
        yield problem(source, "metadata.annotations", f"the end {text!r} cannot be read: it {error.rule}")
        return
    if now and end.has_passed(now):
        yield problem(source, node, f"its end, {end}, has passed")


@mirror_rule(
    rule_id="mirror-expired",
    decided_by=(*ROUTES, FILTER),
    title="A mirror ends when its time has come",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A mirror that outlives its purpose costs and leaks for nothing.",
    source="The annotation that MirroredService and MirrorOverlay write for expires.",
    remedy="Remove the mirror, or give it a later end",
    unsent=True,
    by_filter=_filter_end,
)
def expired(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors after their end, and ends that cannot be read."""
    yield from _ended(case, mirror_entry.source, mirror_entry.node, end_of(mirror_entry))


def _limits_lives(allowed: RuleSettings) -> bool:
    return allowed.max_lifetime_days is not None


def _filter_lifetime(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    # The end of a mirror for a route by name is noted on the route, which may not be at hand.
    if not mirror.route_name or mirror.takers(case.cluster):
        yield from _too_long(case, mirror.source, mirror.node, mirror.end)


def _too_long(case: Case, source: KubeObject, node: Node, text: str) -> Iterator[Report]:
    days, now = case.settings.max_lifetime_days, case.mesh.now
    if days is None or now is None:
        return
    if not text:
        yield problem(source, node, f"it has no end; at most {days:g} days are allowed")
        return
    try:
        end = Expiry.parse(text)
    except ValidationError:
        return
    if (end.at - now) / timedelta(days=1) > days:
        yield problem(source, node, f"its end, {end}, is more than {days:g} days away")


@mirror_rule(
    rule_id="mirror-lifetime",
    decided_by=(*ROUTES, FILTER),
    settings=("max_lifetime_days",),
    title="A mirror ends within the allowed time",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Nobody remembers to remove a mirror that has no end.",
    source="Set by the organisation; off by default.",
    remedy="Give the mirror an end within the limit",
    unsent=True,
    by_filter=_filter_lifetime,
    limited=_limits_lives,
)
def lifetime(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors without an end or with one too far away."""
    if _limits_lives(case.settings):
        yield from _too_long(case, mirror_entry.source, mirror_entry.node, end_of(mirror_entry))


def end_of(mirror_entry: MirrorEntry) -> str:
    """When a mirror ends, as it is annotated; empty for no end."""
    name = mirror_entry.name
    return (mirror_entry.source.annotation(f"{EXPIRES_OF}{name}") if name else "") or mirror_entry.source.annotation(
        EXPIRES
    )


RULES: Final[tuple[Rule, ...]] = (
    mirrors_readable,
    mirror_and_mirrors,
    deprecated_percent,
    percent_range,
    percent_implicit,
    percent_ignored,
    percent_limit,
    expired,
    lifetime,
)

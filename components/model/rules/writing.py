"""Rules on how a mirror is written: its form, its share and its end."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from ..errors import ValidationError
from ..safety import Expiry
from ..values import PERCENT_RESOLUTION
from .nodes import NotJudgedError
from .objects import KubeObject
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, object_rule, problem
from .sites import ANNOTATION, Site

VIRTUAL_SERVICE_REFERENCE: Final = "https://istio.io/latest/docs/reference/config/networking/virtual-service/"
EXPIRES: Final = f"{ANNOTATION}/expires"
"""Annotation that holds the end of an object's mirrors; ``expires.<mirror>`` for one of them."""


@object_rule(
    kinds=("VirtualService", "HTTPRoute", "GRPCRoute"),
    rule_id="mirrors-readable",
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
    title="A route uses either mirror or mirrors",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Istio's validation rejects a route with both.",
    source=VIRTUAL_SERVICE_REFERENCE,
    remedy="Move the destination of mirror into mirrors",
    resting=True,
)
def mirror_and_mirrors(case: Case, site: Site) -> Iterator[Report]:
    """Report routes with both forms."""
    alone = not site.route.native and site.node.key == "mirror"
    if alone and site.route.setting("mirrors").elements():
        yield problem(site.source, site.node, "mirror and mirrors are given on one route")


@mirror_rule(
    rule_id="mirror-deprecated-percent",
    title="The share is written as mirrorPercentage or as mirrors[].percentage",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="mirror_percent and mirrorPercent take whole per cents only and are deprecated.",
    source=VIRTUAL_SERVICE_REFERENCE,
    remedy="Write mirrors: [{destination: …, percentage: {value: …}}]",
    resting=True,
)
def deprecated_percent(case: Case, site: Site) -> Iterator[Report]:
    """Report the deprecated field."""
    if site.route.native or site.node.key != "mirror":
        return
    for name in ("mirrorPercent", "mirror_percent"):
        place = site.route.setting(name)
        if place.given:
            yield problem(site.source, place, f"{name} is deprecated")


@mirror_rule(
    rule_id="mirror-percent-range",
    title="The share is a number from 0 to 100 that the proxy can express",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Envoy counts in millionths and cuts off the rest: a smaller share mirrors nothing.",
    source="https://www.envoyproxy.io/docs/envoy/latest/api-v3/type/v3/percent.proto",
    remedy="Give a number of per cent from 0.0001 to 100, or take the mirror off",
)
def percent_range(case: Case, site: Site) -> Iterator[Report]:
    """Report shares that are no numbers, out of range, or too fine."""
    percent = site.percent
    if percent is None:
        yield problem(site.source, site.share, f"the share {site.share.known!r} is no number")
    elif not 0 <= percent <= 100:  # noqa: PLR2004 -- the definition of per cent
        yield problem(site.source, site.share, f"the share {percent:g} is not between 0 and 100")
    elif 0 < percent < PERCENT_RESOLUTION:
        yield problem(
            site.source, site.share, f"the share {percent:g} is below {PERCENT_RESOLUTION:g}: nothing arrives"
        )


@mirror_rule(
    rule_id="mirror-percent-implicit",
    title="The share is written down",
    severity=Severity.NOTICE,
    scope=Scope.ROUTE,
    why="A share that is left out means every request, which a reader may not expect.",
    source=VIRTUAL_SERVICE_REFERENCE,
    remedy="Write the share, 100 included",
)
def percent_implicit(case: Case, site: Site) -> Iterator[Report]:
    """Report mirrors without a share."""
    if not site.share.given:
        yield problem(site.source, site.node, "no share is given, so every request is mirrored")


@mirror_rule(
    rule_id="mirror-percent-ignored",
    title="A share stands where it counts",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="mirrorPercentage counts for mirror alone: an entry of mirrors without a share of its own gets every request.",
    source=VIRTUAL_SERVICE_REFERENCE,
    remedy="Write percentage: {value: …} in each entry of mirrors",
)
def percent_ignored(case: Case, site: Site) -> Iterator[Report]:
    """Report shares of a mirror that is not there, beside mirrors without one."""
    if site.route.native or site.node.key == "mirror" or site.share.given:
        return
    for name in ("mirrorPercentage", "mirror_percentage", "mirrorPercent", "mirror_percent"):
        place = site.route.setting(name)
        if place.given:
            yield problem(site.source, place, f"{name} does not count for {site.node.path}: every request is mirrored")


@mirror_rule(
    rule_id="mirror-percent-limit",
    title="The share stays within what the house allows",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Each mirrored request costs the proxy about as much as a primary one.",
    source="Measured: CPU per request times 1.4 at 100 %, times 1.1 at 10 %.",
    remedy="Lower the share, or raise the limit",
)
def percent_limit(case: Case, site: Site) -> Iterator[Report]:
    """Report shares above the limit."""
    limit = case.settings.max_percent
    if limit == 100:  # noqa: PLR2004 -- no limit; an unknown share then breaks none
        return
    percent = site.percent
    if percent is not None and limit < percent <= 100:  # noqa: PLR2004 -- more is another rule's
        place = site.share if site.share.given else site.node
        yield problem(site.source, place, f"{percent:g} % are mirrored; at most {limit:g} % are allowed")


@mirror_rule(
    rule_id="mirror-expired",
    title="A mirror ends when its time has come",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A mirror that outlives its purpose costs and leaks for nothing.",
    source="The annotation that MirroredService writes for expires.",
    remedy="Remove the mirror, or give it a later end",
)
def expired(case: Case, site: Site) -> Iterator[Report]:
    """Report mirrors after their end, and ends that cannot be read."""
    text = end_of(site)
    now = case.mesh.now
    if not text:
        return
    try:
        end = Expiry.parse(text)
    except ValidationError as error:
        yield problem(site.source, "metadata.annotations", f"the end {text!r} cannot be read: it {error.rule}")
        return
    if now and end.has_passed(now):
        yield problem(site.source, site.node, f"its end, {end}, has passed")


@mirror_rule(
    rule_id="mirror-lifetime",
    title="A mirror ends within the time that the house allows",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Nobody remembers to remove a mirror that has no end.",
    source="Set by the house; off by default.",
    remedy="Give the mirror an end within the limit",
)
def lifetime(case: Case, site: Site) -> Iterator[Report]:
    """Report mirrors without an end or with one too far away."""
    days, now = case.settings.max_lifetime_days, case.mesh.now
    if days is None or now is None:
        return
    text = end_of(site)
    if not text:
        yield problem(site.source, site.node, f"it has no end; at most {days:g} days are allowed")
        return
    try:
        end = Expiry.parse(text)
    except ValidationError:
        return
    if (end.at - now) / timedelta(days=1) > days:
        yield problem(site.source, site.node, f"its end, {end}, is more than {days:g} days away")


def end_of(site: Site) -> str:
    """When a mirror ends, as it is annotated; empty for no end."""
    name = site.name
    return (site.source.annotation(f"{EXPIRES}.{name}") if name else "") or site.source.annotation(EXPIRES)


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

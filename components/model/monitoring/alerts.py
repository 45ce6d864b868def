"""The alerts: what each says, on which evidence, and what to do."""

from dataclasses import dataclass
from typing import Final

from ..jsontypes import JsonObject
from ..recording import DROPS
from .counters import (
    BROKEN_OFF,
    DUE,
    EJECTED,
    END,
    ENDED,
    ENDPOINTS,
    ERRORS,
    HEALTHY,
    INFO,
    NO_ENDPOINT,
    OVER_PENDING,
    OVER_REQUESTS,
    REJECTS,
    SENT,
    TIMED_OUT,
    UNCONNECTED,
    grown,
    grown_in_all,
    per_mirror,
    since,
)

WINDOW_MINUTES: Final = 10
"""How far back the alerts look, unless somebody says otherwise."""

NOTICE_DAYS: Final = 3
"""How long before its end a mirror is told of."""

FEWEST: Final = 20
"""Copies below which no share is judged. That none of 20 that are due leaves has, at shares below 100 %, a chance of
two in a billion at most."""

FAULTY: Final = 0.05
"""Share of copies above which faults are told of."""

ALERT_GROUP: Final = "traffic-mirror"
RUNBOOK: Final = "https://github.com/pulumi-traffic-mirror/pulumi-traffic-mirror/blob/main/docs/monitoring.md"

_W: Final = "$WINDOW"
"""Stands in expressions for the window."""

_UNANSWERED: Final = grown_in_all((ENDED, TIMED_OUT, BROKEN_OFF, UNCONNECTED), _W)
_KEPT_BACK: Final = grown_in_all((OVER_REQUESTS, OVER_PENDING, NO_ENDPOINT), _W)
_TRIED: Final = grown_in_all((SENT, UNCONNECTED), _W)
_FAILED: Final = f"({grown(ERRORS, _W)} - {grown_in_all((TIMED_OUT, BROKEN_OFF, UNCONNECTED), _W)} - {_KEPT_BACK})"
_NOT_RECORDED: Final = " + ".join(f"increase(traffic_recorder_{name}_total[{_W}])" for name in DROPS)


def _share(part: str) -> str:
    return f"{per_mirror(f'({part} / ({_TRIED} >= {FEWEST}))')} > {FAULTY:g}"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert.

    Attributes:
        name: Its name.
        expression: What it fires on, with ``$WINDOW`` for how far it looks back.
        severity: ``warning``, or ``critical`` where somebody's requests may suffer.
        summary: What is seen, in one line.
        means: What that says, and what it does not.
        remedy: What to do.
        lasting: Whether it must hold for a whole window: a rollout shows it for a moment.
    """

    name: str
    expression: str
    severity: str
    summary: str
    means: str
    remedy: str
    lasting: bool = False


ALERTS: Final = (
    Alert(
        name="MirrorNotSeen",
        expression=f"{INFO} unless on (cluster_name) {ENDPOINTS}",
        severity="warning",
        summary="No proxy that is scraped tells of the cluster of {{ $labels.mirror }}",
        means="Nothing is known of its copies. Proxies keep their counters to themselves, nobody scrapes them, or no"
        " proxy has the cluster, in which case there are no copies either",
        remedy="Give the sending proxies the annotation above, and restart them; look at Prometheus' targets; then run"
        " `traffic-mirror verify`, which reads the proxies themselves",
        lasting=True,
    ),
    Alert(
        name="MirrorSendsNoCopies",
        expression=(
            f"{DUE} >= {FEWEST} unless on (mirror) ({per_mirror(_TRIED)} > 0) "
            f"unless on (mirror) ({per_mirror(_KEPT_BACK)} > 0) "
            f"unless on (mirror) ({INFO} unless on (cluster_name) {ENDPOINTS})"
        ),
        severity="warning",
        summary="{{ $value | humanize }} copies for {{ $labels.mirror }} were due, and none was tried",
        means="The primary was called, and no request went to the mirror's cluster. Overlay or route are not in force,"
        " or none of the calls was one that the mirror takes: `takes` of `traffic_mirror_info` tells whether it takes"
        " all. Calls by proxies that have no mirror count as due as well",
        remedy="Run `traffic-mirror verify`: it tells an overlay that is not in force from calls that do not fit",
    ),
    Alert(
        name="MirrorCopiesUnanswered",
        expression=_share(_UNANSWERED),
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the copies for {{ $labels.mirror }} got no answer",
        means="They found no connection, hung until their bound, timed out, or were reset by HTTP/2. Broken connections"
        " of HTTP/1.1 are counted by the proxy as errors, so MirrorCopiesFail tells of those",
        remedy="Look at the mirror's pods and, for another cluster, at its gateway's address, certificates and"
        " firewalls; `traffic-mirror verify` says which",
    ),
    Alert(
        name="MirrorCopiesFail",
        expression=_share(_FAILED),
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the copies for {{ $labels.mirror }} ended in a server error",
        means="The mirror answered 5xx, or a connection of HTTP/1.1 broke. Errors of gRPC that come with status 200 are"
        " not counted: no proxy counts them for copies",
        remedy="Read the mirror's log. Is it the rewrite that fails, compare answers with `traffic-mirror diff`",
    ),
    Alert(
        name="MirrorBrakesRefuseCopies",
        expression=f"{per_mirror(grown_in_all((OVER_REQUESTS, OVER_PENDING), _W))} > 0",
        severity="warning",
        summary="Brakes refused {{ $value | humanize }} copies for {{ $labels.mirror }}",
        means="More copies were in flight or waiting than the brakes allow; those above were not sent. Results of the"
        " mirror stand for fewer requests than its share says. Primary and callers do not notice",
        remedy="See whether the mirror became slower. Is it only small, raise `brakes`, or lower `percent`",
    ),
    Alert(
        name="MirrorEndpointsEjected",
        expression=f"{per_mirror(f'(sum by (cluster_name) ({EJECTED}) > 0)')}",
        severity="warning",
        summary="{{ $value }} endpoints of {{ $labels.mirror }} are ejected",
        means="They failed several times in a row and get no copies for a while, counted once for each proxy",
        remedy="Read the log of the mirror's pods; `traffic-mirror verify` names the endpoints",
    ),
    Alert(
        name="MirrorWithoutEndpoints",
        expression=f"{per_mirror(f'(sum by (cluster_name) ({HEALTHY}) == 0)')}"
        f" unless on (cluster_name) ({EJECTED} > 0)",
        severity="warning",
        summary="No proxy has an endpoint to send copies for {{ $labels.mirror }} to",
        means="Its Service has no pod that is ready, or its host has no address; copies are not sent. No endpoint is"
        " ejected",
        remedy="Look at the mirror's Deployment and the selector of its Service",
        lasting=True,
    ),
    Alert(
        name="MirrorEndsSoon",
        expression=f"0 < {END} - time() < {NOTICE_DAYS * 86_400}",
        severity="warning",
        summary="{{ $labels.mirror }} ends in {{ $value | humanizeDuration }}",
        means="After its end a deployment that still has it is refused, and an ExpiryGuard sets it to 0",
        remedy="Remove the mirror from the program, or give it a later `expires`",
    ),
    Alert(
        name="MirrorGoesOnAfterItsEnd",
        expression=f"({per_mirror(grown(SENT, _W))} > 0) and on (mirror) ({END} < time())",
        severity="warning",
        summary="{{ $value | humanize }} requests went to the cluster of {{ $labels.mirror }}, whose end has passed",
        means="They are copies unless somebody else calls the same Service through these proxies",
        remedy="Run `traffic-mirror expire --apply`, and remove the mirror from the program",
    ),
    Alert(
        name="ProxiesRejectConfiguration",
        expression=f"sum by (type) ({since(REJECTS, _W)}) > 0",
        severity="critical",
        summary="Proxies refused {{ $value | humanize }} configurations ({{ $labels.type }})",
        means="They keep the last one that was good: their routing is frozen, for changes of anybody. Which object is"
        " to blame is not told here, and it need not be a mirror's",
        remedy="Run `traffic-mirror verify`, which names proxies and EnvoyFilters; remove what was changed last",
    ),
    Alert(
        name="RecorderDropsExchanges",
        expression=f"sum by (job, instance) ({_NOT_RECORDED}) > 0",
        severity="warning",
        summary="A recorder did not record {{ $value | humanize }} exchanges",
        means="The recording has gaps; requests were not held up. `traffic_recorder_dropped_*`, `_redaction_failures`"
        " and `_lost` tell the reasons",
        remedy="Give the recorder more memory or processor time, or a smaller `sample_percent`; look at its storage",
    ),
)
"""Every alert."""


def alert_group(*, window: str = f"{WINDOW_MINUTES}m") -> JsonObject:
    """The group of all alerts.

    Args:
        window: How far back they look, as Prometheus writes durations, e.g. ``"10m"``.
    """
    return {"name": ALERT_GROUP, "rules": [_rule(alert, window) for alert in ALERTS]}


def _rule(alert: Alert, window: str) -> JsonObject:
    return {
        "alert": alert.name,
        "expr": alert.expression.replace(_W, window),
        **({"for": window} if alert.lasting else {}),
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": f"{alert.means}.",
            "runbook_url": f"{RUNBOOK}#{alert.name.lower()}",
        },
    }

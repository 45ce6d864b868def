"""The dashboard for Grafana, of version 10 or newer."""

from typing import Final

from ..jsontypes import JsonObject, JsonValue
from ..recording import DROPS
from .counters import (
    ACTIVE,
    BROKEN_OFF,
    EJECTED,
    END,
    ENDED,
    ERRORS,
    NO_ENDPOINT,
    OVER_PENDING,
    OVER_REQUESTS,
    REJECTS,
    SENT,
    TIMED_OUT,
    UNCONNECTED,
    per_mirror,
)

UID: Final = "traffic-mirror"
INTERVAL: Final = "$__rate_interval"
"""Grafana's own: as far back as a rate needs."""

_WIDTH: Final = 12
_HEIGHT: Final = 8
_MIRROR: Final = "{{mirror}}"


def _rate(*counters: str) -> str:
    """Growth per second for each mirror; a counter that is not there yet counts as 0."""
    total = " + ".join(
        f"(sum by (cluster_name) (rate({each}[{INTERVAL}])) or 0 * sum by (cluster_name) (rate({SENT}[{INTERVAL}])))"
        for each in counters
    )
    return per_mirror(f"({total})")


_PANELS: Final = (
    ("Copies sent", "reqps", _rate(SENT), _MIRROR, "Requests that left for the mirror's cluster."),
    (
        "Copies without an answer",
        "reqps",
        _rate(ENDED, TIMED_OUT, BROKEN_OFF, UNCONNECTED),
        _MIRROR,
        "No connection, hung until the bound, timed out, or reset by HTTP/2.",
    ),
    (
        "Server errors",
        "reqps",
        _rate(ERRORS),
        _MIRROR,
        "5xx, those included that the proxy makes itself for copies that were not sent or broke off.",
    ),
    ("Copies refused by brakes", "reqps", _rate(OVER_REQUESTS, OVER_PENDING), _MIRROR, "Not sent."),
    ("Copies in flight", "short", per_mirror(f"sum by (cluster_name) ({ACTIVE})"), _MIRROR, ""),
    ("Ejected endpoints", "short", per_mirror(f"sum by (cluster_name) ({EJECTED})"), _MIRROR, "Once for each proxy."),
    ("Copies without a healthy endpoint", "reqps", _rate(NO_ENDPOINT), _MIRROR, "Not sent."),
    ("Time until the end", "s", f"{END} - time()", _MIRROR, "Of mirrors that have one."),
    (
        "Configurations that proxies refused",
        "short",
        f"sum by (type) (increase({REJECTS}[{INTERVAL}]))",
        "{{type}}",
        "Anybody's, not only mirrors'. The first of all is not seen here: no counter was there before it.",
    ),
    (
        "Exchanges that recorders dropped",
        "short",
        "sum by (job, instance) ("
        + " + ".join(f"increase(traffic_recorder_{each}_total[{INTERVAL}])" for each in DROPS)
        + ")",
        "{{instance}}",
        "",
    ),
)


def expressions() -> tuple[str, ...]:
    """What its panels ask."""
    return tuple(expression for _, _, expression, _, _ in _PANELS)


def dashboard() -> JsonObject:
    """The dashboard, as Grafana imports it."""
    source: JsonObject = {"type": "prometheus", "uid": "${datasource}"}
    panels: list[JsonValue] = []
    for number, (title, unit, expression, legend, description) in enumerate(_PANELS):
        place: JsonObject = {
            "x": _WIDTH * (number % 2),
            "y": _HEIGHT * (number // 2),
            "w": _WIDTH,
            "h": _HEIGHT,
        }
        panels.append(
            {
                "id": number + 1,
                "type": "timeseries",
                "title": title,
                "description": description,
                "datasource": source,
                "gridPos": place,
                "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                "targets": [{"refId": "A", "datasource": source, "expr": expression, "legendFormat": legend}],
            }
        )
    choice: JsonObject = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": UID,
        "title": "Traffic mirrors",
        "tags": ["istio", "traffic-mirror"],
        "schemaVersion": 38,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [choice]},
        "panels": panels,
    }

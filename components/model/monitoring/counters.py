"""The counters that say something about copies, and what makes Istio's proxies export them.

Measured with istiod 1.31 and Envoy 1.39. A copy is in none of ``istio_requests_total`` of the proxy that sends it, so
what is left are the counters of the cluster that it is sent to, which Istio's proxies keep to themselves by default.
Those of traffic appear with the first request; ``membership_*`` is there from the beginning.
"""

from typing import Final

STATS_ANNOTATION: Final = "sidecar.istio.io/statsInclusionRegexps"
"""On pods: which of Envoy's statistics their proxy keeps, beside Istio's own; expressions with commas between them.
Source: istio.io/latest/docs/reference/config/annotations."""

PROXY_STATS: Final = (
    r"cluster\.outbound\|.*\.("
    "membership_total|membership_healthy|outlier_detection\\.ejections_active|upstream_cx_none_healthy|"
    "upstream_rq_total|upstream_rq_active|upstream_rq_5xx|upstream_rq_timeout|upstream_rq_rx_reset|"
    "upstream_rq_max_duration_reached|upstream_rq_active_overflow|upstream_rq_pending_overflow|"
    "upstream_rq_pending_failure_eject)"
)
"""Value of the annotation: thirteen numbers for each cluster that a proxy has called, three for each other."""

SENT: Final = "envoy_cluster_upstream_rq_total"
ACTIVE: Final = "envoy_cluster_upstream_rq_active"
ERRORS: Final = 'envoy_cluster_upstream_rq{response_code_class="5xx"}'
"""Answers by the mirror, and those that the proxy makes itself where a copy was not sent or its connection broke."""

ENDED: Final = "envoy_cluster_upstream_rq_max_duration_reached"
"""Copies that hung until their bound: in no other counter of errors."""

TIMED_OUT: Final = "envoy_cluster_upstream_rq_timeout"
BROKEN_OFF: Final = "envoy_cluster_upstream_rq_rx_reset"
"""Streams of HTTP/2 that the mirror reset; of HTTP/1.1 a broken connection is only in :data:`ERRORS`."""

UNCONNECTED: Final = "envoy_cluster_upstream_rq_pending_failure_eject"
"""Copies given up because no connection came about; they are not in :data:`SENT`."""

OVER_REQUESTS: Final = "envoy_cluster_upstream_rq_active_overflow"
"""Copies that the brake on requests refused; older proxies count them with :data:`OVER_PENDING`."""

OVER_PENDING: Final = "envoy_cluster_upstream_rq_pending_overflow"
NO_ENDPOINT: Final = "envoy_cluster_upstream_cx_none_healthy"
ENDPOINTS: Final = "envoy_cluster_membership_total"
HEALTHY: Final = "envoy_cluster_membership_healthy"
EJECTED: Final = "envoy_cluster_outlier_detection_ejections_active"
REJECTS: Final = "pilot_total_xds_rejects"
INFO: Final = "traffic_mirror_info"
"""One for each mirror: its name and cluster. Made by :func:`inventory_group`."""

END: Final = "traffic_mirror_end_timestamp_seconds"
DUE: Final = "traffic_mirror_due_copies"


def since(counter: str, window: str) -> str:
    """What a counter grew by; one that was not there before, at a target that was, grew from nothing."""
    return (
        f"({counter} unless {counter} offset {window}) and on (job, instance) (up offset {window} == 1)"
        f" or increase({counter}[{window}])"
    )


def grown(counter: str, window: str) -> str:
    """The same for each cluster; 0 where the counter is not there yet."""
    return f"(sum by (cluster_name) ({since(counter, window)}) or 0 * sum by (cluster_name) ({ENDPOINTS}))"


def grown_in_all(counters: tuple[str, ...], window: str) -> str:
    """The same of several together."""
    return f"({' + '.join(grown(counter, window) for counter in counters)})"


def per_mirror(expression: str) -> str:
    """The same for each mirror: one cluster may get the copies of several."""
    return f"{expression} * on (cluster_name) group_right () {INFO}"

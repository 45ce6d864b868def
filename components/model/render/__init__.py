"""Rendering: the only place that writes Istio's and Envoy's keys. Deterministic plain JSON."""

from .destinations import destination_rules, service_entry, traffic_policy
from .envoy_filter import cluster_brakes, envoy_filter, scrubs_by_cluster
from .objects import ANNOTATION, compact, duration, istio_object
from .plans import RoutePlan, route_plans
from .receiver import gateway, receiver_destination_rule, receiver_envoy_filter, receiver_virtual_service
from .virtual_service import virtual_service, waivers

__all__ = [
    "ANNOTATION",
    "RoutePlan",
    "cluster_brakes",
    "compact",
    "destination_rules",
    "duration",
    "envoy_filter",
    "gateway",
    "istio_object",
    "receiver_destination_rule",
    "receiver_envoy_filter",
    "receiver_virtual_service",
    "route_plans",
    "scrubs_by_cluster",
    "service_entry",
    "traffic_policy",
    "virtual_service",
    "waivers",
]

"""Rendering: the only place that writes Istio's and Envoy's keys. Deterministic plain JSON."""

from .condition import condition, literal
from .destinations import (
    destination_rules,
    overlay_destination_rules,
    overlay_service_entry,
    service_entry,
    traffic_policy,
)
from .envoy_filter import cluster_brakes, envoy_filter
from .gateway_api import native_filter, native_gateway, native_receiver, native_routes, reference_grants
from .mirrored import mirrored
from .objects import compact, duration, istio_object
from .overlay import overlay_filters
from .plans import RoutePlan, route_plans
from .receiver import (
    gateway,
    receiver_authorization,
    receiver_destination_rule,
    receiver_envoy_filter,
    receiver_rate_limit,
    receiver_virtual_service,
)
from .virtual_service import virtual_service, waivers

__all__ = [
    "RoutePlan",
    "cluster_brakes",
    "compact",
    "condition",
    "destination_rules",
    "duration",
    "envoy_filter",
    "gateway",
    "istio_object",
    "literal",
    "mirrored",
    "native_filter",
    "native_gateway",
    "native_receiver",
    "native_routes",
    "overlay_destination_rules",
    "overlay_filters",
    "overlay_service_entry",
    "receiver_authorization",
    "receiver_destination_rule",
    "receiver_envoy_filter",
    "receiver_rate_limit",
    "receiver_virtual_service",
    "reference_grants",
    "route_plans",
    "service_entry",
    "traffic_policy",
    "virtual_service",
    "waivers",
]

"""Alerts and a dashboard for mirrors, where Prometheus and Grafana find them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import HandleOf, check_types, require_args
from ..clusters import ClusterHandle
from ..customizing import Component, ComponentArgs
from ..mesh.namespace import InNamespace, MeshNamespace, check_namespace
from ..mesh.objects import istio_resource
from ..model import Destination, JsonObject, ValidationError
from ..model.checks import whole
from ..model.monitoring import (
    WINDOW_MINUTES,
    MonitoredMirror,
    alert_group,
    dashboard,
    inventory_group,
    of_overlay,
    of_route,
)
from ..model.routing import pod_labels
from ..options import refuse_ignored_provider
from .mirror_overlay import MirrorOverlay
from .mirrored_service import MirroredService

RULES_FILE: Final = "traffic-mirror.rules.json"
"""Key of the rules in a ConfigMap. Prometheus reads JSON, which is YAML."""

DASHBOARD_FILE: Final = "traffic-mirror.json"
DASHBOARD_LABEL: Final = "grafana_dashboard"
"""What Grafana's sidecar looks for by default. Source: Helm chart grafana, ``sidecar.dashboards.label``."""

MAX_WINDOW_MINUTES: Final = 24 * 60


@unique
class RulesAs(StrEnum):
    """What kind of object Prometheus' rules are written in."""

    PROMETHEUS_RULE = "PrometheusRule"
    """The Prometheus operator's; its CRD must be there."""
    CONFIG_MAP = "ConfigMap"
    """For a Prometheus without the operator, which mounts it."""


@dataclass(frozen=True, kw_only=True)
class MirrorMonitoringArgs(InNamespace, ComponentArgs):
    """Arguments of :class:`MirrorMonitoring`.

    Raises:
        ValidationError: A value is malformed, or who answers is said of no overlay that is watched.
    """

    cluster: HandleOf[ClusterHandle]
    """Cluster that gets the objects: the one whose Prometheus scrapes the proxies that send copies."""

    namespace: MeshNamespace | str
    """Namespace of the objects; it must exist, unless it is given as a component."""

    watched: Sequence[MirroredService | MirrorOverlay]
    """Whose mirrors are watched; those at 0 % are not."""

    answered_by: Mapping[str, Sequence[Destination]] = field(default_factory=dict[str, Sequence[Destination]])
    """Who answers on the routes of an overlay, by the overlay's name in the cluster. Only the routes' owner knows;
    without it nobody is told when an overlay sends no copies."""

    rules: RulesAs = RulesAs.PROMETHEUS_RULE
    """What kind of object the rules are written in."""

    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels that the rules need to be found, e.g. ``{"release": "kube-prometheus-stack"}``."""

    dashboard: bool = True
    """Whether to make a ConfigMap with the dashboard, labelled ``grafana_dashboard=1``."""

    window_minutes: int = WINDOW_MINUTES
    """How far back the alerts look, 1 to 1,440 minutes; at least four times Prometheus' scrape interval."""

    def __post_init__(self) -> None:
        check_types(self)
        check_namespace(self.namespace, self.cluster)
        object.__setattr__(self, "labels", pod_labels(self.labels, "labels"))
        whole(self.window_minutes, "window_minutes", 1, MAX_WINDOW_MINUTES)
        overlays = {str(each.route.name) for each in self.watched if isinstance(each, MirrorOverlay)}
        for name in self.answered_by:
            if name not in overlays:
                raise ValidationError(
                    field="answered_by",
                    value=name,
                    rule="must name an overlay that is watched",
                    remedy=f"Write one of {', '.join(sorted(overlays))}" if overlays else "Leave it out",
                )

    @property
    def mirrors(self) -> tuple[MonitoredMirror, ...]:
        """The mirrors that are watched."""
        return tuple(
            mirror
            for each in self.watched
            for mirror in (
                of_overlay(each.route, self.answered_by.get(str(each.route.name), ()))
                if isinstance(each, MirrorOverlay)
                else of_route(each.route)
            )
        )

    @property
    def groups(self) -> JsonObject:
        """Prometheus' rules: which mirrors there are, and the alerts."""
        window = f"{self.window_minutes}m"
        return {"groups": [inventory_group(self.mirrors, window=window), alert_group(window=window)]}


class MirrorMonitoring(Component):
    """Prometheus' rules with the mirrors of a program and the alerts on them, and a dashboard for Grafana.

    It installs neither Prometheus nor Grafana, and makes nobody scrape anything. Gateways of a ``MeshGateway`` export
    the counters that the rules read; other proxies need an annotation, see ``docs/monitoring.md``, where each alert
    is explained.

    Raises:
        ValidationError: At construction of the arguments.
    """

    TYPE = "trafficmirror:index:MirrorMonitoring"

    rules: pulumi.Resource
    """The PrometheusRule or ConfigMap."""

    dashboard: k8s.core.v1.ConfigMap | None
    """The dashboard's ConfigMap; None where it was not asked for."""

    def __init__(self, name: str, args: MirrorMonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, MirrorMonitoringArgs)
        refuse_ignored_provider(opts, args.cluster.provider)
        super().__init__(self.TYPE, name, args, opts, children=["rules", *(["dashboard"] if args.dashboard else [])])
        self._name, self._args = name, args
        self.rules = self._rules()
        self.dashboard = None
        if args.dashboard:
            self.dashboard = self._config_map("dashboard", DASHBOARD_FILE, dashboard(), {DASHBOARD_LABEL: "1"})
        self.register_outputs({})

    def _opts(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self, provider=self._args.cluster.provider, depends_on=list(self._args.namespace_resources)
        )

    def _rules(self) -> pulumi.Resource:
        args = self._args
        if args.rules is RulesAs.CONFIG_MAP:
            return self._config_map("rules", RULES_FILE, args.groups, args.labels)
        metadata: JsonObject = {"name": self._name, "namespace": args.namespace_name, "labels": dict(args.labels)}
        rendered: JsonObject = {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": metadata,
            "spec": args.groups,
        }
        return istio_resource(f"{self._name}-rules", rendered, self._opts())

    def _config_map(
        self, role: str, file: str, content: JsonObject, labels: Mapping[str, str]
    ) -> k8s.core.v1.ConfigMap:
        return k8s.core.v1.ConfigMap(
            f"{self._name}-{role}",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=f"{self._name}-{role}", namespace=self._args.namespace_name, labels=dict(labels)
            ),
            data={file: json.dumps(content, indent=2, sort_keys=True)},
            opts=self._opts(),
        )

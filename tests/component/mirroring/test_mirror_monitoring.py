"""MirrorMonitoring: what it registers, and what it refuses."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pulumi_traffic_mirror.mirroring import (
    MirrorMonitoring,
    MirrorMonitoringArgs,
    MirrorOverlay,
    MirrorOverlayArgs,
    RulesAs,
)
from pulumi_traffic_mirror.model import Destination, Expiry, GatewayHosts, InClusterMirror, ValidationError
from pulumi_traffic_mirror.model.monitoring import alert_group, dashboard
from tests.component.mirroring.test_mirror_overlay import NEXT, NOW
from tests.component.mirroring.test_mirrored_service import record
from tests.support.handles import mesh
from tests.support.recording import Recording, refused

MONITORING = "trafficmirror:index:MirrorMonitoring"
RULE = "kubernetes:monitoring.coreos.com/v1:PrometheusRule"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
PRIMARY = Destination("orders.shop.svc.cluster.local", 80)


def monitor(**values: Any) -> None:
    handle = mesh()
    mirrors = [
        InClusterMirror(service=NEXT, name="next", percent=10, expires=Expiry(datetime(2026, 12, 1, tzinfo=UTC))),
        InClusterMirror(service=Destination("resting.labs.svc.cluster.local", 80), percent=0),
    ]
    on = [GatewayHosts(hosts=["shop.example.com"])]
    overlay = MirrorOverlay("shop", MirrorOverlayArgs(mesh=handle, mirrors=mirrors, on=on, namespace="web", now=NOW))
    given = {"cluster": handle.cluster, "namespace": "monitoring", "watched": [overlay], **values}
    MirrorMonitoring("mirrors", MirrorMonitoringArgs(**given))


def monitored(**values: Any) -> Recording:
    return record(lambda: monitor(**values))


def by_record(groups: list[Any]) -> dict[str, Any]:
    (inventory, _) = groups
    return {rule["record"]: rule for rule in inventory["rules"]}


def test_rules_name_the_mirrors_and_carry_the_alerts() -> None:
    recording = monitored(answered_by={"shop": [PRIMARY]}, labels={"release": "prometheus"}, window_minutes=5)
    rule = recording.one(RULE)
    assert rule.inputs["metadata"] == {
        "name": "mirrors",
        "namespace": "monitoring",
        "labels": {"release": "prometheus"},
    }
    groups = rule.inputs["spec"]["groups"]
    assert groups[1] == alert_group(window="5m")
    rules = by_record(groups)
    assert rules["traffic_mirror_info"]["labels"] == {
        "mirror": "web/shop/next",
        "cluster_name": "outbound|80||orders-next.labs.svc.cluster.local",
        "takes": "some requests",
    }
    assert rules["traffic_mirror_end_timestamp_seconds"]["expr"] == f"vector({1_796_083_200})"
    due = 'increase(envoy_cluster_upstream_rq_total{cluster_name="outbound|80||orders.shop.svc.cluster.local"}[5m])'
    assert rules["traffic_mirror_due_copies"]["expr"] == f"((sum({due}) or vector(0))) * 0.1"
    assert sorted(rules) == sorted(
        ["traffic_mirror_info", "traffic_mirror_end_timestamp_seconds", "traffic_mirror_due_copies"]
    )


def test_an_overlay_of_which_nobody_says_who_answers_has_no_copies_due() -> None:
    assert "traffic_mirror_due_copies" not in by_record(monitored().one(RULE).inputs["spec"]["groups"])


def test_without_the_operator_rules_and_dashboard_are_config_maps() -> None:
    found = monitored(rules=RulesAs.CONFIG_MAP, labels={"prometheus": "main"}).of_type(CONFIG_MAP)
    made = {each.inputs["metadata"]["name"]: each.inputs for each in found}
    assert sorted(made) == ["mirrors-dashboard", "mirrors-rules"]
    assert made["mirrors-rules"]["metadata"]["labels"] == {"prometheus": "main"}
    groups = json.loads(made["mirrors-rules"]["data"]["traffic-mirror.rules.json"])["groups"]
    assert [group["name"] for group in groups] == ["traffic-mirror-inventory", "traffic-mirror"]
    assert made["mirrors-dashboard"]["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert json.loads(made["mirrors-dashboard"]["data"]["traffic-mirror.json"]) == dashboard()


def test_it_makes_only_what_is_asked_for() -> None:
    recording = monitored(dashboard=False)
    assert [child.type for child in recording.children_of(recording.one(MONITORING))] == [RULE]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("answered_by", {"answered_by": {"basket": [PRIMARY]}}),
        ("window_minutes", {"window_minutes": 0}),
        ("labels", {"labels": {"not a label!": "x"}}),
    ],
)
def test_what_cannot_be_is_refused(field: str, values: dict[str, Any]) -> None:
    error = refused(lambda: monitor(**values), ValidationError).error
    assert isinstance(error, ValidationError)
    assert error.field.startswith(field)

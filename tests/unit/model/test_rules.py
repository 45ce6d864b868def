"""Every rule: what keeps it, what breaks it, and what is none of its business."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pulumi_traffic_mirror.model import Destination, ValidationError
from pulumi_traffic_mirror.model.annotations import WAIVE, WAIVED_UNTIL
from pulumi_traffic_mirror.model.rules import (
    ROUTE_RULES,
    RULES,
    UNKNOWN,
    ClusterObjects,
    Mesh,
    Outcome,
    RuleSettings,
    Scope,
    Severity,
    require,
    run_rules,
)
from tests.unit.model.rule_cases import CASES, Case, bare, ejecting, elsewhere, grant
from tests.unit.model.samples import (
    NEW,
    NOW,
    REASON,
    broken,
    changed,
    contract,
    cross_cluster,
    deployment,
    findings,
    in_cluster,
    mesh,
    receiver,
    receiving,
    route,
    sending,
    service,
)


def test_every_rule_has_its_cases() -> None:
    assert [case.rule for case in CASES] == [rule.id for rule in RULES if rule.id in {case.rule for case in CASES}]
    assert {rule.id for rule in RULES} == {case.rule for case in CASES}


def test_ids_are_unique_and_short_enough_for_an_annotation() -> None:
    ids = [rule.id for rule in RULES]
    assert len(set(ids)) == len(ids)
    assert all(len(f"waive.{each}") <= 63 for each in ids)


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_what_keeps_a_rule_gives_no_finding(case: Case) -> None:
    assert findings(case.passes(), case.rule, case.settings) == []


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_what_is_none_of_a_rule_s_business_gives_no_finding(case: Case) -> None:
    assert findings(case.silent(), case.rule, case.settings) == []


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_what_breaks_a_rule_is_named(case: Case) -> None:
    found = findings(case.fails(), case.rule, case.settings)
    assert found
    finding = found[0]
    assert case.names in finding.message
    assert finding.field.startswith(case.at or ("spec", "metadata")[finding.field.startswith("metadata")])
    assert " " in finding.object
    assert finding.cluster in ("staging", "testing")
    assert finding.remedy
    assert not finding.remedy.endswith(".")
    assert not finding.message.endswith(".")


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.rule != "mirrors-readable"], ids=lambda case: case.rule
)
def test_an_annotation_with_a_reason_waives_a_finding(case: Case) -> None:
    given = case.fails()
    subject = findings(given, case.rule, case.settings)[0]
    for cluster in given.clusters:
        objects: list[Any] = list(cluster.objects)
        for each in objects:
            if subject.cluster == cluster.name and subject.object.endswith(str(each["metadata"]["name"])):
                notes = each["metadata"].setdefault("annotations", {})
                notes |= {
                    f"{WAIVE}{case.rule}": "accepted until the next release",
                    f"{WAIVED_UNTIL}{case.rule}": "2026-12-01",
                }
    read_anew = Mesh(clusters=[replace(cluster) for cluster in given.clusters], now=given.now)
    again = [finding for finding in findings(read_anew, case.rule, case.settings) if finding.object == subject.object]
    assert again
    assert {finding.outcome for finding in again} == {Outcome.WAIVED}
    assert not any(finding.fails for finding in again)


def test_a_waiver_without_a_reason_waives_nothing() -> None:
    given = bare()
    given["metadata"]["annotations"] = {f"{WAIVE}mirror-side-effects": "ok"}
    [found] = findings(mesh([given]), "mirror-side-effects")
    assert found.fails
    assert "must be a sentence" in found.message


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("2026-11-23", ""),
        ("2026-11-22", "it ended with 2026-11-22T23:59:59Z"),
        ("someday", "its end 'someday' cannot be read"),
    ],
)
def test_a_waiver_ends_when_its_time_has_come(until: str, said: str) -> None:
    given = bare()
    notes = {f"{WAIVE}mirror-side-effects": "accepted until then", f"{WAIVED_UNTIL}mirror-side-effects": until}
    given["metadata"]["annotations"] = notes
    [found] = findings(mesh([given]), "mirror-side-effects")
    assert found.fails is bool(said)
    assert said in found.message


def test_notices_fail_nothing() -> None:
    found = findings(mesh([bare()]), "mirror-percent-implicit")
    assert [finding.severity for finding in found] == [Severity.NOTICE]
    assert not found[0].fails


def test_the_heaviest_findings_come_first() -> None:
    order = [Severity.ERROR, Severity.WARNING, Severity.NOTICE]
    weights = [order.index(finding.severity) for finding in findings(mesh([bare(mirror_percent=10)]))]
    assert weights == sorted(weights)
    assert len(set(weights)) > 1


def test_rules_of_a_route_need_nothing_else() -> None:
    assert {rule.scope for rule in ROUTE_RULES} == {Scope.ROUTE}
    alone = [each for each in sending() if each["kind"] != "Gateway"]
    assert run_rules(mesh(alone, complete=False), ROUTE_RULES) == []


@pytest.mark.parametrize(
    ("path", "silenced"),
    [
        ("spec.http.1.mirrors.0.percentage.value", "mirror-percent-range"),
        ("spec.http.1.mirrors.0.destination.host", "mirror-no-brakes"),
        ("spec.http.1.match", "mirrors-readable"),
        ("spec.http.1.route", "mirror-is-primary"),
    ],
)
def test_an_unknown_value_is_not_judged(path: str, silenced: str) -> None:
    judged = mesh(changed(sending(), "VirtualService", path, UNKNOWN), receiving())
    found = findings(judged, silenced)
    assert [finding.outcome for finding in found] == [Outcome.NOT_JUDGED]
    assert not found[0].fails
    assert found[0].field.startswith("spec.http[1]")


def test_rendered_objects_break_no_rule() -> None:
    assert findings(mesh(sending(), receiving())) == []
    assert findings(mesh(sending())) == []
    assert findings(mesh([], receiving())) == []


@pytest.mark.parametrize(
    "make", [lambda: mesh(sending(), receiving(), istio=None), lambda: mesh(sending(), receiving())]
)
def test_an_unknown_release_is_served_in_both_forms(make: Callable[[], Mesh]) -> None:
    assert findings(make()) == []


def test_findings_do_not_depend_on_the_order_of_objects() -> None:
    objects = [*sending(), bare()]
    first = run_rules(mesh(objects))
    assert first
    assert first == run_rules(mesh(objects[::-1]))


def test_clusters_without_a_version_are_judged_for_every_version() -> None:
    cluster = ClusterObjects(name="staging", objects=[])
    assert {mode.value for mode in cluster.authority_modes} == {"preserved", "suffixed"}


def test_the_root_namespace_is_that_of_the_mesh() -> None:
    objects = sending(route(root_namespace="mesh-root"))
    assert "mirror-unbounded-life" in broken(mesh(objects))
    cluster = ClusterObjects(name="staging", objects=objects, istio=NEW, root_namespace="mesh-root")
    assert run_rules(Mesh(clusters=[cluster])) == []


def test_what_is_rendered_is_required_to_break_no_rule() -> None:
    require(ClusterObjects(name="staging", objects=sending(), istio=NEW, complete=False), NOW)
    damaged = changed(sending(), "VirtualService", "spec.http.1.mirrors.0.percentage.value", 51)
    with pytest.raises(ValidationError, match=r"EnvoyFilter istio-system/hello-greeter-mirrors: .*gets 50 %"):
        require(ClusterObjects(name="staging", objects=damaged, istio=NEW, complete=False), NOW)


def test_plain_text_that_both_sides_waive_is_listed_with_its_reason() -> None:
    agreed = contract(transport=REASON)
    wanted = route(mirrors=[cross_cluster(contract=agreed, client_credential="")])
    [found] = findings(mesh(sending(wanted), receiving(receiver(contract=agreed))))
    assert (found.rule, found.outcome, found.reason) == ("mirror-plain-text", Outcome.WAIVED, REASON.reason)
    settings = RuleSettings(private_plain_text=True)
    assert findings(mesh(sending(wanted), receiving(receiver(contract=agreed))), settings=settings) == []


def test_a_service_outside_the_mesh_gets_no_plain_text_without_a_waiver() -> None:
    outside = Destination("grpc.outside.example", 8000)
    mesh_only: dict[str, Any] = {"gateway": None, "hosts": (), "mesh": True}
    refused = sending(route(mirrors=[in_cluster(service=outside)], **mesh_only))
    with pytest.raises(ValidationError, match="mirror-plain-text"):
        require(ClusterObjects(name="staging", objects=refused, istio=NEW, complete=False), NOW)
    waived = sending(route(mirrors=[in_cluster(service=outside, plain_text=REASON)], **mesh_only))
    require(ClusterObjects(name="staging", objects=waived, istio=NEW, complete=False), NOW)


def test_a_shared_service_that_is_waived_is_listed_with_its_reason() -> None:
    wanted = route(mirrors=[in_cluster(service=None, subset="v2", shared_service=REASON)])
    pods = deployment("greeter-v2", app="greeter", version="v2")
    [found] = findings(mesh([*sending(wanted), service(), pods]))
    assert (found.rule, found.outcome) == ("mirror-shared-selector", Outcome.WAIVED)


def test_endpoints_that_are_taken_out_get_everything_where_some_must_be_well() -> None:
    objects = ejecting(40, consecutive5xxErrors=5, maxEjectionPercent=100, minHealthPercent=50)
    [found] = findings(mesh(objects), "mirror-ejects-nobody")
    assert found.message.startswith("with minHealthPercent 50 endpoints that are taken out still get everything")


@pytest.mark.parametrize("kind", ["Service", "ServiceImport"])
def test_a_service_import_is_taken_for_the_service_of_its_name(kind: str) -> None:
    source = elsewhere()
    group = "multicluster.x-k8s.io" if kind == "ServiceImport" else ""
    source["spec"]["rules"][0]["filters"][0]["requestMirror"]["backendRef"] |= {"group": group, "kind": kind}
    objects = [source, service("b", "next"), grant("HTTPRoute")]
    assert findings(mesh(objects), "mirror-target-undefined") == []
    assert bool(findings(mesh(objects), "mirror-not-granted")) == (kind == "ServiceImport")
    objects[-1]["spec"]["to"][0] |= {"group": group, "kind": kind}
    assert findings(mesh(objects), "mirror-not-granted") == []


@pytest.mark.parametrize(("hosts", "refused"), [(["a.example", "a"], 0), (["b.example", "a"], 2), (["b.example"], 1)])
def test_a_service_s_own_name_beside_hosts_that_are_let_in_is_no_fault(hosts: list[str], refused: int) -> None:
    source = bare()
    source["spec"] |= {"hosts": hosts, "gateways": ["gw"]}
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["a.example"]}
    metadata = {"name": "gw", "namespace": "hello"}
    spec = {"selector": {"istio": "gw"}, "servers": [server]}
    gateway = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}
    assert len(findings(mesh([source, gateway]), "gateway-host")) == refused

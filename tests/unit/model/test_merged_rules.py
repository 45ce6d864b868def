"""Which of several DestinationRules for one host governs."""

import pytest

from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import Object, findings, mesh, service

EJECTING = {"outlierDetection": {"consecutive5xxErrors": 5}}
LIMITING = {"connectionPool": {"http": {"http1MaxPendingRequests": 10}}}


def rule(name: str, policy: Object, *exports: str, created: str = "", **spec: object) -> Object:
    metadata = {"name": name, "namespace": "hello"} | ({"creationTimestamp": created} if created else {})
    given = {"host": "b.hello.svc.cluster.local", "trafficPolicy": policy, **spec}
    if exports:
        given["exportTo"] = list(exports)
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": metadata,
        "spec": given,
    }


def lacking(*rules: Object) -> str:
    [found] = findings(mesh([bare(), *rules, service("a"), service("b")]), "mirror-no-brakes")
    return found.message


@pytest.mark.parametrize(
    ("first", "second", "ejects"),
    [
        ((), (), True),  # merged: the first one's policy
        ((), ("*",), False),  # apart: the younger one
        ((".",), ("*",), False),
        ((".",), (), False),
        (("hello",), ("hello", "shop"), True),  # more see the younger one, so it is merged into the older
        (("hello", "shop"), ("hello",), False),
    ],
)
def test_rules_that_others_see_are_apart_and_the_younger_governs(
    first: tuple[str, ...], second: tuple[str, ...], ejects: bool
) -> None:
    message = lacking(rule("one", EJECTING, *first), rule("two", LIMITING, *second))
    assert ("outlier detection" in message) is not ejects
    assert ("a limit on pending requests" in message) is ejects


def test_age_counts_before_order_where_it_is_known() -> None:
    older, younger = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    message = lacking(rule("one", LIMITING, created=younger), rule("two", EJECTING, created=older))
    assert "outlier detection" not in message


def test_a_rule_for_all_that_nobody_else_sees_goes_into_those_for_some() -> None:
    everyone = rule("one", EJECTING, ".")
    some = rule("two", LIMITING, workloadSelector={"matchLabels": {"app": "other"}})
    pods: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "hello"}}
    pods["spec"] = {"template": {"metadata": {"labels": {"app": "a"}}}}
    [found] = findings(mesh([bare(), everyone, some, pods, service("a"), service("b")]), "mirror-no-brakes")
    assert "outlier detection" in found.message

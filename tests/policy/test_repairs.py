"""What the level ``remediate`` changes, and what it leaves alone."""

from typing import Any

import pytest
from pulumi.runtime import rpc
from pulumi_policy.deserialize import serialize_properties

from pulumi_traffic_mirror.model import Brakes
from pulumi_traffic_mirror.model.render import traffic_policy
from tests.policy.driver import UNKNOWN, Given, InProcess, cluster_object

HOST = "v2.hello.svc.cluster.local"
LIMITS = {"mirror-host-limits": {"mirrorHosts": [HOST]}}
POOL: Any = traffic_policy(Brakes())["connectionPool"]


def route(*entries: Any) -> Given:
    return cluster_object(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "greeter", "namespace": "hello"},
            "spec": {"hosts": ["greeter.example"], "http": list(entries)},
        }
    )


def rule(**spec: Any) -> Given:
    return cluster_object(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": "v2", "namespace": "hello"},
            "spec": {"host": HOST, **spec},
        }
    )


def remedied(given: Given) -> Any:
    """The properties after remediation, as the engine gets them back."""
    return serialize_properties(InProcess(LIMITS).remedied(given))


@pytest.mark.parametrize("field", ["mirrorPercent", "mirror_percent"])
def test_a_deprecated_share_is_written_in_the_current_field(field: str) -> None:
    entry = {"name": "a", "mirror": {"host": HOST}, field: 10}
    changed = remedied(route({"name": "first"}, entry))["spec"]["http"]
    assert changed == [{"name": "first"}, {"name": "a", "mirror": {"host": HOST}, "mirrorPercentage": {"value": 10.0}}]


@pytest.mark.parametrize(
    "entry",
    [
        {"mirror": {"host": HOST}, "mirrorPercentage": {"value": 10}},
        {"mirror": {"host": HOST}, "mirrorPercentage": {"value": 10}, "mirrorPercent": 20},
        {"mirror": {"host": HOST}, "mirrorPercent": 101},
        {"mirror": {"host": HOST}, "mirrorPercent": "10"},
        {"mirror": {"host": HOST}, "mirrorPercent": UNKNOWN},
        {"mirror": {"host": HOST}},
        {"mirrorPercent": 10},
    ],
)
def test_shares_that_are_current_or_unclear_are_left_alone(entry: Any) -> None:
    given = route(entry)
    assert remedied(given) == given.props


def test_a_remedied_route_passes_its_rule() -> None:
    given = route({"mirror": {"host": HOST, "port": {"number": 8000}}, "mirrorPercent": 10})
    assert InProcess(only="mirror-deprecated-percent").judge([given]).said
    after = cluster_object(remedied(given))
    assert InProcess(only="mirror-deprecated-percent").judge([after]).said == []


def test_missing_limits_are_added_to_hosts_that_get_mirrors_only() -> None:
    pool = remedied(rule(trafficPolicy={"tls": {"mode": "SIMPLE"}}))["spec"]["trafficPolicy"]
    assert pool["tls"] == {"mode": "SIMPLE"}
    assert pool["connectionPool"]["http"] == POOL["http"]
    assert pool["connectionPool"]["tcp"]["maxConnections"] == POOL["tcp"]["maxConnections"]


def test_limits_that_are_given_are_kept() -> None:
    given = {"tcp": {"maxConnections": 1}, "http": {"http2MaxRequests": 7, "maxRetries": 0}}
    pool = remedied(rule(trafficPolicy={"connectionPool": given}))["spec"]["trafficPolicy"]["connectionPool"]
    assert pool["tcp"]["maxConnections"] == 1
    assert pool["http"]["http2MaxRequests"] == 7
    assert pool["http"]["maxRetries"] == 0
    assert pool["http"]["http1MaxPendingRequests"] == POOL["http"]["http1MaxPendingRequests"]


def test_a_subset_with_a_pool_of_its_own_gets_its_own_limits() -> None:
    subsets = [{"name": "v1"}, {"name": "v2", "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 1}}}}]
    spec = remedied(rule(subsets=subsets))["spec"]
    assert spec["subsets"][0] == {"name": "v1"}
    assert spec["subsets"][1]["trafficPolicy"]["connectionPool"]["http"] == POOL["http"]
    assert spec["trafficPolicy"]["connectionPool"]["http"] == POOL["http"]
    assert InProcess(LIMITS, only="mirror-host-limits").judge([rule(**spec)]).said == []


@pytest.mark.parametrize("spec", [{"host": "v1.hello.svc.cluster.local"}, {"host": UNKNOWN}])
def test_hosts_that_may_get_real_requests_are_left_alone(spec: Any) -> None:
    given = rule(**spec)
    assert remedied(given) == given.props


def test_a_limit_that_is_not_known_yet_is_left_alone() -> None:
    spec = remedied(rule(trafficPolicy={"connectionPool": {"tcp": {"maxConnections": UNKNOWN}}}))["spec"]
    assert spec["trafficPolicy"]["connectionPool"]["tcp"]["maxConnections"] == UNKNOWN


@pytest.mark.parametrize(
    "policy",
    [
        UNKNOWN,
        {"connectionPool": UNKNOWN},
        {"connectionPool": {"tcp": UNKNOWN}},
        {"connectionPool": "none"},
    ],
)
def test_what_is_no_object_or_not_known_yet_on_the_way_is_left_alone(policy: Any) -> None:
    given = rule(trafficPolicy=policy)
    assert remedied(given) == given.props


def test_a_mend_within_a_secret_keeps_the_rest_of_it() -> None:
    def opened(value: Any) -> Any:
        assert set(value) == set(rpc.wrap_rpc_secret(0))
        return value["value"]

    limited = {"tcp": {"maxConnections": 5}}
    policy = opened(
        remedied(rule(trafficPolicy=rpc.wrap_rpc_secret({"connectionPool": limited})))["spec"]["trafficPolicy"]
    )
    assert policy["connectionPool"]["tcp"]["maxConnections"] == 5
    assert policy["connectionPool"]["http"] == POOL["http"]
    subsets = rpc.wrap_rpc_secret([{"name": "v2", "trafficPolicy": {"connectionPool": limited}}])
    (subset,) = opened(remedied(rule(subsets=subsets))["spec"]["subsets"])
    assert subset["name"] == "v2"
    assert subset["trafficPolicy"]["connectionPool"]["http"] == POOL["http"]
    hidden = rpc.wrap_rpc_secret({"mirror": {"host": HOST}, "mirrorPercent": 10})
    (entry,) = remedied(route(hidden))["spec"]["http"]
    assert opened(entry) == {"mirror": {"host": HOST}, "mirrorPercentage": {"value": 10.0}}


def test_a_secret_share_is_not_written_in_plain_text() -> None:
    share = rpc.wrap_rpc_secret(10)
    entry = {"mirror": {"host": HOST}, "mirrorPercent": share}
    changed = remedied(route(entry, {"mirror": {"host": HOST}, "mirrorPercent": 20}))["spec"]["http"]
    assert changed == [entry, {"mirror": {"host": HOST}, "mirrorPercentage": {"value": 20.0}}]


def test_secrets_stay_secret() -> None:
    secret = rpc.wrap_rpc_secret("Bearer not-a-token")
    headers = {"request": {"set": {"authorization": secret}}}
    entry = {"mirror": {"host": HOST}, "mirrorPercent": 10, "headers": headers}
    changed = remedied(route(entry, {"headers": headers}))["spec"]["http"]
    assert [found["headers"] for found in changed] == [headers, headers]
    kept = remedied(rule(trafficPolicy={"tls": {"sni": secret}}))["spec"]["trafficPolicy"]
    assert kept["tls"] == {"sni": secret}

"""Reading evidence out of the text that clusters give."""

import json
from typing import Any

from components.operations.evidence import (
    Arrivals,
    Evidence,
    ProxyCounters,
    read_clusters_page,
    read_gateway_log,
    read_rejects,
)

CLUSTERS_PAGE = """\
outbound|8000||greeter-mirror.testing.example::observability_name::outbound|8000||greeter-mirror.testing.example;
outbound|8000||greeter-mirror.testing.example::default_priority::max_connections::64
outbound|8000||greeter-mirror.testing.example::198.18.0.20:8000::cx_connect_fail::1
outbound|8000||greeter-mirror.testing.example::198.18.0.20:8000::rq_active::2
outbound|8000||greeter-mirror.testing.example::198.18.0.20:8000::rq_error::3
outbound|8000||greeter-mirror.testing.example::198.18.0.20:8000::rq_success::40
outbound|8000||greeter-mirror.testing.example::198.18.0.20:8000::rq_timeout::4
outbound|8000||greeter-mirror.testing.example::198.18.0.20:8000::rq_total::49
outbound|8000||greeter-mirror.testing.example::198.18.0.20:8000::health_flags::/failed_outlier_check
outbound|8000||greeter-mirror.testing.example::[fd00::7]:8000::rq_total::1
outbound|8000||greeter-mirror.testing.example::[fd00::7]:8000::health_flags::healthy
outbound|8000||other.example::198.18.0.21:8000::rq_total::1000
"""
CLUSTER = "outbound|8000||greeter-mirror.testing.example"


def entry(name: str, **fields: Any) -> str:
    return json.dumps(
        {
            "event": "call",
            "method": "SayHello",
            "name": name,
            "authority": "a:8000",
            "mark": None,
            "credentials": [],
            **fields,
        }
    )


def test_calls_of_the_run_are_counted_once_and_repeats_beside_them() -> None:
    lines = [entry("run1-000000"), entry("run1-000001"), entry("run1-000001"), entry("run2-000000")]
    seen = Arrivals.of(lines, run_id="run1")
    assert (seen.calls, seen.repeats) == (2, 1)


def test_a_run_is_not_taken_for_another_whose_tag_begins_like_it() -> None:
    assert Arrivals.of([entry("run10-000000")], run_id="run1").calls == 0


def test_other_methods_other_events_and_foreign_lines_do_not_count() -> None:
    lines = [
        entry("run1-000000", method="SayHelloBidiStream"),
        entry("run1-000001", event="listening"),
        "Traceback (most recent call last):",
        '"run1-000002"',
        "[1, 2]",
        "",
    ]
    assert Arrivals.of(lines, run_id="run1") == Arrivals()


def test_authorities_credentials_and_marks_are_counted_by_line() -> None:
    lines = [
        entry("run1-0", authority="a-shadow:8000", mark="mirror"),
        entry("run1-1", credentials=["authorization", "cookie"]),
        entry("run1-2", credentials=["cookie"]),
    ]
    seen = Arrivals.of(lines, run_id="run1")
    assert seen.authorities == {"a:8000": 2, "a-shadow:8000": 1}
    assert seen.credentials == {"authorization": 1, "cookie": 2}
    assert seen.marks == {"": 2, "mirror": 1}


def test_a_line_without_its_fields_is_counted_as_unmarked_and_unknown() -> None:
    seen = Arrivals.of(['{"event":"call","method":"SayHello","name":"run1-0"}'], run_id="run1")
    assert (seen.calls, seen.authorities, seen.marks, seen.credentials) == (1, {"": 1}, {"": 1}, {})


def test_counters_are_summed_over_endpoints_and_proxies_and_by_exact_cluster() -> None:
    once = read_clusters_page([CLUSTERS_PAGE], CLUSTER)
    assert once == ProxyCounters(
        known=True, endpoints=2, ejected=1, total=50, success=40, error=3, active=2, timeout=4, connect_failures=1
    )
    assert read_clusters_page([CLUSTERS_PAGE, CLUSTERS_PAGE], CLUSTER).total == 100


def test_a_cluster_without_endpoints_is_known_and_one_that_is_absent_is_not() -> None:
    page = "outbound|8000||a.example::default_priority::max_connections::64\n"
    assert read_clusters_page([page], "outbound|8000||a.example") == ProxyCounters(known=True)
    assert read_clusters_page([page], "outbound|8000||b.example") == ProxyCounters()


def test_growth_is_what_came_since_and_gauges_are_those_of_now() -> None:
    before = ProxyCounters(known=True, endpoints=1, total=10, success=9, active=5)
    now = ProxyCounters(known=True, endpoints=2, total=15, success=14, active=1)
    assert now.since(before) == ProxyCounters(known=True, endpoints=2, total=5, success=5, active=1)


def test_growth_is_never_negative_after_a_restart_of_the_proxy() -> None:
    assert ProxyCounters(total=3).since(ProxyCounters(total=10)).total == 0


def test_rejects_are_summed_over_types_and_control_planes() -> None:
    metrics = (
        "# TYPE pilot_total_xds_rejects counter\n"
        'pilot_total_xds_rejects{type="cds"} 2\n'
        'pilot_total_xds_rejects{type="rds"} 1\n'
        "pilot_total_xds_internal_errors 7\n"
    )
    assert read_rejects([metrics, "pilot_total_xds_rejects 4\n"]) == 7
    assert read_rejects(["pilot_xds 3\n"]) == 0


def test_an_access_log_is_read_by_the_user_agent_of_the_run() -> None:
    def line(code: str, details: str, agent: str) -> str:
        return (
            f'[2026-11-23T10:00:00.000Z] "POST /helloworld.Greeter/SayHello HTTP/2" {code} - {details} - "-" 24 0 0 - '
            f'"198.18.0.10" "{agent}" "9c4" "grpc-hello.staging.example:8000" "10.0.0.9:8000"'
        )

    agent = "run1 grpc-python-asyncio/1.85.1 grpc-c/58.0.0 (linux; chttp2)"
    lines = [
        line("200", "via_upstream", agent),
        line("200", "via_upstream", agent),
        line("404", "route_not_found", agent),
        line("200", "via_upstream", agent.replace("run1", "run11")),
        "no access log line",
    ]
    assert read_gateway_log(lines, ["run1"]) == {"200 via_upstream": 2, "404 route_not_found": 1}
    assert read_gateway_log(lines, ["run1", "run11"]) == {"200 via_upstream": 3, "404 route_not_found": 1}
    assert read_gateway_log(lines, []) == {}


def test_evidence_survives_its_way_through_json() -> None:
    evidence = Evidence(
        arrivals={"primary": Arrivals(calls=3, marks={"": 3}), "in-cluster": Arrivals()},
        proxies={"in-cluster": ProxyCounters(known=True, total=3)},
        gateway_answers={"cross-cluster": {"200 via_upstream": 3}},
        warm_up_proxies={"in-cluster": ProxyCounters(known=True, error=3)},
        warm_up_answers={"cross-cluster": {"200 route_not_found": 3}},
        rejects={"staging": 1},
        gaps=("No permission",),
    )
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence

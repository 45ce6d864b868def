"""Reading evidence out of the text that clusters give."""

import json
from typing import Any

from pulumi_traffic_mirror.operations.verify.evidence import (
    Arrivals,
    ProxyCounters,
    read_clusters_page,
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
            "headers": [],
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
        entry("run1-1", headers=["authorization", "cookie"]),
        entry("run1-2", headers=["cookie"]),
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
        known=True,
        endpoints=2,
        ejected=1,
        total=50,
        success=40,
        error=3,
        active=2,
        timeout=4,
        connect_failures=1,
        unanswered=5,
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


def test_copies_that_a_brake_ended_are_in_no_counter_and_counted_all_the_same() -> None:
    """60 copies ended by max_stream_duration: neither success nor error, nor in flight (measured)."""
    page = "\n".join(
        f"{CLUSTER}::198.18.0.20:8000::{key}::{value}"
        for key, value in {"rq_total": 65, "rq_success": 2, "rq_error": 2, "rq_timeout": 1, "rq_active": 1}.items()
    )
    now = read_clusters_page([page], CLUSTER)
    assert now.unanswered == 60
    # What was in flight before and is answered now is not missing.
    before = read_clusters_page(
        [f"{CLUSTER}::198.18.0.20:8000::rq_total::5\n{CLUSTER}::198.18.0.20:8000::rq_active::5"], CLUSTER
    )
    assert now.since(before).unanswered == 60


def test_only_what_was_promised_counts_as_a_credential() -> None:
    lines = [entry("run1-0", headers=["authorization", "x-made-up-token", "x-forwarded-client-cert"])]
    assert Arrivals.of(lines, run_id="run1").credentials == {"authorization": 1}
    assert Arrivals.of(lines, run_id="run1", removed={"x-made-up-token"}).credentials == {"x-made-up-token": 1}
    assert Arrivals.of(lines, run_id="run1", removed=()).credentials == {}

"""The alerts by Prometheus' own rule tests: each fires for its fault, and no other does. Needs Debian's archive."""

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model import Expiry
from pulumi_traffic_mirror.model.monitoring import ALERTS, MonitoredMirror, alert_group, inventory_group
from pulumi_traffic_mirror.model.monitoring.dashboard import INTERVAL, expressions

pytestmark = pytest.mark.slow_stage

MIRROR = "shop/orders/next"
COPIES = "outbound|80||next.shop.svc.cluster.local"
PRIMARY = "outbound|80||orders.shop.svc.cluster.local"
MINUTES = 40
DAY = 86_400
LOST = ("streams", "memory", "queue", "protocol", "late")


def envoy(counter: str, values: str, cluster: str = COPIES, **labels: str) -> dict[str, str]:
    """A counter of a cluster, in Prometheus' shorthand for series."""
    more = "".join(f',{name}="{value}"' for name, value in labels.items())
    return {"series": f'envoy_cluster_{counter}{{cluster_name="{cluster}"{more}}}', "values": values}


def proxy(**counters: str) -> list[dict[str, str]]:
    """A proxy that has the mirror's cluster and the primary's, which takes 100 calls a minute."""
    told = {"membership_total": f"1x{MINUTES}", "membership_healthy": f"1x{MINUTES}", **counters}
    errors = told.pop("errors", "")
    return [
        *(envoy(name, values) for name, values in told.items() if values),
        *([envoy("upstream_rq", errors, response_code_class="5xx")] if errors else []),
        envoy("membership_total", f"1x{MINUTES}", PRIMARY),
        envoy("membership_healthy", f"1x{MINUTES}", PRIMARY),
        envoy("upstream_rq_total", f"0+100x{MINUTES}", PRIMARY),
    ]


def istiod(values: str) -> list[dict[str, str]]:
    where = 'job="istiod",instance="a"'
    return [
        {"series": f"up{{{where}}}", "values": f"1x{MINUTES}"},
        {"series": f'pilot_total_xds_rejects{{{where},type="rds"}}', "values": values},
    ]


def recorder(lost: str) -> list[dict[str, str]]:
    names = [*(f"dropped_{name}" for name in LOST), "redaction_failures", "lost"]
    counted = {name: lost if name == "dropped_queue" else f"0x{MINUTES}" for name in names}
    where = 'job="recorder",instance="r"'
    return [{"series": f"traffic_recorder_{name}_total{{{where}}}", "values": each} for name, each in counted.items()]


SENT = f"0+10x{MINUTES}"
"""Ten copies a minute: what 10 % of the calls make."""

FROM_THE_20TH = f"_x20 3x{MINUTES - 20}"
"""A counter that comes to be with its first count, as istiod's does."""

CASES: Mapping[str, tuple[list[dict[str, str]], set[str]]] = {
    "healthy": (proxy(upstream_rq_total=SENT), set()),
    "healthy, with few errors": (proxy(upstream_rq_total=SENT, errors=f"0+0.4x{MINUTES}"), set()),
    "few copies, all of them errors": (proxy(upstream_rq_total=f"0+1x{MINUTES}", errors=f"0+1x{MINUTES}"), set()),
    "no proxy tells": (proxy(membership_total="", membership_healthy=""), {"MirrorNotSeen"}),
    "nothing is sent": (proxy(), {"MirrorSendsNoCopies"}),
    "hangs": (
        proxy(upstream_rq_total=SENT, upstream_rq_max_duration_reached=SENT),
        {"MirrorCopiesUnanswered"},
    ),
    "is not reached": (
        proxy(upstream_rq_pending_failure_eject=SENT, errors=SENT),
        {"MirrorCopiesUnanswered"},
    ),
    "resets streams": (
        proxy(upstream_rq_total=SENT, upstream_rq_rx_reset=SENT, errors=SENT),
        {"MirrorCopiesUnanswered"},
    ),
    "times out": (
        proxy(upstream_rq_total=SENT, upstream_rq_timeout=SENT, errors=SENT),
        {"MirrorCopiesUnanswered"},
    ),
    "answers errors": (proxy(upstream_rq_total=SENT, errors=SENT), {"MirrorCopiesFail"}),
    "is over the brake on requests": (
        proxy(
            upstream_rq_total=f"0+5x{MINUTES}", upstream_rq_active_overflow=f"0+5x{MINUTES}", errors=f"0+5x{MINUTES}"
        ),
        {"MirrorBrakesRefuseCopies"},
    ),
    "is over the brake of an older proxy, and sends nothing": (
        proxy(upstream_rq_pending_overflow=SENT, errors=SENT),
        {"MirrorBrakesRefuseCopies"},
    ),
    "is ejected": (
        proxy(
            membership_healthy=f"0x{MINUTES}",
            outlier_detection_ejections_active=f"1x{MINUTES}",
            upstream_cx_none_healthy=SENT,
            errors=SENT,
        ),
        {"MirrorEndpointsEjected"},
    ),
    "has no pods": (
        proxy(
            membership_total=f"0x{MINUTES}",
            membership_healthy=f"0x{MINUTES}",
            upstream_cx_none_healthy=SENT,
            errors=SENT,
        ),
        {"MirrorWithoutEndpoints"},
    ),
    "routes are refused": (
        [*proxy(upstream_rq_total=SENT), *istiod(f"5x20 6x{MINUTES - 20}")],
        {"ProxiesRejectConfiguration"},
    ),
    "routes are refused for the first time": (
        [*proxy(upstream_rq_total=SENT), *istiod(FROM_THE_20TH)],
        {"ProxiesRejectConfiguration"},
    ),
    "routes were refused long ago": ([*proxy(upstream_rq_total=SENT), *istiod(f"5x{MINUTES}")], set()),
    "the recorder drops": (
        [*proxy(upstream_rq_total=SENT), *recorder(f"0+1x{MINUTES}")],
        {"RecorderDropsExchanges"},
    ),
    "the recorder keeps up": ([*proxy(upstream_rq_total=SENT), *recorder(f"7x{MINUTES}")], set()),
}
AT = 25 * 60
"""When the alerts are asked for, in seconds of the series."""


@pytest.fixture(scope="module")
def promtool(prometheus_folder: Path) -> Path:
    return prometheus_folder / "promtool"


def run(promtool: Path, folder: Path, case: Mapping[str, Any], *mirrors: MonitoredMirror) -> str:
    """Run one rule test; empty when it holds."""
    groups = [inventory_group(mirrors, window="10m"), alert_group()]
    (folder / "rules.json").write_text(json.dumps({"groups": groups}), encoding="utf-8")
    content = {"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": [case]}
    (folder / "test.json").write_text(json.dumps(content), encoding="utf-8")
    argv = [promtool, "test", "rules", "test.json"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def fires(series: list[dict[str, str]], alerts: set[str]) -> dict[str, Any]:
    """A rule test: exactly these alerts fire, those of a mirror for this one."""
    of_mirrors = {alert.name for alert in ALERTS if "mirror" in alert.summary}
    named = [f'alertname="{name}"' + (f', mirror="{MIRROR}"' if name in of_mirrors else "") for name in sorted(alerts)]
    return {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": 'count by (alertname, mirror) (ALERTS{alertstate="firing"})',
                "eval_time": f"{AT}s",
                "exp_samples": [{"labels": f"{{{each}}}", "value": 1} for each in named],
            }
        ],
    }


def mirror(**values: Any) -> MonitoredMirror:
    return MonitoredMirror(**{"mirror": MIRROR, "cluster": COPIES, "primaries": [PRIMARY], "percent": 10, **values})


@pytest.mark.parametrize("case", CASES)
def test_an_alert_fires_for_its_fault_and_no_other_does(promtool: Path, tmp_path: Path, case: str) -> None:
    assert run(promtool, tmp_path, fires(*CASES[case]), mirror()) == ""


def test_counters_that_come_to_be_with_an_ejection_do_not_look_like_failures(promtool: Path, tmp_path: Path) -> None:
    """Envoy makes a counter with its first count: what it begins with counts as well."""
    told = {
        "membership_total": f"1x{MINUTES}",
        "upstream_rq_total": f"0+30x19 573x{MINUTES - 20}",
        "outlier_detection_ejections_active": f"0x19 1x{MINUTES - 20}",
        "upstream_cx_none_healthy": f"_x21 77+10x{MINUTES - 21}",
    }
    where = {"job": "gateway", "instance": "a"}
    series = [envoy(name, values, **where) for name, values in told.items()]
    series.append(envoy("upstream_rq", f"_x20 70+10x{MINUTES - 20}", response_code_class="5xx", **where))
    series.append({"series": 'up{job="gateway",instance="a"}', "values": f"1x{MINUTES}"})
    assert run(promtool, tmp_path, fires(series, {"MirrorEndpointsEjected"}), mirror(primaries=[])) == ""


@pytest.mark.parametrize(
    ("seconds", "sends", "alerts"),
    [
        (10 * DAY, True, set()),
        (2 * DAY, True, {"MirrorEndsSoon"}),
        (AT - 60, True, {"MirrorGoesOnAfterItsEnd"}),
        (AT - 60, False, {"MirrorSendsNoCopies"}),
    ],
)
def test_an_end_is_told_before_it_and_after_it(
    promtool: Path, tmp_path: Path, seconds: int, sends: bool, alerts: set[str]
) -> None:
    ending = mirror(expires=Expiry(datetime.fromtimestamp(seconds, UTC)))
    series = proxy(upstream_rq_total=SENT if sends else "")
    assert run(promtool, tmp_path, fires(series, alerts), ending) == ""


def test_nobody_is_told_that_nothing_is_sent_where_nobody_knows_who_answers(promtool: Path, tmp_path: Path) -> None:
    assert run(promtool, tmp_path, fires(proxy(), set()), mirror(primaries=[])) == ""


def test_two_mirrors_of_one_service_are_told_of_both(promtool: Path, tmp_path: Path) -> None:
    case = fires(proxy(upstream_rq_total=SENT, errors=SENT), {"MirrorCopiesFail"})
    second = {"labels": '{alertname="MirrorCopiesFail", mirror="shop/basket/next"}', "value": 1}
    case["promql_expr_test"][0]["exp_samples"].append(second)
    assert run(promtool, tmp_path, case, mirror(), mirror(mirror="shop/basket/next")) == ""


def test_prometheus_reads_what_is_checked_in(promtool: Path, tmp_path: Path) -> None:
    asked = [{"record": f"panel_{i}", "expr": each.replace(INTERVAL, "5m")} for i, each in enumerate(expressions())]
    (tmp_path / "panels.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": asked}]}))
    rules = Path(__file__).parents[2] / "docs" / "monitoring" / "rules.yaml"
    argv = [promtool, "check", "rules", str(rules), str(tmp_path / "panels.json")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr

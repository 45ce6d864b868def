"""Rules, dashboard and page as they are checked in, and what they promise of each other."""

import re
from pathlib import Path

import pytest

from pulumi_traffic_mirror.model.monitoring import ALERTS, PROXY_STATS, alert_group
from pulumi_traffic_mirror.model.monitoring.dashboard import expressions
from pulumi_traffic_mirror.model.recording import DROPS
from pulumi_traffic_mirror.operations.recording.counters import Counters
from pulumi_traffic_mirror.program.monitoring_files import files

DOCS = Path(__file__).parents[3] / "docs"
COUNTERS = re.compile(r"envoy_cluster_(\w+)(\{response_code_class=\"(\dxx)\"\})?")


@pytest.mark.parametrize("name", files())
def test_what_is_checked_in_is_what_the_model_says(name: str) -> None:
    """Write it anew by ``python -m pulumi_traffic_mirror.program.monitoring_files docs``."""
    assert (DOCS / name).read_text(encoding="utf-8") == files()[name]


def asked() -> list[str]:
    group = alert_group()["rules"]
    assert isinstance(group, list)
    return [*expressions(), *(str(rule["expr"]) for rule in group if isinstance(rule, dict))]


def test_proxies_are_told_to_keep_every_counter_that_is_read() -> None:
    statistics = {
        f"cluster.outbound|80||a.b.svc.cluster.local;.{name.replace('detection_', 'detection.')}"
        + (f"_{found[2]}" if found[2] else "")
        for text in asked()
        for found in COUNTERS.findall(text)
        for name in [found[0]]
    }
    assert len(statistics) == 13
    assert [each for each in statistics if not re.fullmatch(PROXY_STATS, each)] == []
    assert "," not in PROXY_STATS
    assert not re.fullmatch(PROXY_STATS, "cluster.outbound|80||a.b.svc.cluster.local;.upstream_cx_rx_bytes_total")


def test_the_recorder_has_the_counters_that_are_read() -> None:
    assert set(DROPS) <= set(Counters().as_dict())


def test_each_alert_is_explained_where_it_points_to() -> None:
    page = (DOCS / "monitoring.md").read_text(encoding="utf-8")
    titles = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert titles == [alert.name for alert in ALERTS]
    for alert in ALERTS:
        assert f"{alert.means}.\n\n**What to do.** {alert.remedy}.\n" in page

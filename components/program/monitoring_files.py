"""Writes what ``docs/`` has of monitoring: ``python -m pulumi_traffic_mirror.program.monitoring_files docs``."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from ..model.monitoring import ALERTS, PROXY_STATS, STATS_ANNOTATION, MonitoredMirror, alert_group, dashboard
from ..model.monitoring import inventory_group as inventory

_EXAMPLE: Final = MonitoredMirror(
    mirror="shop/orders/next",
    cluster="outbound|80||orders-next.shop.svc.cluster.local",
    primaries=["outbound|80||orders.shop.svc.cluster.local"],
    percent=10,
)

_HEAD: Final = f"""<!-- Written by `python -m pulumi_traffic_mirror.program.monitoring_files docs`. -->
# Watch mirrors

Copies are in none of the usual places: who sends them counts them in no `istio_requests_total`, and their answers go to
nobody. What tells of them are Envoy's counters of the cluster that they go to, which Istio's proxies do not export by
default. Three things make them seen:

1. **Proxies export the counters.** Gateways of a `MeshGateway` do so by themselves. Pods of other gateways, and pods
   whose sidecars send copies, need this annotation, and a restart:

        {STATS_ANNOTATION}: '{PROXY_STATS}'

   A mesh as a whole takes the same expression in `meshConfig.defaultConfig.proxyStatsMatcher.inclusionRegexps`
   (`mesh_config` of an `IstioControlPlane`). It is left out there because it costs: up to thirteen series for each
   cluster that a proxy has sent requests to, three for each other that it knows. An annotation replaces the mesh's own
   expressions on its pods; where both are needed, put a comma between them. `values={{"podAnnotations": …}}` of a
   `MeshGateway` changes it there.
2. **Prometheus scrapes proxies and istiod**, as Istio's annotations ask (`:15020/stats/prometheus` and
   `:15014/metrics`), and recorders (`:9101/metrics`, see `metrics_namespaces`).
3. **Prometheus knows the mirrors.** In a program, `MirrorMonitoring` makes all of it:

        MirrorMonitoring(
            "mirrors",
            MirrorMonitoringArgs(
                cluster=cluster, namespace="monitoring", watched=[service], labels={{"release": "prometheus"}}
            ),
        )

   It makes a PrometheusRule, or with `rules=RulesAs.CONFIG_MAP` a ConfigMap for a Prometheus without the operator, and
   a ConfigMap with the dashboard. Without it, take [rules.yaml](monitoring/rules.yaml) and
   [dashboard.json](monitoring/dashboard.json), and name each mirror in a group of your own:

"""

_LIMITS: Final = """
Each cluster is taken to have a Prometheus of its own: where several clusters write to one, the same Service of two is
counted together. Counters of a Service's cluster hold whatever a proxy sends there, copies or not: a mirror whose
Service others call through the same proxies is told of with their requests. gRPC errors that come with status 200 are
counted nowhere for copies; `traffic-mirror verify` and `diff` see them. Alerts look ten minutes back
(`window_minutes`), judge no share of fewer than 20 copies, and shares from 5 % on.

## Alerts
"""


def page() -> str:
    """The whole of ``docs/monitoring.md``."""
    example = yaml.safe_dump({"groups": [inventory([_EXAMPLE], window="10m")]}, sort_keys=False, width=200)
    indented = "".join(f"        {line}\n" for line in example.splitlines())
    alerts = "".join(f"\n### {alert.name}\n\n{alert.means}.\n\n**What to do.** {alert.remedy}.\n" for alert in ALERTS)
    return _HEAD + indented + _LIMITS + alerts


def files() -> Mapping[str, str]:
    """Content of each file by its path in ``docs/``."""
    groups = {"groups": [alert_group()]}
    return {
        "monitoring.md": page(),
        "monitoring/rules.yaml": yaml.safe_dump(groups, sort_keys=False, width=120),
        "monitoring/dashboard.json": json.dumps(dashboard(), indent=2) + "\n",
    }


if __name__ == "__main__":
    for name, content in files().items():
        target = Path(sys.argv[1]) / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(content, encoding="utf-8")

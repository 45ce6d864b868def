"""What a proxy has: its routes, its clusters and their counters, read from Envoy's admin pages."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_traffic_mirror.model import MirroredRoute, Percent, Scrub
from pulumi_traffic_mirror.model.render import route_plans
from pulumi_traffic_mirror.operations.verify.evidence import ProxyCounters, read_clusters_page

from .outpost import Outpost
from .terms import GATEWAY, NAMESPACE, STAGING


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """The proxies of one workload."""

    outpost: Outpost
    role: str
    namespace: str
    selector: str

    def page(self, path: str) -> list[str]:
        """Return an admin page of every proxy."""
        return self.outpost.ask("admin", self.role, self.namespace, self.selector, path)

    def counters(self, cluster: str) -> ProxyCounters:
        """Return one cluster's counters."""
        return read_clusters_page(self.page("clusters"), cluster)

    def ejected(self, clusters: Iterable[str]) -> int:
        """Return how many endpoints of some clusters outlier detection has taken out."""
        pages = self.page("clusters")
        return sum(read_clusters_page(pages, cluster).ejected for cluster in clusters)

    def connections(self, cluster: str) -> int:
        """Return how many connections were opened to one cluster."""
        lines = [line for page in self.page("clusters") for line in page.splitlines()]
        marked = [line for line in lines if line.startswith(f"{cluster}::") and "::cx_total::" in line]
        return sum(int(line.rpartition("::")[2]) for line in marked)

    def statistic(self, name: str) -> int:
        """Return one counter or gauge by its full name, summed over the proxies; 0 where there is none."""
        lines = [line for page in self.page(f"stats?filter={name}") for line in page.splitlines()]
        return sum(int(line.rpartition(":")[2]) for line in lines if line.startswith(f"{name}:"))

    def memory_mib(self) -> float:
        """Return what the largest proxy's allocator holds in use, in MiB."""
        return max(int(json.loads(page)["allocated"]) for page in self.page("memory")) / 2**20

    def routes(self) -> list[dict[str, dict[str, int]]]:
        """Return, for every proxy, the mirrors of each named route: cluster to share in millionths."""
        return [_routes(json.loads(page)) for page in self.page("config_dump?resource=dynamic_route_configs")]

    def settings(self, cluster: str) -> list[dict[str, Any]]:
        """Return, for every proxy, all that it is told about one cluster."""
        dumps = [json.loads(page) for page in self.page("config_dump?resource=dynamic_active_clusters")]
        found = [[config["cluster"] for config in dump.get("configs", [])] for dump in dumps]
        return [each for clusters in found for each in clusters if each["name"] == cluster]

    def bounded_clusters(self) -> list[set[str]]:
        """Return, for every proxy, the clusters whose requests have a bound on their life."""
        return [_bounded(json.loads(page)) for page in self.page("config_dump?resource=dynamic_active_clusters")]


def gateway_of(outpost: Outpost, role: str) -> Proxy:
    """Return the gateway of a cluster."""
    return Proxy(outpost=outpost, role=role, namespace=GATEWAY.namespace, selector="istio=internal-gateway")


def caller_of(outpost: Outpost) -> Proxy:
    """Return the sidecar of the caller."""
    return Proxy(outpost=outpost, role=STAGING, namespace=NAMESPACE, selector="app=caller")


def wanted_routes(route: MirroredRoute, context: str) -> dict[str, dict[str, int]]:
    """Return what :meth:`Proxy.routes` must show of a route."""
    return {
        plan.name: {
            mirror.destination(route.primary).cluster_name: Percent(mirror.percent).per_million
            for mirror in plan.mirrors
            # A scrubbed mirror at rest stays listed, see the rendering.
            if mirror.percent or any(isinstance(each.scrub, Scrub) for each in plan.mirrors)
        }
        for plan in route_plans(route)
        if (plan.context == "mesh") == (context == "mesh")
    }


def _routes(dump: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for config in dump.get("configs", []):
        for host in config["route_config"].get("virtual_hosts", []):
            for route in host.get("routes", []):
                policies = route.get("route", {}).get("request_mirror_policies", [])
                mirrors = {policy["cluster"]: _share(policy) for policy in policies}
                found.setdefault(route.get("name", ""), {}).update(mirrors)
    return found


def _share(policy: Mapping[str, Any]) -> int:
    value = policy.get("runtime_fraction", {}).get("default_value", {"numerator": 1_000_000})
    scale = {"HUNDRED": 10_000, "TEN_THOUSAND": 100, "MILLION": 1}[value.get("denominator", "HUNDRED")]
    return int(value.get("numerator", 0)) * scale


def _bounded(dump: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    for config in dump.get("configs", []):
        options = config["cluster"].get("typed_extension_protocol_options", {})
        if any("max_stream_duration" in json.dumps(each) for each in options.values()):
            found.add(config["cluster"]["name"])
    return found

"""Random EnvoyFilters: every operation and every field of a match, on routes, clusters and virtual hosts."""

from typing import Final

from tests.differential.maker import CREDENTIALS, Maker, Object, full

HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
ROUTE_OPERATIONS: Final = (
    *["MERGE_AND_REPLACE_LIST"] * 8,
    *["MERGE"] * 3,
    "REMOVE",
    "ADD",
    "INSERT_BEFORE",
    "INSERT_AFTER",
    "INSERT_FIRST",
    "REPLACE",
)
CLUSTER_OPERATIONS: Final = (*["MERGE"] * 7, "ADD", "REMOVE", "REPLACE", "MERGE_AND_REPLACE_LIST")


class FilterMaker(Maker):
    """Makes EnvoyFilters for mirrors that are there."""

    def _add_filter(self, name: str, patch: Object) -> None:
        before = [each for each in self.objects if each["kind"] == "EnvoyFilter"]
        if before and self.chance(0.1):
            before[-1]["spec"]["configPatches"].append(patch)
            return
        spec: Object = {"configPatches": [patch]}
        if self.style == "waypoint" and self.chance(0.5):
            target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "way"}
            spec["targetRefs"] = [target]
        elif self.chance(0.1):
            spec["workloadSelector"] = {"labels": {"app": self.pick("client-shop", "client-lab", "none")}}
        if self.chance(0.1):
            spec["priority"] = self.pick(-1, 5)
        place = self.pick(self.home, self.home, "istio-system", *self.namespaces)
        self.add("networking.istio.io/v1alpha3", "EnvoyFilter", name, place, spec)

    def _context(self) -> Object:
        context = self.pick("SIDECAR_OUTBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "ANY", "", "SIDECAR_INBOUND")
        return {"context": context} if context else {}

    def _proxy(self) -> Object:
        return {"proxy": {"proxyVersion": self.pick(r"^1\.31.*", r"^1\.20.*")}} if self.chance(0.05) else {}

    def _route_match(self, name: str) -> Object:
        route: Object = {"name": name or "unnamed"} if not self.chance(0.05) else {}
        if self.chance(0.08):
            route["name"] = (name or "unnamed") + ".named"
        host: Object = {"route": route}
        if self.chance(0.06):
            route["action"] = self.pick("ROUTE", "REDIRECT", "ANY")
        if self.chance(0.1):
            host["name"] = self.pick(full("web", self.home) + ":80", "other:80", "web.example:80")
        if self.chance(0.06):
            host["domainName"] = self.pick(full("web", self.home), "other.example")
        match: Object = {"vhost": host}
        if self.chance(0.1):
            match["portNumber"] = self.pick(80, 8080)
        if self.chance(0.06):
            match["name"] = self.pick("80", "8080", "http.80")
        if self.chance(0.04):
            match["gateway"] = f"{self.home}/edge"
        if self.chance(0.04):
            match["portName"] = "http"
        return {**self._context(), "routeConfiguration": match, **self._proxy()}

    def make_mirror_filter(self) -> None:
        """Add a patch of a route's mirrors, e.g. one that takes credentials off."""
        if not self.mirrors:
            return
        name, destination, namespace = self.pick(*self.mirrors)
        host, port, subset = self.target(destination, namespace)
        removed = CREDENTIALS[: self.pick(5, 5, 5, 4)]
        mirror = {
            "cluster": f"outbound|{port}|{subset}|{host}",
            "runtime_fraction": {"default_value": {"numerator": self.pick(10, 100)}},
            "request_headers_mutations": [{"remove": each} for each in removed],
        }
        value: Object = {"route": {"request_mirror_policies": [mirror]}}
        operation = self.pick(*ROUTE_OPERATIONS)
        if operation.startswith(("ADD", "INSERT")) and self.chance(0.6):
            value["match"] = {"prefix": self.pick("/", "/only-here")}
            value["route"]["cluster"] = f"outbound|80||{full('web', self.home)}"
        patch = {"operation": operation, "value": value}
        if operation == "REMOVE":
            patch.pop("value")
        self._add_filter("mirrors", {"applyTo": "HTTP_ROUTE", "match": self._route_match(name), "patch": patch})

    def make_life_filter(self) -> None:
        """Add a patch of a cluster, e.g. one that bounds the life of its requests."""
        if not self.mirrors:
            return
        _, destination, namespace = self.pick(*self.mirrors)
        host, port, subset = self.target(destination, namespace)
        chosen = self.random.random()
        cluster: Object = {"name": f"outbound|{port}|{subset}|{host}"}
        if chosen < 0.15:
            cluster = {"service": host}
        elif chosen < 0.25:
            cluster = {"service": host, "portNumber": self.pick(80, 8080)}
        elif chosen < 0.3:
            cluster["portNumber"] = self.pick(80, 8080)
        elif chosen < 0.34:
            cluster = {"subset": self.pick("v1", "v2")}
        match: Object = {**self._context(), **self._proxy()}
        if chosen < 0.96:
            match["cluster"] = cluster
        options: Object = {
            "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
            "common_http_protocol_options": {"max_stream_duration": self.pick("8s", "60s", "0s")},
        }
        if not self.chance(0.1):
            options["explicit_http_config"] = {"http_protocol_options": {}}
        value = {"typed_extension_protocol_options": {HTTP_OPTIONS: options}}
        patch: Object = {"operation": self.pick(*CLUSTER_OPERATIONS), "value": value}
        if patch["operation"] == "REMOVE":
            patch.pop("value")
        self._add_filter("life", {"applyTo": "CLUSTER", "match": match, "patch": patch})

    def make_host_filter(self) -> None:
        """Add a patch of virtual hosts, which may mirror for routes that have no mirrors."""
        mirror = {"cluster": f"outbound|80||{full('shadow', self.home)}"}
        patch = {"operation": "MERGE", "value": {"request_mirror_policies": [mirror]}}
        self._add_filter("hosts", {"applyTo": "VIRTUAL_HOST", "match": self._context(), "patch": patch})

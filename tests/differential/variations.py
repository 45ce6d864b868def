"""Variations of random meshes, made last, so that each seed's mesh is otherwise what it was without them."""

import json
from typing import Final

import yaml

from pulumi_traffic_mirror.model.render.gateway_api import TERMINATE_MODE
from tests.differential.maker import ISTIO, NATIVE, Object, full
from tests.differential.targets import OUTSIDE, TargetMaker

ROOT: Final = "mesh-root"
"""Another root namespace than Istio's own."""

DOMAIN: Final = "corp.internal"
"""Another domain of Services than Kubernetes' own; no wildcard of the meshes is for a part of it."""

EXPORTS: Final = ("Service", "VirtualService", "DestinationRule")
"""Kinds of which the mesh's configuration says who sees those that do not say so themselves."""


SPOKEN: Final = ("http", "http2", "grpc", "tcp", "kubernetes.io/h2c", "kubernetes.io/ws", "tls", "redis", "mine")
"""What ports say that they speak; of some istiod knows nothing."""


class VariationMaker(TargetMaker):
    """Changes some of what was made: what a mesh of many owners has beside one mirrored route."""

    def vary(self) -> None:
        """Change some things at once."""
        ways = {
            "servers": self._vary_servers,
            "listeners": self._vary_listeners,
            "native": self._vary_native,
            "sidecars": self._vary_sidecars,
            "settings": self._vary_settings,
            "entries": self._vary_service_entries,
            "virtual": self._vary_virtual_services,
            "services": self._vary_services,
            "filters": self._vary_filters,
            "gateways": self._vary_gateways,
        }
        for way in self.random.sample(sorted(ways), self.pick(1, 2, 3)):
            ways[way]()

    def vary_mesh(self) -> None:
        """Change what holds for the mesh as a whole, in some meshes."""
        if self.chance(0.1):
            self._move_root()
        if self.chance(0.1):
            self._rename_domain()

    def _move_root(self) -> None:
        """Another root namespace, with some of what reaches the whole mesh."""
        [made] = self._of("ConfigMap") or [self.add("v1", "ConfigMap", "istio", "istio-system", None)]
        config = yaml.safe_load(made["data"]["mesh"]) if "data" in made else {}
        made["data"] = {"mesh": yaml.safe_dump({**config, "rootNamespace": ROOT})}
        for each in (*self._of("EnvoyFilter"), *self._of("DestinationRule"), *self._of("Sidecar")):
            if each["metadata"]["namespace"] == "istio-system" and self.chance(0.6):
                each["metadata"]["namespace"] = ROOT

    def _rename_domain(self) -> None:
        """Another domain of Services, which some objects do not know."""
        for index, each in enumerate(self.objects):
            if self.chance(0.9):
                self.objects[index] = json.loads(json.dumps(each).replace("cluster.local", DOMAIN))
        container = {"name": "discovery", "image": "pilot:1.31.0", "args": ["discovery", "--domain", DOMAIN]}
        pods = {"metadata": {"labels": {"app": "istiod"}}, "spec": {"containers": [container]}}
        spec = {"selector": {"matchLabels": {"app": "istiod"}}, "template": pods}
        self.add("apps/v1", "Deployment", "istiod", "istio-system", spec, labels={"app": "istiod"})

    def _of(self, kind: str, version: str = "") -> list[Object]:
        return [each for each in self.objects if each["kind"] == kind and each["apiVersion"].startswith(version)]

    def _vary_servers(self) -> None:
        """More servers of a Gateway of Istio's, and a second Gateway for the same pods."""
        fronts = [each for each in self._of("Service") if each["metadata"]["name"] == "edge"]
        if any("targetPort" in port for each in fronts for port in each["spec"]["ports"]):
            return  # two servers on one port of the pods are merged
        for gateway in self._of("Gateway", ISTIO):
            servers = gateway["spec"]["servers"]
            for _ in range(self.pick(1, 1, 2)):
                servers.append(self._server())
            if self.chance(0.3):
                second = self.pick(*self.namespaces)
                self.add(
                    ISTIO, "Gateway", "edge-2", second, {"selector": {"istio": "edge"}, "servers": [self._server()]}
                )
                for route in self._of("VirtualService"):
                    if "gateways" in route["spec"] and self.chance(0.7):
                        route["spec"]["gateways"].append(f"{second}/edge-2")
        for service in fronts if self.chance(0.8) else ():
            service["spec"]["ports"] += [{"name": "https", "port": 443}, {"name": "h2", "port": 9090}]

    def _server(self) -> Object:
        kind, port = self.pick(
            ("HTTP", 8080), ("HTTP", 80), ("HTTPS", 443), ("HTTPS", 443), ("GRPC", 9090), ("TCP", 5000)
        )
        hosts = [
            self.pick("*", "web.example", "*.example", "second.example", f"{self.home}/*", f"{self.home}/web.example")
        ]
        server: Object = {"port": {"number": port, "name": f"{kind.lower()}-{port}", "protocol": kind}, "hosts": hosts}
        if kind == "HTTPS":
            server["tls"] = self.pick({"mode": "SIMPLE", "credentialName": "cert"}, {"mode": "PASSTHROUGH"})
        return server

    def _vary_listeners(self) -> None:
        """More listeners of a Gateway of the Gateway API."""
        for gateway in self._of("Gateway", "gateway.networking.k8s.io"):
            if gateway["spec"]["gatewayClassName"] != "istio":
                continue
            for index in range(self.pick(1, 2)):
                listener: Object = {"name": f"more-{index}", "port": self.pick(80, 8080, 9090), "protocol": "HTTP"}
                if self.chance(0.5):
                    listener["hostname"] = self.pick("web.example", "*.example", "other.test", "second.example")
                if self.chance(0.5):
                    listener["allowedRoutes"] = {"namespaces": {"from": self.pick("All", "Same")}}
                gateway["spec"]["listeners"].append(listener)

    def _vary_native(self) -> None:
        """More parents, hosts, backends and rules of routes of the Gateway API, and a second route."""
        for route in [*self._of("HTTPRoute"), *self._of("GRPCRoute")]:
            spec = route["spec"]
            if self.chance(0.3) and "hostnames" in spec:
                spec["hostnames"].append("second.example")
            if self.chance(0.3):
                spec["parentRefs"].append({"group": "", "kind": "Service", "name": self.pick("web", "aux")})
            for rule in spec["rules"]:
                if self.chance(0.3) and "backendRefs" in rule:
                    rule["backendRefs"].append({**rule["backendRefs"][0], "weight": self.pick(0, 1, 5)})
                if self.chance(0.2):
                    rule.setdefault("matches", []).append({"headers": [{"name": "y", "value": "1"}]})
            if self.chance(0.2):
                self._vary_backend(self.pick(*spec["rules"]))
            if self.chance(0.3):
                second = {**spec, "rules": [spec["rules"][-1]]}
                self.add(NATIVE, route["kind"], "native-2", route["metadata"]["namespace"], second)

    def _vary_backend(self, rule: Object) -> None:
        """Make a backend one of another kind, or one that is not as its kind is written."""
        mirrors = [each["requestMirror"] for each in rule["filters"] if each["type"] == "RequestMirror"]
        holders = [*((each, "backendRef") for each in mirrors)]
        if "backendRefs" in rule:
            holders += [(rule["backendRefs"], index) for index in range(len(rule["backendRefs"]))]
        if not holders:
            return
        holder, key = self.pick(*holders)
        hostname = {"group": "networking.istio.io", "kind": "Hostname", "name": OUTSIDE, "port": 80}
        holder[key] = self.pick(
            {**holder[key], "kind": "Bucket"},
            {**holder[key], "group": "apps"},
            {**holder[key], "group": "multicluster.x-k8s.io", "kind": "ServiceImport"},
            {**holder[key], "name": f"{holder[key]['name']}.{self.home}"},
            hostname,
            {**hostname, "name": "nowhere.example"},
            {**hostname, "namespace": self.home},
            {**hostname, "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": hostname}}]}
            if key != "backendRef"
            else {**hostname, "port": 8080},
        )

    def _vary_sidecars(self) -> None:
        """A Sidecar of several hosts and ports, in a namespace that may have one already."""
        hosts = ["./*", "*/*", "istio-system/*", f"{self.home}/*", "~/*", f"*/{full('web', self.home)}", f"*/{OUTSIDE}"]
        hosts += [f"{self.home}/*.svc.cluster.local", f"{self.home}/{full('shadow', self.home)}"]
        listeners: list[Object] = [{"hosts": self.random.sample(hosts, self.pick(1, 2, 3))}]
        if self.chance(0.3):
            port = self.pick(80, 8080)
            listeners.insert(
                0, {"hosts": [self.pick(*hosts)], "port": {"number": port, "protocol": "HTTP", "name": "http"}}
            )
        self.add(ISTIO, "Sidecar", "narrow-2", self.pick(*self.namespaces), {"egress": listeners})

    def _vary_settings(self) -> None:
        """What the mesh's configuration says."""
        config: Object = {}
        for kind in EXPORTS:
            if self.chance(0.35):
                config[f"default{kind}ExportTo"] = [self.pick(".", "*", "lab")]
        if self.chance(0.3):
            config["connectTimeout"] = self.pick("1s", "10s")
        if self.chance(0.2):
            pool: Object = {"connectionPool": {"http": {"http2MaxRequests": 10}, "tcp": {"maxConnections": 10}}}
            config["defaultTrafficPolicy"] = self.pick(pool, {"outlierDetection": {"consecutive5xxErrors": 3}})
        if config:
            made = self.add("v1", "ConfigMap", "istio", "istio-system", None)
            made["data"] = {"mesh": yaml.safe_dump(config)}

    def _vary_service_entries(self) -> None:
        """A ServiceEntry of several hosts and ports, for a host of the routes, or for pods."""
        hosts = self.pick(
            ["web.example"], ["web.example", "second.example"], [full("aux", self.home)], ["more.example"]
        )
        ports = [
            {"number": 80, "name": "http", "protocol": "HTTP"},
            {"number": 8080, "name": "alt", "protocol": "HTTP"},
        ]
        spec: Object = {"hosts": hosts, "ports": ports[: self.pick(1, 2)], "resolution": self.pick("DNS", "STATIC")}
        if spec["resolution"] == "STATIC":
            chosen = {"workloadSelector": {"labels": {"app": self.pick("web", "shadow", "none")}}}
            spec |= self.pick({"endpoints": [{"address": "192.0.2.8"}]}, chosen)
        if self.chance(0.3):
            spec["exportTo"] = [self.pick(".", "lab")]
        self.add(ISTIO, "ServiceEntry", "more", self.pick(*self.namespaces), spec)

    def _vary_virtual_services(self) -> None:
        """More hosts, matches of several conditions, and primaries outside."""
        for route in self._of("VirtualService"):
            spec = route["spec"]
            if "hosts" in spec and self.chance(0.3):
                spec["hosts"] = [*spec["hosts"], self.pick("more.example", OUTSIDE, full("aux", self.home))]
            for entry in spec.get("http", ()):
                if "match" in entry and self.chance(0.3):
                    more = self.pick(
                        {"port": 80}, {"sourceNamespace": self.pick(*self.namespaces)}, {"method": {"exact": "GET"}}
                    )
                    entry["match"][0] = {**entry["match"][0], **more}
                if "route" in entry and self.chance(0.15):
                    outside = {"host": OUTSIDE, "port": {"number": 80}}
                    entry["route"] = [{"destination": outside}]

    def _vary_services(self) -> None:
        """Ports that say otherwise what they speak, and Services for other Services."""
        for service in self._of("Service"):
            if service["metadata"]["namespace"] not in self.namespaces or not self.chance(0.4):
                continue
            for port in service["spec"]["ports"]:
                spoken = {"appProtocol": self.pick(*SPOKEN)}
                port.update(self.pick(spoken, {"targetPort": 9999}, {"protocol": "UDP"}, {}))
            if self.chance(0.15):
                other = full(self.pick("web", "shadow"), self.home)
                service["spec"] = {"type": "ExternalName", "externalName": other, "ports": service["spec"]["ports"]}

    def _vary_filters(self) -> None:
        """More EnvoyFilters for the same mirrors, in other namespaces and for other proxies."""
        for filter_ in [each for each in self._of("EnvoyFilter") if self.chance(0.6)]:
            name, place = f"{filter_['metadata']['name']}-2", self.pick(*self.namespaces, "istio-system")
            patches = [{**each, "match": {**each.get("match", {})}} for each in filter_["spec"]["configPatches"]]
            for patch in patches:
                patch["match"]["context"] = self.pick("SIDECAR_OUTBOUND", "GATEWAY", "ANY", "SIDECAR_INBOUND")
                if self.chance(0.3):
                    patch["patch"] = {**patch["patch"], "operation": self.pick("MERGE", "REMOVE", "ADD")}
            made = self.add(filter_["apiVersion"], "EnvoyFilter", name, place, {"configPatches": patches})
            if self.chance(0.2):
                made["spec"]["priority"] = self.pick(-10, 10)
        if self.chance(0.4):
            self._patch_hosts()

    def _patch_hosts(self) -> None:
        """A patch that takes virtual hosts away, or mirrors all of their requests."""
        host: Object = self.pick(
            {},
            {"name": f"{full('web', self.home)}:80"},
            {"name": "web.example:80"},
            {"domainName": full("web", self.home)},
        )
        match: Object = {"context": self.pick("SIDECAR_OUTBOUND", "GATEWAY", "ANY")}
        if host or self.chance(0.5):
            match["routeConfiguration"] = {"vhost": host} if host else {"portNumber": self.pick(80, 8080)}
        mirror = {"cluster": f"outbound|80||{full('shadow', self.home)}"}
        patch = self.pick(
            {"operation": "REMOVE"}, {"operation": "MERGE", "value": {"request_mirror_policies": [mirror]}}
        )
        spec = {"configPatches": [{"applyTo": "VIRTUAL_HOST", "match": match, "patch": patch}]}
        place = self.pick(*self.namespaces, "istio-system")
        self.add(f"{ISTIO}alpha3", "EnvoyFilter", "virtual-hosts", place, spec)

    def _vary_gateways(self) -> None:
        """Pods of a gateway elsewhere, and Gateways that choose none or others."""
        for index, gateway in enumerate(self._of("Gateway", ISTIO)):
            way = self.pick("elsewhere", "others", "both")
            if way != "others":
                self.make_workload(
                    f"pods-{index}", self.pick(*self.namespaces), {"istio": "edge"}, container="istio-proxy"
                )
            if way != "elsewhere":
                gateway["spec"]["selector"] = self.pick({"istio": "other"}, {"istio": "edge", "tier": "front"})
        for gateway in self._of("Gateway", "gateway.networking.k8s.io"):
            if gateway["spec"]["gatewayClassName"] == "istio" and self.chance(0.5):
                kept: list[Object] = gateway["spec"]["listeners"] if self.chance(0.5) else []
                gateway["spec"]["listeners"] = [*kept, self._secured(gateway["metadata"]["namespace"])]

    def _secured(self, namespace: str) -> Object:
        """A listener for HTTPS."""
        listener: Object = {"name": "secured", "port": 443, "protocol": "HTTPS"}
        if self.chance(0.5):
            listener["hostname"] = self.pick("web.example", "*.example")
        tls: Object = {"certificateRefs": [self._certificate(namespace) for _ in range(self.pick(1, 1, 2))]}
        if self.chance(0.15):
            tls["options"] = {TERMINATE_MODE: self.pick("ISTIO_SIMPLE", "ISTIO_MUTUAL", "MUTUAL")}
        return {**listener, "tls": tls}

    def _certificate(self, namespace: str) -> Object:
        """A reference to a Secret, perhaps of another namespace, which may grant that or not."""
        named: Object = {"name": "cert"}
        if self.chance(0.1):
            return {**named, "kind": "ConfigMap"}
        if not self.chance(0.4):
            return named
        other = self.pick(*self.namespaces, "vault")
        if self.chance(0.7):
            group = self.pick("gateway.networking.k8s.io", "gateway.networking.k8s.io", "")
            asking = {"group": group, "kind": "Gateway", "namespace": self.pick(namespace, namespace, "elsewhere")}
            granted = self.pick(
                {"kind": "Secret"}, {"kind": "Secret", "name": self.pick("cert", "other")}, {"kind": "Service"}
            )
            spec = {"from": [asking], "to": [{"group": "", **granted}]}
            self.add("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", f"grant-{len(self.objects)}", other, spec)
        return {**named, "namespace": other}

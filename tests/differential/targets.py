"""Random targets: Services of all types with their workloads, ServiceEntries, DestinationRules, Sidecars."""

from typing import Final

from tests.differential.maker import ISTIO, Maker, Object, full

PORTS: Final = (("http", 80), ("http-alt", 8080), ("grpc", 9090), ("https", 443), ("tcp-db", 5000))
OUTSIDE: Final = "out.example"


class TargetMaker(Maker):
    """Makes what requests and copies go to."""

    def make_service(self, name: str, namespace: str) -> None:
        """Add a Service of some type, and a workload for each of its versions."""
        ports = self.random.sample(PORTS, self.pick(1, 1, 2))
        if self.chance(0.6):
            ports = [PORTS[0], *[each for each in ports if each[1] != 80][: self.pick(0, 0, 1)]]
        written: list[Object] = [{"name": own, "port": number} for own, number in ports]
        if self.chance(0.1):
            protocol = self.pick("http", "grpc", "http2", "tcp")
            written[0] = {"name": "main", "port": written[0]["port"], "appProtocol": protocol}
        self.ports[name, namespace] = written
        kind, notes = self.random.random(), {}
        spec: Object = {"selector": {"app": name}, "ports": written}
        if kind < 0.04:
            spec["clusterIP"] = "None"
        elif kind < 0.08:
            spec = {"type": "ExternalName", "externalName": OUTSIDE, "ports": written}
        elif kind < 0.12:
            notes = {"annotations": {"networking.istio.io/exportTo": self.pick(".", "*", "lab", "~")}}
        elif kind < 0.15:
            spec["type"] = self.pick("NodePort", "LoadBalancer")
        self.add("v1", "Service", name, namespace, spec, **notes)
        if "selector" not in spec:
            return
        for version in ("v1", "v2")[: self.pick(1, 2)]:
            labels = {"app": name if not self.chance(0.03) else f"{name}-x", "version": version}
            self.make_workload(f"{name}-{version}", namespace, labels, replicas=0 if self.chance(0.05) else 1)

    def make_workload(self, name: str, namespace: str, labels: Object, replicas: int = 1, container: str = "c") -> None:
        """Add a workload."""
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": container, "image": "i"}]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        self.add("apps/v1", "Deployment", name, namespace, spec)

    def make_service_entry(self) -> None:
        """Add a ServiceEntry for a host outside."""
        resolution = self.pick("DNS", "DNS", "NONE", "STATIC", "DNS_ROUND_ROBIN")
        hosts = [OUTSIDE]
        if self.chance(0.2):
            hosts = self.pick([f"*.{OUTSIDE}"], [f"*.{OUTSIDE}"], [OUTSIDE, f"*.{OUTSIDE}"])
            resolution = self.pick("DYNAMIC_DNS", "NONE", "STATIC", "DNS")
        spec: Object = {
            "hosts": hosts,
            "ports": [{"number": 80, "name": "http", "protocol": self.pick("HTTP", "HTTP2", "GRPC")}],
            "resolution": resolution,
            "location": self.pick("MESH_EXTERNAL", "MESH_INTERNAL"),
        }
        if resolution == "STATIC":
            spec["endpoints"] = [{"address": "192.0.2.7"}]
        if self.chance(0.3):
            spec["exportTo"] = [self.pick(".", "*", "lab", "shop")]
        self.add(ISTIO, "ServiceEntry", "out", self.pick(*self.namespaces), spec)

    def make_istio_gateway(self) -> None:
        """Add a Gateway of Istio's, its pods, and the Service in front of them."""
        server: Object = {
            "port": {"number": self.pick(80, 80, 8080), "name": "http", "protocol": "HTTP"},
            "hosts": [self.pick("*", "web.example", "*.example", "./*", full("web", self.home))],
        }
        if self.chance(0.07):
            server["tls"] = {"httpsRedirect": True}
        self.gateway_namespace = self.pick(*self.namespaces)
        spec = {"selector": {"istio": "edge"}, "servers": [server]}
        self.add(ISTIO, "Gateway", "edge", self.gateway_namespace, spec)
        ports: list[Object] = [{"name": "http", "port": 80}, {"name": "alt", "port": 8080}]
        if self.chance(0.3):
            ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        self.add("v1", "Service", "edge", "istio-system", {"selector": {"istio": "edge"}, "ports": ports})
        self.make_workload("edge", "istio-system", {"istio": "edge"}, container="istio-proxy")

    def make_destination_rule(self, name: str) -> None:
        """Add a DestinationRule, mostly for the target of some mirror."""
        targets = [self.target(destination, namespace)[0] for _, destination, namespace in self.mirrors]
        host = self.pick(*(targets or [full("shadow", self.home)]))
        kind = self.random.random()
        if kind < 0.12:
            host = self.pick("*.local", f"*.{self.home}.svc.cluster.local", "*", "*.example")
        elif kind < 0.2:
            host = full("web", self.home)
        spec: Object = {"host": host}
        if self.chance(0.85):
            spec["trafficPolicy"] = self._policy() or {"outlierDetection": {}}
            if self.chance(0.12):
                port = {
                    "port": {"number": self.pick(80, 8080)},
                    **(self._policy(tls=False) or {"outlierDetection": {}}),
                }
                spec["trafficPolicy"]["portLevelSettings"] = [port]
        if self.chance(0.4):
            spec["subsets"] = [self._subset(version) for version in ("v1", "v2")[: self.pick(1, 2)]]
        if self.chance(0.15):
            spec["exportTo"] = [self.pick(".", "*", "lab")]
        if self.chance(0.08):
            spec["workloadSelector"] = {"matchLabels": {"app": self.pick("client-shop", "none", "client-lab")}}
        self.add(ISTIO, "DestinationRule", name, self.pick(*self.namespaces, "istio-system"), spec)

    def _subset(self, version: str) -> Object:
        labels = {"version": version if not self.chance(0.05) else "v7"}
        return {"name": version, "labels": labels, **({"trafficPolicy": self._policy()} if self.chance(0.3) else {})}

    def _policy(self, *, tls: bool = True) -> Object:
        tcp = {"maxConnections": 10, "connectTimeout": "1s", "tcpKeepalive": {"time": "30s"}}
        http: Object = {"http1MaxPendingRequests": 10, "http2MaxRequests": 10}
        pool = {
            "tcp": {key: value for key, value in tcp.items() if self.chance(0.8)},
            "http": {key: value for key, value in http.items() if self.chance(0.8)},
        }
        pool = {key: value for key, value in pool.items() if value}
        policy: Object = {"connectionPool": pool} if pool and self.chance(0.85) else {}
        if self.chance(0.75):
            policy["outlierDetection"] = self.pick(
                {"consecutive5xxErrors": 5},
                {"consecutive5xxErrors": 5, "maxEjectionPercent": 100},
                {"consecutive5xxErrors": 0},
                {"consecutiveGatewayErrors": 3, "consecutive5xxErrors": 0, "maxEjectionPercent": 100},
                {"maxEjectionPercent": 100, "minHealthPercent": 50},
                {},
                {"baseEjectionTime": "5s"},
            )
        if tls and self.chance(0.15):
            policy["tls"] = {"mode": self.pick("DISABLE", "ISTIO_MUTUAL", "SIMPLE")}
        return policy

    def make_sidecar(self) -> None:
        """Add a Sidecar that narrows what proxies see."""
        hosts = self.pick("./*", "*/*", "istio-system/*", f"{self.home}/*", "~/*", f"*/{full('web', self.home)}")
        spec: Object = {"egress": [{"hosts": [hosts]}]}
        if self.chance(0.2):
            spec["workloadSelector"] = {"labels": {"app": self.pick("client-shop", "none")}}
        self.add(ISTIO, "Sidecar", "narrow", self.pick(*self.namespaces, *self.namespaces, "istio-system"), spec)

    def make_waypoint(self) -> None:
        """Put the home namespace into ambient mode, with a waypoint."""
        labels = {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "way"}
        self.add("v1", "Namespace", self.home, "", None, labels=labels)
        listener = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
        spec = {"gatewayClassName": "istio-waypoint", "listeners": [listener]}
        made = self.add("gateway.networking.k8s.io/v1", "Gateway", "way", self.home, spec)
        made["metadata"]["labels"] = {"istio.io/waypoint-for": "service"}

    def change_waypoints(self) -> None:
        """Let Services and namespaces choose other waypoints than that of the home namespace, or none."""
        use, place = "istio.io/use-waypoint", "istio.io/use-waypoint-namespace"
        way, home = self._made("Gateway", "way"), self._made("Namespace", self.home)
        assert way is not None
        assert home is not None
        there = {use: "way", place: self.home}
        if self.chance(0.7):
            namespaces: Object = {"from": self.pick("All", "All", "All", "Same")}
            way["spec"]["listeners"][0]["allowedRoutes"] = {"namespaces": namespaces}
        if self.chance(0.25):  # another one stands in another namespace
            elsewhere = self.pick(*self.namespaces)
            allowed = {"allowedRoutes": {"namespaces": {"from": "All"}}}
            listener = {"name": "mesh", "port": 15008, "protocol": "HBONE", **(allowed if self.chance(0.8) else {})}
            spec = {"gatewayClassName": "istio-waypoint", "listeners": [listener]}
            self.add("gateway.networking.k8s.io/v1", "Gateway", "other", elsewhere, spec)
            there = self.pick(there, {use: "other", place: elsewhere})
        if self.chance(0.2):
            home["metadata"]["labels"] = {
                **({"istio.io/dataplane-mode": "ambient"} if self.chance(0.8) else {}),
                **self.pick({use: "none"}, {}, there, there),
            }
        for name in self.namespaces[1:]:
            if self.chance(0.3):
                space = self._made("Namespace", name) or self.add("v1", "Namespace", name, "", None)
                mode = {"istio.io/dataplane-mode": "ambient"} if self.chance(0.7) else {}
                space["metadata"]["labels"] = {**space["metadata"].get("labels", {}), **mode, **self.pick({}, there)}
        for service in (each for each in self.objects if each["kind"] == "Service"):
            if self.chance(0.5 if service["metadata"]["name"] == "web" else 0.15):
                service["metadata"]["labels"] = self.pick({use: "none"}, {use: "way"}, there, there)

    def _made(self, kind: str, name: str) -> Object | None:
        named = (each for each in self.objects if each["kind"] == kind and each["metadata"]["name"] == name)
        return next(named, None)

    def make_namespaces(self) -> None:
        """Add namespaces with labels, which listeners may choose by."""
        known = [each["metadata"]["name"] for each in self.objects if each["kind"] == "Namespace"]
        for name in self.namespaces:
            if name not in known:
                self.add("v1", "Namespace", name, "", None, labels={"team": self.pick("red", "blue")})

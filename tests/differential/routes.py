"""Random routes: VirtualServices with delegates, HTTPRoutes and GRPCRoutes with their gateways."""

from tests.differential.maker import CREDENTIALS, ISTIO, NATIVE, Maker, Object, full
from tests.differential.targets import OUTSIDE


class RouteMaker(Maker):
    """Makes routes with mirrors."""

    gateway_namespace = ""

    def make_virtual_service(self, name: str) -> None:
        """Add a VirtualService with some entries, perhaps with a delegate."""
        namespace = self.home if self.chance(0.75) else self.pick(*self.namespaces)
        spec: Object = {"hosts": self._hosts(namespace)}
        if self.style.startswith("gateway"):
            edge = f"{self.gateway_namespace}/edge" if not self.chance(0.1) else "edge"
            spec["gateways"] = [edge, *(["mesh"] if "mesh" in self.style else [])]
        entries = [self._entry(f"{name}-{index}", namespace) for index in range(self.pick(1, 1, 2, 3))]
        spec["http"] = entries if not self.chance(0.08) else [self._delegated(name, namespace, entries)]
        if self.chance(0.15):
            spec["exportTo"] = [self.pick(".", "*", "lab")]
        self.add(ISTIO, "VirtualService", name, namespace, spec)

    def _hosts(self, namespace: str) -> list[str]:
        own = full("web", self.home)
        if self.style == "gateway":
            hosts = [self.pick("web.example", "web.example", "*", own, "other.test")]
        elif self.style == "gateway and mesh":
            hosts = ["web.example", own]
        else:
            wild = f"*.{self.home}.svc.cluster.local"
            hosts = [self.pick(own, own, own, "web", "web.example", "*.example", wild, full("wbe", namespace))]
        if self.chance(0.1):
            hosts.append(self.pick("second.example", "second.example", "*.cluster.local"))
        return hosts

    def _delegated(self, name: str, namespace: str, entries: list[Object]) -> Object:
        place = self.pick(*self.namespaces)
        child: Object = {"http": entries}
        if self.chance(0.3):
            child["exportTo"] = [self.pick(".", "*")]
        self.add(ISTIO, "VirtualService", f"{name}-child", place, child)
        root: Object = {"name": f"{name}-root", "delegate": {"name": f"{name}-child", "namespace": place}}
        if not self.chance(0.3):
            root["match"] = [{"uri": {"prefix": "/a"}}]
        if self.chance(0.2):
            root["mirror"] = self.destination(namespace, mirror=True)
        return root

    def destination(self, namespace: str, *, mirror: bool) -> Object:
        """A destination; a mirror's goes to other Services than the primary's."""
        keys = [key for key in self.ports if (key[0] != "web") == mirror] or list(self.ports)
        name, place = self.pick(*keys)
        port = self.pick(*[each["port"] for each in self.ports[name, place]])
        host, kind = full(name, place), self.random.random()
        if kind < 0.04:
            host = full("gone", place)
        elif mirror and kind < 0.12:
            host, port = self.pick(OUTSIDE, f"a.{OUTSIDE}"), 80
        elif kind < 0.2 and place == namespace:
            host = name
        elif mirror and kind < 0.23:
            host = f"{name}.{place}"
        made: Object = {"host": host}
        if not self.chance(0.12):
            made["port"] = {"number": port if not self.chance(0.06) else 81}
        if self.chance(0.2):
            made["subset"] = self.pick("v1", "v2", "v9") if mirror else self.pick("v1", "v1", "v9")
        return made

    def _match(self) -> Object:
        made: Object = dict(
            self.pick(
                {"uri": {"prefix": "/"}},
                {"uri": {"prefix": "/a"}},
                {"uri": {"exact": "/x"}},
                *[{"method": {"exact": "GET"}}] * 3,
                {"port": 80},
                {"port": 8080},
                {"sourceNamespace": "lab"},
                {"sourceLabels": {"app": "client-shop"}},
                {"gateways": ["mesh"]},
                {"uri": {"regex": ".*"}},
                {"headers": {"x": {"exact": "1"}}},
                {"withoutHeaders": {"x": {"exact": "1"}}},
                {"withoutHeaders": {"x": {"regex": ".*"}}},
                {"queryParams": {"q": {"exact": "1"}}},
            )
        )
        if self.chance(0.08):
            made["name"] = "named"
        return made

    def _share(self) -> Object | None:
        numbers = (0, 0.00001, 0.5, 7, 10, 10, 33.3333, 100)
        return self.pick({}, None, None, *({"value": number} for number in numbers))

    def _entry(self, name: str, namespace: str) -> Object:
        entry: Object = {} if self.chance(0.1) else {"name": name}
        if not self.chance(0.3):
            entry["match"] = [self._match() for _ in range(self.pick(1, 1, 2))]
        kind = self.random.random()
        if kind < 0.05:
            entry["redirect"] = {"uri": "/y"}
        elif kind < 0.09:
            entry["directResponse"] = {"status": 200}
        else:
            routes: list[Object] = [{"destination": self.destination(namespace, mirror=False)}]
            if self.chance(0.15):
                routes = [{**routes[0], "weight": self.pick(0, 50)}]
                routes.append({"destination": self.destination(namespace, mirror=False), "weight": 50})
            entry["route"] = routes
        self._mirror(entry, namespace)
        self._settings(entry)
        named = [entry["mirror"]] if "mirror" in entry else []
        for destination in [*named, *(each["destination"] for each in entry.get("mirrors", []))]:
            self.mirrors.append((entry.get("name", ""), destination, namespace))
        return entry

    def _mirror(self, entry: Object, namespace: str) -> None:
        kind = self.random.random()
        if kind < 0.5:
            entry["mirror"] = self.destination(namespace, mirror=True)
            share = self._share()
            if share is not None:
                key = "mirrorPercentage" if not self.chance(0.04) else "mirror_percentage"
                entry[key] = share
            if self.chance(0.04):
                entry[self.pick("mirrorPercent", "mirror_percent")] = self.pick(0, 5)
        elif kind < 0.85:
            entry["mirrors"] = []
            for _ in range(self.pick(1, 1, 2)):
                made: Object = {"destination": self.destination(namespace, mirror=True)}
                share = self._share()
                if share is not None:
                    made["percentage"] = share
                entry["mirrors"].append(made)
            if self.chance(0.08):
                entry["mirrorPercentage"] = {"value": 5}

    def _settings(self, entry: Object) -> None:
        if self.chance(0.4):
            entry["timeout"] = self.pick("5s", "5s", "30s", "0.5s", "2s", "0s", "0.0001s")
        if self.chance(0.05):
            entry["fault"] = {"abort": {"percentage": {"value": 100}, "httpStatus": 503}}
        if self.chance(0.06):
            entry["headers"] = {"request": {"remove": list(CREDENTIALS)}}
        if self.chance(0.03):
            entry["retries"] = {"attempts": 2, "perTryTimeout": "1s"}

    def make_native_route(self, *, at_gateway: bool) -> None:
        """Add an HTTPRoute or a GRPCRoute, at a gateway of its own or for a Service."""
        kind = "HTTPRoute" if self.chance(0.8) else "GRPCRoute"
        parent = self._native_gateway() if at_gateway else self._service_parent()
        rules = [self._rule(kind, index) for index in range(self.pick(1, 1, 2))]
        spec: Object = {"parentRefs": [parent], "rules": rules}
        if at_gateway and self.chance(0.5):
            spec["hostnames"] = [self.pick("web.example", "other.test")]
        self.add(NATIVE, kind, "native", self.home, spec)
        for other in self.namespaces[1:] if self.chance(0.5) else ():
            given = [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": self.home}]
            to = [{"group": "", "kind": "Service"}]
            self.add("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", "grant", other, {"from": given, "to": to})

    def _service_parent(self) -> Object:
        port = {"port": self.pick(80, 8080)} if self.chance(0.3) else {}
        return {"group": "", "kind": "Service", "name": "web", **port}

    def _native_gateway(self) -> Object:
        place = self.pick(*self.namespaces)
        listener: Object = {"name": "http", "port": self.pick(80, 8080), "protocol": "HTTP"}
        chosen = self.pick("All", "Same", "All", "Selector")
        namespaces: Object = {"from": chosen}
        if chosen == "Selector":
            namespaces["selector"] = {"matchLabels": {"team": "red"}}
        if self.chance(0.3):
            listener["hostname"] = self.pick("web.example", "*.example", "other.test")
        if self.chance(0.7):
            listener["allowedRoutes"] = {"namespaces": namespaces}
        if self.chance(0.1):
            listener.setdefault("allowedRoutes", {})["kinds"] = [{"kind": self.pick("HTTPRoute", "GRPCRoute")}]
        self.add(NATIVE, "Gateway", "own", place, {"gatewayClassName": "istio", "listeners": [listener]})
        section = {"sectionName": self.pick("http", "nope")} if self.chance(0.1) else {}
        port = {"port": self.pick(80, 8080)} if self.chance(0.1) else {}
        return {"name": "own" if not self.chance(0.04) else "none", "namespace": place, **section, **port}

    def _reference(self, *, mirror: bool) -> Object:
        keys = [key for key in self.ports if (key[0] != "web") == mirror] or list(self.ports)
        name, place = self.pick(*keys)
        port = self.pick(*[each["port"] for each in self.ports[name, place]])
        made: Object = {"name": name, "port": port if not self.chance(0.06) else 81}
        if mirror and self.chance(0.06):
            made["name"] = "gone"
        return made if place == self.home else {**made, "namespace": place}

    def _rule(self, kind: str, index: int) -> Object:
        rule: Object = {"filters": []}
        if not self.chance(0.3):
            rule["matches"] = [self._native_match(kind)]
        if not self.chance(0.08):
            weight = {"weight": 0} if self.chance(0.05) else {}
            rule["backendRefs"] = [{**self._reference(mirror=False), **weight}]
        for _ in range(self.pick(0, 1, 1, 1, 2)):
            target = self._reference(mirror=True)
            mirror: Object = {"backendRef": target}
            form = self.pick("all", "all", "percent", "fraction", "fraction")
            if form == "percent":
                mirror["percent"] = self.pick(0, 5, 100)
            elif form == "fraction":
                mirror["fraction"] = {"numerator": 1, **self.pick({}, {"denominator": 3}, {"denominator": 5_000_000})}
            rule["filters"].append({"type": "RequestMirror", "requestMirror": mirror})
            self.mirrors.append((f"{self.home}.native.{index}", target, self.home))
        if kind == "HTTPRoute" and self.chance(0.06):
            rule.pop("backendRefs", None)
            redirect = {"statusCode": 302, "hostname": "z.example"}
            rule["filters"].append({"type": "RequestRedirect", "requestRedirect": redirect})
        if kind == "HTTPRoute" and self.chance(0.3):
            rule["timeouts"] = {"request": self.pick("5s", "0s", "30s")}
        return rule

    def _native_match(self, kind: str) -> Object:
        if kind == "GRPCRoute":
            method = {"type": "Exact", "service": "greeter.Greeter", "method": "SayHello"}
            return self.pick({"method": method}, {"headers": [{"name": "x", "value": "1"}]}, {})
        return self.pick(
            {"path": {"type": "PathPrefix", "value": "/a"}},
            {"method": "GET"},
            {"method": "GET"},
            {"path": {"type": "PathPrefix", "value": "/"}},
            {"headers": [{"name": "x", "value": "1"}]},
        )

"""Objects that the API server or Istio's webhook refuses, with a part of our reason, or takes, without one.

The linter and istiod itself are held against the same ones.
"""

from typing import Any, Final

Object = dict[str, Any]

WEB: Final = {"host": "web.shop.svc.cluster.local", "port": {"number": 80}}
SHADOW: Final = {"host": "shadow.shop.svc.cluster.local", "port": {"number": 80}}
HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
OPTIONS_TYPE: Final = f"type.googleapis.com/{HTTP_OPTIONS}"


def virtual_service(entry: Object | None = None, **spec: Any) -> Object:
    """A VirtualService with an entry that mirrors."""
    written = {"route": [{"destination": WEB}], "mirror": SHADOW} if entry is None else entry
    return _istio("v1", "VirtualService", {"hosts": ["web.shop.svc.cluster.local"], "http": [written], **spec})


def passing(kind: str, **parts: Any) -> Object:
    """A VirtualService with an entry that passes connections on as well."""
    return virtual_service(None, **{kind: [{"route": [{"destination": WEB}], **parts}]})


def entry(**parts: Any) -> Object:
    """A VirtualService whose entry has more parts; what is None is left out."""
    given = {"route": [{"destination": WEB}], "mirror": SHADOW, **parts}
    return virtual_service({key: value for key, value in given.items() if value is not None})


def matching(**match: Any) -> Object:
    """A VirtualService whose entry has a match."""
    return entry(match=[match])


def to(**destination: Any) -> Object:
    """A VirtualService with a changed mirror."""
    return entry(mirror={**SHADOW, **destination})


def http_route(rule: Object | None = None, **spec: Any) -> Object:
    """An HTTPRoute with a rule that mirrors."""
    given = {**mirroring({}), **(rule or {})}
    made = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    parents = [{"group": "", "kind": "Service", "name": "web"}]
    return made | {
        "metadata": {"name": "v", "namespace": "shop"},
        "spec": {"parentRefs": parents, "rules": [given], **spec},
    }


def grpc_route(**method: Any) -> Object:
    """A GRPCRoute whose rule asks for a method."""
    given = http_route({"matches": [{"method": method}]})
    return {**given, "kind": "GRPCRoute"}


def asking(*matches: Object, **rule: Any) -> Object:
    """An HTTPRoute whose rule has matches."""
    return http_route({"matches": list(matches), **rule})


def filtered(kind: str, key: str, said: Object, *matches: Object) -> Object:
    """An HTTPRoute with a filter, and matches where some are given."""
    written: Object = {"filters": [{"type": kind, key: said}]}
    if kind == "RequestRedirect":
        written["backendRefs"] = []
    return http_route(written | ({"matches": list(matches)} if matches else {}))


def setting(**changes: Any) -> Object:
    """An HTTPRoute that changes headers."""
    return filtered("RequestHeaderModifier", "requestHeaderModifier", changes)


def rewriting(kind: str, *matches: Object, **said: Any) -> Object:
    """An HTTPRoute that rewrites a path."""
    return filtered("URLRewrite", "urlRewrite", {"path": {"type": kind, **said}}, *matches)


def mirroring(mirror: Object) -> Object:
    """A rule with a mirror."""
    written = {"backendRef": {"name": "shadow", "port": 80}, **mirror}
    return {
        "backendRefs": [{"name": "web", "port": 80}],
        "filters": [{"type": "RequestMirror", "requestMirror": written}],
    }


def envoy_filter(value: object, kind: str = "HTTP_ROUTE", **patch: Any) -> Object:
    """An EnvoyFilter with one patch."""
    written = {"applyTo": kind, "patch": {"operation": "MERGE", "value": value, **patch}}
    return _istio("v1alpha3", "EnvoyFilter", {"configPatches": [written]})


def patching(match: Object, patch: Object | None, kind: str = "HTTP_ROUTE", **spec: Any) -> Object:
    """An EnvoyFilter with one patch, and what it is for."""
    written = {"applyTo": kind, "match": match, "patch": patch}
    return _istio("v1alpha3", "EnvoyFilter", {"configPatches": [written], **spec})


def of_filter(match: Object, kind: str = "HTTP_FILTER") -> Object:
    """An EnvoyFilter that takes away what one match of a filter finds."""
    return patching({"listener": {"filterChain": {"filter": match}}}, {"operation": "REMOVE"}, kind)


def policies(*written: object) -> Object:
    """What a patch of a route writes for mirrors."""
    return {"route": {"request_mirror_policies": list(written)}}


def options(written: object) -> Object:
    """What a patch of a cluster writes for HTTP."""
    return {"typed_extension_protocol_options": {HTTP_OPTIONS: written}}


def _istio(version: str, kind: str, spec: Object) -> Object:
    return {
        "apiVersion": f"networking.istio.io/{version}",
        "kind": kind,
        "metadata": {"name": "v", "namespace": "shop"},
        "spec": spec,
    }


def of_version(version: str, subject: Object) -> Object:
    """An object as one of another version."""
    return {**subject, "apiVersion": version}


def named(subject: Object | None = None, **metadata: Any) -> Object:
    """An object with more metadata; a VirtualService where none is given."""
    given = subject or virtual_service()
    return {**given, "metadata": {**given["metadata"], **metadata}}


MANAGER: Final = "envoy.filters.network.http_connection_manager"
HEADER: Final = {"name": "x-a", "value": "b"}
EXACT: Final = {"type": "Exact", "value": "/a"}
SERVICE: Final[Object] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "v", "namespace": "shop"},
    "spec": {"ports": [{"name": "http", "port": 80}]},
}
CLAIM: Final = "@request.auth.claims.group"


def with_claim(*gateways: str) -> Object:
    """A VirtualService for gateways that asks for a claim of a token."""
    match = {"headers": {CLAIM: {"exact": "a"}, "@request.auth.claims[a][b]": {"prefix": "c"}}}
    return virtual_service({"match": [match], "route": [{"destination": WEB}]}, gateways=list(gateways))


CLUSTER: Final = "outbound|80||shadow.shop.svc.cluster.local"

CASES: Final[dict[str, tuple[Object, str]]] = {
    "as it should be": (virtual_service(), ""),
    # Versions that no release serves.
    "a version to come": (
        of_version("networking.istio.io/v2", virtual_service()),
        "no release serves networking.istio.io/v2, but v1, v1alpha3, v1beta1",
    ),
    "a filter of another version": (
        of_version("networking.istio.io/v1", envoy_filter(policies({"cluster": CLUSTER}))),
        "no release serves networking.istio.io/v1, but v1alpha3",
    ),
    "a route of an old version": (
        of_version("gateway.networking.k8s.io/v1alpha2", http_route()),
        "no release serves gateway.networking.k8s.io/v1alpha2, but v1, v1beta1",
    ),
    "a route of no version": (of_version("networking.istio.io/", virtual_service()), "no release serves"),
    "an older version": (of_version("networking.istio.io/v1alpha3", virtual_service()), ""),
    "a route's older version": (of_version("gateway.networking.k8s.io/v1beta1", http_route()), ""),
    # What is said of objects of any kind.
    "a name with a capital": (named(name="shopB"), "shopB is no name of VirtualServices"),
    "a name with an underscore": (named(http_route(), name="under_score"), "under_score is no name of HTTPRoutes"),
    "a name with dots": (named(name="a.b-c.1"), ""),
    "a long name": (named(name="a" * 254), "is no name of VirtualServices"),
    "a name without quotes": (named(name=5), "it must be a text, not a number"),
    "a namespace with a capital": (named(namespace="Shop"), "Shop is no name of a namespace"),
    "a namespace without quotes": (named(namespace=5), "it must be a text, not a number"),
    "a label with a blank": (named(labels={"x y": "a"}), "x y is no name of a label"),
    "a label with a blank for its value": (named(labels={"x": "y z"}), "y z is no value of a label"),
    "a label with a long value": (named(labels={"x": "a" * 64}), "is no value of a label"),
    "a label in capitals": (named(labels={"A.example/x": "a"}), "A.example/x is no name of a label"),
    "a label with a number": (named(labels={"x": 5}), "it must be a text, not a number"),
    "labels as a list": (named(labels=["x"]), "it must be an object, not a list"),
    "labels": (named(labels={"a.example/X_y": "A.b", "x": "", "y": None}), ""),
    "an annotation with a blank": (named(annotations={"x y": "a"}), "x y is no name of an annotation"),
    "an annotation that is true": (named(annotations={"x": True}), "it must be a text, not true or false"),
    "annotations": (named(annotations={"A.example/X_y": "a b", "x": ""}), ""),
    "metadata as a list": ({**virtual_service(), "metadata": []}, "it must be an object, not a list"),
    "a Service": (SERVICE, ""),
    "a Service with a dot": (named(SERVICE, name="a.b"), "a.b is no name of Services"),
    "a Service with a bad label": (named(SERVICE, labels={"x y": "a"}), "x y is no name of a label"),
    # What the definitions say.
    "a number for an object": (to(port=80), "it must be an object, not a number"),
    "an object for a list": (virtual_service(http={"route": []}), "it must be a list, not an object"),
    "a text for a list": (virtual_service(hosts="web"), "it must be a list, not a text"),
    "a list for a text": (to(host=["shadow"]), "it must be a text, not a list"),
    "a text for a number": (to(port={"number": "80"}), "it must be a whole number, not a text"),
    "half a port": (to(port={"number": 80.5}), "it must be a whole number, not a number"),
    "a port through floating point": (to(port={"number": 80.0}), ""),
    "nothing for an object": (entry(mirrors=[None]), "it must be an object, not null"),
    "null for fields": (
        virtual_service(
            {
                **{"match": None, "timeout": None, "mirrorPercentage": None, "mirror": None, "redirect": None},
                "headers": {"request": {"set": {"a": None}}},
                "route": [{"destination": WEB}],
            },
            gateways=None,
        ),
        "",
    ),
    "null for what is needed": (to(host=None), "host is missing"),
    "null for one of two": (matching(method={"exact": "GET", "prefix": None}), ""),
    "null for all": ({**http_route(), "spec": None}, "spec is missing"),
    "true for a text": (matching(method={"exact": True}), "it must be a text, not true or false"),
    "a text for true": (matching(ignoreUriCase="yes"), "it must be true or false, not a text"),
    "two ways to match": (matching(method={"exact": "GET", "prefix": "G"}), "exact and prefix exclude each other"),
    "no duration": (entry(timeout="soon"), "it is no duration"),
    "a duration with a sign": (entry(timeout="+1s"), ""),
    "too short": (entry(timeout="0s"), "a duration must be at least 1ms"),
    "a port of nobody": (matching(port=-1), "it must be at least 0"),
    "a kind of its own": (envoy_filter({}, "ROUTES"), "it must be one of"),
    "a way of its own": (envoy_filter({}, operation="SET"), "it must be one of"),
    # What the webhook says of a VirtualService.
    "an empty host": (virtual_service(hosts=[""]), "is no host"),
    "a host with a port": (virtual_service(hosts=["web.example:80"]), "is no host"),
    "an address": (virtual_service(hosts=["192.0.2.1"]), ""),
    "a host of another form": (virtual_service(hosts=["*-web.example"]), ""),
    "a star inside": (virtual_service(hosts=["web.*.example"]), "is no host"),
    "a delegate with TLS": (
        virtual_service(hosts=[], tls=[{"match": [{"sniHosts": ["a.example"]}], "route": [{"destination": WEB}]}]),
        "must have no tls",
    ),
    "a gateway by its namespace": (virtual_service(gateways=["infra/edge"]), ""),
    "a gateway with a bad name": (virtual_service(gateways=["infra/ed ge"]), "is no name of a gateway"),
    "a gateway behind one without a namespace": (virtual_service(gateways=["edge", "a b"]), ""),
    "a gateway behind one with a namespace": (virtual_service(gateways=["infra/edge", "a b"]), "a b is no name"),
    "a gateway with a dot at its end": (virtual_service(gateways=["mesh."]), ""),
    "a gateway that is an address": (virtual_service(gateways=["10.0.0.1"]), "is no name of a gateway"),
    "any host of gateways and the mesh": (
        virtual_service(hosts=["*"], gateways=["infra/edge", "mesh"]),
        "the host * is for gateways only",
    ),
    "any host of gateways": (virtual_service(hosts=["*"], gateways=["infra/edge", "edge"]), ""),
    "exported to no namespace": (virtual_service(exportTo=["no one"]), "is no namespace"),
    "exported to nobody": (virtual_service(exportTo=["~"]), "is no namespace"),
    "exported to two": (virtual_service(exportTo=["lab", "infra"]), ""),
    "nothing at all": ({key: value for key, value in http_route().items() if key != "spec"}, "spec is missing"),
    "TLS passed on": (passing("tls", match=[{"sniHosts": ["web.shop.svc.cluster.local"]}]), ""),
    "TLS for another host": (passing("tls", match=[{"sniHosts": ["a.example"]}]), "a.example is none of the hosts"),
    "TLS for any host": (passing("tls"), "match is missing"),
    "TLS without a host": (passing("tls", match=[{"port": 443}]), "sniHosts is missing"),
    "TCP passed on": (passing("tcp", match=[{"port": 5000, "destinationSubnets": ["10.0.0.0/8"]}]), ""),
    "TCP to no range": (passing("tcp", match=[{"destinationSubnets": ["10.0.0.0/33"]}]), "is no range of addresses"),
    "TCP to nobody": (passing("tcp", route=[]), "needs a route"),
    # Of entries.
    "a port without a number": (to(port={}), "a port must be from 1 to 65535"),
    "a host that is none": (to(host="shadow_2"), "is no host"),
    "a name of a subset that is none": (to(subset="v 1"), "it is no name of a subset"),
    "a negative weight": (
        entry(route=[{"destination": WEB, "weight": -1}, {"destination": WEB, "weight": 2}]),
        "a weight must not be negative",
    ),
    "an empty prefix": (matching(headers={"x": {"prefix": ""}}), "a prefix must not be empty"),
    "an empty prefix of a path": (matching(uri={"prefix": ""}), ""),
    "an empty method": (matching(method={"exact": ""}), ""),
    "an empty pattern": (matching(headers={"x": {"regex": ""}}), "must not be empty"),
    "a pattern for all": (matching(withoutHeaders={"x": {"regex": "*"}}), ""),
    "a pattern that repeats nothing": (matching(uri={"regex": "*/a"}), "repeats nothing"),
    "a pattern that looks ahead": (matching(uri={"regex": "/a(?!b)"}), "neither ahead nor behind"),
    "a pattern that is not closed": (matching(uri={"regex": "/(a"}), "it is no regular expression"),
    "a pattern": (matching(uri={"regex": "/(?i)a(b|c)[[:digit:]]+$"}), ""),
    "a gateway with an underscore": (matching(gateways=["a_b"]), "a_b is no name of a gateway"),
    "gateways of a match": (matching(gateways=["infra/edge", "mesh", "a b"]), ""),
    "labels of a caller": (matching(sourceLabels={"a b": "c"}), "a b is no name of a label"),
    "a claim without a gateway": (matching(headers={CLAIM: {"exact": "a"}}), "only for gateways alone"),
    "no claim without a gateway": (matching(withoutHeaders={CLAIM: {"exact": "a"}}), "only for gateways alone"),
    "a claim in the mesh as well": (with_claim("infra/edge", "mesh"), "only for gateways alone"),
    "a claim at a gateway": (with_claim("infra/edge"), ""),
    "a claim of nothing": (matching(headers={"@request.auth.claims": {"exact": "a"}}), "it is no name of a header"),
    "methods of other origins": (entry(corsPolicy={"allowMethods": ["FETCH"]}), "FETCH is no method of HTTP"),
    "no other origin": (entry(corsPolicy={"allowOrigins": [{}]}), "an origin must not be empty"),
    "an empty origin": (entry(corsPolicy={"allowOrigins": [{"exact": ""}]}), "an origin must not be empty"),
    "a broken origin": (entry(corsPolicy={"allowOrigins": [{"regex": "("}]}), "it is no regular expression"),
    "a header for other origins": (entry(corsPolicy={"exposeHeaders": ["a:b"]}), "a:b is no name of a header"),
    "a header of other origins": (entry(corsPolicy={"allowHeaders": [""]}), "nothing is no name of a header"),
    "an age for other origins": (entry(corsPolicy={"maxAge": "1.5s"}), "maxAge must be of whole seconds"),
    "a short age for other origins": (entry(corsPolicy={"maxAge": "0s"}), "a duration must be at least 1ms"),
    "other origins": (
        entry(
            corsPolicy={
                **{"allowOrigins": [{"exact": "*"}, {"regex": "a.*"}], "allowMethods": ["*", "GET"], "maxAge": "2m"},
                **{"allowHeaders": ["*"], "exposeHeaders": ["x-a"]},
            }
        ),
        "",
    ),
    "no header": (matching(headers={"x y": {"exact": "1"}}), "it is no name of a header"),
    "the method as a header": (matching(headers={":method": {"exact": "GET"}}), ""),
    "no namespace": (matching(sourceNamespace="a b"), "it is no name of a namespace"),
    "the host taken off": (entry(headers={"request": {"remove": ["Host"]}}), "the header Host cannot be changed"),
    "the host set": (entry(headers={"request": {"set": {"host": "a.example"}}}), ""),
    "the host of an answer": (entry(headers={"response": {"set": {"host": "a"}}}), "the header host cannot be changed"),
    "a header without a name": (entry(headers={"request": {"remove": [""]}}), "the name of a header is empty"),
    "tries without a number": (entry(retries={"perTryTimeout": "1s"}), "no attempts are given"),
    "no tries": (entry(retries={"attempts": 0}), ""),
    "tries on nothing known": (entry(retries={"attempts": 1, "retryOn": "always"}), "always is nothing to retry on"),
    "tries": (entry(retries={"attempts": 2, "retryOn": "5xx,503", "perTryTimeout": "1s"}), ""),
    "a redirect to nothing": (entry(route=None, mirror=None, redirect={}), "a redirect needs"),
    "a redirect": (entry(route=None, mirror=None, redirect={"authority": "b.example"}), ""),
    "a redirect's code": (
        entry(route=None, mirror=None, redirect={"uri": "/b", "redirectCode": 200}),
        "from 300 to 399",
    ),
    "an answer's status": (entry(route=None, mirror=None, directResponse={"status": 99}), "from 200 to 599"),
    "an answer": (entry(route=None, mirror=None, directResponse={"status": 503}), ""),
    "a rewrite to nothing": (entry(rewrite={}), "a rewrite needs"),
    "a rewrite": (entry(rewrite={"uri": "/b"}), ""),
    "a rewrite that is half": (entry(rewrite={"uriRegexRewrite": {"match": "a"}}), "it needs match and rewrite"),
    "a fault of nothing": (entry(fault={}), "a fault needs abort or delay"),
    "a fault of too many": (
        entry(fault={"abort": {"httpStatus": 503, "percentage": {"value": 101}}}),
        "a share must be 0, or from 0.0001 to 100",
    ),
    "a fault": (entry(fault={"delay": {"fixedDelay": "1s", "percentage": {"value": 1}}}), ""),
    # Of routes of the Gateway API.
    "a route of the Gateway API": (http_route(), ""),
    "a route without a rule": (http_route(rules=[]), "from 1.5 on, a route needs a rule"),
    "a retry without attempts": (http_route({"retry": {"attempts": 0}}), "from 1.6 on, a retry has at least 1 attempt"),
    "a name of two rules": (
        http_route(rules=[{"name": "a", **mirroring({})}, {"name": "a", **mirroring({})}]),
        "in the experimental channel from 1.2 on, the name of a rule is given once",
    ),
    "names of two rules": (http_route(rules=[{"name": "a", **mirroring({})}, {"name": "b", **mirroring({})}]), ""),
    "a mirror without a port": (http_route(mirroring({"backendRef": {"name": "shadow"}})), "a Service needs a port"),
    "a filter that says nothing": (http_route({"filters": [{"type": "RequestMirror"}]}), "requestMirror is missing"),
    "a filter of another type": (
        http_route({"filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "a.example"}, "cors": {}}]}),
        "cors is for the type CORS",
    ),
    "a path without a beginning": (http_route({"matches": [{"path": {"value": "a"}}]}), "a path begins with /"),
    "a path with a double slash": (http_route({"matches": [{"path": {"value": "/a//b"}}]}), "a path has no //"),
    "a path with a blank": (http_route({"matches": [{"path": {"value": "/a b"}}]}), "must be encoded"),
    "a path": (http_route({"matches": [{"path": {"value": "/a/b%20c"}}]}), ""),
    "a namespace in capitals": (
        http_route(mirroring({"backendRef": {"name": "shadow", "port": 80, "namespace": "Lab"}})),
        "Lab is no label",
    ),
    "too many per cent": (http_route(mirroring({"percent": 101})), "it must be at most 100"),
    "per cent as a text": (http_route(mirroring({"percent": "10"})), "it must be a whole number, not a text"),
    "a time-out in Go's words": (http_route({"timeouts": {"request": "1.5s"}}), "is no duration such as 1m30s"),
    "a header asked twice": (asking({"headers": [HEADER, HEADER]}), "the name x-a is given twice"),
    "a parameter asked twice": (asking({"queryParams": [HEADER, HEADER]}), "the name x-a is given twice"),
    "headers of two matches": (asking({"headers": [HEADER]}, {"headers": [HEADER]}), ""),
    "a header set twice": (setting(set=[HEADER, HEADER]), "the name x-a is given twice"),
    "a header removed twice": (setting(remove=["x-a", "x-a"]), "x-a is given twice"),
    "headers changed": (setting(add=[HEADER], set=[HEADER], remove=["x-a", "x-b"]), ""),
    "a code twice": (http_route({"retry": {"codes": [503, 503]}}), "from 1.6 on, a code is given once"),
    "codes": (http_route({"retry": {"codes": [503, 504]}}), ""),
    "a path as another one": (rewriting("ReplaceFullPath", replacePrefixMatch="/b"), "replaceFullPath is missing"),
    "a path as two": (
        rewriting("ReplaceFullPath", replaceFullPath="/a", replacePrefixMatch="/b"),
        "replacePrefixMatch is for the type ReplacePrefixMatch",
    ),
    "a whole path": (rewriting("ReplaceFullPath", {"path": EXACT}, replaceFullPath="/b"), ""),
    "a prefix for any path": (rewriting("ReplacePrefixMatch", replacePrefixMatch="/b"), ""),
    "a prefix for one": (rewriting("ReplacePrefixMatch", {"headers": [HEADER]}, replacePrefixMatch="/b"), ""),
    "a prefix for a path": (
        rewriting("ReplacePrefixMatch", {"path": EXACT}, replacePrefixMatch="/b"),
        "where the only match of a rule has one",
    ),
    "a prefix for two": (
        rewriting("ReplacePrefixMatch", {"path": {"value": "/a"}}, {"path": {"value": "/c"}}, replacePrefixMatch="/b"),
        "where the only match of a rule has one",
    ),
    "a redirect as two": (
        filtered("RequestRedirect", "requestRedirect", {"path": {"type": "ReplacePrefixMatch"}}),
        "replacePrefixMatch is missing",
    ),
    "a redirect as an answer": (
        filtered("RequestRedirect", "requestRedirect", {"statusCode": 200}),
        "it must be one of 301",
    ),
    "a redirect for good": (filtered("RequestRedirect", "requestRedirect", {"statusCode": 301}), ""),
    "a longer try": (http_route({"timeouts": {"request": "1s", "backendRequest": "1s1ms"}}), "it must not be longer"),
    "a try": (http_route({"timeouts": {"request": "1m", "backendRequest": "59s"}}), ""),
    "a try without an end": (http_route({"timeouts": {"request": "0s", "backendRequest": "1s"}}), ""),
    "too many matches": (
        http_route(rules=[{**mirroring({}), "matches": [{}] * 64}] * 2 + [mirroring({})]),
        "at most 128 matches may be given in all",
    ),
    "many matches": (http_route(rules=[{**mirroring({}), "matches": [{}] * 64}] * 2), ""),
    "a method of nothing": (grpc_route(), "service or method must be given"),
    "a method of a service with a slash": (grpc_route(service="a/b"), "a/b is no name in gRPC"),
    "a method with a dot": (grpc_route(service="a.B_c", method="d.e"), "d.e is no name in gRPC"),
    "a method": (grpc_route(service=".a.B_1", method="_d"), ""),
    "methods by a pattern": (grpc_route(type="RegularExpression", service="a|b"), ""),
    # Of EnvoyFilters.
    "mirrors of a filter": (envoy_filter(policies({"cluster": CLUSTER})), ""),
    "a patch of waypoints": (patching({"context": "WAYPOINT", "waypoint": {}}, {}), ""),
    "a patch of waypoints that says nothing": (patching({"context": "WAYPOINT", "waypoint": {}}, None), ""),
    "a patch of waypoints without their match": (patching({"context": "WAYPOINT"}, {}), "has waypoint"),
    "a match of waypoints for all": (patching({"waypoint": {}}, {"operation": "REMOVE"}), "no other one has it"),
    "a patch of filters by a cluster": (
        patching({"cluster": {"service": "a"}}, {"operation": "REMOVE"}, "HTTP_FILTER"),
        "a patch of HTTP_FILTER matches by listener only",
    ),
    "a patch of clusters by a listener": (
        patching({"listener": {}}, {"operation": "REMOVE"}, "CLUSTER"),
        "a patch of CLUSTER matches by cluster only",
    ),
    "a patch of extensions by a cluster": (
        patching({"cluster": {}}, {"operation": "REMOVE"}, "EXTENSION_CONFIG"),
        "",
    ),
    "a filter without a name": (of_filter({"subFilter": {"name": "a"}}), "a filter is matched by its name"),
    "a filter in no manager": (of_filter({"name": "a", "subFilter": {"name": "b"}}), "a filter with a subFilter is"),
    "a filter in a manager": (of_filter({"name": MANAGER, "subFilter": {"name": "b"}}), ""),
    "a filter in a manager without a name": (of_filter({"name": MANAGER, "subFilter": {}}), "matched by its name"),
    "a filter in one of the network": (
        of_filter({"name": MANAGER, "subFilter": {"name": "b"}}, "NETWORK_FILTER"),
        "only a patch of HTTP_FILTER matches by subFilter",
    ),
    "pods by a wildcard": (
        patching({}, {"operation": "REMOVE"}, workloadSelector={"labels": {"app": "x*"}}),
        "labels are chosen without wildcards",
    ),
    "a version that is no pattern": (
        patching({"proxy": {"proxyVersion": "("}}, {"operation": "REMOVE"}),
        "it is no regular expression",
    ),
    "a version": (patching({"proxy": {"proxyVersion": "^1\\.3.*"}}, {"operation": "REMOVE"}), ""),
    "a long version": (patching({"proxy": {"proxyVersion": "(" * 1025}}, {"operation": "REMOVE"}), ""),
    "a patch of nothing": (patching({}, {"operation": "REMOVE"}, "INVALID"), "applyTo is missing"),
    "a patch that does nothing": (patching({}, {"operation": "INVALID", "value": {}}), "operation is missing"),
    "a policy that is a text": (envoy_filter(policies(CLUSTER)), "it must be an object, not a text"),
    "null for mirrors of a filter": (envoy_filter({"name": None, "route": {"request_mirror_policies": None}}), ""),
    "null for a mirror of a filter": (envoy_filter(policies(None, {"cluster": CLUSTER})), ""),
    "policies that are no list": (
        envoy_filter({"route": {"requestMirrorPolicies": {"cluster": CLUSTER}}}),
        "it must be a list, not an object",
    ),
    "headers in one mutation": (
        envoy_filter(policies({"cluster": CLUSTER, "request_headers_mutations": [{"remove": ["a", "b"]}]})),
        "it must be a text, not a list",
    ),
    "a share in words": (
        envoy_filter(policies({"cluster": CLUSTER, "runtime_fraction": 10})),
        "it must be an object, not a number",
    ),
    "a share as a text": (
        envoy_filter(policies({"cluster": CLUSTER, "runtime_fraction": {"default_value": {"numerator": "10"}}})),
        "",
    ),
    "options": (
        envoy_filter(
            options({"@type": OPTIONS_TYPE, "common_http_protocol_options": {"max_stream_duration": "8s"}}), "CLUSTER"
        ),
        "",
    ),
    "options without a type": (
        envoy_filter(options({"common_http_protocol_options": {"max_stream_duration": "8s"}}), "CLUSTER"),
        "@type is missing",
    ),
    "a duration as a number": (
        envoy_filter(
            options({"@type": OPTIONS_TYPE, "common_http_protocol_options": {"max_stream_duration": 8}}), "CLUSTER"
        ),
        "it must be a text, not a number",
    ),
    "a duration in minutes": (
        envoy_filter(
            options({"@type": OPTIONS_TYPE, "common_http_protocol_options": {"max_stream_duration": "8m"}}), "CLUSTER"
        ),
        "",
    ),
    "a duration in no unit": (
        envoy_filter(
            options({"@type": OPTIONS_TYPE, "common_http_protocol_options": {"max_stream_duration": "8"}}), "CLUSTER"
        ),
        "is no duration such as 1.5s",
    ),
}

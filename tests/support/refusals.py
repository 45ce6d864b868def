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


CLUSTER: Final = "outbound|80||shadow.shop.svc.cluster.local"

CASES: Final[dict[str, tuple[Object, str]]] = {
    "as it should be": (virtual_service(), ""),
    # What the definitions say.
    "a number for an object": (to(port=80), "it must be an object, not a number"),
    "an object for a list": (virtual_service(http={"route": []}), "it must be a list, not an object"),
    "a text for a list": (virtual_service(hosts="web"), "it must be a list, not a text"),
    "a list for a text": (to(host=["shadow"]), "it must be a text, not a list"),
    "a text for a number": (to(port={"number": "80"}), "it must be a whole number, not a text"),
    "half a port": (to(port={"number": 80.5}), "it must be a whole number, not a number"),
    "a port through floating point": (to(port={"number": 80.0}), ""),
    "nothing for an object": (entry(mirrors=[None]), "it must be an object, not empty"),
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
    # Of EnvoyFilters.
    "mirrors of a filter": (envoy_filter(policies({"cluster": CLUSTER})), ""),
    "a policy that is a text": (envoy_filter(policies(CLUSTER)), "it must be an object, not a text"),
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

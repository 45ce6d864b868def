"""What components may do in a cluster, read from what they register: one line for each right.

``python -m tests.support.rights`` writes ``docs/rights.md``.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

import pulumi_traffic_mirror
from pulumi_traffic_mirror.cli.verify import ROLE
from tests.program.test_program import deploy
from tests.support.handles import mesh
from tests.support.recorded import Recorded, Recording
from tests.support.recording import run_program

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "rights.md"
IMAGE: Final = f"registry.example/image@sha256:{'0' * 64}"
ROOT_NAMESPACE: Final = "istio-system"

HEAD: Final = """# What each component may do

Written by `python -m tests.support.rights` from what the program registers with everything switched on, from what only
programs of one's own have, and from the roles that `traffic-mirror verify --role` prints; a test holds it against them,
so that a new right shows in a review. What the releases of Istio's charts may do is Istio's: of the chart `gateway`
the account may get, watch and list the Secrets of its namespace. [SECURITY.md](../SECURITY.md) says what is trusted.
"""


def page() -> str:
    """The page as it must be."""
    stacks = "".join(_stack(role, _everything(role)) for role in ("staging", "testing"))
    return HEAD + stacks + _stack("programs of one's own", run_program(_replay)) + _verifier()


def _verifier() -> str:
    """What ``verify --role`` prints."""
    rows = [
        f"| {role['kind']} `{'/'.join(filter(None, map(role['metadata'].get, ('namespace', 'name'))))}` | {right} |\n"
        for role in yaml.safe_load_all(ROLE.read_text(encoding="utf-8"))
        for right in _rules(role["rules"])
    ]
    return f"\n## The account of `verify`, `ramp` and `rehearse`\n\n| Role | Right |\n|---|---|\n{''.join(rows)}"


def _replay() -> None:
    tm: Any = pulumi_traffic_mirror
    places: dict[str, Any] = {
        "recording": "/recordings/monday",
        "result": "gs://lake/replayed",
        "target": "http://v2.example:8000",
    }
    settings = tm.ReplaySettings(**places, shards=2, begin="2026-01-31T12:00:00Z")
    args = tm.ReplayJobArgs(cluster=mesh().cluster, image=IMAGE, namespace="tools", claim="monday", settings=settings)
    tm.ReplayJob("replay", args)


def _everything(role: str) -> Recording:
    recorder = {"image": IMAGE, "storage": {"volumeGib": 50}, "metricsNamespaces": ["monitoring"]}
    if role == "testing":
        return deploy(role, recorder=recorder)
    branch = {"image": IMAGE, "started": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", "headers": {"x-user": "alice"}}
    service = {"host": "orders-v2.orders.svc.cluster.local", "port": 80}
    places = [
        {"hosts": ["shop.example.com"]},
        {"host": "orders.orders.svc.cluster.local", "port": 80},
        {"host": "stock.orders.svc.cluster.local", "port": 80, "waypoint": "waypoint", "waypointNamespace": "orders"},
    ]
    match = {"pathPrefixes": ["/"]}
    mirror = {"service": service, "name": "v2", "percent": 10, "match": match}
    overlay = {"on": places, "protocol": "HTTP", "mirrors": [mirror]}
    known = {"name": "edge", "namespace": "edge", "labels": {"istio": "edge"}}
    at_edge = {**overlay, "on": [{"hosts": ["shop.example.com"]}], "gateway": known}
    overlays = {"orders": overlay, "shop": at_edge}
    mirrors = {"inCluster": {"percent": 50}, "crossCluster": {"percent": 10}, "overlay": overlays}
    return deploy(
        role, recorder=recorder, expiryGuard={"image": IMAGE}, branches={"alices-bug": branch}, mirrors=mirrors
    )


def _stack(role: str, recording: Recording) -> str:
    rows: dict[str, list[str]] = {}
    names = {resource.urn: resource for resource in recording.resources}
    for resource in recording.resources:
        parent = names.get(resource.parent)
        owner = f"{parent.type.rpartition(':')[2]} `{parent.name}`" if parent else "the program"
        rows.setdefault(owner, []).extend(f"| {_object(resource)} | {right} |\n" for right in _rights(resource))
    tables = [
        f"\n### {owner}\n\n| Object | Right |\n|---|---|\n{''.join(found)}" for owner, found in rows.items() if found
    ]
    return f"\n## {role.capitalize()}\n" + "".join(tables)


def _object(resource: Recorded) -> str:
    kind = resource.type.rpartition(":")[2]
    if kind == "Release":
        return f"Helm release `{resource.input('namespace')}/{resource.input('name')}`"
    return f"{kind} `{'/'.join(filter(None, (resource.input('metadata.namespace'), resource.input('metadata.name'))))}`"


def _rights(resource: Recorded) -> Iterator[str]:
    kind = resource.type.rpartition(":")[2]
    if not resource.read and resource.type.startswith("kubernetes:") and kind in _READERS:
        yield from _READERS[kind](resource)


def _release(resource: Recorded) -> Iterator[str]:
    yield f"runs Istio's chart `{resource.input('chart')}`"


def _namespace(resource: Recorded) -> Iterator[str]:
    labels: Mapping[str, str] = resource.input("metadata.labels")
    proxies = "with" if {"istio-injection", "istio.io/rev"} & labels.keys() else "without"
    yield f"pods at the level {labels['pod-security.kubernetes.io/enforce']}, {proxies} proxies"


def _account(resource: Recorded) -> Iterator[str]:
    yield "token not mounted by itself" if resource.input("automountServiceAccountToken") is False else "token mounted"


def _role(resource: Recorded) -> Iterator[str]:
    yield from _rules(resource.input("rules"))


def _rules(rules: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for rule in rules:
        names = " ".join(f"`{name}`" for name in rule.get("resourceNames", [])) or "all"
        groups = ", ".join(group or "core" for group in rule["apiGroups"])
        yield f"may {', '.join(rule['verbs'])} {', '.join(rule['resources'])} ({groups}): {names}"


def _binding(resource: Recorded) -> Iterator[str]:
    for subject in resource.input("subjects"):
        role = resource.input("roleRef")
        yield f"gives {role['kind']} `{role['name']}` to {subject['kind']} `{subject['namespace']}/{subject['name']}`"


def _pod(resource: Recorded) -> Iterator[str]:
    spec = resource.input("spec")
    pod = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]
    token = "token mounted" if pod.get("automountServiceAccountToken") is not False else "no token"
    user = pod["securityContext"].get("runAsUser", "the image's")
    root = "never root" if pod["securityContext"]["runAsNonRoot"] else "perhaps root"
    yield f"runs as `{pod['serviceAccountName']}`, {token}, user {user}, {root}"
    for each in pod["containers"]:
        security = each["securityContext"]
        root = "read-only" if security.get("readOnlyRootFilesystem") else "writable"
        dropped = "no capabilities" if security["capabilities"] == {"drop": ["ALL"]} else str(security["capabilities"])
        more = "" if security["allowPrivilegeEscalation"] is False else ", may gain privileges"
        yield f"container `{each['name']}`: {root} image, {dropped}{more}"


def _policy(resource: Recorded) -> Iterator[str]:
    spec = resource.input("spec")
    for kind, way in (("Ingress", "from"), ("Egress", "to")):
        if kind not in spec["policyTypes"]:
            continue
        for rule in spec.get(kind.lower()) or [{}]:
            peers = " or ".join(_peer(peer) for peer in rule.get(way, [])) or ("everybody" if rule else "nobody")
            ports = ", ".join(f"{port['port']}" for port in rule.get("ports", []))
            yield f"{way} {peers}{f', port {ports}' if ports else ''}"
    if "Egress" not in spec["policyTypes"]:
        yield "to: not bounded"


def _peer(peer: Mapping[str, Any]) -> str:
    parts = [f"pods {_selector(peer['podSelector'])}" if "podSelector" in peer else "all pods"]
    if "namespaceSelector" in peer:
        parts.append(f"in namespaces {_selector(peer['namespaceSelector'])}")
    return " ".join(parts)


def _selector(selector: Mapping[str, Any]) -> str:
    labels = [f"`{key}={value}`" for key, value in selector.get("matchLabels", {}).items()]
    among = [f"`{each['key']}` {each['operator']} {each['values']}" for each in selector.get("matchExpressions", [])]
    return " ".join([*labels, *among]) or "of its namespace"


_PROXIES: Final = {"gateway": {"GATEWAY", "ANY"}, "sidecar": {"SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "ANY"}}
"""Kinds of proxies by contexts of patches."""


def _filter(resource: Recorded) -> Iterator[str]:
    spec, namespace = resource.input("spec"), resource.input("metadata.namespace")
    contexts = sorted({patch.get("match", {}).get("context", "ANY") for patch in spec["configPatches"]})
    applied = sorted({patch["applyTo"] for patch in spec["configPatches"]})
    yield f"reaches {_reach(spec, namespace, contexts)} ({', '.join(contexts)}); changes {', '.join(applied)}"


def _reach(spec: Mapping[str, Any], namespace: str, contexts: Sequence[str]) -> str:
    targets: Sequence[Mapping[str, str]] = spec.get("targetRefs", [])
    if targets:
        named = " and ".join(f"{each['kind']} `{each['name']}`" for each in targets)
        return f"{named} in `{namespace}`"
    where = "every namespace" if namespace == ROOT_NAMESPACE else f"`{namespace}`"
    labels = spec.get("workloadSelector", {}).get("labels", {})
    chosen = " ".join(f"`{key}={value}`" for key, value in labels.items())
    if chosen:
        return f"proxies with {chosen} in {where}"
    kinds = [kind for kind, names in _PROXIES.items() if names & {*contexts}]
    return f"every {' and every '.join(kinds) or 'proxy'} in {where}"


def _authorization(resource: Recorded) -> Iterator[str]:
    spec = resource.input("spec")
    for rule in spec["rules"]:
        who = [f"not from {' or '.join(each['source']['notPrincipals'])}" for each in rule.get("from", [])]
        how = [f"whose {each['key']} is not {' or '.join(each['notValues'])}" for each in rule.get("when", [])]
        hosts = [f"`{host}`" for each in rule["to"] for host in each["operation"]["hosts"]]
        where = _selector(spec["selector"])
        yield f"{spec['action']} at proxies with {where}: {' '.join([*who, *how])}, to {', '.join(hosts)}"


def _secret(resource: Recorded) -> Iterator[str]:
    yield f"holds {', '.join(sorted(resource.input('data')))}"


_READERS: Final = {
    "Release": _release,
    "Namespace": _namespace,
    "ServiceAccount": _account,
    "Role": _role,
    "ClusterRole": _role,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "Deployment": _pod,
    "CronJob": _pod,
    "Job": _pod,
    "NetworkPolicy": _policy,
    "EnvoyFilter": _filter,
    "AuthorizationPolicy": _authorization,
    "Secret": _secret,
}

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""What a mesh's configuration and the domain of its Services change of what is found."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.cli.app import main
from tests.unit.model.samples import sending

Object = dict[str, Any]

BRAKES = {
    "connectionPool": {
        "tcp": {"maxConnections": 10, "connectTimeout": "1s"},
        "http": {"http1MaxPendingRequests": 10, "http2MaxRequests": 10},
    },
    "outlierDetection": {"consecutive5xxErrors": 5},
}


def service(name: str, namespace: str = "shop", **metadata: Any) -> Object:
    """A Service with a port of HTTP."""
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, **metadata}} | {
        "spec": spec
    }


def route(target: str, *, gateways: list[str] | None = None) -> Object:
    """A VirtualService that mirrors to a host."""
    entry = {
        "route": [{"destination": {"host": "web.shop.svc.cluster.local", "port": {"number": 80}}}],
        "mirror": {"host": target, "port": {"number": 80}},
    }
    spec = {"hosts": ["web.shop.svc.cluster.local"], "http": [entry], **({"gateways": gateways} if gateways else {})}
    metadata = {"name": "web", "namespace": "shop"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}


def entry(namespace: str = "shop", **spec: Any) -> Object:
    """A ServiceEntry for a host outside."""
    whole = {"hosts": ["out.example"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], **spec}
    metadata = {"name": "out", "namespace": namespace}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": metadata,
        "spec": {"resolution": "DNS", **whole},
    }


def configured(namespace: str = "istio-system", **mesh: Any) -> Object:
    """The ConfigMap of the mesh's configuration."""
    metadata = {"name": "istio", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": yaml.safe_dump(mesh)}}


def found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], objects: list[Object], *words: str
) -> dict[str, list[str]]:
    """Messages by rule."""
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    assert main(["check", "--json", str(tmp_path), *words]) in (0, 1, 2)
    result: dict[str, list[str]] = {}
    for each in json.loads(capsys.readouterr().out)["findings"]:
        result.setdefault(each["rule"], []).append(each["message"])
    return result


OBJECTS = [service("web"), service("shadow"), route("shadow.shop.svc.cluster.local")]


def test_a_mesh_wide_policy_brakes_what_no_destination_rule_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "keep-alive" in found(tmp_path, capsys, OBJECTS)["mirror-no-brakes"][0]
    mesh = configured(defaultTrafficPolicy=BRAKES, tcpKeepalive={"time": "30s"})
    assert "mirror-no-brakes" not in found(tmp_path, capsys, [*OBJECTS, mesh])
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "shadow", "namespace": "shop"},
        "spec": {
            "host": "shadow.shop.svc.cluster.local",
            "trafficPolicy": {"connectionPool": {"http": {"http2MaxRequests": 1}}},
        },
    }
    # A block of a DestinationRule replaces that of the mesh as a whole; the other block stays.
    [message] = found(tmp_path, capsys, [*OBJECTS, mesh, rule])["mirror-no-brakes"]
    assert message == "DestinationRule shop/shadow lacks a connection limit, a limit on pending requests"


@pytest.mark.parametrize(
    ("mesh", "exports", "hidden"),
    [
        ({}, [], False),
        ({"defaultServiceExportTo": ["."]}, [], True),
        ({"defaultServiceExportTo": ["."]}, ["*"], False),
        ({"serviceEntryVisibility": {"defaultVisibility": "NAMESPACE"}}, [], False),
        ({"serviceEntryVisibility": {"defaultVisibility": "NAMESPACE", "applyToSidecars": True}}, ["*"], True),
        ({"serviceEntryVisibility": {"defaultVisibility": "NONE", "applyToSidecars": True}}, ["*"], True),
        ({"serviceEntryVisibility": {"defaultVisibility": "PUBLIC", "applyToSidecars": True}}, [], False),
        (
            {
                "serviceEntryVisibility": {
                    "defaultVisibility": "NAMESPACE",
                    "applyToSidecars": True,
                    "policies": [
                        {
                            "visibility": "PUBLIC",
                            "matchingRules": [
                                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "infra"}}}
                            ],
                        }
                    ],
                }
            },
            [],
            False,
        ),
    ],
)
def test_who_sees_a_service_entry_is_up_to_the_mesh_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mesh: Object, exports: list[str], *, hidden: bool
) -> None:
    objects = [service("web"), route("out.example"), entry("infra", **({"exportTo": exports} if exports else {}))]
    given = found(tmp_path, capsys, [*objects, configured(**mesh)])
    assert ("service-entry-hidden" in given) == hidden


def test_who_sees_a_service_is_up_to_the_mesh_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects = [service("web"), route("shadow.lab.svc.cluster.local"), configured(defaultServiceExportTo=["."])]
    assert "mirror-target-hidden" in found(tmp_path, capsys, [*objects, service("shadow", "lab")])
    note = {"networking.istio.io/exportTo": "*"}
    assert "mirror-target-hidden" not in found(tmp_path, capsys, [*objects, service("shadow", "lab", annotations=note)])


def test_a_configuration_that_cannot_be_read_counts_for_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = configured()
    for text in ("a: [", "- 1", "", 1, "a: !!bool x", "a: !!timestamp x", "a: !!int ''"):
        broken["data"] = {"mesh": text}
        assert found(tmp_path, capsys, [*OBJECTS, broken]) == found(tmp_path, capsys, OBJECTS)


def test_the_configuration_of_revisions_does_not_hang_on_the_order_of_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = configured(defaultTrafficPolicy=BRAKES), configured()
    old["metadata"] = {**old["metadata"], "name": "istio-1-30"}
    new["metadata"] = {**new["metadata"], "name": "istio-1-31"}
    assert found(tmp_path, capsys, [*OBJECTS, old, new]) == found(tmp_path, capsys, [*OBJECTS, new, old])


def istiod(namespace: str, *args: str) -> Object:
    """A control plane's Deployment."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": namespace, "labels": {"app": "istiod"}},
        "spec": {"template": {"spec": {"containers": [{"name": "discovery", "args": ["discovery", *args]}]}}},
    }


def braked(namespace: str) -> Object:
    """A DestinationRule with every brake, for a Service of another namespace."""
    spec = {"host": "shadow.shop.svc.cluster.local", "trafficPolicy": BRAKES}
    metadata = {"name": "shadow", "namespace": namespace}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": metadata,
        "spec": spec,
    }


SETTLED = configured("mesh", rootNamespace="roots")


@pytest.mark.parametrize(
    ("root", "given", "words"),
    [
        ("istio-system", [], []),
        ("roots", [configured(rootNamespace="roots")], []),
        ("roots", [SETTLED], []),
        ("istio-system", [configured("mesh")], []),
        ("istio-system", [configured(rootNamespace=["roots"])], []),
        ("istio-system", [SETTLED, configured("other")], []),
        ("roots", [SETTLED, configured("other"), istiod("mesh")], []),
        ("istio-system", [SETTLED, configured()], []),
        ("roots", [SETTLED, configured(), istiod("mesh")], []),
        ("roots", [configured(), SETTLED, istiod("mesh")], []),
        ("istio-system", [SETTLED, istiod("istio-system")], []),
        ("roots", [configured(root_namespace="roots")], []),
        ("other", [SETTLED], ["--root-namespace", "other"]),
        ("other", [], ["--root-namespace", "other"]),
    ],
)
def test_the_root_namespace_is_an_option_or_read_from_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], root: str, given: list[Object], words: list[str]
) -> None:
    for place in ("istio-system", "roots", "other", "mesh"):
        rules = found(tmp_path, capsys, [*OBJECTS, braked(place), *given], *words)
        assert ("destination-rule-out-of-reach" in rules) == (place != root), place


def test_the_configuration_is_that_of_istiod_s_revision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plane, revised = istiod("istio-system"), configured(rootNamespace="roots")
    plane["metadata"]["labels"]["istio.io/rev"] = "1-31"
    revised["metadata"]["name"] = "istio-1-31"
    for place in ("istio-system", "roots"):
        rules = found(tmp_path, capsys, [*OBJECTS, braked(place), configured(), revised, plane])
        assert ("destination-rule-out-of-reach" in rules) == (place != "roots")


def test_labels_of_a_namespace_may_be_unknown_beside_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {"istio-injection": "${INJECTION}"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}
    plain = found(tmp_path, capsys, [*OBJECTS, namespace])
    assert found(tmp_path, capsys, [*OBJECTS, namespace, configured(enableTracing=True)]) == plain


@pytest.mark.parametrize(
    ("server", "host", "holds"),
    [
        ("*.corp.example", "shop.corp.example", True),
        ("*.local", "shop.local", True),
        ("*.cluster.local", "shop.corp.example", False),
        ("*.cluster.local", "shop.cluster.local", True),
        ("*.local", "shop.corp.example", False),
    ],
)
def test_hosts_outside_may_have_the_domain_of_services(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: str, host: str, *, holds: bool
) -> None:
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    gateway = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {"selector": {"app": "edge"}, "servers": [{"port": port, "hosts": [server]}]},
    }
    objects = [*moved(OBJECTS, "corp.example"), gateway]
    objects[2]["spec"] |= {"hosts": [host], "gateways": ["edge"]}
    rules = found(tmp_path, capsys, objects, "--cluster-domain", "corp.example")
    assert ("gateway-host" not in rules) == holds
    assert all(host in message for message in rules.get("gateway-host", ()))


def moved(objects: list[Object], domain: str) -> list[Object]:
    """Objects of a cluster with another domain."""
    return json.loads(json.dumps(objects).replace("cluster.local", domain))


def test_another_domain_is_an_option_or_read_from_istiod(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects = moved([*OBJECTS, *sending()], "corp.example")
    given = found(tmp_path, capsys, objects, "--cluster-domain", "corp.example")
    plain = found(tmp_path, capsys, [*OBJECTS, *sending()])
    assert given == moved([plain], "corp.example")[0]  # type: ignore[comparison-overlap]
    assert found(tmp_path, capsys, [*objects, istiod("istio-system", "--domain", "corp.example")]) == given
    assert "mirror-target-undefined" in found(tmp_path, capsys, objects)


def test_the_usual_domain_is_a_stranger_in_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects = [*moved(OBJECTS[:2], "corp.example"), route("shadow.shop.svc.cluster.local")]
    [message] = found(tmp_path, capsys, objects, "--cluster-domain", "corp.example")["mirror-target-undefined"]
    assert message == "no ServiceEntry defines shadow.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("host", "domain", "matches"),
    [
        ("*.corp.example", "corp.example", True),
        ("*.svc.corp.example", "corp.example", True),
        ("*.cluster.local", "corp.example", False),
        ("*.local", "corp.example", False),
        ("*.local", "corp.local", True),
    ],
)
def test_a_wildcard_is_for_the_services_of_its_domain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str, domain: str, *, matches: bool
) -> None:
    rule = braked("shop")
    rule["spec"]["host"] = host
    rules = found(tmp_path, capsys, [*moved(OBJECTS, domain), rule], "--cluster-domain", domain)
    assert any(each.startswith("DestinationRule") for each in rules["mirror-no-brakes"]) == matches


def test_a_domain_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path), "--cluster-domain", "a b"]) == 2
    assert "--cluster-domain" in capsys.readouterr().err

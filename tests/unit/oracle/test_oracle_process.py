"""The oracle as a process that may be missing, end, fail or answer late; a stand-in program takes its place."""

import base64
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model.rules import ClusterObjects, Finding, Mesh, Outcome, run_rules
from pulumi_traffic_mirror.operations.oracle import (
    Oracle,
    OracleError,
    Proxy,
    ProxyKind,
    Question,
    confirm,
    in_container,
    question_of,
)
from pulumi_traffic_mirror.operations.oracle.question import by_age
from pulumi_traffic_mirror.rehearsal import toolchain
from pulumi_traffic_mirror.rehearsal.toolchain.recipes import ORACLE

QUESTION = Question(objects=[], proxies=[])
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}}


def standin(folder: Path, body: str) -> Oracle:
    """A program in place of the oracle, which for each line runs some Python."""
    program = folder / "standin"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys, time\nfor line in sys.stdin:\n    {body}\n", encoding="utf-8"
    )
    program.chmod(0o755)
    return Oracle([str(program)], patience=10)


def test_a_question_is_answered_line_by_line(tmp_path: Path) -> None:
    with standin(tmp_path, "print(json.dumps({'version': len(json.loads(line)['objects'])}), flush=True)") as oracle:
        assert oracle.ask(QUESTION)["version"] == 0
        assert oracle.ask(Question(objects=[SERVICE], proxies=[]))["version"] == 1


def test_one_that_ends_says_its_last_words_and_the_next_question_is_answered(tmp_path: Path) -> None:
    body = "'fatal' in line and sys.exit('no more'); print('{}', flush=True)"
    with standin(tmp_path, body) as oracle:
        with pytest.raises(OracleError, match="no more"):
            oracle.ask(Question(objects=[{"kind": "fatal"}], proxies=[]))
        assert oracle.ask(QUESTION) == {}


def test_one_that_answers_late_is_ended(tmp_path: Path) -> None:
    oracle = standin(tmp_path, "time.sleep(600)")
    oracle._patience = 0.2
    with oracle, pytest.raises(OracleError, match="no answer within"):
        oracle.ask(QUESTION)


def test_one_that_is_missing_says_so(tmp_path: Path) -> None:
    with Oracle([str(tmp_path / "none")]) as oracle, pytest.raises(OracleError, match="cannot be started"):
        oracle.ask(QUESTION)


def test_the_command_says_how_to_build_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAFFIC_MIRROR_CACHE", str(tmp_path))
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps(SERVICE), encoding="utf-8")
    assert main(["check", str(path), "--istiod"]) == 2
    assert "python -m pulumi_traffic_mirror.rehearsal.toolchain" in capsys.readouterr().err


def test_a_question_has_what_a_cluster_would_add() -> None:
    spec = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}
    asked = question_of([{**SERVICE, "spec": spec}])
    kinds = [each["kind"] for each in asked.objects]
    assert kinds.count("Namespace") == 2
    assert {"Pod", "EndpointSlice"} <= set(kinds)
    assert asked.proxies == [Proxy(kind=ProxyKind.SIDECAR, namespace="shop", labels={"app": "client-shop"})]


def route(mirrors: int = 1) -> dict[str, Any]:
    """Mirrors on a Service's own host."""
    to = {"destination": {"host": "web.shop.svc.cluster.local", "port": {"number": 80}}}
    mirror = {"destination": {"host": "shadow.shop.svc.cluster.local", "port": {"number": 80}}}
    entry = {"name": "a", "route": [to], "mirrors": [mirror] * mirrors}
    spec = {"hosts": ["web.shop.svc.cluster.local"], "http": [entry]}
    metadata = {"name": "v", "namespace": "shop"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}


def service(name: str, port: int = 80) -> dict[str, Any]:
    """A Service for requests."""
    named = {**SERVICE, "metadata": {"name": name, "namespace": "shop"}}
    return {**named, "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]}}


def asked(
    folder: Path, routes: Sequence[Any], clusters: dict[str, Any], *objects: dict[str, Any], port: int = 80
) -> tuple[list[Finding], frozenset[Finding]]:
    """Findings on objects, the route and its Services by default, after a stand-in gave what a sidecar would get."""
    cluster = ClusterObjects(name="a", objects=objects or [route(), service("web"), service("shadow")])
    host = {"name": f"web.shop.svc.cluster.local:{port}", "domains": [], "routes": routes}
    fact = {"routes": [{"name": str(port), "hosts": [host]}], "clusters": clusters}
    answer = {"version": "1.31.0", "milliseconds": 1, "proxies": {"sidecar/shop": fact}}
    with standin(folder, f"print({json.dumps(answer)!r}, flush=True)") as oracle:
        confirmed = confirm(cluster, run_rules(Mesh(clusters=[cluster])), oracle)
    return list(confirmed.findings), confirmed.by_istiod


def test_what_istiod_renders_stands_in_the_findings(tmp_path: Path) -> None:
    mirror = {"cluster": "outbound|80||shadow.shop.svc.cluster.local", "share": 100}
    found, shown = asked(tmp_path, [{"name": "a", "match": "", "action": "route", "mirrors": [mirror]}], {})
    [absent] = [each for each in found if each.rule == "mirror-target-undefined"]
    assert absent in shown
    assert absent.message == "istiod 1.31.0 renders it, and no cluster for its target"


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("given", [True, False], ids=["as the rule says", "unforeseen"])
def test_a_primary_without_a_cluster_is_told_once_for_all_of_its_mirrors(
    tmp_path: Path, *, given: bool, there: bool
) -> None:
    mirror, primary = ("outbound|80||shadow.shop.svc.cluster.local", "outbound|80||web.shop.svc.cluster.local")
    rendered = {"name": "a", "match": "", "action": "route", "mirrors": [{"cluster": mirror, "share": 100}]}
    rendered["clusters"] = {primary: 100}
    limits = {"connections": 0, "pending": 0, "requests": 0}
    fact = {"type": "EDS", "endpoints": 1, "max_stream_duration": 8, "limits": limits}
    port = 81 if given else 80
    clusters = {mirror: fact, **({primary: fact} if there else {})}
    objects = [route(2), service("web", port), service("shadow")]
    found, shown = asked(tmp_path, [rendered], clusters, *objects, port=port)
    words = "istiod 1.31.0 renders it, and no cluster for its primary"
    told = [each for each in found if each.rule == "mirror-primary-undefined" and words in each.message]
    assert [(each.field, each in shown) for each in told] == ([] if there else [("spec.http[0]", True)])


@pytest.mark.parametrize("gateways", [[], ["mesh", "edge"]], ids=["all senders", "a gateway that is not given"])
def test_what_istiod_renders_otherwise_at_all_senders_is_dropped(tmp_path: Path, gateways: Sequence[str]) -> None:
    mirror = {"cluster": "outbound|80||shadow.shop.svc.cluster.local", "share": 100}
    limits = {"connections": 0, "pending": 0, "requests": 0}
    bounded = {"type": "EDS", "endpoints": 1, "max_stream_duration": 8, "limits": limits}
    routes = [{"name": "a", "match": "", "action": "route", "mirrors": [mirror]}]
    sending = route()
    sending["spec"]["gateways"] = gateways
    services = [service("web"), service("shadow")]
    found, _ = asked(tmp_path, routes, {mirror["cluster"]: bounded}, sending, *services)
    assert ("mirror-unbounded-life" in {each.rule for each in found}) is bool(gateways)


def test_virtual_hosts_that_nobody_calls_show_nothing(tmp_path: Path) -> None:
    mirror = {"cluster": "outbound|80||shadow.shop.svc.cluster.local", "share": 100}
    rendered = {"name": "a", "match": "", "action": "route", "mirrors": [mirror]}
    rendered["clusters"] = {"outbound|80||web.shop.svc.cluster.local": 100}
    sending = route()
    sending["spec"]["http"][0]["route"][0]["destination"]["port"] = {"number": 8000}
    _, shown = asked(tmp_path, [rendered], {}, sending, service("web", 8000), service("shadow"))
    assert shown == frozenset()


def test_a_mirror_that_no_proxy_has_is_a_finding(tmp_path: Path) -> None:
    found, shown = asked(tmp_path, [], {})
    assert "mirror-never-sent" in {each.rule for each in found if each in shown}


UNGIVEN = "istiod 1.31.0 cannot show it: {}.shop.svc.cluster.local is not given"


@pytest.mark.parametrize(
    ("given", "rendered", "words"),
    [((), False, UNGIVEN.format("web")), (("web",), True, UNGIVEN.format("shadow")), (("web", "shadow"), True, "")],
)
def test_what_is_not_given_is_not_said_to_be_missing(
    tmp_path: Path, given: Sequence[str], words: str, *, rendered: bool
) -> None:
    mirror = {"cluster": "outbound|80||shadow.shop.svc.cluster.local", "share": 100}
    routes = [{"name": "a", "match": "", "action": "route", "mirrors": [mirror]}] if rendered else []
    fact = {"type": "EDS", "endpoints": 1, "max_stream_duration": 0, "limits": {}}
    clusters = {mirror["cluster"]: fact} if "shadow" in given else {}
    found, shown = asked(tmp_path, routes, clusters, route(), *map(service, given))
    open_ = [each.message for each in found if each.outcome is Outcome.NOT_JUDGED]
    undefined = [each for each in found if each.rule == "mirror-target-undefined"]
    assert open_ == ([words] if words and not undefined else [])
    assert {each.rule for each in shown} == ({"mirror-unbounded-life"} if "shadow" in given else set())
    assert "mirror-unbounded-life" in {each.rule for each in found}


def refused_by(folder: Path, *objects: dict[str, Any], reason: str) -> list[Finding]:
    """Findings on objects after a stand-in refused the first one."""
    cluster = ClusterObjects(name="a", objects=objects)
    [subject] = {str(each.source) for each in cluster.routing.sent}
    fact = {"index": 0, "object": subject, "refused": reason, "by": "webhook"}
    answer = {"version": "1.31.0", "milliseconds": 1, "objects": [fact], "proxies": {}}
    with standin(folder, f"print({json.dumps(answer)!r}, flush=True)") as oracle:
        return list(confirm(cluster, run_rules(Mesh(clusters=[cluster])), oracle).findings)


ERRORS = "2 errors occurred:\n\t* one\n\t* other\n\n"


@pytest.mark.parametrize("foreseen", [True, False])
@pytest.mark.parametrize("name", ["v", ""])
def test_of_what_is_refused_nothing_else_is_said(tmp_path: Path, name: str, *, foreseen: bool) -> None:
    sending = route()
    sending["metadata"] = {"namespace": "shop", **({"name": name} if name else {})}
    if foreseen:
        sending["spec"]["http"][0]["mirrorPercentage"] = {"value": "x"}
    found = refused_by(tmp_path, sending, service("web"), service("shadow"), reason=ERRORS)
    [told] = [each for each in found if each.rule == "object-refused"]
    assert told.object == f"VirtualService shop/{name or '?'}"
    assert told.message.endswith(": one; other")
    assert "mirror-never-sent" not in {each.rule for each in found}


def test_what_does_not_say_when_it_was_made_is_younger_or_older_than_all_else() -> None:
    known = service("known")
    known["metadata"]["creationTimestamp"] = "2027-01-01T00:00:00Z"
    unknown = [{**service(name), "metadata": {"name": name, "creationTimestamp": None}} for name in ("a", "b")]
    question = Question(objects=[unknown[0], known, unknown[1]], proxies=[])
    for reverse, order in ((False, ["known", "a", "b"]), (True, ["b", "a", "known"])):
        made = [cast("dict[str, str]", each["metadata"]) for each in by_age(question, reverse=reverse).objects]
        assert [each["name"] for each in made] == ["a", "known", "b"]
        assert [each["name"] for each in sorted(made, key=lambda each: each["creationTimestamp"])] == order


def test_a_status_that_is_given_is_not_given_on() -> None:
    waypoint: dict[str, Any] = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "status": None}
    waypoint |= {"metadata": {"name": "way", "namespace": "shop"}, "spec": {"gatewayClassName": "istio-waypoint"}}
    asked_for = question_of([{**route(), "status": None}, {**service("web"), "status": "odd"}, waypoint])
    given = {str(each["kind"]): each for each in asked_for.objects[:3]}
    assert "status" not in given["VirtualService"].keys() | given["Service"].keys()
    address = {"type": "Hostname", "value": "way.shop.svc.cluster.local"}
    assert given["Gateway"]["status"] == {"addresses": [address]}


def test_a_certificate_that_a_listener_names_has_a_stand_in_and_no_secret_is_given_on() -> None:
    gateway: dict[str, Any] = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}
    gateway["metadata"] = {"name": "own", "namespace": "shop"}
    named = [{"name": "cert"}, {"name": "cert", "namespace": "vault"}]
    listener = {"name": "own", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": named}}
    gateway["spec"] = {"gatewayClassName": "istio", "listeners": [listener]}
    true = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cert", "namespace": "shop"}}
    true |= {"stringData": {"tls.key": "canary"}}
    asked_for = question_of([gateway, true, {**true, "metadata": {"name": "other", "namespace": "shop"}}]).to_json()
    made = [each for each in cast("list[Any]", asked_for["objects"]) if each["kind"] == "Secret"]
    assert [(each["metadata"]["name"], each["metadata"]["namespace"]) for each in made] == [
        ("cert", "shop"),
        ("cert", "vault"),
    ]
    assert "canary" not in json.dumps(asked_for)
    pair = {name: base64.b64decode(text) for name, text in made[0]["data"].items()}
    public = x509.load_pem_x509_certificate(pair["tls.crt"]).public_key()
    assert public == serialization.load_pem_private_key(pair["tls.key"], None).public_key()


def test_a_container_of_an_image_is_asked_as_the_program_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    body = "print(json.dumps({'version': ' '.join(sys.argv[1:]) + os.environ['PILOT_ENABLE_AMBIENT']}), flush=True)"
    docker.write_text(
        f"#!{sys.executable}\nimport json, os, sys\nfor line in sys.stdin:\n    {body}\n", encoding="utf-8"
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with Oracle(in_container("registry.example/oracle"), environment=os.environ) as oracle:
        said = oracle.ask(QUESTION)["version"]
    assert said == ("run --rm --interactive --network=none --env=PILOT_ENABLE_AMBIENT -- registry.example/oraclefalse")
    docker.unlink()
    with pytest.raises(OracleError, match="no docker and no podman"):
        in_container("registry.example/oracle")


def test_the_image_is_built_as_the_tool_chain_builds_the_program() -> None:
    folder = Path(toolchain.__file__).parent / "go" / "oracle"
    recipe = (folder / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG ISTIO_VERSION={ORACLE.version}\n" in recipe
    assert f"-tags {','.join(ORACLE.programs[0].tags)} " in recipe
    assert all(f"/{source}" in recipe and f"/{name}" in recipe for name, source in ORACLE.files.items())
    version = re.search(r"^go (\d+\.\d+)", (folder / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    assert version
    assert f"golang:{version[1]}-bookworm" in recipe


def test_a_subset_without_any_rule_at_hand_is_not_certain(tmp_path: Path) -> None:
    sending = route()
    sending["spec"]["http"][0]["route"][0]["destination"]["subset"] = "v1"
    mirror = {"cluster": "outbound|80||shadow.shop.svc.cluster.local", "share": 100}
    rendered = {"name": "a", "match": "", "action": "route", "mirrors": [mirror]}
    rendered["clusters"] = {"outbound|80|v1|web.shop.svc.cluster.local": 100}
    fact = {"type": "EDS", "endpoints": 1, "max_stream_duration": 8, "limits": {}}
    found, shown = asked(tmp_path, [rendered], {mirror["cluster"]: fact}, sending, service("web"), service("shadow"))
    [lacking] = [each for each in found if each.rule == "mirror-primary-undefined"]
    assert "no DestinationRule" in lacking.message
    assert lacking not in shown


@pytest.mark.parametrize(
    ("reason", "certain"),
    [("spec: Required value", True), ("no kind VirtualService is served in version networking.istio.io/v0", False)],
)
def test_a_refusal_that_goes_by_the_release_of_the_definitions_is_not_certain(
    tmp_path: Path, reason: str, *, certain: bool
) -> None:
    cluster = ClusterObjects(name="a", objects=[route()])
    answer = {
        "version": "1.31.0",
        "milliseconds": 1,
        "objects": [{"object": "VirtualService shop/v", "refused": reason}],
    }
    with standin(tmp_path, f"print({json.dumps(answer)!r}, flush=True)") as oracle:
        confirmed = confirm(cluster, [], oracle)
    assert [each.message for each in confirmed.findings] == [f"it is refused: {reason}"]
    assert bool(confirmed.by_istiod) is certain

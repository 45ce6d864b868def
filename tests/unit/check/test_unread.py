"""What nobody can judge as it is given: it is said with its place and with what to give instead, and ends with 2."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.manifest_files import UNKNOWN_TEXT
from pulumi_traffic_mirror.operations.manifests import load

Object = dict[str, Any]

ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
    - route: [{destination: {host: web, port: {number: 80}}}]
      mirror: {host: shadow, port: {number: 80}}
"""


def files(folder: Path, **texts: str) -> Path:
    """Files by their names, with ``__`` for the slash of a path and ``_`` before the suffix."""
    for name, text in texts.items():
        path = folder / (name.replace("__", "/").rpartition("_")[0] + "." + name.rpartition("_")[2])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def said(folder: Path) -> list[tuple[str, int, str, str]]:
    """What is not judged: file below the folder, line, message, remedy."""
    [loaded] = load("only", [folder])
    return [
        (Path(each.file).relative_to(folder).as_posix(), each.line, each.message, each.remedy) for each in loaded.unread
    ]


def checked(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, Object]:
    """Exit code and the result as JSON."""
    code = main(["check", "--json", *map(str, words)])
    return code, json.loads(capsys.readouterr().out)


def test_values_that_are_to_be_filled_in_are_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = ROUTE.replace("host: shadow", 'host: "${SHADOW}"').replace("hosts: [web]", "hosts: ['{{ host }}']")
    files(tmp_path, a_yaml=text)
    [(file, line, message, remedy)] = said(tmp_path)
    assert (file, line, message) == ("a.yaml", 5, "{{ host }} and 1 more are yet to be filled in")
    assert remedy.startswith("Render it first")
    code, result = checked(capsys, tmp_path)
    assert code == 2
    assert not result["fails"]
    assert {each["outcome"] for each in result["findings"]} == {"not judged"}


@pytest.mark.parametrize(
    "text",
    [
        "{apiVersion: '${X}', kind: VirtualService}",
        "{apiVersion: v1, kind: '${X}'}",
        "{apiVersion: v1, kind: ConfigMap, metadata: '${X}'}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: istio-system, name: istio}, data: '${X}'}",
        "{apiVersion: projectcontour.io/v1, kind: HTTPProxy, spec: '${X}'}",
        "{apiVersion: projectcontour.io/v1, kind: HTTPProxy, spec: {routes: [{services: ['${X}']}]}}",
        "{apiVersion: projectcontour.io/v1, kind: HTTPProxy, spec: {routes: [{services: [{mirror: '${X}'}]}]}}",
        "{apiVersion: traefik.io/v1alpha1, kind: TraefikService, spec: '${X}'}",
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: '${X}'}",
        "{apiVersion: networking.x-k8s.io/v1alpha1, kind: HTTPRoute, spec: '${X}'}",
        "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, patches: '${X}'}",
        "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, patches: ['${X}', {path: '${X}'}]}",
    ],
)
def test_any_value_may_be_one_that_is_to_be_filled_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    code, result = checked(capsys, files(tmp_path, a_yaml=text))
    assert code == 2
    assert "${X} is yet to be filled in" in {
        each["message"].replace(" and 1 more are", " is") for each in result["unread"]
    }


def test_what_a_preview_does_not_know_of_another_tool_s_object_is_said(tmp_path: Path) -> None:
    inputs = {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": {"name": "a"},
        "spec": UNKNOWN_TEXT,
    }
    kind = "kubernetes:projectcontour.io/v1:HTTPProxy"
    state = {"urn": f"urn:pulumi:a::b::{kind}::a", "type": kind, "provider": "", "inputs": inputs}
    preview = {"config": {}, "steps": [{"op": "create", "newState": state}]}
    (tmp_path / "preview.json").write_text(json.dumps(preview), encoding="utf-8")
    [loaded] = load("only", [tmp_path])
    [unread] = loaded.unread
    assert unread.message == "what another tool may mirror by spec, which is not known yet, is not judged"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.yaml", ROUTE.replace("  http:", "  http: []\n  http:"), 7),
        ("a.json", '{"apiVersion": "v1", "kind": "Service",\n"spec": {"a": 1, "a": 2}}', 2),
    ],
)
def test_a_key_that_is_given_twice_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, line: int
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    _, result = checked(capsys, tmp_path)
    [unread] = result["unread"]
    assert unread["line"] == line
    assert "is given a second time" in unread["message"]


def test_nothing_of_a_secret_is_said(tmp_path: Path) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"url": "hunter2@${DB}"}}
    assert said(files(tmp_path, a_yaml=yaml.safe_dump(secret))) == []
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    for written, shown in (
        ("http://hunter2@${DB}/", "${DB}"),
        ("${DB:-hunter2}", "${DB}"),
        ("{{ .Values.db | default `hunter2` }}", "{{ .Values.db}}"),
        ('{{ default "hunter2" .Values.db }}', "{{ default  .Values.db }}"),
    ):
        [(_, _, message, _)] = said(files(tmp_path, a_yaml=yaml.safe_dump({**config, "data": {"url": written}})))
        assert message == f"{shown} is yet to be filled in"


def test_keys_that_are_merged_into_others_are_given_once(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nbase: &base {a: 1}\ndata: {<<: *base, a: 2}\nmore: {a: 2, <<: *base}\n"
    assert said(files(tmp_path, a_yaml=text)) == []


def test_shell_commands_and_annotations_have_such_expressions_of_their_own(tmp_path: Path) -> None:
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "annotations": {"note": "{{ x }}"}},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "args": ["echo ${HOME}"]}]}}},
    }
    assert said(files(tmp_path, a_yaml=yaml.safe_dump(workload))) == []


def test_a_chart_is_to_be_rendered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = "{{- if .Values.mirror }}\n" + ROUTE + "{{- end }}\n"
    files(tmp_path, web__Chart_yaml="name: web\n", web__values_yaml="a: 1\n", web__templates__a_yaml=template)
    files(tmp_path, other_yaml=ROUTE)
    [(file, line, _, remedy)] = said(tmp_path)
    assert (file, line) == ("web/Chart.yaml", 1)
    assert remedy.startswith(f"Render the chart and give the result: helm template {tmp_path / 'web'}")
    code, result = checked(capsys, tmp_path / "web" / "templates")
    assert (code, len(result["unread"])) == (2, 1)


def test_a_kustomization_that_changes_objects_is_to_be_built(tmp_path: Path) -> None:
    patch = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "web"}}
    overlay = {"resources": ["../base"], "namespace": "prod", "patches": [{"path": "mirror.yaml"}]}
    files(
        tmp_path,
        base__web_yaml=ROUTE,
        base__kustomization_yaml="resources: [web.yaml]\n",
        prod__kustomization_yaml=yaml.safe_dump(overlay),
        prod__mirror_yaml=yaml.safe_dump(patch),
    )
    [(file, _, message, remedy)] = said(tmp_path)
    assert file == "prod/kustomization.yaml"
    assert message == "its patches, namespace change what the files hold; they are judged without"
    assert "kustomize build" in remedy
    [loaded] = load("only", [tmp_path])
    assert [str(each) for each in loaded.cluster.of("VirtualService")] == ["VirtualService shop/web"]


def test_one_object_in_two_files_is_judged_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files(tmp_path, dev__a_yaml=ROUTE, prod__a_yaml=ROUTE + "      mirrorPercentage: {value: 5}\n")
    [(file, line, message, remedy)] = said(tmp_path)
    assert (file, line) == ("dev/a.yaml", 1)
    assert message.startswith("VirtualService shop/web is judged as ")
    assert "--cluster prod=prod/" in remedy
    code, result = checked(capsys, tmp_path)
    assert code in (1, 2)
    assert "host-routed-twice" not in {each["rule"] for each in result["findings"]}
    assert result["mirrors"] == 1


@pytest.mark.parametrize(
    ("form", "parts", "line", "whose"),
    [
        (
            "projectcontour.io/v1 HTTPProxy",
            {"spec": {"routes": [{"services": [{"name": "a"}, {"name": "b", "mirror": True}]}]}},
            7,
            "Contour",
        ),
        ("traefik.io/v1alpha1 TraefikService", {"spec": {"mirroring": {"name": "a"}}}, 4, "Traefik"),
        (
            "networking.k8s.io/v1 Ingress",
            {"metadata": {"annotations": {"nginx.ingress.kubernetes.io/mirror-target": "https://a"}}},
            4,
            "ingress-nginx",
        ),
    ],
)
def test_mirrors_of_other_tools_are_named(tmp_path: Path, form: str, parts: Object, line: int, whose: str) -> None:
    version, kind = form.split()
    text = yaml.safe_dump({"apiVersion": version, "kind": kind, **parts}, sort_keys=True)
    [(_, where, message, remedy)] = said(files(tmp_path, a_yaml=text))
    assert (where, message) == (line, f"a mirror of {whose} is not judged")
    assert "Istio's VirtualServices" in remedy


def test_routes_of_another_api_group_are_named(tmp_path: Path) -> None:
    old = ROUTE.replace("networking.istio.io/v1", "networking.x-k8s.io/v1alpha1")
    [(_, line, message, _)] = said(files(tmp_path, a_yaml=old, b_yaml=old.replace("      mirror:", "      other:")))
    assert line == 1
    assert message == "a mirror in a VirtualService of the API group networking.x-k8s.io is not judged"


def test_objects_of_other_tools_that_mirror_nothing_are_no_news(tmp_path: Path) -> None:
    proxy = {"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "spec": {"routes": [{"services": [{}]}]}}
    assert said(files(tmp_path, a_yaml=yaml.safe_dump(proxy))) == []


def test_a_delegate_without_its_root_is_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files(tmp_path, a_yaml=ROUTE.replace("  hosts: [web]\n", ""))
    code, result = checked(capsys, tmp_path)
    [unread] = result["unread"]
    assert code == 2
    assert unread["line"] == 6
    assert unread["message"].startswith("VirtualService shop/web is not judged: it has no hosts")


NATIVE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  gatewayClassName: CLASS
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: front}]
  rules:
    - backendRefs: [{name: web, port: 80}]
      filters: [{type: RequestMirror, requestMirror: {backendRef: {name: shadow, port: 80}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: mine}
spec: {controllerName: istio.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("istio", None),
        ("mine", None),
        ("eg", "Gateway shop/front is served by gateway.envoyproxy.io/gatewayclass-controller, class eg"),
        ("gke-l7-rilb", "Gateway shop/front is served by another controller, class gke-l7-rilb"),
    ],
)
def test_routes_of_other_controllers_are_not_judged_by_what_istio_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str | None
) -> None:
    files(tmp_path, a_yaml=NATIVE.replace("CLASS", name))
    code, result = checked(capsys, tmp_path)
    if words is None:
        assert (code, result["mirrors"], result["unread"]) == (1, 1, [])
        return
    [unread] = result["unread"]
    assert (code, result["mirrors"], result["findings"]) == (2, 0, [])
    assert (unread["line"], unread["message"]) == (12, f"HTTPRoute shop/web is not judged: {words}")


def test_the_table_and_sarif_say_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files(tmp_path, a_yaml=NATIVE.replace("CLASS", "eg"))
    assert main(["check", str(tmp_path)]) == 2
    shown = capsys.readouterr().out
    assert "not judged  " in shown
    assert "1 not judged." in shown
    assert main(["check", "--sarif", str(tmp_path)]) == 2
    [run] = json.loads(capsys.readouterr().out)["runs"]
    [notification] = run["invocations"][0]["toolExecutionNotifications"]
    assert notification["locations"][0]["physicalLocation"]["region"] == {"startLine": 12}
    assert "Envoy" not in notification["message"]["text"]
    assert "gateway.envoyproxy.io" in notification["message"]["text"]

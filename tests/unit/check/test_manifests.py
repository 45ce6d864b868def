"""Reading objects: files, folders, lists, Pulumi's exports and previews, and what is broken about them."""

import json
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model.rules import UNKNOWN, Mesh, Outcome, run_rules
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.manifest_files import SIGNATURE, UNKNOWN_TEXT
from pulumi_traffic_mirror.operations.manifests import load
from tests.unit.model.samples import NOW, Object, receiving, sending

ROUTE = """\
# a comment
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: a
  namespace: hello
spec:
  hosts: [a]
  http:
    - route:
        - destination: {host: a}
      mirror:
        host: b
---
"""


DEEP_STACK = (
    '{"deployment": {"resources": [{"type": "kubernetes:v1:Service", "inputs": '
    f'{"[" * 300 + "]" * 300}, "outputs": {{}}}}]}}}}'
)
"""A stack's export that is nested more deeply than anything is read."""


def write(folder: Path, name: str, text: str) -> Path:
    """A file in a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_folder_is_read_with_all_below_it(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", ROUTE)
    write(tmp_path, "below/b.yml", ROUTE.replace("name: a", "name: b"))
    write(tmp_path, "c.json", json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}}))
    write(tmp_path, "README.md", "{{ no yaml")
    [loaded] = load("staging", [tmp_path])
    assert sorted(loaded.origins) == ["Service default/c", "VirtualService hello/a", "VirtualService hello/b"]
    assert loaded.cluster.complete


def test_a_field_s_line_is_known(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", "\n\n" + ROUTE + ROUTE.replace("name: a", "name: b"))
    [loaded] = load("staging", [path])
    assert loaded.place("VirtualService hello/a", "spec.http[0].mirror") == (str(path), 14)
    assert loaded.place("VirtualService hello/a", "spec.http[0].mirror.host") == (str(path), 15)
    assert loaded.place("VirtualService hello/a", "spec.http[0].mirror.port.number") == (str(path), 14)
    assert loaded.place("VirtualService hello/b", "spec.hosts") == (str(path), 24)
    assert loaded.place("VirtualService hello/z", "spec") is None


def test_lists_are_taken_apart(tmp_path: Path) -> None:
    items = [*sending(), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}]
    path = write(tmp_path, "all.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    [loaded] = load("staging", [path])
    assert len(loaded.cluster.objects) == len(sending())
    assert loaded.ignored == {"ConfigMap": 1}
    assert loaded.place("VirtualService hello/greeter", "spec") is not None


def test_what_no_rule_reads_is_counted(tmp_path: Path) -> None:
    documents = ["kind: Kustomization", "values: 1", "", "- a", "apiVersion: v1\nkind: Secret", "kind: Secret"]
    text = "\n---\n".join(documents)
    [loaded] = load("staging", [write(tmp_path, "a.yaml", text)])
    assert loaded.ignored == {"Kustomization": 1, "Secret": 2, "an object without a kind": 2}


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("a.yaml", "a: [1\nb: 2\n", "a.yaml, line 2"),
        ("a.yaml", "a: 1\n---\nb: {{ .Values.x }}\n", "a.yaml, line 3"),
        ("a.yaml", "a: &x 1\nb: *y\n", "a.yaml, line 2"),
        ("a.yaml", "a: !!python/object/apply:os.system ['true']\n", "a.yaml, line 1"),
        ("a.yaml", "\ttab: 1\n", "a.yaml, line 1"),
        ("a.json", '{"a": 1,\n "b" 2}', "a.json, line 2"),
        ("a.json", "", "a.json, line 1"),
        ("a.yaml", "a: 1\n---\na: !!int ''\n", "a.yaml.*line 3 does not fit"),
        ("a.yaml", "a: !!map x\n", "a.yaml, line 1, column 4: expected a mapping"),
        ("a.yaml", "a: !!seq {b: 1}\n", "a.yaml, line 1, column 4: expected a sequence"),
        ("a.yaml", "a: !other x\n", "a.yaml, line 1, column 4: could not determine a constructor"),
        ("a.yaml", "a: !!bool x\n", "a.yaml.*line 1 does not fit"),
        ("a.yaml", "a: !!float x\n", "a.yaml.*line 1 does not fit"),
        ("a.yaml", "a:\n  " + "[" * 300, "a.yaml: line 2 is nested more than 200"),
        ("a.yaml", "- " * 300, "a.yaml: line 1 is nested more than 200"),
        ("a.json", "[" * 300 + "]" * 300, "a.json: nested more than 200"),
        ("a.json", DEEP_STACK, "a.json: nested more than 200"),
        ("a.json", '{"a": ' + "9" * 5_000 + "}", "a.json: Exceeds the limit"),
        ("a.json", '{"a": "\\ud800"}', "a.json: .*surrogates"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, where: str) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(OperationError, match=where) as refusal:
        load("staging", [path])
    assert refusal.value.remedy


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_nesting_is_read_up_to_its_bound(tmp_path: Path, name: str) -> None:
    text = '{"kind": "Thing", "apiVersion": "v1", "spec": ' + "[" * 199 + "1" + "]" * 199 + "}"
    [loaded] = load("staging", [write(tmp_path, name, text)])
    assert loaded.ignored == {"Thing": 1}


def test_a_template_is_to_be_rendered_first(tmp_path: Path) -> None:
    path = write(tmp_path, "templates/a.yaml", "{{- if .Values.mirror }}\na: 1\n{{- end }}\n")
    with pytest.raises(OperationError) as refusal:
        load("staging", [path])
    assert refusal.value.remedy == "Render the template first, e.g. with helm template"


@pytest.mark.parametrize(
    "text",
    [
        '{\n\t"apiVersion": "v1",\n\t"kind": "Service"\n}',
        '{"apiVersion": "v1", "kind": "Service", "metadata": {"annotations": {"a": "\\ud83d\\ude00"}}}',
        '\ufeff{"apiVersion": "v1", "kind": "Service"}',
        '[{"apiVersion": "v1", "kind": "Service"}]',
        '{"apiVersion": "v1", "kind": "ServiceList", "items": [{"metadata": {}}]}',
    ],
    ids=["tabs", "characters beyond 16 bits", "byte order mark", "a list", "a list of one kind"],
)
def test_all_that_is_json_is_read(tmp_path: Path, text: str) -> None:
    [loaded] = load("staging", [write(tmp_path, "a.json", text)])
    assert [each.kind for each in loaded.cluster.of("Service")] == ["Service"]
    assert loaded.ignored == {}


def test_an_object_that_is_read_twice_is_one(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", ROUTE)
    [loaded] = load("staging", [tmp_path, path])
    assert len(loaded.cluster.objects) == 1
    write(tmp_path, "b.yaml", ROUTE.replace("[a]", "[b]"))
    [loaded] = load("staging", [tmp_path])
    assert len(loaded.cluster.objects) == 1


def test_what_aliases_make_of_a_text_is_bounded(tmp_path: Path) -> None:
    """Without a bound a kilobyte of text stands for billions of values, which takes hours and all memory."""
    tenfold = [f"- &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)]
    deeper = [f"- &a{level} [*a{level - 1}]\n" for level in range(1, 300)]
    head = "apiVersion: v1\nkind: ConfigMap\ndata:\n- &a0 ['${X}']\n"
    for text, said in (
        (head + "".join(tenfold), "aliases of the value at line 9 stand for more than 100,000 values"),
        (head + "".join(deeper), "nested more than 200 levels deep"),
        ("apiVersion: v1\nkind: Service\nspec: &it {again: *it}\n", "the value at line 3 contains itself"),
    ):
        with pytest.raises(OperationError, match=said):
            load("staging", [write(tmp_path, "a.yaml", text)])
    [loaded] = load("staging", [write(tmp_path, "a.yaml", head + "".join(tenfold[:4]))])
    assert loaded.ignored == {"ConfigMap": 1}


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_what_is_nested_as_deeply_as_is_read_is_judged(tmp_path: Path, name: str) -> None:
    text = '{"kind": "Thing", "apiVersion": "v1", "spec": ' + '{"a": [' * 99 + '"${X}"' + "]}" * 99 + "}"
    [loaded] = load("staging", [write(tmp_path, name, text)], domain="example.org")
    assert [each.message for each in loaded.unread] == ["${X} is yet to be filled in"]


def test_a_folder_that_may_not_be_listed_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", forbidden)
    with pytest.raises(OperationError, match=r"cannot be read: .*Permission denied"):
        load("staging", [tmp_path])


def test_a_link_to_nothing_is_no_file_that_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OperationError, match=r"a\.yaml cannot be read"):
        load("staging", [tmp_path])


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match=r"cannot be read: .*File name too long"):
        load("staging", [tmp_path / ("a" * 300)])
    with pytest.raises(OperationError, match=r"missing\.yaml does not exist"):
        load("staging", [tmp_path / "missing.yaml"])
    binary = tmp_path / "a.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OperationError, match=r"a\.yaml cannot be read"):
        load("staging", [binary])


def resource(urn: str, value: Object, provider: str = "staging", **more: Any) -> Object:
    """A resource of a stack."""
    kind = f"kubernetes:{value['apiVersion']}:{value['kind']}"
    reference = f"urn:pulumi:staging::mirror::pulumi:providers:kubernetes::{provider}::id"
    return {
        "urn": f"urn:pulumi:staging::mirror::{kind}::{urn}",
        "type": kind,
        "provider": reference,
        "inputs": value,
        **more,
    }


def export(*resources: Object) -> str:
    """A stack's export."""
    return json.dumps(
        {"version": 3, "deployment": {"resources": [{"urn": "u", "type": "pulumi:pulumi:Stack"}, *resources]}}
    )


def test_a_stack_s_export_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path, "stack.json", export(*(resource(f"r{i}", each, outputs=each) for i, each in enumerate(sending())))
    )
    [loaded] = load("staging", [path])
    assert len(loaded.cluster.routing.mirror_entries) == 3
    assert not loaded.cluster.complete
    assert run_rules(Mesh(clusters=[loaded.cluster], now=NOW)) == []
    place = loaded.place("VirtualService hello/greeter", "spec")
    assert place
    assert place[0] == f"{path} (r0)"


def test_a_stack_of_two_clusters_is_taken_apart_by_provider(tmp_path: Path) -> None:
    resources = [resource(f"a{i}", each) for i, each in enumerate(sending())]
    resources += [resource(f"b{i}", each, "testing") for i, each in enumerate(receiving())]
    path = write(tmp_path, "stack.json", export(*resources))
    assert [each.cluster.name for each in load("x", [path])] == ["x/staging", "x/testing"]
    assert [each.cluster.name for each in load("x", [path], single=True)] == ["x"]


def test_secrets_of_a_stack_are_not_known(tmp_path: Path) -> None:
    secret = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc"}
    route = {**sending()[0], "spec": secret}
    [loaded] = load("x", [write(tmp_path, "s.json", export(resource("a", route)))])
    (subject,) = loaded.cluster.of("VirtualService")
    assert subject.spec.value is UNKNOWN
    found = run_rules(Mesh(clusters=[loaded.cluster], now=NOW))
    assert {each.outcome for each in found} == {Outcome.NOT_JUDGED}


def test_a_preview_is_read_as_it_will_be(tmp_path: Path) -> None:
    objects = sending()
    entry = next(each for each in objects if each["kind"] == "ServiceEntry")
    entry["spec"]["endpoints"][0]["address"] = UNKNOWN_TEXT
    steps: list[Object] = [{"op": "create", "newState": resource(f"r{i}", each)} for i, each in enumerate(objects)]
    steps.append({"op": "delete", "oldState": resource("gone", {**objects[0], "metadata": {"name": "gone"}})})
    path = write(tmp_path, "preview.json", json.dumps({"config": {}, "steps": steps, "changeSummary": {"create": 5}}))
    [loaded] = load("staging", [path])
    assert "VirtualService default/gone" not in loaded.origins
    assert run_rules(Mesh(clusters=[loaded.cluster], now=NOW)) == []


def test_what_comes_through_a_pipe_is_recognised(tmp_path: Path) -> None:
    path = write(tmp_path, "stdin", export(resource("a", sending()[0])))
    [loaded] = load("staging", [path])
    assert loaded.cluster.routing.mirror_entries
    flow = write(tmp_path, "flow", "{apiVersion: v1, kind: Service, metadata: {name: a}}")
    assert list(load("staging", [flow])[0].origins) == ["Service default/a"]


def test_a_resource_that_is_being_replaced_is_read_once(tmp_path: Path) -> None:
    old = resource("a", {**sending()[0], "metadata": {"name": "old"}}, delete=True)
    [loaded] = load("x", [write(tmp_path, "s.json", export(old, resource("a", sending()[0])))])
    assert list(loaded.origins) == ["VirtualService hello/greeter"]

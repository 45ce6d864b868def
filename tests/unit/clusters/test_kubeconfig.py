"""Kubeconfigs: the right entry is cut out, and every wrong one is named without showing what it holds."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.clusters import kubeconfig
from pulumi_traffic_mirror.model import ValidationError

TOKEN = "not-a-real-token"


def document(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [
            {"name": "one", "context": {"cluster": "c1", "user": "u1", "namespace": "n"}},
            {"name": "two", "context": {"cluster": "c2", "user": "u2"}},
        ],
        "clusters": [
            {"name": "c1", "cluster": {"server": "https://198.18.0.1:6443"}},
            {"name": "c2", "cluster": {"server": "https://198.18.0.2:6443"}},
        ],
        "users": [
            {"name": "u1", "user": {"token": TOKEN}},
            {"name": "u2", "user": {"token": "another"}},
        ],
    }
    return whole | changes


def select(text: str, context: str | None = None) -> kubeconfig.SelectedCluster:
    return kubeconfig.selected(kubeconfig.parse(text, field="kubeconfig"), field="kubeconfig", context=context)


def test_the_current_context_is_cut_out_with_its_cluster_and_user_only() -> None:
    chosen = select(yaml.safe_dump(document()))
    assert (chosen.context, chosen.server) == ("one", "https://198.18.0.1:6443")
    assert json.loads(chosen.content) == {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c1", "user": "u1", "namespace": "n"}}],
        "clusters": [{"name": "c1", "cluster": {"server": "https://198.18.0.1:6443"}}],
        "users": [{"name": "u1", "user": {"token": TOKEN}}],
    }
    assert TOKEN not in repr(chosen)


def test_a_time_stays_the_text_that_it_is_for_kubectl() -> None:
    users = [{"name": "u1", "user": {"auth-provider": {"config": {"expiry": "2026-11-23T10:00:00Z"}}}}]
    text = yaml.safe_dump(document(users=users)).replace("'2026-11-23T10:00:00Z'", "2026-11-23T10:00:00Z")
    assert json.loads(select(text).content)["users"] == users


def test_a_named_context_wins_over_the_current_one_and_json_is_read_too() -> None:
    assert select(json.dumps(document()), "two").server == "https://198.18.0.2:6443"


def test_what_is_cut_out_selects_to_itself() -> None:
    content = select(json.dumps(document())).content
    assert select(content).content == content


@pytest.mark.parametrize(
    ("text", "context", "field", "rule"),
    [
        (f"token: '{TOKEN}\nx", None, "kubeconfig", r"is not valid YAML \(line \d\)"),
        (f"{TOKEN}\x00", None, "kubeconfig", "is not valid YAML"),
        (f"a: {TOKEN}\n\t- b", None, "kubeconfig", r"is not valid YAML \(line 2\)"),
        *(
            (f"token: {value}", None, "kubeconfig", "is not valid YAML")
            for value in (f"!!int {TOKEN}", f"!!bool {TOKEN}", f"!!timestamp {TOKEN}", "[" * 3_000)
        ),
        ("", None, "kubeconfig", "is empty"),
        ("~/.kube/config", None, "kubeconfig", "is a plain value"),
        (f"- {TOKEN}", None, "kubeconfig", "is a plain value, not a mapping"),
        ("apiVersion: v1", None, "kubeconfig", "has no current-context; its contexts are: none"),
        (document(contexts={}), None, "kubeconfig", "has contexts that are no list"),
        (document(contexts="x"), None, "kubeconfig", "has contexts that are no list"),
        (document(users=[{"name": "u1"}]), None, "kubeconfig", "entry in users without a name or user"),
        (document(users=[TOKEN]), None, "kubeconfig", "entry in users without a name or user"),
        (document(**{"current-context": ""}), None, "kubeconfig", "no current-context; its contexts are: one, two"),
        (document(**{"current-context": 3}), None, "kubeconfig", "has no current-context"),
        (
            document(**{"current-context": "x"}),
            None,
            "kubeconfig",
            "current-context 'x', but its contexts are: one, two",
        ),
        (document(), "three", "context", "is not in the kubeconfig, which has: one, two"),
        (document(clusters=[]), None, "kubeconfig", "no cluster 'c1', which context 'one' needs; it has: none"),
        (document(users=[]), None, "kubeconfig", "no user 'u1', which context 'one' needs"),
        (document(contexts=[{"name": "one", "context": {"user": "u1"}}]), None, "kubeconfig", "without a cluster"),
        (
            document(clusters=[{"name": "c1", "cluster": {}}]),
            None,
            "kubeconfig",
            "no usable server in the cluster 'c1'",
        ),
        (
            document(clusters=[{"name": "c1", "cluster": {"server": "198.18.0.1:6443"}}]),
            None,
            "kubeconfig",
            "no usable server",
        ),
        (
            document(clusters=[{"name": "c1", "cluster": {"server": "https://[x"}}]),
            None,
            "kubeconfig",
            "no usable server",
        ),
        (
            yaml.safe_dump(document()).replace(TOKEN, "!!binary AAAA"),
            None,
            "kubeconfig",
            "holds a value that JSON cannot",
        ),
        (
            document(users=[{"name": "u1", "user": {"client-key": "key.pem"}}]),
            None,
            "kubeconfig",
            r"names a file relative to an unknown folder \(u1: client-key\)",
        ),
    ],
)
def test_wrong_kubeconfigs_are_refused_without_showing_them(
    text: str | dict[str, Any], context: str | None, field: str, rule: str
) -> None:
    content = text if isinstance(text, str) else json.dumps(text)
    with pytest.raises(ValidationError, match=rule) as refusal:
        select(content, context)
    assert refusal.value.field == field
    assert refusal.value.remedy
    assert TOKEN not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_file_names_become_absolute(tmp_path: Path) -> None:
    path = tmp_path / "config"
    users = [{"name": "u1", "user": {"client-key": "keys/a.pem", "client-certificate": "/abs/b.pem"}}]
    path.write_text(json.dumps(document(users=users)))
    chosen = kubeconfig.selected(kubeconfig.read(path, field="kubeconfig_path"), field="kubeconfig_path")
    assert json.loads(chosen.content)["users"][0]["user"] == {
        "client-key": str(tmp_path / "keys/a.pem"),
        "client-certificate": "/abs/b.pem",
    }


@pytest.mark.parametrize(
    ("name", "rule"),
    [("missing", "does not exist"), ("folder", "is a directory"), ("binary", "cannot be read as text")],
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str, rule: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValidationError, match=rule) as refusal:
        kubeconfig.read(tmp_path / name, field="kubeconfig_path")
    assert (refusal.value.field, refusal.value.value) == ("kubeconfig_path", str(tmp_path / name))


def test_the_first_file_wins_as_in_kubectl() -> None:
    first = document(clusters=[{"name": "c1", "cluster": {"server": "https://first"}}])
    del first["current-context"]
    second = document(**{"current-context": "two"})
    parsed = [kubeconfig.parse(json.dumps(each), field="context") for each in (first, second)]
    both = kubeconfig.merged(parsed)
    assert kubeconfig.selected(both, field="context").server == "https://198.18.0.2:6443"
    assert kubeconfig.selected(both, field="context", context="one").server == "https://first"


def test_kubectls_own_files_are_found(tmp_path: Path) -> None:
    present = tmp_path / "present"
    present.touch()
    assert kubeconfig.default_paths({}, tmp_path) == (tmp_path / ".kube/config",)
    assert kubeconfig.default_paths({"KUBECONFIG": f"{tmp_path}/gone:{present}"}, tmp_path) == (present,)
    assert kubeconfig.default_paths({"KUBECONFIG": f"{tmp_path}/gone"}, tmp_path) == (tmp_path / ".kube/config",)

"""What holds for some control planes or proxies only is told, and is no reason to say that nothing is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.cli.app import main
from tests.unit.model.samples import Object, changed, istiod, sending


def configuration(text: str) -> Object:
    """The ConfigMap of the mesh's configuration."""
    metadata = {"name": "istio", "namespace": "istio-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": text}}


def unread(folder: Path, capsys: pytest.CaptureFixture[str], objects: list[Object], *words: str) -> list[str]:
    """Messages on what is not judged, each at its object's lines."""
    path = folder / "a.yaml"
    path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    code = main(["check", "--json", str(path), *words])
    found: list[Any] = json.loads(capsys.readouterr().out)["unread"]
    assert code != 0 or not found
    assert all(each["line"] > 1 for each in found)
    return [each["message"] for each in found]


@pytest.mark.parametrize("revision", ["", "default", "canary"])
def test_what_is_for_another_revision(tmp_path: Path, capsys: pytest.CaptureFixture[str], revision: str) -> None:
    labelled = changed(sending(), "VirtualService", "metadata.labels", {"istio.io/rev": "canary"})
    said = unread(tmp_path, capsys, [*labelled, istiod(revision=revision)])
    words = ": that it is for revision canary, which no given istiod is of, is not judged"
    assert [each.endswith(words) for each in said] == ([] if revision == "canary" else [True])
    assert unread(tmp_path, capsys, labelled) == []


def test_a_revision_that_is_not_known_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled = changed(sending(), "VirtualService", "metadata.labels", {"istio.io/rev": "canary"})
    said = unread(tmp_path, capsys, [*labelled, istiod(revision="${REVISION}")])
    assert said[0].startswith("${REVISION} is yet to be filled in")
    assert "that it is for revision canary" in said[1]
    assert len(unread(tmp_path, capsys, [*sending(), istiod(revision="${REVISION}")])) == 1


@pytest.mark.parametrize(("value", "told"), [("true", True), ("false", False), ("", False)])
def test_gateways_that_have_pods_of_their_own_namespace_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str, *, told: bool
) -> None:
    said = unread(tmp_path, capsys, [*sending(), istiod(PILOT_SCOPE_GATEWAY_TO_NAMESPACE=value)])
    assert [each.startswith("Deployment istio-system/istiod: PILOT_SCOPE") for each in said] == ([True] if told else [])


def test_filters_for_proxies_by_their_metadata(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    match = "spec.configPatches.0.match.proxy"
    by_metadata = changed(sending(), "EnvoyFilter", match, {"metadata": {"CLUSTER_ID": "Kubernetes"}})
    [said] = unread(tmp_path, capsys, by_metadata)
    assert said.endswith(": which proxies have this metadata is not judged")
    assert unread(tmp_path, capsys, changed(sending(), "EnvoyFilter", match, {"proxyVersion": "1.31"})) == []


@pytest.mark.parametrize(
    ("image", "known"),
    [
        ("istio/pilot:1.31.0", True),
        ("registry:5000/istio/pilot:v1.30.1-distroless", True),
        (f"istio/pilot:1.30.0@sha256:{'0' * 64}", True),
        ("istio/pilot:1.22.0", False),
        (f"istio/pilot@sha256:{'0' * 64}", False),
        ("registry:5000/istio/pilot", False),
    ],
)
def test_releases_that_the_image_does_not_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], image: str, *, known: bool
) -> None:
    words = "Deployment istio-system/istiod: its image names no release from 1.26.0 on that is known"
    said = unread(tmp_path, capsys, [*sending(), istiod(image)])
    assert [each.startswith(words) for each in said] == ([] if known else [True])
    assert unread(tmp_path, capsys, [*sending(), istiod(image)], "--istio", "1.31") == []


UNDISCOVERED = "by its discoverySelectors, whether istiod reads hello,"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "its text, which is no configuration,"),
        ("- 1", "its text, which is no configuration,"),
        ("discoverySelectors: [{matchLabels: {mesh: in}}]", UNDISCOVERED),
        ("discovery_selectors: [{matchLabels: {mesh: in}}]", UNDISCOVERED),
        ("discoverySelectors: [{matchExpressions: [{key: mesh, operator: DoesNotExist}]}]", ""),
        ("discoverySelectors: [{matchLabels: {mesh: in}}, {}]", ""),
        ("discoverySelectors: []", ""),
        ("ingressClass: =\n---\nsecond: 1", ""),
    ],
)
def test_configurations(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str) -> None:
    said = unread(tmp_path, capsys, [*sending(), configuration(text)])
    assert said == ([f"ConfigMap istio-system/istio: {words} is not judged"] if words else [])


def test_namespaces_that_are_known_to_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello", "labels": {"mesh": "in"}}}
    objects = [*sending(), namespace, configuration("discoverySelectors: [{matchLabels: {mesh: in}}]")]
    assert unread(tmp_path, capsys, objects) == []

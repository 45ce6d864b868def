"""The command: what it prints, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model.rules import PLAN_RULES, RULES
from tests.unit.model.samples import OLD, Object, receiving, route, sending

RECIPE = Path(__file__).parents[2] / "data" / "published_recipe"
SARIF: Object = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {"driver": {"required": ["name", "rules"]}},
                    },
                    "results": {
                        "items": {
                            "required": ["ruleId", "message", "level"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "kind": {"enum": ["fail", "open"]},
                                "message": {"required": ["text"]},
                                "suppressions": {"items": {"properties": {"kind": {"enum": ["inSource", "external"]}}}},
                                "locations": {
                                    "items": {
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "region": {
                                                        "properties": {"startLine": {"type": "integer", "minimum": 1}}
                                                    }
                                                },
                                            }
                                        }
                                    }
                                },
                            },
                        }
                    },
                },
            },
        },
    },
}
"""What of SARIF 2.1.0 is used, by its own schema."""


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    code = main(["check", *map(str, words)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def both(folder: Path = RECIPE) -> list[str]:
    """Options for both clusters."""
    return ["--cluster", f"staging={folder / 'staging'}", "--cluster", f"testing={folder / 'testing'}"]


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """Both clusters as they are rendered."""
    for name, objects in (("staging", sending()), ("testing", receiving())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "objects.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    return tmp_path


def test_what_is_wrong_is_listed_with_file_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *both())
    assert code == 1
    flat = " ".join(out.split())
    assert "[receiver-no-route]" in flat
    assert "mirror_percent is deprecated" in flat
    assert "in-cluster.yaml:17" in flat
    assert "2 mirrors: 14 errors, 6 warnings." in out


def test_nothing_wrong_says_so(capsys: pytest.CaptureFixture[str], rendered: Path) -> None:
    code, out, _ = run(capsys, *both(rendered), "--require-mirror", "--istio", "1.31")
    assert code == 0
    assert "3 mirrors: nothing is wrong." in out


def test_on_a_managed_mesh_envoy_filters_are_not_in_force(capsys: pytest.CaptureFixture[str], rendered: Path) -> None:
    code, out, _ = run(capsys, *both(rendered), "--istio", "staging=1.31.0-asm.2")
    assert code == 1
    assert "[envoy-filter-too-new]" in out
    assert "[mirror-unbounded-life]" in out


def test_a_managed_mesh_without_revisions_is_known_by_its_objects(
    capsys: pytest.CaptureFixture[str], rendered: Path
) -> None:
    """Namespaces that are only labelled istio-injection=enabled say nothing."""
    config: Any = {"kind": "ConfigMap", "apiVersion": "v1", "data": {"mesh": "{}"}}
    config["metadata"] = {"name": "istio-asm-managed", "namespace": "istio-system"}
    (rendered / "staging" / "mesh.json").write_text(json.dumps(config), encoding="utf-8")
    code, out, _ = run(capsys, *both(rendered))
    assert code == 1
    flat = " ".join(out.split())
    assert "managed Istio by ConfigMap istio-asm-managed" in flat
    assert "[envoy-filter-too-new]" in out
    _, out, _ = run(capsys, *both(rendered), "--json")
    assert [each["managed"] for each in json.loads(out)["clusters"]] == [True, False]
    code, out, _ = run(capsys, *both(rendered), "--istio", "1.31")
    assert code == 0


def test_json_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *both(), "--json", "--istio", "staging=1.31")
    assert code == 1
    result: Any = json.loads(out)
    assert [each["name"] for each in result["clusters"]] == ["staging", "testing"]
    assert [each["istio"] for each in result["clusters"]] == ["1.31.0", None]
    assert result["fails"] is True
    finding = next(each for each in result["findings"] if each["rule"] == "mirror-protocol")
    assert finding["object"] == "ServiceEntry default/httpbin-cluster-b"
    assert finding["field"] == "spec.ports[0]"
    assert finding["remedy"]
    assert finding["file"].endswith("cross-cluster.yaml")
    assert {each["certainty"] for each in result["findings"]} == {"certain", "likely"}


def test_sarif_is_valid_and_points_at_lines(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *both(), "--sarif")
    assert code == 1
    log: Any = json.loads(out)
    jsonschema.validate(log, SARIF)
    [only] = log["runs"]
    rules = only["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.id for rule in (*RULES, *PLAN_RULES)]
    assert all(rule["helpUri"].startswith("https://") for rule in rules)
    for result in only["results"]:
        assert result["properties"]["certainty"] in ("certain", "likely")
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["region"]["startLine"] > 1


def test_sarif_tells_waived_findings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    objects = sending()
    objects[0]["spec"]["http"][1]["mirrors"][0]["percentage"] = {"value": 50.5}
    filters = next(each for each in objects if each["kind"] == "EnvoyFilter")
    filters["metadata"]["annotations"] = {
        "pulumi-traffic-mirror/waive.mirror-policy-drift": "a ramp by hand until Friday",
        "pulumi-traffic-mirror/waived-until.mirror-policy-drift": "2999-01-01",
    }
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    code, out, _ = run(capsys, path, "--sarif")
    assert code == 0
    [result] = json.loads(out)["runs"][0]["results"]
    assert result["suppressions"] == [{"kind": "inSource", "justification": "a ramp by hand until Friday"}]
    _, out, _ = run(capsys, path)
    assert "1 waived" in out


def test_an_upgrade_that_breaks_mirrors_fails(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *both(), "--istio", "1.27", "--to", "1.31", "--json")
    assert code == 1
    upgrade = json.loads(out)["upgrade"]
    assert {change["subject"] for change in upgrade["changes"]} == {"authority", "scrub", "deprecated field"}
    assert [change["breaks"] for change in upgrade["changes"]].count(True) == 1
    assert {finding["rule"] for finding in upgrade["appearing"]} == {"receiver-no-route"}
    code, out, _ = run(capsys, *both(), "--istio", "1.27", "--to", "1.31")
    assert "What the upgrade changes" in out
    assert "New findings:" in out


def test_an_upgrade_of_what_is_ready_for_it_holds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, objects in (("staging", sending(route(istio=OLD))), ("testing", receiving())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "objects.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    code, out, _ = run(capsys, *both(tmp_path), "--istio", "1.27", "--to", "1.31")
    assert code == 0
    assert "authority" in out


def test_what_depends_on_a_deployment_cannot_be_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    objects = sending()
    objects[0]["spec"]["http"][1]["mirrors"][0]["percentage"]["value"] = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    steps = [
        {"op": "create", "newState": {"urn": f"u::{i}", "type": "kubernetes:x:Y", "provider": "", "inputs": each}}
        for i, each in enumerate(objects)
    ]
    path = tmp_path / "preview.json"
    path.write_text(json.dumps({"config": {}, "steps": steps}), encoding="utf-8")
    code, out, _ = run(capsys, path)
    assert code == 2
    assert "not judged" in out


def test_no_mirror_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\n", encoding="utf-8")
    code, out, _ = run(capsys, tmp_path)
    assert code == 0
    assert "No mirror was found" in out
    assert "1 object of other kinds ignored (1 ConfigMap)" in out.replace("\n", " ")
    code, _, _ = run(capsys, tmp_path, "--require-mirror")
    assert code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "PATH"),
        (["missing.yaml"], "missing.yaml does not exist"),
        (["--cluster", "staging"], "must be NAME=PATH"),
        (["--cluster", "=x"], "must be NAME=PATH"),
        (["--cluster", "a={here}", "--cluster", "a={here}"], "clusters = 'a': must have a name each"),
        (["{here}", "--istio", "9.9"], "must be from 1.26 to 1.31"),
        (["{here}", "--istio", "new"], "must be a version"),
        (["{here}", "--istio", "b=1.31"], "must name one of cluster"),
        (["{here}", "--istio", "1.30", "--istio", "1.31"], "must be given once"),
        (["{here}", "--to", "1.31"], "needs --istio"),
        (["{here}", "--istio", "1.31", "--to", "2"], "--to = '2'"),
        (["{here}", "--json", "--sarif"], "must not be given with another form"),
        (["--context", "nowhere", "--kubeconfig", "{here}/none"], "kubeconfig of nowhere"),
        (["{here}", "--kubeconfig", "{here}/none"], "--kubeconfig = "),
    ],
)
def test_bad_input_is_explained(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    code, out, err = run(capsys, *(word.replace("{here}", str(RECIPE)) for word in words))
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_broken_yaml_is_named_with_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: [\n", encoding="utf-8")
    code, _, err = run(capsys, path)
    assert code == 2
    assert f"{path}, line" in err

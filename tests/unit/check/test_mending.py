"""Mends: written into files without touching anything else, shown as a diff, given as data."""

import difflib
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model.rules import REMOVED, Edit
from pulumi_traffic_mirror.operations.mending import Mended, Replacement, replacements

WEB = """\
# kept above
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]  # kept beside
  http:
    - route: [{destination: {host: web, port: {number: 80}}}]
      mirror:
        # kept within
        host: shadow  # a short name
      mirror_percent: 5  # of the old kind
      timeout: 1s
---
apiVersion: v1
kind: Service
metadata: {name: shadow, namespace: shop}
spec: {ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
"""
MENDED = (
    WEB.replace(
        "        host: shadow  # a short name", "        port: {number: 8080}\n        host: HOST  # a short name"
    )
    .replace("HOST", "shadow.shop.svc.cluster.local")
    .replace("    - route", "    - mirrorPercentage: {value: 5}\n      route")
    .replace("      mirror_percent: 5  # of the old kind\n", "")
)


def mended(tmp_path: Path, text: str, name: str = "a.yaml") -> str:
    """What --fix makes of a file."""
    path = tmp_path / name
    path.write_bytes(text.encode())
    main(["check", "--fix", str(path)])
    return path.read_bytes().decode()


def test_only_what_is_wrong_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mended(tmp_path, WEB) == MENDED
    assert "3 findings mended in 1 files." in capsys.readouterr().err
    assert mended(tmp_path, MENDED) == MENDED


def test_of_a_key_that_is_given_twice_the_value_that_counts_changes(tmp_path: Path) -> None:
    before = WEB.replace("      mirror:\n", "      mirror: {host: elsewhere}\n      mirror:\n")
    assert mended(tmp_path, before) == MENDED.replace(
        "      mirror:\n", "      mirror: {host: elsewhere}\n      mirror:\n"
    )


def test_line_ends_and_byte_order_mark_stay(tmp_path: Path) -> None:
    given = "\ufeff" + WEB.replace("\n", "\r\n").replace("above", "above \U0001f600")
    assert mended(tmp_path, given) == "\ufeff" + MENDED.replace("\n", "\r\n").replace("above", "above \U0001f600")


def test_json_stays_json(tmp_path: Path) -> None:
    documents = {"apiVersion": "v1", "kind": "List", "items": list(yaml.safe_load_all(WEB))}
    result = json.loads(mended(tmp_path, json.dumps(documents, indent=1), "a.json"))
    assert result["items"] == list(yaml.safe_load_all(MENDED))


def test_a_diff_shows_it_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(WEB, encoding="utf-8")
    assert main(["check", "--diff", str(path)]) == 1
    shown = capsys.readouterr().out
    assert "-      mirror_percent: 5  # of the old kind\n" in shown
    assert "+        port: {number: 8080}\n" in shown
    assert path.read_text(encoding="utf-8") == WEB


def many(number: int, text: str = WEB) -> str:
    """Routes of different names, far from each other."""
    lines = "".join(f"# {line}\n" for line in range(100))
    return "---\n".join(f"{lines}{text}".replace("web", f"web{each}") for each in range(number))


def test_the_same_object_changes_wherever_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(f"{WEB}---\n{WEB}", encoding="utf-8")
    main(["check", "--fix", str(tmp_path), str(tmp_path / "a.yaml")])
    assert "3 findings mended in 2 files." in capsys.readouterr().err
    for name in ("a.yaml", "b.yaml"):
        assert (tmp_path / name).read_text(encoding="utf-8") == f"{MENDED}---\n{MENDED}"


def test_the_same_object_changes_nowhere_where_one_of_its_places_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WEB, encoding="utf-8")
    (tmp_path / "b.yaml").write_text(WEB.replace("shadow  #", "&host shadow  #"), encoding="utf-8")
    main(["check", "--fix", str(tmp_path)])
    for name, kept in (("a.yaml", "host: shadow  # a short name"), ("b.yaml", "host: &host shadow  # a short name")):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert kept in text
        assert "mirror_percent" not in text


def test_clusters_that_share_a_file_or_a_name_are_mended_at_once(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(WEB, encoding="utf-8")
    given = [f"{index}={tmp_path}/{name}" for index, name in enumerate(("a.yaml", "b.yaml", "a.yaml"))]
    main(["check", "--fix", *(word for each in given for word in ("--cluster", each))])
    assert [(tmp_path / name).read_text(encoding="utf-8") for name in ("a.yaml", "b.yaml")] == [MENDED, MENDED]


def test_a_diff_of_files_without_a_last_line_end_can_be_applied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = WEB.replace("---\n", "", 1).replace("  timeout: 1s\n", "  timeout: 1s\n---\n")
    first, rest = text.split("---\n", 1)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(rest + "---\n" + first.replace("web", name[0]).rstrip("\n"), encoding="utf-8")
    main(["check", "--diff", "--cluster", f"a={tmp_path}/a.yaml", "--cluster", f"b={tmp_path}/b.yaml"])
    shown = capsys.readouterr().out
    assert shown.count("\n--- a/") == 1
    assert "timeout: 1s\n\\ No newline at end of file\n--- a/" in shown


def test_json_with_characters_beyond_16_bits_is_mended(tmp_path: Path) -> None:
    documents = {"apiVersion": "v1", "kind": "List", "items": list(yaml.safe_load_all(WEB))}
    documents["items"][0]["metadata"]["annotations"] = {"owner": "\U0001f680"}
    text = json.dumps(documents, indent=1)
    assert "\\ud83d" in text
    result = json.loads(mended(tmp_path, text, "a.json"))
    assert result["items"][0]["spec"] == next(yaml.safe_load_all(MENDED))["spec"]


def test_only_what_can_be_mended_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for host, times in (("host: shadow  #", 3), ("host: &host shadow  #", 2)):
        (tmp_path / "a.yaml").write_text(WEB.replace("host: shadow  #", host), encoding="utf-8")
        main(["check", str(tmp_path)])
        assert capsys.readouterr().out.count("--fix mends it") == times


def test_a_diff_is_that_of_the_whole_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, before = tmp_path / "a.yaml", many(3)
    path.write_text(before, encoding="utf-8")
    main(["check", "--diff", str(path)])
    shown = capsys.readouterr().out
    main(["check", "--fix", str(path)])
    after = path.read_text(encoding="utf-8")
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}")
    assert after == many(3, MENDED)
    assert shown == "".join(lines)
    assert shown.count("@@\n") > 1


def test_a_diff_takes_as_long_as_its_size_explains() -> None:
    """To look for what changed among thousands of lines that are alike took a minute for a thousand routes."""

    def seconds(number: int) -> float:
        line = len(WEB) + len("---\n")
        places = (each * line + WEB.index("      mirror_percent") for each in range(number))
        replaced = [Replacement(start=place, end=place, text="      # new\n") for place in places]
        before = "---\n".join([WEB] * number)
        after = before.replace("      mirror_percent", "      # new\n      mirror_percent")
        begun = time.process_time()
        shown = Mended(file="a", before=before, after=after, replaced=replaced, findings=frozenset()).diff
        assert shown.count("+      # new\n") == number
        return time.process_time() - begun

    seconds(10)
    assert seconds(2_000) < 3


def test_a_mend_is_data_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(WEB, encoding="utf-8")
    main(["check", "--json", str(path)])
    found = {each["rule"]: each.get("mend") for each in json.loads(capsys.readouterr().out)["findings"]}
    assert found["mirror-deprecated-percent"] == [
        {"path": "spec.http[0].mirrorPercentage", "value": {"value": 5.0}},
        {"path": "spec.http[0].mirror_percent"},
    ]
    assert found["mirror-no-brakes"] is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mirror_percentage: {value: 5}", "mirrorPercentage: {value: 5}"),
        ("mirrorPercantage: {value: 5}", "mirrorPercentage: {value: 5}"),
        ("timeout: 2s", "mirrorPercentage: {value: 100}\n      timeout: 2s"),
    ],
)
def test_a_share_is_written_where_it_counts(tmp_path: Path, before: str, after: str) -> None:
    whole = MENDED.replace("mirrorPercentage: {value: 5}\n      route", "route")
    [result] = yaml.safe_load_all(mended(tmp_path, whole.replace("timeout: 1s", before)).partition("---")[0])
    [expected] = yaml.safe_load_all(whole.replace("timeout: 1s", after).partition("---")[0])
    assert result == expected


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x\n",  # two places would change
        "c: &x {b: 1}\nd: *x\n",
        "c: |\n  text\n",
        "- 1\n",
        "c: {}\n",
        "c: 1\n",
    ],
)
def test_what_does_not_fit_the_text_is_left_alone(text: str) -> None:
    edit = Edit(path="c.b", value="2") if "c: |" not in text else Edit(path="c", value="2")
    assert replacements(text, yaml.compose(text), [edit]) == []


VALUES = st.recursive(
    st.integers(0, 99) | st.sampled_from(["yes", "plain", "a: b", "", "2s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abcd"), VALUES, min_size=2), st.booleans(), st.sampled_from("abcde"), VALUES)
def test_the_text_after_an_edit_says_what_the_edit_says(whole: Any, flow: bool, key: str, value: Any) -> None:
    text = yaml.safe_dump({"top": [whole]}, default_flow_style=flow)
    for written in (json.dumps(value), REMOVED):
        found = replacements(text, yaml.compose(text), [Edit(path=f"top[0].{key}", value=written)])
        after = text
        for each in found:
            after = after[: each.start] + each.text + after[each.end :]
        expected = {name: each for name, each in whole.items() if name != key}
        if written != REMOVED:
            expected[key] = value
        if found:
            assert yaml.safe_load(after) == {"top": [expected]}
        elif written == REMOVED:
            assert key not in whole
        else:
            assert isinstance(whole.get(key), list | dict)
            assert not flow


def test_a_file_that_may_not_be_written_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(WEB, encoding="utf-8")

    def refuse(*words: Any, **more: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert main(["check", "--fix", str(path)]) == 2
    assert "a.yaml cannot be written: Permission denied" in capsys.readouterr().err


def test_forms_of_the_result_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "--diff", str(tmp_path)]) == 2
    assert "--json" in capsys.readouterr().err


def test_sarif_has_each_mend_as_changes_of_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Applied from the last to the first they make what --fix writes."""
    path = tmp_path / "a.yaml"
    path.write_text(WEB, encoding="utf-8")
    main(["check", "--sarif", str(path)])
    results = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    found = [fix for result in results for fix in result.get("fixes", [])]
    assert len(found) == sum("mend" in result["properties"] for result in results) == 3
    lines = WEB.splitlines(keepends=True)
    changes = [(change, fix) for fix in found for change in fix["artifactChanges"]]
    assert all(change["artifactLocation"]["uri"] == str(path) and fix["description"]["text"] for change, fix in changes)
    text = WEB
    replaced = [each for change, _ in changes for each in change["replacements"]]

    def index(region: dict[str, int], end: str) -> int:
        return sum(map(len, lines[: region[f"{end}Line"] - 1])) + region[f"{end}Column"] - 1

    for each in sorted(replaced, key=lambda each: index(each["deletedRegion"], "start"), reverse=True):
        region = each["deletedRegion"]
        text = text[: index(region, "start")] + each["insertedContent"]["text"] + text[index(region, "end") :]
    assert text == MENDED

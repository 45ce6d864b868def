"""Images are what `ctr` reads, and equal content makes equal bytes."""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.rehearsal.images import build, layers
from pulumi_traffic_mirror.rehearsal.images.build import GREETER_SOURCE
from pulumi_traffic_mirror.rehearsal.images.layers import Files, groups_file, python_version_in, users_file
from pulumi_traffic_mirror.rehearsal.images.oci import ImageConfig, read_layer, write_image
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress


def members(archive: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(archive) as layer:
        return {member.name: member for member in layer}


def content(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as layer:
        stream = layer.extractfile(name)
        assert stream is not None
        return stream.read()


def sample_layer(archive: Path, text: bytes = b"x") -> Path:
    layer = Files()
    layer.add_file("usr/bin/program", text, mode=0o755)
    layer.add_link("usr/bin/alias", "program")
    layer.add_folder("tmp", mode=0o1777)
    layer.write(archive)
    return archive


def test_debian_packages_are_fetched_through_the_machines_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments: list[dict[str, str]] = []
    monkeypatch.setattr(layers, "run_logged", lambda *_, env, **__: environments.append(env))
    monkeypatch.setattr(layers, "codename", lambda: "bookworm")
    monkeypatch.setattr(layers, "mirror", lambda _: "http://archive.example/debian")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("SECRET", "stays here")
    layers.write_debian_layer(tmp_path / "layer.tar", ["python3"], log=tmp_path / "log")
    (environment,) = environments
    assert environment["http_proxy"] == "http://proxy.example:3128"
    assert "SECRET" not in environment
    assert environment["SOURCE_DATE_EPOCH"] == "0"


def test_a_layer_has_the_folders_above_its_files_and_belongs_to_root(tmp_path: Path) -> None:
    found = members(sample_layer(tmp_path / "layer.tar"))
    assert list(found) == ["tmp", "usr", "usr/bin", "usr/bin/alias", "usr/bin/program"]
    assert found["usr/bin"].isdir()
    assert found["usr/bin/alias"].linkname == "program"
    assert found["usr/bin/program"].mode == 0o755
    assert found["tmp"].mode == 0o1777
    assert {(member.uid, member.gid, member.mtime) for member in found.values()} == {(0, 0, 0)}


def test_equal_content_makes_equal_layers(tmp_path: Path) -> None:
    one = read_layer(sample_layer(tmp_path / "one.tar"))
    two = read_layer(sample_layer(tmp_path / "two.tar"))
    three = read_layer(sample_layer(tmp_path / "three.tar", b"y"))
    assert one.digest == two.digest != three.digest


def test_a_layer_from_a_folder_keeps_what_is_executable(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "package" / "__pycache__").mkdir(parents=True)
    (source / "package" / "__pycache__" / "x.pyc").touch()
    (source / "package" / "module.py").write_text("x = 1")
    (source / "run").write_text("#!")
    (source / "run").chmod(0o700)
    layer = Files()
    layer.add_tree("app", source)
    layer.write(tmp_path / "layer.tar")
    found = members(tmp_path / "layer.tar")
    assert set(found) == {"app", "app/package", "app/package/module.py", "app/run"}
    assert found["app/run"].mode == 0o755
    assert found["app/package/module.py"].mode == 0o644


def test_an_image_archive_names_its_parts_by_their_digests(tmp_path: Path) -> None:
    layer = read_layer(sample_layer(tmp_path / "layer.tar"))
    config = ImageConfig(entry=("/usr/bin/program",), user="65532:65532", environment={"B": "2", "A": "1"})
    archive = tmp_path / "image.tar"
    write_image(archive, "stage.local/sample:1", config, [layer])
    index: dict[str, Any] = json.loads(content(archive, "index.json"))
    manifest_entry = index["manifests"][0]
    assert manifest_entry["annotations"]["io.containerd.image.name"] == "stage.local/sample:1"
    manifest = json.loads(blob(archive, manifest_entry))
    image = json.loads(blob(archive, manifest["config"]))
    blob(archive, manifest["layers"][0])
    assert image["config"]["Entrypoint"] == ["/usr/bin/program"]
    assert image["config"]["User"] == "65532:65532"
    assert image["config"]["Env"][1:] == ["A=1", "B=2"]
    assert image["rootfs"]["diff_ids"] == [f"sha256:{layer.digest}"]


def blob(archive: Path, descriptor: dict[str, Any]) -> bytes:
    digest = descriptor["digest"].removeprefix("sha256:")
    found = content(archive, f"blobs/sha256/{digest}")
    assert hashlib.sha256(found).hexdigest() == digest
    assert len(found) == descriptor["size"]
    return found


def test_users_and_groups_are_complete_lines() -> None:
    assert users_file(["x:x:1:1::/:/bin/sh"]).decode().splitlines()[1] == "x:x:1:1::/:/bin/sh"
    assert groups_file({"x": 1}) == b"root:x:0:\nx:x:1:\n"


def test_the_python_of_a_layer_is_found(tmp_path: Path) -> None:
    layer = Files()
    layer.add_file("usr/lib/python3.9/x.py", b"")
    layer.add_file("usr/bin/python3.13", b"", mode=0o755)
    layer.write(tmp_path / "layer.tar")
    assert python_version_in(tmp_path / "layer.tar") == "3.13"
    with pytest.raises(ValueError, match="no Python"):
        python_version_in(sample_layer(tmp_path / "other.tar"))


@pytest.fixture
def without_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    def debian(archive: Path, packages: object, *, log: Path) -> None:
        layer = Files()
        layer.add_file("usr/bin/python3.11", b"", mode=0o755)
        layer.write(archive)

    def wheels(requirements: Path, target: Path, **_: object) -> None:
        (target / "grpc.py").write_text(requirements.read_text())

    monkeypatch.setattr(build, "write_debian_layer", debian)
    monkeypatch.setattr(build, "install_wheels", wheels)
    monkeypatch.setattr(build, "debian_recipe", list)


def make_app(cache: Path, source: Path) -> build.Image:
    return build.python_app_image(
        "stage.local/app", tag=None, source=source, entry="/app/app.py", cache=cache, progress=SilentProgress()
    )


@pytest.mark.usefixtures("without_registries")
def test_the_tag_of_an_application_follows_its_source(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "requirements.txt").write_text("grpcio==1\n")
    (source / "app.py").write_text("print(1)")
    first = make_app(tmp_path / "cache", source)
    assert make_app(tmp_path / "cache", source) == first
    assert first.reference.startswith("stage.local/app:")
    (source / "app.py").write_text("print(2)")
    assert make_app(tmp_path / "cache", source).reference != first.reference
    (source / "app.py").write_text("print(1)")
    (source / "requirements.txt").write_text("grpcio==2\n")
    assert make_app(tmp_path / "cache", source).reference != first.reference


@pytest.mark.usefixtures("without_registries")
def test_the_greeter_runs_without_rights_and_without_build_files(tmp_path: Path) -> None:
    image = make_app(tmp_path / "cache", GREETER_SOURCE)
    index = json.loads(content(image.archive, "index.json"))
    manifest = json.loads(blob(image.archive, index["manifests"][0]))
    config = json.loads(blob(image.archive, manifest["config"]))["config"]
    assert config["User"] == "65532:65532"
    assert "PYTHONPATH=/app" in config["Env"]
    top = manifest["layers"][-1]["digest"].removeprefix("sha256:")
    (tmp_path / "top.tar").write_bytes(content(image.archive, f"blobs/sha256/{top}"))
    names = set(members(tmp_path / "top.tar"))
    assert "app/greeter.py" in names
    assert not names & {"app/Dockerfile", "app/requirements.txt"}

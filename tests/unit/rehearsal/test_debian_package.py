"""A Debian package is unpacked without being installed, also where apt's lists are not there yet."""

from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.machine.debian import unpack_package

APT = """#!/bin/sh
echo "$*" >> {folder}/calls
case "$*" in
*update*) {update} ;;
*download*)
  [ -e {folder}/lists ] || {{ echo "E: Unable to locate package etcd-server"; exit 100; }}
  touch "$PWD/etcd.deb" ;;
esac
"""
UNPACK = '#!/bin/sh\nmkdir -p "$3/usr/bin"; touch "$3/usr/bin/etcd"\n'


def fake_apt(folder: Path, monkeypatch: pytest.MonkeyPatch, update: str) -> None:
    programs = {"apt-get": APT.format(folder=folder, update=update), "dpkg-deb": UNPACK}
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def calls(folder: Path) -> list[str]:
    return [line.split()[2] for line in (folder / "calls").read_text().splitlines()]


def test_lists_that_are_not_there_are_fetched_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_apt(tmp_path, monkeypatch, f"touch {tmp_path}/lists")
    unpack_package("etcd-server", tmp_path / "out", log=tmp_path / "log")
    assert calls(tmp_path) == ["download", "update", "download"]
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["etcd"]


def test_a_package_that_the_archive_does_not_have_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_apt(tmp_path, monkeypatch, ":")
    with pytest.raises(StageError, match="etcd-server") as caught:
        unpack_package("etcd-server", tmp_path / "out", log=tmp_path / "log")
    assert "Unable to locate package" in str(caught.value)

"""The documentation as a site: every link and every name in it must be there."""

import subprocess
from pathlib import Path

import pytest

import pulumi_traffic_mirror
from pulumi_traffic_mirror.cli import reference
from pulumi_traffic_mirror.cli.app import COMMANDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def mirror_entry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(["make", "docs", f"SITE={folder}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_component_and_value_is_described(mirror_entry: Path) -> None:
    page = (mirror_entry / "components" / "index.html").read_text(encoding="utf-8")
    missing = [
        name
        for name in dir(pulumi_traffic_mirror)
        if isinstance(found := getattr(pulumi_traffic_mirror, name), type)
        and f'id="{found.__module__}.{name}"' not in page
    ]
    assert missing == []


def test_every_command_is_described(mirror_entry: Path) -> None:
    page = (mirror_entry / "commands" / "index.html").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f'id="traffic-mirror-{name}' not in page] == []


def test_no_page_asks_another_host_for_anything(mirror_entry: Path) -> None:
    pages = [page.read_text(encoding="utf-8") for page in mirror_entry.rglob("*.html")]
    assert pages
    assert not any('src="http' in page or 'rel="stylesheet" href="http' in page for page in pages)


def test_an_option_without_a_description_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        opts = ("--mute",)
        secondary_opts = ()
        param_type_name = "option"
        help = ""

    class Command:
        help = "Does something."
        epilog = ""
        params = (Bare(),)

    class Group:
        commands = {"act": Command()}  # noqa: RUF012

    monkeypatch.setattr(reference.typer.main, "get_command", lambda _: Group())
    with pytest.raises(ValueError, match="traffic-mirror act --mute has no description"):
        reference.reference()

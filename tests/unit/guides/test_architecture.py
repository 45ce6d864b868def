"""The architecture page names what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:components|policies|tests)/[^`]*|__main__\.py)`", TEXT)))


@pytest.mark.parametrize("path", NAMED)
def test_every_place_that_it_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_part_of_the_package_is_in_it() -> None:
    parts = {path.name for path in (ROOT / "components").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert parts == {part for part in parts if f"{part}/" in TEXT}

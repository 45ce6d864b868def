"""What the comparison with istiod leaves out is what its README says."""

import re
from pathlib import Path

from tests.differential import comparing

COMPARISON = Path(comparing.__file__).parent
ROOT = Path(__file__).parents[3]
README = (ROOT / "tests" / "data" / "oracle" / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guides" / "lint-manifests.md").read_text(encoding="utf-8")


def test_what_is_not_compared_is_listed() -> None:
    files = (each.read_text(encoding="utf-8") for each in COMPARISON.glob("*.py"))
    marked = {mark for text in files for mark in re.findall(r"# beyond: (\w+)", text)}
    assert re.findall(r"^- `(\w+)` ", README, re.MULTILINE) == sorted(marked)


def test_users_read_of_all_that_is_not_compared() -> None:
    said = re.findall(r"^- `\w+` \(\*([^*]+)\*\): ", README, re.MULTILINE)
    assert said
    assert re.findall(r"^- \*\*([^*]+)\*\*: ", GUIDE, re.MULTILINE) == said

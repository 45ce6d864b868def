"""What the comparison with istiod leaves out is what its README says."""

import re
from pathlib import Path

from tests.differential import comparing

README = Path(__file__).parents[2] / "data" / "oracle" / "README.md"


def test_what_is_not_compared_is_listed() -> None:
    marked = set(re.findall(r"# beyond: (\w+)", Path(comparing.__file__).read_text(encoding="utf-8")))
    listed = re.findall(r"^- `(\w+)`: ", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == sorted(marked)

"""``python -m tests.formats [NAME…]``: make the files of other tools in tests/data/formats anew."""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.formats.making import MAKERS

INTO = Path(__file__).parents[1] / "data/formats"

for name in sys.argv[1:] or MAKERS:
    make = MAKERS[name]
    print(name)
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / name
        made.mkdir()
        make(made)
        shutil.rmtree(INTO / name, ignore_errors=True)
        shutil.copytree(made, INTO / name)

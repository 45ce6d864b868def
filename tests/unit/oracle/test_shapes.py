"""The facts that rules read of definitions are those of the definitions that istiod comes with."""

import json
from pathlib import Path

from pulumi_traffic_mirror.model.rules import shapes
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles
from tests.differential.shapes import read


def test_what_rules_know_of_fields_is_what_their_definitions_say(oracle_files: OracleFiles) -> None:
    known = json.loads(Path(shapes.__file__).with_suffix(".json").read_text(encoding="utf-8"))
    assert known == read(oracle_files), "write it anew: python -m tests.differential.shapes"

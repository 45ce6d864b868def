"""The guide's recipe makes of a capture of packets what GoReplay would have captured."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pulumi_traffic_mirror.operations.recording import RecordingStore
from pulumi_traffic_mirror.operations.recording.formats import import_files
from tests.formats import tools
from tests.formats.test_tools_write import exchanges
from tests.formats.traffic import BINARY, LARGE

pytestmark = [pytest.mark.other_tools, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]


def test_tshark_s_messages_are_imported(tmp_path: Path) -> None:
    guide = (ROOT / "docs/guides/import-recordings.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^(tshark -r .*?> capture\.gor)$", guide, re.MULTILINE | re.DOTALL)
    tools.tshark()
    shutil.copy(ROOT / "tests/data/formats/pcap/capture.pcap", tmp_path)
    subprocess.run(["bash", "-euo", "pipefail", "-c", recipe], cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    result = import_files([tmp_path / "capture.gor"], RecordingStore.open(str(tmp_path / "to")))
    found = {one.path.partition("?")[0]: one for one in exchanges(tmp_path / "to")}
    assert (result.exchanges, result.cut) == (7, 0)
    assert (found["/binary"].request.body, found["/binary"].response.body) == (BINARY, BINARY[::-1])
    assert found["/large"].request.body == LARGE
    assert found["/chunked"].response.trailers == (("x-sum", "42"),)
    # The one with GoReplay's separator in its body.
    assert sum(result.refused.values()) == 3

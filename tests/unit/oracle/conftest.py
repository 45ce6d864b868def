"""istiod in memory, one for all tests of a file."""

from collections.abc import Iterator

import pytest

from pulumi_traffic_mirror.operations.oracle import Oracle
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles
from tests.support.oracle import start_oracle


@pytest.fixture(scope="module")
def oracle(oracle_files: OracleFiles) -> Iterator[Oracle]:
    with start_oracle(oracle_files) as started:
        yield started

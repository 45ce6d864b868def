"""A real API server for the tests of the engine; no nodes, no root."""

from collections.abc import Iterator

import pytest

from pulumi_traffic_mirror.rehearsal.toolchain import Toolchain
from tests.support import apiserver as servers
from tests.support.apiserver import ApiServer


@pytest.fixture(scope="session")
def apiserver(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server with its controllers and a stand-in kubelet."""
    with servers.running(tmp_path_factory.mktemp("apiserver"), toolchain) as server:
        yield server


@pytest.fixture
def namespace(apiserver: ApiServer, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "").lower()[:50].strip("-")
    apiserver.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name

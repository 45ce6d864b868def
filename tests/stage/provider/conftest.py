"""A real API server for the tests of the provider and of the engine; no nodes, no root."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.rehearsal.places import cache_directory
from components.rehearsal.progress import PlainProgress
from components.rehearsal.toolchain import Toolchain, ensure_toolchain
from tests.support import apiserver as servers
from tests.support import provider_process
from tests.support.apiserver import ApiServer
from tests.support.provider_process import ProviderProcess


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The built programs; made on first use."""
    return ensure_toolchain(cache_directory(), PlainProgress())


@pytest.fixture(scope="session")
def apiserver(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server with its controllers and a stand-in kubelet."""
    with servers.running(tmp_path_factory.mktemp("apiserver"), toolchain) as server:
        yield server


@pytest.fixture
def namespace(apiserver: ApiServer, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "").lower()[:50].strip("-")
    apiserver.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


@pytest.fixture(scope="session")
def environment(toolchain: Toolchain) -> dict[str, str]:
    """The environment of a provider, without any proxy of the machine."""
    kept = {key: item for key, item in os.environ.items() if not key.lower().endswith("_proxy")}
    root = str(Path(__file__).resolve().parents[3])
    return {**kept, "PYTHONPATH": root, "TRAFFIC_MIRROR_HELM": str(toolchain.program("helm"))}


@pytest.fixture(scope="module")
def provider(
    apiserver: ApiServer, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProviderProcess]:
    """A provider for the API server, configured as the library does; shared by the tests of a file."""
    with provider_process.running(tmp_path_factory.mktemp("provider"), environment) as process:
        provider_process.configure(process, apiserver)
        yield process


@pytest.fixture
def own_provider(apiserver: ApiServer, environment: dict[str, str], tmp_path: Path) -> Iterator[ProviderProcess]:
    """A provider of the test's own, which it may end."""
    with provider_process.running(tmp_path, environment) as process:
        provider_process.configure(process, apiserver)
        yield process

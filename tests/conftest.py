"""What holds for every test: no network, no credentials, no state of the test before it."""

import asyncio
import inspect
import ipaddress
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from hypothesis import settings
from pulumi.runtime.settings import reset_options
from xdist.scheduler import LoadScopeScheduling

from pulumi_traffic_mirror.rehearsal.places import cache_directory
from pulumi_traffic_mirror.rehearsal.progress import PlainProgress
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles, Toolchain, ensure_oracle, ensure_toolchain
from tests.support.limits import SharedFixtureLimits
from tests.support.prometheus import prometheus_programs

# A shared machine makes single examples slow, never wrong, so no deadline.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("quick", deadline=None, max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default"))

SDK_WARNINGS = ("ignore:gcp.compute.(MangedSslCertificate|RouterStatus) has been deprecated:DeprecationWarning",)
"""Warnings that a provider's SDK gives when it is imported, whatever is used of it."""

FOREIGN_SETTINGS = ("GOOGLE_", "GCLOUD_", "GCP_", "CLOUDSDK_", "KUBE", "HELM_", "PULUMI_", "XDG_", "AWS_")
"""Prefixes of variables through which a developer's own clouds and clusters would reach into a test."""


LOOPBACK_ONLY = "tests/stage/acceptance/test_instruments.py"
"""Tests of what measures on the stage; they need none."""

NEEDS_ENVOY = "tests/unit/recording/test_with_envoy.py"
"""Tests with an Envoy on the loopback: after the stage, which builds it."""


class StageScheduling(LoadScopeScheduling):
    """Hands tests out one by one, but all of the stage to one process: a machine holds one stage."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/stage/provider/"):
            return "provider"  # has an API server of its own and may run beside the stage
        needs_stage = nodeid.startswith(("tests/stage/", NEEDS_ENVOY)) and not nodeid.startswith(LOOPBACK_ONLY)
        return "stage" if needs_stage else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> StageScheduling | None:
    return StageScheduling(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that starts something in the background has it ignore Ctrl-C, and so would every child of a test.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(SharedFixtureLimits())
    for line in SDK_WARNINGS:
        config.addinivalue_line("filterwarnings", line)


def _on_stage(request: pytest.FixtureRequest) -> bool:
    return request.node.get_closest_marker("stage") is not None


@pytest.fixture(autouse=True)
def _hermetic_environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # str() of an Output is a bug in the program; this makes it an exception instead of a text in some name.
    monkeypatch.setenv("PULUMI_ERROR_OUTPUT_STRING", "1")
    if _on_stage(request):
        return
    for variable in [name for name in os.environ if name.startswith(FOREIGN_SETTINGS)]:
        if variable != "PULUMI_ERROR_OUTPUT_STRING":
            monkeypatch.delenv(variable)
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture(autouse=True)
def _own_event_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the test its own loop and forget Pulumi's settings afterwards; both are global to the process."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        yield
        reset_options()
        return
    loop = asyncio.new_event_loop()
    # asyncio.all_tasks() would go through the tasks of every test before this one.
    started: WeakSet[asyncio.Task[Any]] = WeakSet()

    def start(of: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=of, **options)
        started.add(task)
        return task

    loop.set_task_factory(start)
    asyncio.set_event_loop(loop)
    yield
    reset_options()
    for task in [task for task in started if not task.done()]:
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    asyncio.set_event_loop(None)


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0])
    try:
        return ipaddress.ip_address(host.split("%", maxsplit=1)[0]).is_loopback
    except ValueError:
        return host in ("", "localhost")


@pytest.fixture(autouse=True)
def _loopback_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if _on_stage(request):
        return

    def guarded(call: str) -> None:
        real = getattr(socket.socket, call)

        def connect(self: socket.socket, address: Any) -> Any:
            if not _is_local(address):
                raise AssertionError(f"a test connects to {address!r}; only loopback is allowed")
            return real(self, address)

        monkeypatch.setattr(socket.socket, call, connect)

    guarded("connect")
    guarded("connect_ex")

    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and not _is_local((host,)):
            raise AssertionError(f"a test resolves {host!r}; only loopback is allowed")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The built programs; made on first use."""
    return ensure_toolchain(cache_directory(), PlainProgress())


@pytest.fixture(scope="session")
def oracle_files() -> OracleFiles:
    """istiod in memory; built on first use."""
    return ensure_oracle(cache_directory(), PlainProgress())


@pytest.fixture(scope="session")
def prometheus_folder() -> Path:
    """The folder with ``prometheus`` and ``promtool``; fetched on first use."""
    return prometheus_programs()


@pytest.fixture
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent

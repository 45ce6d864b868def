"""The stand-in provider as the engine runs it: its own process, spoken to over gRPC."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2 as rpc
from pulumi.runtime.proto import provider_pb2_grpc, status_pb2

from components.rehearsal.standin_provider.values import decode, encode
from tests.support.apiserver import ApiServer

PACKAGE = "components.rehearsal.standin_provider"


class ProviderFailedError(Exception):
    """The provider refused; `partial` says what it recorded all the same."""

    def __init__(self, message: str, partial: rpc.ErrorResourceInitFailed | None) -> None:
        super().__init__(message)
        self.partial = partial


class ProviderProcess:
    """A running provider."""

    def __init__(self, process: subprocess.Popen[str], stub: Any, log: Path) -> None:
        self.process = psutil.Process(process.pid)
        self.stub = stub
        self.log = log

    def call(self, method: str, request: Any, timeout: float = 60) -> Any:
        """Call a method; failures become `ProviderFailedError`."""
        try:
            return getattr(self.stub, method)(request, timeout=timeout)
        except grpc.RpcError as error:
            raise ProviderFailedError(error.details() or "", _partial(error)) from None

    def configure(self, **options: str) -> None:
        """Check and configure the provider."""
        urn = "urn:pulumi:dev::tiny::pulumi:providers:kubernetes::p"
        self.call("CheckConfig", rpc.CheckRequest(urn=urn, news=encode(options)))
        variables = {f"kubernetes:config:{key}": item for key, item in options.items()}
        self.call("Configure", rpc.ConfigureRequest(variables=variables, acceptSecrets=True))

    def cancel(self) -> None:
        """Tell the provider to stop what it does."""
        self.call("Cancel", empty_pb2.Empty())

    def resource(self, token: str, name: str = "r") -> "Resource":
        """A resource of the program."""
        return Resource(self, token, name)


class Resource:
    """One resource, taken through its life as the engine would."""

    def __init__(self, provider: ProviderProcess, token: str, name: str) -> None:
        self.provider = provider
        self.token = token
        self.urn = f"urn:pulumi:dev::tiny::{token}::{name}"
        self.id = ""
        self.inputs: dict[str, Any] = {}
        self.state: dict[str, Any] = {}

    @property
    def _common(self) -> dict[str, Any]:
        return {"urn": self.urn, "type": self.token}

    def check(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Checked inputs; a failure is raised."""
        request = rpc.CheckRequest(**self._common, olds=encode(self.inputs), news=encode(inputs), randomSeed=b"seed")
        answer = self.provider.call("Check", request)
        if answer.failures:
            raise ProviderFailedError("; ".join(f"{item.property}: {item.reason}" for item in answer.failures), None)
        return decode(answer.inputs)

    def preview(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What a create would give."""
        request = rpc.CreateRequest(**self._common, properties=encode(self.check(inputs)), preview=True)
        return decode(self.provider.call("Create", request).properties)

    def create(self, inputs: Mapping[str, Any], timeout: float = 0) -> dict[str, Any]:
        """Create, and remember what the engine would record, also of a partial failure."""
        checked = self.check(inputs)
        request = rpc.CreateRequest(**self._common, properties=encode(checked), timeout=timeout)
        try:
            answer = self.provider.call("Create", request, timeout=120)
        except ProviderFailedError as failed:
            if failed.partial is not None:
                self.id, self.inputs, self.state = failed.partial.id, checked, decode(failed.partial.properties)
            raise
        self.id, self.inputs, self.state = answer.id, checked, decode(answer.properties)
        return self.state

    def diff(self, inputs: Mapping[str, Any], ignored: tuple[str, ...] = ()) -> rpc.DiffResponse:
        """What an update would change."""
        news = encode(self.check(inputs))
        olds, old_inputs = encode(self.state), encode(self.inputs)
        request = rpc.DiffRequest(
            **self._common, id=self.id, olds=olds, news=news, old_inputs=old_inputs, ignoreChanges=ignored
        )
        return self.provider.call("Diff", request)

    def update(self, inputs: Mapping[str, Any], timeout: float = 0, *, preview: bool = False) -> dict[str, Any]:
        """Update, and remember the result unless it is a preview."""
        checked = self.check(inputs)
        request = rpc.UpdateRequest(
            **self._common,
            id=self.id,
            olds=encode(self.state),
            news=encode(checked),
            timeout=timeout,
            preview=preview,
        )
        state = decode(self.provider.call("Update", request, timeout=120).properties)
        if not preview:
            self.inputs, self.state = checked, state
        return state

    def read(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Id, state and inputs of a refresh."""
        request = rpc.ReadRequest(**self._common, id=self.id, properties=encode(self.state), inputs=encode(self.inputs))
        answer = self.provider.call("Read", request)
        return answer.id, decode(answer.properties), decode(answer.inputs)

    def refresh(self) -> None:
        """Record what a refresh finds."""
        self.id, self.state, self.inputs = self.read()

    def delete(self, timeout: float = 0) -> None:
        """Delete."""
        request = rpc.DeleteRequest(**self._common, id=self.id, properties=encode(self.state), timeout=timeout)
        self.provider.call("Delete", request, timeout=120)


@contextmanager
def running(folder: Path, environment: Mapping[str, str], package: str = PACKAGE) -> Iterator[ProviderProcess]:
    """Start the provider; it must be gone when its process is told to end."""
    log = folder / "provider.log"
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", package],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=dict(environment),
        )
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    assert port.isdecimal(), log.read_text(encoding="utf-8")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield ProviderProcess(process, provider_pb2_grpc.ResourceProviderStub(channel), log)
    process.terminate()
    try:
        process.wait(timeout=10)
    finally:
        process.kill()
        process.stdout.close()


def configure(process: ProviderProcess, apiserver: ApiServer) -> None:
    """Configure a provider as the library does."""
    process.configure(kubeconfig=apiserver.content, enableConfigMapMutable="true", enableSecretMutable="true")


def _partial(error: grpc.RpcError) -> rpc.ErrorResourceInitFailed | None:
    trailing: Any = error.trailing_metadata()
    for key, value in trailing or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            return rpc.ErrorResourceInitFailed.FromString(status.details[0].value)
    return None

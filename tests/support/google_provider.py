"""A small stand-in of Google's Pulumi provider, for the real engine. It has no cloud.

What an update replaces, it takes from ``tests/data/gke/provider_facts.json``; what exists, from the engine's state. So
the engine, its previews and ``protect`` are the real ones, and the provider's own code is not shown by it.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from pulumi_traffic_mirror.testing import resource_outputs
from tests.support.provider_facts import CLUSTER, differences
from tests.support.wire import decode, encode, merge, reveal

PLUGIN: Final = "pulumi-resource-gcp"
FATE: Final = "GOOGLE_STANDIN_FATE"
"""Variable with a file of JSON: ``fails`` (names whose creation ends with an error) and ``gone`` (names that a refresh
does not find any more)."""
UNNAMED: Final = ("gcp:projects/iAMMember:IAMMember", "gcp:serviceaccount/account:Account")
DEFAULT_POOL: Final = {"nodePools": [{"name": "default-pool"}]}


def install(home: Path) -> None:
    """Put the stand-in where an engine with this home looks for Google's provider."""
    folder = home / "plugins" / f"resource-gcp-v{version('pulumi-gcp')}"
    folder.mkdir(parents=True)
    program = folder / PLUGIN
    root = Path(__file__).parents[2]
    program.write_text(f"#!/bin/sh\ncd {root} && exec {sys.executable} -m {__name__}\n", encoding="utf-8")
    program.chmod(0o700)


class GoogleProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine; the methods have its names."""

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=version("pulumi-gcp"))

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        news, name = decode(request.news), _name(request.urn)
        if _type(request.urn) not in UNNAMED:
            news.setdefault("name", decode(request.olds).get("name", f"{name}-{request.randomSeed.hex()[:7]}"))
        return provider_pb2.CheckResponse(inputs=encode(news))

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        found = differences(_type(request.urn), decode(request.old_inputs), decode(request.news))
        kinds = provider_pb2.PropertyDiff
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=sorted({path.split(".")[0] for path, forces in found.items() if forces}),
            diffs=sorted({path.split(".")[0] for path in found}),
            hasDetailedDiff=True,
            detailedDiff={
                path: kinds(kind=kinds.UPDATE_REPLACE if forces else kinds.UPDATE, inputDiff=True)
                for path, forces in found.items()
            },
        )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        name, inputs = _name(request.urn), decode(request.properties)
        outputs = _outputs(_type(request.urn), name, inputs)
        identity = str(outputs.pop("id", f"{name}-id"))
        if name in _fate("fails"):
            _fail_half_made(context, identity, request.properties)
        return provider_pb2.CreateResponse(id=identity, properties=encode(outputs))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        if _name(request.urn) in _fate("gone"):
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        olds, news = decode(request.olds), decode(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=encode(merge(olds, news)))
        outputs = _outputs(_type(request.urn), _name(request.urn), news)
        unfinished = _type(request.urn) == CLUSTER and "masterVersion" not in olds
        outputs |= DEFAULT_POOL if unfinished else {}
        outputs.pop("id", None)
        return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        if decode(request.properties).get("deletionProtection") is True:
            context.abort(grpc.StatusCode.UNKNOWN, "Cannot destroy cluster because deletion_protection is set to true")
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()


def _type(urn: str) -> str:
    return urn.split("::", 3)[2].rpartition("$")[2]


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]


def _fate(key: str) -> list[str]:
    return json.loads(Path(os.environ[FATE]).read_text(encoding="utf-8")).get(key, [])


def _outputs(resource: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    ours = {"nodePools": [{"name": "b-nodes-0a1b2c3"}]} if resource == CLUSTER else {}
    return merge(merge(inputs, resource_outputs(resource, name, reveal(inputs))), ours)


def _fail_half_made(context: Any, identity: str, properties: Any) -> NoReturn:
    """The resource exists, and its creation ended with an error: the engine keeps what it was told to make."""
    reason = "Error waiting for creating GKE cluster: quota exceeded"
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason)
    status.details.add().Pack(
        provider_pb2.ErrorResourceInitFailed(id=identity, properties=properties, inputs=properties, reasons=[reason])
    )
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, reason)
    raise AssertionError


def main() -> None:
    """Serve until the engine ends this process."""
    server = grpc.server(ThreadPoolExecutor(8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(GoogleProvider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()

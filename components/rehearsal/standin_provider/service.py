"""The gRPC service that the engine calls: decoding, dispatch, encoding; the work is done elsewhere."""

import json
import threading
from collections.abc import Callable
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as rpc

from . import NAME
from .cluster import Cluster
from .differences import ChangeKind
from .errors import ProviderError, RefusedError
from .failures import guarded
from .host import EngineHost
from .manager import Naming, ResourceManager, Task
from .objects import Objects
from .releases import Releases
from .settings import PREFIX, decode_settings, difference, refuse_unknown_options
from .support import RELEASE_TYPE
from .values import decode, encode
from .waiting import Waiter

SERVICE: Final = "pulumirpc.ResourceProvider"
_PROPERTY_DIFFS: Final = {
    (ChangeKind.ADD, False): rpc.PropertyDiff.ADD,
    (ChangeKind.ADD, True): rpc.PropertyDiff.ADD_REPLACE,
    (ChangeKind.DELETE, False): rpc.PropertyDiff.DELETE,
    (ChangeKind.DELETE, True): rpc.PropertyDiff.DELETE_REPLACE,
    (ChangeKind.UPDATE, False): rpc.PropertyDiff.UPDATE,
    (ChangeKind.UPDATE, True): rpc.PropertyDiff.UPDATE_REPLACE,
}


class StandinProvider:
    """The stand-in for pulumi-resource-kubernetes, as one gRPC service."""

    def __init__(self, *, version: str, host: EngineHost | None, stop: threading.Event) -> None:
        """Start unconfigured.

        Args:
            version: Version to answer as.
            host: The engine to send messages to; ``None``: nowhere.
            stop: Ends every wait when set.
        """
        self._version = version
        self._host = host
        self._stop = stop
        self._objects: ResourceManager | None = None
        self._releases: ResourceManager | None = None
        self._failure = "it was not configured"

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service for a gRPC server."""
        methods: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "Attach": (plugin_pb2.PluginAttach, self._attach),
            "Cancel": (empty_pb2.Empty, self._cancel),
            "Call": (rpc.CallRequest, lambda request: self._refuse(f"The method {request.tok}")),
            "Check": (rpc.CheckRequest, self._check),
            "CheckConfig": (rpc.CheckRequest, self._check_config),
            "Configure": (rpc.ConfigureRequest, self._configure),
            "Construct": (rpc.ConstructRequest, lambda request: self._refuse(f"The component {request.type}")),
            "Create": (rpc.CreateRequest, self._create),
            "Delete": (rpc.DeleteRequest, self._delete),
            "Diff": (rpc.DiffRequest, self._diff),
            "DiffConfig": (rpc.DiffRequest, self._diff_config),
            "GetPluginInfo": (empty_pb2.Empty, lambda _: plugin_pb2.PluginInfo(version=self._version)),
            "GetSchema": (rpc.GetSchemaRequest, self._schema),
            "Handshake": (rpc.ProviderHandshakeRequest, self._handshake),
            "Invoke": (rpc.InvokeRequest, lambda request: self._refuse(f"The function {request.tok}")),
            "Parameterize": (rpc.ParameterizeRequest, lambda _: self._refuse("Parameterization")),
            "Read": (rpc.ReadRequest, self._read),
            "Update": (rpc.UpdateRequest, self._update),
        }
        handlers: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(
                guarded(method),
                request_deserializer=message.FromString,
                response_serializer=_serialize,
            )
            for name, (message, method) in methods.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _handshake(self, request: rpc.ProviderHandshakeRequest) -> rpc.ProviderHandshakeResponse:
        del request
        return rpc.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def _attach(self, request: plugin_pb2.PluginAttach) -> empty_pb2.Empty:
        self._host = EngineHost(request.address)
        return empty_pb2.Empty()

    def _cancel(self, request: empty_pb2.Empty) -> empty_pb2.Empty:
        self._stop.set()
        return request

    def _schema(self, request: rpc.GetSchemaRequest) -> rpc.GetSchemaResponse:
        del request
        schema = {"name": "kubernetes", "displayName": NAME, "version": self._version}
        return rpc.GetSchemaResponse(schema=json.dumps(schema))

    @staticmethod
    def _refuse(what: str) -> None:
        raise RefusedError(what, "Use single objects and helm.v3.Release, or the real provider")

    def _check_config(self, request: rpc.CheckRequest) -> rpc.CheckResponse:
        refuse_unknown_options(decode(request.news))
        return rpc.CheckResponse(inputs=request.news)

    def _diff_config(self, request: rpc.DiffRequest) -> rpc.DiffResponse:
        olds = decode(request.old_inputs) or decode(request.olds)
        found = difference(olds, decode(request.news))
        changes = rpc.DiffResponse.DIFF_SOME if found.changed else rpc.DiffResponse.DIFF_NONE
        return rpc.DiffResponse(changes=changes, diffs=found.changed, replaces=found.replaces)

    def _configure(self, request: rpc.ConfigureRequest) -> rpc.ConfigureResponse:
        options = {name.removeprefix(PREFIX): item for name, item in request.variables.items()}
        settings = decode_settings(options or decode(request.args))
        waiter = Waiter(self._stop)
        try:
            cluster = Cluster(settings, warn=self._warn_once())
        except ProviderError as error:
            # A preview may run before the cluster's kubeconfig exists; only what needs the cluster fails.
            self._failure = str(error)
        else:
            self._objects = Objects(cluster, settings, waiter)
            self._releases = Releases(cluster, settings, waiter)
        return rpc.ConfigureResponse(acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True)

    def _warn_once(self) -> Callable[[str], None]:
        seen: set[str] = set()

        def warn(message: str) -> None:
            if self._host and message not in seen:
                seen.add(message)
                self._host.warn("", message)

        return warn

    def _manager(self, token: str) -> ResourceManager:
        found = self._releases if token == RELEASE_TYPE else self._objects
        if found is None:
            raise ProviderError(f"The cluster of this provider cannot be used: {self._failure}")
        return found

    def _task(self, request: Any, *, preview: bool = False) -> Task:  # noqa: ANN401 - one of several messages
        host, urn = self._host, str(request.urn)
        progress: Callable[[str], None] = (lambda message: host.progress(urn, message)) if host else (lambda _: None)
        token = str(request.type) or urn.split("::")[2].rpartition("$")[2]
        timeout = float(getattr(request, "timeout", 0.0))
        return Task(urn=urn, token=token, timeout_seconds=timeout, preview=preview, progress=progress)

    def _check(self, request: rpc.CheckRequest) -> rpc.CheckResponse:
        task = self._task(request)
        naming = Naming(
            seed=request.randomSeed,
            proposed=request.autonaming.proposed_name,
            disabled=request.autonaming.mode == rpc.CheckRequest.AutonamingOptions.DISABLE,
        )
        found = self._manager(task.token).check(task, decode(request.olds), decode(request.news), naming)
        failures = [rpc.CheckFailure(property=name, reason=reason) for name, reason in found.failures]
        return rpc.CheckResponse(inputs=encode(found.inputs), failures=failures)

    def _diff(self, request: rpc.DiffRequest) -> rpc.DiffResponse:
        task = self._task(request)
        ignored = list(request.ignoreChanges)
        found = self._manager(task.token).difference(task, decode(request.olds), decode(request.news), ignored)
        return rpc.DiffResponse(
            changes=rpc.DiffResponse.DIFF_SOME if found.changes else rpc.DiffResponse.DIFF_NONE,
            diffs=sorted({str(change.path[0]) for change in found.changes}),
            replaces=[change.text for change in found.changes if change.replaces],
            deleteBeforeReplace=found.delete_first,
            detailedDiff={
                change.text: rpc.PropertyDiff(kind=_PROPERTY_DIFFS[change.kind, change.replaces], inputDiff=True)
                for change in found.changes
            },
            hasDetailedDiff=True,
        )

    def _create(self, request: rpc.CreateRequest) -> rpc.CreateResponse:
        task = self._task(request, preview=request.preview)
        made = self._manager(task.token).create(task, decode(request.properties))
        return rpc.CreateResponse(id="" if request.preview else made.resource_id, properties=encode(made.state))

    def _update(self, request: rpc.UpdateRequest) -> rpc.UpdateResponse:
        task = self._task(request, preview=request.preview)
        ignored = list(request.ignoreChanges)
        made = self._manager(task.token).update(task, decode(request.olds), decode(request.news), ignored)
        return rpc.UpdateResponse(properties=encode(made.state))

    def _read(self, request: rpc.ReadRequest) -> rpc.ReadResponse:
        task = self._task(request)
        state, inputs = decode(request.properties), decode(request.inputs)
        made = self._manager(task.token).read(task, request.id, state, inputs)
        if not made.state:
            return rpc.ReadResponse()
        return rpc.ReadResponse(id=request.id, properties=encode(made.state), inputs=encode(made.inputs))

    def _delete(self, request: rpc.DeleteRequest) -> empty_pb2.Empty:
        task = self._task(request)
        self._manager(task.token).delete(task, request.id, decode(request.properties))
        return empty_pb2.Empty()


def _serialize(answer: Any) -> bytes:  # noqa: ANN401 - any message of the service
    return answer.SerializeToString()

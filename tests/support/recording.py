"""Run a Pulumi program without an engine and see what it registers.

The SDK's own mocks accept two resources with one URN, children that lost their parent and components that
never finish; they also shorten URNs to the last parent. The monitor here refuses the first three and builds
URNs as the engine does.
"""

import asyncio
import contextlib
import contextvars
import gc
import json
import logging
import runpy
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn
from unittest.mock import patch

import pulumi
from google.protobuf import empty_pb2
from pulumi.runtime import mocks, set_all_config
from pulumi.runtime.proto import engine_pb2, resource_pb2
from pulumi.runtime.settings import configure, reset_options
from pulumi.runtime.stack import run_in_stack

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.testing import function_results
from tests.support import wire
from tests.support.outputs import Outputs, outputs_of
from tests.support.recorded import STACK_TYPE, Call, LogLine, Recorded, Recording
from tests.support.wire import UNKNOWN, Secret

__all__ = ["UNKNOWN", "Call", "LogLine", "Recorded", "Recording", "Secret", "refused", "run_program"]

STACK_REFERENCE_TYPE: Final = "pulumi:pulumi:StackReference"
OWN_COMPONENTS: Final = "trafficmirror:"
RUN_LIMIT_SECONDS: Final = 300.0
"""A program that takes longer waits for a value that never comes."""


@dataclass(frozen=True)
class _Answers:
    outputs: Mapping[str, Outputs]
    calls: Mapping[str, Mapping[str, Any]]
    stack_references: Mapping[str, Mapping[str, Any]]
    existing: Mapping[str, Mapping[str, Any]]


class _NoMocks(mocks.Mocks):
    """The base class wants mocks; the recording monitor answers by itself."""

    def call(self, args: mocks.MockCallArgs) -> NoReturn:
        raise NotImplementedError

    def new_resource(self, args: mocks.MockResourceArgs) -> NoReturn:
        raise NotImplementedError


class _RecordingEngine(mocks.MockEngine):
    def __init__(self, recording: Recording) -> None:
        super().__init__(logging.getLogger("pulumi.program"))
        self._recording = recording

    def Log(self, request: Any) -> None:  # noqa: N802 the name is the engine's
        severity = engine_pb2.LogSeverity.Name(request.severity)
        if severity != "DEBUG":
            self._recording.logs.append(LogLine(severity, request.message, request.urn))


class RecordingMonitor(mocks.MockMonitor):
    """A resource monitor that records every registration and refuses what the engine would refuse."""

    def __init__(self, recording: Recording, answers: _Answers) -> None:
        super().__init__(_NoMocks())
        self._recording = recording
        self._answers = answers
        self._lock = threading.Lock()

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        parent_type = parent.split("::")[2] if parent else STACK_TYPE
        qualified = type_ if parent_type == STACK_TYPE else f"{parent_type}${type_}"
        return f"urn:pulumi:{self._recording.stack}::{self._recording.project}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 the name is the monitor's
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        recorded = _from_registration(urn, request, mocks._resolve_callbacks(request.transforms))
        self._add(recorded)
        outputs = dict(self._outputs(recorded))
        identity = str(outputs.pop("id", f"{request.name}-id"))
        known_id = request.custom and (not self._recording.preview or request.name in self._answers.existing)
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=identity if known_id else "", object=wire.encode(outputs)
        )

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 the name is the monitor's
        urn = self.make_urn(request.parent, request.type, request.name)
        recorded = Recorded(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=True,
            inputs=wire.decode(request.properties),
            parent=request.parent,
            provider=_provider_urn(request.provider),
            depends_on=tuple(sorted(request.dependencies)),
            import_id=request.id,
            read=True,
        )
        self._add(recorded)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=wire.encode(self._outputs(recorded)))

    def Invoke(self, request: Any) -> Any:  # noqa: N802 the name is the monitor's
        args = wire.decode(request.args)
        self._recording.calls.append(Call(request.tok, args, _provider_urn(request.provider)))
        results = self._answers.calls.get(request.tok, function_results(request.tok))
        if results is None:
            raise AssertionError(f"function {request.tok} is called, but the test gives no result for it")
        answer: dict[str, Any] = {"return": wire.encode(results)}  # "return" is a Python keyword
        return resource_pb2.ResourceInvokeResponse(**answer)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 the name is the monitor's
        outputs = wire.decode(request.outputs)
        if f"::{STACK_TYPE}::" in request.urn:
            self._recording.exports = outputs
        else:
            with self._lock:
                recorded = self._recording.by_urn[request.urn]
                if recorded.outputs is not None:
                    # Kept for the end of the run: the SDK reports an error of this call only now and then.
                    self._recording.faults.append(f"{request.urn} registers its outputs twice")
                self._recording.by_urn[request.urn] = replace(recorded, outputs=outputs)
        return empty_pb2.Empty()

    def _add(self, recorded: Recorded) -> None:
        with self._lock:
            if recorded.urn in self._recording.by_urn:
                raise AssertionError(f"two resources have the URN {recorded.urn}")
            self._recording.by_urn[recorded.urn] = recorded

    def _outputs(self, recorded: Recorded) -> Mapping[str, Any]:
        if recorded.type == STACK_REFERENCE_TYPE:
            return self._stack_reference(recorded)
        if not recorded.custom:
            return {}
        if self._recording.preview and recorded.name in self._answers.existing:
            return wire.merge(recorded.inputs, self._answers.existing[recorded.name])
        if self._recording.preview and not recorded.read:
            # During a preview nothing exists: a provider answers with the inputs and leaves the rest unknown.
            return recorded.inputs
        plain = wire.reveal(recorded.inputs)
        return wire.merge(recorded.inputs, outputs_of(recorded.type, recorded.name, plain, self._answers.outputs))

    def _stack_reference(self, recorded: Recorded) -> Mapping[str, Any]:
        name = str(recorded.import_id)
        if name not in self._answers.stack_references:
            raise AssertionError(f"the program reads the stack {name!r}, but the test gives no outputs for it")
        outputs = self._answers.stack_references[name]
        secret = [key for key, value in outputs.items() if wire.contains_secret(value)]
        return {"name": name, "outputs": dict(outputs), "secretOutputNames": secret}


def _provider_urn(reference: str) -> str | None:
    """Return the URN of a provider reference, which is ``<urn>::<id>``."""
    return reference.rsplit("::", 1)[0] if reference else None


def _from_registration(urn: str, request: Any, transforms: list[Any]) -> Recorded:
    timeouts = {key: getattr(request.customTimeouts, key) for key in ("create", "update", "delete")}
    return Recorded(
        urn=urn,
        type=request.type,
        name=request.name,
        custom=request.custom,
        inputs=wire.decode(request.object),
        parent=request.parent,
        provider=_provider_urn(request.provider),
        providers={key: str(_provider_urn(value)) for key, value in request.providers.items()},
        depends_on=tuple(sorted(request.dependencies)),
        property_dependencies={
            key: tuple(sorted(value.urns)) for key, value in request.propertyDependencies.items() if value.urns
        },
        protect=request.protect,
        aliases=tuple(sorted([*request.aliasURNs, *map(_alias, request.aliases)])),
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        retain_on_delete=request.retainOnDelete,
        deleted_with=request.deletedWith or None,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        additional_secret_outputs=tuple(sorted(request.additionalSecretOutputs)),
        custom_timeouts={key: value for key, value in timeouts.items() if value},
        import_id=request.importId or None,
        version=request.version,
        transforms=tuple(transforms),
    )


def _alias(alias: Any) -> str:
    if alias.urn:
        return alias.urn
    return ",".join(f"{part.name}={value}" for part, value in alias.spec.ListFields() if value != "")


def _check(recording: Recording, top_level: frozenset[str]) -> None:
    """Fail on a child that lost its parent and on a component that does not register its outputs."""
    if recording.faults:
        raise AssertionError("; ".join(recording.faults))
    components = [resource for resource in recording.resources if not resource.custom]
    for resource in recording.resources:
        if resource.parent not in (*recording.by_urn, recording.stack_urn):
            raise AssertionError(f"{resource.urn} has the unknown parent {resource.parent!r}")
        if resource.parent == recording.stack_urn and resource.custom and resource.name not in top_level:
            _check_top_level(resource, components)
    for component in components:
        if component.type.startswith(OWN_COMPONENTS):
            _check_component(component, recording.children_of(component))


def _check_component(component: Recorded, children: Iterable[Recorded]) -> None:
    if component.outputs is None:
        raise AssertionError(f"{component.urn} does not call register_outputs")
    for child in children:
        if child.name != component.name and not child.name.startswith(f"{component.name}-"):
            # The engine renames by this prefix when a renamed component has an alias; others it would make anew.
            raise AssertionError(f"{child.urn} does not begin with the name of its component {component.name!r}")


def _check_top_level(resource: Recorded, components: list[Recorded]) -> None:
    owner = next((c.name for c in components if resource.name.startswith(f"{c.name}-")), None)
    by_program = resource.type == STACK_REFERENCE_TYPE or resource.type.startswith("pulumi:providers:")
    if owner is not None or (components and not by_program):
        raise AssertionError(
            f"{resource.type} {resource.name!r} has no parent"
            + (f" although its name says that it belongs to {owner!r}" if owner else "")
            + "; name it in top_level= if the program itself makes it"
        )


def _entry(program: Callable[[], object] | Path | str) -> Callable[[], None]:
    if callable(program):
        call = program
    else:
        path = Path(program)
        directory = path.parent if path.name == "__main__.py" else path
        # As the language host does: the directory runs as its __main__.py, first on the module path.
        call = partial(runpy.run_path, str(directory), run_name="__main__")

    def run() -> None:
        call()

    return run


def _configuration(project: str, config: Mapping[str, Any]) -> dict[str, str]:
    return {
        key if ":" in key else f"{project}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
    }


def _run(
    program: Callable[[], object] | Path | str,
    recording: Recording,
    answers: _Answers,
    config: Mapping[str, Any],
    secret_keys: Iterable[str],
) -> None:
    async def deploy() -> None:
        configure(
            mocks.MockSettings(
                monitor=RecordingMonitor(recording, answers),
                engine=_RecordingEngine(recording),
                project=recording.project,
                stack=recording.stack,
                organization="organization",
                dry_run=recording.preview,
            )
        )
        keys = _configuration(recording.project, dict.fromkeys(secret_keys, ""))
        set_all_config(_configuration(recording.project, config), list(keys))
        await asyncio.wait_for(run_in_stack(_entry(program)), RUN_LIMIT_SECONDS)

    # Pulumi keeps its settings in context variables: a context of its own keeps one run from the next.
    context = contextvars.copy_context()
    context.run(reset_options)
    unseen: list[Mapping[str, Any]] = []
    with warnings.catch_warnings(), _held_to_declared_children(recording):
        # A run that fails drops its outputs half-way, which the SDK's coroutines complain about.
        warnings.filterwarnings("ignore", r"coroutine 'Output\.", RuntimeWarning)
        # A failed run is collected below; what was there before it needs no look, and is far more.
        gc.freeze()
        try:
            with asyncio.Runner() as runner:
                runner.get_loop().set_exception_handler(lambda _, details: unseen.append(details))
                runner.run(deploy(), context=context)
        except BaseException as error:
            _drop_frames(error)
            gc.collect()
            raise
        finally:
            gc.unfreeze()
    if unseen:
        raise AssertionError(f"errors that the run did not report: {unseen}")


@contextlib.contextmanager
def _held_to_declared_children(recording: Recording) -> Iterator[None]:
    """What a component said that it makes is what it made: changes of children are refused by what it said."""
    finish = pulumi.ComponentResource.register_outputs

    def finished(component: Any, outputs: pulumi.Inputs) -> None:
        made, declared = set(getattr(component, "children", ())), set(getattr(component, "declared", ()))
        if made != declared:
            recording.faults.append(f"{type(component).__name__} declares {sorted(declared)}, and made {sorted(made)}")
        finish(component, outputs)

    with patch.object(pulumi.ComponentResource, "register_outputs", finished):
        yield


def _drop_frames(error: BaseException) -> None:
    """Let go of the values in an error's frames, so that outputs of a failed run end with it."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


def run_program(
    program: Callable[[], object] | Path | str,
    *,
    config: Mapping[str, Any] | None = None,
    secret_keys: Iterable[str] = (),
    stack: str = "test",
    project: str = "traffic-mirror",
    preview: bool = False,
    outputs: Mapping[str, Outputs] | None = None,
    calls: Mapping[str, Mapping[str, Any]] | None = None,
    stack_references: Mapping[str, Mapping[str, Any]] | None = None,
    top_level: Iterable[str] = (),
    existing: Mapping[str, Mapping[str, Any]] | None = None,
) -> Recording:
    """Run a program to its end and return what it registered.

    Args:
        program: A callable without arguments, a project directory, or its ``__main__.py``.
            Make every ``Output`` inside.
        config: Stack configuration; keys without a namespace get the project's, and values that are no text
            become JSON.
        secret_keys: Keys of ``config`` that are secret.
        stack: Name of the stack.
        project: Name of the project.
        preview: As in ``pulumi preview``: outputs that are not inputs are unknown, so ``apply`` skips them.
        outputs: More outputs per resource type, laid over :func:`pulumi_traffic_mirror.testing.resource_outputs`.
        calls: More results per provider function, beside :func:`pulumi_traffic_mirror.testing.function_results`.
        stack_references: Outputs per stack that the program may read (``organization/<project>/<stack>``);
            wrap a secret output in :class:`Secret`.
        top_level: Names of custom resources that the program itself creates beside components.
        existing: Name of a resource to the outputs in its state: it exists already when a preview runs.

    Returns:
        The recording of the whole run.

    Raises:
        AssertionError: Two resources share a URN, a child has no parent, a component registers no outputs, or
            the program asks for a stack or function that the test does not know.
    """
    recording = Recording(stack=stack, project=project, preview=preview)
    answers = _Answers(outputs or {}, calls or {}, stack_references or {}, existing or {})
    _run(program, recording, answers, config or {}, secret_keys)
    _check(recording, frozenset(top_level))
    return recording


@dataclass(frozen=True)
class Refusal:
    """A program that ended with an error, and what it had registered until then."""

    error: BaseException
    recording: Recording


def refused(
    program: Callable[[], object] | Path | str,
    error: type[BaseException],
    *,
    config: Mapping[str, Any] | None = None,
    secret_keys: Iterable[str] = (),
    stack: str = "test",
    preview: bool = False,
    outputs: Mapping[str, Outputs] | None = None,
    stack_references: Mapping[str, Mapping[str, Any]] | None = None,
) -> Refusal:
    """Run a program that must end with an error of the given type; return the error and the recording.

    An error of an ``apply`` reaches the caller inside the SDK's own, so the chain of causes is searched.
    """
    recording = Recording(stack=stack, project="traffic-mirror", preview=preview)
    try:
        _run(program, recording, _Answers(outputs or {}, {}, stack_references or {}, {}), config or {}, secret_keys)
    except BaseException as caught:
        link: BaseException | None = caught
        while link is not None and not isinstance(link, error):
            link = link.__cause__
        if link is None:
            raise
        shown = isinstance(caught, pulumi.RunError)
        assert shown or not isinstance(link, ValidationError | pulumi.RunError), (
            f"the engine would show a traceback around: {link}"
        )
        return Refusal(link, recording)
    raise AssertionError(f"the program was not refused with {error.__name__}; it made {sorted(recording.shape)}")

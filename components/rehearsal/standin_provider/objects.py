"""The life of one Kubernetes object: apply it, wait for it, read it, delete it."""

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, cast

from . import checkpoint
from .cluster import ApiError, Cluster, Kind, UnreachableError
from .comparing import compare, immutable_causes
from .errors import CancelledError, PartialError, ProviderError
from .manager import Checked, Difference, Made, Naming, Task
from .naming import named
from .paths import mapping_at, text_at
from .readiness import READY, SKIP_AWAIT, Observation, Verdict, check_for
from .settings import Settings
from .support import api_type, refuse_unsupported
from .target import Target, object_id, title
from .values import Properties, has_unknown
from .waiting import Waiter

DEFAULT_TIMEOUT_SECONDS: Final = 600.0
"""Longest wait for an object to be up or gone, as in the real provider."""

TIMEOUT_ANNOTATION: Final = "pulumi.com/timeoutSeconds"
PROPAGATION_ANNOTATION: Final = "pulumi.com/deletionPropagationPolicy"
_PROPAGATION: Final = {"orphan": "Orphan", "background": "Background"}
_UNAWAITED_DELETES: Final = frozenset({"DaemonSet", "Deployment", "Job", "Namespace", "Pod", "StatefulSet"})
"""Kinds whose deletion ``skipAwait`` leaves to the cluster, as in the real provider."""


class Objects:
    """Operations on the objects of one cluster; a ``ResourceManager``."""

    def __init__(self, cluster: Cluster, settings: Settings, waiter: Waiter) -> None:
        """Work on ``cluster`` under ``settings``; ``waiter`` ends waits when the provider is to stop."""
        self._target = Target(cluster, settings, waiter)

    def check(self, task: Task, olds: Properties, news: Properties, naming: Naming) -> Checked:
        """Give the object a name and a namespace, and refuse what the stand-in would do less for."""
        clear = checkpoint.to_object(news)
        refuse_unsupported(task.token, clear)
        check_for(clear)
        inputs = named(task, olds, news, naming)
        namespace = text_at(self._target.placed(checkpoint.to_object(inputs)), "metadata", "namespace")
        if namespace and isinstance(inputs.get("metadata"), dict):
            metadata = {"namespace": namespace, **mapping_at(inputs, "metadata")}
            inputs = {**inputs, "metadata": metadata}
        return Checked(inputs=inputs)

    def difference(self, task: Task, state: Properties, inputs: Properties, ignored: Sequence[str]) -> Difference:
        """Compare recorded and new inputs."""
        return compare(self._target, task, state, inputs, ignored)

    def create(self, task: Task, inputs: Properties) -> Made:
        """Make the object, wait until it is up, and return the state to record.

        Raises:
            PartialError: The object exists but is not up.
            ProviderError: It was not made.
        """
        if task.preview:
            return Made(state=self._preview_create(task, inputs))
        obj = checkpoint.to_object(inputs)
        manager = checkpoint.field_manager(obj, task.urn)
        kind = self._target.await_kind(task, obj)
        obj = self._target.placed(obj)
        self._make_way(task, kind, obj, manager)
        live = self._target.await_apply(task, kind, obj, manager)
        return self._finish(task, kind, live, inputs, manager)

    def _make_way(self, task: Task, kind: Kind, obj: Properties, manager: str) -> None:
        """Wait for an old object of the same name that is being deleted; refuse to touch somebody else's.

        One that carries our own field manager was made by a run that was killed before it could record it.
        """
        held, ours = [False], [False]

        def free() -> bool:
            found = self._target.live(kind, obj)
            held[0] = found is not None and not text_at(found, "metadata", "deletionTimestamp")
            ours[0] = found is not None and checkpoint.made_by(found, manager)
            if found is not None:
                task.progress("waiting for the old object of this name to be gone")
            return found is None or held[0]

        in_time = self._target.waiter.until(free, _timeout(task, obj))
        if held[0] and not ours[0] and not self._target.settings.upsert:
            raise ProviderError(
                f"{title(obj)} exists already and was not made by this stack. Import it, delete it, rename "
                "the resource, or set upsertExistingObjects on the provider to take it over"
            )
        if not in_time:
            raise ProviderError(f"An old {title(obj)} is still being deleted after {_timeout(task, obj):.0f} s")

    def _preview_create(self, task: Task, inputs: Properties) -> Properties:
        """Return what the object would be, by a dry run; the inputs alone where that cannot be told yet."""
        obj = checkpoint.to_object(inputs)
        if has_unknown(obj):
            return inputs
        manager = checkpoint.field_manager(obj, task.urn)
        try:
            kind = self._target.kind_of(obj)
            if kind is None:
                return inputs
            live = self._target.apply(kind, self._target.placed(obj), manager, dry_run=True)
        except UnreachableError:
            return inputs
        except ApiError as error:
            # An old object with the same name that is to be replaced, and a namespace that is still to come, are
            # no errors of the new object; an object that the server finds invalid is one.
            if error.status != HTTPStatus.UNPROCESSABLE_ENTITY or immutable_causes(error):
                return inputs
            raise
        return checkpoint.record(_without_status(live), inputs, manager)

    def update(self, task: Task, state: Properties, inputs: Properties, ignored: Sequence[str]) -> Made:
        """Apply changed inputs, wait until the object is up, and return the state to record.

        Raises:
            PartialError: The object has the new inputs but is not up.
            ProviderError: The change was not made.
        """
        obj = checkpoint.to_object(inputs)
        if task.preview and has_unknown(obj):
            return Made(state=inputs)
        manager = checkpoint.field_manager(obj, task.urn, checkpoint.parse(state).manager)
        if task.preview and self._target.kind_of(obj) is None:
            return Made(state=inputs)
        kind = self._target.await_kind(task, obj)
        obj = self._target.placed(obj)
        live = self._target.live(kind, obj)
        if live is None:
            raise ProviderError(f"{title(obj)} is gone from the cluster. Run with --refresh to make it anew")
        after = self._target.apply(kind, _with_live_values(obj, live, ignored), manager, dry_run=task.preview)
        if task.preview:
            return Made(state=checkpoint.record(_without_status(after), inputs, manager))
        return self._finish(task, kind, after, inputs, manager)

    def read(self, task: Task, resource_id: str, state: Properties, inputs: Properties) -> Made:
        """Return the live object; an empty state when it is gone.

        Raises:
            PartialError: The object is there but not up.
        """
        recorded = checkpoint.parse(state)
        known = checkpoint.to_object(inputs) or recorded.live
        if not known.get("kind"):
            api_version, kind_name = api_type(task.token)
            known = {"apiVersion": api_version, "kind": kind_name}
        namespace, _, name = resource_id.rpartition("/")
        known = {**known, "metadata": {**mapping_at(known, "metadata"), "name": name, "namespace": namespace}}
        kind = self._target.kind_of(known)
        live = self._target.live(kind, known) if kind else None
        if live is None:
            return Made()
        found = (
            checkpoint.live_inputs(live, checkpoint.to_object(inputs)) if inputs else checkpoint.imported_inputs(live)
        )
        manager = checkpoint.field_manager(known, task.urn, recorded.manager)
        read_state = checkpoint.record_read(live, found, inputs, manager, recorded.initial_api_version)
        read_inputs = cast("Properties", read_state[checkpoint.INPUTS])
        verdict = self._verdict(live, found, since=0.0) if inputs else READY
        if not verdict.ready:
            message = f"{title(live)}: {verdict.message}"
            raise PartialError(message, resource_id=resource_id, state=read_state, inputs=read_inputs)
        return Made(resource_id=resource_id, state=read_state, inputs=read_inputs)

    def delete(self, task: Task, resource_id: str, state: Properties) -> None:
        """Delete the object with all that belongs to it, and wait until it is gone.

        Raises:
            ProviderError: It is still there when the time is over; the message names what holds it.
        """
        recorded = checkpoint.parse(state)
        namespace, _, name = resource_id.rpartition("/")
        kind = self._target.kind_of(recorded.live)
        if kind is None:
            return
        policy = text_at(recorded.inputs, "metadata", "annotations", PROPAGATION_ANNOTATION).lower()
        self._target.cluster.delete(kind, name, namespace, _PROPAGATION.get(policy, "Foreground"))
        skips = text_at(recorded.inputs, "metadata", "annotations", SKIP_AWAIT) == "true"
        if skips and text_at(recorded.live, "kind") in _UNAWAITED_DELETES:
            return
        uid = text_at(recorded.live, "metadata", "uid")
        holders = [""]

        def gone() -> bool:
            found = self._target.cluster.get(kind, name, namespace)
            if found is None or text_at(found, "metadata", "uid") != uid:
                return True
            finalizers = cast("list[str]", mapping_at(found, "metadata").get("finalizers") or [])
            holders[0] = ", ".join(finalizers) or "none; its dependents may still be ending"
            task.progress(f"deleting; finalizers: {holders[0]}")
            return False

        if not self._target.waiter.until(gone, _timeout(task, recorded.inputs), outlasts_outage=True):
            raise ProviderError(f"{title(recorded.live)} is still there; finalizers: {holders[0]}")

    def _finish(self, task: Task, kind: Kind, live: Properties, inputs: Properties, manager: str) -> Made:
        """Wait until the object is up."""
        obj = checkpoint.to_object(inputs)
        since, seen, verdicts = time.monotonic(), [live], [READY]

        def up() -> bool:
            verdicts[0] = self._verdict(seen[0], obj, since=since)
            if verdicts[0].ready or verdicts[0].failed:
                return True
            task.progress(verdicts[0].message)
            current = self._target.live(kind, seen[0])
            if current is None:
                raise ProviderError(f"{title(live)} was deleted by somebody else while it came up")
            seen[0] = current
            return False

        reason, in_time = "", True
        try:
            in_time = self._target.waiter.until(up, _timeout(task, obj), outlasts_outage=True)
        except (CancelledError, UnreachableError) as error:
            # The object exists, so it must be recorded: the next update goes on from here.
            reason = str(error)
        state = checkpoint.record(seen[0], inputs, manager)
        if verdicts[0].ready and not reason:
            return Made(resource_id=object_id(live), state=state)
        after = "" if in_time else f" after {_timeout(task, obj):.0f} s"
        message = f"{title(live)} exists but is not up{after}: {reason or verdicts[0].message}"
        raise PartialError(message, resource_id=object_id(live), state=state)

    def _verdict(self, live: Properties, inputs: Properties, *, since: float) -> Verdict:
        check = check_for(inputs)
        return check(Observation(live, self._target.cluster, since)) if check else READY


def _timeout(task: Task, obj: Properties) -> float:
    """Return the longest wait in seconds: the resource's custom timeout, the annotation's, or the default."""
    annotated = text_at(obj, "metadata", "annotations", TIMEOUT_ANNOTATION)
    if task.timeout_seconds > 0:
        return task.timeout_seconds
    return float(annotated) if annotated.isdecimal() else DEFAULT_TIMEOUT_SECONDS


def _without_status(live: Properties) -> Properties:
    """Return what a preview may show: a dry run's empty status would read as a real one."""
    return {key: item for key, item in live.items() if key != "status"}


def _with_live_values(obj: Properties, live: Properties, ignored: Sequence[str]) -> Properties:
    """Return ``obj`` with the live value of each field that the resource ignores changes of."""
    for text in ignored:
        path = text.split(".")
        source, aim = mapping_at(live, *path[:-1]), mapping_at(obj, *path[:-1])
        if path[-1] in source and path[-1] in aim:
            aim[path[-1]] = source[path[-1]]
    return obj

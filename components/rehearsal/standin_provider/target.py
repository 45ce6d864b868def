"""Requests for one object at a time, under the provider's settings."""

from typing import Final

from .cluster import ApiError, Cluster, Kind, UnreachableError
from .errors import ProviderError
from .manager import Task
from .paths import mapping_at, text_at
from .settings import Settings
from .values import Properties
from .waiting import Waiter

UNKNOWN_KIND_SECONDS: Final = 30.0
"""How long a kind or a namespace may stay unknown to the server: another resource may be making it."""

FORCE_ANNOTATION: Final = "pulumi.com/patchForce"


class Target:
    """One cluster, seen through the provider's settings."""

    def __init__(self, cluster: Cluster, settings: Settings, waiter: Waiter) -> None:
        """Send requests to ``cluster``; ``waiter`` ends waits when the provider is to stop."""
        self._asking = True
        self.cluster = cluster
        self.settings = settings
        self.waiter = waiter

    @property
    def default_namespace(self) -> str:
        """Namespace of objects that name none."""
        return self.settings.namespace or self.cluster.context_namespace or "default"

    def kind_of(self, obj: Properties) -> Kind | None:
        """Return where the object lives, or ``None`` when the server does not know its kind."""
        return self.cluster.find_kind(text_at(obj, "apiVersion"), text_at(obj, "kind"))

    def placed(self, obj: Properties) -> Properties:
        """Return ``obj`` with a namespace, when its kind has one and it names none.

        A kind that the server does not know yet, or cannot be asked for, is taken as it is.
        """
        metadata = mapping_at(obj, "metadata")
        if metadata.get("namespace") or not self._asking:
            return obj
        try:
            kind = self.kind_of(obj)
        except ApiError:
            return obj
        except UnreachableError:
            # A preview without its cluster asks once, not for every object; the cluster is not waited for either.
            self._asking = False
            return obj
        if kind is None or not kind.namespaced:
            return obj
        return {**obj, "metadata": {**metadata, "namespace": self.default_namespace}}

    def live(self, kind: Kind, obj: Properties) -> Properties | None:
        """Return the live version of ``obj``, or ``None``."""
        return self.cluster.get(kind, text_at(obj, "metadata", "name"), text_at(obj, "metadata", "namespace"))

    def apply(self, kind: Kind, obj: Properties, manager: str, *, dry_run: bool) -> Properties:
        """Apply ``obj``; fields of others are taken over only where annotation or provider says so."""
        forced = text_at(obj, "metadata", "annotations", FORCE_ANNOTATION) == "true"
        return self.cluster.apply(
            kind,
            obj,
            namespace=text_at(obj, "metadata", "namespace"),
            manager=manager,
            force=forced or self.settings.patch_force,
            dry_run=dry_run,
        )

    def await_kind(self, task: Task, obj: Properties) -> Kind:
        """Return where the object lives; wait for a kind that is only being made.

        Raises:
            ProviderError: The server still does not know the kind.
        """
        found: list[Kind] = []

        def known() -> bool:
            answer = self.kind_of(obj)
            if answer is None:
                task.progress(f"waiting for the server to know {text_at(obj, 'apiVersion')} {text_at(obj, 'kind')}")
                return False
            found.append(answer)
            return True

        if not self.waiter.until(known, UNKNOWN_KIND_SECONDS):
            raise ProviderError(
                f"The server knows no {text_at(obj, 'kind')} of {text_at(obj, 'apiVersion')}. "
                "Deploy its CustomResourceDefinition first"
            )
        return found[-1]

    def await_apply(self, task: Task, kind: Kind, obj: Properties, manager: str) -> Properties:
        """Apply a new object; wait for a namespace that is only being made."""
        made: list[Properties] = []
        refused: list[ApiError] = []

        def applied() -> bool:
            try:
                made.append(self.apply(kind, obj, manager, dry_run=False))
            except ApiError as error:
                if error.reason != "NotFound":
                    raise
                task.progress(f"waiting: {error}")
                refused.append(error)
                return False
            return True

        if not self.waiter.until(applied, UNKNOWN_KIND_SECONDS):
            raise refused[-1]
        return made[-1]


def object_id(obj: Properties) -> str:
    """Return the id of a resource: ``namespace/name``, or ``name`` without a namespace."""
    namespace, name = text_at(obj, "metadata", "namespace"), text_at(obj, "metadata", "name")
    return f"{namespace}/{name}" if namespace else name


def title(obj: Properties) -> str:
    """Return how messages call an object, e.g. ``Deployment hello/greeter``."""
    return f"{text_at(obj, 'kind')} {object_id(obj)}"


def conflict_hint(error: ApiError) -> str:
    """Return what to do about a field-manager conflict, or an empty string for another error."""
    if error.reason != "Conflict" or not error.causes:
        return ""
    fields = ", ".join(sorted({field for field, _ in error.causes if field}))
    return f'Somebody else owns {fields}. Set the annotation {FORCE_ANNOTATION}: "true" to take the fields over'

"""The life of ``kubernetes:helm.sh/v3:Release``: a chart, installed by Helm with its hooks."""

from collections.abc import Sequence
from typing import Final, cast

from .checkpoint import field_manager
from .cluster import Cluster
from .differences import find_changes, mark_replacing, without_ignored
from .errors import PartialError, ProviderError, RefusedError
from .helm import OWNER_LABEL, Helm, HelmError, resource_names
from .manager import Checked, Difference, Made, Naming, Task
from .naming import generated_name
from .paths import mapping_at, number_at, text_at
from .settings import Settings
from .values import UNKNOWN, Properties, Secret, has_unknown, keep_secrets, plain
from .waiting import Waiter

DEFAULT_TIMEOUT_SECONDS: Final = 300
"""Helm's and the real provider's default."""

_FLAGS: Final = {
    "atomic": "--atomic",
    "createNamespace": "--create-namespace",
    "dependencyUpdate": "--dependency-update",
    "devel": "--devel",
    "disableOpenapiValidation": "--disable-openapi-validation",
    "disableWebhooks": "--no-hooks",
    "renderSubchartNotes": "--render-subchart-notes",
    "skipCrds": "--skip-crds",
}
_UPGRADE_FLAGS: Final = {
    "cleanupOnFail": "--cleanup-on-fail",
    "forceUpdate": "--force",
    "resetValues": "--reset-values",
    "reuseValues": "--reuse-values",
}
_VALUES: Final = frozenset(
    {
        "chart",
        "description",
        "maxHistory",
        "name",
        "namespace",
        "repositoryOpts",
        "skipAwait",
        "timeout",
        "values",
        "version",
        "waitForJobs",
    }
)
_OUTPUTS: Final = frozenset({"manifest", "resourceNames", "status", "compat"})
"""Names that the SDK sends along but that are not inputs."""

_IDENTITY: Final = (("name",), ("namespace",))


class Releases:
    """Operations on the Helm releases of one cluster; a ``ResourceManager``."""

    def __init__(self, cluster: Cluster, settings: Settings, waiter: Waiter) -> None:
        """Work on ``cluster`` under ``settings``; ``waiter`` ends waits when the provider is to stop."""
        self._cluster = cluster
        self._settings = settings
        self._helm = Helm(settings, waiter)

    def check(self, task: Task, olds: Properties, news: Properties, naming: Naming) -> Checked:
        """Complete the inputs: name, namespace, timeout, and the version that the chart really has."""
        inputs = {key: item for key, item in news.items() if key not in _OUTPUTS}
        _refuse_unknown(inputs)
        if not inputs.get("name"):
            inputs["name"] = plain(olds.get("name")) or generated_name(task, naming)
        if not inputs.get("namespace"):
            inputs["namespace"] = self._settings.namespace or self._cluster.context_namespace or "default"
        if plain(inputs.get("skipAwait")) is not True:
            inputs.setdefault("timeout", DEFAULT_TIMEOUT_SECONDS)
        clear: Properties = plain(inputs)
        if has_unknown({key: clear.get(key) for key in ("chart", "version", "repositoryOpts")}):
            return Checked(inputs=inputs)
        try:
            metadata = self._helm.chart_metadata(_chart_options(clear), text_at(clear, "chart"))
        except HelmError as error:
            return Checked(inputs=inputs, failures=(("chart", f"{error}. Check the chart's name and repository"),))
        return Checked(inputs={**inputs, "version": str(metadata.get("version", ""))})

    def difference(self, task: Task, state: Properties, inputs: Properties, ignored: Sequence[str]) -> Difference:
        """Compare recorded and new inputs; the live release is not looked at, as in the real provider."""
        del task
        changes = without_ignored(list(find_changes(_recorded_inputs(state), plain(inputs))), ignored)
        return Difference(changes=tuple(mark_replacing(changes, _IDENTITY)))

    def create(self, task: Task, inputs: Properties) -> Made:
        """Install the chart.

        Raises:
            PartialError: Helm failed and left a release; the next update repairs it.
            ProviderError: Helm failed and left none.
        """
        if task.preview:
            return Made(state=_record(inputs, None))
        clear: Properties = plain(inputs)
        task.progress("helm install")
        return self._apply(self._verb(task, clear, known=False), task, inputs, clear)

    def _verb(self, task: Task, clear: Properties, *, known: bool) -> str:
        """Return how to go on with a release that an earlier, killed run may have left half made.

        Helm refuses to touch a release on which somebody seems to work; nobody does any more.

        Args:
            task: The request.
            clear: Inputs in clear.
            known: Whether the release is in the stack's state.
        """
        name, namespace = text_at(clear, "name"), text_at(clear, "namespace")
        found = self._helm.status(name, namespace)
        if found is None:
            return "install"
        if (
            not known
            and not self._settings.upsert
            and not self._helm.made_by(name, namespace, field_manager({}, task.urn))
        ):
            raise ProviderError(
                f"A release {namespace}/{name} exists already and was not made by this stack. Uninstall it, or "
                "give this one another name"
            )
        status = text_at(found, "info", "status")
        if status == "pending-install":
            self._helm.uninstall(name, namespace, wait_seconds=0)
            return "install"
        if status.startswith("pending-"):
            self._helm.rollback(name, namespace)
        return "upgrade"

    def update(self, task: Task, state: Properties, inputs: Properties, ignored: Sequence[str]) -> Made:
        """Upgrade the release; raises as :meth:`create` does."""
        del state, ignored
        if task.preview:
            return Made(state=_record(inputs, None))
        task.progress("helm upgrade")
        clear: Properties = plain(inputs)
        return self._apply(self._verb(task, clear, known=True), task, inputs, clear)

    def read(self, task: Task, resource_id: str, state: Properties, inputs: Properties) -> Made:
        """Return the release as Helm knows it; an empty state when there is none."""
        del task
        namespace, _, name = resource_id.rpartition("/")
        found = self._helm.status(name, namespace or "default")
        if found is None:
            return Made()
        if not inputs and not state:
            inputs = {
                "name": name,
                "namespace": namespace,
                "chart": text_at(found, "metadata", "chart"),
                "version": text_at(found, "metadata", "version"),
                "values": Secret(mapping_at(found, "config")),
                "timeout": DEFAULT_TIMEOUT_SECONDS,
            }
        return Made(resource_id=resource_id, state=_record(inputs, found), inputs=inputs)

    def delete(self, task: Task, resource_id: str, state: Properties) -> None:
        """Uninstall the release, and wait for its objects to go unless it was not awaited either."""
        del resource_id
        task.progress("helm uninstall")
        clear: Properties = plain(state)
        waits = clear.get("atomic") is True or clear.get("skipAwait") is not True
        seconds = number_at(clear, "timeout") or DEFAULT_TIMEOUT_SECONDS
        name, namespace = text_at(clear, "name"), text_at(clear, "namespace")
        self._helm.uninstall(name, namespace, wait_seconds=float(seconds) if waits else 0.0)

    def _apply(self, verb: str, task: Task, inputs: Properties, clear: Properties) -> Made:
        name, namespace = text_at(clear, "name"), text_at(clear, "namespace")
        seconds = number_at(clear, "timeout") or DEFAULT_TIMEOUT_SECONDS
        arguments = [name, text_at(clear, "chart"), "--namespace", namespace, "--timeout", f"{seconds}s"]
        arguments += [*_chart_options(clear), "--labels", f"{OWNER_LABEL}={field_manager({}, task.urn)}"]
        flags = {**_FLAGS, **_UPGRADE_FLAGS} if verb == "upgrade" else _FLAGS
        arguments += [flag for key, flag in flags.items() if clear.get(key) is True]
        if clear.get("skipAwait") is not True:
            arguments += ["--wait", *(["--wait-for-jobs"] if clear.get("waitForJobs") is True else [])]
        if clear.get("description"):
            arguments += ["--description", text_at(clear, "description")]
        if verb == "upgrade" and "maxHistory" in clear:
            arguments += ["--history-max", str(number_at(clear, "maxHistory"))]
        resource_id = f"{namespace}/{name}"
        try:
            self._helm.apply(verb, arguments, mapping_at(clear, "values"), float(seconds))
        except HelmError as error:
            left = self._helm.status(name, namespace)
            if left is None:
                raise ProviderError(f"Release {resource_id} was not made: {error}") from None
            message = f"Release {resource_id} exists but failed: {error}"
            raise PartialError(message, resource_id=resource_id, state=_record(inputs, left)) from None
        made = self._helm.status(name, namespace)
        if made is None:
            raise ProviderError(f"Release {resource_id} was made and is gone again")
        return Made(resource_id=resource_id, state=_record(inputs, made))


def _refuse_unknown(inputs: Properties) -> None:
    known = _VALUES | _FLAGS.keys() | _UPGRADE_FLAGS.keys()
    for key, item in inputs.items():
        if key not in known and plain(item) not in (None, False, "", [], {}):
            raise RefusedError(f"The release option {key!r}", "Remove it, or use the real provider")
    repository = mapping_at(plain(inputs), "repositoryOpts")
    if any(repository.get(key) for key in ("username", "password")):
        raise RefusedError(
            "A repository that asks for a password",
            "Pull the chart beforehand and give its path, or use the real provider",
        )


def _chart_options(clear: Properties) -> list[str]:
    repository = mapping_at(clear, "repositoryOpts")
    named = {
        "--version": text_at(clear, "version"),
        "--repo": text_at(repository, "repo"),
        "--ca-file": text_at(repository, "caFile"),
        "--cert-file": text_at(repository, "certFile"),
        "--key-file": text_at(repository, "keyFile"),
    }
    return [part for option, item in named.items() if item for part in (option, item)]


def _recorded_inputs(state: Properties) -> Properties:
    return cast("Properties", plain(state.get("__inputs") or {}))


def _record(inputs: Properties, release: Properties | None) -> Properties:
    """Return the state to record; what only the installed release knows is unknown before that."""
    clear: Properties = plain(inputs)
    if release is None:
        return {**keep_secrets(clear, inputs), "resourceNames": UNKNOWN, "status": UNKNOWN, "__inputs": Secret(inputs)}
    metadata = mapping_at(release, "metadata")
    status = {
        "appVersion": text_at(metadata, "appVersion"),
        "chart": text_at(metadata, "chart"),
        "name": text_at(release, "name"),
        "namespace": text_at(release, "namespace"),
        "revision": number_at(release, "version"),
        "status": text_at(release, "info", "status"),
        "version": text_at(metadata, "version"),
    }
    outputs = {
        **clear,
        "version": status["version"],
        "resourceNames": resource_names(text_at(release, "manifest")),
        "status": {key: item for key, item in status.items() if item != ""},
    }
    return {**keep_secrets(outputs, inputs), "__inputs": Secret(plain(inputs))}

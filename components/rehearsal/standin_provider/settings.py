"""What a program may set on the provider, checked and decoded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import yaml

from .errors import RefusedError
from .values import Properties, Value, has_unknown, plain

PREFIX: Final = "kubernetes:config:"
"""How the engine names a provider's option in ``Configure``."""

_FLAGS: Final = frozenset(
    {
        "enableConfigMapMutable",
        "enablePatchForce",
        "enableSecretMutable",
        "enableServerSideApply",
        "suppressDeprecationWarnings",
        "suppressHelmHookWarnings",
        "upsertExistingObjects",
    }
)
_TEXTS: Final = frozenset({"cluster", "clusterIdentifier", "context", "kubeconfig", "namespace"})
_ENGINE: Final = frozenset({"version", "pluginDownloadURL", "__internal"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The provider's options; names and defaults are those of the real provider."""

    kubeconfig: str = ""
    """Content of a kubeconfig, or its path; empty: ``KUBECONFIG`` or ``~/.kube/config``. May hold secrets."""
    context: str = ""
    """Context to use; empty: the current one."""
    cluster: str = ""
    """Cluster entry to use in place of the context's; empty: the context's."""
    namespace: str = ""
    """Namespace of objects that name none; empty: that of the context, else ``default``."""
    config_map_mutable: bool = False
    """Update a ConfigMap's data in place instead of replacing the object."""
    secret_mutable: bool = False
    """Update a Secret's data in place instead of replacing the object."""
    patch_force: bool = False
    """Take fields over from other field managers, for every object."""
    upsert: bool = False
    """Adopt an object that exists already instead of failing to create it."""

    def __repr__(self) -> str:
        return f"Settings(context={self.context!r}, namespace={self.namespace!r})"


def refuse_unknown_options(news: Mapping[str, Value]) -> None:
    """Raise for an option that would be ignored.

    Raises:
        RefusedError: The option is not one of ours, or asks for client-side apply.
    """
    for name in sorted(news):
        if name not in _FLAGS | _TEXTS | _ENGINE:
            raise RefusedError(f"The provider option {name!r}", "Remove it, or use the real provider")
    if plain(news.get("enableServerSideApply", True)) in (False, "false"):
        raise RefusedError("enableServerSideApply = false", "Remove it: objects are always applied by the server")


def decode_settings(options: Mapping[str, Value]) -> Settings:
    """Return the settings that ``options`` (names without prefix) describe; unknown values count as unset."""
    known = {name: "" if has_unknown(item) else plain(item) for name, item in options.items()}

    def text(name: str) -> str:
        return str(known.get(name) or "")

    def flag(name: str) -> bool:
        return known.get(name) in (True, "true")

    return Settings(
        kubeconfig=text("kubeconfig"),
        context=text("context"),
        cluster=text("cluster"),
        namespace=text("namespace"),
        config_map_mutable=flag("enableConfigMapMutable"),
        secret_mutable=flag("enableSecretMutable"),
        patch_force=flag("enablePatchForce"),
        upsert=flag("upsertExistingObjects"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigDifference:
    """How a provider's options changed."""

    changed: tuple[str, ...]
    """Options with another value."""
    replaces: tuple[str, ...]
    """Options whose change means another cluster: everything on the old one must be made anew."""


def difference(olds: Mapping[str, Value], news: Mapping[str, Value]) -> ConfigDifference:
    """Tell what changed, and whether the options still mean the same cluster.

    A fixed ``clusterIdentifier`` decides by itself; without one, the server of the active context does, and
    an unknown kubeconfig, context or cluster counts as another cluster.
    """
    old: Properties = plain(dict(olds))
    new: Properties = plain(dict(news))
    changed = tuple(sorted(key for key in {*old, *new} if old.get(key) != new.get(key)))
    identity = tuple(key for key in changed if key in {"kubeconfig", "context", "cluster"})
    if old.get("clusterIdentifier") and new.get("clusterIdentifier"):
        replaces = tuple(key for key in changed if key == "clusterIdentifier")
    elif any(has_unknown(new.get(key)) for key in identity):
        replaces = identity
    else:
        before, after = active_server(decode_settings(old)), active_server(decode_settings(new))
        replaces = identity if before and after and before != after else ()
    return ConfigDifference(changed=changed, replaces=replaces)


def kubeconfig_document(text: str) -> Properties | None:
    """Return the kubeconfig that ``text`` holds, or ``None`` when it is a path (or nothing)."""
    try:
        document: Value = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return None
    return cast("Properties", document) if isinstance(document, dict) else None


def active_server(settings: Settings) -> str:
    """Return the API server that the settings lead to, or an empty string when that cannot be told."""
    document = kubeconfig_document(settings.kubeconfig)
    if document is None:
        return ""
    name = settings.cluster
    if not name:
        context = settings.context or document.get("current-context", "")
        name = str(_named(document, "contexts", context, "context").get("cluster", ""))
    return str(_named(document, "clusters", name, "cluster").get("server", ""))


def _named(document: Properties, section: str, name: str, inner: str) -> dict[str, Any]:
    entries = cast("list[dict[str, Any]]", document.get(section) or [])
    found: list[dict[str, Any]] = [entry.get(inner) or {} for entry in entries if entry.get("name") == name]
    return found[0] if found else {}

"""Reading kubeconfigs: find one cluster's entry, or say exactly what is wrong. No Pulumi.

Error messages never carry a kubeconfig's content: it holds credentials. They name entries only.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, TypeAlias, cast
from urllib.parse import urlsplit

import yaml

from ..model import ValidationError
from ..yamlreading import UNREADABLE

_Mapping: TypeAlias = Mapping[str, object]

_FILE_KEYS: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
"""Keys whose values are paths. Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/."""

_HIDDEN: Final = "<kubeconfig>"


class _TextLoader(yaml.SafeLoader):
    """Leaves times as the texts that they are in JSON, as kubectl's own parser does."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True, kw_only=True)
class SelectedCluster:
    """One cluster of a kubeconfig, cut out of it."""

    context: str
    """Name of the context."""
    server: str
    """URL of the API server."""
    content: str
    """A kubeconfig (JSON) with this context, its cluster and its user only. Secret."""

    def __repr__(self) -> str:
        return f"SelectedCluster(context={self.context!r}, server={self.server!r})"


def parse(text: str, *, field: str, folder: Path | None = None) -> _Mapping:
    """Parse one kubeconfig.

    Args:
        text: YAML or JSON.
        field: Path of the argument in messages.
        folder: Where relative file names inside it start; ``None`` refuses them.

    Returns:
        The document, with absolute file names.

    Raises:
        ValidationError: It is no YAML, no kubeconfig, or names a file relative to nowhere.
    """
    try:
        document: object = yaml.load(text, _TextLoader)  # noqa: S506 -- a safe loader that knows one type less
    except yaml.MarkedYAMLError as error:
        # The parser's own message quotes the text, which may be a key.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _error(field, f"is not valid YAML (line {line})", "Give a kubeconfig") from None
    except UNREADABLE:
        raise _error(field, "is not valid YAML", "Give a kubeconfig") from None
    if not isinstance(document, dict):
        kind = "empty" if document is None else "a plain value, not a mapping"
        raise _error(field, f"is {kind}", "Give a kubeconfig's content here, or a file's name as kubeconfig_path")
    config = cast("_Mapping", document)
    return {
        "clusters": _rebased(_entries(config, "clusters", "cluster", field), field, folder),
        "contexts": _entries(config, "contexts", "context", field),
        "users": _rebased(_entries(config, "users", "user", field), field, folder),
        "current-context": config.get("current-context"),
    }


def merged(documents: Sequence[_Mapping]) -> _Mapping:
    """Merge parsed kubeconfigs as kubectl does with ``KUBECONFIG``: the first file to name something wins."""
    merged: dict[str, object] = {}
    for part in ("clusters", "contexts", "users"):
        entries: dict[str, object] = {}
        for document in reversed(documents):
            entries.update(cast("_Mapping", document[part]))
        merged[part] = entries
    currents = (document["current-context"] for document in documents)
    merged["current-context"] = next((current for current in currents if current), None)
    return merged


def selected(document: _Mapping, *, field: str, context: str | None = None) -> SelectedCluster:
    """Cut one context out of a parsed kubeconfig.

    Args:
        document: As :func:`parse` or :func:`merged` gives it.
        field: Path of the argument in messages.
        context: Name of the context; ``None`` takes the current one.

    Returns:
        The context with its cluster and user.

    Raises:
        ValidationError: There is no such context, its cluster or user is missing, or the cluster has no usable
            server.
    """
    contexts = cast("Mapping[str, _Mapping]", document["contexts"])
    name = _context_name(document, contexts, field, context)
    chosen = contexts[name]
    cluster_name, cluster = _referred(document, "clusters", chosen.get("cluster"), name, field)
    user_name, user = _referred(document, "users", chosen.get("user"), name, field)
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": dict(chosen)}],
        "clusters": [{"name": cluster_name, "cluster": dict(cluster)}],
        "users": [{"name": user_name, "user": dict(user)}],
    }
    server = _server(cluster, cluster_name, field)
    try:
        text = json.dumps(content, sort_keys=True)
    except (TypeError, ValueError):  # bytes, sets and circles, which YAML can write
        raise _error(field, "holds a value that JSON cannot", "Give a kubeconfig as kubectl writes it") from None
    return SelectedCluster(context=name, server=server, content=text)


def read(path: Path, *, field: str) -> _Mapping:
    """Read and parse a kubeconfig file.

    Raises:
        ValidationError: It cannot be read, or :func:`parse` refuses it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        rule, remedy = "does not exist", "Name an existing kubeconfig file"
    except IsADirectoryError:
        rule, remedy = "is a directory", "Name the kubeconfig file in it"
    except PermissionError:
        rule, remedy = "must not be read by this user", "Change its owner or mode"
    except (ValueError, OSError):
        rule, remedy = "cannot be read as text", "Name a kubeconfig file"
    else:
        return parse(text, field=field, folder=path.absolute().parent)
    raise ValidationError(field=field, value=str(path), rule=rule, remedy=remedy)


def default_paths(environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Return the files that kubectl would read: those of ``KUBECONFIG``, else ``~/.kube/config``."""
    named = [part for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    # kubectl skips files of the list that do not exist.
    existing = tuple(path for path in map(Path, named) if path.exists())
    return existing or (home / ".kube" / "config",)


def _error(field: str, rule: str, remedy: str, value: object = _HIDDEN) -> ValidationError:
    return ValidationError(field=field, value=value, rule=rule, remedy=remedy)


def _entries(config: _Mapping, part: str, key: str, field: str) -> dict[str, _Mapping]:
    items: object = config.get(part)
    if items is not None and not isinstance(items, list):
        raise _error(field, f"has {part} that are no list", "Give a kubeconfig as kubectl writes it")
    entries: dict[str, _Mapping] = {}
    for item in cast("list[object]", items or []):
        entry = cast("_Mapping", item if isinstance(item, dict) else {})
        name, value = entry.get("name"), entry.get(key)
        if not isinstance(name, str) or not isinstance(value, dict):
            raise _error(
                field, f"has an entry in {part} without a name or {key}", "Give a kubeconfig as kubectl writes it"
            )
        # As in kubectl, the first of two entries with one name counts.
        entries.setdefault(name, cast("_Mapping", value))
    return entries


def _rebased(entries: Mapping[str, _Mapping], field: str, folder: Path | None) -> dict[str, _Mapping]:
    """Make the file names in clusters or users absolute, since the provider runs elsewhere."""
    rebased: dict[str, _Mapping] = {}
    for name, entry in entries.items():
        paths = {key: Path(str(entry[key])) for key in _FILE_KEYS if entry.get(key)}
        for key, path in paths.items():
            if folder is None and not path.is_absolute():
                raise _error(
                    field,
                    f"names a file relative to an unknown folder ({name}: {key})",
                    "Embed the files (`kubectl config view --flatten --raw`) or give kubeconfig_path",
                )
        rebased[name] = {**entry, **{key: str((folder or Path()) / path) for key, path in paths.items()}}
    return rebased


def _context_name(document: _Mapping, contexts: _Mapping, field: str, context: str | None) -> str:
    known = ", ".join(sorted(contexts)) or "none"
    if context is not None:
        if context not in contexts:
            raise _error("context", f"is not in the kubeconfig, which has: {known}", "Name one of these", context)
        return context
    current = document["current-context"]
    if not isinstance(current, str) or not current:
        raise _error(field, f"has no current-context; its contexts are: {known}", "Name one as context")
    if current not in contexts:
        raise _error(
            field, f"has the current-context {current!r}, but its contexts are: {known}", "Name one as context"
        )
    return current


def _referred(document: _Mapping, part: str, name: object, context: str, field: str) -> tuple[str, _Mapping]:
    entries = cast("Mapping[str, _Mapping]", document[part])
    kind = part.removesuffix("s")
    if not isinstance(name, str) or not name:
        raise _error(field, f"has the context {context!r} without a {kind}", f"Add the name of a {kind}")
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise _error(
            field, f"has no {kind} {name!r}, which context {context!r} needs; it has: {known}", f"Add that {kind}"
        )
    return name, entries[name]


def _server(cluster: _Mapping, name: str, field: str) -> str:
    server = cluster.get("server")
    try:
        url = urlsplit(server) if isinstance(server, str) else None
    except ValueError:  # brackets without an address in them
        url = None
    if url is None or url.scheme not in ("https", "http") or not url.hostname:
        raise _error(field, f"has no usable server in the cluster {name!r}", "Add it as https://<host>:<port>", server)
    return cast("str", server)

"""Redacting values of JSON documents by RFC 9535 path."""

import json
from collections.abc import Sequence
from typing import Any

import jsonpath_rfc9535 as jsonpath

from ...model import ValidationError


class JsonRedactor:
    """Replaces what the paths select."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Compile the paths.

        Raises:
            ValidationError: A path is no RFC 9535 expression, or selects the whole document.
        """
        self._queries = [_compile(path, f"json_paths[{index}]") for index, path in enumerate(paths)]

    def redact(self, data: bytes) -> tuple[bytes | None, int]:
        """Return the document without the selected values; ``None`` when it cannot be read."""
        try:
            document: Any = json.loads(data)
        except (ValueError, RecursionError):
            return None, 1
        count = 0
        for query in self._queries:
            for node in query.find(document):
                count += _replace(document, node.location)
        if not count:
            return data, 0
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"), count


def _compile(path: str, field: str) -> jsonpath.JSONPathQuery:
    try:
        query = jsonpath.compile(path)
    except jsonpath.JSONPathError as error:
        raise ValidationError(
            field=field,
            value=path,
            rule=f"must be a JSONPath expression of RFC 9535 ({error})",
            remedy="Write for example '$.user.email' or '$..password'",
        ) from error
    if path.strip() == "$":
        raise ValidationError(
            field=field,
            value=path,
            rule="must select values inside the document",
            remedy="Set max_body_bytes to 0 to keep no bodies at all",
        )
    return query


def _replace(document: Any, location: Sequence[int | str]) -> int:  # noqa: ANN401 -- any JSON value
    """Replace one value; 0 when an earlier path has already replaced something around it."""
    parent = document
    for key in location[:-1]:
        if not isinstance(parent, dict | list):
            return 0
        parent = parent[key]  # pyright: ignore[reportUnknownVariableType, reportArgumentType, reportCallIssue]
    if not isinstance(parent, dict | list):
        return 0
    parent[location[-1]] = "[redacted]"  # pyright: ignore[reportArgumentType, reportCallIssue]
    return 1

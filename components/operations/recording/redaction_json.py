"""Redacting values of JSON documents by RFC 9535 path and by name; every other byte stays as it is."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

import jsonpath_rfc9535 as jsonpath
from jsonpath_rfc9535.selectors import IndexSelector, NameSelector, WildcardSelector

from ...model import ValidationError
from ...model.credentials import CredentialNames
from .json_spans import Forbidden, documents, spans_of

_REPLACEMENT: Final = '"[redacted]"'

_START: Final = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\x1e\s\0]*[{\[]")

_MEMBER: Final = re.compile(r'"([^"\\]*+)\\*+"\s*+:')
"""A member of an object, in a document that is the text of a value as well."""

_QUOTED: Final = re.compile(r"'([^'\\]*+)\\*+'\s*+:")
"""The same in single quotes, as Python, JavaScript and JSON5 write it."""

_ARGUMENT: Final = re.compile(r"""(?<![\w-])([\w-]++)\s*+[:=]\s*+\\*+["']""")
"""A name before a quoted value, as GraphQL, YAML and attributes of XML have them."""

_ELEMENT: Final = re.compile(r"<(?:[\w.-]++:)?([\w-]++)[\s>]")

_LINE: Final = re.compile(r"^[ \t-]*+([\w-]++)[ \t]*+[:=][ \t]*+[^\s{\[]", re.MULTILINE)
"""A name before a value at the beginning of a line, as YAML and properties have them."""

_ESCAPE: Final = re.compile(r"\\u00[4-7]")
"""A letter that is written so that no search for a name finds it."""


class JsonRedactor:
    """Replaces what paths select, and what names stand for."""

    def __init__(self, paths: Sequence[str], names: Sequence[str] = ()) -> None:
        """Compile the paths.

        Args:
            paths: RFC 9535 expressions.
            names: Members of objects, as :class:`~pulumi_traffic_mirror.model.credentials.CredentialNames` takes them.
                Flags and empty texts stay.

        Raises:
            ValidationError: A path is no RFC 9535 expression, or selects the whole document.
        """
        self._queries = [_compile(path, f"json_paths[{index}]") for index, path in enumerate(paths)]
        self._are_plain = all(_is_plain(query) for query in self._queries)
        self._names = CredentialNames(names)
        self._last_words = sorted({re.split("[-_*]", name.lower())[-1] for name in names})
        self._selected = sorted({name for query in self._queries for name in _names_in(query)})
        selected = "|".join(map(re.escape, self._selected))
        self._mention = _pattern(rf"\b(?:{selected})\b") if selected else None

    @property
    def has_paths(self) -> bool:
        """Whether anything is forbidden by its path."""
        return bool(self._queries)

    @staticmethod
    def could_read(data: bytes) -> bool:
        """Tell whether bytes begin as an object or a list does."""
        return _START.match(data) is not None

    def suspects(self, data: bytes) -> bool:
        """Tell whether bytes that cannot be read as JSON name something that is forbidden."""
        text = data.decode("utf-8", "replace")
        names = self._has_word(text) and self._names_any(text, _MEMBER, _QUOTED, _ARGUMENT, _ELEMENT, _LINE)
        return names or (self._mention is not None and self._mention.search(text) is not None)

    def mentions(self, data: bytes) -> bool:
        """Tell whether bytes that are no text may name something that is forbidden, whatever stands around it."""
        text = data.decode("latin-1").lower()
        return any(word.lower() in text for word in (*self._last_words, *self._selected))

    def redact(self, data: bytes) -> tuple[bytes | None, int]:
        """Return the documents without the forbidden values; ``None`` when they cannot be read."""
        encoding = _encoding_of(data)
        try:
            text = data.decode(encoding, "surrogatepass")
            # Without paths, most bodies need not be read at all.
            spans = list(self._spans(text)) if self._queries or self._may_name(text) else []
        except (ValueError, RecursionError):
            return None, 1
        if not spans:
            return data, 0
        pieces: list[str] = []
        position = 0
        for first, end in spans:
            pieces += text[position:first], _REPLACEMENT
            position = end
        pieces.append(text[position:])
        return "".join(pieces).encode(encoding, "surrogatepass"), len(spans)

    def is_secret(self, name: str) -> bool:
        """Tell whether a name is forbidden."""
        return name in self._names

    def _holds_secret(self, value: str) -> bool:
        """Tell whether a text within a document is a document or a query itself that names something forbidden."""
        quotes = '\\"' in value and self._names_any(value, _MEMBER, _ARGUMENT)
        return quotes or ("'" in value and self._names_any(value, _QUOTED))

    def _may_name(self, text: str) -> bool:
        """Tell whether a text may have a forbidden name."""
        if not self._last_words:
            return False
        has_name = self._has_word(text) and self._names_any(text, _MEMBER, _QUOTED, _ARGUMENT)
        return has_name or ("\\u" in text and _ESCAPE.search(text) is not None)

    def _has_word(self, text: str) -> bool:
        # Most texts have none of the words, which is found out in a tenth of the time.
        lower = text.lower()
        return any(word in lower for word in self._last_words)

    def _names_any(self, text: str, *patterns: re.Pattern[str]) -> bool:
        return any(name in self._names for pattern in patterns for name in set[str](pattern.findall(text)))

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where forbidden values are.

        Raises:
            ValueError: The text is no JSON, or nobody can tell what a path selects in it.
        """
        forbidden = Forbidden(self.is_secret, self._holds_secret) if self._may_name(text) else None
        found = 0
        for document in documents(text):
            found += 1
            if document.repeats_names and not self._are_plain:
                raise ValueError
            locations = [node.location for query in self._queries for node in query.find(document.value)]
            if locations or forbidden:
                yield from spans_of(text, document, locations, forbidden)
        if not found:
            raise ValueError


def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE)


def _encoding_of(data: bytes) -> str:
    """Return the encoding by which bytes become text and the same bytes again, byte order mark included."""
    match json.detect_encoding(data):
        case "utf-8-sig":
            return "utf-8"
        case "utf-16":
            return "utf-16-le" if data.startswith(b"\xff\xfe") else "utf-16-be"
        case "utf-32":
            return "utf-32-le" if data.startswith(b"\xff\xfe") else "utf-32-be"
        case encoding:
            return encoding


def _is_plain(query: jsonpath.JSONPathQuery) -> bool:
    """Tell whether what a path selects does not hang on other values, nor on the length of a list."""
    return all(
        isinstance(one, NameSelector | WildcardSelector) or (isinstance(one, IndexSelector) and one.index >= 0)
        for segment in query.segments
        for one in segment.selectors
    )


def _names_in(query: jsonpath.JSONPathQuery) -> Iterator[str]:
    """Yield the last name of a path, which what it selects goes by."""
    for segment in reversed(query.segments):
        names = [one.name for one in segment.selectors if isinstance(one, NameSelector)]
        if names:
            yield from names
            return


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

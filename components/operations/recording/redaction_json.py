"""Redacting values of JSON documents by RFC 9535 path and by name; every other byte stays as it is."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import jsonpath_rfc9535 as jsonpath
from jsonpath_rfc9535.selectors import IndexSelector, NameSelector, WildcardSelector

from ...model import ValidationError
from ...model.credentials import CredentialNames, plain_name
from .json_spans import NAME_MEMBERS, VALUE_MEMBERS, Forbidden, documents, spans_of

REDACTED: Final = "[redacted]"
"""Stands where a value was."""

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

_NAMES: Final = "|".join(sorted(NAME_MEMBERS))

_STRING: Final = re.compile(r'"([^"\\]*+)\\*+"\s*+[,}\]]')
"""A text that is a value, perhaps the name of another one."""

_NAMED_VALUE: Final = re.compile(rf'"(?:{"|".join(sorted(VALUE_MEMBERS))})\\*+"\s*+:|\[\s*+\[', re.IGNORECASE)
"""What is there where a name stands beside its value: a member for it, or lists in a list."""

_NAME_BEFORE_VALUE: Final = re.compile(
    rf"(?:^[ \t-]*+(?:{_NAMES})[ \t]*+:[ \t]*+[\"']?|<(?:{_NAMES})>\s*+)([\w.-]++)[\"']?(?:[ \t]*+$|\s*+</)",
    re.IGNORECASE | re.MULTILINE,
)
"""A line of YAML or an element of XML whose text is the name of a value beside it."""

_TAG: Final = re.compile(
    r"""<(?=[^<>]*?\s(?:id|key|name|property)\s*+=\s*+["']?(?P<name>[\w.-]++)(?:["'\s/>]|\Z))"""
    r"""[^<>]*?\s(?:content|value)\s*+=\s*+(?:"(?P<double>[^"]++)|'(?P<single>[^']++)|(?P<bare>[^\s"'<>]++))"""
)
"""A tag of HTML or XML that has a value and its name: hidden fields, ``meta``, settings."""

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
        found = sorted({name for query in self._queries for name in _names_in(query)})
        self._plain_names = sorted({plain_name(name).removeprefix("*") for name in (*names, *found)})
        selected = "|".join(map(re.escape, found))
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
        text = data.decode(_encoding_of(data), "replace")
        names = self._has_word(text) and (
            self._names_any(text, _MEMBER, _QUOTED, _ARGUMENT, _ELEMENT, _LINE, _NAME_BEFORE_VALUE)
            or self._names_beside(text)
        )
        return names or (self._mention is not None and self._mention.search(text) is not None)

    def mentions(self, data: bytes) -> bool:
        """Tell whether bytes that are no text may name something that is forbidden, whatever stands around it."""
        text = plain_name(data.decode("latin-1"))
        return any(name in text for name in self._plain_names)

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
        return _without(text, spans, f'"{REDACTED}"').encode(encoding, "surrogatepass"), len(spans)

    def redact_tags(self, data: bytes) -> tuple[bytes, int]:
        """Return markup without the values of tags that have a forbidden name as well."""
        text = data.decode("latin-1")
        spans = [tag.span(tag.lastgroup or 0) for tag in _TAG.finditer(text) if self.is_secret(tag["name"])]
        return _without(text, spans, REDACTED).encode("latin-1"), len(spans)

    def is_secret(self, name: str) -> bool:
        """Tell whether a name is forbidden."""
        return name in self._names

    def _holds_secret(self, value: str) -> bool:
        """Tell whether a text within a document is a document or a query itself that names something forbidden."""
        if '\\"' in value and (self._names_any(value, _MEMBER, _ARGUMENT) or self._names_beside(value)):
            return True
        return "'" in value and self._names_any(value, _QUOTED)

    def _may_name(self, text: str) -> bool:
        """Tell whether a text may have a forbidden name."""
        if not self._last_words:
            return False
        has_name = self._has_word(text) and (
            self._names_any(text, _MEMBER, _QUOTED, _ARGUMENT) or self._names_beside(text)
        )
        return has_name or ("\\u" in text and _ESCAPE.search(text) is not None)

    def _has_word(self, text: str) -> bool:
        # Most texts have none of the words, which is found out in a tenth of the time.
        lower = text.lower()
        return any(word in lower for word in self._last_words)

    def _names_any(self, text: str, *patterns: re.Pattern[str]) -> bool:
        return any(name in self._names for pattern in patterns for name in set[str](pattern.findall(text)))

    def _names_beside(self, text: str) -> bool:
        return _NAMED_VALUE.search(text) is not None and self._names_any(text, _STRING)

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


def _without(text: str, spans: Iterable[tuple[int, int]], replacement: str) -> str:
    pieces, position = list[str](), 0
    for first, end in spans:
        pieces += text[position:first], replacement
        position = end
    return "".join((*pieces, text[position:]))


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

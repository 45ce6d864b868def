"""Comparing bodies by what they hold: JSON, lines of JSON, XML, text by lines, or bytes."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto, unique
from typing import Any, Final, NamedTuple
from xml.parsers import expat

import orjson

from .differences import Change, Difference, OversizedNumber, Unordered, compare_values

MAX_NODES: Final = 1_000_000
"""Values of a document that are looked at one by one: about 100 MB as objects. Larger ones are compared as text."""

_MAX_LINES: Final = 500
"""Lines told apart by their number."""

_JSON_START: Final = re.compile(rb"(?:\xef\xbb\xbf)?[\x1e\s]*[{\[]")
"""How objects and lists begin; with 0x1e for RFC 7464's sequences."""

_XML_START: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")

_BLANK: Final = re.compile(r"[\x1e\s]*")

_LATIN_1: Final = re.compile(r"charset\s*=\s*\"?(?:iso-8859-1|latin-?1|windows-1252)\b", re.IGNORECASE)


_MAX_XML_DEPTH: Final = 200


@unique
class Form(Enum):
    """What a body is, by its content."""

    JSON = auto()
    JSON_LINES = auto()
    """Several documents, one after the other."""
    XML = auto()
    TEXT = auto()
    BYTES = auto()


class Content(NamedTuple):
    """A body that was looked into."""

    form: Form
    value: Any
    """Values for JSON, a list of them for lines of it, :class:`XmlTexts`, lines of text, or the bytes themselves."""


@dataclass(frozen=True, slots=True)
class XmlTexts:
    """What an XML document says."""

    by_path: Mapping[str, Sequence[str]]
    """Texts of elements and attributes: ``/order/item/@sku`` and the like, each in their order."""
    order: Sequence[tuple[str, str]]
    """The same in the order of the document."""


_ANY_DIGIT: Final = bytes.maketrans(b"123456789.", b"0" * 10)

_LONG: Final = b"0" * 16
"""Digits, a point among them, of a number that may lose some as floating point; every decimal of 15 digits is kept.
Source: IEEE 754, binary64."""

_ZEROS: Final = re.compile(rb"0+")

_TINY: Final = re.compile(rb"\d[eE]-0*[1-9]\d\d")
"""A number with an exponent below which floating point keeps fewer digits, or none. Source: IEEE 754, binary64."""

_ESCAPED_QUOTE: Final = b"\\u0022"


def compare_bodies(
    primary: bytes, mirror: bytes, media_types: tuple[str, str], *, unordered: Unordered | None = None
) -> Iterable[Difference]:
    """Return where two bodies differ.

    Args:
        primary: Without any coding.
        mirror: Likewise.
        media_types: What ``content-type`` says of each; may be empty or wrong, so that the content decides.
        unordered: Which lists are compared as sets.
    """
    if primary == mirror:
        return ()
    documents = _read_fast(primary, mirror, media_types)
    if documents is not None:
        return _compare_json(*documents, primary, mirror, unordered)
    one, other = read_content(primary, media_types[0]), read_content(mirror, media_types[1])
    if one.form is other.form:
        match one.form:
            case Form.JSON | Form.JSON_LINES:
                return _compare_json(one.value, other.value, primary, mirror, unordered)
            case Form.XML:
                return _compare_xml(one.value, other.value)
            case Form.TEXT:
                return _compare_lines(one.value, other.value)
            case Form.BYTES:
                pass
    return [Difference("body", Change.VALUE, primary, mirror)]


def _read_fast(primary: bytes, mirror: bytes, media_types: tuple[str, str]) -> tuple[Any, Any] | None:
    """Read two JSON documents several times as fast as :func:`read_content`, if nothing is lost by that."""
    if not (_may_be_json(primary, media_types[0]) and _may_be_json(mirror, media_types[1])):
        return None
    long, other_long = _long_numbers(primary), _long_numbers(mirror)
    if long != other_long:
        if len(long) != len(other_long):
            return None
        for one, other in zip(long, other_long, strict=True):
            if one != other and _is_close(one, other):
                return None
    try:
        return orjson.loads(primary), orjson.loads(mirror)
    except orjson.JSONDecodeError:
        return None


def _may_be_json(data: bytes, media_type: str) -> bool:
    is_said = data[:1] == b"{" or "json" in media_type.lower() or _JSON_START.match(data) is not None
    return is_said and not _has_too_many(data) and not _may_be_tiny(data)


def _has_too_many(data: bytes) -> bool:
    # Counting is spared where there is no room for so many.
    return len(data) > MAX_NODES and data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_NODES


def _may_be_tiny(data: bytes) -> bool:
    # The expression alone would take as long as reading.
    return (b"e-" in data or b"E-" in data) and _TINY.search(data) is not None


def _long_numbers(data: bytes) -> list[bytes]:
    """Return every long run of digits; several times as fast as a regular expression."""
    digits = data.translate(_ANY_DIGIT)
    position = digits.find(_LONG)
    found: list[bytes] = []
    while position >= 0:
        run = _ZEROS.match(digits, position)
        end = run.end() if run else position + 1
        found.append(data[position:end])
        position = digits.find(_LONG, end)
    return found


def _is_close(one: bytes, other: bytes) -> bool:
    """Tell whether two runs of digits may be one floating point number; where they are no numbers, they may."""
    try:
        return float(one) == float(other)
    except ValueError:
        return True


def read_content(data: bytes, media_type: str) -> Content:
    """Tell what a body is, and read it."""
    declared = media_type.partition(";")[0].strip().lower()
    if "json" in declared or _JSON_START.match(data):
        found = _read_json(data)
        if found is not None:
            return found
    if _XML_START.match(data) and "html" not in declared:
        texts = _read_xml(data)
        if texts is not None:
            return Content(Form.XML, texts)
    try:
        text = data.decode("latin-1" if _LATIN_1.search(media_type) else "utf-8")
    except UnicodeDecodeError:
        return Content(Form.BYTES, data)
    return Content(Form.BYTES, data) if "\0" in text else Content(Form.TEXT, text.split("\n"))


def _compare_json(
    one: Any,  # noqa: ANN401 -- JSON values
    other: Any,  # noqa: ANN401 -- see above
    primary: bytes,
    mirror: bytes,
    unordered: Unordered | None,
) -> list[Difference]:
    try:
        found = compare_values(one, other, "body $", unordered=unordered)
    except RecursionError:
        found = [Difference("body", Change.VALUE, primary, mirror)]
    # A name that comes twice has two values, of which readers take one or the other.
    may_repeat = _may_repeat(one, primary) or _may_repeat(other, mirror)
    if may_repeat and _repeated(primary) != _repeated(mirror):
        found.append(Difference("body", Change.VALUE, primary, mirror))
    return found


def _may_repeat(value: Any, data: bytes) -> bool:  # noqa: ANN401 -- JSON values
    """Tell many times as fast as :func:`_repeated` where no name comes twice: every quotation mark is still there."""
    try:
        return orjson.dumps(value).count(b'"') != data.count(b'"') or _ESCAPED_QUOTE in data
    except TypeError:  # decimals, large numbers, lone surrogates, deep nesting
        return True


def _read_json(data: bytes) -> Content | None:
    if _has_too_many(data):
        return None
    try:
        text = data.decode(json.detect_encoding(data), "surrogatepass").removeprefix("\ufeff")
        try:
            return Content(Form.JSON, _DECODER.decode(text))
        except json.JSONDecodeError:
            return Content(Form.JSON_LINES, list(_documents(text)))
        except (ValueError, ArithmeticError):  # more digits than Python reads by default, a larger exponent than any
            return Content(Form.JSON, _EXACT_DECODER.decode(text))
    except (ValueError, RecursionError):
        return None


def _documents(text: str) -> Iterator[Any]:
    """Yield the documents of a text that has one after the other, in lines or not.

    Raises:
        ValueError: It has something else.
    """
    position = _end_of_blank(text, 0)
    if position == len(text):
        raise ValueError
    while position < len(text):
        value, position = _EXACT_DECODER.raw_decode(text, position)
        yield value
        position = _end_of_blank(text, position)


def _end_of_blank(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


def _number(text: str) -> Decimal | OversizedNumber:
    try:
        return Decimal(text)
    except ArithmeticError:
        return OversizedNumber(text)


_DECODER: Final = json.JSONDecoder(parse_float=Decimal)
"""Numbers are exact: 0.1 and 0.10000000000000000001 differ, 1.0 and 1.00 do not."""

_EXACT_DECODER: Final = json.JSONDecoder(parse_float=_number, parse_int=_number)


def _repeated(data: bytes) -> list[list[tuple[str, Any]]] | None:
    """Return the members of every object whose name comes twice in it; ``None`` where it is nested too deeply."""
    found: list[list[tuple[str, Any]]] = []

    def note(members: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(members)
        if len(made) < len(members):
            times = Counter(name for name, _ in members)
            # The others are compared as they are, and may vary by themselves.
            found.append([member for member in members if times[member[0]] > 1])
        return made

    text = data.decode(json.detect_encoding(data), "surrogatepass").removeprefix("\ufeff")
    decoder, position = json.JSONDecoder(object_pairs_hook=note, parse_float=_number, parse_int=_number), 0
    try:
        while (position := _end_of_blank(text, position)) < len(text):
            _, position = decoder.raw_decode(text, position)
    except RecursionError:
        return None
    return found


def _compare_xml(primary: XmlTexts, mirror: XmlTexts) -> Iterator[Difference]:
    alike = True
    for path, texts in primary.by_path.items():
        others = mirror.by_path.get(path)
        if others is None:
            yield Difference(f"body {path}", Change.MISSING, texts[0], None)
        elif len(texts) != len(others):
            yield Difference(f"body {path}", Change.LENGTH, len(texts), len(others))
        for one, other in zip(texts, others or (), strict=False):
            if one != other:
                yield Difference(f"body {path}", Change.VALUE, one, other)
        alike = alike and texts == others
    for path, texts in mirror.by_path.items():
        if path not in primary.by_path:
            alike = False
            yield Difference(f"body {path}", Change.ADDED, None, texts[0])
    if alike and primary.order != mirror.order:
        first = next((pair for pair in zip(primary.order, mirror.order, strict=True) if pair[0] != pair[1]), None)
        if first:
            yield Difference("body order of elements", Change.VALUE, first[0][0], first[1][0])


def _read_xml(data: bytes) -> XmlTexts | None:
    """Read well-formed XML without a document type, which could define entities without end."""
    if data.count(b"<") + data.count(b"=") > MAX_NODES:
        return None
    reader = _XmlReader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError):
        return None
    by_path: dict[str, list[str]] = {}
    for path, text in reader.found:
        by_path.setdefault(path, []).append(text)
    return XmlTexts(by_path, reader.found)


class _XmlReader:
    """Notes every attribute and every text, blanks around it apart, with its path."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self._path: list[str] = []
        self._texts: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._note_text()
        self._path.append(name)
        if len(self._path) > _MAX_XML_DEPTH:
            raise ValueError
        path = "/" + "/".join(self._path)
        self.found.append((path, ""))
        self.found += [(f"{path}/@{key}", attributes[key]) for key in sorted(attributes)]

    def end(self, _name: str) -> None:
        self._note_text()
        self._path.pop()

    def text(self, text: str) -> None:
        self._texts.append(text)

    def refuse(self, *_declaration: object) -> None:
        raise ValueError

    def _note_text(self) -> None:
        text = "".join(self._texts).strip()
        self._texts.clear()
        if text:
            self.found.append((f"/{'/'.join(self._path)}/text()", text))


def _compare_lines(primary: list[str], mirror: list[str]) -> Iterator[Difference]:
    """Compare by line numbers, apart from what is alike at the beginning and at the end."""
    if len(primary) == len(mirror) == 1:
        yield Difference("body", Change.VALUE, primary[0], mirror[0])
        return
    if len(primary) != len(mirror):
        yield Difference("body lines", Change.LENGTH, len(primary), len(mirror))
    first = _common(primary, mirror)
    last = _common(primary[first:][::-1], mirror[first:][::-1])
    middle = zip(primary[first : len(primary) - last], mirror[first : len(mirror) - last], strict=False)
    for number, (one, other) in enumerate(middle, first + 1):
        if one != other:
            name = f"body line {number}" if number <= _MAX_LINES else f"body line after {_MAX_LINES}"
            yield Difference(name, Change.VALUE, one, other)


def _common(primary: Sequence[str], mirror: Sequence[str]) -> int:
    """Return how many lines at the beginning are alike."""
    pairs = zip(primary, mirror, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(primary), len(mirror)))

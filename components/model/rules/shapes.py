"""Types, bounds and values of the fields of judged kinds, and what of an object the API server refuses by them.

The facts, in ``shapes.json``, are those of the CustomResourceDefinitions of Istio 1.31 and of the Gateway API 1.6.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any, Final, cast

from .nodes import UNKNOWN, Node
from .objects import KubeObject

Test = Callable[[Any], bool]
Fault = tuple[tuple[str | int, ...], str]
"""Where below a value something is wrong, and what."""

_ARTICLES: Final = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "integer or string": "a whole number or a text",
}
_WORDS: Final[Sequence[tuple[type, str]]] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (str, "a text"),
    (Mapping, "an object"),
    (Sequence, "a list"),
    (type(None), "null"),
)
_LABEL: Final = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NAME: Final = rf"{_LABEL}(?:\.{_LABEL})*"
FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    form: re.compile(pattern, re.ASCII)
    for form, pattern in {
        "label": _LABEL,
        "name": _NAME,
        "group": rf"(?:{_NAME})?",
        "host": rf"(?:\*\.)?{_NAME}",
        "kind": "[a-zA-Z](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?",
        "duration such as 1m30s": "(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}",
        "duration such as 1.5s": r"[-+]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|ms|s|m|h))+)",
        "header": r"[-A-Za-z0-9!#$%&'*+.^_`|~]+",
    }.items()
}
"""Names of the DNS, of kinds of Kubernetes and of headers, and durations as Go reads them."""

_MILLISECOND: Final = 0.001


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a field may be.

    Attributes:
        type: JSON's word for its type; ``integer or string`` for both, empty for any.
        fields: Shapes of an object's fields; of those that are not there nothing is known.
        each: Shape of each element of a list, or of each entry of an object whose names are free.
        needs: Fields that must be given.
        one_of: Fields of which one alone may be given.
        values: Its possible values; nothing for any.
        least: Least value of a number.
        most: Greatest value of a number.
        shortest: Fewest characters of a text.
        longest: Most characters of a text.
        fewest: Fewest elements of a list.
        up_to: Most elements of a list.
        distinct: Keys by which the elements of a list must differ, none for themselves; nothing where they need not.
        empty: Whether it may be null as an element of a list; null in an object is not given.
        duration: Whether it is a duration.
        form: Which form of names a text has; empty for any.
    """

    type: str = ""
    fields: "Mapping[str, Shape]"
    each: "Shape | None" = None
    needs: Sequence[str] = ()
    one_of: Sequence[Sequence[str]] = ()
    values: Sequence[object] = ()
    least: float | None = None
    most: float | None = None
    shortest: int | None = None
    longest: int | None = None
    fewest: int | None = None
    up_to: int | None = None
    distinct: Sequence[str] | None = None
    empty: bool = False
    duration: bool = False
    form: str = ""


def served_instead(subject: KubeObject) -> Sequence[str]:
    """Versions of an object's kind that there are where its own is none; nothing where it is one, or who knows."""
    versions = _read()["served"].get(subject.kind, ())
    return () if subject.root["apiVersion"].text().rpartition("/")[2] in versions else versions


def malformed(subject: KubeObject) -> Iterator[tuple[Node, str]]:
    """Fields of an object that are not what its definition says, with what is wrong."""
    shape = _shapes().get(subject.kind)
    if shape is None:
        return
    if "spec" not in subject.root.names():
        if subject.kind in _read()["with_spec"]:
            yield subject.spec, "spec is missing"
    else:
        yield from misshapen(subject.spec, shape)


def misshapen(place: Node, shape: Shape) -> Iterator[tuple[Node, str]]:
    """Places at and below one that are not of its shape, with what is wrong; fields that it does not have are right."""
    for path, reason in _faults(shape, place.value):
        node = place
        for key in path:
            node = node[key] if isinstance(key, str) else node.elements()[key]
        yield node, reason


def unknown_fields(subject: KubeObject) -> Iterator[tuple[Node, str, Collection[str]]]:
    """Fields of an object that its definition does not have: where, their name, and those that there are."""
    shape = _shapes().get(subject.kind)
    if shape is not None:
        yield from _unknown(subject.spec, shape)


def _unknown(place: Node, shape: Shape) -> Iterator[tuple[Node, str, Collection[str]]]:
    value = place.value
    if shape.each and shape.type == "array":
        for element in place.elements() if value is not UNKNOWN else ():
            yield from _unknown(element, shape.each)
    if shape.type != "object" or not isinstance(value, Mapping):
        return
    for key, node in place.entries():
        below = shape.fields.get(key, shape.each)
        if below is not None and (below.fields or below.each):
            yield from _unknown(node, below)
        elif below is None and shape.fields:
            yield place, key, shape.fields.keys()


def is_plain(subject: KubeObject) -> bool:
    """Whether all of an object is surely what its definition says, by a look that is quick because nearly all are."""
    test = _tests().get(subject.kind)
    return test is not None and test(subject.spec.value)


@cache
def _tests() -> Mapping[str, Test]:
    return {kind: _test(shape, {}, others=_is_nothing) for kind, shape in _shapes().items()}


def loose_test(shape: Shape) -> Test:
    """A quick test whether a value is surely of a shape, whatever it has beside the shape's fields."""
    return _test(shape, {}, others=_is_anything)


def _test(shape: Shape, made: dict[int, Test], *, others: Test) -> Test:
    """A test whether a value is of a shape, with ``others`` for its further fields; what is not told at once is not."""
    known = made.get(id(shape))
    if known is None:
        if shape.type == "object":
            known = _object_test(shape, made, others=others)
        elif shape.type == "array" and shape.each and not (shape.fewest or shape.up_to or shape.distinct is not None):
            known = partial(_are_all, _test(shape.each, made, others=others))
        elif shape.type == "string" and not any(
            (shape.values, shape.form, shape.duration, shape.shortest, shape.longest)
        ):
            known = _is_text
        elif shape.type == "string" and shape.values:
            known = partial(_is_one_of, frozenset(shape.values))
        elif shape.type == "integer" and not shape.values:
            known = partial(_is_between, shape.least, shape.most)
        else:
            known = partial(_has_no_fault, shape)
        made[id(shape)] = known
    return known


def _object_test(shape: Shape, made: dict[int, Test], *, others: Test) -> Test:
    tests = {name: _test(each, made, others=others) for name, each in shape.fields.items()}
    beside = _test(shape.each, made, others=others) if shape.each else others
    free = not tests and not shape.each
    needs, one_of = shape.needs, shape.one_of
    bound = bool(needs or one_of)

    def fits(value: Any) -> bool:  # noqa: ANN401 -- what anybody wrote
        if value.__class__ is not dict:
            return False
        for key, inner in () if free else value.items():
            test = tests.get(key, beside)
            if test is _is_text:  # most are, and a call takes its time
                if inner.__class__ is not str:
                    return False
            elif not test(inner):
                return False
        return not bound or (
            all(name in value for name in needs)
            and not any(sum(name in value for name in names) > 1 for names in one_of)
        )

    return fits


def _are_all(test: Test, value: Any) -> bool:  # noqa: ANN401 -- what anybody wrote
    return value.__class__ is list and all(map(test, value))


def _is_anything(value: Any) -> bool:  # noqa: ANN401 -- what anybody wrote
    del value
    return True


def _is_nothing(value: Any) -> bool:  # noqa: ANN401 -- what anybody wrote
    del value
    return False


def _is_one_of(values: Collection[object], value: Any) -> bool:  # noqa: ANN401 -- what anybody wrote
    return value.__class__ is str and value in values


def _is_between(least: float | None, most: float | None, value: Any) -> bool:  # noqa: ANN401 -- what anybody wrote
    return value.__class__ is int and (least is None or least <= value) and (most is None or value <= most)


def _is_text(value: Any) -> bool:  # noqa: ANN401 -- what anybody wrote
    return value.__class__ is str


def _has_no_fault(shape: Shape, value: Any) -> bool:  # noqa: ANN401 -- what anybody wrote
    return value is not UNKNOWN and not _faults(shape, value)


@cache
def _read() -> Mapping[str, Any]:
    return json.loads(files(__name__.rpartition(".")[0]).joinpath("shapes.json").read_text(encoding="utf-8"))


@cache
def _shapes() -> Mapping[str, Shape]:
    read = _read()
    made: list[Shape] = []
    for written in map(dict[str, Any], read["shapes"]):
        fields = {name: made[number] for name, number in cast("dict[str, int]", written.pop("fields", {})).items()}
        number: int | None = written.pop("each", None)
        made.append(Shape(fields=fields, each=None if number is None else made[number], **written))
    return {kind: made[number] for kind, number in cast("dict[str, int]", read["kinds"]).items()}


def _faults(shape: Shape, value: Any) -> Sequence[Fault]:  # noqa: ANN401 -- what anybody wrote
    """What is wrong at and below a value; quick where nothing is, as nearly always."""
    judge = _JUDGES.get(value.__class__)
    if judge:
        return judge(shape, value)
    if value is UNKNOWN or (value is None and shape.empty):
        return ()
    # The host of policies hands objects over in types of its own.
    judge = next((each for kind, each in _ALIKE if isinstance(value, kind)), _scalar_faults)
    return judge(shape, value)


def _object_faults(shape: Shape, value: Mapping[str, Any]) -> Sequence[Fault]:
    if shape.type != "object":
        return _wrong(shape, value) if shape.type else ()
    found: list[Fault] = []
    for key, inner in value.items():
        below = shape.fields.get(key, shape.each)
        if below is not None and (faults := _faults(below, inner)):
            found += [((key, *path), reason) for path, reason in faults]
    found += [((), f"{name} is missing") for name in shape.needs if name not in value]
    for names in shape.one_of:
        given = [name for name in names if name in value]
        if len(given) > 1:
            found.append(((), f"{' and '.join(given)} exclude each other"))
    return found


def _list_faults(shape: Shape, value: Sequence[Any]) -> Sequence[Fault]:
    if shape.type != "array":
        return _wrong(shape, value) if shape.type else ()
    found: list[Fault] = []
    if shape.fewest is not None and len(value) < shape.fewest:
        found.append(((), f"at least {shape.fewest} must be given"))
    if shape.up_to is not None and len(value) > shape.up_to:
        found.append(((), f"at most {shape.up_to} may be given"))
    if shape.distinct is not None and (twice := _given_twice(shape.distinct, value)):
        found.append(((), f"{twice} is given twice"))
    each = shape.each
    for index, inner in enumerate(value) if each else ():
        if each and (faults := _faults(each, inner)):
            found += [((index, *path), reason) for path, reason in faults]
    return found


def _given_twice(keys: Sequence[str], values: Sequence[Any]) -> str:
    """What two elements of a list have, although they must differ in it; empty where all do."""
    if keys:
        objects = [cast("Mapping[str, object]", each) for each in values if isinstance(each, Mapping)]
        marks = [
            " ".join(f"the {key} {each[key]}" for key in keys) for each in objects if all(key in each for key in keys)
        ]
    else:
        marks = [str(each) for each in values if isinstance(each, str)]
    return next((mark for mark, times in Counter(marks).items() if times > 1), "")


def _text_faults(shape: Shape, value: str) -> Sequence[Fault]:
    if shape.type != "string":
        return _wrong(shape, value) if shape.type not in ("", "integer or string") else ()
    reason = ""
    if shape.values and value not in shape.values:
        reason = f"it must be one of {', '.join(map(str, shape.values))}"
    elif shape.shortest is not None and len(value) < shape.shortest:
        reason = "it must not be empty"
    elif shape.longest is not None and len(value) > shape.longest:
        reason = f"it has more than {shape.longest} characters"
    elif shape.form and not FORMS[shape.form].fullmatch(value):
        reason = f"{value or 'nothing'} is no {shape.form}"
    elif shape.duration:
        seconds = Node(value).seconds()
        if seconds is None:
            reason = "it is no duration"
        elif round(seconds / _MILLISECOND, 6) < 1:
            reason = "a duration must be at least 1ms"
    return (((), reason),) if reason else ()


def _scalar_faults(shape: Shape, value: Any) -> Sequence[Fault]:  # noqa: ANN401 -- what anybody wrote
    fits = {
        "": True,
        "boolean": value.__class__ is bool,
        "number": value.__class__ in (int, float),
        "integer": _is_whole(value),
        "integer or string": _is_whole(value),
    }
    if not fits.get(shape.type, False):
        return _wrong(shape, value)
    if shape.values and value not in shape.values:
        return (((), f"it must be one of {', '.join(map(str, shape.values))}"),)
    if shape.least is not None and value < shape.least:
        return (((), f"it must be at least {shape.least:g}"),)
    if shape.most is not None and value > shape.most:
        return (((), f"it must be at most {shape.most:g}"),)
    return ()


def _is_whole(value: object) -> bool:
    return value.__class__ is int or (isinstance(value, float) and value.is_integer())


def _wrong(shape: Shape, value: object) -> Sequence[Fault]:
    written = next((word for kind, word in _WORDS if isinstance(value, kind)), "that")
    return (((), f"it must be {_ARTICLES[shape.type]}, not {written}"),)


Judge = Callable[[Shape, Any], Sequence[Fault]]

_JUDGES: Final[Mapping[type, Judge]] = {str: _text_faults, dict: _object_faults, list: _list_faults}
_ALIKE: Final[Sequence[tuple[type, Judge]]] = (
    (str, _text_faults),
    (Mapping, _object_faults),
    (Sequence, _list_faults),
)

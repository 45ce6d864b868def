"""Conditions of a VirtualService's entry joined with those of a mirror: what satisfies both, as Istio reads them."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

from ..errors import ValidationError
from ..jsontypes import JsonObject, JsonValue

_ALTERNATIVES: Final = re.compile(r"\^?\(?([A-Z]+(?:\|[A-Z]+)*)\)?\$?")
"""A regular expression that is a list of HTTP methods, e.g. ``^(GET|HEAD)$``."""

_ANYTHING: Final = (".*", "^.*$")
"""Regular expressions that any value satisfies."""


def joined_matches(theirs: Sequence[JsonObject], ours: Sequence[JsonObject], field: str) -> list[JsonObject]:
    """Every pair of matches that one request can satisfy, joined; none where no request can.

    Args:
        theirs: Matches of the entry; all their other conditions are kept.
        ours: Conditions of a mirror on path, method, headers and headers that must be absent.
        field: Path of the entry's matches, for messages.

    Raises:
        ValidationError: It cannot be told, because a regular expression meets another condition.
    """
    pairs = [_joined(match, wanted, f"{field}[{index}]") for index, match in enumerate(theirs) for wanted in ours]
    found: list[JsonObject] = []
    for match in pairs:
        if match is not None and match not in found:
            found.append(match)
    return found


def _joined(match: JsonObject, wanted: JsonObject, field: str) -> JsonObject | None:
    joint = dict(match)
    if "uri" in wanted:
        if "uri" in match and match.get("ignoreUriCase"):
            raise _refusal(f"{field}.ignoreUriCase", True, "compares paths in another way than the mirror's match does")
        uri = _both(_test(match, "uri"), _test(wanted, "uri"), f"{field}.uri")
        if uri is None:
            return None
        joint["uri"] = uri
    if "method" in wanted:
        method = _method(_test(match, "method"), _test(wanted, "method"), f"{field}.method")
        if method is None:
            return None
        joint["method"] = method
    for key in ("headers", "withoutHeaders"):
        tests = dict(_tests(match, key))
        for name, test in _tests(wanted, key).items():
            given = next((each for each in tests if each.lower() == name), name)
            mine = cast("JsonObject", test)
            both = mine if key == "withoutHeaders" else _both(tests.get(given), mine, f"{field}.headers.{name}")
            if both is None:
                return None
            tests[given] = both
        if tests:
            joint[key] = tests
    return joint


def _test(match: JsonObject, key: str) -> JsonValue:
    return match.get(key)


def _tests(match: JsonObject, key: str) -> Mapping[str, JsonValue]:
    given = match.get(key)
    return given if isinstance(given, dict) else {}


def _both(theirs: JsonValue, ours: JsonValue, field: str) -> JsonObject | None:
    """One test for both; None where no value satisfies both."""
    first, second = _read(theirs, field), _read(ours, field)
    if second is None or first == second:
        return _written(first, theirs)
    if first is None:
        return _written(second, ours)
    (kind, value), (other_kind, other) = first, second
    if "regex" in (kind, other_kind):
        raise _refusal(field, value if kind == "regex" else other, "is a regular expression beside another condition")
    longer, shorter = (first, second) if len(value) >= len(other) else (second, first)
    if shorter[0] == "exact" or not longer[1].startswith(shorter[1]):
        return None
    return {longer[0]: longer[1]}


def _read(test: JsonValue, field: str) -> tuple[str, str] | None:
    """Kind and value of a test; None for one that anything satisfies which is there."""
    if not isinstance(test, dict) or not test:
        return None
    (kind, value), *more = test.items()
    if more or kind not in ("exact", "prefix", "regex") or not isinstance(value, str):
        raise _refusal(field, str(test), "is no test that Istio knows")
    return None if kind == "regex" and value in _ANYTHING else (kind, value)


def _written(test: tuple[str, str] | None, given: JsonValue) -> JsonObject:
    return {test[0]: test[1]} if test else cast("JsonObject", given or {"regex": ".*"})


def _method(theirs: JsonValue, ours: JsonValue, field: str) -> JsonObject | None:
    read = _read(theirs, field)
    listed = _ALTERNATIVES.fullmatch(read[1]) if read and read[0] == "regex" else None
    if listed:
        wanted = _read(ours, field)
        return cast("JsonObject", ours) if wanted and wanted[1] in listed[1].split("|") else None
    return _both(theirs, ours, field)


def _refusal(field: str, value: object, rule: str) -> ValidationError:
    return ValidationError(
        field=field,
        value=value,
        rule=f"{rule}, and the two cannot be joined into one match",
        remedy="Write it without, or hang a MirrorOverlay on the hosts, which joins any conditions",
    )

"""What aims an overlay's mirror: a header whose value is a cluster where a condition holds, read back as rendered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_AIMED: Final = re.compile(r"%CEL\((?P<condition>.+) \? '(?P<cluster>outbound\|[^']*)' : ''\)%", re.DOTALL)
"""Value of a header that is set to a cluster's name where a condition holds, as overlays are rendered."""

_ATOM: Final = re.compile(
    r"(?:request\.(?P<part>method|host|url_path)|request\.headers\['(?P<name>[^']*)'\])"
    r"(?: == '(?P<equal>[^']*)'|\.(?P<test>startsWith|matches)\('(?P<value>[^']*)'\))"
    r"|'(?P<present>[^']*)' in request\.headers"
)
_METHOD: Final = re.compile(r"request\.method == '([^']*)'")
_METHODS: Final = re.compile(r"request\.method in \[((?:'[^']*'(?:, ?)?)+)\]")
_PATH: Final = re.compile(r"request\.url_path == '([^']*)'")
_HOST: Final = re.compile(r"request\.host == '([^']*)'")
_ABSENT: Final = re.compile(r"!\('([^']*)' in request\.headers\)")
_GROUPED: Final = re.compile(r"\([^()]*\)")
"""A part in brackets that has none within, not even in a literal, where overlays write them as ``\\xNN``."""

_LITERAL: Final = re.compile(r"'[^']*'")
_GROUP: Final = re.compile(r"(?P<not>!?)\((?P<inner>[01](?: && [01])*|[01](?: \|\| [01])*)\)")
"""Brackets around values that are joined in one way; a condition has no others."""


@dataclass(frozen=True)
class Aim:
    """What a header's value says.

    Attributes:
        condition: In CEL; empty where the value is of another form.
        cluster: Where copies go while it holds; empty likewise.
    """

    condition: str = ""
    cluster: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, as conditions see it.

    Attributes:
        method: Its method.
        authority: Its authority, with or without port.
        path: Its path; what follows a question mark does not count.
        headers: Its headers, names in lower case.
    """

    method: str
    authority: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def read_aim(value: str) -> Aim:
    """Read a header's value."""
    found = _AIMED.fullmatch(value)
    return Aim(found["condition"], found["cluster"]) if found else Aim()


def holds(condition: str, asked: Asked) -> bool | None:
    """Whether a condition takes a request; None where it is not written as overlays write theirs.

    Args:
        condition: In CEL.
        asked: The request.
    """
    try:
        values = _ATOM.sub(lambda atom: str(int(_atom(atom, asked))), condition)
    except re.error:
        return None
    values = _GROUP.sub(_group, values)
    return "0" not in values if re.fullmatch(r"[01](?: && [01])*", values) else None


def hosts_of(condition: str) -> tuple[str, ...]:
    """Authorities without port that a condition names; none where it takes any."""
    return tuple(dict.fromkeys(_plain(found[1]) for found in _HOST.finditer(condition)))


def absent_headers(condition: str) -> frozenset[str]:
    """Headers, in lower case, with any of which a condition takes no request, whatever else it asks for."""
    found = (_ABSENT.fullmatch(part) for part in _conjuncts(condition))
    return frozenset(_plain(each[1]).lower() for each in found if each)


def required_hosts(condition: str) -> tuple[str, ...]:
    """Authorities without port, one of which a condition asks for whatever else it does; none where it takes any."""
    for part in _conjuncts(condition):
        tests = list(_ATOM.finditer(part))
        if tests and all(test["part"] == "host" for test in tests) and not part.startswith("!"):
            return hosts_of(part)
    return ()


def required_methods(condition: str) -> tuple[str, ...]:
    """Methods one of which a condition asks for whatever else it does; none where it takes any."""
    for part in _conjuncts(condition):
        if listed := _METHODS.fullmatch(_bare(part)):
            return tuple(_plain(each[1:-1]) for each in _LITERAL.findall(listed[1]))
        if named := _alternatives(part, _METHOD):
            return named
    return ()


def required_paths(condition: str) -> tuple[str, ...]:
    """Whole paths one of which a condition asks for whatever else it does; none where it takes others."""
    return next((named for part in _conjuncts(condition) if (named := _alternatives(part, _PATH))), ())


def _alternatives(part: str, test: re.Pattern[str]) -> tuple[str, ...]:
    """What a part of a condition compares with, where it consists of tests of one kind; else nothing."""
    found = [test.fullmatch(each) for each in _bare(part).split(" || ")]
    return tuple(_plain(each[1]) for each in found if each) if all(found) else ()


def _bare(part: str) -> str:
    """A part without the brackets around all of it."""
    return part[1:-1] if _GROUPED.fullmatch(part) else part


def _conjuncts(condition: str) -> list[str]:
    """Parts of a condition all of which hold where it does; the whole where they are joined otherwise."""
    masked = _LITERAL.sub(lambda literal: "'" * len(literal[0]), condition)
    depth, start = 0, 0
    parts: list[str] = []
    for place, char in enumerate(masked):
        depth += (char == "(") - (char == ")")
        if depth == 0 and masked.startswith((" || ", " ? "), place):
            return [condition]
        if depth == 0 and masked.startswith(" && ", place):
            parts.append(condition[start:place])
            start = place + len(" && ")
    return [*parts, condition[start:]]


def _group(found: re.Match[str]) -> str:
    inner = found["inner"]
    value = "1" in inner if "||" in inner else "0" not in inner
    return str(int(value != bool(found["not"])))


def _atom(found: re.Match[str], asked: Asked) -> bool:
    if found["present"]:
        return _plain(found["present"]) in asked.headers
    if found["part"]:
        bare = asked.path.partition("?")[0]
        seen = {"method": asked.method, "host": asked.authority, "url_path": bare}[found["part"]]
    elif (name := _plain(found["name"])) in asked.headers:
        seen = asked.headers[name]
    else:
        return False
    if found["test"] == "matches":
        return re.search(_plain(found["value"]), seen) is not None
    return seen.startswith(_plain(found["value"])) if found["test"] else seen == _plain(found["equal"])


def _plain(literal: str | None) -> str:
    r"""The text of a literal; everything but its plainest characters is written as ``\xNN``."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), literal or "")

"""Conditions of an overlay in CEL: a closed grammar, whose every literal is written so that it ends nothing early.

A condition that Envoy refuses would freeze all routes of the gateway at their last good state, so none is ever taken
from outside.
"""

import re
from collections.abc import Iterable, Sequence

from ..matching import HeaderMatch, HeaderTest, Match, Selection
from ..mirror_checks import UPGRADE_HEADER
from ..paths import PathTest

_PLAIN = re.compile(r"[A-Za-z0-9/._:|-]")


def literal(text: str) -> str:
    """ASCII text as a CEL string; as they are, quotes, brackets and percent signs would end it or the format early."""
    return "'" + "".join(char if _PLAIN.fullmatch(char) else f"\\x{ord(char):02x}" for char in text) + "'"


def condition(selection: Selection, marks: Iterable[str], hosts: Sequence[str] = ()) -> str:
    """The requests that are copied, as a CEL expression.

    Args:
        selection: What the mirror takes.
        marks: Headers of copies, which are not copied again.
        hosts: Authorities without port, one of which the request carries; empty for any.
    """
    # What most requests fail comes first: the proxy reads a condition only as far as it must.
    parts = _request_line(selection.match) if selection.match else []
    if hosts:
        parts.append(_any_of(_host(host) for host in hosts))
    absent = [*marks, *(() if selection.upgrades else (UPGRADE_HEADER,))]
    parts += [f"!({literal(name)} in request.headers)" for name in absent]
    parts += [_header(header) for header in selection.match.headers] if selection.match else []
    return " && ".join(parts)


def aimed(expression: str, cluster: str) -> str:
    """Envoy's format of a header value: the cluster where ``expression`` holds, else nothing, which sets no header."""
    return f"%CEL({expression} ? {literal(cluster)} : '')%"


def _request_line(match: Match) -> list[str]:
    parts: list[str] = []
    if match.path_tests:
        parts.append(_any_of(_path(test) for test in match.path_tests))
    if match.http_methods:
        parts.append(_any_of(f"request.method == {literal(method)}" for method in match.http_methods))
    return parts


def _any_of(alternatives: Iterable[str]) -> str:
    return f"({' || '.join(alternatives)})"


def _host(host: str) -> str:
    return f"request.host == {literal(host)} || request.host.startsWith({literal(host + ':')})"


def _path(test: PathTest) -> str:
    if not test.below:
        return f"request.url_path == {literal(test.path)}"
    if test.path == "/":
        return "request.url_path.startsWith('/')"
    # What lies below first: most requests that are copied end the test there.
    return f"request.url_path.startsWith({literal(test.path + '/')}) || request.url_path == {literal(test.path)}"


def _header(header: HeaderMatch) -> str:
    name, value = literal(header.name), header.value
    present = f"{name} in request.headers"
    read = f"request.headers[{name}]"
    if header.test is HeaderTest.PRESENT:
        return f"({present})"
    if header.test is HeaderTest.EXACT:
        return f"({present} && {read} == {literal(value)})"
    if header.test is HeaderTest.PREFIX:
        return f"({present} && {read}.startsWith({literal(value)}))"
    # CEL looks for a part of the value that fits; routes hold the expression against the whole.
    return f"({present} && {read}.matches({literal(f'^(?:{value})$')}))"

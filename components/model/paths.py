"""HTTP paths: how they are written, and which of them satisfy two conditions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from .errors import ValidationError

MAX_PATH_LENGTH: Final = 1_024
"""Longest path in a condition. Source: the Gateway API's HTTPPathMatch."""


class HttpPath(str):
    """Path of a request as it travels: begins with ``/``, ASCII without blanks, no query and no fragment.

    Raises:
        ValidationError: Any of these does not hold, or a proxy would never see such a path after it has normalised it.
    """

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "path") -> Self:
        """Validate ``value``; ``field`` is its path in an error."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
            rule, remedy = "must be a text", "Write for example '/api/orders'"
        else:
            rule, remedy = _fault(value)
        if rule:
            raise ValidationError(field=field, value=value, rule=rule, remedy=remedy)
        return super().__new__(cls, value)

    @property
    def without_slash(self) -> "HttpPath":
        """The path as a prefix by segment: without a slash at its end, which would mean the same."""
        return HttpPath(self.rstrip("/") or "/")


def _fault(path: str) -> tuple[str, str]:  # noqa: PLR0911 -- one line per rule
    if not path.startswith("/"):
        return "must begin with '/'", "Write for example '/api/orders'"
    if "?" in path or "#" in path:
        return "must have no query and no fragment, which play no part", "Cut it off, or match a header"
    if not path.isascii() or not path.isprintable() or " " in path:
        return "must be written as it travels, without blanks and beyond-ASCII letters", "Percent-encode it ('%20')"
    if "*" in path:
        return "must have no wildcard", "Use path_prefixes, which take everything below a path"
    if "//" in path or any(part in (".", "..") for part in path.split("/")):
        return "must be normalised, as proxies normalise what they get", "Resolve '.', '..' and '//'"
    if len(path) > MAX_PATH_LENGTH:
        return f"must have at most {MAX_PATH_LENGTH} characters, has {len(path)}", "Name a path above it"
    return "", ""


@dataclass(frozen=True, kw_only=True)
class PathTest:
    """A condition on the path.

    Attributes:
        path: The path.
        below: Whether everything below it, by segment, is taken as well.
    """

    path: str
    below: bool = False

    def joined(self, other: "PathTest") -> "PathTest | None":
        """What satisfies both; None where no path does."""
        if self.below and _is_within(other.path, self.path):
            return other
        if other.below and _is_within(self.path, other.path):
            return self
        return self if self == other else None


def _is_within(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def common_paths(first: Sequence[PathTest], second: Sequence[PathTest]) -> list[PathTest] | None:
    """What both lists allow, where an empty list allows anything; None when they share nothing."""
    if not first or not second:
        return [*first, *second]
    found = dict.fromkeys(joint for one in first for two in second if (joint := one.joined(two)))
    covered = [each for each in found if any(each != other and each.joined(other) == each for other in found)]
    return [each for each in found if each not in covered] or None

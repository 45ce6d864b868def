"""Grouping requests by what they call, in a bounded number of groups."""

import re
from typing import Final

from .arrow import Column, pc

OTHER: Final = "(other)"
"""Where everything goes once there are too many groups."""

_PLAIN: Final = (
    r"\d+"  # a number
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}"  # a UUID
    r"|[0-9a-fA-F]{16,}"  # a hash or an object id
)
"""Identifiers, as an expression that RE2 knows as well."""

_IDENTIFIER: Final = re.compile(rf"{_PLAIN}|(?=[^/]*\d)[A-Za-z0-9_=-]{{20,}}")
"""And tokens."""


def endpoint_of(method: str, path: str, *, is_grpc: bool) -> str:
    """Return what is called: the full name of a gRPC method, or an HTTP method and path without identifiers.

    >>> endpoint_of("GET", "/users/17/orders?page=2", is_grpc=False)
    'GET /users/{id}/orders'
    """
    base = path.partition("?")[0]
    if is_grpc:
        return base.lstrip("/")
    segments = ["{id}" if is_identifier(segment) else segment for segment in base.split("/")]
    return f"{method} {'/'.join(segments)}"


def without_identifiers(paths: Column, is_grpc: Column) -> Column:
    """Return paths without queries and without most identifiers, so that few different ones are left.

    What :func:`endpoint_of` makes of them is the same.

    Args:
        paths: Of requests.
        is_grpc: Whether each is a gRPC call, whose path stays.
    """
    bare = pc.replace_substring_regex(paths, r"\?(?s:.*)", "")
    # Segments must not share a slash, because no two matches may.
    segments = pc.replace_substring(pc.binary_join_element_wise(bare, "", "/"), "/", "//")
    replaced = pc.replace_substring_regex(segments, f"/(?:{_PLAIN})/", "/{id}/")
    plain = pc.utf8_slice_codeunits(pc.replace_substring(replaced, "//", "/"), 0, -1)
    return pc.if_else(is_grpc, bare, plain)


def is_identifier(text: str) -> bool:
    """Tell whether a path segment or an object's key names one thing of many: a number, a UUID, a hash, a token."""
    return _IDENTIFIER.fullmatch(text) is not None


class Groups:
    """Names up to a limit; further ones become :data:`OTHER`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()
        self.overflowed = False
        """True once a name had to go into :data:`OTHER`."""

    def admit(self, name: str) -> str:
        """Return the name itself, or :data:`OTHER` when it is new and there are too many."""
        if name in self._known:
            return name
        if len(self._known) >= self._limit:
            self.overflowed = True
            return OTHER
        self._known.add(name)
        return name

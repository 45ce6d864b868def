"""Authorities that copies carry, and who takes them."""

from ...model.rules.hosts import covers
from ...model.values import SHADOW_SUFFIX


def carried(authority: str, *, suffixed: bool) -> str:
    """The authority that a copy carries.

    Args:
        authority: That of the call, with or without port.
        suffixed: Whether the proxy appends ``-shadow``, which goes before the port.
    """
    if not suffixed:
        return authority
    host, colon, port = authority.partition(":")
    return f"{host}{SHADOW_SUFFIX}{colon}{port}"


def accepts(hosts: tuple[str, ...], authority: str) -> bool:
    """Whether one of the hosts takes the authority; ports do not matter."""
    host = authority.partition(":")[0]
    return any(covers(pattern, host) for pattern in hosts)

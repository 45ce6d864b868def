"""Why a request has no whole answer, in few words that can be counted."""

import re
from typing import Final

from .libcurl import pycurl

TIMEOUT: Final = "timeout"
CUT_OFF: Final = "cut off"
UNANSWERED: Final = "connection closed without an answer"

_E_HTTP2_STREAM: Final = 92
"""pycurl has no name for it yet."""

_WORDS: Final = {
    pycurl.E_COULDNT_RESOLVE_HOST: "name not found",
    pycurl.E_GOT_NOTHING: UNANSWERED,
    pycurl.E_SEND_FAIL_REWIND: UNANSWERED,  # what may have side effects is not sent twice
    pycurl.E_PARTIAL_FILE: "answer broke off",
    pycurl.E_UNSUPPORTED_PROTOCOL: "no HTTP answer",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "malformed answer",
    pycurl.E_BAD_CONTENT_ENCODING: "malformed answer",
}
"""By libcurl's error code. Source: libcurl-errors(3)."""

_DEATHS: Final = frozenset({pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR, pycurl.E_HTTP2})
_STREAM_ERROR: Final = re.compile(r"error 0x[0-9a-f]+ ([A-Z0-9_]+)")
_DETAIL: Final = re.compile(r"(?<!HTTP/)\b(0x[0-9a-f]+|\d+(\.\d+)*)\b")


def is_death(code: int, message: str) -> bool:
    """Tell whether a connection ended without a word; libcurl then has none either, or the system's."""
    return code in _DEATHS and (not message or "failure: " in message)


def in_words(code: int, message: str, *, connected: bool, answered: bool) -> str:
    """Return the reason for libcurl's error.

    Args:
        code: libcurl's error code.
        message: Its text, which has numbers of streams, ports and times.
        connected: Whether there was a connection.
        answered: Whether some of the answer had come.
    """
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return TIMEOUT if connected else "timeout while connecting"
    if code == pycurl.E_COULDNT_CONNECT and "Could not connect" in message:
        return "connection refused"
    if is_death(code, message):
        return "answer broke off" if answered else UNANSWERED
    reset = _STREAM_ERROR.search(message)
    if code == _E_HTTP2_STREAM and reset:
        return f"stream reset by the server ({reset[1]})"
    return _WORDS.get(code) or _DETAIL.sub("N", message).strip() or f"libcurl's error {code}"

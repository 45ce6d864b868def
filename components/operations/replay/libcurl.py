"""The library pycurl in one place: the type stubs that checkers have of it are those of an older release."""

from typing import Any, Final

import pycurl as _pycurl

pycurl: Final[Any] = _pycurl


def error_of(error: BaseException) -> tuple[int, str] | None:
    """Return the code and text of libcurl's error; ``None`` for any other."""
    if not isinstance(error, _pycurl.error):
        return None
    code, message = (*error.args, "")[:2]
    return int(code), str(message)

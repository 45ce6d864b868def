"""Run by mitmdump, never imported here: hands the flows of a file on, one line of JSON each, and ends.

mitmproxy's own reader is the only one that knows every version of its files, and mitmproxy pins its dependencies so
narrowly that it can hardly be installed beside others. So it is asked where it is installed already.
"""

import base64
import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any, Final

_FILE: Final = "TRAFFIC_MIRROR_FLOWS"
"""Variable with the path of the file."""
_INTO: Final = "TRAFFIC_MIRROR_INTO"
"""Variable with the descriptor that the lines go to."""


def running() -> None:
    """Called by mitmdump once it is there."""
    with os.fdopen(int(os.environ[_INTO]), "w", encoding="ascii") as into:
        for document in _documents(Path(os.environ[_FILE])):
            into.write(json.dumps(document) + "\n")
    import_module("mitmproxy.ctx").master.shutdown()


def _documents(path: Path) -> Any:  # noqa: ANN401 -- a generator of what JSON takes
    reading: Any = import_module("mitmproxy.io")
    error: Any = import_module("mitmproxy.exceptions").FlowReadException
    try:
        with path.open("rb") as file:
            for flow in reading.FlowReader(file).stream():
                yield _flow(flow)
        yield {"end": ""}
    except error as reason:
        yield {"end": str(reason)}


def _flow(flow: Any) -> dict[str, Any]:  # noqa: ANN401 -- mitmproxy's
    if flow.type != "http":
        return {"type": flow.type}
    return {
        "type": "http",
        "id": flow.id,
        "changed": flow.modified(),
        "websocket": flow.websocket is not None,
        "error": flow.error is not None,
        "request": {
            **_message(flow.request),
            "method": flow.request.method,
            "scheme": flow.request.scheme,
            "authority": flow.request.authority or flow.request.host_header or flow.request.pretty_host,
            "path": flow.request.path,
        },
        "response": {**_message(flow.response), "status": flow.response.status_code} if flow.response else None,
    }


def _message(message: Any) -> dict[str, Any]:  # noqa: ANN401 -- mitmproxy's
    content = message.raw_content
    return {
        "headers": _headers(message.headers),
        "body": None if content is None else base64.b64encode(content).decode("ascii"),
        "trailers": _headers(message.trailers) if message.trailers else [],
        "begin": message.timestamp_start,
        "end": message.timestamp_end,
    }


def _headers(headers: Any) -> list[tuple[str, str]]:  # noqa: ANN401 -- mitmproxy's
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.fields]

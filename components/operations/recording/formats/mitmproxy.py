"""mitmproxy's flows, read by mitmproxy itself: a mitmdump of any release hands them on through a pipe."""

import base64
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ....model import ValidationError
from ..assembling import stated_length
from ..exchange import Ending, Exchange, Headers, octets
from . import mitmproxy_script
from .building import Whole, built
from .tally import Refused, Tally

CHANGED: Final = "flows that were changed in mitmproxy"
WEBSOCKET: Final = "WebSocket conversations, of which only the handshake is kept"

BEGINNING: Final = re.compile(rb"\d{1,12}:\d{1,12}:")
"""Of a file: the length of the first flow, and that of its first entry's name."""

_ENDS_SECONDS: Final = 20.0


def flows_of(path: Path, mitmdump: str, tally: Tally) -> Generator[Mapping[str, Any]]:
    """Yield what mitmproxy says of each flow.

    Args:
        path: The file.
        mitmdump: The program.
        tally: Where to count a file that ends early.

    Raises:
        ValidationError: There is no such program, or it does not do its work.
    """
    program = shutil.which(mitmdump)
    if program is None:
        raise ValidationError(
            field="--mitmdump",
            value=mitmdump,
            rule="must be mitmproxy's program, which reads its flows",
            remedy="Install mitmproxy in an environment of its own and name its mitmdump",
        )
    # Settings and scripts of the user's own are of no use here, so it gets an empty folder for them.
    with tempfile.TemporaryDirectory(prefix="traffic-mirror-mitmproxy-") as folder:
        ours, its = os.pipe()
        command = (program, "-n", "-q", "-s", mitmproxy_script.__file__, "--set", f"confdir={folder}")
        environment = {"TRAFFIC_MIRROR_FLOWS": str(path.absolute()), "TRAFFIC_MIRROR_INTO": str(its)}
        process = subprocess.Popen(
            command,
            env=os.environ | environment,
            pass_fds=[its],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its)
        end: str | None = None
        try:
            with os.fdopen(ours, encoding="ascii") as lines:
                for line in lines:
                    try:
                        document = json.loads(line)
                    except json.JSONDecodeError:
                        break  # it ended within
                    if "end" in document:
                        end = document["end"]
                    else:
                        yield document
        finally:
            process.terminate()
            try:
                process.wait(_ENDS_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    if end is None:
        raise ValidationError(
            field="--mitmdump",
            value=mitmdump,
            rule=f"must read {path}, and ended without",
            remedy=f"Try it by itself: {mitmdump} -n -r {path}",
        )
    if end:
        tally.records += 1
        tally.refuse("cut by the end of the file, or of a newer mitmproxy")


def read(flows: Iterable[Mapping[str, Any]], tally: Tally, *, source: str) -> Iterator[Exchange]:
    """Yield the exchanges of flows.

    Args:
        flows: What :func:`flows_of` yields.
        tally: Where to count what is left out.
        source: Who saw the traffic.
    """
    for flow in flows:
        tally.records += 1
        try:
            yield _exchange(flow, tally, source)
        except Refused as refused:
            tally.refuse(refused.reason)


def _exchange(flow: Mapping[str, Any], tally: Tally, source: str) -> Exchange:
    if flow["type"] != "http":
        raise Refused("no HTTP")
    request, response = flow["request"], flow["response"]
    pseudo = [(f":{name}", octets(request[name])) for name in ("method", "scheme", "authority", "path")]
    begun: float = request["begin"]
    exchange = built(
        _whole(request, pseudo),
        _whole(response, [(":status", str(response["status"]))], broken=flow["error"]) if response else None,
        source=source,
        started_at=_moment(begun),
        request_id=flow["id"],
        first_byte_us=_microseconds(begun, response and response["begin"]),
        duration_us=_microseconds(begun, response and response["end"]),
        ending=Ending.RESET if flow["error"] else Ending.COMPLETE,
    )
    if exchange is None:
        raise Refused("flow without a request")
    if flow["changed"]:
        tally.remark(CHANGED)
    if flow["websocket"]:
        tally.remark(WEBSOCKET)
    return exchange


def _whole(message: Mapping[str, Any], pseudo: list[tuple[str, str]], *, broken: bool = False) -> Whole:
    headers = (*pseudo, *(header for header in _headers(message["headers"]) if header[0] != "host"))
    # A body that mitmproxy streamed through is not in the flow.
    body = None if message["body"] is None else base64.b64decode(message["body"])
    size = stated_length(headers) if body is None else None
    trailers = _headers(message["trailers"])
    return Whole(headers=headers, body=body, trailers=trailers, cut=broken or body is None, size=size)


def _headers(fields: Iterable[tuple[str, str]]) -> Headers:
    return tuple((name.lower(), value) for name, value in fields)


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, OverflowError, ValueError, OSError):
        raise Refused("time out of range") from None


def _microseconds(begun: float, at: float | None) -> int | None:
    elapsed = (at - begun) * 1e6 if at else math.nan
    return max(0, round(elapsed)) if math.isfinite(elapsed) else None

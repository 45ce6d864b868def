"""Reading the requests of a recording."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ...model import ValidationError
from ..recording import Damage, RecordingReader, Side
from ..recording.frames import join
from ..recording.noted_rules import noted_headers
from ..recording.schema import headers_of, messages_of
from .choosing import Request
from .wire import Body

MOST: Final = 200_000
"""Requests that are taken at once; each needs about 3 KiB."""

MOST_KEPT: Final = 64 << 20
"""Bytes of all bodies that are kept; of further ones zeros are sent."""
MOST_SENT: Final = 16 << 20
"""Bytes of one body that are sent; Istio's and Envoy's limits are far below unless somebody raises them."""

_COLUMNS: Final = (
    *("request_id", "side", "source", "started_at", "method", "scheme", "authority", "path", "is_grpc"),
    *("request_headers", "request_body", "request_body_size", "request_truncated", "request_messages"),
)
_AS_THEY_ARE: Final = (*("request_id", "source", "started_at", "method", "scheme", "authority", "path", "is_grpc"),)
_LISTS: Final = {"request_headers": headers_of, "request_messages": messages_of}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a recording has.

    Attributes:
        requests: The requests of callers, in the order of the recording.
        copies: How many exchanges were copies, which are left out.
        damage: What could not be read.
        headers: The only headers that were recorded, of requests that had them; None for every one.
    """

    requests: tuple[Request, ...]
    copies: int
    damage: tuple[Damage, ...]
    headers: frozenset[str] | None = None


def read_requests(url: str) -> Recorded:
    """Read a recording.

    Args:
        url: Its path or URL.

    Raises:
        ValidationError: There is none, or it is too large.
    """
    reader = RecordingReader.open(url)
    requests: list[Request] = []
    copies = 0
    for request in stream(reader):
        if request is None:
            copies += 1
        elif len(requests) == MOST:
            raise ValidationError(
                field="--recording",
                value=url,
                rule=f"must have at most {MOST:,} requests",
                remedy="Take a sample of it first, with: traffic-mirror recordings sample",
            )
        else:
            requests.append(request)
    return Recorded(requests=tuple(requests), copies=copies, damage=tuple(reader.damage), headers=noted_headers(reader))


def stream(reader: RecordingReader) -> Iterator[Request | None]:
    """Every request of a caller, numbered; None for a copy."""
    number = kept = 0
    for batch in reader.batches(columns=list(_COLUMNS)):
        columns = [
            _LISTS[name](batch.column(name)) if name in _LISTS else batch.column(name).to_pylist() for name in _COLUMNS
        ]
        for row in zip(*columns, strict=True):
            values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
            if values["side"] != Side.PRIMARY.value:
                yield None
                continue
            size = values["request_body_size"]
            whole = not values["request_truncated"] and kept + size <= MOST_KEPT
            data = (values["request_body"] or join(values["request_messages"])) if whole and size else b""
            kept += len(data)
            yield Request(
                number=number,
                headers=values["request_headers"],
                size=size,
                body=Body(data=data, size=min(MOST_SENT, max(size, len(data)))),
                **{name: values[name] for name in _AS_THEY_ARE},
            )
            number += 1

"""The formats that can be imported, and what each of them does not tell: one table for commands and documentation."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final


@unique
class Format(StrEnum):
    """Whose files they are."""

    GOR = "gor"
    TAP = "tap"
    MITMPROXY = "mitmproxy"
    HAR = "har"
    BINARY_LOG = "grpc-binary-log"


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What is known of a format.

    Attributes:
        title: Whose it is, as its users say it.
        forms: Which of its files are read.
        record: What its files consist of, in the plural.
        loses: What no import can bring back, because its files do not have it or have it wrong.
    """

    title: str
    forms: str
    record: str
    loses: tuple[str, ...]


TABLE: Final[Mapping[Format, Traits]] = {
    Format.GOR: Traits(
        title="GoReplay",
        forms="`.gor`, also packed by gzip; several of one capture in any order",
        record="messages",
        loses=(
            "whether the client used TLS",
            "HTTP/2 and gRPC",
            "records that hold GoReplay's separator",
            "nanoseconds below a microsecond",
        ),
    ),
    Format.TAP: Traits(
        title="Envoy",
        forms="what its tap filter writes (HTTP, buffered or streamed), as bytes, text or JSON",
        record="traces",
        loses=(
            "when an answer ended; any times in streamed traces, and in those without `record_headers_received_time`",
            "bodies behind the first 1,024 bytes, unless `max_buffered_rx_bytes` and `max_buffered_tx_bytes` say more",
            "bytes that are no UTF-8 in bodies written as text, and in values of headers, where each becomes `!`",
        ),
    ),
    Format.MITMPROXY: Traits(
        title="mitmproxy",
        forms="flows that the `mitmdump` at hand reads; not its HAR, whose sizes and binary bodies are wrong",
        record="flows",
        loses=(
            "bodies that mitmproxy streamed through (`stream_large_bodies`)",
            "what was said over a WebSocket",
            "what a client sent, where an addon or a person changed it",
        ),
    ),
    Format.HAR: Traits(
        title="HAR",
        forms="archives of browsers and proxies (1.2)",
        record="entries",
        loses=(
            "binary bodies of requests, and bodies of another size than stated: marked as cut",
            "content codings: bodies are decoded, so `content-encoding` and `content-length` are left out with them",
            "gRPC, trailers, what was said over a WebSocket",
        ),
    ),
    Format.BINARY_LOG: Traits(
        title="gRPC",
        forms="binary logs of grpc-go and grpc-java, of clients and servers",
        record="entries",
        loses=(
            "HTTP/2's own headers, whether the connection used TLS, and compression",
            "headers that grpc-go leaves out: `authorization`, `content-type`, `te`, `user-agent`, `grpc-…`",
            "when the request of a unary call in Go ended, and whether a client's status came from the server",
            "what `GRPC_BINARY_LOG_FILTER` or `_CONFIG` cut: marked",
        ),
    ),
}
"""Every format with what it loses."""


def as_markdown() -> str:
    """Return the table as the guide on importing has it."""
    rows = [f"| `{name}` | {one.title}: {one.forms} | {'; '.join(one.loses)} |" for name, one in TABLE.items()]
    return "\n".join(("| `--format` | Files | Not told by them |", "|---|---|---|", *rows))

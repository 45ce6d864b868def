"""One request at a time on one of libcurl's handles."""

import time
from typing import Any, Final

from ..recording import Ending, Exchange, Headers
from .answer import Answer, grpc_status_of, why_no_grpc
from .conversation import Turn, turns_of
from .failures import CUT_OFF, TIMEOUT, in_words, is_death
from .libcurl import error_of, pycurl
from .outcome import US_PER_SECOND, Outcome, microseconds_since
from .outgoing import Outgoing
from .target import HttpVersion, Target
from .wire import UnsendableError, deadline_us, header_line, header_lines, request_line, with_deadline

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Sent once more when a connection dies without a word. Source: RFC 9110 section 9.2.2."""

_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
"""Methods that have no ``content-length`` when they have no body. Source: RFC 9110 section 8.6."""

_REFUSED: Final = b"refused by server, try again on a new connection\n"
"""What libcurl notes when a server has not looked at a stream: REFUSED_STREAM, or numbered above its GOAWAY."""

_PRIOR_KNOWLEDGE: Final = pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE

_IDLE_SECONDS: Final = 30
"""An idle connection is not used again after this time; many servers close theirs after a minute."""

_DEADLINE_GRACE_US: Final = 1_000_000
"""Beyond its deadline in which a server may still say that a call has exceeded it."""


class Transfer:
    """A handle with the callbacks of the request that is on it."""

    def __init__(self, target: Target, is_h2: bool, has_body: bool, is_head: bool) -> None:
        """Prepare a handle for one kind of request; nothing is sent.

        Args:
            target: Where to.
            is_h2: Whether it speaks HTTP/2.
            has_body: Whether its requests have bodies.
            is_head: Whether its requests are HEAD, whose answers have no body whatever they say.
        """
        self.kind = (is_h2, has_body, is_head)
        self.curl = curl = pycurl.Curl()
        curl.setopt(pycurl.HTTP_VERSION, _PRIOR_KNOWLEDGE if is_h2 else pycurl.CURL_HTTP_VERSION_1_1)
        # A second HTTP/2 request waits for the first one's connection instead of opening its own.
        curl.setopt(pycurl.PIPEWAIT, is_h2)
        # A replay goes to the address that it was given, whatever the variables for proxies say.
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.MAXAGE_CONN, _IDLE_SECONDS)
        curl.setopt(pycurl.WRITEFUNCTION, self._take)
        _point_at(curl, target)
        if is_head:
            curl.setopt(pycurl.NOBODY, 1)
        if has_body:
            curl.setopt(pycurl.UPLOAD, 1)
            curl.setopt(pycurl.READFUNCTION, self._give)
            curl.setopt(pycurl.SEEKFUNCTION, self._rewind)
            curl.setopt(pycurl.DEBUGFUNCTION, self._note)
        self._options: dict[int, str | int] = {}
        self._is_grpc = self._is_idempotent = self._is_refused = False
        self._late = TIMEOUT
        self._started = 0.0
        self._answer = Answer(max_body_bytes=0, to_grpc=False)
        self._outgoing: Outgoing | None = None

    @staticmethod
    def kind_of(target: Target, exchange: Exchange) -> tuple[bool, bool, bool]:
        """Return which kind of handle a request needs: ``is_h2``, ``has_body``, ``is_head``."""
        is_h2 = exchange.is_grpc or target.http_version is HttpVersion.HTTP_2
        request = exchange.request
        has_body = exchange.is_grpc or bool(request.body or request.trailers) or exchange.method not in _WITHOUT_BODY
        return is_h2, has_body, exchange.method == "HEAD" and not has_body

    def begin(
        self,
        exchange: Exchange,
        headers: Headers,
        *,
        authority: str,
        timeout_seconds: float,
        max_body_bytes: int,
        speed: float | None,
        may_be_called_again: bool = False,
    ) -> None:
        """Put a request on the handle.

        Args:
            exchange: The recorded one.
            headers: What is sent in place of its headers.
            authority: ``Host`` or ``:authority``.
            timeout_seconds: Bound on the whole, beside the time that a stream's messages take.
            max_body_bytes: Bytes kept of the answer.
            speed: Factor on the distances between a stream's messages; ``None`` for none.
            may_be_called_again: Whether somebody says so of this method, which alone does not.

        Raises:
            UnsendableError: No HTTP request can carry it.
        """
        self._is_grpc = exchange.is_grpc
        self._is_idempotent = exchange.method in _IDEMPOTENT or may_be_called_again
        self._late = TIMEOUT
        limit_us = timeout_seconds * US_PER_SECOND
        turns: list[Turn] = []
        if exchange.is_grpc:
            turns = turns_of(exchange.request, exchange.response, speed)
            headers, limit_us = self._bounded(exchange, headers, turns, limit_us)
        elif exchange.request.body:
            turns = [Turn(data=exchange.request.body, answers=0, pause_seconds=0.0, due_seconds=0.0)]
        self._started = time.perf_counter()
        self._answer = answer = Answer(max_body_bytes=max_body_bytes, to_grpc=exchange.is_grpc)
        curl = self.curl
        method, path = request_line(exchange.method, exchange.path)
        self._set(pycurl.CUSTOMREQUEST, method)
        curl.setopt(pycurl.REQUEST_TARGET, path)
        lines = header_lines(authority, headers)
        # gRPC's clients do not tell the size, which is known here.
        curl.setopt(pycurl.HTTPHEADER, [*lines, b"Content-Length:"] if exchange.is_grpc else lines)
        curl.setopt(pycurl.HEADERFUNCTION, answer.lines.append)
        self._set(pycurl.TIMEOUT_MS, max(1, round(limit_us / 1000)))
        if self.kind[1]:
            self._load(exchange, turns)

    def may_repeat(self, error: BaseException) -> bool:
        """Tell whether to begin once more: the connection died without a word, perhaps before it took the request.

        libcurl does so itself over HTTP/1.1, with a new connection, but not over HTTP/2.
        """
        known = error_of(error)
        return known is not None and is_death(*known) and self._is_idempotent and not self._answer.lines

    def outcome(self, error: BaseException | None) -> Outcome:
        """Return what came, and let the handle go.

        Args:
            error: What the transfer ended with; ``None`` when the answer is whole.
        """
        if self._outgoing is not None:
            self._outgoing.close()
            self._outgoing = None
        duration_us = microseconds_since(self._started)
        status: int | None = self.curl.getinfo(pycurl.RESPONSE_CODE) or None
        part = self._answer.part(offset_us=duration_us, is_whole=error is None)
        if error is not None:
            failure = self._failure(error, answered=status is not None)
        else:
            failure = why_no_grpc(status, part) if self._is_grpc else ""
        first_byte: float = self.curl.getinfo(pycurl.STARTTRANSFER_TIME)
        return Outcome(
            status=status,
            grpc_status=grpc_status_of(part) if self._is_grpc else None,
            first_byte_us=round(first_byte * US_PER_SECOND) if status is not None else None,
            duration_us=duration_us,
            response=part,
            failure=failure,
            ending=Ending.COMPLETE if error is None else Ending.RESET,
        )

    def _failure(self, error: BaseException, *, answered: bool) -> str:
        known = error_of(error)
        if known is None:
            return CUT_OFF
        connected = self.curl.getinfo(pycurl.PRETRANSFER_TIME) > 0
        failure = in_words(*known, connected=connected, answered=answered)
        return self._late if failure == TIMEOUT else failure

    def _bounded(
        self, exchange: Exchange, headers: Headers, turns: list[Turn], limit_us: float
    ) -> tuple[Headers, float]:
        """Return a gRPC call's headers and its limit in microseconds: its own deadline, if that comes first."""
        headers = (*headers, ("te", "trailers"))
        lasts_us = turns[-1].due_seconds * US_PER_SECOND if turns else 0.0
        limit_us += lasts_us
        deadline = deadline_us(headers)
        if deadline is None:
            return headers, limit_us
        messages = exchange.request.messages
        longer_us = lasts_us - messages[-1].offset_us if messages else 0.0
        if longer_us > 0:
            # A stream that is replayed slowly would otherwise die of its own deadline.
            deadline += longer_us
            headers = with_deadline(headers, deadline)
        if deadline + _DEADLINE_GRACE_US < limit_us:
            self._late = "no answer within grpc-timeout"
            limit_us = deadline + _DEADLINE_GRACE_US
        return headers, limit_us

    def _set(self, option: int, value: str | int) -> None:
        """Set an option that mostly is what it was for the request before."""
        if self._options.get(option) != value:
            self._options[option] = value
            self.curl.setopt(option, value)

    def _load(self, exchange: Exchange, turns: list[Turn]) -> None:
        curl, trailers = self.curl, exchange.request.trailers
        if trailers and self.kind[0]:
            raise UnsendableError("trailers over HTTP/2")
        self._outgoing = Outgoing(turns, self._answer, started=self._started, resume=curl.unpause)
        self._is_refused = False
        # Without a size HTTP/1.1 sends chunks, which trailers need. Over HTTP/2 libcurl would widen the window of each
        # stream twice, which Envoy takes for a flood where answers have no DATA frames (libcurl 8.23, Envoy 1.39).
        curl.setopt(pycurl.INFILESIZE_LARGE, -1 if trailers else sum(len(turn.data) for turn in turns))
        if trailers:
            lines = [header_line(name, value) for name, value in trailers]
            curl.setopt(pycurl.TRAILERFUNCTION, lambda: lines)
        else:
            curl.unsetopt(pycurl.TRAILERFUNCTION)
        # Only what libcurl notes tells a refused stream from one that was perhaps answered.
        self._set(pycurl.VERBOSE, not self._is_idempotent)
        # Where no byte has to be sent twice libcurl asks nobody; on a new connection it does not try again.
        self._set(pycurl.FRESH_CONNECT, not (turns or self._is_idempotent))

    def _take(self, chunk: bytes) -> None:
        self._answer.feed(chunk, started=self._started)
        if self._outgoing is not None:
            self._outgoing.answered()

    def _give(self, limit: int) -> bytes | Any:  # noqa: ANN401 -- a constant of libcurl
        return b"" if self._outgoing is None else self._outgoing.give(limit)

    def _rewind(self, _offset: int, _origin: int) -> int:
        if self._outgoing is None or not (self._is_idempotent or self._is_refused):
            return pycurl.SEEKFUNC_FAIL
        self._is_refused = False
        self._outgoing.rewind()
        return pycurl.SEEKFUNC_OK

    def _note(self, kind: int, text: bytes) -> None:
        if kind == pycurl.INFOTYPE_TEXT and text.endswith(_REFUSED):
            self._is_refused = True


def _point_at(curl: Any, target: Target) -> None:  # noqa: ANN401 -- a handle of libcurl
    host = f"[{target.host}]" if ":" in target.host else target.host.encode("idna").decode()
    name = target.server_name or host
    curl.setopt(pycurl.URL, f"{target.scheme}://{name}:{target.port}/")
    if name != host:
        curl.setopt(pycurl.CONNECT_TO, [f"::{host}:{target.port}"])
    for option, path in target.certificate_files():
        curl.setopt(option, str(path))

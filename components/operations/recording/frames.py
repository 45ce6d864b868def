"""Splitting a gRPC body into its messages, as the bytes arrive."""

from .exchange import Message

_PREFIX = 5
"""Bytes before each message: one flag, four of length (gRPC over HTTP/2, "Length-Prefixed-Message")."""

_COMPRESSED = 0x01


class FrameSplitter:
    """Cuts a stream of gRPC bytes into messages, whatever the chunks look like.

    Every message is counted and timed; how many bytes of it are kept is up to the caller's allowance, so a
    stream of any length needs bounded memory.
    """

    def __init__(self, *, max_messages: int) -> None:
        self._max_messages = max_messages
        self._prefix = b""
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._missing = 0
        self._size = 0
        self._compressed = False
        self._inside = False
        self.messages: list[Message] = []
        self.omitted = 0
        """Messages beyond ``max_messages`` or memory: seen, counted, not kept."""

    def feed(self, chunk: bytes, *, offset_us: int, allowance: int) -> int:
        """Take the next bytes of the body.

        Args:
            chunk: Bytes as they arrived; may hold a part of a message or many.
            offset_us: Microseconds since the start of the exchange.
            allowance: How many payload bytes of this chunk may be kept.

        Returns:
            How many bytes were kept.
        """
        position, end, kept = 0, len(chunk), 0
        while position < end:
            if not self._inside:
                take = min(_PREFIX - len(self._prefix), end - position)
                self._prefix += chunk[position : position + take]
                position += take
                if len(self._prefix) < _PREFIX:
                    break
                self._open()
            take = min(self._missing, end - position)
            keep = 0 if len(self.messages) >= self._max_messages else min(take, allowance - kept)
            if keep:
                self._kept.append(chunk[position : position + keep])
                self._kept_bytes += keep
                kept += keep
            position += take
            self._missing -= take
            if not self._missing:
                self._close(offset_us)
        return kept

    def finish(self, *, offset_us: int) -> None:
        """Keep what has arrived of a message that the stream broke off inside of."""
        if self._inside:
            self._close(offset_us)

    def omit(self, first: int) -> None:
        """Forget the messages from ``first`` on, for which there is no memory; they stay counted."""
        self.omitted += len(self.messages) - first
        del self.messages[first:]

    def _open(self) -> None:
        self._inside = True
        self._compressed = bool(self._prefix[0] & _COMPRESSED)
        self._size = self._missing = int.from_bytes(self._prefix[1:], "big")
        self._prefix = b""

    def _close(self, offset_us: int) -> None:
        if len(self.messages) >= self._max_messages:
            self.omitted += 1
        else:
            self.messages.append(
                Message(
                    offset_us=offset_us,
                    size=self._size,
                    data=self._kept[0] if len(self._kept) == 1 else b"".join(self._kept),
                    compressed=self._compressed,
                    truncated=self._kept_bytes < self._size,
                )
            )
        self._kept, self._kept_bytes, self._inside = [], 0, False


def join(messages: "tuple[Message, ...]") -> bytes:
    """Return the messages framed as a gRPC body; the inverse of splitting."""
    return b"".join(
        bytes([_COMPRESSED if m.compressed else 0]) + len(m.data).to_bytes(4, "big") + m.data for m in messages
    )

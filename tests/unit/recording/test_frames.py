"""gRPC messages come out whole, however the proxy cuts the bytes."""

from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.recording.exchange import Message
from pulumi_traffic_mirror.operations.recording.frames import FrameSplitter, join


def _framed(payloads: list[bytes]) -> bytes:
    return join(tuple(Message(offset_us=0, size=len(p), data=p) for p in payloads))


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 60), min_size=1))
def test_any_chunking_gives_the_same_messages(payloads: list[bytes], cuts: list[int]) -> None:
    wire, splitter, position, step = _framed(payloads), FrameSplitter(max_messages=100), 0, 0
    while position < len(wire):
        size = cuts[step % len(cuts)]
        splitter.feed(wire[position : position + size], offset_us=step, allowance=1_000)
        position, step = position + size, step + 1
    assert [message.data for message in splitter.messages] == payloads
    assert not any(message.truncated for message in splitter.messages)


def test_a_message_is_timed_by_its_last_byte() -> None:
    splitter = FrameSplitter(max_messages=10)
    wire = _framed([b"abc"])
    splitter.feed(wire[:6], offset_us=1, allowance=10)
    splitter.feed(wire[6:], offset_us=7, allowance=10)
    assert [message.offset_us for message in splitter.messages] == [7]


def test_what_exceeds_the_allowance_is_counted_and_marked() -> None:
    splitter = FrameSplitter(max_messages=10)
    kept = splitter.feed(_framed([b"abcd", b"efgh", b"i"]), offset_us=0, allowance=6)
    assert kept == 6
    assert [(m.data, m.size, m.truncated) for m in splitter.messages] == [
        (b"abcd", 4, False),
        (b"ef", 4, True),
        (b"", 1, True),
    ]


def test_messages_beyond_the_limit_are_only_counted() -> None:
    splitter = FrameSplitter(max_messages=1)
    assert splitter.feed(_framed([b"a", b"bb", b"c"]), offset_us=0, allowance=100) == 1
    assert len(splitter.messages) == 1
    assert splitter.omitted == 2


def test_a_stream_that_breaks_off_leaves_a_truncated_message() -> None:
    splitter = FrameSplitter(max_messages=5)
    splitter.feed(_framed([b"abcdef"])[:8], offset_us=3, allowance=100)
    splitter.finish(offset_us=9)
    (message,) = splitter.messages
    assert (message.data, message.size, message.truncated, message.offset_us) == (b"abc", 6, True, 9)


def test_the_compressed_flag_survives_the_round_trip() -> None:
    wire = join((Message(offset_us=0, size=1, data=b"z", compressed=True),))
    splitter = FrameSplitter(max_messages=5)
    splitter.feed(wire, offset_us=0, allowance=5)
    assert splitter.messages[0].compressed
    assert join(tuple(splitter.messages)) == wire

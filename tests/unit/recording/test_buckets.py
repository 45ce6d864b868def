"""What identifiers of one request have in common, and the hashes by which they are divided."""

from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.recording.arrow import pa
from pulumi_traffic_mirror.operations.recording.buckets import hashes_of, pair_key, pair_keys

_HEX = st.text("0123456789abcdefABCDEF-", min_size=14, max_size=14)
_NOTED = st.builds(
    lambda begin, note, end, last: f"{begin}{note}{end}{last}",
    _HEX,
    st.sampled_from("49abA5"),
    _HEX,
    st.text("0123456789abcdefg", min_size=6, max_size=8),
)
_IDS = st.lists(
    st.one_of(st.none(), st.just(""), _NOTED, st.text(max_size=4), st.text("9ab-é", min_size=34, max_size=37)),
    max_size=20,
)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@given(ids=_IDS, first=st.integers(0, 5))
def test_many_identifiers_are_read_as_one_is(kind: Any, ids: list[str | None], first: int) -> None:
    wanted = [pair_key(one or "") for one in ids]
    array = pa.array(ids, kind)
    assert pair_keys(array).to_pylist() == wanted
    assert pair_keys(array.slice(first)).to_pylist() == wanted[first:]
    chunks = pa.chunked_array([array.slice(0, first), array.slice(first)], kind)
    assert pair_keys(chunks).to_pylist() == wanted
    assert pair_keys(chunks).type == kind
    assert hashes_of(pair_keys(chunks)).tolist() == [crc32(one.encode()) for one in wanted]


def test_what_gateways_note_is_no_part_of_it() -> None:
    ids = [f"6ba7b810-9dad-{note}1d1-80b4-00c04fd430c8" for note in "49ab5"]
    assert len(set(pair_keys(pa.array(ids[:4])).to_pylist())) == 1
    assert pair_keys(pa.array(ids)).to_pylist()[4] == ids[4]

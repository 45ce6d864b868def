"""Pairing and comparing many answers at once, by columns.

Most pairs are alike, or differ in their bodies alone, and columns tell so without an object for each answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from ..recording.arrow import Column, Table, pa, pc
from ..recording.exchange import Ending
from .answers import Answer, answers_of, endpoint_of_call, no_rows
from .pairing import PairCounts

Numbers: TypeAlias = Any
"""An array of numpy's."""

_RANKS: Final = 2**32
"""More answers than one request has."""

_BETWEEN_NAMES: Final = pa.scalar("\0", pa.large_string())

_STEP_PAIRS: Final = 8_192
_STEP_BYTES: Final = 64 * 1024 * 1024
"""Of bodies and messages that are looked at together."""


class Places(NamedTuple):
    """Where the answers of pairs lie, in the same order."""

    primary: Numbers
    other: Numbers


class Alike(NamedTuple):
    """Which pairs need no look at whole answers, each true or false."""

    wholly: Numbers
    """Nothing that is compared differs."""
    but_bodies: Numbers
    """Bodies that were recorded whole are all that differs, in answers of plain HTTP."""

    @property
    def rest(self) -> Numbers:
        """Pairs of which nothing is known yet."""
        return ~(self.wholly | self.but_bodies)


def joined(tables: Sequence[Table]) -> Table:
    """Return condensed rows as one table of one chunk, in types that hold more than 2 GiB."""
    table = pa.concat_tables(tables) if tables else no_rows()
    schema = pa.schema([field.with_type(_large(field.type)) for field in table.schema])
    return table.cast(schema).combine_chunks()


def _large(kind: Any) -> Any:  # noqa: ANN401 -- types of Arrow
    if pa.types.is_string(kind):
        return pa.large_string()
    if pa.types.is_binary(kind):
        return pa.large_binary()
    if pa.types.is_list(kind):
        return pa.large_list(kind.value_field.with_type(_large(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_large(field.type)) for field in kind])
    return kind


def column(rows: Table, name: str) -> Column:
    """Return a column of a table with one chunk at most."""
    chunks = rows.column(name)
    # Combining would copy even a single one.
    return chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()


def rows_at(rows: Table, places: Numbers) -> Table:
    """Return the rows at some places; without a copy where they lie side by side."""
    count = len(places)
    if count and places[-1] - places[0] == count - 1 and (np.diff(places) == 1).all():
        return rows.slice(int(places[0]), count)
    return rows.take(pa.array(places))


def numbers_of(values: Column) -> Numbers:
    """Return numbers as an array of numpy's, 0 where there is none."""
    return pc.fill_null(values, 0).to_numpy()


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """What each of several rows calls."""

    names: Sequence[str]
    """May repeat."""
    numbers: Numbers
    """The place of each row's name among them."""

    def counted(self, rows: Numbers = slice(None)) -> Iterator[tuple[str, int]]:
        """Yield each name that some rows have, all by default, with how many of them."""
        several = np.bincount(self.numbers[rows], minlength=len(self.names))
        for name, count in zip(self.names, several.tolist(), strict=True):
            if count:
                yield name, count

    def at(self, rows: Numbers) -> "Endpoints":
        """Return the endpoints of some rows."""
        found, numbers = np.unique(self.numbers[rows], return_inverse=True)
        places: list[int] = found.tolist()
        return Endpoints(names=[self.names[place] for place in places], numbers=numbers)


class Times(NamedTuple):
    """How long answers took."""

    us: Numbers
    """Microseconds."""
    known: Numbers
    """Whether each is known."""


def times_of(rows: Table) -> Times:
    """Return how long answers took."""
    durations = column(rows, "duration_us")
    return Times(numbers_of(durations), durations.is_valid().to_numpy(zero_copy_only=False))


def endpoints_of(rows: Table) -> Endpoints:
    """Return the endpoints of condensed rows."""
    methods, paths = (column(rows, name).dictionary_encode() for name in ("method", "short_path"))
    is_grpc = np.asarray(column(rows, "is_grpc").to_numpy(zero_copy_only=False), np.int64)
    calls = (methods.indices.to_numpy().astype(np.int64) * len(paths.dictionary) + paths.indices.to_numpy()) * 2
    found, numbers = np.unique(calls + is_grpc, return_inverse=True)
    texts, of_paths = methods.dictionary.to_pylist(), paths.dictionary.to_pylist()
    names: list[str] = []
    for call in found.tolist():
        method, path = divmod(call // 2, len(of_paths))
        names.append(endpoint_of_call(texts[method], of_paths[path], bool(call % 2)))
    return Endpoints(names=names, numbers=numbers)


class _Ranked:
    """Rows by a name that they have, and those of one name in the order of their starts."""

    def __init__(self, rows: Table, which: Numbers, names: Column) -> None:
        """Put rows in order.

        Args:
            rows: As :func:`joined` returns them.
            which: Places of the rows in question.
            names: One for each of these.
        """
        encoded = names.dictionary_encode()
        self.known = encoded.dictionary
        self.codes = encoded.indices.to_numpy().astype(np.int64)
        self._order, self._spots = _in_order(rows, which, self.codes)

    def pairs_with(self, others: Table, which: Numbers, codes: Numbers) -> Places:
        """Bring the first rows of both of a name together, then the second ones, and so on.

        Args:
            others: As :func:`joined` returns them.
            which: Places of those in question.
            codes: Of each of these the place of its name among those known here.
        """
        found, wanted = _in_order(others, which, codes)
        spots = self._spots.searchsorted(wanted).clip(max=len(self._spots) - 1)
        paired = self._spots[spots] == wanted
        return Places(self._order[spots[paired]], found[paired])


class Requests:
    """The primary's answers, to bring those of others together with.

    One identifier may be that of several requests: a service hands it on with whatever it asks others, a client gives
    all of its own the same, somebody tries again. So answers to the same method and path belong together, the first
    with the first. Where a path was rewritten on the way, what is left of an identifier and method is brought together
    likewise, unless nobody can tell which belong together. What has another method is another request.
    """

    def __init__(self, rows: Table) -> None:
        """Put the answers to each request in the order of their starts.

        Args:
            rows: As :func:`joined` returns them.
        """
        self._rows = rows
        self._keys = column(rows, "pair_key").dictionary_encode().dictionary

    @cached_property
    def _calls(self) -> _Ranked:
        return _Ranked(self._rows, np.arange(len(self._rows)), _names_of(self._rows, "pair_key", "method", "path"))

    def pairs_with(self, others: Table, counts: PairCounts) -> Places:
        """Bring answers to the same requests together.

        Args:
            others: As :func:`joined` returns them.
            counts: Takes how many came together.
        """
        which, codes = _known(column(others, "pair_key"), self._keys)
        if len(self._keys) == len(self._rows) and len(np.unique(codes)) == len(codes):
            return self._pairs_of_single(others, Places(codes, which), counts)
        which, codes = _known(_names_of(others, "pair_key", "method", "path"), self._calls.known)
        pairs = self._calls.pairs_with(others, which, codes)
        if len(pairs.other) < len(others):
            rewritten = self._pairs_of_rest(others, pairs, counts)
            pairs = Places(*map(np.concatenate, zip(pairs, rewritten, strict=True)))
        counts.paired += len(pairs.other)
        return pairs

    def _pairs_of_single(self, others: Table, same_key: Places, counts: PairCounts) -> Places:
        """Bring answers together where no identifier comes twice on either side, as most do not."""
        one, other = (
            column(rows, "method").take(pa.array(places))
            for rows, places in zip((self._rows, others), same_key, strict=True)
        )
        same = np.flatnonzero(pc.equal(one, other).to_numpy(zero_copy_only=False))
        same = same[np.argsort(same_key.primary[same])]
        counts.paired += len(same)
        counts.unpaired += len(others) - len(same)
        return Places(same_key.primary[same], same_key.other[same])

    def _pairs_of_rest(self, others: Table, pairs: Places, counts: PairCounts) -> Places:
        """Bring answers together whose paths differ, and count those that have no partner."""
        mine, theirs = (_but(place, rows) for place, rows in zip(pairs, (self._rows, others), strict=True))
        keys, other_keys = (_names_of(rows, "pair_key", "method") for rows in (self._rows, others))
        known = int(pc.sum(pc.is_in(other_keys.take(pa.array(theirs)), value_set=keys)).as_py())
        rest = _Ranked(self._rows, mine, keys.take(pa.array(mine)))
        which, codes = _known(other_keys.take(pa.array(theirs)), rest.known)
        count = len(rest.known)
        calls = np.unique(rest.codes * (len(self._calls.known) + 1) + self._calls.codes[mine])
        of_one_path = np.bincount(calls // (len(self._calls.known) + 1), minlength=count) == 1
        as_many = np.bincount(rest.codes, minlength=count) == np.bincount(codes, minlength=count)
        sure = (of_one_path | as_many)[codes]
        found = rest.pairs_with(others, theirs[which[sure]], codes[sure])
        counts.unpaired += len(theirs) - known
        counts.surplus += known - len(found.other)
        return found


def _names_of(rows: Table, *columns: str) -> Column:
    """Return several columns of text as one."""
    return pc.binary_join_element_wise(*(column(rows, name) for name in columns), _BETWEEN_NAMES)


def _known(names: Column, known: Column) -> tuple[Numbers, Numbers]:
    """Return the places of names that are known, and the place of each among those."""
    codes = pc.index_in(names, value_set=known)
    which = np.flatnonzero(codes.is_valid().to_numpy(zero_copy_only=False))
    return which, pc.drop_null(codes).to_numpy().astype(np.int64)


def _but(places: Numbers, rows: Table) -> Numbers:
    """Return all places of a table but some."""
    rest = np.ones(len(rows), bool)
    rest[places] = False
    return np.flatnonzero(rest)


def _in_order(rows: Table, which: Numbers, codes: Numbers) -> tuple[Numbers, Numbers]:
    """Return places of rows in the order of their requests and starts, and a number for each that tells both.

    Files have exchanges in the order of their ends, and a first try may well end last. Of those that started in the
    same microsecond the content decides, because it is the same wherever they are read.

    Args:
        rows: A table.
        which: Places of the rows in question.
        codes: Of each of these the number of its request.
    """
    by_request = np.argsort(codes, kind="stable")
    codes, order = codes[by_request], which[by_request]
    same = np.concatenate(([False], codes[1:] == codes[:-1]))[: len(codes)]
    if not same.any():
        return order, codes * _RANKS
    several = np.flatnonzero(same | np.concatenate((same[1:], [False])))
    started = column(rows, "started_at").to_numpy()[order[several]]
    by_start = np.lexsort((started, codes[several]))
    order[several], started = order[several][by_start], started[by_start]
    own = codes[several]
    ties = np.concatenate(([False], (own[1:] == own[:-1]) & (started[1:] == started[:-1])))
    if ties.any():
        tied = np.flatnonzero(ties | np.concatenate((ties[1:], [False])))
        contents = [repr(answer) for answer in answers_in_order(rows, order[several[tied]])]
        keys = list(zip(own[tied].tolist(), started[tied].tolist(), contents, strict=True))
        order[several[tied]] = order[several[tied[sorted(range(len(keys)), key=keys.__getitem__)]]]
    positions = np.arange(len(codes))
    firsts = np.maximum.accumulate(np.where(same, 0, positions))
    return order, codes * _RANKS + positions - firsts


def answers_in_order(rows: Table, places: Numbers) -> Iterator[Answer]:
    """Yield the answers at some places of a table."""
    for batch in rows.take(pa.array(places)).to_batches():
        yield from answers_of(batch)


def steps(primary: Table, others: Table, places: Places) -> Iterator[slice]:
    """Divide pairs, so that the bodies of those looked at together are bounded.

    Args:
        primary: The primary's answers.
        others: Those of others.
        places: The pairs.
    """
    sizes = _kept_bytes(primary)[places.primary] + _kept_bytes(others)[places.other]
    sums, begin = np.cumsum(sizes), 0
    while begin < len(sums):
        before = sums[begin - 1] if begin else 0
        end = min(begin + _STEP_PAIRS, int(np.searchsorted(sums, before + _STEP_BYTES, side="right")))
        yield slice(begin, max(end, begin + 1))
        begin = max(end, begin + 1)


def _kept_bytes(rows: Table) -> Numbers:
    """Return the bytes of each row's body and messages."""
    sizes = numbers_of(pc.binary_length(column(rows, "response_body")))
    messages = column(rows, "response_messages")
    lengths = numbers_of(pc.binary_length(pc.struct_field(messages.flatten(), "data")))
    return sizes + _per_row(messages, lengths)


def _per_row(lists: Column, values: Numbers) -> Numbers:
    """Return the sum of the values that belong to each list's elements."""
    sums = np.zeros(len(lists), np.int64)
    if len(values):
        np.add.at(sums, pc.list_parent_indices(lists).to_numpy(), values)
    return sums


def alike(primary: Table, other: Table) -> Alike:
    """Tell which pairs need no look at their answers; where in doubt, they do.

    Args:
        primary: Rows, one chunk of each column.
        other: Their partners, in the same order.
    """
    same = _both(primary, other, "status") & _both(primary, other, "headers") & _both(primary, other, "trailers")
    same &= _both(primary, other, "is_grpc") & _are_equal_or_none(primary, other, "grpc_status")
    same &= _both(primary, other, "ending") | _is_cut(primary) | _is_cut(other)
    is_grpc = _truth(column(primary, "is_grpc"))
    # Whether a gRPC answer's headers are its trailers depends on whether it has a body.
    sizes = [numbers_of(column(rows, "response_body_size")) != 0 for rows in (primary, other)]
    same &= ~is_grpc | (sizes[0] == sizes[1])
    same &= _messages_are_equal(primary, other)
    for rows, has_size in zip((primary, other), sizes, strict=True):
        same &= _truth(pc.invert(column(rows, "response_truncated"))) & ~(has_size & ~_has_payload(rows))
    bodies = _truth(pc.equal(*[pc.fill_null(column(rows, "response_body"), b"") for rows in (primary, other)]))
    return Alike(same & bodies, same & ~bodies & ~is_grpc)


def _truth(values: Column) -> Numbers:
    """Return truth values as an array of numpy's; what is not known is not true."""
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)


def _both(primary: Table, other: Table, name: str) -> Numbers:
    return _truth(pc.equal(column(primary, name), column(other, name)))


def _are_equal_or_none(primary: Table, other: Table, name: str) -> Numbers:
    neither = pc.and_(pc.is_null(column(primary, name)), pc.is_null(column(other, name)))
    return _both(primary, other, name) | _truth(neither)


def _is_cut(rows: Table) -> Numbers:
    return _truth(pc.equal(column(rows, "ending"), Ending.CUT.value))


def _has_payload(rows: Table) -> Numbers:
    has_messages = numbers_of(pc.list_value_length(column(rows, "response_messages"))) > 0
    return has_messages | (numbers_of(pc.binary_length(column(rows, "response_body"))) > 0)


def _messages_are_equal(primary: Table, other: Table) -> Numbers:
    """Tell whether as many messages came with the same bytes; the times at which they came are not compared."""
    lists = [column(rows, "response_messages") for rows in (primary, other)]
    lengths = [numbers_of(pc.list_value_length(one)) for one in lists]
    same = lengths[0] == lengths[1]
    if same.all() and not lengths[0].any():
        return same
    places = pa.array(np.flatnonzero(same))
    lists = [one.take(places) for one in lists]
    flat = [one.flatten() for one in lists]
    different = np.zeros(len(flat[0]), bool)
    for name in ("data", "compressed"):
        different |= ~_truth(pc.equal(*[pc.struct_field(one, name) for one in flat]))
    same[same] = _per_row(lists[0], different) == 0
    return same

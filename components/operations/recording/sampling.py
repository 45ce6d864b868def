"""A few exchanges that stand for a whole recording: at least one for everything that tells requests apart.

Of two recordings of the same requests the same are chosen. The set is not the smallest that there is, which nobody can
find in time, but none of it can be left out: each covers something that no other one does.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

from .arrow import RecordBatch
from .endpoints import OTHER, Groups, endpoint_of, is_identifier
from .exchange import Exchange, Headers, Part, Side
from .noted_rules import notes_kept
from .reading import RecordingReader
from .schema import from_batch, headers_of
from .storage import RecordingStore
from .writing import RecordingWriter

MOST_VALUES: Final = 20
"""Different values of a header, each of which a route may be for; of a header with more only their forms count."""

MOST_ENDPOINTS: Final = 1_000
"""Endpoints told apart; of further ones only the first segment of the path counts."""

_COLUMNS: Final = (
    *("side", "method", "authority", "path", "status", "grpc_status", "is_grpc"),
    "request_headers",
)

Row: TypeAlias = tuple[str, str, str, str, int | None, int | None, bool]


@unique
class Trait(StrEnum):
    """What tells requests apart."""

    ENDPOINT = "endpoints"
    """Host, method and path without identifiers, or gRPC method."""
    STATUS = "answers"
    """Status of an endpoint's answer, of HTTP and of gRPC."""
    PARAMETER = "query parameters"
    """Name of a parameter in an endpoint's query."""
    HEADER = "headers of endpoints"
    """Name of a header that an endpoint was called with."""
    FORM = "header forms"
    """Value of a header with few values, else the form of one."""


Feature: TypeAlias = tuple[Trait, str, str]
Place: TypeAlias = tuple[int, int]
"""Index of a row group in the recording, and of a row in it."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Which exchanges stand for a recording.

    Attributes:
        exchanges: How many it has of callers.
        places: Those that are chosen.
        covered: How many different things of each kind they cover: all that there are.
        copies: Exchanges that are copies, and are left out.
    """

    exchanges: int
    places: Sequence[Place]
    covered: Mapping[Trait, int]
    copies: int


@dataclass(kw_only=True)
class Features:
    """Says what one exchange has; knows which values of headers it has seen."""

    _endpoints: Groups = field(default_factory=lambda: Groups(MOST_ENDPOINTS))
    _beginnings: Groups = field(default_factory=lambda: Groups(MOST_ENDPOINTS))
    _values: dict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    _known: dict[tuple[str, str, str], tuple[Feature, Feature]] = field(
        default_factory=dict[tuple[str, str, str], tuple[Feature, Feature]]
    )

    def of(self, row: Row, headers: Headers) -> tuple[str, set[Feature]]:
        """Endpoint of an exchange, and all that tells it apart as far as is known yet: see :meth:`settled`."""
        _, method, authority, path, status, grpc_status, is_grpc = row
        bare, _, query = path.partition("?")
        endpoint = self._endpoint(authority, method, bare, is_grpc=is_grpc)
        found: set[Feature] = {(Trait.ENDPOINT, endpoint, ""), (Trait.STATUS, endpoint, f"{status} {grpc_status}")}
        if query:
            found |= {(Trait.PARAMETER, endpoint, each.partition("=")[0]) for each in query.split("&")}
        for name, value in headers:
            form = self._form(name, value)
            key = (endpoint, name, form)
            both = self._known.get(key)
            if both is None:
                both = self._known[key] = ((Trait.HEADER, endpoint, name), (Trait.FORM, name, form))
            found.update(both)
        return endpoint, found

    def settled(self, features: Iterable[Feature]) -> frozenset[Feature]:
        """Features once everything was read: of headers with many values the forms in place of the values."""
        many = {name for name, values in self._values.items() if len(values) > MOST_VALUES}
        return frozenset(
            (trait, name, _shape(form)) if trait is Trait.FORM and name in many and not form.startswith("(") else each
            for each in features
            for trait, name, form in [each]
        )

    def _endpoint(self, authority: str, method: str, path: str, *, is_grpc: bool) -> str:
        named = self._endpoints.admit(f"{authority} {_endpoint(method, path, is_grpc)}")
        # Paths full of names that look like none: what they begin with has to do.
        return (
            named if named != OTHER else self._beginnings.admit(f"{authority} {method} {'/'.join(path.split('/')[:2])}")
        )

    def _form(self, name: str, value: str) -> str:
        seen = self._values[name]
        if len(seen) > MOST_VALUES:
            return _shape(value)
        seen.add(value)
        return value


@lru_cache(maxsize=65_536)
def _endpoint(method: str, path: str, is_grpc: bool) -> str:
    return endpoint_of(method, path, is_grpc=is_grpc)


def _shape(value: str) -> str:
    """The form of a value in a word."""
    if not value or value.isspace():
        return "(empty)"
    if value.isdecimal():
        return "(number)"
    if is_identifier(value):
        return "(identifier)"
    return "(text)" if value.isascii() else "(not ASCII)"


def choose(candidates: Mapping[Place, frozenset[Feature]]) -> list[Place]:
    """Choose exchanges that together have every feature of all, greedily, and drop what then is covered twice.

    Args:
        candidates: Features by place.

    Returns:
        The places in order.
    """
    missing = set(frozenset[Feature]().union(*candidates.values()))
    # What one adds can only get less, so that a stale entry is put back with what it adds now.
    waiting = [(-len(features), place) for place, features in candidates.items()]
    heapify(waiting)
    chosen: list[Place] = []
    while missing:
        adds, place = heappop(waiting)
        now = len(candidates[place] & missing)
        if now == -adds:
            chosen.append(place)
            missing -= candidates[place]
        elif now:
            heappush(waiting, (-now, place))
    times = Counter(feature for place in chosen for feature in candidates[place])
    for place in reversed(chosen.copy()):
        if all(times[feature] > 1 for feature in candidates[place]):
            times.subtract(candidates[place])
            chosen.remove(place)
    return sorted(chosen)


def sample(reader: RecordingReader) -> Sample:
    """Choose from a recording; it is read once, without bodies and answers.

    Args:
        reader: The recording.
    """
    features, seen = Features(), set[Feature]()
    # Exchanges that have something which none before them had, or more than any before them of their endpoint.
    candidates: dict[Place, set[Feature]] = {}
    most: dict[str, int] = {}
    own = copies = 0
    for index, group in enumerate(reader.row_groups()):
        number = -1
        for batch in reader.read(group, columns=_COLUMNS):
            for row, headers in _rows(batch):
                number += 1
                if row[0] != Side.PRIMARY.value:
                    copies += 1
                    continue
                own += 1
                endpoint, found = features.of(row, headers)
                if len(found) > most.get(endpoint, 0) or not found <= seen:
                    candidates[index, number] = found
                    seen |= found
                    most[endpoint] = max(len(found), most.get(endpoint, 0))
    kinds = Counter(trait for trait, _, _ in features.settled(seen))
    return Sample(
        exchanges=own,
        places=choose({place: features.settled(each) for place, each in candidates.items()}),
        covered={trait: kinds[trait] for trait in Trait},
        copies=copies,
    )


def _rows(batch: RecordBatch) -> Iterator[tuple[Row, Headers]]:
    columns = [batch.column(name).to_pylist() for name in _COLUMNS[:-1]]
    yield from zip(zip(*columns, strict=True), headers_of(batch.column(_COLUMNS[-1])), strict=True)


def sampled(reader: RecordingReader, chosen: Sample) -> Iterator[Exchange]:
    """Yield the chosen exchanges without bodies and messages; how large they were stays.

    Args:
        reader: The recording that they were chosen from.
        chosen: Which.
    """
    groups = list(reader.row_groups())
    wanted: dict[int, set[int]] = defaultdict(set)
    for group, row in chosen.places:
        wanted[group].add(row)
    for index in sorted(wanted):
        number = -1
        for batch in reader.read(groups[index]):
            for exchange in from_batch(batch):
                number += 1
                if number in wanted[index]:
                    yield replace(exchange, request=_bare(exchange.request), response=_bare(exchange.response))


def write_sample(reader: RecordingReader, chosen: Sample, store: RecordingStore) -> None:
    """Write the chosen exchanges as one file, whose name and content tell nothing of when or where.

    Args:
        reader: The recording that they were chosen from.
        chosen: Which.
        store: Where to.
    """
    exchanges = list(sampled(reader, chosen))
    if exchanges:
        begun, notes = exchanges[0].started_at, notes_kept(reader)
        writer = RecordingWriter(store, instance="sample", now=lambda: begun, notes=notes)
        writer.write(exchanges)
        writer.close()


def _bare(part: Part) -> Part:
    gone = bool(part.body_size or part.messages)
    return replace(part, body=None, messages=(), truncated=part.truncated or gone)

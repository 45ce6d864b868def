"""Comparing recordings while they grow: each finished file is read once, and answers wait for their partners."""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from ...model.request_sampling import is_sampled, sample_threshold
from ..recording import Damage, RecordingReader, RecordingStore, StoredFile
from ..recording.noted_rules import require_same_headers
from .answers import COLUMNS, Answer, answers_of, condensed
from .comparison import Comparison, DiffJob, verdict
from .pairing import PairCounts, Selection, first_role, selected
from .result import DiffResult

PRIMARY: Final = "primary"
MIRROR: Final = "mirror"

MAX_WAITING: Final = 50_000
"""Requests whose answers are held for partners that may come: 50 s of 1,000 per second."""

MAX_WAITING_BYTES: Final = 128 * 1024 * 1024
"""Bytes that they take. It also holds where one identifier comes again and again, as from a careless client."""

_ANSWER_BYTES: Final = 500
"""What an answer takes beside its body, at least."""


class _Alone:
    """Answers that have no partner yet."""

    def __init__(self) -> None:
        # Nobody looks through all of them: one identifier may be that of very many requests.
        self._by_target: dict[str, deque[Answer]] = {}

    def add(self, answer: Answer) -> None:
        """Put an answer behind those to the same path."""
        self._by_target.setdefault(answer.target, deque()).append(answer)

    def take(self, target: str) -> Answer | None:
        """Take the first answer to a path out; ``None`` without one."""
        answers = self._by_target.get(target)
        if answers is None:
            return None
        answer = answers.popleft()
        if not answers:
            del self._by_target[target]
        return answer

    def take_all(self) -> list[Answer]:
        """Take all out, in the order of their starts."""
        found = sorted(chain.from_iterable(self._by_target.values()), key=lambda one: one.started_us)
        self._by_target.clear()
        return found

    @property
    def targets(self) -> int:
        """How many paths there are."""
        return len(self._by_target)

    def __len__(self) -> int:
        return sum(map(len, self._by_target.values()))


@dataclass(slots=True)
class _Request:
    """The answers to requests of one identifier and method so far."""

    primary: int = 0
    """Answers of the primary."""
    open: dict[str, _Alone] = field(default_factory=lambda: defaultdict[str, _Alone](_Alone))
    """Those that have no partner of a role yet, by that role."""
    waiting: dict[str, _Alone] = field(default_factory=lambda: defaultdict[str, _Alone](_Alone))
    """Answers of each other role that have no partner yet."""
    bytes: int = 0


class Follower:
    """A comparison that goes on: :meth:`step` takes what is new, :meth:`result` judges all there was.

    Every request's answers are held until there are too many; then the oldest requests are let go, and what had no
    partner until then counts as unpaired.
    """

    def __init__(self, job: DiffJob, *, max_waiting: int = MAX_WAITING) -> None:
        """Prepare; nothing is read yet, and nothing need be there yet.

        Args:
            job: What to compare.
            max_waiting: Requests held at most.

        Raises:
            ValidationError: A recording's URL is wrong, or the descriptor set is.
        """
        self._job = job
        self._max_waiting = max_waiting
        self._threshold = sample_threshold(job.sample_percent)
        self._sources = {PRIMARY: job.primary, MIRROR: job.mirror}
        self._sources |= {f"baseline-{number}": source for number, source in enumerate(job.baseline)}
        recordings = {source.recording for source in self._sources.values()}
        self._readers = {url: RecordingReader(store=RecordingStore.open(url)) for url in sorted(recordings)}
        self._read: dict[str, set[str]] = {url: set() for url in self._readers}
        self._unreadable: dict[str, tuple[str, list[Damage]]] = {}
        self._selections = {role: Selection() for role in self._sources}
        self._requests: OrderedDict[tuple[str, str], _Request] = OrderedDict()
        self._touched: dict[tuple[str, str], None] = {}
        self._bytes = 0
        self._let_go = PairCounts()
        self._comparison = Comparison(job)

    @property
    def pairs(self) -> int:
        """Pairs of primary and mirror compared so far."""
        return self._comparison.tallies.counts.paired

    def step(self) -> int:
        """Take the files that were finished since the last step, and return how many.

        A file that cannot be read as a whole may be one that is being copied here, so it is tried again each time.

        Raises:
            ValidationError: A file has another schema version, or not all were recorded with the same headers.
        """
        taken = 0
        self._unreadable.clear()
        for url, reader in self._readers.items():
            files = reader.store.files()
            # Files that are gone need not be remembered.
            read = self._read[url] = self._read[url] & {file.path for file in files}
            for file in files:
                if file.path not in read and self._take(url, reader, file):
                    read.add(file.path)
                    taken += 1
        for key in self._touched:
            if (request := self._requests.get(key)) is not None:
                self._pair_rest(request)
        self._touched.clear()
        require_same_headers(self._readers.values())
        return taken

    def result(self) -> DiffResult:
        """Judge everything that was compared so far.

        Raises:
            OperationError: No request had an answer on both sides yet, so nothing can be told.
        """
        tallies = self._comparison.tallies
        counts = tallies.counts
        waiting = PairCounts()
        for request in self._requests.values():
            _count_alone(request, waiting)
        counts.unpaired = self._let_go.unpaired + waiting.unpaired
        counts.surplus = self._let_go.surplus + waiting.surplus
        found = [(url, one) for url, reader in self._readers.items() for one in reader.damage]
        found += [(url, one) for url, damage in self._unreadable.values() for one in damage]
        tallies.damage = {(first_role(self._sources, url), one) for url, one in found}
        tallies.selections = self._selections
        return verdict(self._job, tallies)

    def _take(self, url: str, reader: RecordingReader, file: StoredFile) -> bool:
        """Read a file; False when it cannot be opened, so that nothing of it was taken."""
        known = len(reader.damage)
        for group in reader.row_groups([file]):
            for batch in reader.read(group, columns=COLUMNS):
                for role, source in self._sources.items():
                    if source.recording == url:
                        selection = self._selections[role]
                        rows = condensed(selected(batch, source, selection), self._job.ignored_headers)
                        for answer in self._wanted(chain.from_iterable(map(answers_of, rows.to_batches())), selection):
                            self._add(role, answer)
        if any(damage.row_group is None for damage in reader.damage[known:]):
            self._unreadable[file.path] = (url, reader.damage[known:])
            del reader.damage[known:]
            return False
        return True

    def _wanted(self, answers: Iterator[Answer], selection: Selection) -> Iterator[Answer]:
        for answer in answers:
            if not answer.request_id:
                selection.without_id += 1
            elif not is_sampled(answer.request_id, self._threshold):
                selection.sampled_out += 1
            else:
                selection.chosen += 1
                yield answer

    def _add(self, role: str, answer: Answer) -> None:
        """Compare an answer with those to the same method and path: the first with the first, and so on."""
        key = (answer.pair_key, answer.method)
        request = self._requests.setdefault(key, _Request())
        self._touched[key] = None
        size = _size(answer)
        request.bytes += size
        self._bytes += size
        if role != PRIMARY:
            if partner := _met(answer, request.open[role], request.waiting[role]):
                self._compare(role, partner, answer)
        else:
            request.primary += 1
            self._comparison.note_primary(answer.endpoint, 1)
            for other in self._sources:
                if other != PRIMARY and (partner := _met(answer, request.waiting[other], request.open[other])):
                    self._compare(other, answer, partner)
        while len(self._requests) > self._max_waiting or self._bytes > MAX_WAITING_BYTES:
            _, oldest = self._requests.popitem(last=False)
            self._bytes -= oldest.bytes
            _count_alone(oldest, self._let_go)

    def _pair_rest(self, request: _Request) -> None:
        """Compare answers whose paths were rewritten on the way, unless nobody can tell which belong together."""
        for role, waiting in request.waiting.items():
            mine = request.open[role]
            if len(mine) != len(waiting) and mine.targets > 1:
                continue
            left, right = mine.take_all(), waiting.take_all()
            several = min(len(left), len(right))
            for primary, other in zip(left[:several], right[:several], strict=True):
                self._compare(role, primary, other)
            for alone, answers in ((mine, left), (waiting, right)):
                for answer in answers[several:]:
                    alone.add(answer)

    def _compare(self, role: str, primary: Answer, other: Answer) -> None:
        if role == MIRROR:
            self._comparison.tallies.counts.paired += 1
            self._comparison.add(primary, other)
        else:
            self._comparison.tallies.baseline_counts.paired += 1
            self._comparison.add_baseline(primary, other)


def _met(answer: Answer, partners: _Alone, own: _Alone) -> Answer | None:
    """Take the partner of an answer out, or put the answer to those that have none yet."""
    partner = partners.take(answer.target)
    if partner is None:
        own.add(answer)
    return partner


def _count_alone(request: _Request, counts: PairCounts) -> None:
    alone = len(request.waiting[MIRROR])
    if request.primary:
        counts.surplus += alone
    else:
        counts.unpaired += alone


def _size(answer: Answer) -> int:
    response = answer.response
    return _ANSWER_BYTES + len(response.body or b"") + sum(len(message.data) for message in response.messages)

"""What a change does, in sum: changes with counts and examples, and what could not be seen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...model import JsonObject, JsonValue
from ..outcome import Outcome as Verdict
from .choosing import Request
from .comparing import Difference, differences
from .fates import Fate
from .responsible import Responsible
from .state import State

MOST_EXAMPLES: Final = 3
MOST_HOSTS: Final = 5
"""Hosts that are named where no proxy takes them; JSON has all."""


@dataclass(frozen=True, kw_only=True, order=True)
class Subject:
    """Where something changes, and in what: the part of a change that does not depend on the requests.

    Attributes:
        proxy: The proxy.
        route: The route, as it is called before; where there was none, as it is called after.
        difference: In what.
    """

    proxy: str
    route: str
    difference: Difference

    def __str__(self) -> str:
        kind, before, after = self.difference.kind, self.difference.before, self.difference.after
        return f"{kind.value}, {self.proxy}, {self.route}: {before or 'not so'} -> {after}"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request that fares differently; as the recording has it, so redacted."""

    request_id: str
    method: str
    authority: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change.

    Attributes:
        subject: Where, and in what.
        requests: How many requests it concerns.
        examples: The first few of them.
        places: File and line of the manifests that are responsible, as far as that can be told.
        expected: Whether somebody said that it should be.
    """

    subject: Subject
    requests: int
    examples: tuple[Example, ...]
    places: tuple[str, ...]
    expected: bool = False


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Requests in sum.

    Attributes:
        recorded: Requests of the recording.
        sent: Of them those that some proxy takes.
        changed: Of them those that fare differently.
        untaken: Requests by host that no proxy takes in either state.
        copies: Copies in the recording, which are left out.
        unsent: Requests by the reason why they could not be sent.
        damaged: Parts of the recording that could not be read.
    """

    recorded: int
    sent: int
    changed: int
    untaken: Mapping[str, int]
    copies: int
    unsent: Mapping[str, int]
    damaged: int = 0


@dataclass(frozen=True, kw_only=True)
class Result:
    """All that there is to say.

    Attributes:
        changes: Every change, the largest first.
        counted: Requests in sum.
        refused: Objects of the state after that are refused, with the reason.
        unseen: What decides about requests and could not be shown.
        accepted: The same, accepted by an expectation.
        stale: Expectations that nothing meets.
        seconds: How long it took.
    """

    changes: Sequence[Change]
    counted: Counted
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    unseen: Sequence[str] = ()
    accepted: Sequence[str] = ()
    stale: Sequence[str] = ()
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """Whether nothing changes but what is expected."""
        if self.refused or any(not each.expected for each in self.changes):
            return Verdict.FAILS
        open_ = self.unseen or self.counted.unsent or self.counted.damaged or not self.counted.sent
        return Verdict.UNKNOWN if open_ else Verdict.HOLDS

    @property
    def headline(self) -> str:
        """The verdict in a sentence."""
        if self.refused:
            return f"{len(self.refused)} object{'s are' if len(self.refused) > 1 else ' is'} refused"
        new = sum(not each.expected for each in self.changes)
        if new:
            ways = "1 unexpected way" if new == 1 else f"{new} unexpected ways"
            return f"{self.counted.changed:,} of {self.counted.sent:,} requests fare differently, in {ways}"
        if not self.counted.sent:
            return "No proxy takes any of these requests in either state: is it the recording of another cluster?"
        same = "nothing changes" if not self.changes else "nothing changes but what is expected"
        return f"For {self.counted.sent:,} requests {same}" + (
            ", as far as can be seen" if self.unseen or self.accepted else ""
        )

    def notes(self) -> Iterator[str]:
        """What is worth a word beside the changes, sentence by sentence."""
        for name, reason in self.refused.items():
            yield f"Refused: {name}: {reason}"
        for each in self.unseen:
            yield f"Not seen: {each}"
        for each in self.accepted:
            yield f"Not seen, as accepted: {each}"
        for each in self.stale:
            yield f"Expected, and does not happen: {each}"
        for reason, count in self.counted.unsent.items():
            yield f"Not sent: {count:,} requests: {reason}"
        if self.counted.damaged:
            yield f"Not read: {self.counted.damaged:,} damaged parts of the recording"
        if hosts := self.counted.untaken:
            most = sorted(hosts, key=lambda host: (-hosts[host], host))
            named = ", ".join(host or "(none)" for host in most[:MOST_HOSTS])
            more = " and others" if len(most) > MOST_HOSTS else ""
            yield f"No proxy takes {sum(hosts.values()):,} requests, for {named}{more}"

    def to_json(self) -> JsonObject:
        """The result for machines."""
        changes: list[JsonValue] = [_change_json(each) for each in self.changes]
        return {
            "verdict": self.verdict.value,
            "headline": self.headline,
            "requests": {
                "recorded": self.counted.recorded,
                "sent": self.counted.sent,
                "changed": self.counted.changed,
                "untaken": dict(self.counted.untaken),
                "copies": self.counted.copies,
                "unsent": dict(self.counted.unsent),
                "damaged": self.counted.damaged,
            },
            "changes": changes,
            "refused": dict(self.refused),
            "unseen": list(self.unseen),
            "accepted": list(self.accepted),
            "stale_expectations": list(self.stale),
            "seconds": round(self.seconds, 1),
        }


def _change_json(change: Change) -> JsonObject:
    subject = change.subject
    examples: list[JsonValue] = [
        {"request_id": each.request_id, "method": each.method, "authority": each.authority, "path": each.path}
        for each in change.examples
    ]
    return {
        "kind": subject.difference.kind.value,
        "proxy": subject.proxy,
        "route": subject.route,
        "before": subject.difference.before,
        "after": subject.difference.after,
        "requests": change.requests,
        "examples": examples,
        "places": list(change.places),
        "expected": change.expected,
    }


@dataclass(kw_only=True)
class Tally:
    """Gathers what differs, request by request.

    Attributes:
        before: The state before.
        after: The state after.
    """

    before: State
    after: State
    _found: dict[Subject, list[Request]] = field(default_factory=dict[Subject, list[Request]])
    _places: dict[Subject, tuple[str, ...]] = field(default_factory=dict[Subject, tuple[str, ...]])
    _changed: set[int] = field(default_factory=set[int])
    _responsible: Responsible = field(init=False)

    def __post_init__(self) -> None:
        self._responsible = Responsible(self.before, self.after)

    def add(self, request: Request, proxy: str, before: Fate, after: Fate) -> None:
        """Compare one request at one door."""
        self.note(request, proxy, before, after, differences(before, after))

    def note(self, request: Request, proxy: str, before: Fate, after: Fate, found: Iterable[Difference]) -> None:
        """Note what differs for one request at one door."""
        route = before.route or after.route
        for difference in found:
            subject = Subject(proxy=proxy, route=route.name if route else "no route", difference=difference)
            self._found.setdefault(subject, []).append(request)
            self._changed.add(request.number)
            if subject not in self._places:
                self._places[subject] = self._responsible.places(before.route, after.route)

    @property
    def changed(self) -> int:
        """How many requests fare differently."""
        return len(self._changed)

    def changes(self, expected: Iterable[Subject] = ()) -> list[Change]:
        """All changes, the unexpected and the largest first."""
        known = set(expected)
        made = [
            Change(
                subject=subject,
                requests=len(requests),
                examples=tuple(_example(each) for each in requests[:MOST_EXAMPLES]),
                places=self._places[subject],
                expected=subject in known,
            )
            for subject, requests in self._found.items()
        ]
        return sorted(made, key=lambda each: (each.expected, -each.requests, each.subject))


def _example(request: Request) -> Example:
    return Example(request_id=request.request_id, method=request.method, authority=request.authority, path=request.path)

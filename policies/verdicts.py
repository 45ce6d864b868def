"""What the pack says about one place, and what it keeps for its lists."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pulumi_traffic_mirror.model.rules import Outcome

from .parameters import WaiverTerms
from .resources import Resource


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One rule's judgement of one place.

    Attributes:
        rule: Id of the rule.
        resource: The resource; None when it is not among the stack's.
        subject: How messages call the resource.
        field: Path in it.
        message: What is wrong, as a sentence without a full stop.
        remedy: What to do, as an imperative sentence without a full stop.
        outcome: Whether it stands, is waived, or could not be judged.
        reason: Why it is waived, and until when; empty otherwise.
    """

    rule: str
    resource: Resource | None = field(repr=False)
    subject: str
    field: str
    message: str = ""
    remedy: str = ""
    outcome: Outcome = Outcome.BROKEN
    reason: str = ""

    @property
    def urn(self) -> str | None:
        """URN of the resource."""
        return self.resource.urn if self.resource else None

    def __str__(self) -> str:
        return f"{self.subject}: {self.field}: {self.message}. {self.remedy}."


def waived(verdict: Verdict, waivers: Sequence[WaiverTerms], now: datetime, max_days: float | None = None) -> Verdict:
    """The verdict under the waivers of the configuration; one that is not in force is mentioned and changes nothing.

    Args:
        verdict: The verdict.
        waivers: The waivers.
        now: Current time with a zone.
        max_days: Longest time to a waiver's end, in days; None for no bound.
    """
    if verdict.outcome is not Outcome.BROKEN or verdict.resource is None:
        return verdict
    names = {verdict.resource.name, verdict.resource.urn, verdict.subject}
    ended = ""
    for waiver in waivers:
        if waiver.resource not in names:
            continue
        if max_days is not None and (waiver.until - now.date()).days > max_days:
            ended = f"; its waiver ends more than {max_days:g} days from now, with {waiver.until.isoformat()}"
        elif waiver.covers(now):
            reason = f"{waiver.reason} (until {waiver.until.isoformat()})"
            return _changed(verdict, outcome=Outcome.WAIVED, reason=reason)
        else:
            ended = f"; its waiver ended with {waiver.until.isoformat()}"
    return _changed(verdict, message=verdict.message + ended) if ended else verdict


def _changed(
    verdict: Verdict, *, message: str | None = None, outcome: Outcome | None = None, reason: str = ""
) -> Verdict:
    return Verdict(
        rule=verdict.rule,
        resource=verdict.resource,
        subject=verdict.subject,
        field=verdict.field,
        message=verdict.message if message is None else message,
        remedy=verdict.remedy,
        outcome=outcome or verdict.outcome,
        reason=reason,
    )


class Ledger:
    """Waived and unjudged places of one deployment: policies write them, two policies list them.

    The engine judges resources in several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str, str], Verdict] = {}

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict; the same place under the same rule is kept once."""
        with self._lock:
            self._entries[verdict.rule, verdict.urn or verdict.subject, verdict.field] = verdict

    def take(self, outcome: Outcome) -> list[Verdict]:
        """Hand out what was kept with an outcome, and forget it."""
        with self._lock:
            taken = {key: verdict for key, verdict in self._entries.items() if verdict.outcome is outcome}
            for key in taken:
                del self._entries[key]
        return [taken[key] for key in sorted(taken)]


def by_place(verdicts: Sequence[Verdict]) -> Iterator[tuple[Verdict, str]]:
    """The first verdict of each place with the ids of all rules that share it."""
    places: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        places.setdefault((verdict.subject, verdict.field), []).append(verdict)
    for _, found in sorted(places.items()):
        rules = sorted({verdict.rule for verdict in found})
        yield found[0], ", ".join(rules)

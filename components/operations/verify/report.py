"""The report of a run: as JSON, and as a table with a small picture for a terminal. The page is in :mod:`.page`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...model import JsonObject, JsonValue
from ..calls import CallSummary
from ..outcome import Outcome
from .causes import Cause, Diagnosis
from .claims import Claim, worst
from .evidence import PRIMARY, Arrivals, ProxyCounters

STYLE_OF: Final[Mapping[Outcome, str]] = {
    Outcome.HOLDS: "green",
    Outcome.FAILS: "bold red",
    Outcome.UNKNOWN: "yellow",
}
SIGN_OF: Final[Mapping[Outcome, str]] = {Outcome.HOLDS: "✓", Outcome.FAILS: "✗", Outcome.UNKNOWN: "?"}
WORDS_OF: Final[Mapping[Outcome, str]] = {
    Outcome.HOLDS: "The mirrors do what they should",
    Outcome.FAILS: "The mirrors do not do what they should",
    Outcome.UNKNOWN: "There is not enough evidence to tell",
}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One step of the run and how long it took."""

    name: str
    """What was done."""

    seconds: float
    """How long it took."""

    start_seconds: float
    """When it began, since the run did; steps may overlap."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The primary or a mirror, with all that is claimed and known of it."""

    name: str
    """``"primary"``, or the mirror's name on its route."""

    label: str
    """Who it is, e.g. ``"greeter v2"``."""

    cluster: str
    """Name of the cluster that it is in; empty where that is not known."""

    outcome: Outcome
    """How all claims about it stand."""

    claims: tuple[Claim, ...]
    causes: tuple[Diagnosis, ...] = ()
    """What is wrong with it, or why it cannot be told."""

    percent: float = 100.0
    """Share of the calls that it should get."""

    calls: int = 0
    """Calls that count."""

    copies: int = 0
    """How many of them it got; answers of the primary."""

    share: tuple[float, float] = (0.0, 100.0)
    """Shares in per cent that the count is compatible with."""

    source: str = ""
    """Where the count comes from."""

    endpoints: tuple[str, ...] = ()
    """Its addresses in the sending proxy."""

    counters: ProxyCounters | None = None
    """What the sending proxy counted; None where it could not be asked."""

    arrivals: Arrivals | None = None
    """What its application logged; None where that names no calls."""

    answers: Mapping[str, int] | None = None
    """What the receiving gateway answered; None where it keeps no log."""

    def to_json(self) -> JsonObject:
        """The subject for machines."""
        causes: list[JsonValue] = [
            {"cause": each.cause.value, "detail": each.detail, "remedy": each.remedy} for each in self.causes
        ]
        return {**asdict(self), "causes": causes, "share": [round(end, 4) for end in self.share]}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Subject":
        """Read what :meth:`to_json` wrote."""
        read: dict[str, Any] = {
            **raw,
            "outcome": Outcome(raw["outcome"]),
            "claims": tuple(Claim(**{**each, "outcome": Outcome(each["outcome"])}) for each in raw["claims"]),
            "causes": tuple(Diagnosis(cause=Cause(each["cause"]), detail=each["detail"]) for each in raw["causes"]),
            "share": tuple(raw["share"]),
            "endpoints": tuple(raw["endpoints"]),
            "counters": ProxyCounters(**raw["counters"]) if raw["counters"] else None,
            "arrivals": Arrivals(**raw["arrivals"]) if raw["arrivals"] else None,
        }
        return cls(**read)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that there is to say about a run."""

    title: str
    """What was run, e.g. ``"Rehearsal"``."""

    started: str
    """When, in UTC, ISO 8601."""

    route: str
    """The object that routes the calls, for people."""

    sender: str
    """Name of the cluster that owns the traffic."""

    authority: str
    """Authority of the calls, with port."""

    path: str
    """Path of the calls; of gRPC ``/service/method``."""

    gateway: str
    """``host:port`` that they went to; the Gateway's name when traffic was watched."""

    calls: CallSummary | None
    """What the client saw; None when traffic was watched."""

    subjects: tuple[Subject, ...]
    """The primary, where calls were made, then the mirrors."""

    gaps: tuple[str, ...] = ()
    """What could not be read, and why, and what else is worth a word."""

    unreached: str = ""
    """The gateway's address where no connection to it could be made; empty otherwise."""

    calling_seconds: float = 0.0
    """How long calls were made, or traffic was watched."""

    in_flight: Mapping[str, int] = field(default_factory=dict[str, int])
    """Copies in flight when the last call had been answered, by mirror."""

    primary_counters: ProxyCounters = field(default_factory=ProxyCounters)
    """What the sending proxy counted for the primary meanwhile, whoever called."""

    memory_bytes: int = 0
    """Memory that the busiest sending proxy has allocated; 0 where that could not be asked."""

    phases: tuple[Phase, ...] = ()
    """Steps of the run, in the order in which they began."""

    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What it ran with: versions, engine, clusters."""

    stand_ins: tuple[str, ...] = ()
    """What a part stood in for, and what this run therefore does not prove."""

    @property
    def mirrors(self) -> tuple[Subject, ...]:
        """The subjects that are mirrors."""
        return tuple(each for each in self.subjects if each.name != PRIMARY)

    @property
    def outcome(self) -> Outcome:
        """How the whole stands. Without a mirror nothing holds."""
        found = worst(each.outcome for each in self.subjects)
        return found if self.mirrors or found is Outcome.FAILS else Outcome.UNKNOWN

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All claims."""
        return tuple(claim for each in self.subjects for claim in each.claims)

    @property
    def seconds(self) -> float:
        """Time from the beginning of the first step to the end of the last."""
        return max((phase.start_seconds + phase.seconds for phase in self.phases), default=0.0)

    def subject(self, name: str) -> Subject:
        """The subject with a name.

        Raises:
            KeyError: There is none.
        """
        return {each.name: each for each in self.subjects}[name]

    def to_json(self) -> JsonObject:
        """The report for machines."""
        primary = next((each.to_json() for each in self.subjects if each.name == PRIMARY), None)
        mirrors: list[JsonValue] = [each.to_json() for each in self.mirrors]
        return {
            "title": self.title,
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "outcome": self.outcome.value,
            "route": self.route,
            "sender": self.sender,
            "authority": self.authority,
            "path": self.path,
            "gateway": self.gateway,
            "calls": self.calls.to_json() if self.calls else None,
            "primary": primary,
            "mirrors": mirrors,
            "gaps": list(self.gaps),
            "unreached": self.unreached or None,
            "callingSeconds": round(self.calling_seconds, 3),
            "inFlight": dict(self.in_flight),
            "primaryCounters": asdict(self.primary_counters),
            "memoryBytes": self.memory_bytes,
            "phases": [asdict(phase) for phase in self.phases],
            "facts": dict(self.facts),
            "standIns": list(self.stand_ins),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Report":
        """Read what :meth:`to_json` wrote."""
        subjects = [*([raw["primary"]] if raw["primary"] else []), *raw["mirrors"]]
        return cls(
            title=raw["title"],
            started=raw["started"],
            route=raw["route"],
            sender=raw["sender"],
            authority=raw["authority"],
            path=raw["path"],
            gateway=raw["gateway"],
            calls=CallSummary(**raw["calls"]) if raw["calls"] else None,
            subjects=tuple(Subject.from_json(each) for each in subjects),
            gaps=tuple(raw["gaps"]),
            unreached=raw["unreached"] or "",
            calling_seconds=raw["callingSeconds"],
            in_flight=raw["inFlight"],
            primary_counters=ProxyCounters(**raw["primaryCounters"]),
            memory_bytes=raw["memoryBytes"],
            phases=tuple(Phase(**phase) for phase in raw["phases"]),
            facts=raw["facts"],
            stand_ins=tuple(raw["standIns"]),
        )


def print_report(report: Report, console: Console) -> None:
    """Show the report on a terminal.

    Args:
        report: What to show.
        console: Where.
    """
    console.print(Group(*_parts(report)), highlight=False)


def _parts(report: Report) -> list[RenderableType]:
    call = Text(f"{report.route}, {report.authority}{report.path}", style="dim")
    parts: list[RenderableType] = [call, Text(), picture(report), Text(), _table(report), Text()]
    if report.unreached:
        words = f"no connection to the gateway at {report.unreached} from this machine. "
        hint = "Give --gateway HOST:PORT by which it is reached, e.g. of a port-forward."
        parts.append(Text.assemble(("not reached  ", "bold yellow"), words + hint))
    for each in report.subjects:
        for cause in each.causes:
            name = (f"{each.name}: {cause.cause}  ", "bold")
            parts.append(Text.assemble(name, f"{cause.detail}. {cause.remedy}."))
    parts += [Text.assemble(("not seen  ", "bold yellow"), gap) for gap in report.gaps]
    return [*parts, headline(report)]


def headline(report: Report) -> Text:
    """Return the one line that says how it went."""
    outcome = report.outcome
    words = WORDS_OF[outcome] if report.mirrors else "Nothing is mirrored for this call, so nothing can be told"
    held = sum(claim.outcome is Outcome.HOLDS for claim in report.claims)
    counts = [f"{held} of {len(report.claims)} claims hold", said_calls(report)]
    counts += [f"{report.seconds:.0f} s"] if report.phases else []
    return Text.assemble((f"{SIGN_OF[outcome]} {words}", STYLE_OF[outcome]), f"  ({', '.join(counts)})")


def said_calls(report: Report) -> str:
    """Say how much was called or watched."""
    if report.calls is not None:
        return f"{report.calls.total:,} calls"
    return f"watched for {report.calling_seconds:.0f} s"


def picture(report: Report) -> Text:
    """Return the topology with what flowed, as text."""
    rows: list[tuple[str, str, str, Outcome | None]] = []
    for each in report.subjects:
        if each.name == PRIMARY:
            rows.append(("─" * 10, each.label, f"{each.copies:,} answers", each.outcome))
            continue
        share = f"┄ {each.percent:g} % ".ljust(10, "┄")
        hop = "" if each.cluster == report.sender else f"{each.cluster or 'elsewhere'} gateway ┄▶ "
        rows.append((share, hop + each.label, f"{each.copies:,} copies", each.outcome))
    if report.calls is None:
        rows.insert(0, ("─" * 10, "the primary", "", None))
    start = "clients ─▶ gateway ─"
    width = max(len(label) for _, label, _, _ in rows)
    lines: list[Text] = []
    for index, (share, label, count, outcome) in enumerate(rows):
        before = start if index == 0 else " " * len(start)
        corner = "─" if len(rows) == 1 else "┬" if index == 0 else "└" if index == len(rows) - 1 else "├"
        sign = (SIGN_OF[outcome], STYLE_OF[outcome]) if outcome else ("", "")
        lines.append(
            Text.assemble(f"{before}{corner}{share}▶ ", (label.ljust(width + 1), "bold"), f"{count:>14} ", sign)
        )
    return Text("\n").join(lines)


def _table(report: Report) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="bold", pad_edge=False)
    for name in ("", "claim", "expected", "seen"):
        table.add_column(name, overflow="fold")
    for each in report.subjects:
        table.add_row("", Text(each.name, style="bold"))
        for claim in each.claims:
            table.add_row(
                Text(SIGN_OF[claim.outcome], style=STYLE_OF[claim.outcome]),
                Text(claim.title),
                Text(claim.expected),
                Text(claim.seen, style="" if claim.outcome is Outcome.HOLDS else STYLE_OF[claim.outcome]),
            )
    return table

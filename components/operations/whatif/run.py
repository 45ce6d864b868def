"""What a change would do to recorded requests: both states, the same requests, side by side."""

import asyncio
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .bootstrap import BY_CHANCE, Bootstrap, bootstrap
from .chances import chosen_again, contradictions
from .choosing import Chooser, Request
from .envoy import running
from .expectations import Expectations
from .fates import Fate, Outcome
from .requests import MOST_SENT, Recorded
from .result import Counted, Result, Tally
from .sending import Passage, outcomes_of, send
from .state import SIDECAR, State
from .unseen import undecided
from .wire import Answer


@dataclass(frozen=True, kw_only=True)
class Run:
    """One state with what became of the requests in it.

    Attributes:
        state: The state.
        made: What its Envoy was started with.
        passages: What was sent.
        outcomes: What became of each passage, by its place.
        unsent: Why one could not be sent, by its place.
    """

    state: State
    made: Bootstrap
    passages: Sequence[Passage] = field(repr=False)
    outcomes: dict[int, Outcome] = field(repr=False)
    unsent: dict[int, str] = field(repr=False)

    def fate(self, place: int) -> Fate:
        """What became of a passage."""
        outcome = self.outcomes.get(place)
        route = self.made.routes[outcome.route] if outcome and outcome.route is not None else None
        return Fate(outcome=outcome, route=route, beside=self.passages[place].door.startswith(SIDECAR))


def passages_of(recorded: Recorded, states: Sequence[State]) -> tuple[list[Passage], Counter[str]]:
    """Every request at every door that it comes through, and requests by host that no proxy takes."""
    chooser = Chooser(states)
    passages: list[Passage] = []
    untaken: Counter[str] = Counter()
    for request in recorded.requests:
        doors = chooser.doors(request)
        passages += [Passage(door=door, proxy=chooser.proxy(door), request=request) for door in doors]
        if not doors:
            untaken[request.host] += 1
    return passages, untaken


def _again(passages: Sequence[Passage], answers: Mapping[int, Answer], made: Bootstrap) -> list[Passage]:
    """What is sent a second time, to the doors that leave chance in."""
    taken: dict[int, list[int]] = defaultdict(list)
    for place, answer in answers.items():
        if answer.route is not None:
            taken[answer.route].append(place)
    places = chosen_again({index: sorted(each) for index, each in taken.items()}, made.routes)
    return [replace(passages[place], door=BY_CHANCE + passages[place].door) for place in places]


async def run_states(
    program: Path, states: Sequence[State], passages: Sequence[Passage], done: Callable[[float], None] = lambda _: None
) -> list[Run]:
    """Send the same requests through the Envoys of all states.

    Args:
        program: Envoy.
        states: The states.
        passages: The requests.
        done: Told the share that is done, 0 to 1.

    Raises:
        OperationError: Envoy cannot be started, or refuses what istiod renders.
    """
    ended = 0

    def count() -> None:
        nonlocal ended
        ended += 1
        done(ended / max(1, len(passages) * len(states)))

    async def one(state: State) -> Run:
        # Sockets take no longer paths than 107 bytes, so not below a folder of the user's.
        with tempfile.TemporaryDirectory(prefix="what-if-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            made = bootstrap(state, {each.door for each in passages}, folder)
            async with running(program, folder, made) as envoy:
                answers, unsent = await send(envoy, passages, done=count)
                again = _again(passages, answers, made)
                answers |= (await send(envoy, again, first=len(passages)))[0]
            outcomes = outcomes_of(envoy, answers)
            repeated = [each for place, each in outcomes.items() if place >= len(passages)]
            contradicted = contradictions(repeated, made.routes)
            return Run(
                state=state,
                passages=passages,
                made=replace(made, unseen=made.unseen.union(contradicted)),
                outcomes=outcomes,
                unsent=unsent,
            )

    return list(await asyncio.gather(*(one(state) for state in states)))


@dataclass(kw_only=True)
class Judging:
    """From the runs of some states to the result.

    Attributes:
        runs: The runs; the last one is of the state that is judged.
        passages: What was sent.
        untaken: Requests by host that no proxy takes.
        recorded: The recording.
        begun: When it began, by a monotonic clock, in seconds.
    """

    runs: Sequence[Run]
    passages: Sequence[Passage]
    untaken: Counter[str]
    recorded: Recorded
    begun: float

    def result(self, compare: Callable[[Tally, Request, str, Sequence[Fate]], None], expected: Expectations) -> Result:
        """Compare every request that could be sent, and sum up.

        Args:
            compare: Tells the tally about one request at one door, by its proxy and its fates in all states.
            expected: What should be.
        """
        before, after = self.runs[0].state, self.runs[-1].state
        tally = Tally(before=before, after=after)
        unsent: Counter[str] = Counter()
        for place, passage in enumerate(self.passages):
            if reason := next((run.unsent[place] for run in self.runs if place in run.unsent), ""):
                unsent[reason] += 1
                continue
            compare(tally, passage.request, passage.proxy, [run.fate(place) for run in self.runs])
        changes = tally.changes(expected.changes)
        unseen = frozenset[str]().union(*(run.made.unseen for run in self.runs))
        if any(len(each.request.body.data) < each.request.size for each in self.passages):
            readers = frozenset[str]().union(*(run.made.readers for run in self.runs))
            unseen |= {f"{each} looks into bodies, and not all are recorded" for each in readers}
        if self.recorded.headers is not None:
            doors = [door for run in self.runs for door in run.state.doors.values()]
            configs = [config for door in doors for config in (door.manager, door.routes)]
            unseen |= {*undecided(configs, self.recorded.headers)}
        if any(each.request.size > MOST_SENT for each in self.passages):
            unseen |= {f"what is decided by the length of bodies longer than {MOST_SENT >> 20} MiB"}
        stale = expected.changes - {each.subject for each in changes}
        known = before.refused if before is not after else dict[str, str]()
        return Result(
            changes=changes,
            counted=Counted(
                recorded=len(self.recorded.requests),
                sent=len({each.request.number for each in self.passages}),
                changed=tally.changed,
                untaken=dict(sorted(self.untaken.items())),
                copies=self.recorded.copies,
                unsent=dict(unsent),
                damaged=len(self.recorded.damage),
            ),
            refused={name: reason for name, reason in after.refused.items() if known.get(name) != reason},
            unseen=sorted(unseen - expected.unseen),
            accepted=sorted(unseen & expected.unseen),
            stale=[*map(str, sorted(stale)), *sorted(expected.unseen - unseen)],
            seconds=time.monotonic() - self.begun,
        )


async def judge(
    program: Path, states: Sequence[State], recorded: Recorded, done: Callable[[float], None] = lambda _: None
) -> Judging:
    """Send recorded requests through all states.

    Raises:
        OperationError: Envoy cannot be started, or refuses what istiod renders.
    """
    begun = time.monotonic()
    passages, untaken = passages_of(recorded, states)
    runs = await run_states(program, states, passages, done)
    return Judging(runs=runs, passages=passages, untaken=untaken, recorded=recorded, begun=begun)


async def what_if(
    program: Path,
    before: State,
    after: State,
    recorded: Recorded,
    *,
    expected: Expectations | None = None,
    done: Callable[[float], None] = lambda _: None,
) -> Result:
    """Say what a change does to recorded requests.

    Args:
        program: Envoy.
        before: The state without the change.
        after: The state with it.
        recorded: The requests.
        expected: What should be.
        done: Told the share that is done, 0 to 1.

    Raises:
        OperationError: It cannot be told.
    """
    judging = await judge(program, (before, after), recorded, done)

    def compare(tally: Tally, request: Request, proxy: str, fates: Sequence[Fate]) -> None:
        tally.add(request, proxy, *fates)

    return judging.result(compare, expected or Expectations())

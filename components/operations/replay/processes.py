"""Replaying in several processes of one machine: each sends a part of the requests, and what they count adds up."""

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final, TypeAlias, cast

from ...model import ValidationError
from ..children import end_with_parent
from ..errors import OperationError
from ..recording import RecordingReader, RecordingStore
from ..recording.buckets import Shard
from .run import ReplayJob, replay_part, require_empty
from .statistics import ReplayedPart, ReplayReport, ReplayStatistics, report_of, total_of

_LEAD_SECONDS: Final = 2.0
"""Until all parts begin: each process starts and imports meanwhile; one that takes longer begins at once."""

Refusal: TypeAlias = tuple[str, object, str, str]
"""Field, value, rule and remedy: the error itself does not travel between processes."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class _Failure:
    """What an error says that is no refusal: clients of buckets raise what no other process can read."""

    problem: str
    remedy: str


async def replay_in_processes(
    job: ReplayJob,
    processes: int,
    *,
    dry_run: bool = False,
    stop: asyncio.Event | None = None,
    on_progress: Callable[[ReplayStatistics], None] | None = None,
) -> ReplayReport:
    """Replay a recording in several processes that begin together; answers lie in a folder of each one's own.

    Args:
        job: What to do; rates and limits are those of all processes together.
        processes: How many, at least 2.
        dry_run: Read and decide, send nothing.
        stop: Once set, nothing more is sent; what was sent is finished, written and reported.
        on_progress: Called now and then with the numbers so far.

    Raises:
        ValidationError: As :func:`~.run.replay`.
        OperationError: A process ended before its part was done.
    """
    RecordingReader.open(job.recording)
    if job.result and not dry_run:
        require_empty(RecordingStore.open(job.result), job.result)
    begin = job.begin or datetime.now(UTC) + timedelta(seconds=_LEAD_SECONDS)
    parts = [replace(job, shard=Shard(number=number, of=processes), begin=begin) for number in range(processes)]
    workers = [_Worker(part, dry_run=dry_run) for part in parts]
    stopping = asyncio.ensure_future(_pass_on(stop, workers)) if stop else None
    progress: list[ReplayStatistics] = [ReplayStatistics() for _ in workers]

    def show(number: int, statistics: ReplayStatistics) -> None:
        progress[number] = statistics
        if on_progress:
            on_progress(total_of(progress))

    try:
        done = await asyncio.gather(*(worker.result(number, show) for number, worker in enumerate(workers)))
    finally:
        if stopping:
            stopping.cancel()
        for worker in workers:
            worker.end()
    return report_of(done, run_id=job.run_id, target=job.target.url, is_dry_run=dry_run)


class _Worker:
    """One process with its part."""

    def __init__(self, job: ReplayJob, *, dry_run: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._words, theirs = context.Pipe(duplex=False)
        self._process: BaseProcess = context.Process(target=_work, args=(job, dry_run, theirs), daemon=True)
        with _held_back():
            self._process.start()
        theirs.close()  # or its end would never be seen here
        self._number = job.shard.number

    def stop(self) -> None:
        """Let it finish what it has sent."""
        if self._process.is_alive():
            self._process.terminate()

    def end(self) -> None:
        """Wait for its end, or put one to it where its words were not waited for."""
        if self._process.is_alive() and not self._words.closed:
            self._process.kill()
        self._process.join()

    async def result(self, number: int, show: Callable[[int, ReplayStatistics], None]) -> ReplayedPart:
        """Return what it did."""
        try:
            while not isinstance(word := await asyncio.to_thread(self._words.recv), ReplayedPart):
                if isinstance(word, ReplayStatistics):
                    show(number, word)
                elif isinstance(word, _Failure):
                    raise OperationError(word.problem, remedy=word.remedy)
                else:
                    field, value, rule, remedy = cast("Refusal", word)
                    raise ValidationError(field=field, value=value, rule=rule, remedy=remedy)
        except EOFError as error:
            self._process.join()
            raise OperationError(
                f"Process {self._number} of the replay ended with {self._process.exitcode} before its part was done",
                remedy="Look whether memory ran out, and replay into a new result",
            ) from error
        self._words.close()
        return word


async def _pass_on(stop: asyncio.Event, workers: Sequence[_Worker]) -> None:
    await stop.wait()
    for worker in workers:
        worker.stop()


@contextmanager
def _held_back() -> Generator[None]:
    """Have processes that start here take signals only once they can listen: a terminal's Ctrl-C reaches all."""
    # It starts with the first process, and would let signals through while that one starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(job: ReplayJob, dry_run: bool, words: Connection) -> None:
    """Do one part in a process of its own; say how far it is, and at last what was done or why nothing was."""
    end_with_parent()
    asyncio.run(_part(job, dry_run, words))


async def _part(job: ReplayJob, dry_run: bool, words: Connection) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # The first signal asks each to finish; a terminal's is followed by the parent's.
    for number in _ENDING:
        loop.add_signal_handler(number, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)

    def show(statistics: ReplayStatistics) -> None:
        with suppress(BrokenPipeError):
            words.send(statistics)

    # Here, not after the loop: without its handlers a late signal would end the process before it has told.
    try:
        words.send(await replay_part(job, dry_run=dry_run, stop=stop, on_progress=show))
    except ValidationError as error:
        words.send((error.field, error.value, error.rule, error.remedy))
    except OperationError as error:
        words.send(_Failure(error.problem, error.remedy))
    except OSError as error:
        words.send(_Failure(str(error), "Check the path or address, the rights to it, and that it can be reached"))
    except Exception as error:  # whatever it is, the others must not go on without this part
        text = f"Process {job.shard.number} of the replay failed with {type(error).__name__}: {error}"
        words.send(_Failure(text, "Replay in one process, which tells where it failed"))

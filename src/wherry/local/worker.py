"""Attempts under way: what was started and how long it may take, who wants it stopped, how it ended.

It starts claimed runs and tells what became of them; to decide and to write is the floor's part.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wherry import lifecycle
from wherry.causes import wants_file
from wherry.errors import MissingValue, WherryError
from wherry.executors import GRACE, Ended, Executor, Key, Started, Usage
from wherry.local.clock import Clock
from wherry.local.environment import AwsAccess, SecretSource, files_folder, prepare
from wherry.local.eventfile import EventFiles, NotTogether
from wherry.local.home import Home
from wherry.messages import queue_of
from wherry.model import Attempt, Ending, Job, JobFile, Outcome, Run

#: Gives a run's own credentials, or None when jobs inherit the caller's AWS configuration.
AccessFor = Callable[[str], AwsAccess | None]
#: What ends mean that we bring about.
STOPPED = Outcome(ending=Ending.STOPPED, reason="stopped on request")
ENDED = Outcome(ending=Ending.LOST, reason="the engine was stopped, and the attempt with it")
DISMISSED = Outcome(ending=Ending.DISMISSED, reason="not wanted any more, and done with its messages")

#: So many files of messages are made at once.
_MAKERS = 4


@dataclass
class Active:
    """A run with an attempt under way."""

    run: Run
    #: As it was when the attempt began; None when the job file did not have it any more.
    job: Job | None
    #: Set when it was stopped by us: the outcome that its end will mean.
    verdict: Outcome | None = None
    #: When that was, in seconds since 1970: an end before it stands.
    judged_at: float = math.inf
    #: Seconds of the monotonic clock, so that a moved wall clock kills nobody.
    bound_at: float = math.inf
    bound: lifecycle.Bound | None = None
    #: Its executor knows of it; until then its message's file is being made.
    launched: bool = False
    #: There is a file of its message's.
    has_file: bool = False
    #: What the gateway refused it.
    denials: list[str] = field(default_factory=list)

    @property
    def key(self) -> Key:
        """Its attempt."""
        return Key(self.run.id, self.run.attempts[-1].number)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run whose attempt has ended, to be decided about."""

    run: Run
    outcome: Outcome
    usage: Usage | None = None
    #: Messages that the run gives back, whatever becomes of it: its others cannot go with them.
    apart: frozenset[str] = frozenset()


class Worker:
    """The attempts under way. One thread drives it; any thread may `stop`, `denied` and ask for `active`."""

    def __init__(
        self,
        *,
        jobfile: Callable[[], JobFile],
        home: Home,
        executor: Executor,
        secrets: SecretSource,
        access_for: AccessFor,
        clock: Clock,
        files: EventFiles,
        in_containers: bool = False,
    ) -> None:
        self._jobfile = jobfile
        self._in_containers = in_containers
        self._home = home
        self._executor = executor
        self._secrets = secrets
        self._access_for = access_for
        self._clock = clock
        self._files = files
        #: Makes the files of messages: a large object takes a while, and nobody else must wait for it.
        self._makers: ThreadPoolExecutor | None = None
        self._made: deque[tuple[Active, str | Exception | None]] = deque()
        #: Called, from any thread, when there is something for `launch_made`.
        self.ring: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._active: dict[str, Active] = {}
        self._bounds: list[tuple[float, Key]] = []
        self._unstarted: list[Finished] = []

    def __len__(self) -> int:
        return len(self._active)

    @property
    def has_failed_to_start(self) -> bool:
        """Some attempt could not be started, which `collect` will tell: no descriptor does."""
        return bool(self._unstarted)

    def active(self) -> dict[str, str]:
        """The runs with an attempt under way, and each one's job."""
        with self._lock:
            return {run_id: active.run.job for run_id, active in self._active.items()}

    def job_of(self, run_id: str) -> Job | None:
        """The job of a run with an attempt under way, as it was when that began; None for other runs."""
        with self._lock:
            active = self._active.get(run_id)
        return None if active is None else active.job or Job(name=active.run.job)

    def start(self, run: Run) -> None:
        """Start the open attempt of a claimed run."""
        active = self._enter(run)
        job = self._jobfile().jobs.get(run.job)
        if job is None or not wants_file(job):
            self._launch(active, None)
            return
        active.has_file = True
        self._makers = self._makers or ThreadPoolExecutor(_MAKERS, thread_name_prefix="files")
        self._makers.submit(self._make_file, active)

    def launch_made(self) -> None:
        """Start the attempts whose files have been made."""
        while self._made:
            active, made = self._made.popleft()
            if isinstance(made, Exception):
                self._explain(active, made)
            else:
                self._launch(active, made)

    def _make_file(self, active: Active) -> None:
        shown = files_folder(self._home, active.run.id, in_container=self._in_containers)
        made: str | Exception | None
        try:
            made = self._files.make(active.run, self._clock(), shown)
        except Exception as error:  # noqa: BLE001 - told where the attempt is started
            made = error
        self._made.append((active, made))
        self.ring()

    def _launch(self, active: Active, file: str | None) -> None:
        run = active.run
        try:
            access = self._access_for(run.id)
            run, launch = prepare(
                run, self._jobfile(), self._home, self._secrets, access, file=file, in_container=self._in_containers
            )
        except Exception as error:  # noqa: BLE001 - a run must not hang because of a mistake of ours
            self._explain(active, error)
            return
        with self._lock:
            active.launched = active.verdict is None
            active.run = run
        if active.launched:
            self._executor.launch(active.key, launch)
            self._bind(active, time.monotonic())
        else:  # somebody was quicker and has stopped it
            self._unstarted.append(self._finish(active, Ended(active.key, Outcome(ending=Ending.STOPPED))))

    def _explain(self, active: Active, error: Exception) -> None:
        """The attempt could not be started."""
        match error:
            case NotTogether():
                self._fail(active, _said(error), unfit=True, passing=not error.is_hopeless, apart=error.apart)
            case WherryError():
                self._fail(active, _said(error), unfit=isinstance(error, MissingValue))
            case OSError():
                self._fail(active, f"its files cannot be made: {error}", passing=True)
            case _:
                self._fail(active, f"this is a bug in wherry: {error!r}")

    def take_over(self, run: Run, keeper_of: str) -> None:
        """Go on with the open attempt of a run whose owner died; `keeper_of` is the engine that began the attempt."""
        active = self._enter(run)
        active.launched = True
        active.has_file = self._files.is_there(run.id)
        attempt = run.attempts[-1]
        log = self._home.log(run.id, attempt.number)
        self._executor.adopt(active.key, process=attempt.process, owner=keeper_of, log=log)
        self._bind(active, time.monotonic() - max(0.0, (self._clock() - attempt.started_at).total_seconds()))

    def collect(self) -> tuple[list[tuple[Run, str]], list[Finished]]:
        """What has started, with its process, and what has ended since the last time; then enforce the bounds."""
        finished, self._unstarted = self._unstarted, []
        started = []
        # First what has happened: what ended in time has not run out of it because we come late.
        for report in self._executor.receive():
            active = self._active.get(report.key.run_id)
            if active is None or active.key != report.key:
                continue
            if isinstance(report, Started):
                started.append((active.run, report.process))
            else:
                finished.append(self._finish(active, report))
        ended = {one.run.id for one in finished}
        self._enforce_bounds(ended)
        return started, finished

    def forget(self, finished: Iterable[Finished]) -> None:
        """These ends are on disk."""
        with self._lock:
            ended = [self._active.pop(one.run.id) for one in finished]
        for active in ended:
            if active.has_file:
                self._files.remove(active.run.id)
        if ended:
            self._executor.settle([active.key for active in ended])

    def stop(self, run_id: str, verdict: Outcome = STOPPED, *, judged_at: float | None = None) -> bool:
        """Ask an attempt to end, which is what its end will mean; False when the run has none under way here.

        `judged_at`, in seconds since 1970: since when the end means that; None: from now on.
        """
        with self._lock:
            active = self._active.get(run_id)
            if active is None:
                return False
            if active.verdict is not None:
                return True  # asked already; many programs take a second SIGTERM for an order to drop everything
            active.verdict = verdict
            active.judged_at = self._clock().timestamp() if judged_at is None else judged_at
            launched = active.launched
        if launched:
            self._executor.stop(active.key, GRACE.total_seconds())
        return True

    def stop_all(self) -> None:
        """Ask all attempts to end, because the engine does: that is no verdict about a message."""
        with self._lock:
            runs = [active.run for active in self._active.values()]
        for run in runs:
            self.stop(run.id, STOPPED if queue_of(run.cause) is None else ENDED)

    def denied(self, run_id: str, message: str) -> None:
        """Note that the gateway refused a run something, so that its failure can say so."""
        with self._lock:
            active = self._active.get(run_id)
            if active is not None and message not in active.denials:
                active.denials.append(message)

    def seconds_to_bound(self) -> float:
        """How long until an attempt has had its time; infinite when none is bounded."""
        while self._bounds:
            moment, key = self._bounds[0]
            active = self._active.get(key.run_id)
            if active is not None and active.key == key and active.verdict is None:
                return max(0.0, moment - time.monotonic())
            heapq.heappop(self._bounds)
        return math.inf

    def _enter(self, run: Run) -> Active:
        active = Active(run, self._jobfile().jobs.get(run.job))
        with self._lock:
            self._active[run.id] = active
        return active

    def _bind(self, active: Active, began: float) -> None:
        run = active.run
        job = self._jobfile().jobs.get(run.job)
        bound = job and lifecycle.bound_of(job, asked_at=run.asked_at, started_at=run.attempts[-1].started_at)
        if bound:
            active.bound = bound
            active.bound_at = began + bound.length.total_seconds()
            heapq.heappush(self._bounds, (active.bound_at, active.key))

    def _enforce_bounds(self, ended: Container[str]) -> None:
        while self.seconds_to_bound() <= 0:
            _, key = heapq.heappop(self._bounds)
            if key.run_id in ended:
                continue
            active = self._active[key.run_id]
            active.judged_at = self._clock().timestamp()
            said = active.bound.said if active.bound else ""
            active.verdict = Outcome(ending=Ending.TIMED_OUT, reason=f"it ran longer than `{said}`")
            self._executor.stop(key, GRACE.total_seconds())

    def _fail(
        self,
        active: Active,
        reason: str,
        *,
        passing: bool = False,
        unfit: bool = False,
        apart: frozenset[str] = frozenset(),
    ) -> None:
        outcome = Outcome(ending=Ending.COULD_NOT_START, reason=reason, passing=passing, unfit=unfit)
        finished = self._finish(active, Ended(active.key, outcome))
        self._unstarted.append(dataclasses.replace(finished, apart=apart))

    def _finish(self, active: Active, end: Ended) -> Finished:
        """What an end means, with all that is known of the attempt."""
        run, outcome = active.run, end.outcome
        with self._lock:
            verdict, denials = active.verdict, list(active.denials)
        came_first = end.at is not None and end.at < active.judged_at
        if verdict is not None and outcome.ending is not Ending.COULD_NOT_START and not came_first:
            outcome = _judged(verdict, outcome)
        if denials and not outcome.succeeded:
            outcome = dataclasses.replace(outcome, reason="; ".join(filter(None, [outcome.reason, *denials])))
        last = run.attempts[-1]
        ended_at = self._clock() if end.at is None else datetime.fromtimestamp(end.at, UTC)
        attempt = Attempt(
            number=last.number,
            started_at=last.started_at,
            ended_at=max(ended_at, last.started_at),
            outcome=outcome,
            process=last.process,
            peak_memory=end.usage.peak_memory if end.usage else None,
            cpu_seconds=end.usage.cpu_seconds if end.usage else None,
        )
        run = dataclasses.replace(run, attempts=(*run.attempts[:-1], attempt))
        return Finished(run=run, outcome=outcome, usage=end.usage)


def _said(error: WherryError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _judged(verdict: Outcome, outcome: Outcome) -> Outcome:
    """The outcome of an attempt that we ended: what we wanted, with how it took it."""
    if verdict.ending in (Ending.STOPPED, Ending.DISMISSED):
        reason = f"{verdict.reason}; {outcome.reason}".rstrip("; ")
        return dataclasses.replace(outcome, ending=verdict.ending, reason=reason)
    return verdict

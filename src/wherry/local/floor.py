"""Where runs are executed: the waiting line, the attempts under way, and the transactions between them.

One thread calls `turn` again and again. A turn gathers everything that has happened since the last one (attempts that
started or ended, runs that became due, deadlines that passed) and writes it in one transaction, so that under load
many runs share one commit; then it starts what it claimed. The engine and a lone `wherry run` both work so.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from wherry import lifecycle
from wherry.errors import WherryError
from wherry.executors import Executor
from wherry.executors.bell import Bell
from wherry.lifecycle import Admission
from wherry.local.clerk import Clerk, Turn
from wherry.local.clock import Clock
from wherry.local.database import Database
from wherry.local.line import Line
from wherry.local.runs import Queued, lane_of
from wherry.local.takers import Takers
from wherry.local.worker import DISMISSED, Finished, Worker
from wherry.messages import queue_of
from wherry.model import JobFile, Run, Status

#: Is told of each step of a run: the run as it then is.
Listener = Callable[[Run], None]
#: After the store refused a transaction, the next try comes so much later, in seconds.
_REST = 1.0
#: What waits for its FIFO group asks again so much later.
_GROUP_PAUSE = timedelta(seconds=1)
#: While it rests a floor looks up so often, in seconds.
_NAP = 0.1


class Floor:
    """Executes runs, `places` at once."""

    def __init__(
        self,
        *,
        jobfile: Callable[[], JobFile],
        database: Database,
        clerk: Clerk,
        worker: Worker,
        executor: Executor,
        takers: Takers,
        clock: Clock,
        places: int,
        listener: Listener,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._jobfile = jobfile
        self._database = database
        self._clerk = clerk
        self.me = clerk.me
        self._executor = executor
        self._takers = takers
        self._clock = clock
        self._places = places
        self._listener = listener
        self._failed = failed
        self._offers: deque[Queued] = deque()
        self._begun: deque[Run] = deque()
        #: Places that are taken or reserved; other threads reserve.
        self._taken = 0
        self._lock = threading.Lock()
        self._unsettled: tuple[list[tuple[Run, str]], list[Finished]] = ([], [])
        self._rest_until = 0.0
        self._bell = Bell()
        self._poll = select.epoll()
        self._poll.register(self._bell, select.EPOLLIN)
        self._poll.register(executor, select.EPOLLIN)
        #: Begin nothing new.
        self.draining = False
        #: Runs of owners that died, while they are being made ours.
        self.adopting: set[str] = set()
        self.worker = worker
        worker.ring = self.ring
        self.line = Line(self._rules, takers.width)

    @property
    def is_idle(self) -> bool:
        """Nothing is under way, and nothing is about to begin."""
        return self._taken == 0

    def offer(self, run: Run) -> None:
        """A run waits; from any thread."""
        self._offers.append(Queued.of(run))
        self.ring()

    def arrived(self, queue: str) -> None:
        """There may be something to take from a queue; from any thread."""
        if self._takers.call(queue):
            self.ring()

    def look_at_queues(self) -> None:
        """Messages may have come, or have become visible, without a word to us."""
        self._takers.call_all()

    def reserve(self, job: str) -> bool:
        """True when a run of the job could begin at once, which keeps a place for it; from any thread."""
        model = self._jobfile().jobs.get(job)
        if model is None or lifecycle.limit_of(model) is not None or self._is_resting():
            return False
        with self._lock:
            if self.draining or self._offers or self.line.has_ready or self._taken >= self._places:
                return False
            self._taken += 1
        return True

    def begin(self, run: Run) -> None:
        """A run that was claimed when it was added begins in its reserved place; from any thread."""
        self._begun.append(run)
        self.ring()

    def release(self) -> None:
        """A place is free again; from any thread."""
        with self._lock:
            self._taken -= 1

    def ring(self) -> None:
        """Let `sleep` return; from any thread or signal handler, and when the floor is closed as well."""
        self._bell.ring()

    def listen(self, descriptor: int) -> None:
        """Let `sleep` return, too, when this descriptor is readable."""
        self._poll.register(descriptor, select.EPOLLIN)

    def sleep(self, seconds: float) -> set[int]:
        """Sleep until something has happened, at most that long; gives what of `listen` is readable."""
        if self._is_resting():
            # What cannot be written yet must not keep us busy: reports stay unread until then.
            time.sleep(min(_NAP, max(0.0, seconds)))
            return set()
        has_place = self.line.has_ready and self._taken < self._places
        may_take = self._taken < self._places and self._takers.wants_turn(self.line.under_way)
        may_begin = not self.draining and (has_place or may_take or self.line.at_the_doors())
        if may_begin or self.worker.has_failed_to_start:
            seconds = 0.0
        ready = {descriptor for descriptor, _ in self._poll.poll(max(0.0, min(seconds, self._seconds_to_next())))}
        if self._bell.fileno() in ready:
            self._bell.hush()
        return ready - {self._bell.fileno(), self._executor.fileno()}

    def turn(self) -> None:
        """Bring everything that has happened to its effect."""
        self._hear()
        # What was claimed already starts before the next commit, which takes longer than anything else.
        self._executor.flush()
        turn = None if self._is_resting() else self._gather(self._clock())
        if not turn:
            return
        self._executor.flush()
        try:
            self._database.write(lambda transaction: self._clerk.write(transaction, turn))
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing of the turn is on disk
            self._undo(turn, error)
        else:
            self._settle(turn)
        self._executor.flush()

    def stop(self, run_id: str) -> None:
        """End a run: its attempt, or its waiting."""
        self._hear()
        if not self.worker.stop(run_id):
            self._close(run_id, Status.STOPPED, "stopped on request before it started")

    def dismiss(self, run_id: str, *, judged_at: float | None = None) -> None:
        """End a worker that is not wanted any more, and which the store knows to be dismissed; since `judged_at`."""
        self._hear()
        if not self.worker.stop(run_id, DISMISSED, judged_at=judged_at):
            self._close(run_id, Status.SKIPPED, "no worker was wanted any more")

    def take_over(self, run: Run, keeper_of: str) -> None:
        """Go on with a run whose owner died in the midst of an attempt, which `keeper_of` had begun."""
        with self._lock:
            self._taken += 1
        self.line.began(Queued.of(run).lane)
        self.worker.take_over(run, keeper_of)

    def close(self) -> None:
        """Let go of the descriptors."""
        self._executor.close()
        self._poll.close()
        self._bell.close()

    def _hear(self) -> None:
        """Take what other threads have brought."""
        while self._begun:
            run = self._begun.popleft()
            self.line.began(Queued.of(run).lane)
            self.worker.start(run)
            self._listener(run)
        self.worker.launch_made()
        while self._offers:
            self.line.add(self._offers.popleft())

    def _gather(self, now: datetime) -> Turn:
        started, finished = self.worker.collect()
        started, finished = self._unsettled[0] + started, self._unsettled[1] + finished
        self._unsettled = ([], [])
        self._hear_of_starts(started, finished, now)
        for ended in finished:
            self.line.ended(Queued.of(ended.run).lane)
        self.line.advance(now)
        self._takers.note_due(now)
        with self._lock:
            places = 0 if self.draining else self._places - self._taken + len(finished)
            chosen, seats = self._choose(places)
            self._taken += len(chosen) + len(seats)
        return Turn(
            started=started,
            finished=finished,
            expired=self._expired(now),
            doors=[] if self.draining else self.line.at_the_doors(),
            chosen=chosen,
            seats=seats,
        )

    def _hear_of_starts(self, started: list[tuple[Run, str]], finished: list[Finished], now: datetime) -> None:
        """Let queues rest whose messages' attempts cannot start, and wake those of which one has begun."""
        begun = {queue_of(run.cause) for run, _ in started}
        for ended in finished:
            queue = queue_of(ended.run.cause)
            if queue is None or ended.outcome.unfit:
                continue
            if not lifecycle.could_not_start(ended.outcome):
                begun.add(queue)
            elif error := self._takers.stumbled(queue, ended.outcome, now):
                self._failed(error)
        for queue in begun:
            if queue is not None and self._takers.began(queue):
                self.line.unblock()

    def _choose(self, places: int) -> tuple[list[Queued], list[str]]:
        """Whose the free places are: waiting runs, and workers that look for messages, the least busy lane first."""
        if places <= 0:
            return [], []
        try:
            self._takers.listen(self.line.under_way)
        except WherryError as error:  # the store cannot be read just now; what this turn knows already must be written
            self._rest_until = time.monotonic() + _REST
            self._failed(error)
        chosen: list[Queued] = []
        seats: list[str] = []
        while (free := places - len(chosen) - len(seats)) > 0:
            found = self._takers.next(self.line.under_way)
            if found is None:
                return chosen + self.line.choose(free), seats
            queue, load = found
            if self.line.next_load() <= load and (first := self.line.choose(1)):
                chosen += first
            else:
                seats.append(queue)
                self.line.began(lane_of("", queue))
        return chosen, seats

    def _expired(self, now: datetime) -> list[Queued]:
        """The waiting runs whose deadline has passed, by the job file as it is now."""
        found = []
        for queued in self.line.expired(now):
            _, deadline = self._rules(queued)
            if deadline is not None and deadline > now:
                self.line.expire_again(queued, deadline)
            elif deadline is not None:
                found.append(queued)
        return found

    # -------------------------------------------------------------------------------- after the transaction

    def _settle(self, turn: Turn) -> None:
        """The turn is on disk: let go of what ended, start what was claimed."""
        self.worker.forget(turn.finished)
        self._give_places_back(turn)
        for run_id in turn.left:
            self.line.remove(run_id)
        for queued, admission in turn.admissions:
            if admission is Admission.GO:
                self.line.admit(queued)
            elif admission is Admission.WAIT:
                self.line.block(queued.job)
        for run in turn.claimed:
            self.worker.start(run)
            self._listener(run)
        for run in turn.changed:
            self._follow_up(run)
            self._listener(run)

    def _give_places_back(self, turn: Turn) -> None:
        """Of what has ended, and of what was chosen and could not be taken."""
        with self._lock:
            self._taken -= len(turn.finished) + len(turn.gone) + len(turn.early) + len(turn.idle)
        for finished in turn.finished:
            self.line.unblock(finished.run.job)
        for queued in turn.gone:
            self.line.ended(queued.lane)
        for queued in turn.early:
            self.line.put_back(queued._replace(due_at=self._clock() + _GROUP_PAUSE))
        for queue in turn.idle:
            self.line.ended(lane_of("", queue))
            self._takers.found_nothing(queue)

    def _follow_up(self, run: Run) -> None:
        if run.status.ended:
            self.line.remove(run.id)
            self.line.unblock(run.job)
        elif run.status is Status.QUEUED:
            self.line.add(Queued.of(run, admitted=True))

    def _undo(self, turn: Turn, error: Exception) -> None:
        """Nothing was written: keep everything for another try, a little later."""
        self._unsettled = (turn.started, turn.finished)
        with self._lock:
            self._taken -= len(turn.chosen) + len(turn.seats)
        for finished in turn.finished:
            self.line.began(Queued.of(finished.run).lane)
        for queued in turn.chosen:
            self.line.put_back(queued)
        for queue in turn.seats:
            self.line.ended(lane_of("", queue))
        for queued in turn.expired:
            self.line.expire_again(queued, self._clock())
        self._rest_until = time.monotonic() + _REST
        self._failed(error)

    def _close(self, run_id: str, status: Status, reason: str) -> None:
        turn = Turn([], [], [], [], [], [])
        self._database.write(lambda transaction: self._clerk.end(transaction, turn, run_id, status, reason))
        self._settle(turn)

    # --------------------------------------------------------------------------------------------- questions

    def _rules(self, queued: Queued) -> tuple[bool, datetime | None]:
        job = self._jobfile().jobs.get(queued.job)
        if job is None:
            return False, None
        return queued.queue is None and lifecycle.limit_of(job) is not None, lifecycle.deadline_of(job, queued.asked_at)

    def _is_resting(self) -> bool:
        return time.monotonic() < self._rest_until

    def _seconds_to_next(self) -> float:
        if self._is_resting():
            return self._rest_until - time.monotonic()
        times = [self.worker.seconds_to_bound(), self._takers.seconds_to_due(self._clock())]
        next_time = self.line.next_time()
        if next_time is not None:
            times.append((next_time - self._clock()).total_seconds())
        return min(times)

"""Which queues may have something for this engine's own workers, and whether one of these is free.

In memory alone, and never sure: a queue calls when something arrives, and is asked before a worker is sent to it. Ten
thousand messages are one call; each becomes a run only when a worker takes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from wherry import lifecycle
from wherry.errors import WherryError
from wherry.local.clock import Clock
from wherry.local.queues import Queues
from wherry.local.runs import lane_of
from wherry.messages import queue_of
from wherry.model import JobFile, Outcome

#: Given a lane: how many attempts it has under way.
Load = Callable[[str], int]


@dataclass(frozen=True)
class _Rest:
    """A queue whose workers could not start, so many times in a row."""

    failures: int
    since: datetime

    @property
    def length(self) -> timedelta:
        return lifecycle.delay(lifecycle.REST, self.failures, chance=0)

    def is_over(self, now: datetime) -> bool:
        """Also when the clock was set back: nobody knows then."""
        return not timedelta(0) <= now - self.since < self.length


class Takers:
    """The managed workers of a job file's queues. One thread asks; any thread may `call`.

    A queue whose workers cannot start rests: no worker is sent until the rest is over, then one alone, which tries it
    for all, until one begins or the job file changes. One mistake must not use up all messages.
    """

    def __init__(self, jobfile: Callable[[], JobFile], queues: Queues, clock: Clock) -> None:
        self._jobfile = jobfile
        self._queues = queues
        self._clock = clock
        self._rests: dict[str, _Rest] = {}
        self._known: JobFile | None = None
        #: Queue -> its workers, of each queue that a job takes from by managed workers.
        self._workers: dict[str, int] = {}
        self._calling: set[str] = set()
        #: Those of which we know that something waits.
        self._open: set[str] = set()
        #: When something hidden or delayed becomes visible, of which nobody tells.
        self._due: dict[str, datetime] = {}

    def call(self, queue: str) -> bool:
        """There may be something to take; False when no worker of ours takes from this queue."""
        if queue not in self._managed():
            return False
        self._calling.add(queue)
        return True

    def call_all(self) -> None:
        """There may be something anywhere: other processes do not tell us what they send."""
        self._calling.update(self._managed())

    def wants_turn(self, load: Load) -> bool:
        """True when a free worker should look for messages."""
        return bool(self._calling or self._open) and any(map(self._has_free(load), self._calling | self._open))

    def note_due(self, now: datetime) -> None:
        """What has become visible by itself has called, whether or not a worker is free to hear it."""
        for queue in [queue for queue, due in self._due.items() if due <= now]:
            del self._due[queue]
            self._calling.add(queue)

    def listen(self, load: Load) -> None:
        """Ask the store about the queues that have called and have a free worker; raises WherryError."""
        if not (self._calling or self._open):
            return
        for queue in filter(self._has_free(load), self._calling | self._open):
            self._calling.discard(queue)  # before we look: who calls from now on calls anew
            try:
                self._ask(queue)
            except WherryError:
                self._calling.add(queue)
                raise

    def _ask(self, queue: str) -> None:
        if self._queues.has_waiting(queue):
            self._open.add(queue)
            return
        self._open.discard(queue)
        due = self._queues.next_due(queue)
        if due is not None:
            self._due[queue] = due

    def next(self, load: Load) -> tuple[str, float] | None:
        """The queue whose turn it is, and how many attempts it has under way; None when none has work for anybody."""
        waiting = [(load(lane_of("", queue)), queue) for queue in filter(self._has_free(load), self._open)]
        if not waiting:
            return None
        least, queue = min(waiting)
        return queue, least

    def found_nothing(self, queue: str) -> None:
        """A worker came back without a message: others were quicker, or a FIFO group is busy. Its end will call."""
        self._open.discard(queue)

    def seconds_to_due(self, now: datetime) -> float:
        """How long until something becomes visible of which nobody tells; infinite when nothing will."""
        return min(((due - now).total_seconds() for due in self._due.values()), default=math.inf)

    def width(self, lane: str) -> float:
        """How many attempts of a lane may be under way at once."""
        queue = queue_of(lane) or ""
        return self._wanted(queue) if queue in self._managed() else math.inf

    def began(self, queue: str) -> bool:
        """An attempt at a message has begun; True when that ends the queue's rest."""
        return self._rests.pop(queue, None) is not None

    def stumbled(self, queue: str, outcome: Outcome, now: datetime) -> WherryError | None:
        """An attempt at a message could not start; gives what is to be said about it, once until one begins."""
        last = self._rests.get(queue)
        if last is not None and not last.is_over(now):
            return None  # those that stumble together are one failure
        self._rests[queue] = _Rest(last.failures + 1 if last else 1, now)
        if last is not None:
            return None
        return WherryError(
            f"the workers of queue `{queue}` {lifecycle.describe(outcome)}",
            hint="its messages wait; one alone is tried, after 1 s at first, every 5 min at last, until it begins",
        )

    def _wanted(self, queue: str) -> int:
        """How many workers a queue may have now."""
        workers, rest = self._managed().get(queue, 0), self._rests.get(queue)
        if rest is None:
            return workers
        return min(1, workers) if rest.is_over(self._clock()) else 0

    def _has_free(self, load: Load) -> Callable[[str], bool]:
        return lambda queue: load(lane_of("", queue)) < self._wanted(queue)

    def _managed(self) -> dict[str, int]:
        jobfile = self._jobfile()
        if jobfile is not self._known:
            takers = {queue: jobfile.taker(queue) for queue in jobfile.queues}
            self._workers = {
                queue: taker[1].max_workers for queue, taker in takers.items() if taker and taker[1].is_managed
            }
            self._known = jobfile
            self._rests.clear()
        return self._workers

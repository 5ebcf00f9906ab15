"""The waiting line: which runs wait for what, and whose turn it is. In memory alone; the store can fill it at any time.

::

    later ──due──> door of its job (overlap, concurrency) ──admitted──> ready ──a free place──> taken

Jobs without a limit have no door. Among the ready, the job with the fewest attempts under way is next, so that a job
with a thousand runs does not keep the others waiting.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import NamedTuple

from wherry.local.runs import Queued

#: Given a waiting run: whether its job has a door, and the run's deadline.
Rules = Callable[[Queued], tuple[bool, datetime | None]]

#: So many entries that are out of date are not worth tidying up.
_SPARE = 64


class _Wait(NamedTuple):
    """One wait of one run: a run that is stopped and asked for again waits anew. Sorts as the runs do."""

    queued: Queued
    number: int


class Line:
    """Waiting runs; used by one thread."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._numbers = count()
        self._waiting: dict[str, _Wait] = {}
        self._later: list[_Wait] = []
        self._doors: dict[str, deque[_Wait]] = {}
        self._blocked: set[str] = set()
        self._ready: dict[str, list[_Wait]] = {}
        self._turns: list[tuple[int, _Wait]] = []
        self._under_way: Counter[str] = Counter()
        self._deadlines: list[tuple[datetime, _Wait]] = []

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_ready(self) -> bool:
        """A run is ready, so that a new one is not the next."""
        return bool(self._ready)

    def add(self, queued: Queued) -> None:
        """A run waits; nothing happens when it does already."""
        if queued.id in self._waiting:
            return
        wait = self._waiting[queued.id] = _Wait(queued, next(self._numbers))
        _, deadline = self._rules(queued)
        if deadline is not None:
            if len(self._deadlines) > 2 * len(self._waiting) + _SPARE:
                self._deadlines = [entry for entry in self._deadlines if self._waits(entry[1])]
                heapq.heapify(self._deadlines)
            heapq.heappush(self._deadlines, (deadline, wait))
        heapq.heappush(self._later, wait)

    def remove(self, run_id: str) -> None:
        """A run waits no more."""
        self._waiting.pop(run_id, None)

    def advance(self, now: datetime) -> None:
        """Let what is due step forward."""
        while self._later and self._later[0].queued.due_at <= now:
            wait = heapq.heappop(self._later)
            if not self._waits(wait):
                continue
            has_door, _ = self._rules(wait.queued)
            if has_door and not wait.queued.admitted:
                self._doors.setdefault(wait.queued.job, deque()).append(wait)
            else:
                self._make_ready(wait)

    def at_the_doors(self) -> list[Queued]:
        """The first run at each door that may be asked; `admit`, `block` or `remove` it."""
        first = []
        for job in [job for job in self._doors if job not in self._blocked]:
            door = self._doors[job]
            while door and not self._waits(door[0]):
                door.popleft()
            if door:
                first.append(door[0].queued)
            else:
                del self._doors[job]
        return first

    def admit(self, queued: Queued) -> None:
        """It may go on beside the other runs of its job."""
        door = self._doors.get(queued.job)
        if door and door[0].queued is queued and self._waits(door[0]):
            admitted = _Wait(queued._replace(admitted=True), door.popleft().number)
            self._waiting[queued.id] = admitted
            self._make_ready(admitted)

    def block(self, job: str) -> None:
        """The job is at its limit: its door stays shut until `unblock`."""
        self._blocked.add(job)

    def unblock(self, job: str | None = None) -> None:
        """A run of the job has ended, or (None) it is time to ask everywhere again."""
        if job is None:
            self._blocked.clear()
        else:
            self._blocked.discard(job)

    def choose(self, places: int) -> list[Queued]:
        """Take up to that many ready runs, each in its turn; they count as under way until `ended`."""
        chosen: list[Queued] = []
        while self._turns and len(chosen) < places:
            under_way, wait = heapq.heappop(self._turns)
            job = wait.queued.job
            ready = self._ready.get(job)
            if not ready or ready[0] is not wait or under_way != self._under_way[job]:
                continue  # out of date: a later entry speaks for this job
            heapq.heappop(ready)
            if self._waits(wait):
                del self._waiting[wait.queued.id]
                self._under_way[job] += 1
                chosen.append(wait.queued)
            self._take_turn(job)
        return chosen

    def put_back(self, queued: Queued) -> None:
        """A chosen run could not be taken after all."""
        self.ended(queued.job)
        self.add(queued)

    def began(self, job: str) -> None:
        """An attempt of the job is under way that was not chosen here."""
        self._under_way[job] += 1
        self._take_turn(job)

    def ended(self, job: str) -> None:
        """An attempt of the job is not under way any more."""
        self._under_way[job] -= 1
        if not self._under_way[job]:
            del self._under_way[job]
        self._take_turn(job)

    def expired(self, now: datetime) -> list[Queued]:
        """The waiting runs whose deadline has passed, told once; they stay until they are removed."""
        found = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, wait = heapq.heappop(self._deadlines)
            if self._waits(wait):
                found.append(wait.queued)
        return found

    def expire_again(self, queued: Queued, now: datetime) -> None:
        """Nothing could be done about a passed deadline: tell it once more."""
        wait = self._waiting.get(queued.id)
        if wait is not None:
            heapq.heappush(self._deadlines, (now, wait))

    def next_time(self) -> datetime | None:
        """When something will be due, or past its deadline, of which nobody needs to tell."""
        times = [self._later[0].queued.due_at] if self._later else []
        times += [self._deadlines[0][0]] if self._deadlines else []
        return min(times, default=None)

    def _waits(self, wait: _Wait) -> bool:
        """True for what waits still, and not for an earlier wait of the same run."""
        present = self._waiting.get(wait.queued.id)
        return present is not None and present.number == wait.number

    def _make_ready(self, wait: _Wait) -> None:
        heapq.heappush(self._ready.setdefault(wait.queued.job, []), wait)
        self._take_turn(wait.queued.job)

    def _take_turn(self, job: str) -> None:
        """Enter the job among those that want a place, with what is true of it now."""
        ready = self._ready.get(job)
        if not ready:
            self._ready.pop(job, None)
            return
        if len(self._turns) > 4 * len(self._ready) + _SPARE:
            self._turns = [(self._under_way[name], runs[0]) for name, runs in self._ready.items() if runs]
            heapq.heapify(self._turns)
        else:
            heapq.heappush(self._turns, (self._under_way[job], ready[0]))

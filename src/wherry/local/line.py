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

from wherry.local.runs import Queued

#: Given a waiting run: whether its job has a door, and the run's deadline.
Rules = Callable[[Queued], tuple[bool, datetime | None]]


class Line:
    """Waiting runs; used by one thread."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._waiting: dict[str, Queued] = {}
        self._later: list[Queued] = []
        self._doors: dict[str, deque[str]] = {}
        self._blocked: set[str] = set()
        self._ready: dict[str, list[Queued]] = {}
        self._turns: list[tuple[int, Queued]] = []
        self._under_way: Counter[str] = Counter()
        self._deadlines: list[tuple[datetime, str]] = []

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
        self._waiting[queued.id] = queued
        _, deadline = self._rules(queued)
        if deadline is not None:
            heapq.heappush(self._deadlines, (deadline, queued.id))
        heapq.heappush(self._later, queued)

    def remove(self, run_id: str) -> None:
        """A run waits no more."""
        self._waiting.pop(run_id, None)

    def advance(self, now: datetime) -> None:
        """Let what is due step forward."""
        while self._later and self._later[0].due_at <= now:
            queued = heapq.heappop(self._later)
            if self._waiting.get(queued.id) is not queued:
                continue
            has_door, _ = self._rules(queued)
            if has_door and not queued.admitted:
                self._doors.setdefault(queued.job, deque()).append(queued.id)
            else:
                self._make_ready(queued)

    def at_the_doors(self) -> list[Queued]:
        """The first run at each door that may be asked; `admit`, `block` or `remove` it."""
        first = []
        for job in [job for job in self._doors if job not in self._blocked]:
            door = self._doors[job]
            while door and door[0] not in self._waiting:
                door.popleft()
            if door:
                first.append(self._waiting[door[0]])
            else:
                del self._doors[job]
        return first

    def admit(self, queued: Queued) -> None:
        """It may go on beside the other runs of its job."""
        door = self._doors.get(queued.job)
        if door and door[0] == queued.id:
            door.popleft()
        if queued.id in self._waiting:
            self._waiting[queued.id] = admitted = queued._replace(admitted=True)
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
            under_way, queued = heapq.heappop(self._turns)
            ready = self._ready.get(queued.job)
            if not ready or ready[0] is not queued or under_way != self._under_way[queued.job]:
                continue  # out of date: a later entry speaks for this job
            heapq.heappop(ready)
            if self._waiting.get(queued.id) is queued:
                del self._waiting[queued.id]
                self._under_way[queued.job] += 1
                chosen.append(queued)
            self._take_turn(queued.job)
        return chosen

    def put_back(self, queued: Queued) -> None:
        """A chosen run could not be taken after all."""
        self.ended(queued.job)
        self.add(queued)

    def began(self, job: str) -> None:
        """An attempt of the job is under way that was not chosen here."""
        self._under_way[job] += 1

    def ended(self, job: str) -> None:
        """An attempt of the job is not under way any more."""
        self._under_way[job] -= 1
        if not self._under_way[job]:
            del self._under_way[job]
        self._take_turn(job)

    def expired(self, now: datetime) -> list[Queued]:
        """The waiting runs whose deadline has passed; they stay until they are removed."""
        found = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, run_id = heapq.heappop(self._deadlines)
            if run_id in self._waiting:
                found.append(self._waiting[run_id])
        return found

    def next_time(self) -> datetime | None:
        """When something will be due, or past its deadline, of which nobody needs to tell."""
        times = [queue[0][0] for queue in (self._later, self._deadlines) if queue]
        return min(times) if times else None

    def _make_ready(self, queued: Queued) -> None:
        heapq.heappush(self._ready.setdefault(queued.job, []), queued)
        self._take_turn(queued.job)

    def _take_turn(self, job: str) -> None:
        """Enter the job among those that want a place, with what is true of it now."""
        ready = self._ready.get(job)
        if not ready:
            self._ready.pop(job, None)
            return
        if len(self._turns) > 4 * len(self._ready) + 64:
            self._turns = [(self._under_way[name], runs[0]) for name, runs in self._ready.items() if runs]
            heapq.heapify(self._turns)
        else:
            heapq.heappush(self._turns, (self._under_way[job], ready[0]))

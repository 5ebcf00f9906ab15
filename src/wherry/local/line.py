"""The waiting line: which runs wait for what, and whose turn it is. In memory alone; the store can fill it at any time.

::

    later ──due──> door of its job (overlap, concurrency) ──admitted──> ready ──a free place──> taken

Jobs without a limit have no door. Among the ready, the lane with the fewest attempts under way is next, so that a job
with a thousand runs does not keep the others waiting. A job's runs are one lane; those that work on a queue's messages
are a lane of their own, in which no more attempts are under way at once than the queue has workers.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import NamedTuple

from wherry.local.runs import Queued

#: Given a waiting run: whether its job has a door, and the run's deadline.
Rules = Callable[[Queued], tuple[bool, datetime | None]]

#: Given a lane: how many attempts it may have under way.
Width = Callable[[str], float]

#: So many entries that are out of date are not worth tidying up.
_SPARE = 64


class _Wait(NamedTuple):
    """One wait of one run: a run that is stopped and asked for again waits anew. Sorts as the runs do."""

    queued: Queued
    number: int


class Line:
    """Waiting runs; used by one thread."""

    def __init__(self, rules: Rules, width: Width = lambda _: math.inf) -> None:
        self._rules = rules
        self._width = width
        self._numbers = count()
        self._waiting: dict[str, _Wait] = {}
        self._later: list[_Wait] = []
        self._doors: dict[str, deque[_Wait]] = {}
        self._blocked: set[str] = set()
        #: The ready of the lanes that may have another attempt, and of those that are full.
        self._ready: dict[str, list[_Wait]] = {}
        self._full: dict[str, list[_Wait]] = {}
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
            for lane in list(self._full):
                self._take_turn(lane)
        else:
            self._blocked.discard(job)

    def choose(self, places: int) -> list[Queued]:
        """Take up to that many ready runs, each in its turn; they count as under way until `ended`."""
        chosen: list[Queued] = []
        while len(chosen) < places and (found := self._first_turn()) is not None:
            wait = heapq.heappop(self._ready[found])
            if self._waits(wait):
                del self._waiting[wait.queued.id]
                self._under_way[found] += 1
                chosen.append(wait.queued)
            self._take_turn(found)
        return chosen

    def next_load(self) -> float:
        """How many attempts the lane has under way whose turn is next; infinite when nothing is ready."""
        lane = self._first_turn()
        return math.inf if lane is None else self._under_way[lane]

    def under_way(self, lane: str) -> int:
        """How many attempts a lane has under way."""
        return self._under_way[lane]

    def put_back(self, queued: Queued) -> None:
        """A chosen run could not be taken after all."""
        self.ended(queued.lane)
        self.add(queued)

    def began(self, lane: str) -> None:
        """An attempt of the lane is under way that was not chosen here."""
        self._under_way[lane] += 1
        self._take_turn(lane)

    def ended(self, lane: str) -> None:
        """An attempt of the lane is not under way any more."""
        self._under_way[lane] -= 1
        if not self._under_way[lane]:
            del self._under_way[lane]
        self._take_turn(lane)

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
        lane = wait.queued.lane
        heapq.heappush(self._full[lane] if lane in self._full else self._ready.setdefault(lane, []), wait)
        self._take_turn(lane)

    def _first_turn(self) -> str | None:
        """The lane that is next; entries that are out of date go."""
        while self._turns:
            under_way, wait = self._turns[0]
            lane = wait.queued.lane
            ready = self._ready.get(lane)
            if ready and ready[0] is wait and under_way == self._under_way[lane]:
                return lane
            heapq.heappop(self._turns)  # a later entry speaks for this lane
        return None

    def _take_turn(self, lane: str) -> None:
        """Enter the lane among those that want a place, with what is true of it now."""
        waits = self._ready.get(lane) or self._full.get(lane)
        if not waits or self._under_way[lane] >= self._width(lane):
            if waits:
                self._full[lane] = waits
            else:
                self._full.pop(lane, None)
            self._ready.pop(lane, None)
            return
        self._ready[lane] = waits
        self._full.pop(lane, None)
        if len(self._turns) > 4 * len(self._ready) + _SPARE:
            self._turns = [(self._under_way[name], runs[0]) for name, runs in self._ready.items() if runs]
            heapq.heapify(self._turns)
        else:
            heapq.heappush(self._turns, (self._under_way[lane], waits[0]))

"""The workers that poll queues by themselves: begun when messages wait, ended when they have nothing left to do.

It decides by `wherry.scaling` and acts through the doors that all use: a worker is a run like any other, added by the
intake and executed on the floor, and which workers there are is what the store says. Guarantees. A worker is ended only
when it was refused further messages and has none, both seen in one transaction: nothing that it works on is cut off.
The order is on disk before the worker hears of it, so that whoever sees its end knows that it has not failed.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from wherry import lifecycle
from wherry.causes import queue_of_worker
from wherry.local.database import Transaction
from wherry.local.floor import Floor
from wherry.local.queue_records import Counts
from wherry.local.runs import Polling
from wherry.local.workspace import Workspace
from wherry.messages import QUEUE_URL
from wherry.model import Ending, JobFile, QueueTrigger, Run, Status
from wherry.scaling import Load, wanted

#: A queue is looked at so often though nothing has arrived, in seconds: what waits ages, and what is empty may stay so.
_PULSE = 1.0
#: While arrivals come thick and fast looks are no closer than this, and take at most this part of the time.
_BREATH, _SHARE = 0.05, 0.1
#: Workers that finish what they have are looked at so often, in seconds.
_DRAIN_PULSE = 0.05
#: A worker that has lived for so long was sound: its failure is a first one.
_SOUND = timedelta(minutes=1)
#: One that ends well so soon, while its queue comes no further, would be begun again and again.
_TOO_SOON = timedelta(seconds=1)


@dataclass
class Post:
    """A queue whose workers poll it by themselves, and what was seen of it; times are the monotonic clock's seconds."""

    job: str
    trigger: QueueTrigger
    #: When to look at it; sooner when something arrives, but not before `breath_until`.
    look_at: float = -math.inf
    breath_until: float = -math.inf
    empty_since: float | None = None
    #: It has all the workers that it may have.
    is_full: bool = False
    grown_at: float = -math.inf
    #: Workers that have failed one after the other, and when the next one may begin.
    failures: int = 0
    rest_until: float = -math.inf


@dataclass
class _Look:
    """One look at everything: when, the workers that there are, and of them those that are to leave."""

    moment: float
    staying: dict[tuple[str, str], list[Polling]] = field(default_factory=dict)
    leaving: list[Polling] = field(default_factory=list)


class Scaler:
    """Begins and ends workers. One thread drives it; any thread says what has `arrived`."""

    def __init__(
        self, workspace: Workspace, floor: Floor, places: int, beat: Callable[[], float] = time.monotonic
    ) -> None:
        self._workspace = workspace
        self._floor = floor
        self._places = places
        self._beat = beat
        self._posts: dict[tuple[str, str], Post] = {}
        self._ended: deque[Run] = deque()
        #: Workers that are refused further messages, until they have ended.
        self._refused: set[str] = set()
        self._is_closing = False
        #: There may be workers of queues that have none any more.
        self._may_be_strange = True
        self._lock = threading.Lock()
        self._news: set[str] = set()
        self.use(workspace.jobfile)

    def use(self, jobfile: JobFile) -> None:
        """From now on these queues have workers; any others leave."""
        posts = {}
        for job, trigger in polled(jobfile):
            post = self._posts.get((job, trigger.queue), Post(job, trigger))
            post.trigger = dataclasses.replace(trigger, max_workers=most_here(jobfile, trigger, self._places))
            post.look_at = -math.inf
            posts[job, trigger.queue] = post
        self._posts = posts
        self._may_be_strange = True

    def arrived(self, queue: str) -> None:
        """Something can be received; from any thread."""
        posts = [post for (_, polled_queue), post in self._posts.items() if polled_queue == queue]
        if not posts:
            return
        with self._lock:
            self._news.add(queue)
        if not all(post.is_full for post in posts):  # else nobody has to wake up for each message
            self._floor.ring()

    def look_around(self) -> None:
        """Other processes, or an engine before this one, may have done something."""
        self._may_be_strange = True
        for post in self._posts.values():
            post.look_at = min(post.look_at, post.breath_until)
        for run_id, status in self._workspace.runs.dismissed():
            # Again and again: one that was told already may wait for another attempt, or its order was not carried out.
            if status is Status.QUEUED or run_id in self._floor.worker.active():
                self._refuse(run_id)
                self._floor.dismiss(run_id, judged_at=0.0)  # whenever it ended: the order had come first

    def part_with_the_deaf(self, url_of: Callable[[str, str], str | None]) -> None:
        """End the workers that an engine at another address began: they ask there, where nobody answers any more.

        `url_of` gives what a run (its id) would be told of a queue now. What such a worker has received it could not
        delete; it becomes visible in its time.
        """
        runs = self._workspace.runs
        for worker in runs.polling():
            told = self._workspace.history.get(worker.run_id).env.get(QUEUE_URL)
            own = self._workspace.jobfile.jobs.get(worker.job)
            if told in (None, url_of(worker.run_id, worker.queue)) or (own and QUEUE_URL in own.env):
                continue
            self._refuse(worker.run_id)
            if self._workspace.database.write(partial(runs.dismiss, run_id=worker.run_id)):
                self._floor.dismiss(worker.run_id)

    def close(self) -> None:
        """From now on no worker is wanted: those that are there finish what they have, and end."""
        self._is_closing = True

    def heard(self, run: Run) -> None:
        """A run has become what it is; where a worker has ended by itself another one may have to come."""
        if run.status.ended and queue_of_worker(run.cause):
            self._ended.append(run)

    def turn(self) -> float:
        """Do what is to be done now; gives the seconds until there may be something again."""
        moment = self._beat()
        while self._ended:
            self._judge(self._ended.popleft(), moment)
        with self._lock:
            news, self._news = self._news, set()
        for (_, queue), post in self._posts.items():
            if queue in news:
                post.empty_since = None
                post.look_at = min(post.look_at, post.breath_until)
        due = [post for post in self._posts.values() if post.look_at <= moment]
        look = None
        if due or self._refused or self._is_closing or self._may_be_strange:
            self._may_be_strange = False
            look = self._see(moment)
            for post in [] if self._is_closing else due:
                self._look_at(post, look)
            self._let_go(look)
        times = [] if self._is_closing else [post.look_at - moment for post in self._posts.values()]
        if look and look.leaving:
            times.append(_DRAIN_PULSE)
        return max(0.0, min(times, default=_PULSE))

    # ------------------------------------------------------------------------------------------------------- looks

    def _see(self, moment: float) -> _Look:
        """The workers that there are; those that nobody wants any more are told at once."""
        look = _Look(moment)
        for worker in self._workspace.runs.polling():
            if worker.run_id not in self._refused and (worker.post not in self._posts or self._is_closing):
                self._refuse(worker.run_id)
            if worker.run_id in self._refused:
                look.leaving.append(worker)
            else:
                look.staying.setdefault(worker.post, []).append(worker)
        return look

    def _look_at(self, post: Post, look: _Look) -> None:
        queue, moment = post.trigger.queue, look.moment
        counts = self._workspace.queues.counts(queue)
        workers = look.staying.get((post.job, queue), [])
        number = wanted(
            self._load(post, counts, moment),
            workers=len(workers),
            steady_for=timedelta(seconds=min(moment - post.grown_at, 1e6)),
            trigger=post.trigger,
        )
        post.is_full = len(workers) >= post.trigger.max_workers
        post.look_at = moment + _PULSE
        if post.empty_since is not None:
            left = post.empty_since + post.trigger.idle.total_seconds() - moment
            post.look_at = moment + min(_PULSE, left) if left > 0 else post.look_at
        if counts.delayed or counts.in_flight:  # these can become visible without anybody's doing
            due = self._workspace.queues.next_due(queue)
            left = (due - self._workspace.clock()).total_seconds() if due else _PULSE
            post.look_at = moment + max(_BREATH, min(_PULSE, left))
        if number > len(workers):
            self._grow(post, look, number - len(workers))
        elif number < len(workers):
            self._shrink(look, workers, len(workers) - number)
        took = self._beat() - moment
        post.breath_until = moment + max(_BREATH, took / _SHARE)

    def _load(self, post: Post, counts: Counts, moment: float) -> Load:
        if counts.waiting or counts.in_flight:
            post.empty_since = None
        elif post.empty_since is None:
            post.empty_since = moment
        return Load(
            waiting=counts.waiting,
            in_flight=counts.in_flight,
            oldest=self._workspace.clock() - counts.oldest if counts.oldest else None,
            empty_for=timedelta(seconds=moment - post.empty_since) if post.empty_since is not None else timedelta(0),
        )

    # ----------------------------------------------------------------------------------------------- more and fewer

    def _grow(self, post: Post, look: _Look, number: int) -> None:
        """Keep who was about to leave; begin the others, but after failures one at a time, and not too soon."""
        for worker in [each for each in look.leaving if each.post == (post.job, post.trigger.queue)][:number]:
            look.leaving.remove(worker)
            self._welcome(worker.run_id)
            number -= 1
        if look.moment < post.rest_until:
            post.look_at = min(post.look_at, post.rest_until)
        elif number:
            self._workspace.intake.employ(post.job, post.trigger.queue, 1 if post.failures else number)
            post.grown_at = look.moment

    def _shrink(self, look: _Look, workers: Sequence[Polling], number: int) -> None:
        """Refuse messages to so many: first to those that have not begun, then to those that have none, the newest."""
        has_messages = {
            each.run_id: self._workspace.queues.in_flight_of(each.run_id, each.queue) > 0 for each in workers
        }
        ranked = list(reversed(workers))
        ranked.sort(key=lambda each: (each.status is not Status.QUEUED, has_messages[each.run_id]))
        for worker in ranked[:number]:
            self._refuse(worker.run_id)
            look.leaving.append(worker)

    def _let_go(self, look: _Look) -> None:
        """End those that leave and have no message any more."""
        queues, runs = self._workspace.queues, self._workspace.runs
        ready = [each for each in look.leaving if not queues.in_flight_of(each.run_id, each.queue)]
        if not ready:
            return

        def work(transaction: Transaction) -> list[Polling]:
            free = [each for each in ready if not queues.in_flight_of_within(transaction, each.run_id, each.queue)]
            return [each for each in free if runs.dismiss(transaction, each.run_id)]

        for worker in self._workspace.database.write(work):
            look.leaving.remove(worker)
            self._floor.dismiss(worker.run_id)

    def _refuse(self, run_id: str) -> None:
        self._refused.add(run_id)
        self._workspace.queues.refuse(run_id)

    def _welcome(self, run_id: str) -> None:
        self._refused.discard(run_id)
        self._workspace.queues.welcome(run_id)

    def _judge(self, run: Run, moment: float) -> None:
        """A worker has ended: how long the next one has to wait."""
        if run.id in self._refused:
            self._welcome(run.id)
        post = self._posts.get((run.job, queue_of_worker(run.cause)))
        if post is None:
            return
        post.look_at = -math.inf
        lived = _lived(run)
        if run.status is Status.SUCCEEDED and not self._was_in_vain(post, run, lived):
            post.failures = 0
        elif run.status in (Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT) and moment >= post.rest_until:
            # Those that failed together are one failure.
            post.failures = 1 if lived >= _SOUND else post.failures + 1
            post.rest_until = moment + lifecycle.delay(lifecycle.REST, post.failures, chance=0).total_seconds()

    def _was_in_vain(self, post: Post, run: Run, lived: timedelta) -> bool:
        if lived >= _TOO_SOON or not run.attempts or (outcome := run.attempts[-1].outcome) is None:
            return False
        queues = self._workspace.queues
        return outcome.ending is Ending.EXITED and not queues.finished(post.trigger.queue, timedelta(minutes=2))


def polled(jobfile: JobFile) -> Iterator[tuple[str, QueueTrigger]]:
    """The jobs whose commands poll queues by themselves, and the triggers that say so."""
    for job in jobfile.jobs.values():
        for trigger in job.triggers:
            if isinstance(trigger, QueueTrigger) and not trigger.is_managed:
                yield job.name, trigger


def most_here(jobfile: JobFile, trigger: QueueTrigger, places: int) -> int:
    """How many workers a queue may have on a machine with so many places; `min` of them in any case.

    Workers that poll keep their places while they wait. All queues together leave one to the other jobs.
    """
    sharers = sum(1 for _ in polled(jobfile))
    return min(trigger.max_workers, max(trigger.min_workers, 1, (places - 1) // sharers))


def most_of_all(jobfile: JobFile, places: int) -> int:
    """How many places all workers that poll may keep together, on a machine with so many."""
    return sum(most_here(jobfile, trigger, places) for _, trigger in polled(jobfile))


def _lived(run: Run) -> timedelta:
    last = run.attempts[-1] if run.attempts else None
    return (last.ended_at or last.started_at) - last.started_at if last else timedelta(0)

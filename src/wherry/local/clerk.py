"""The clerk of a floor: writes what one turn has gathered, and finds what comes of it. Steps of one transaction."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from wherry import lifecycle
from wherry.lifecycle import Admission, Decision
from wherry.local.clock import Clock
from wherry.local.consequences import Consequences
from wherry.local.database import Transaction
from wherry.local.holding import Holding
from wherry.local.runs import Queued, Runs
from wherry.local.worker import Finished
from wherry.model import Job, JobFile, Run, Status


@dataclass
class Turn:
    """What one turn writes, and what came of it."""

    started: list[tuple[Run, str]]
    finished: list[Finished]
    expired: list[Queued]
    doors: list[Queued]
    chosen: list[Queued]
    #: Workers that look for messages: the queue of each.
    seats: list[str]
    #: Runs as they are after the transaction, for the listener.
    changed: list[Run] = field(default_factory=list)
    claimed: list[Run] = field(default_factory=list)
    #: Those of `chosen` whose FIFO group is busy.
    early: list[Queued] = field(default_factory=list)
    #: The workers that found nothing: the queue of each.
    idle: list[str] = field(default_factory=list)
    #: Those of `chosen` that were somebody else's, or stopped in the meantime.
    gone: list[Queued] = field(default_factory=list)
    admissions: list[tuple[Queued, Admission]] = field(default_factory=list)
    #: Those that were expected to wait and do not any more: somebody else has dealt with them.
    left: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.started or self.finished or self.expired or self.doors or self.chosen or self.seats)


class Clerk:
    """Writes the turns of one floor."""

    def __init__(
        self,
        *,
        jobfile: Callable[[], JobFile],
        runs: Runs,
        holding: Holding,
        consequences: Consequences,
        clock: Clock,
        me: str,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._jobfile = jobfile
        self._runs = runs
        self._holding = holding
        self._consequences = consequences
        self._clock = clock
        self.me = me
        self._failed = failed

    def write(self, transaction: Transaction, turn: Turn) -> None:
        """Write all that has happened, and claim what was chosen; what came of it is noted in the turn."""
        now = self._clock()
        for run, process in turn.started:
            self._runs.started(transaction, run, process)
            turn.changed.append(dataclasses.replace(run, status=Status.RUNNING))
        for finished in turn.finished:
            turn.changed.append(self._decide(transaction, finished, now))
        for queued in turn.expired:
            job = self._jobfile().jobs.get(queued.job)
            said = lifecycle.duration(job.deadline if job else None)
            self.end(transaction, turn, queued.id, Status.TIMED_OUT, f"`deadline: {said}` passed while it waited")
        for queued in turn.doors:
            self._ask(transaction, turn, queued, now)
        for queued in turn.chosen:
            self._claim(transaction, turn, queued, now)
        for queue in turn.seats:
            taken = self._holding.take(transaction, queue, self.me, now, self._failed)
            if taken is None:
                turn.idle.append(queue)
                continue
            turn.claimed.append(taken)
            self._consequences.of(transaction, taken, now)

    def end(
        self,
        transaction: Transaction,
        turn: Turn,
        run_id: str,
        status: Status,
        reason: str,
        now: datetime | None = None,
    ) -> None:
        """End a run that waits, unless somebody else has dealt with it."""
        now = now or self._clock()
        run = self._holding.close(transaction, run_id, status, reason, now)
        if run is None:
            turn.left.append(run_id)
            return
        self._consequences.of(transaction, run, now)
        turn.changed.append(run)

    def _claim(self, transaction: Transaction, turn: Turn, queued: Queued, now: datetime) -> None:
        """Take a chosen run, if it may go on."""
        if reason := self._holding.obsolete(transaction, queued):
            self.end(transaction, turn, queued.id, Status.SKIPPED, reason, now)
            turn.gone.append(queued)
            return
        if queued.queue and not self._holding.may_begin(transaction, queued.id, queued.queue, now):
            turn.early.append(queued)
            return
        claimed = self._runs.claim(transaction, queued.id, self.me, now)
        if claimed is None:
            turn.gone.append(queued)
            return
        self._holding.again(transaction, claimed)
        turn.claimed.append(claimed)
        self._consequences.of(transaction, claimed, now)

    def _decide(self, transaction: Transaction, finished: Finished, now: datetime) -> Run:
        run = finished.run
        job = self._jobfile().jobs.get(run.job)
        decision = self._holding.judge(
            run,
            finished.outcome,
            job,
            now=now,
            chance=random.random(),  # noqa: S311 - jitter
            deadline_at=lifecycle.deadline_of(job, run.asked_at) if job else None,
        )
        self._runs.decide(transaction, run, finished.outcome, decision, now=now, usage=finished.usage)
        if finished.apart:
            self._holding.part(transaction, run.id, finished.apart, now)
        self._holding.settle(transaction, run.id, decision.fate, now)
        run = _decided(run, decision, now)
        self._consequences.of(transaction, run, now)
        return run

    def _ask(self, transaction: Transaction, turn: Turn, queued: Queued, now: datetime) -> None:
        """Whether the first run at its job's door may go on beside the others."""
        job = self._jobfile().jobs.get(queued.job, Job(name=queued.job))
        active = self._runs.active(transaction, queued)
        admission = lifecycle.admit(job, active=active, patient=queued.patient)
        turn.admissions.append((queued, admission))
        if admission is Admission.GO:
            if not self._runs.admit(transaction, queued.id):
                turn.left.append(queued.id)
        elif admission is Admission.SKIP:
            others = "another run is" if active == 1 else f"{active} other runs are"
            self.end(transaction, turn, queued.id, Status.SKIPPED, f"{others} active (`overlap: skip`)", now)


def _decided(run: Run, decision: Decision, now: datetime) -> Run:
    return dataclasses.replace(
        run,
        status=decision.status,
        due_at=decision.due_at or run.due_at,
        ended_at=now if decision.status.ended else None,
        reason=decision.reason,
    )

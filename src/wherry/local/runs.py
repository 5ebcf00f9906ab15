"""The steps of a run's life in the store, each a part of a transaction; on disk when that is.

Who writes what: whoever accepts an event adds runs (`add`); the process that executes a run owns its row from `claim`
to the end of the attempt; nobody else changes it, but anybody may ask for its end (`request_stop`). A run whose owner
has died is taken over by the next engine (`owned`, `adopt`). `History` reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from wherry.causes import is_admitted, is_patient, queue_of_worker
from wherry.ids import RunIds
from wherry.local.clock import from_ms, to_ms
from wherry.local.database import Database, Row, Transaction, load_sql
from wherry.local.records import dump_document, dump_overrides, run_of
from wherry.messages import cause_of, queue_of
from wherry.model import Attempt, Event, Outcome, Overrides, Run, Status

if TYPE_CHECKING:
    from wherry.executors import Usage
    from wherry.lifecycle import Decision

#: How a run ends that nobody wanted to end so.
_BAD = (Status.FAILED, Status.TIMED_OUT)


class Queued(NamedTuple):
    """A run that waits, as the waiting line knows it."""

    due_at: datetime
    id: str
    job: str
    asked_at: datetime
    #: It may go on beside the other runs of its job.
    admitted: bool
    #: It waits where others are skipped.
    patient: bool
    #: The queue whose messages it works on; None for any other run.
    queue: str | None = None

    @property
    def lane(self) -> str:
        """Whose places it takes: its job's, or those of the queue's workers."""
        return lane_of(self.job, self.queue)

    @classmethod
    def of(cls, run: Run, *, admitted: bool = False) -> Queued:
        """A run that waits for its first attempt of a round, or (`admitted`) for a further one."""
        return cls(
            run.due_at,
            run.id,
            run.job,
            run.asked_at,
            admitted=admitted or is_admitted(run.cause),
            patient=admitted or is_patient(run.cause),
            queue=queue_of(run.cause),
        )


def lane_of(job: str, queue: str | None) -> str:
    """The lane of a job's runs, or of those that work on a queue's messages. No job's name has a colon."""
    return job if queue is None else cause_of(queue, "")


class Owned(NamedTuple):
    """An open run of some process."""

    run_id: str
    job: str
    #: `pid:start time`
    owner: str
    #: The process that began its last attempt; empty when there is none.
    begun_by: str


class Polling(NamedTuple):
    """An open run of a worker that polls a queue by itself, and is not dismissed."""

    run_id: str
    job: str
    queue: str
    status: Status

    @property
    def post(self) -> tuple[str, str]:
        """Whose worker it is: the job and the queue."""
        return self.job, self.queue


class Runs:
    """Runs and their attempts in the store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_sql("runs")
        self._ids = RunIds()

    def add(
        self,
        transaction: Transaction,
        *,
        job: str,
        trigger: str,
        cause: str,
        event: Event,
        now: datetime,
        overrides: Overrides = Overrides(),
        owner: str | None = None,
        own_event: bool = False,
        claimed: bool = False,
        run_id: str | None = None,
    ) -> Run | None:
        """Add a queued run; None when the job already has a run of that cause.

        With an `owner` the run is that process's own: no engine claims it. `own_event`: the event is the run's alone,
        because a person may bring any event, also one whose id was seen before with other content. `claimed`: the
        owner executes it at once, so that its first attempt is opened, too. `run_id`: one of `new_id`.
        """
        event_key = cause if own_event else event.id
        now_ms = to_ms(now)
        status = Status.STARTING if claimed else Status.QUEUED
        transaction.execute(
            self._sql["add_event"], {"id": event_key, "accepted_ms": now_ms, "document": dump_document(event)}
        )
        run_id = run_id or self.new_id(now)
        added = transaction.execute(
            self._sql["add_run"],
            {
                "id": run_id,
                "job": job,
                "trigger": trigger,
                "cause": cause,
                "event_id": event_key,
                "now_ms": now_ms,
                "overrides": dump_overrides(overrides),
                "owner": owner,
                "status": status,
                "admitted": claimed or is_admitted(cause),
            },
        )
        if not added.rowcount:
            return None
        if claimed:
            transaction.execute(self._sql["open_attempt"], {"id": run_id, "now_ms": now_ms, "owner": owner})
        moment = from_ms(now_ms)
        return Run(
            id=run_id,
            job=job,
            trigger=trigger,
            cause=cause,
            event=event,
            status=status,
            created_at=moment,
            asked_at=moment,
            due_at=moment,
            overrides=overrides,
            attempts=(Attempt(number=1, started_at=moment),) if claimed else (),
        )

    def new_id(self, now: datetime) -> str:
        """The id of a run that is yet to be added."""
        return self._ids.new(now)

    def of_cause(self, transaction: Transaction, job: str, cause: str) -> Run | None:
        """The run that a job has of a cause, as the transaction sees it."""
        row = transaction.execute(self._sql["of_cause"], {"job": job, "cause": cause}).fetchone()
        return self.read(transaction, row["id"]) if row else None

    def is_dead(self, transaction: Transaction, run_id: str) -> bool:
        """True for a dead letter that nobody has dealt with."""
        return transaction.execute(self._sql["is_dead"], {"id": run_id}).fetchone() is not None

    def active(self, transaction: Transaction, queued: Queued) -> int:
        """How many other runs of its job have begun and not ended."""
        found = transaction.execute(self._sql["active"], {"job": queued.job, "id": queued.id}).fetchone()
        return int(found[0])

    def admit(self, transaction: Transaction, run_id: str) -> bool:
        """From now on the run counts as active; False when it does not wait any more."""
        return bool(transaction.execute(self._sql["admit"], {"id": run_id}).rowcount)

    def claim(self, transaction: Transaction, run_id: str, owner: str, now: datetime) -> Run | None:
        """Take a due, queued run and open its next attempt; None when it is somebody else's, or not due."""
        parameters = {"id": run_id, "owner": owner, "now_ms": to_ms(now)}
        if not transaction.execute(self._sql["claim"], parameters).rowcount:
            return None
        transaction.execute(self._sql["open_attempt"], parameters)
        return self.read(transaction, run_id)

    def read(self, transaction: Transaction, run_id: str) -> Run:
        """The run as the transaction sees it."""
        row = transaction.execute(self._sql["run"], {"id": run_id}).fetchone()
        return run_of(row, transaction.execute(self._sql["attempts"], {"id": run_id}))

    def retell(self, transaction: Transaction, run_id: str, event: Event) -> None:
        """The run's event, which is its own alone, is this one now."""
        transaction.execute(self._sql["retell"], {"id": run_id, "document": dump_document(event)})

    def started(self, transaction: Transaction, run: Run, process: str) -> None:
        """The run's last attempt has a process; its resolved command and environment are kept for `show`."""
        parameters = {"id": run.id, "number": run.attempts[-1].number, "process": process, **_resolved(run)}
        transaction.execute(self._sql["attempt_started"], parameters)
        transaction.execute(self._sql["run_started"], parameters)

    def decide(
        self,
        transaction: Transaction,
        run: Run,
        outcome: Outcome,
        decision: Decision,
        *,
        now: datetime,
        usage: Usage | None = None,
    ) -> None:
        """The run's last attempt has ended at its `ended_at`, and the run becomes what `decision` says."""
        attempt = run.attempts[-1]
        transaction.execute(
            self._sql["attempt_ended"],
            {
                "id": run.id,
                "number": attempt.number,
                "ended_ms": to_ms(attempt.ended_at or now),
                "ending": outcome.ending,
                "exit_code": outcome.exit_code,
                "reason": outcome.reason,
                "passing": outcome.passing,
                "peak_memory": usage.peak_memory if usage else None,
                "cpu_seconds": usage.cpu_seconds if usage else None,
            },
        )
        transaction.execute(
            self._sql["decided"],
            {
                **_end(run.id, decision.status, decision.reason, now, dead=_is_letter(run, decision)),
                **_resolved(run),
                "due_ms": to_ms(decision.due_at) if decision.due_at else None,
            },
        )

    def close(self, transaction: Transaction, run_id: str, status: Status, reason: str, now: datetime) -> Run | None:
        """End a run that waits, without another attempt; None when it does not wait any more."""
        before = transaction.execute(self._sql["before_close"], {"id": run_id}).fetchone()
        has_letter = before is not None and (before["earlier_attempts"] > 0 or queue_of(before["cause"]) is not None)
        dead = status in _BAD or (has_letter and status is Status.STOPPED)
        if not transaction.execute(self._sql["close"], _end(run_id, status, reason, now, dead=dead)).rowcount:
            return None
        return self.read(transaction, run_id)

    def another_round(self, transaction: Transaction, run_id: str, now: datetime, owner: str | None = None) -> bool:
        """Queue an ended run once more, with fresh budgets and a fresh deadline; False when it has not ended so."""
        parameters = {"id": run_id, "now_ms": to_ms(now), "owner": owner}
        return bool(transaction.execute(self._sql["another_round"], parameters).rowcount)

    def let_go(self, transaction: Transaction, run_id: str) -> None:
        """The run is no dead letter."""
        transaction.execute(self._sql["bury"], {"id": run_id})

    def bury(self, run_ids: list[str]) -> None:
        """These runs are no dead letters any more, and the dead letters that are messages of theirs are deleted."""

        def work(transaction: Transaction) -> None:
            for run_id in run_ids:
                self.let_go(transaction, run_id)
                transaction.execute(self._sql["bury_letters"], {"id": run_id})

        self._database.write(work)

    def request_stop(self, run_id: str) -> bool:
        """Ask for the run's end; False when it has ended already."""
        return bool(self._database.write(lambda tx: tx.execute(self._sql["request_stop"], {"id": run_id}).rowcount))

    def dismiss(self, transaction: Transaction, run_id: str) -> bool:
        """A worker is not wanted any more; False when its end is settled already."""
        return bool(transaction.execute(self._sql["dismiss"], {"id": run_id}).rowcount)

    def dismissed(self) -> list[tuple[str, Status]]:
        """The open runs of workers that are not wanted any more."""
        with self._database.reading() as connection:
            return [(row["id"], Status(row["status"])) for row in connection.execute(self._sql["dismissed"])]

    def polling(self) -> list[Polling]:
        """The open runs of workers that poll by themselves, the oldest first."""
        with self._database.reading() as connection:
            return [
                Polling(row["id"], row["job"], queue_of_worker(row["cause"]), Status(row["status"]))
                for row in connection.execute(self._sql["workers"])
            ]

    def stop_requests(self) -> list[tuple[str, Status]]:
        """The open runs that somebody wants stopped."""
        with self._database.reading() as connection:
            return [(row["id"], Status(row["status"])) for row in connection.execute(self._sql["stop_requests"])]

    def queued(self) -> list[Queued]:
        """The runs that wait for an engine."""
        with self._database.reading() as connection:
            return [_queued(row) for row in connection.execute(self._sql["queued"])]

    def mend_clock(self, now: datetime) -> list[str]:
        """The clock was ahead, and is right again: gives the waiting runs that are due sooner now."""
        asked = {"now_ms": to_ms(now)}
        return self._database.write(
            lambda transaction: [row["id"] for row in transaction.execute(self._sql["mend_clock"], asked).fetchall()]
        )

    def open_ids(self) -> set[str]:
        """All runs that have not ended."""
        with self._database.reading() as connection:
            return {row["id"] for row in connection.execute(self._sql["open_ids"])}

    def owned(self) -> list[Owned]:
        """The open runs that some process owns."""
        with self._database.reading() as connection:
            return [
                Owned(row["id"], row["job"], row["owner"], row["begun_by"])
                for row in connection.execute(self._sql["owned"])
            ]

    def owner(self, run_id: str) -> str | None:
        """Who executes a run, or None."""
        with self._database.reading() as connection:
            row = connection.execute(self._sql["owner"], {"id": run_id}).fetchone()
        return row["owner"] if row else None

    def own(self, run_id: str, owner: str) -> bool:
        """Take a queued run that is nobody's; False when it is not."""
        return bool(
            self._database.write(lambda tx: tx.execute(self._sql["own"], {"id": run_id, "owner": owner}).rowcount)
        )

    def adopt(self, run_id: str, *, old_owner: str, owner: str) -> bool:
        """Take a run over from a dead owner; False when another engine was quicker."""
        parameters = {"id": run_id, "old_owner": old_owner, "owner": owner}
        return bool(self._database.write(lambda tx: tx.execute(self._sql["adopt"], parameters).rowcount))

    def release(self, run_id: str, owner: str) -> None:
        """Let any engine claim a queued run that was `owner`'s."""
        self._database.write(lambda tx: tx.execute(self._sql["release"], {"id": run_id, "owner": owner}))


def _queued(row: Row) -> Queued:
    return Queued(
        from_ms(row["due_ms"]),
        row["id"],
        row["job"],
        from_ms(row["asked_ms"]),
        admitted=bool(row["admitted"]),
        patient=is_patient(row["cause"]),
        queue=queue_of(row["cause"]),
    )


def _resolved(run: Run) -> Mapping[str, str]:
    return {"command": json.dumps(run.command), "env": json.dumps(dict(run.env))}


def _is_letter(run: Run, decision: Decision) -> bool:
    """Whether an attempt's end makes a dead letter of its run: what failed is one until somebody deals with it.

    Of a run that had failed before a stop has not dealt with it; one that works on messages goes with these.
    """
    if decision.fate is not None:
        return decision.buries
    return decision.status in _BAD or (run.earlier_attempts > 0 and decision.status is Status.STOPPED)


def _end(run_id: str, status: Status, reason: str, now: datetime, *, dead: bool) -> dict[str, object]:
    """What is written of a run's end."""
    return {
        "id": run_id,
        "status": status,
        "reason": reason,
        "ended_ms": to_ms(now) if status.ended else None,
        "dead_ms": to_ms(now) if dead else None,
    }

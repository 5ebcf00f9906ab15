"""Runs work on messages: how a message gets its run, and what becomes of it with each step of that run.

A message that a run works on is held by it: hidden from everybody else, whatever the queue's visibility, until the run
has ended. Each step here is a part of the transaction that writes the run's own step, so that the two never disagree:

::

    waiting ──take──> held ──success, `drop`──> deleted
       ^               │ │└──failed for the last time, stopped──> dead letters ──retry──> held
       └──not its job's┘ └──failed──> held, until its run is due again
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Any

from wherry import lifecycle, messages
from wherry.lifecycle import Decision, Fate
from wherry.local.clock import to_ms
from wherry.local.database import Database, Transaction, load_sql
from wherry.local.held import Held
from wherry.local.queue_records import Received, received_of
from wherry.local.queues import Queues
from wherry.local.runs import Queued, Runs
from wherry.messages import queue_of
from wherry.model import Event, Job, JobFile, Outcome, Queue, QueueTrigger, Retry, Run, Status


class Holding:
    """The messages that runs hold."""

    def __init__(self, jobfile: Callable[[], JobFile], database: Database, queues: Queues, runs: Runs) -> None:
        self._jobfile = jobfile
        self._database = database
        self._queues = queues
        self._held = Held(queues)
        self._runs = runs
        self._sql = load_sql("holding")

    def take(
        self, transaction: Transaction, queue: str, owner: str, now: datetime, failed: Callable[[BaseException], None]
    ) -> Run | None:
        """A run for the next messages of a queue, claimed by `owner`; None when there is nothing to do.

        What no run can be made of goes to the dead letters, and `failed` is told: it must not stop all the others.
        """
        taker = self._jobfile().taker(queue)
        if taker is None or not taker[1].is_managed or not self._queues.knows(queue):
            return None
        job, trigger = taker
        while True:
            run_id = self._runs.new_id(now)
            received = self._held.take(transaction, queue, trigger.batch, run_id, now)
            if not received:
                return None
            work = [message for message in received if not messages.is_test(message.body)]
            if len(work) < len(received):
                self._held.finish(transaction, [one.id for one in received if one not in work])
            try:
                with transaction.nested():
                    if run := self._begin(transaction, run_id, job, trigger, work, owner, now):
                        return run
            except Exception as error:  # noqa: BLE001 - told
                self._held.bury(transaction, [message.id for message in work], now)
                failed(error)

    def documents(self, run_id: str, now: datetime) -> list[dict[str, Any]]:
        """The messages that a run holds, as SQS's ReceiveMessage gives them; none for other runs."""
        with self._database.reading() as connection:
            rows = connection.execute(self._sql["held_by"], {"run_id": run_id}).fetchall()
        return [received_of(row, to_ms(now), row["queue"]).document() for row in rows]

    def may_begin(self, transaction: Transaction, run_id: str, queue: str, now: datetime) -> bool:
        """False while others are at work on a FIFO group of the run's messages, or were to be before it.

        Only dead letters that are retried ever have to wait so: others were taken when their group was free. The order
        is that of the runs' oldest messages, so that no two wait for each other.
        """
        if not queue.endswith(".fifo"):
            return True
        asked = {"run_id": run_id, "now_ms": to_ms(now)}
        return transaction.execute(self._sql["before"], asked).fetchone() is None

    def obsolete(self, transaction: Transaction, queued: Queued) -> str | None:
        """Why a waiting run has nothing to do with its messages any more, for people; None when it has."""
        if queued.queue is None:
            return None
        taker = self._jobfile().taker(queued.queue)
        if taker is None or taker[0].name != queued.job or not taker[1].is_managed:
            said = f"job `{queued.job}` does not take the messages of queue `{queued.queue}` one by one any more"
            return f"{said}: given back" if self._ids(transaction, queued.id) else said
        run = self._runs.read(transaction, queued.id)
        # A person who wants another round of a run gets it, from its event, also when the message is gone.
        if not run.earlier_attempts and not self._ids(transaction, queued.id):
            return f"its message is not in queue `{queued.queue}` any more: it was purged or deleted"
        return None

    def again(self, transaction: Transaction, run: Run) -> None:
        """A further attempt of a run is a further receive of what it holds, unless the one before was none."""
        attempts = run.attempts[run.earlier_attempts :]
        if queue_of(run.cause) is not None and len(attempts) > 1 and lifecycle.is_receive(attempts[-2].outcome):
            self._held.count(transaction, self._ids(transaction, run.id))

    def judge(
        self, run: Run, outcome: Outcome, job: Job | None, now: datetime, chance: float, deadline_at: datetime | None
    ) -> Decision:
        """What becomes of a run whose attempt has ended, by the rules of its queue if it works on messages."""
        attempts = run.attempts[run.earlier_attempts :]
        retry = job.retry if job else Retry()
        name = queue_of(run.cause)
        if name is None:
            return lifecycle.after_attempt(attempts, outcome, retry, now=now, chance=chance, deadline_at=deadline_at)
        taker = self._jobfile().taker(name)
        return lifecycle.after_message(
            attempts,
            outcome,
            taker[1] if taker else QueueTrigger(queue=name),
            max_receives=self._jobfile().queues.get(name, Queue(name=name)).max_receives,
            retry=retry,
            now=now,
            chance=chance,
            deadline_at=deadline_at,
        )

    def settle(self, transaction: Transaction, run_id: str, fate: Fate | None, now: datetime) -> None:
        """What a decision means for the messages of its run."""
        if fate is Fate.DELETED:
            self._held.finish(transaction, self._ids(transaction, run_id))
        elif fate is Fate.BURIED:
            held = self._ids(transaction, run_id)
            self._held.bury(transaction, held, now)
            if not held and not self._runs.read(transaction, run_id).earlier_attempts:
                self._runs.let_go(transaction, run_id)  # purged meanwhile: there is nothing to deal with
        elif fate is Fate.GIVEN_BACK:
            attempts = self._runs.read(transaction, run_id).attempts
            uncount = bool(attempts) and not lifecycle.is_receive(attempts[-1].outcome)
            self._held.release(transaction, self._ids(transaction, run_id), now, uncount=uncount)

    def part(self, transaction: Transaction, run_id: str, message_ids: Container[str], now: datetime) -> None:
        """The run of a batch, which could not start with these, gives them back, and its event knows them no more."""
        held = self._ids(transaction, run_id)
        self._held.release(transaction, [one for one in held if one in message_ids], now, uncount=True)
        document = dict(self._runs.read(transaction, run_id).event.document)
        told = [one for one in document["detail"]["messages"] if one["message-id"] not in message_ids]
        document["detail"] = {**document["detail"], "messages": told}
        self._runs.retell(transaction, run_id, Event(document=document))

    def close(self, transaction: Transaction, run_id: str, status: Status, reason: str, now: datetime) -> Run | None:
        """End a run that waits; None when it does not any more. Its messages are buried, or given back if `skipped`."""
        run = self._runs.close(transaction, run_id, status, reason, now)
        if run is not None and queue_of(run.cause) is not None:
            self.settle(transaction, run_id, Fate.GIVEN_BACK if status is Status.SKIPPED else Fate.BURIED, now)
        return run

    def hold_again(self, transaction: Transaction, run: Run) -> None:
        """An ended run has another round: its messages leave the dead letters, as far as they are there."""
        queue = queue_of(run.cause)
        if queue is None or not self._queues.knows(queue):
            return
        for row in transaction.execute(self._sql["letters_of"], {"run_id": run.id}).fetchall():
            self._held.hold_again(transaction, queue, row["id"], run.id)

    def _begin(
        self,
        transaction: Transaction,
        run_id: str,
        job: Job,
        trigger: QueueTrigger,
        work: Sequence[Received],
        owner: str,
        now: datetime,
    ) -> Run | None:
        """The run of these messages; None when there is nothing to run for them."""
        if not work:
            return None
        cause = messages.cause_of(trigger.queue, work[0].id)
        known = self._runs.of_cause(transaction, job.name, cause)
        if known is not None:
            self._go_on(transaction, known, work, now)
            return None
        documents = [message.document() for message in work]
        event = messages.event_of(documents, queue=trigger.queue, now=now, batch=trigger.batch > 1)
        return self._runs.add(
            transaction,
            run_id=run_id,
            job=job.name,
            trigger=trigger.kind,
            cause=cause,
            event=Event(document=event),
            now=now,
            owner=owner,
            own_event=True,
            claimed=True,
        )

    def _go_on(self, transaction: Transaction, run: Run, work: Sequence[Received], now: datetime) -> None:
        """The first of these has had its run already, and has come back: it shares the fate of that run."""
        first, rest = work[0].id, [message.id for message in work[1:]]
        if rest:
            self._held.release(transaction, rest, now, uncount=True)
        if run.status is Status.SKIPPED:  # its job did not take these for a while
            self._runs.another_round(transaction, run.id, now)
        if not run.status.ended or run.status is Status.SKIPPED:
            self._held.release(transaction, [first], now, uncount=True)
            self._held.hold_again(transaction, work[0].queue, first, run.id)
        elif self._runs.is_dead(transaction, run.id):
            self._held.bury(transaction, [first], now)
        else:
            self._held.finish(transaction, [first])

    def _ids(self, transaction: Transaction, run_id: str) -> list[str]:
        return [row["id"] for row in transaction.execute(self._sql["held_by"], {"run_id": run_id})]

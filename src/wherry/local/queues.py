"""Queues with the semantics of SQS, in the store.

Guarantees. A message is on disk when `send` returns. What receivers do to it survives the end of this process at any
instant; after a power cut the last receives and deletes may be undone, so that a message comes again: it is delivered
at least once. Everything is right for several processes at once: SQLite's transactions are where they meet.

`Queues` is safe to share between threads. Methods `..._within` are steps of a larger transaction.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from wherry.errors import NotFound
from wherry.local import receipts
from wherry.local.clock import Clock, from_ms, to_ms
from wherry.local.created import Created
from wherry.local.database import Database, Row, Transaction, load_sql
from wherry.local.drafts import check_message
from wherry.local.moves import BATCH, move_some
from wherry.local.polls import Polls
from wherry.local.posting import post
from wherry.local.queue_records import (
    HELD_MS,
    LONGEST_RETENTION,
    Counts,
    Moved,
    NewMessage,
    QueueError,
    Received,
    Sent,
    Settings,
    expired_ms,
    message_of,
    ms_of,
    settings_of,
)
from wherry.local.taking import Taker, prune, take
from wherry.model import Queue, did_you_mean
from wherry.target import Message

SQL = load_sql("queues")
_MINUTE = 60_000
#: How long it is known how many messages were finished.
_TALLIES_KEPT = timedelta(hours=1)


class Queues:
    """The queues of a job file with their dead letters, and those that clients have created."""

    def __init__(
        self,
        database: Database,
        queues: Mapping[str, Queue],
        clock: Clock,
        on_arrival: Callable[[str], object],
        *,
        lets_create: bool = False,
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings: dict[str, Settings] = {}
        #: Told, after the commit, of each queue that has something to receive.
        self.on_arrival = on_arrival
        self.polls = Polls()
        self.created = Created(database, clock)
        self.declare(queues, lets_create=lets_create)

    def declare(self, queues: Mapping[str, Queue], *, lets_create: bool = False) -> None:
        """From now on these are the queues, and with `lets_create` those that clients have created besides.

        Messages of others stay in the store, out of reach.
        """
        settings = {each.name: each for queue in queues.values() for each in settings_of(queue)}
        now_ms = to_ms(self._clock())
        with self._database.reading() as connection:
            rows = {name: connection.execute(SQL["queue"], {"name": name}).fetchone() for name in settings}
        new = [each for name, each in settings.items() if not _says(rows[name], each)]

        def work(transaction: Transaction) -> None:
            for each in new:
                transaction.execute(SQL["declare"], {"name": each.name, "now_ms": now_ms, "settings": each.dump()})

        if new:
            self._database.write(work)
        self._settings = settings
        self.created.is_allowed = lets_create
        self.polls.wake_all()

    def now(self) -> datetime:
        """What the clock says."""
        return self._clock()

    # --------------------------------------------------------------------------------------------- what there is

    def names(self) -> list[str]:
        """All queues that clients can name, each with its dead letters behind it."""
        return list(self._all())

    def declares(self, queue: str) -> bool:
        """True for the queues of the job file, and their dead letters."""
        return queue in self._settings

    def knows(self, queue: str) -> bool:
        """True for the queues that are there now."""
        return queue in self._settings or queue in self.created.beside(self._settings)

    def settings(self, queue: str) -> Settings:
        """How a queue behaves; raises NotFound."""
        found = self._settings.get(queue) or self._all().get(queue)
        if found is None:
            raise NotFound(f"there is no queue `{queue}`", hint=did_you_mean(queue, self.names()))
        return found

    def sources(self, letters: str) -> list[str]:
        """The queues whose dead letters come here."""
        return [name for name, each in self._all().items() if each.letters == letters]

    def row(self, queue: str) -> Row:
        """When the queue was made, changed and purged: `created_ms`, `modified_ms`, `purged_ms`."""
        with self._database.reading() as connection:
            found: Row = connection.execute(SQL["queue"], {"name": self.settings(queue).name}).fetchone()
        return found

    def counts(self, queue: str) -> Counts:
        """How many messages there are."""
        settings, now = self.settings(queue), self._clock()
        asked = {
            "queue": queue,
            "now_ms": to_ms(now),
            "expired_ms": expired_ms(settings, now),
            "held_ms": HELD_MS,
        }
        with self._database.reading() as connection:
            row = connection.execute(SQL["counts"], asked).fetchone()
        oldest = row["oldest_ms"]
        return Counts(row["waiting"], row["in_flight"], row["delayed"], None if oldest is None else from_ms(oldest))

    def has_waiting(self, queue: str) -> bool:
        """True when there is something that could be received now, unless its FIFO group is busy."""
        asked = {"queue": queue, "now_ms": to_ms(self._clock())}
        with self._database.reading() as connection:
            return connection.execute(SQL["is_waiting"], asked).fetchone() is not None

    def all_waiting(self) -> dict[str, int]:
        """How many messages each queue of the job file has, and each that was in it once; dead letters do not count."""
        with self._database.reading() as connection:
            rows = connection.execute(SQL["all_waiting"]).fetchall()
        return {row["queue"]: row["messages"] for row in rows}

    def finished(self, queue: str, since: timedelta) -> int:
        """How many messages were deleted, or worked off, within the last whole minutes."""
        asked = {"queue": queue, "since_ms": to_ms(self._clock() - since)}
        with self._database.reading() as connection:
            return int(connection.execute(SQL["finished"], asked).fetchone()[0])

    def peek(self, queue: str, limit: int = 10) -> list[Message]:
        """The oldest messages; none is counted as received."""
        settings, now = self.settings(queue), self._clock()
        asked = {"queue": queue, "limit": limit, "expired_ms": expired_ms(settings, now)}
        with self._database.reading() as connection:
            rows = connection.execute(SQL["peek"], asked).fetchall()
        return [message_of(row, to_ms(now)) for row in rows]

    def next_due(self, queue: str) -> datetime | None:
        """When the next hidden or delayed message becomes visible; None when none will by itself."""
        found = self._next_due_ms(queue)
        return None if found is None else from_ms(found)

    def in_flight_of(self, receiver: str, queue: str = "") -> int:
        """How many messages a receiver has, and has neither deleted nor given back.

        They are of the queues that there are, and of `queue`, which may be in the job file no more.
        """
        with self._database.reading() as connection:
            return int(connection.execute(SQL["in_flight_of"], self._asked_of(receiver, queue)).fetchone()[0])

    def has_received(self, receiver: str, handles: Sequence[str]) -> bool:
        """True when the last one to receive these messages was this receiver; False when nobody knows."""
        with self._database.reading() as connection:
            return all(receipts.receiver_of(connection, handle) == receiver for handle in handles)

    # --------------------------------------------------------------------------------------------- for clients

    def check(self, queue: str, message: NewMessage) -> None:
        """Raise QueueError for a message that SQS would refuse."""
        check_message(self.settings(queue), message)

    def send(self, queue: str, messages: Sequence[NewMessage]) -> list[Sent]:
        """Send messages, in order, all or none; they are on disk when this returns. Raises QueueError, NotFound."""
        for message in messages:
            self.check(queue, message)
        return self.send_checked(queue, messages)

    def send_checked(self, queue: str, messages: Sequence[NewMessage]) -> list[Sent]:
        """As `send`, of messages that `check` has found right."""
        settings, now_ms = self.settings(queue), to_ms(self._clock())

        def work(transaction: Transaction) -> list[Sent]:
            sent = [post(transaction, settings, message, now_ms) for message in messages]
            self.announce_within(transaction, queue, sum(not one.is_duplicate for one in sent))
            return sent

        return self._database.write(work)

    def receive(
        self,
        queue: str,
        most: int = 1,
        *,
        visibility: timedelta | None = None,
        wait: timedelta = timedelta(0),
        receiver: str = "",
        wanted: Callable[[], bool] = lambda: True,
    ) -> list[Received]:
        """Receive up to `most` messages; while there is none wait for so long. No transaction is open meanwhile.

        `receiver` is the id of the run that receives. `wanted` is asked, also within the transaction, whether anybody
        still is there.
        """
        until = time.monotonic() + wait.total_seconds()
        refused_before = self.polls.is_refused(receiver)
        if not refused_before and (received := self._receive_now(queue, most, visibility, receiver, wanted)):
            return received
        if not wait or self.polls.ended:
            return []
        poll = self.polls.begin(queue, receiver)
        try:
            while True:
                # Looked at again only now that an arrival would wake us.
                refused = self.polls.is_refused(receiver)
                if refused and not refused_before:
                    return []
                refused_before = refused
                # Whoever waits does not keep those who write waiting for nothing.
                may_get = not refused and self.has_waiting(queue)
                if may_get and (received := self._receive_now(queue, most, visibility, receiver, wanted)):
                    return received
                if not self.polls.wait(poll, until, self._seconds_to_due(queue)):
                    return []
                if not wanted():
                    self.polls.wake(queue, 1)  # what has woken us is for another one
                    return []
        finally:
            self.polls.finish(poll)

    def delete(self, queue: str, handles: Sequence[str]) -> list[QueueError | None]:
        """Delete received messages; gives for each handle what SQS says against it, or None."""
        settings, now_ms = self.settings(queue), to_ms(self._clock())

        def work(transaction: Transaction) -> list[QueueError | None]:
            deleted, outcomes = 0, []
            for handle in handles:
                outcome = None
                try:
                    deleted += receipts.delete(transaction, settings, handle, now_ms)
                except QueueError as error:
                    outcome = error
                outcomes.append(outcome)
            if deleted:
                self.finished_within(transaction, queue, deleted)
            return outcomes

        return self._database.write(work, durable=False)

    def change_visibility(self, queue: str, changes: Sequence[tuple[str, timedelta]]) -> list[QueueError | None]:
        """Hide received messages for another time, counted from now; 0 gives them back. As `delete`."""
        settings, now_ms = self.settings(queue), to_ms(self._clock())

        def one(transaction: Transaction, handle: str, span: timedelta) -> QueueError | None:
            try:
                is_hidden = receipts.hide(transaction, settings, handle, span, now_ms)
            except QueueError as error:
                return error
            if is_hidden and span:  # those who wait for the next message that becomes visible may wait for too long
                transaction.after_commit(partial(self.polls.wake_queue, queue))
            elif is_hidden:
                self.announce_within(transaction, queue, 1)
            return None

        return self._database.write(
            lambda transaction: [one(transaction, handle, span) for handle, span in changes], durable=False
        )

    def purge(self, queue: str) -> int:
        """Delete all messages, those in flight as well; gives how many there were."""
        name, now_ms = self.settings(queue).name, to_ms(self._clock())

        def work(transaction: Transaction) -> int:
            transaction.execute(SQL["note_purge"], {"name": name, "now_ms": now_ms})
            return transaction.execute(SQL["purge"], {"queue": name}).rowcount

        return self._database.write(work)

    def move(self, letters: str, destination: str | None = None) -> list[Moved]:
        """Send dead letters again, to where they came from or to `destination`: they are new messages there.

        `letters` is the name of their queue. What is in flight stays. Gives what has moved.
        """
        moved, began_ms = [], to_ms(self._clock())
        while batch := self.move_some(letters, destination, BATCH, began_ms):
            moved += batch
        return moved

    def move_some(self, letters: str, destination: str | None, most: int, began_ms: int) -> list[Moved]:
        """As `move`, but no more than `most` of them, all or none; of those that were there at `began_ms`."""
        settings, now_ms = self.settings(letters), to_ms(self._clock())
        return self._database.write(
            lambda transaction: move_some(
                transaction,
                settings,
                self.names(),
                destination,
                most=most,
                now_ms=now_ms,
                began_ms=began_ms,
                send_within=self.send_within,
            )
        )

    def refuse(self, receiver: str) -> None:
        """A receiver that is being drained gets no more messages; its long polls end."""
        self.polls.refuse(receiver)

    def welcome(self, receiver: str) -> None:
        """The receiver gets messages again."""
        self.polls.welcome(receiver)

    def look_again(self) -> None:
        """Another process may have sent something."""
        self.polls.wake_all()

    def mend_clock(self) -> None:
        """The clock was ahead, and is right again: what was sent or received meanwhile is as if it were so now."""
        asked = {"queues": json.dumps(self.names()), "now_ms": to_ms(self._clock())}

        def work(transaction: Transaction) -> bool:
            transaction.execute(SQL["mend_deduplications"], asked)
            steps = ("mend_clock", "mend_in_flight", "mend_letters")
            return sum(transaction.execute(SQL[step], asked).rowcount for step in steps) > 0

        if self._database.write(work):
            for queue in self.names():
                self._arrived(queue, 1)

    def prune(self) -> int:
        """Delete what is over its retention; gives how many messages that were.

        What is in queues that are not declared any more goes when SQS would keep it no longer either.
        """
        now_ms, every = to_ms(self._clock()), list(self._all().values())

        def work(transaction: Transaction) -> int:
            transaction.execute(SQL["forget_finished"], {"since_ms": now_ms - ms_of(_TALLIES_KEPT)})
            forgotten = {
                "queues": json.dumps([each.name for each in every]),
                "sent_ms": now_ms - ms_of(LONGEST_RETENTION),
            }
            gone = transaction.execute(SQL["prune_undeclared"], forgotten).rowcount
            return gone + sum(prune(transaction, settings, now_ms) for settings in every)

        return self._database.write(work, durable=False)

    # --------------------------------------------------------------------------------------------- steps

    def send_within(self, transaction: Transaction, queue: str, message: NewMessage) -> Sent:
        """Send a message that was checked as a part of a larger transaction, e.g. the one of the object it tells of."""
        settings, now_ms = self.settings(queue), to_ms(self._clock())
        sent = post(transaction, settings, message, now_ms)
        if not sent.is_duplicate:
            self.announce_within(transaction, queue, 1)
        return sent

    def take_within(
        self,
        transaction: Transaction,
        settings: Settings,
        most: int,
        taker: Taker,
        now: datetime,
        hidden: timedelta,
    ) -> list[Received]:
        """Receive up to `most` messages, hidden for so long; what was received too often goes to the dead letters."""
        now_ms = to_ms(now)
        taken = take(transaction, settings, most, taker=taker, now_ms=now_ms, visible_ms=now_ms + ms_of(hidden))
        if taken.buried and settings.letters:
            self.announce_within(transaction, settings.letters, taken.buried)
        return taken.received

    def finished_within(self, transaction: Transaction, queue: str, messages: int) -> None:
        """Count messages that are done with."""
        now_ms = to_ms(self._clock())
        asked = {"queue": queue, "minute_ms": now_ms - now_ms % _MINUTE, "messages": messages}
        transaction.execute(SQL["tally"], asked)
        if queue.endswith(".fifo"):  # the next one of its group can be received
            self.announce_within(transaction, queue, messages)

    def announce_within(self, transaction: Transaction, queue: str, messages: int) -> None:
        """After the commit tell those who wait that there are messages to receive."""
        if messages:
            transaction.after_commit(partial(self._arrived, queue, messages))

    def in_flight_of_within(self, transaction: Transaction, receiver: str, queue: str = "") -> int:
        """The same as the transaction sees it: what a receiver that was refused before has now, it has at most."""
        return int(transaction.execute(SQL["in_flight_of"], self._asked_of(receiver, queue)).fetchone()[0])

    # --------------------------------------------------------------------------------------------- inside

    def _asked_of(self, receiver: str, queue: str) -> dict[str, object]:
        queues = json.dumps([*self.names(), queue])
        return {"queues": queues, "now_ms": to_ms(self._clock()), "receiver": receiver}

    def _all(self) -> dict[str, Settings]:
        return {**self._settings, **self.created.beside(self._settings)}

    def _receive_now(
        self, queue: str, most: int, visibility: timedelta | None, receiver: str, wanted: Callable[[], bool]
    ) -> list[Received]:
        settings = self.settings(queue)

        def work(transaction: Transaction) -> list[Received]:
            # Since just now: who has looked at what it has must not be wrong; and who was ended may be welcome again.
            if self.polls.is_refused(receiver) or _is_gone(transaction, receiver) or not wanted():
                return []
            hidden = settings.visibility if visibility is None else visibility
            return self.take_within(transaction, settings, most, Taker(receiver), self._clock(), hidden)

        return self._database.write(work, durable=False)

    def _arrived(self, queue: str, messages: int) -> None:
        self.polls.wake(queue, messages)
        self.on_arrival(queue)

    def _next_due_ms(self, queue: str) -> int | None:
        asked = {"queue": queue, "now_ms": to_ms(self._clock()), "held_ms": HELD_MS}
        with self._database.reading() as connection:
            found: int | None = connection.execute(SQL["next_due"], asked).fetchone()[0]
        return found

    def _seconds_to_due(self, queue: str) -> float | None:
        due_ms = self._next_due_ms(queue)
        return None if due_ms is None else (due_ms - to_ms(self._clock())) / 1000


def _is_gone(transaction: Transaction, receiver: str) -> bool:
    """True for a run that has no process any more, or will have none in a moment: its last request may come late."""
    return bool(receiver) and transaction.execute(SQL["is_gone"], {"id": receiver}).fetchone() is not None


def _says(row: Row | None, settings: Settings) -> bool:
    """True when the store has the queue as the job file says it."""
    return row is not None and not row["by_client"] and row["settings"] == settings.dump()

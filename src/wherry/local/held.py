"""Messages that runs hold: hidden from everybody else until their run lets go of them. Steps of larger transactions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from wherry.local.clock import to_ms
from wherry.local.database import Row, Transaction, load_sql
from wherry.local.queue_records import HELD_MS, Received, ms_of, received_of
from wherry.local.queues import Queues
from wherry.local.taking import Taker
from wherry.local.taking import bury as move_to_letters

SQL = load_sql("queues")


class Held:
    """What runs hold of the messages of queues."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def take(self, transaction: Transaction, queue: str, most: int, holder: str, now: datetime) -> list[Received]:
        """Receive messages for a run that holds them: they are hidden until it lets go of them.

        What was received too often already goes to the dead letters instead.
        """
        return self._queues.take_within(
            transaction, self._queues.settings(queue), most, Taker(holder, holds=True), now, timedelta(0)
        )

    def hold_again(self, transaction: Transaction, queue: str, message_id: str, holder: str) -> Received | None:
        """Take a certain message back, out of the dead letters if it is there, for a run that holds it again.

        None when it is not there any more, or somebody else holds it.
        """
        settings, now_ms = self._queues.settings(queue), to_ms(self._queues.now())
        rows = _of_ids(transaction, [message_id])
        asked = {
            "id": message_id,
            "queue": queue,
            "letters": settings.letters,
            "visible_ms": HELD_MS,
            "now_ms": now_ms,
            "holder": holder,
        }
        if not rows or not transaction.execute(SQL["hold_again"], asked).rowcount:
            return None
        return received_of(rows[0], now_ms, queue)

    def count(self, transaction: Transaction, message_ids: Sequence[str]) -> None:
        """A further attempt is a further receive."""
        transaction.execute(SQL["count_again"], {"ids": json.dumps(message_ids)})

    def finish(self, transaction: Transaction, message_ids: Sequence[str]) -> None:
        """The work is done: the messages are deleted."""
        rows = _of_ids(transaction, message_ids)
        transaction.execute(SQL["delete_ids"], {"ids": json.dumps(message_ids)})
        for queue in {row["queue"] for row in rows}:
            self._queues.finished_within(transaction, queue, sum(row["queue"] == queue for row in rows))

    def bury(self, transaction: Transaction, message_ids: Sequence[str], now: datetime) -> None:
        """The messages go to the dead letters of their queue; where there are none they are given back."""
        rows = _of_ids(transaction, message_ids)
        for queue in {row["queue"] for row in rows}:
            settings = self._queues.settings(queue) if self._queues.knows(queue) else None
            if settings is None or settings.letters is None:
                self.release(transaction, [row["id"] for row in rows if row["queue"] == queue], now)
                continue
            own = [row for row in rows if row["queue"] == queue]
            move_to_letters(transaction, settings, own, to_ms(now))
            self._queues.announce_within(transaction, settings.letters, len(own))
            if settings.is_fifo:
                self._queues.announce_within(transaction, queue, 1)

    def release(
        self,
        transaction: Transaction,
        message_ids: Sequence[str],
        now: datetime,
        after: timedelta = timedelta(0),
        *,
        uncount: bool = False,
    ) -> None:
        """Give messages back, for now or for later; `uncount`: as if this receive had not been."""
        asked = {"ids": json.dumps(message_ids), "visible_ms": to_ms(now) + ms_of(after), "uncount": int(uncount)}
        transaction.execute(SQL["release"], asked)
        if not after:
            rows = _of_ids(transaction, message_ids)
            for queue in {row["queue"] for row in rows}:
                self._queues.announce_within(transaction, queue, sum(row["queue"] == queue for row in rows))


def _of_ids(transaction: Transaction, message_ids: Sequence[str]) -> list[Row]:
    return transaction.execute(SQL["of_ids"], {"ids": json.dumps(message_ids)}).fetchall()

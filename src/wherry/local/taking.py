"""Which messages are received next, and what goes to the dead letters instead. Steps of a larger transaction.

Source: Amazon SQS Developer Guide, "Amazon SQS visibility timeout", "Receiving messages" (FIFO), "Dead-letter queues".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from wherry.local.database import Row, Transaction, load_sql
from wherry.local.queue_records import HELD_MS, Received, Settings, ms_of, received_of

SQL = load_sql("queues")


class Taker(NamedTuple):
    """Who receives."""

    #: A run's id, or empty.
    receiver: str = ""
    #: It holds what it receives until it has ended.
    holds: bool = False


class Taken(NamedTuple):
    """What a receive has done."""

    received: list[Received]
    #: Messages that went to the dead letters.
    buried: int


def take(
    transaction: Transaction, settings: Settings, most: int, *, taker: Taker, now_ms: int, visible_ms: int
) -> Taken:
    """Receive up to `most` messages, the oldest first; they are hidden until `visible_ms`."""
    chosen, worn = _choose(transaction, settings, most, now_ms)
    buried = len(worn)
    while worn:
        bury(transaction, settings, worn, now_ms)
        chosen, worn = _choose(transaction, settings, most, now_ms)
        buried += len(worn)
    if chosen:
        transaction.execute(
            SQL["take"],
            {
                "visible_ms": HELD_MS if taker.holds else visible_ms,
                "now_ms": now_ms,
                "receiver": taker.receiver,
                "holder": taker.receiver if taker.holds else None,
                "sequences": _listed(chosen),
            },
        )
    return Taken([received_of(row, now_ms, settings.name) for row in chosen], buried)


def bury(transaction: Transaction, settings: Settings, rows: Sequence[Row], now_ms: int) -> None:
    """Messages go to the dead letters of their queue; they keep their ids, age and receive count."""
    transaction.execute(SQL["bury"], {"letters": settings.letters, "now_ms": now_ms, "sequences": _listed(rows)})


def prune(transaction: Transaction, settings: Settings, now_ms: int) -> int:
    """Delete what is over its retention; what a run holds stays until that has ended."""
    sent_ms = now_ms - ms_of(settings.retention)
    return transaction.execute(SQL["prune"], {"queue": settings.name, "sent_ms": sent_ms}).rowcount


def _choose(transaction: Transaction, settings: Settings, most: int, now_ms: int) -> tuple[list[Row], list[Row]]:
    """The next messages, and those among them that were received too often already."""
    rows = _next(transaction, settings, most, now_ms)
    if any(row["sent_ms"] <= now_ms - ms_of(settings.retention) for row in rows):
        prune(transaction, settings, now_ms)
        rows = _next(transaction, settings, most, now_ms)
    if settings.max_receives is None:
        return rows, []
    return rows, [row for row in rows if row["receives"] >= settings.max_receives]


def _next(transaction: Transaction, settings: Settings, most: int, now_ms: int) -> list[Row]:
    asked = {"queue": settings.name, "now_ms": now_ms, "most": most}
    if not settings.is_fifo:
        return transaction.execute(SQL["next"], asked).fetchall()
    # While a message of a group is in flight, no other of that group may be; what is over its retention is not there.
    in_flight = {**asked, "expired_ms": now_ms - ms_of(settings.retention)}
    blocked = [row["group_id"] for row in transaction.execute(SQL["blocked"], in_flight)]
    return transaction.execute(SQL["next_of_groups"], {**asked, "blocked": json.dumps(blocked)}).fetchall()


def _listed(rows: Sequence[Row]) -> str:
    return json.dumps([row["sequence"] for row in rows])

"""Dead letters go back to work (Amazon SQS API Reference, StartMessageMoveTask)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta

from wherry.local.database import Row, Transaction, load_sql
from wherry.local.queue_records import Moved, NewMessage, Sent, Settings, ms_of

SQL = load_sql("queues")
#: Dead letters of one transaction.
BATCH = 200

#: Sends a message as a step of a transaction.
SendWithin = Callable[[Transaction, str, NewMessage], Sent]


def move_some(
    transaction: Transaction,
    letters: Settings,
    queues: Sequence[str],
    destination: str | None,
    *,
    most: int,
    now_ms: int,
    began_ms: int,
    send_within: SendWithin,
) -> list[Moved]:
    """Send up to `most` dead letters again, to `destination` or to where they came from.

    What is in flight stays, and so does what came from none of `queues`, and what has become a dead letter after
    `began_ms`: a message that fails at once would be moved for ever.
    """
    asked = {
        "queue": letters.name,
        "began_ms": began_ms,
        "expired_ms": now_ms - ms_of(letters.retention),
        "most": most,
        "sources": None if destination else json.dumps(queues),
    }
    moved = []
    for row in transaction.execute(SQL["to_move"], asked).fetchall():
        queue = destination or row["source"]
        sent = send_within(transaction, queue, _again(row))
        transaction.execute(SQL["delete"], {"sequence": row["sequence"]})
        moved.append(Moved(row["id"], sent.id, queue))
    return moved


def _again(row: Row) -> NewMessage:
    """The same message, to be sent again; at once, and known again by its old id alone."""
    is_fifo = row["queue"].endswith(".fifo")
    return NewMessage(
        body=row["body"],
        group=row["group_id"] or "",
        deduplication_id=row["deduplication_id"] or row["id"] if is_fifo else "",
        delay=None if is_fifo else timedelta(0),
        attributes=json.loads(row["attributes"]),
        sender=row["sender"],
        trace=row["trace"],
    )

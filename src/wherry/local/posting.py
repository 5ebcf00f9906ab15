"""How new messages enter a queue."""

from __future__ import annotations

import hashlib
import itertools
import json
import os

from wherry.local.database import Transaction, load_sql
from wherry.local.queue_records import DEDUPLICATION, NewMessage, Sent, Settings, ms_of

SQL = load_sql("queues")
#: How the fourth part of a UUID begins.
_VARIANTS = "89ab"
#: Each process counts on from a place of its own: chance tells processes apart, and counting is quicker than chance.
_NUMBERS = itertools.count(int.from_bytes(os.urandom(9), "big"))
_MASK = (1 << 72) - 1


def post(transaction: Transaction, settings: Settings, message: NewMessage, now_ms: int) -> Sent:
    """Add a checked message to its queue; or, in a FIFO queue, find that it was sent just now."""
    deduplication_id = message.deduplication_id
    if settings.is_fifo:
        deduplication_id = deduplication_id or hashlib.sha256(message.body.encode()).hexdigest()
        known = _known(transaction, settings.name, deduplication_id, now_ms)
        if known:
            return known
    delay = settings.delay if message.delay is None or settings.is_fifo else message.delay
    sent = _add(transaction, settings, message, deduplication_id, now_ms, now_ms + ms_of(delay))
    if settings.is_fifo:
        transaction.execute(
            SQL["remember"],
            {
                "queue": settings.name,
                "deduplication_id": deduplication_id,
                "message_id": sent.id,
                "sequence": sent.sequence,
                "sent_ms": now_ms,
            },
        )
    return sent


def _known(transaction: Transaction, queue: str, deduplication_id: str, now_ms: int) -> Sent | None:
    since = {"since_ms": now_ms - ms_of(DEDUPLICATION)}
    transaction.execute(SQL["forget"], since)
    asked = {"queue": queue, "deduplication_id": deduplication_id, **since}
    row = transaction.execute(SQL["known"], asked).fetchone()
    return Sent(row["message_id"], row["sequence"], is_duplicate=True) if row else None


def _add(
    transaction: Transaction,
    settings: Settings,
    message: NewMessage,
    deduplication_id: str,
    now_ms: int,
    visible_ms: int,
) -> Sent:
    if settings.is_fifo:
        # The queue's delay may have been shortened meanwhile: the order of the group is kept all the same.
        last = transaction.execute(SQL["last_of_group"], {"queue": settings.name, "group_id": message.group}).fetchone()
        visible_ms = max(visible_ms, last["visible_ms"]) if last else visible_ms
    message_id = new_id(now_ms)
    cursor = transaction.execute(
        SQL["add"],
        (
            message_id,
            settings.name,
            message.body,
            json.dumps(message.attributes, separators=(",", ":")) if message.attributes else "{}",
            message.sender,
            message.trace,
            message.group or None,
            deduplication_id or None,
            now_ms,
            visible_ms,
        ),
    )
    return Sent(message_id, cursor.lastrowid or 0)


def new_id(now_ms: int) -> str:
    """A message's id: a UUID that sorts by time (RFC 9562, version 7), which spares the index."""
    rest = f"{next(_NUMBERS) & _MASK:018x}"
    return f"{now_ms >> 16:08x}-{now_ms & 0xFFFF:04x}-7{rest[:3]}-{_VARIANTS[now_ms & 3]}{rest[3:6]}-{rest[6:]}"

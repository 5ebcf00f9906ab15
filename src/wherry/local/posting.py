"""How new messages enter a queue."""

from __future__ import annotations

import hashlib
import json
import os

from wherry.local.database import Transaction, load_sql
from wherry.local.queue_records import DEDUPLICATION, NewMessage, Sent, Settings, ms_of

SQL = load_sql("queues")


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
        {
            "id": message_id,
            "queue": settings.name,
            "body": message.body,
            "attributes": json.dumps(message.attributes, separators=(",", ":")) if message.attributes else "{}",
            "sender": message.sender,
            "trace": message.trace,
            "group_id": message.group or None,
            "deduplication_id": deduplication_id or None,
            "sent_ms": now_ms,
            "visible_ms": visible_ms,
        },
    )
    return Sent(message_id, cursor.lastrowid or 0)


def new_id(now_ms: int) -> str:
    """A message's id: a UUID that sorts by time (RFC 9562, version 7), which spares the index."""
    text = f"{now_ms:012x}7{os.urandom(10).hex()}"
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{variant}{text[17:20]}-{text[20:32]}"

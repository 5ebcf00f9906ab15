"""What receivers do to the messages that they have, by the handles of their receives. Steps of a larger transaction.

Source: Amazon SQS API Reference, "DeleteMessage", "ChangeMessageVisibility".
"""

from __future__ import annotations

from datetime import timedelta

from wherry.local.database import Connection, Row, Transaction, load_sql
from wherry.local.drafts import bad_value
from wherry.local.queue_records import LONGEST_IN_FLIGHT, QueueError, Receipt, Settings, ms_of

SQL = load_sql("queues")


def delete(transaction: Transaction, settings: Settings, handle: str, now_ms: int) -> int:
    """Delete the message of a receive, if that was its last one; gives how many that were. Raises QueueError."""
    receipt = Receipt.parse(handle)
    if not settings.is_fifo:
        return transaction.execute(SQL["delete_received"], (*receipt, settings.name)).rowcount
    row = _message(transaction, receipt)
    if row is None or not _is_last(row, settings, handle, now_ms):
        return 0
    return transaction.execute(SQL["delete"], {"sequence": row["sequence"]}).rowcount


def hide(transaction: Transaction, settings: Settings, handle: str, span: timedelta, now_ms: int) -> bool:
    """Hide the message of a receive for so long from now, if that was its last one; False when it was not.

    Raises QueueError where SQS does.
    """
    row = _message(transaction, Receipt.parse(handle))
    if row is None:
        raise bad_value(
            handle, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change."
        )
    if not _is_last(row, settings, handle, now_ms):
        return False
    visible_ms = now_ms + ms_of(span)
    if visible_ms > (row["received_ms"] or now_ms) + ms_of(LONGEST_IN_FLIGHT):
        reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]."
        raise bad_value(int(span.total_seconds()), "VisibilityTimeout", reason)
    transaction.execute(SQL["hide"], {"sequence": row["sequence"], "visible_ms": visible_ms})
    return True


def receiver_of(connection: Connection, handle: str) -> str | None:
    """Who has received the message of a receive last; None when there is no such message, or the handle is none."""
    try:
        receipt = Receipt.parse(handle)
    except QueueError:
        return None
    asked = {"sequence": receipt.sequence, "id": receipt.message_id}
    row = connection.execute(SQL["of_receipt"], asked).fetchone()
    return None if row is None else row["receiver"]


def _message(transaction: Transaction, receipt: Receipt) -> Row | None:
    asked = {"sequence": receipt.sequence, "id": receipt.message_id}
    row: Row | None = transaction.execute(SQL["of_receipt"], asked).fetchone()
    return row


def _is_last(row: Row, settings: Settings, handle: str, now_ms: int) -> bool:
    """Whether nobody has received the message since; a FIFO queue does not take a handle that is over."""
    is_last = bool(row["queue"] == settings.name and row["receives"] == Receipt.parse(handle).receives)
    if settings.is_fifo and not (is_last and row["visible_ms"] > now_ms):
        raise bad_value(handle, "ReceiptHandle", "The receipt handle has expired.")
    return is_last

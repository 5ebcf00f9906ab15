"""What feeds queues: events become messages, in the transaction in which they are accepted, at most one a cause.

Sources: Amazon S3 User Guide, "Event message structure", "Enabling and configuring event notifications" (the test
message); EventBridge User Guide, "Amazon SQS queues as targets".
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime

from wherry import announcements, causes, messages
from wherry.local.clock import to_ms
from wherry.local.database import Database, Transaction, load_sql
from wherry.local.queue_records import NewMessage
from wherry.local.queues import Queues
from wherry.model import Event, JobFile, Queue

_S3 = "s3"


class Feeding:
    """Makes messages of events."""

    def __init__(self, jobfile: Callable[[], JobFile], database: Database, queues: Queues) -> None:
        self._jobfile = jobfile
        self._database = database
        self._queues = queues
        self._sql = load_sql("feeding")

    def feed(self, transaction: Transaction, name: str, event: Event, now: datetime) -> None:
        """An event that the queue wants; nothing happens when it has that one already.

        As jobs, so queues: what a run of a job has led to makes no message that the same job would take.
        """
        taker = self._jobfile().taker(name)
        if taker and taker[0].name in announcements.chain_of(event):
            return
        queue = self._jobfile().queues.get(name)
        if queue is None or not self._queues.knows(name):
            return  # the job file is being changed, and has it no more
        cause = causes.cause_of(event)
        if not self._is_new(transaction, name, cause, now):
            return
        document = dict(event.document)
        if queue.feed and queue.feed.format == _S3:
            document = messages.notification_of(document, name=name)
        self._send(transaction, queue, messages.body_of(document), cause)

    def greet(self, now: datetime) -> None:
        """Send the test message of S3 to each queue that has S3's own notifications, once."""
        jobfile = self._jobfile()
        fed = [queue for queue in jobfile.queues.values() if queue.feed and queue.feed.format == _S3]
        if not fed:
            return

        def work(transaction: Transaction) -> None:
            for queue in fed:
                feed = queue.feed
                assert feed is not None  # noqa: S101 - chosen so
                cause = f"test:{feed.bucket}/{feed.prefix}*{feed.suffix}"
                if self._is_new(transaction, queue.name, cause, now):
                    bucket = jobfile.buckets[feed.bucket or ""].local_name
                    test = messages.test_of(bucket, request_id=uuid.uuid4().hex[:16].upper(), now=now)
                    self._send(transaction, queue, messages.body_of(test), cause)

        self._database.write(work)

    def _is_new(self, transaction: Transaction, queue: str, cause: str, now: datetime) -> bool:
        noted = transaction.execute(self._sql["note"], {"queue": queue, "cause": cause, "now_ms": to_ms(now)})
        return bool(noted.rowcount)

    def _send(self, transaction: Transaction, queue: Queue, body: str, cause: str) -> None:
        message = NewMessage(body=body)
        if queue.is_fifo:
            # All in one group: in the order in which they came.
            known = hashlib.sha256(cause.encode(errors="surrogatepass")).hexdigest()
            message = NewMessage(body=body, group=queue.name.removesuffix(".fifo"), deduplication_id=known)
        self._queues.check(queue.name, message)
        self._queues.send_within(transaction, queue.name, message)

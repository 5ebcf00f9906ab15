"""The queues of an environment: messages sent, looked at, moved and deleted.

SQS cannot be looked into: whoever sees a message has received it. What is looked at here is received, hidden from
others for a moment, and given back, and SQS counts that (`ApproximateReceiveCount`). In a queue's dead letters that
means nothing; in the queue itself a message that is looked at more often than `max_receives` becomes a dead letter.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from wherry.agent import records
from wherry.aws import levels
from wherry.aws.client import AwsError
from wherry.aws.levels import is_missing
from wherry.aws.received import Received
from wherry.aws.site import Site
from wherry.aws.tasks import has_worker
from wherry.errors import UserError, WherryError
from wherry.model import Queue, no_such_queue
from wherry.target import Draft, Message

#: SQS's calls take so many messages at once, and so many bytes.
_BATCH, _BYTES = 10, 1 << 20
_PULSE = 0.5
#: What SQS refuses because of what it was given.
_WRONG = (
    "InvalidParameterValue",
    "InvalidParameterValueException",
    "MissingParameter",
    "MissingRequiredParameterException",
    "InvalidMessageContents",
    "InvalidAttributeValue",
    "AWS.SimpleQueueService.BatchRequestTooLong",
    "BatchRequestTooLong",
)


class Mail:
    """The queues of one environment."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def send(self, queue: str, drafts: Sequence[Draft]) -> list[str]:
        """Send messages, in order; gives their ids. Raises UserError for what SQS refuses."""
        declared = self._queue(queue)
        url = self._url(declared.name)
        ids: list[str] = []
        for some in _batches([_entry(draft, declared) for draft in drafts]):
            with _sending(declared, len(ids), len(some)):
                answer = self._site.aws.once(
                    "sqs", "send_message_batch", is_known_again=declared.is_fifo, QueueUrl=url, Entries=some
                )
            for failed in answer.get("Failed", ()):
                raise _refused(str(failed.get("Message") or failed["Code"]), len(ids) + int(failed["Id"]))
            by_id = {done["Id"]: str(done["MessageId"]) for done in answer["Successful"]}
            ids += [by_id[entry["Id"]] for entry in some]
        return ids

    def peek(self, queue: str, *, dead: bool, limit: int) -> list[Message]:
        """The messages that SQS shows first. Looking counts as receiving."""
        declared = self._queue(queue)
        taker = self._site.jobfile.taker(declared.name)
        job = taker[0].name if taker and has_worker(taker[0]) else None
        with Received(self._site.aws, self._url(declared.dead_letters if dead else declared.name)) as received:
            found = received.some(limit)
        return [_message(each, job, declared.name, dead=dead) for each in found]

    def redrive(self, queue: str) -> int:
        """Move the dead letters of a queue back into it; gives how many. Waits until SQS has done so."""
        declared = self._queue(queue)
        letters = self._site.names.queue_arn(declared.dead_letters)
        if levels.total(levels.counts(self._site, declared.dead_letters)) == 0:
            return 0
        known = {each.get("StartedTimestamp") for each in self._moves(letters)}
        try:
            self._site.aws.call("sqs", "start_message_move_task", SourceArn=letters)
        except AwsError:
            # a repeated call of ours is refused while what the first one began goes on
            if not self._new_moves(letters, known):
                raise
        while any(each["Status"] in ("RUNNING", "CANCELLING") for each in self._new_moves(letters, known)):
            time.sleep(_PULSE)
        moves = self._new_moves(letters, known)
        for each in moves:
            if each["Status"] != "COMPLETED":
                why = each.get("FailureReason") or each["Status"].lower()
                raise WherryError(f"SQS has not moved all dead letters of queue `{queue}`: {why}")
        return sum(int(each.get("ApproximateNumberOfMessagesMoved") or 0) for each in moves)

    def purge(self, queue: str, *, dead: bool) -> int:
        """Delete all messages of a queue, or of its dead letters; gives how many there were, about."""
        declared = self._queue(queue)
        name = declared.dead_letters if dead else declared.name
        found = levels.counts(self._site, name)
        try:
            self._site.aws.call("sqs", "purge_queue", QueueUrl=self._url(name))
        except AwsError as error:
            if "PurgeQueueInProgress" in error.code:
                raise UserError(
                    f"queue `{name}` was purged just now", hint="SQS allows that once in 60 seconds"
                ) from None
            raise
        return levels.total(found)

    def send_again(self, declared: Queue, message: Mapping[str, Any], mark: str) -> None:
        """Send a dead letter to its queue once more, as a further round of its run. Raises UserError."""
        given = dict(message.get("MessageAttributes") or {})
        given[records.AGAIN] = {"DataType": "String", "StringValue": mark}
        if len(given) > _BATCH:
            hint = f"`wherry queue redrive {declared.name}` sends all back; each is a new run then"
            raise UserError(
                "the message has ten attributes, and wherry needs one more to know its run again", hint=hint
            )
        more: dict[str, Any] = {}
        if declared.is_fifo:
            more = {
                "MessageGroupId": message["Attributes"]["MessageGroupId"],
                "MessageDeduplicationId": str(uuid.uuid4()),
            }
        # not in a batch, whose answer is no error when SQS refuses the message in it
        url = self._url(declared.name)
        more |= {"MessageBody": message["Body"], "MessageAttributes": given}
        with _sending(declared, 0, 1):
            self._site.aws.once("sqs", "send_message", is_known_again=declared.is_fifo, QueueUrl=url, **more)

    def _queue(self, name: str) -> Queue:
        found = self._site.jobfile.queues.get(name)
        if found is None:
            raise no_such_queue(name, self._site.jobfile.queues)
        return found

    def _url(self, name: str) -> str:
        """The address of a queue, or of the dead letters of one; raises UserError where it is not deployed."""
        try:
            return str(self._site.aws.call("sqs", "get_queue_url", QueueName=self._site.names.queue(name))["QueueUrl"])
        except AwsError as error:
            if is_missing(error):
                raise self._site.not_deployed() from None
            raise

    def _new_moves(self, arn: str, known: Collection[Any]) -> list[Mapping[str, Any]]:
        return [each for each in self._moves(arn) if each.get("StartedTimestamp") not in known]

    def _moves(self, arn: str) -> list[Mapping[str, Any]]:
        answer = self._site.aws.call("sqs", "list_message_move_tasks", SourceArn=arn, MaxResults=_BATCH)
        found: list[Mapping[str, Any]] = answer.get("Results", [])
        return found


def _entry(draft: Draft, queue: Queue) -> dict[str, Any]:
    entry: dict[str, Any] = {"MessageBody": draft.body}
    if draft.group:
        entry["MessageGroupId"] = draft.group
    if draft.deduplication_id:
        entry["MessageDeduplicationId"] = draft.deduplication_id
    if draft.delay is not None and not (queue.is_fifo and draft.delay == timedelta(0)):
        entry["DelaySeconds"] = int(draft.delay.total_seconds())
    if draft.attributes:
        entry["MessageAttributes"] = {
            name: {"DataType": "String", "StringValue": text} for name, text in draft.attributes.items()
        }
    return entry


def _batches(entries: Sequence[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """As many entries at once as SQS takes, by number and by size."""
    some: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        own = len(entry["MessageBody"].encode()) + len(str(entry.get("MessageAttributes", "")).encode())
        if some and (len(some) == _BATCH or size + own > _BYTES):
            yield some
            some, size = [], 0
        some.append({"Id": str(len(some)), **entry})
        size += own
    if some:
        yield some


def _refused(message: str, number: int) -> UserError:
    hint = f"{number} were sent before it" if number else None
    return UserError(f"SQS refuses message {number + 1}: {message}", hint=hint)


@contextlib.contextmanager
def _sending(queue: Queue, sent: int, count: int) -> Iterator[None]:
    """Send so many messages after so many others, and none twice: to a standard queue it would be another message.

    Raises UserError for what SQS refuses, and WherryError when nobody knows whether they were sent.
    """
    try:
        yield
    except AwsError as error:
        if error.code in _WRONG:
            raise _refused(error.message.partition(": ")[2] or error.message, sent) from None
        if not error.is_unsure:
            raise
        which = f"message {sent + 1}" if count == 1 else f"messages {sent + 1} to {sent + count}"
        before = f"; {sent} were sent before" if sent else ""
        hint = f"`wherry queues` counts what is in `{queue.name}`; what is sent once more may start a second run"
        raise WherryError(f"{which} may have been sent or not{before}: {error.message}", hint=hint) from None


def _message(found: Mapping[str, Any], job: str | None, queue: str, *, dead: bool) -> Message:
    system = found["Attributes"]
    receives = int(system["ApproximateReceiveCount"]) - 1  # this time does not count
    given = found.get("MessageAttributes") or {}
    return Message(
        id=str(found["MessageId"]),
        body=str(found["Body"]),
        sent_at=datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC),
        receives=receives,
        state="waiting",
        group=str(system.get("MessageGroupId", "")),
        attributes={name: each["StringValue"] for name, each in given.items() if "StringValue" in each},
        run_id=records.known_of(job, queue, found).run_id if job and (dead or receives) else None,
    )

"""The queues of an environment: what is in them, and messages sent, looked at, moved and deleted.

SQS cannot be looked into: whoever sees a message has received it. What is looked at here is received, hidden from
others for a moment, and given back, and SQS counts that (`ApproximateReceiveCount`). In a queue's dead letters that
means nothing; in the queue itself a message that is looked at more often than `max_receives` becomes a dead letter.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from wherry.agent import records
from wherry.aws.client import AwsError
from wherry.aws.received import Received
from wherry.aws.site import Site
from wherry.aws.tasks import has_worker
from wherry.errors import UserError, WherryError
from wherry.model import Queue, no_such_queue
from wherry.target import Draft, Message, QueueState

#: SQS's calls take so many messages at once, and so many bytes.
_BATCH, _BYTES = 10, 1 << 20
_PULSE = 0.5
_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
#: CloudWatch's minutes that a rate is of, and how far back the oldest message's age is looked for.
_MINUTES = 5
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

    def states(self) -> list[QueueState]:
        """All queues of the job file, in its order."""
        queues = list(self._site.jobfile.queues.values())
        if not queues:
            return []
        seen = self._site.aws.together(
            self._attributes, [name for each in queues for name in (each.name, each.dead_letters)]
        )
        measured = self._measured(queues)
        running = self._running()
        states = []
        for queue, own, letters in zip(queues, seen[::2], seen[1::2], strict=True):
            counts = [int(own.get(name, 0)) for name in _COUNTS]
            taker = self._site.jobfile.taker(queue.name)
            age, deleted = measured.get(queue.name, (None, None))
            states.append(
                QueueState(
                    name=queue.name,
                    url=str(own.get("QueueUrl", "")),
                    waiting=counts[0],
                    in_flight=counts[1],
                    delayed=counts[2],
                    dead=sum(int(letters.get(name, 0)) for name in _COUNTS),
                    oldest=timedelta(seconds=age) if age is not None and counts[0] else None,
                    job=taker[0].name if taker else None,
                    workers=running.get(self._site.names.service(taker[0].name, queue.name), 0) if taker else 0,
                    max_workers=taker[1].max_workers if taker else 0,
                    rate=None if deleted is None else deleted / _MINUTES,
                )
            )
        return states

    def send(self, queue: str, drafts: Sequence[Draft]) -> list[str]:
        """Send messages, in order; gives their ids. Raises UserError for what SQS refuses."""
        declared = self._queue(queue)
        url = self._url(declared.name)
        ids: list[str] = []
        for some in _batches([_entry(draft, declared) for draft in drafts]):
            try:
                answer = self._site.aws.call("sqs", "send_message_batch", QueueUrl=url, Entries=some)
            except AwsError as error:
                if error.code in _WRONG:
                    raise _refused(error.message.partition(": ")[2] or error.message, len(ids)) from None
                raise
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
        if sum(int(self._attributes(declared.dead_letters).get(name, 0)) for name in _COUNTS) == 0:
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
        found = self._attributes(name)
        try:
            self._site.aws.call("sqs", "purge_queue", QueueUrl=self._url(name))
        except AwsError as error:
            if "PurgeQueueInProgress" in error.code:
                raise UserError(
                    f"queue `{name}` was purged just now", hint="SQS allows that once in 60 seconds"
                ) from None
            raise
        return sum(int(found.get(count, 0)) for count in _COUNTS)

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
        try:
            self._site.aws.call("sqs", "send_message", QueueUrl=url, **more)
        except AwsError as error:
            if error.code in _WRONG:
                raise _refused(error.message.partition(": ")[2] or error.message, 0) from None
            raise

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

    def _attributes(self, name: str) -> dict[str, Any]:
        """A queue's counts and its address; nothing where it is not deployed."""
        try:
            url = self._site.aws.call("sqs", "get_queue_url", QueueName=self._site.names.queue(name))["QueueUrl"]
            answer = self._site.aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=list(_COUNTS))
        except AwsError as error:
            if is_missing(error):
                return {}
            raise
        return {**answer["Attributes"], "QueueUrl": url}

    def _new_moves(self, arn: str, known: Collection[Any]) -> list[Mapping[str, Any]]:
        return [each for each in self._moves(arn) if each.get("StartedTimestamp") not in known]

    def _moves(self, arn: str) -> list[Mapping[str, Any]]:
        answer = self._site.aws.call("sqs", "list_message_move_tasks", SourceArn=arn, MaxResults=_BATCH)
        found: list[Mapping[str, Any]] = answer.get("Results", [])
        return found

    def _running(self) -> dict[str, int]:
        """Service -> tasks that run; services that are not there have none."""
        jobfile, names = self._site.jobfile, self._site.names
        takers = {queue: jobfile.taker(queue) for queue in jobfile.queues}
        wanted = [names.service(taker[0].name, queue) for queue, taker in takers.items() if taker]

        def look(some: Sequence[str]) -> list[Mapping[str, Any]]:
            try:
                answer = self._site.aws.call("ecs", "describe_services", cluster=names.cluster, services=list(some))
            except AwsError as error:
                if error.code == "ClusterNotFoundException":
                    return []
                raise
            found: list[Mapping[str, Any]] = answer["services"]
            return found

        parts = [wanted[first : first + _BATCH] for first in range(0, len(wanted), _BATCH)]
        found = [each for part in self._site.aws.together(look, parts) for each in part]
        return {str(each["serviceName"]): int(each["runningCount"]) for each in found}

    def _measured(self, queues: Sequence[Queue]) -> dict[str, tuple[float | None, float | None]]:
        """Queue -> age of the oldest message in seconds, and messages deleted in the last minutes; None: unknown."""
        queries = [
            {
                "Id": f"{kind}{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/SQS",
                        "MetricName": metric,
                        "Dimensions": [{"Name": "QueueName", "Value": self._site.names.queue(queue.name)}],
                    },
                    "Period": 60,
                    "Stat": statistic,
                },
            }
            for number, queue in enumerate(queues)
            for kind, metric, statistic in (
                ("age", "ApproximateAgeOfOldestMessage", "Maximum"),
                ("gone", "NumberOfMessagesDeleted", "Sum"),
            )
        ]
        until = self._site.clock()
        answer = self._site.aws.call(
            "cloudwatch",
            "get_metric_data",
            MetricDataQueries=queries,
            StartTime=until - timedelta(minutes=_MINUTES),
            EndTime=until,
            ScanBy="TimestampDescending",
        )
        values = {found["Id"]: found.get("Values") or [] for found in answer["MetricDataResults"]}
        return {
            queue.name: (
                next(iter(values.get(f"age{number}", ())), None),
                sum(values[f"gone{number}"]) if values.get(f"gone{number}") else None,
            )
            for number, queue in enumerate(queues)
        }


def is_missing(error: AwsError) -> bool:
    """True for SQS's error about a queue that is not there, in either of its spellings."""
    return "NonExistentQueue" in error.code or "QueueDoesNotExist" in error.code


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

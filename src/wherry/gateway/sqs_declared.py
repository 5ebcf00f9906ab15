"""A queue's attributes as SQS names them, and what the job file calls them.

Source: Amazon SQS API Reference, GetQueueAttributes, SetQueueAttributes, CreateQueue.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

from wherry.gateway.context import Call
from wherry.gateway.sqs_common import arn_of
from wherry.local.drafts import LARGEST_MESSAGE
from wherry.local.queue_records import QueueError, Settings

#: Attribute -> the key of a queue in the job file that says it.
KEYS = {
    "VisibilityTimeout": "visibility",
    "DelaySeconds": "delay",
    "MessageRetentionPeriod": "retention",
    "RedrivePolicy": "max_receives",
    "ContentBasedDeduplication": "content_deduplication",
}
#: Attribute -> the smallest and the largest number.
_BOUNDS = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, LARGEST_MESSAGE),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}
_OF_FIFO = ("FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit")
_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
_FACTS = ("QueueArn", "CreatedTimestamp", "LastModifiedTimestamp")
#: They can be named, and have no value here.
_ABSENT = ("Policy", "RedriveAllowPolicy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds")
#: What clients may say of a queue.
_SETTABLE = (
    *_BOUNDS,
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    *_OF_FIFO,
    "Policy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
)


def settings_of(call: Call, settings: Settings) -> dict[str, str]:
    """What clients could have said of a queue."""
    values = {
        "DelaySeconds": _seconds(settings.delay),
        "MaximumMessageSize": str(LARGEST_MESSAGE),
        "MessageRetentionPeriod": _seconds(settings.retention),
        "ReceiveMessageWaitTimeSeconds": _seconds(settings.wait),
        "VisibilityTimeout": _seconds(settings.visibility),
        "SqsManagedSseEnabled": "true",
    }
    if settings.letters:
        target = {"deadLetterTargetArn": arn_of(call, settings.letters), "maxReceiveCount": settings.max_receives}
        values["RedrivePolicy"] = json.dumps(target, separators=(",", ":"))
    if settings.is_fifo:
        content = "true" if settings.content_deduplication else "false"
        fifo = ("true", content, "queue", "perQueue")
        values |= dict(zip(_OF_FIFO, fifo, strict=True))
    return values


def attributes_of(call: Call, settings: Settings, names: list[str]) -> dict[str, str]:
    """The attributes that `names` mean, `All` or each; raises QueueError for a name that SQS does not know."""
    for name in names:
        if name != "All":
            check_name(name, settings, (*_SETTABLE, *_COUNTS, *_FACTS))
    wanted = {*names}
    everything = "All" in wanted
    values = settings_of(call, settings) if everything or wanted - {*_COUNTS, *_FACTS} else {}
    if everything or wanted & {*_COUNTS}:
        counts = call.services.queues.counts(settings.name)
        values |= {name: str(count) for name, count in zip(_COUNTS, counts, strict=False)}
    if everything or wanted & {*_FACTS}:
        row = call.services.queues.row(settings.name)
        made, changed = str(row["created_ms"] // 1000), str(row["modified_ms"] // 1000)
        values |= dict(zip(_FACTS, (arn_of(call, settings.name), made, changed), strict=True))
    return values if everything else {name: value for name, value in values.items() if name in wanted}


def check_name(name: str, settings: Settings, known: tuple[str, ...] = _SETTABLE) -> None:
    """Raise QueueError for an attribute that a queue of this kind does not have."""
    if name not in known or (name in _OF_FIFO and not settings.is_fifo):
        raise QueueError("InvalidAttributeName", f"Unknown Attribute {name}.")


def check_given(given: Mapping[str, str], settings: Settings) -> None:
    """Raise QueueError for attributes that SQS would refuse for any queue of this kind."""
    for name, value in given.items():
        check_name(name, settings)
        low, high = _BOUNDS.get(name, (0, 0))
        if name in _BOUNDS and not (value.isascii() and value.isdigit() and low <= int(value[:9]) <= high):
            raise QueueError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")
    if given.get("KmsMasterKeyId") and given.get("SqsManagedSseEnabled") == "true":
        raise QueueError(
            "InvalidAttributeName",
            "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS "
            "SSE.",
        )


def differing(call: Call, given: Mapping[str, str], settings: Settings) -> str | None:
    """The first attribute that is other than the queue's own, None when there is none."""
    own = settings_of(call, settings)
    return next((name for name, value in given.items() if not _same(value, own.get(name, ""))), None)


def _same(given: str, own: str) -> bool:
    if given == own:
        return True
    try:  # a policy may be written otherwise, and its number as text
        first, second = json.loads(given), json.loads(own)
    except ValueError:
        return False
    if isinstance(first, dict) and isinstance(second, dict):
        return {key: str(value) for key, value in first.items()} == {key: str(value) for key, value in second.items()}
    return bool(first == second)


def remedy(call: Call, name: str, settings: Settings) -> str:
    """Where an attribute is said, for whoever wants it otherwise."""
    if not call.services.queues.declares(settings.name):
        return "a client has created the queue so, and SetQueueAttributes changes it"
    if settings.source:
        return f"the dead letters of `{settings.source}` are as wherry makes them"
    key = KEYS.get(name)
    if key is None:
        return f"the job file has no key for it, and {as_it_is(call, name, settings)}"
    place = call.services.guard.place(f"queues.{settings.name}.{key}")
    return f"the job file says it: `{key}` of queue `{settings.name}` ({place})"


def as_it_is(call: Call, name: str, settings: Settings) -> str:
    """What is to be said of an attribute that cannot be otherwise."""
    own = settings_of(call, settings).get(name)
    return f"here it is always `{own}`" if own else "here it is never set"


def _seconds(span: timedelta) -> str:
    return str(int(span.total_seconds()))

"""What clients say of the queues that they create, as far as queues can be so here.

Source: Amazon SQS API Reference, CreateQueue, SetQueueAttributes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

from wherry.gateway.context import Call
from wherry.gateway.sqs_common import arn_of
from wherry.gateway.sqs_declared import as_it_is, check_given, differing
from wherry.local.drafts import bad_value
from wherry.local.queue_records import QueueError, Settings

_MOST_RECEIVES = 1000
_TARGET, _COUNT = "deadLetterTargetArn", "maxReceiveCount"


def settings_from(call: Call, name: str, given: Mapping[str, str]) -> Settings:
    """The queue that these attributes describe; raises QueueError for what SQS, or wherry, does not have."""
    default = Settings(name=name)
    if default.is_fifo != (given.get("FifoQueue") == "true"):
        said = "The name of a FIFO queue must end in .fifo, and its attribute FifoQueue must be true."
        raise QueueError("InvalidParameterValueException", said)
    check_given(given, default)

    def span(attribute: str, otherwise: timedelta) -> timedelta:
        return timedelta(seconds=int(given[attribute])) if attribute in given else otherwise

    letters, max_receives = _redrive(call, name, given.get("RedrivePolicy", ""))
    settings = Settings(
        name=name,
        visibility=span("VisibilityTimeout", default.visibility),
        delay=span("DelaySeconds", default.delay),
        retention=span("MessageRetentionPeriod", default.retention),
        wait=span("ReceiveMessageWaitTimeSeconds", default.wait),
        content_deduplication=given.get("ContentBasedDeduplication") == "true",
        letters=letters,
        max_receives=max_receives,
    )
    other = differing(call, given, settings)
    if other:
        said = f"Invalid value for the parameter {other}: {as_it_is(call, other, settings)}."
        raise QueueError("InvalidAttributeValue", said)
    return settings


def _redrive(call: Call, name: str, policy: str) -> tuple[str | None, int | None]:
    """Where a queue's dead letters go, and after how many receives."""
    if not policy:
        return None, None
    try:
        values = json.loads(policy)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise bad_value(policy, "RedrivePolicy", "Redrive policy is not a valid JSON map.")
    for key in (_TARGET, _COUNT):
        if key not in values:
            raise bad_value(policy, "RedrivePolicy", f"Redrive policy does not contain mandatory attribute: {key}.")
    count, arn = str(values[_COUNT]), str(values[_TARGET])
    if not (count.isascii() and count.isdigit() and 1 <= int(count[:9]) <= _MOST_RECEIVES):
        reason = f"Invalid value for {_COUNT}: {count}, valid values are from 1 to {_MOST_RECEIVES} both inclusive."
        raise bad_value(policy, "RedrivePolicy", reason)
    letters = arn.rpartition(":")[2]
    # A queue that is its own would bury what it has just buried, for ever.
    if letters == name or not call.services.queues.knows(letters) or arn != arn_of(call, letters):
        raise bad_value(policy, "RedrivePolicy", "Dead letter target does not exist.")
    if letters.endswith(".fifo") != name.endswith(".fifo"):
        raise bad_value(policy, "RedrivePolicy", "Dead-letter queue must be same type of queue as the source.")
    return letters, int(count)

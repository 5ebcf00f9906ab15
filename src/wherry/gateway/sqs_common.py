"""What all operations of SQS share: which queue is meant, numbers, lists, and errors under both of their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from wherry.gateway.context import Call
from wherry.gateway.errors import AwsError
from wherry.local.drafts import bad_value, missing
from wherry.local.queue_records import QueueError, Settings
from wherry.model import LOCAL_ACCOUNT

Parameters = dict[str, Any]
#: SQS's name in its model -> in the query protocol, where the two differ (API Reference of each action, "Errors").
LEGACY = {
    "AccessDeniedException": "AccessDenied",
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
    "InvalidParameterValueException": "InvalidParameterValue",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "MissingRequiredParameterException": "MissingParameter",
    "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}

_NUMBER = re.compile(r"-?[0-9]{1,9}")


def legacy(code: str) -> str:
    """An error's name in the query protocol, which clients of JSON are told as well."""
    return LEGACY.get(code, code)


def text(given: Mapping[str, Any], name: str, default: str = "") -> str:
    """A parameter that is text; raises QueueError for what is none."""
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise QueueError("InvalidParameterValueException", f"{name} must be a string.")
    return value


def required(given: Mapping[str, Any], name: str) -> str:
    """A text that must be there."""
    value = text(given, name)
    if not value:
        raise missing(name)
    return value


def whole(given: Mapping[str, Any], name: str, reason: str, bounds: tuple[int, int]) -> int | None:
    """A parameter that is a whole number within bounds, None when it is not given; the query protocol has text."""
    value = given.get(name)
    if value is None:
        return None
    number = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if isinstance(number, bool) or not isinstance(number, int) or not bounds[0] <= number <= bounds[1]:
        raise bad_value(value, name, reason)
    return number


def texts(given: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts; none when it is not given."""
    value = given.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise QueueError("InvalidParameterValueException", f"{name} must be a list of strings.")
    return value


def named(call: Call, name: str) -> Settings:
    """The queue of a name; raises QueueError when there is none."""
    queues = call.services.queues
    if not queues.knows(name):
        call.services.guard.note(call.caller, f"there is no queue `{name}`: add `{name}: {{}}` to `queues`")
        raise QueueError("QueueDoesNotExist", "The specified queue does not exist.")
    return queues.settings(name)


def queue_of(call: Call, given: Parameters) -> Settings:
    """The queue that a request is for: by its URL in the body, else by the path that it was posted to."""
    url = text(given, "QueueUrl") or (call.request.path if call.request.path != "/" else "")
    if not url:
        raise missing("QueueUrl")
    return named(call, unquote(url.partition("?")[0].rstrip("/").rpartition("/")[2]))


def url_of(call: Call, queue: str) -> str:
    """A queue's URL, for whoever reached this endpoint under the name that they use."""
    return f"http://{call.request.headers.get('host', '127.0.0.1')}/{LOCAL_ACCOUNT}/{queue}"


def arn_of(call: Call, queue: str) -> str:
    """A queue's ARN."""
    return f"arn:aws:sqs:{call.services.region}:{LOCAL_ACCOUNT}:{queue}"


def queue_of_arn(call: Call, arn: str) -> Settings:
    """The queue of an ARN; raises AwsError."""
    name = arn.rpartition(":")[2]
    if not call.services.queues.knows(name) or not arn.startswith("arn:aws:sqs:"):
        said = "The resource that you specified for the SourceArn parameter doesn't exist."
        raise AwsError("ResourceNotFoundException", said, 404)
    return call.services.queues.settings(name)

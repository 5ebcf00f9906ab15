"""SQS: sending, receiving, deleting, and how long a message stays hidden; singly and by ten.

Source: Amazon SQS API Reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from wherry.gateway.context import Call
from wherry.gateway.sqs_attributes import asked_for, digest, md5_of
from wherry.gateway.sqs_common import Parameters, legacy, queue_of, required, text, texts, whole
from wherry.local.drafts import LARGEST_MESSAGE, missing, size_of
from wherry.local.queue_records import NewMessage, QueueError, Received, Sent, Settings
from wherry.model import LOCAL_ACCOUNT

MOST_ENTRIES = 10

_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_TEN = "Must be between 1 and 10, if provided."
_WAIT = "Must be >= 0 and <= 20, if provided."
_VISIBILITY = "Must be between 0 and 43200, if provided."
_DELAY = "DelaySeconds must be >= 0 and <= 900."

Outcome = QueueError | None


def send_message(call: Call, given: Parameters) -> Parameters:
    """SendMessage: on disk when it is answered."""
    settings = queue_of(call, given)
    call.services.guard.may_send(call.caller, settings.name)
    message = _draft(call, given)
    (sent,) = call.services.queues.send(settings.name, [message])
    return _sent(settings, message, sent)


def send_message_batch(call: Call, given: Parameters) -> Parameters:
    """SendMessageBatch: each entry is taken or refused by itself; all that are taken in one transaction."""
    settings = queue_of(call, given)
    call.services.guard.may_send(call.caller, settings.name)
    queues = call.services.queues
    entries = _entries(given, "SendMessageBatchRequestEntry")
    drafts: dict[str, NewMessage] = {}
    failed, size = [], 0
    for entry in entries:
        try:
            draft = _draft(call, entry)
            size += size_of(draft)
            queues.check(settings.name, draft)
            drafts[entry["Id"]] = draft
        except QueueError as error:
            failed.append(_failure(entry["Id"], error))
    if size > LARGEST_MESSAGE:
        raise QueueError(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {LARGEST_MESSAGE} bytes. You have sent {size} bytes.",
        )
    sent = queues.send_checked(settings.name, list(drafts.values())) if drafts else []
    successful = [
        {"Id": entry_id, **_sent(settings, draft, one)}
        for (entry_id, draft), one in zip(drafts.items(), sent, strict=True)
    ]
    return _batch_answer(successful, failed)


def receive_message(call: Call, given: Parameters) -> Parameters:
    """ReceiveMessage."""
    settings = queue_of(call, given)
    call.services.guard.may_take(call.caller, settings.name)
    most = whole(given, "MaxNumberOfMessages", _TEN, (1, 10))
    visibility = whole(given, "VisibilityTimeout", _VISIBILITY, (0, 43_200))
    wait = whole(given, "WaitTimeSeconds", _WAIT, (0, 20))
    system = {*texts(given, "AttributeNames"), *texts(given, "MessageSystemAttributeNames")}
    wanted = texts(given, "MessageAttributeNames")
    received = call.services.queues.receive(
        settings.name,
        most or 1,
        visibility=None if visibility is None else timedelta(seconds=visibility),
        wait=settings.wait if wait is None else timedelta(seconds=wait),
        receiver=call.caller.run_id or "",
        wanted=call.request.body.is_client_there,
    )
    if not received:
        return {}
    return {"Messages": [_message(call, message, system, wanted) for message in received]}


def delete_message(call: Call, given: Parameters) -> Parameters:
    """DeleteMessage."""
    settings = _taken(call, given, [given])
    handle = required(given, "ReceiptHandle")
    _raise(call.services.queues.delete(settings.name, [handle]))
    return {}


def delete_message_batch(call: Call, given: Parameters) -> Parameters:
    """DeleteMessageBatch."""
    entries = _entries(given, "DeleteMessageBatchRequestEntry")
    settings = _taken(call, given, entries)
    return _each(entries, _handle, partial(call.services.queues.delete, settings.name))


def change_visibility(call: Call, given: Parameters) -> Parameters:
    """ChangeMessageVisibility."""
    settings = _taken(call, given, [given])
    _raise(call.services.queues.change_visibility(settings.name, [_change(given)]))
    return {}


def change_visibility_batch(call: Call, given: Parameters) -> Parameters:
    """ChangeMessageVisibilityBatch."""
    entries = _entries(given, "ChangeMessageVisibilityBatchRequestEntry")
    settings = _taken(call, given, entries)
    return _each(entries, _change, partial(call.services.queues.change_visibility, settings.name))


def _taken(call: Call, given: Parameters, entries: Sequence[Parameters]) -> Settings:
    settings = queue_of(call, given)
    handles = [text(entry, "ReceiptHandle") for entry in entries]
    has_them = partial(call.services.queues.has_received, call.caller.run_id or "", handles)
    call.services.guard.may_take(call.caller, settings.name, has_them)
    return settings


def _draft(call: Call, given: Parameters) -> NewMessage:
    body = given.get("MessageBody")
    if body is None:
        raise missing("MessageBody")
    delay = whole(given, "DelaySeconds", _DELAY, (0, 900))
    system = given.get("MessageSystemAttributes") or {}
    return NewMessage(
        body=text(given, "MessageBody"),
        group=text(given, "MessageGroupId"),
        deduplication_id=text(given, "MessageDeduplicationId"),
        delay=None if delay is None else timedelta(seconds=delay),
        attributes=_attributes(given.get("MessageAttributes")),
        sender=call.caller.user_id,
        trace=_attributes(system).get("AWSTraceHeader", {}).get("StringValue", ""),
    )


def _attributes(given: Any) -> dict[str, dict[str, str]]:
    """Attributes as they are kept; raises QueueError for what has not their shape."""
    if not given:
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, dict) for value in given.values()):
        raise QueueError("InvalidParameterValueException", "MessageAttributes must be a map of structures.")
    return {
        name: {
            key: text(value, key) for key in ("DataType", "StringValue", "BinaryValue") if value.get(key) is not None
        }
        for name, value in given.items()
    }


def _sent(settings: Settings, message: NewMessage, sent: Sent) -> Parameters:
    answer = {"MD5OfMessageBody": md5_of(message.body), "MessageId": sent.id}
    if message.attributes:
        answer["MD5OfMessageAttributes"] = digest(message.attributes)
    if message.trace:
        trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": message.trace}}
        answer["MD5OfMessageSystemAttributes"] = digest(trace)
    if settings.is_fifo:
        answer["SequenceNumber"] = sent.sequence_number
    return answer


def _message(call: Call, message: Received, system: set[str], wanted: Sequence[str]) -> Parameters:
    answer: Parameters = {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "MD5OfBody": md5_of(message.body),
        "Body": message.body,
    }
    if system:
        known = message.system_attributes(call.services.region, LOCAL_ACCOUNT)
        chosen = known if "All" in system else {name: value for name, value in known.items() if name in system}
        if chosen:
            answer["Attributes"] = chosen
    attributes = asked_for(message.attributes, wanted)
    if attributes:
        answer["MessageAttributes"] = attributes
        answer["MD5OfMessageAttributes"] = digest(attributes)
    return answer


# ------------------------------------------------------------------------------------------------------- batches


def _entries(given: Parameters, kind: str) -> list[Parameters]:
    """The entries of a batch; raises QueueError for a batch that is refused as a whole."""
    entries = given.get("Entries")
    if not entries:
        raise QueueError("EmptyBatchRequest", f"There should be at least one {kind} in the request.")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise QueueError("InvalidParameterValueException", "Entries must be a list of structures.")
    if len(entries) > MOST_ENTRIES:
        raise QueueError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {MOST_ENTRIES}. You have sent {len(entries)}.",
        )
    seen = set()
    for entry in entries:
        entry_id = required(entry, "Id")
        if not _ENTRY_ID.fullmatch(entry_id):
            raise QueueError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most "
                "80 letters long.",
            )
        if entry_id in seen:
            raise QueueError("BatchEntryIdsNotDistinct", f"Id {entry_id} repeated.")
        seen.add(entry_id)
    return entries


def _each(
    entries: Sequence[Parameters],
    understand: Callable[[Parameters], Any],
    work: Callable[[list[Any]], Sequence[Outcome]],
) -> Parameters:
    """Do the work for all entries that can be understood, in one transaction."""
    understood: dict[str, Any] = {}
    successful, failed = [], []
    for entry in entries:
        try:
            understood[entry["Id"]] = understand(entry)
        except QueueError as error:
            failed.append(_failure(entry["Id"], error))
    outcomes = work(list(understood.values())) if understood else []
    for entry_id, outcome in zip(understood, outcomes, strict=True):
        if outcome is None:
            successful.append({"Id": entry_id})
        else:
            failed.append(_failure(entry_id, outcome))
    return _batch_answer(successful, failed)


def _handle(given: Parameters) -> str:
    return required(given, "ReceiptHandle")


def _change(given: Parameters) -> tuple[str, timedelta]:
    seconds = whole(given, "VisibilityTimeout", _VISIBILITY, (0, 43_200))
    if seconds is None:
        raise missing("VisibilityTimeout")
    return _handle(given), timedelta(seconds=seconds)


def _batch_answer(successful: list[Parameters], failed: list[Parameters]) -> Parameters:
    return {"Successful": successful, "Failed": failed} if failed else {"Successful": successful}


def _failure(entry_id: str, error: QueueError) -> Parameters:
    return {"Id": entry_id, "SenderFault": True, "Code": legacy(error.code), "Message": error.message}


def _raise(outcomes: Sequence[Outcome]) -> None:
    for error in outcomes:
        if error is not None:
            raise error

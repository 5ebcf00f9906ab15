"""What a message is to a job, and what becomes of it: pure, the same here and in the worker on ECS.

This module goes into images together with that worker: it imports the standard library alone, and keeps to what
Python 3.9 understands. A message here is what SQS's ReceiveMessage gives, as a dictionary: `MessageId`, `Body`,
`Attributes`, `MessageAttributes`.

Sources: S3 User Guide, "Event message structure"; EventBridge User Guide, "Amazon S3 events".
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

#: What events that wherry makes of messages say of themselves.
SOURCE = "wherry.queue"
ONE = "Queue Message"
MANY = "Queue Messages"

#: The variable in which a command that polls by itself finds its queue's URL.
QUEUE_URL = "QUEUE_URL"
#: Ids of runs whose cause is known in advance: this many hexadecimal digits of a SHA-256.
RUN_ID_LENGTH = 26
#: What the causes of runs begin with that work on messages.
_CAUSE = "queue:"

#: Why an object is there, as EventBridge says it -> the name of the event in S3's own notifications.
_NAMES = {
    "PutObject": "ObjectCreated:Put",
    "POST Object": "ObjectCreated:Post",
    "CopyObject": "ObjectCreated:Copy",
    "CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
}

#: The wait before a failed message comes back, where the job does not say (`retry: {backoff}`).
BACKOFF = timedelta(seconds=1)
LONGEST_BACKOFF = timedelta(minutes=15)


#: The characters of a JSON text that no message's body may have (SQS API Reference, SendMessage).
_REFUSED = re.compile("[\ud800-\udfff\ufffe\uffff]")
#: An escape that may be half a character.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
#: Levels of a body in an event: what many parsers go to (Ruby's: 100), and far less than where Python's gives up.
_DEEPEST = 100

#: What a file's name may be long, in bytes (Linux), less what a copy beside it may need; and what counts as a suffix.
_LONGEST_NAME = 200
_LONGEST_SUFFIX = 20


class ObjectName(NamedTuple):
    """The object that a message tells of."""

    bucket: str
    #: Decoded.
    key: str


def is_test(body: str) -> bool:
    """True for the message that S3 sends when its notifications are switched on: there is nothing to do."""
    document = _document(body)
    return document is not None and document.get("Event") == "s3:TestEvent" and "Records" not in document


def object_of(body: str) -> ObjectName | None:
    """The object that a body tells of, by EventBridge or by an S3 event notification; None for any other body."""
    document = _document(body)
    return None if document is None else object_in(document)


def object_in(document: Mapping[str, Any]) -> ObjectName | None:
    """The same of a body, or an event, that is understood already."""
    if document.get("source") == "aws.s3" and document.get("detail-type") == "Object Created":
        return _named(document.get("detail"), decoded=True)
    record = _record_in(document)
    return None if record is None else _named(record.get("s3"), decoded=False)


def event_of(
    messages: Sequence[Mapping[str, Any]], *, queue: str, now: datetime, batch: bool = False
) -> dict[str, Any]:
    """The event of a run that takes these messages.

    A single message whose body is an event is that event; a single S3 notification becomes the EventBridge event of the
    same upload, so that `${event.detail.object.key}` is the key however it came. Anything else is the detail of an
    event of wherry's own: `detail.body` (parsed where it is JSON) of one message, `detail.messages` of a batch. JSON
    that not every command could be given, with half a character or more than 100 levels, stays the text that it is.
    `batch`: the job takes batches, so that one message alone is a batch as well, and chance decides no event's shape.
    """
    if len(messages) == 1 and not batch:
        told = _told(messages[0], now)
        if told is not None:
            return told
        detail = {"queue": queue, **_as_detail(messages[0])}
        return _event(ONE, detail, str(messages[0]["MessageId"]), now)
    details = [_as_detail(message) for message in messages]
    return _event(MANY, {"queue": queue, "messages": details}, str(messages[0]["MessageId"]), now)


def cause_of(queue: str, message_id: str) -> str:
    """What makes a message the same message again: a job has one run of it, however often it is received."""
    return f"{_CAUSE}{queue}/{message_id}"


def queue_of(cause: str) -> str | None:
    """The queue whose message a run of this cause works on; None for the causes of all other runs."""
    return cause[len(_CAUSE) :].partition("/")[0] if cause.startswith(_CAUSE) else None


def notification_of(event: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """The S3 event notification of the upload that an EventBridge event tells of; `name`: of the configuration."""
    from urllib.parse import quote_plus  # 2 ms, which `wherry runs` need not pay

    detail = event["detail"]
    bucket, about = detail["bucket"]["name"], detail["object"]
    told: dict[str, Any] = {"key": quote_plus(about["key"], safe="/")}
    for ours, theirs in (("size", "size"), ("etag", "eTag"), ("version-id", "versionId")):
        if ours in about:
            told[theirs] = about[ours]
    if "sequencer" in about:
        told["sequencer"] = str(about["sequencer"]).upper()
    who = {"principalId": str(detail.get("requester", ""))}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": event["region"],
        "eventTime": f"{str(event['time']).rstrip('Z')}.000Z",  # S3 writes milliseconds, EventBridge does not tell them
        "eventName": _NAMES.get(str(detail.get("reason")), _NAMES["PutObject"]),
        "userIdentity": who,
        "requestParameters": {"sourceIPAddress": detail.get("source-ip-address", "")},
        "responseElements": {"x-amz-request-id": detail.get("request-id", ""), "x-amz-id-2": ""},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": name,
            "bucket": {"name": bucket, "ownerIdentity": who, "arn": f"arn:aws:s3:::{bucket}"},
            "object": told,
        },
    }
    return {"Records": [record]}


def body_of(document: Mapping[str, Any]) -> str:
    """A document as the body of a message: compact JSON; with escapes where SQS does not take a character as it is."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(document, separators=(",", ":")) if _REFUSED.search(text) else text


def test_of(bucket: str, *, request_id: str, now: datetime) -> dict[str, Any]:
    """The message that S3 sends when a bucket's notifications are switched on; `is_test` knows it again."""
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "Bucket": bucket,
        "RequestId": request_id,
        "HostId": "",
    }


def file_name(named: ObjectName) -> str:
    """What a copy of an object is called: the last part of its key, without what no shell and no file system likes."""
    name = re.sub(r"[^\w.+=@,-]", "_", named.key.rpartition("/")[2])
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > _LONGEST_SUFFIX:
        stem, dot, suffix = name, "", ""
    while len(f"{stem}{dot}{suffix}".encode()) > _LONGEST_NAME:
        stem = stem[:-1]
    return f"{stem}{dot}{suffix}" if name.strip(".") else "object"


def lines_of(messages: Sequence[Mapping[str, Any]], files: Mapping[str, str]) -> str:
    """The file of a batch: a line of JSON for each message; `files`: the copies of objects, by message id."""
    lines = []
    for message in messages:
        line = _as_detail(message)
        if message["MessageId"] in files:
            line["file"] = files[message["MessageId"]]
        lines.append(json.dumps(line, separators=(",", ":")) + "\n")
    return "".join(lines)


def run_id_of(job: str, cause: str) -> str:
    """The id of the one run that a job on AWS has of a cause; the dispatcher there computes the same."""
    return hashlib.sha256(f"{job} {cause}".encode()).hexdigest()[:RUN_ID_LENGTH]


def backoff_of(receives: int, *, first: timedelta = BACKOFF, factor: float = 2.0) -> timedelta:
    """How long a message stays away after it has failed for the `receives`th time."""
    wait = min(first.total_seconds(), LONGEST_BACKOFF.total_seconds())
    for _ in range(receives - 1):
        wait = min(wait * factor, LONGEST_BACKOFF.total_seconds())
    return timedelta(seconds=wait)


def _document(body: str) -> dict[str, Any] | None:
    try:
        document = _parsed(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _parsed(body: str) -> Any:
    """What a body says; raises ValueError where it is no JSON, and for JSON that no event should hold."""
    try:
        value = json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("too deep") from None
    if body.count("[") + body.count("{") > _DEEPEST and _is_deep(value):
        raise ValueError("too deep")
    if _HALF.search(body):
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    return value


def _is_deep(value: Any) -> bool:
    """More than `_DEEPEST` levels; looked at level by level, since a stack has its end as well."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [item for each in level for item in _within(each) if isinstance(item, (dict, list))]
    return bool(level)


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _record_in(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The record of an S3 event notification that tells of one upload; None in any other document."""
    records = document.get("Records")
    if not (isinstance(records, list) and len(records) == 1 and isinstance(records[0], dict)):
        return None
    record: dict[str, Any] = records[0]
    created = str(record.get("eventName")).startswith("ObjectCreated:")
    return record if record.get("eventSource") == "aws:s3" and created else None


def _named(told: Any, *, decoded: bool) -> ObjectName | None:
    try:
        bucket, key = told["bucket"]["name"], told["object"]["key"]
    except (KeyError, TypeError):
        return None
    if not (isinstance(bucket, str) and isinstance(key, str)):
        return None
    if decoded:
        return ObjectName(bucket, key)
    from urllib.parse import unquote_plus

    return ObjectName(bucket, unquote_plus(key))


def _told(message: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    """The event that a body is, or tells of as an S3 notification; None when it is neither."""
    document = _document(message["Body"])
    if document is None:
        return None
    if _is_event(document):
        return document
    record = _record_in(document)
    named = None if record is None else _named(record.get("s3"), decoded=False)
    if record is None or named is None:
        return None
    told = record["s3"]["object"]
    detail: dict[str, Any] = {"version": "0", "bucket": {"name": named.bucket}, "object": {"key": named.key}}
    for theirs, ours in (("size", "size"), ("eTag", "etag"), ("versionId", "version-id")):
        if theirs in told:
            detail["object"][ours] = told[theirs]
    if "sequencer" in told:
        detail["object"]["sequencer"] = str(told["sequencer"]).lower()
    event = _event("Object Created", detail, str(message["MessageId"]), now)
    event["source"] = "aws.s3"
    event["region"] = record.get("awsRegion", "")
    event["resources"] = [f"arn:aws:s3:::{named.bucket}"]
    return event


def _is_event(document: Mapping[str, Any]) -> bool:
    texts = [document.get(name) for name in ("id", "source", "detail-type", "time")]
    return all(isinstance(text, str) and text for text in texts) and isinstance(document.get("detail"), dict)


def _as_detail(message: Mapping[str, Any]) -> dict[str, Any]:
    body: Any = message["Body"]
    with contextlib.suppress(ValueError):
        body = _parsed(body)
    given = message.get("MessageAttributes") or {}
    attributes = {name: value["StringValue"] for name, value in given.items() if "StringValue" in value}
    return {"message-id": message["MessageId"], "body": body, "attributes": attributes}


def _refuse(constant: str) -> None:
    """Python's parser takes NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


def _event(detail_type: str, detail: dict[str, Any], event_id: str, now: datetime) -> dict[str, Any]:
    return {
        "version": "0",
        "id": event_id,
        "detail-type": detail_type,
        "source": SOURCE,
        "account": "",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "",
        "resources": [],
        "detail": detail,
    }

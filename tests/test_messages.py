"""What a message is to a job, and what S3 would say: pure."""

import json
import re
from datetime import UTC, datetime
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry import causes, messages
from wherry.messages import ObjectName
from wherry.model import Bucket, Feed, JobFile, Queue

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: What SQS takes in a body (API Reference, SendMessage).
TAKEN = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")

keys = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60)


def uploaded(key, **more):
    about = {"key": key, "size": 5, "etag": "5d41", "sequencer": "0055aed6dcd90281e5", **more}
    detail = {"version": "0", "bucket": {"name": "b"}, "object": about, "reason": "PutObject", "requester": "1"}
    return {
        "version": "0",
        "id": "1",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "1",
        "time": "2026-03-01T12:00:00Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:s3:::b"],
        "detail": detail,
    }


def message(body, number=1, **attributes):
    given = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    return {"MessageId": f"m{number}", "Body": body, "MessageAttributes": given}


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        ("in/2024-01-01/x.csv", "in/2024-01-01/x.csv"),
        ("a@b", "a%40b"),
        ("my file.csv", "my+file.csv"),
        ("a+b", "a%2Bb"),
        ("été.csv", "%C3%A9t%C3%A9.csv"),
    ],
)
def test_keys_of_notifications_are_encoded_as_s3_does(key, encoded):
    record = messages.notification_of(uploaded(key), name="q")["Records"][0]
    assert record["s3"]["object"]["key"] == encoded


def test_a_notification_is_what_s3_documents():
    record = messages.notification_of(uploaded("k", **{"version-id": "v1"}), name="q")["Records"][0]
    assert record["eventVersion"] == "2.1"
    assert record["eventTime"] == "2026-03-01T12:00:00.000Z"
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["s3"]["object"] == {
        "key": "k",
        "size": 5,
        "eTag": "5d41",
        "versionId": "v1",
        "sequencer": "0055AED6DCD90281E5",
    }


_UPLOAD = {"bucket": {"name": "b"}, "object": {"key": "k"}}
_OF_S3 = {"source": "aws.s3", "detail-type": "Object Created"}


@pytest.mark.parametrize(
    "document",
    [
        {**_OF_S3, "detail": _UPLOAD},
        {**_OF_S3, "detail": _UPLOAD, "Records": 5},
        {**_OF_S3, "detail": 5, "Records": []},
        {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": _UPLOAD}] * 2},
        {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}}}]},
        {"Records": [{"eventSource": "aws:s3", "eventName": ["ObjectCreated:Put"], "s3": _UPLOAD}]},
        {"Records": [None]},
    ],
    ids=str,
)
def test_what_only_looks_like_an_upload_is_a_body_like_any_other(document):
    event = messages.event_of([message(json.dumps(document))], queue="q", now=NOW)
    assert (event["source"], event["detail"]["body"]) == ("wherry.queue", document)


@given(keys)
def test_a_notification_tells_of_the_same_object_as_its_event(key):
    event = uploaded(key)
    body = messages.body_of(messages.notification_of(event, name="q"))
    assert messages.object_of(body) == messages.object_of(messages.body_of(event)) == ObjectName("b", key)
    assert unquote_plus(json.loads(body)["Records"][0]["s3"]["object"]["key"]) == key
    again = messages.event_of([message(body)], queue="q", now=NOW)
    assert again["detail"]["object"] == event["detail"]["object"]


def test_the_test_message_is_known():
    body = messages.body_of(messages.test_of("b", request_id="R", now=NOW))
    assert messages.is_test(body)
    assert messages.object_of(body) is None
    assert not messages.is_test(messages.body_of(uploaded("k")))


def nested(levels):
    return "[" * levels + "]" * levels


ODD = [
    r'{"a": "\ud800"}',
    r'{"\uDFFF": 1}',
    r'"\ude00\ud83d"',
    nested(101),
    nested(992),
    nested(100_000),
    '{"a":' * 101 + "1" + "}" * 101,
    '{"a": NaN}',
]


@pytest.mark.parametrize("body", ODD, ids=lambda body: body[:20])
def test_json_that_no_command_could_be_given_is_text(body):
    for batch in (False, True):
        event = messages.event_of([message(body)], queue="q", now=NOW, batch=batch)
        detail = event["detail"]["messages"][0] if batch else event["detail"]
        assert detail["body"] == body
        json.dumps(event, ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(messages.lines_of([message(body)], {}))["body"] == body


@pytest.mark.parametrize("body", [r'{"a": "\ud83d\ude00"}', r'"\\ud800"', nested(100), f"[{nested(99)}, {nested(9)}]"])
def test_json_that_only_looks_odd_is_parsed(body):
    event = messages.event_of([message(body)], queue="q", now=NOW)
    assert event["detail"]["body"] == json.loads(body)


@pytest.mark.parametrize("key", [r"\ud800", nested(101)], ids=["half", "deep"])
def test_an_event_that_no_command_could_be_given_is_a_body_like_any_other(key):
    body = json.dumps(uploaded("KEY")).replace('"KEY"', key if key.startswith("[") else f'"{key}"')
    event = messages.event_of([message(body)], queue="q", now=NOW)
    assert (event["source"], event["detail"]["body"]) == (messages.SOURCE, body)
    assert messages.object_of(body) is None


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_a_body_is_the_document_in_characters_that_sqs_takes(document):
    body = messages.body_of(document)
    assert json.loads(body) == document
    assert TAKEN.fullmatch(body)


@given(keys)
def test_a_files_name_is_safe_and_keeps_its_ending(key):
    name = messages.file_name(ObjectName("b", key))
    assert re.fullmatch(r"[\w.+=@,-]+", name)
    assert name not in (".", "..")
    assert len(name.encode()) <= 200


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a/b/map.geojson", "map.geojson"),
        ("Grüße & Küsse.csv", "Grüße___Küsse.csv"),
        ("a/$(rm -rf).sh", "__rm_-rf_.sh"),
        ("folder/", "object"),
        ("a/..", "object"),
        (".hidden", ".hidden"),
        ("x" * 300 + ".csv", "x" * 196 + ".csv"),
        ("ü" * 300, "ü" * 100),
    ],
)
def test_what_files_are_called(key, name):
    assert messages.file_name(ObjectName("b", key)) == name


def test_a_batch_has_one_shape_however_many_came():
    for count in (1, 3):
        several = [message(str(number), number) for number in range(count)]
        event = messages.event_of(several, queue="q", now=NOW, batch=True)
        assert event["detail-type"] == messages.MANY
        assert [one["body"] for one in event["detail"]["messages"]] == list(range(count))


def test_the_lines_of_a_batch():
    several = [message("plain\ntext", 1, who="me"), message('{"n": 1}', 2)]
    lines = messages.lines_of(several, {"m2": "/there/x.csv"}).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"message-id": "m1", "body": "plain\ntext", "attributes": {"who": "me"}},
        {"message-id": "m2", "body": {"n": 1}, "attributes": {}, "file": "/there/x.csv"},
    ]


def test_the_cause_of_a_message_names_its_queue():
    assert messages.queue_of(messages.cause_of("steps.fifo", "1-2")) == "steps.fifo"
    assert messages.queue_of("upload:queue/x") is None


def test_feeds_are_the_patterns_of_triggers():
    jobfile = JobFile(
        path="/wherry.yaml",
        app="a",
        buckets={"b": Bucket(name="b", existing="theirs")},
        queues={
            "u": Queue(name="u", feed=Feed(bucket="b", prefix="in/", suffix=".csv")),
            "e": Queue(name="e", feed=Feed(pattern={"source": ["shop"]})),
            "n": Queue(name="n"),
        },
    )
    detail = {"bucket": {"name": ["theirs"]}, "object": {"key": [{"wildcard": "in/*.csv"}]}}
    assert dict(causes.feeds_of(jobfile, lambda bucket: bucket.local_name)) == {
        "u": {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail},
        "e": {"source": ["shop"]},
    }

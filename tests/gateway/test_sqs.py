"""SQS as its clients see it: boto3, the AWS CLI, and forms as clients before the end of 2023 sent them."""

import contextlib
import json
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from tests.conftest import wait_for
from tests.gateway.conftest import sqs_of

ACCOUNT = "000000000000"
NAMES = ("plain", "quick", "ordered.fifo", "named.fifo")


def letters(name: str) -> str:
    return name.replace(".fifo", "") + "-dead-letters" + (".fifo" if name.endswith(".fifo") else "")


@pytest.fixture
def sqs(client, engine):
    """A client, and no message anywhere."""
    # Purging is for once a minute.
    with contextlib.closing(sqlite3.connect(engine.folder / ".wherry" / "wherry.db", timeout=30)) as store, store:
        store.execute("delete from messages")
    return client("sqs")


@pytest.fixture
def url(engine):
    return lambda name: f"{engine.variables['AWS_ENDPOINT_URL']}/{ACCOUNT}/{name}"


def error_of(function, **arguments) -> tuple[str, str, str]:
    """The error under both of its names, and what it says."""
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error.get("QueryErrorCode", error["Code"]), error["Message"]


# ------------------------------------------------------------------------------------------------- messages


def test_a_message_goes_round(sqs, url):
    sent = sqs.send_message(QueueUrl=url("plain"), MessageBody="test")
    assert sent["MD5OfMessageBody"] == "098f6bcd4621d373cade4e832627b4f6"
    (message,) = sqs.receive_message(QueueUrl=url("plain"))["Messages"]
    assert {*message} == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "test")
    assert "Messages" not in sqs.receive_message(QueueUrl=url("plain"))
    sqs.change_message_visibility(QueueUrl=url("plain"), ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = sqs.receive_message(QueueUrl=url("plain"), MessageSystemAttributeNames=["All"])["Messages"]
    attributes = again["Attributes"]
    assert attributes["ApproximateReceiveCount"] == "2"
    assert attributes["SenderId"] == "AIDAWHERRY"
    assert abs(int(attributes["SentTimestamp"]) / 1000 - time.time()) < 30
    sqs.delete_message(QueueUrl=url("plain"), ReceiptHandle=again["ReceiptHandle"])
    sqs.delete_message(QueueUrl=url("plain"), ReceiptHandle=message["ReceiptHandle"])


#: Attributes -> the digest that SQS gives them.
DIGESTS = [
    ({"Foo": "Bar"}, "ae7155c6026991b6d54b11589678bf9c"),
    ({"Hello": "There"}, "a311262e065454b75da111d535b8dacd"),
    ({"General": "Kenobi", "Hello": "There"}, "fca026605781cb4126a1e9044df24232"),
    ({"Hello": "There", "Help.Me": "Me"}, "83fee93c1bcd8b9a5a923ffacdc636c7"),
    ({"General": "Kenobi", "Hello": "There", "Help.Me": "Me"}, "4c360f3fdafd970e05fae2f149d997f5"),
    ({"MyAttribute": "foobar"}, "adb59cd4678ea5a855436b949cd07ab6"),
    (
        {"attr1": b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"},
        "8cbe4db156db8a94db8b801b7addb984",
    ),
    ({"n": 1}, "ef88bdc4583394a9f2bcdc6a6f0ccbfe"),
    ({"b": b"\0\1"}, "973749046908c117819a7d5e12dac587"),
]


def typed(value):
    if isinstance(value, bytes):
        return {"DataType": "Binary", "BinaryValue": value}
    return {"DataType": "Number" if isinstance(value, int) else "String", "StringValue": str(value)}


@pytest.mark.parametrize(("attributes", "digest"), DIGESTS)
def test_attributes_come_back_with_the_digest_that_sqs_gives_them(sqs, url, attributes, digest):
    given = {name: typed(value) for name, value in attributes.items()}
    sent = sqs.send_message(QueueUrl=url("plain"), MessageBody="foobar", MessageAttributes=given)
    assert sent["MD5OfMessageBody"] == "3858f62230ac3c915f300c664312c63f"
    assert sent["MD5OfMessageAttributes"] == digest
    (message,) = sqs.receive_message(QueueUrl=url("plain"), MessageAttributeNames=["All"])["Messages"]
    assert (message["MessageAttributes"], message["MD5OfMessageAttributes"]) == (given, digest)


@pytest.mark.parametrize(
    ("asked", "names", "digest"),
    [
        (["Hello", "Help.Me"], {"Hello", "Help.Me"}, "83fee93c1bcd8b9a5a923ffacdc636c7"),
        (["Help.*"], {"Help.Me"}, None),
        ([".*"], {"General", "Hello", "Help.Me"}, "4c360f3fdafd970e05fae2f149d997f5"),
        (["Nothing"], set(), None),
        ([], set(), None),
    ],
)
def test_only_the_attributes_that_are_asked_for_come_and_are_digested(sqs, url, asked, names, digest):
    given = {name: typed(value) for name, value in {"General": "Kenobi", "Hello": "There", "Help.Me": "Me"}.items()}
    sqs.send_message(QueueUrl=url("plain"), MessageBody="x", MessageAttributes=given)
    (message,) = sqs.receive_message(QueueUrl=url("plain"), MessageAttributeNames=asked)["Messages"]
    assert {*message.get("MessageAttributes", {})} == names
    if digest:
        assert message["MD5OfMessageAttributes"] == digest


def test_only_the_system_attributes_that_are_asked_for_come(sqs, url):
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793"
    sent = sqs.send_message(
        QueueUrl=url("plain"),
        MessageBody="x",
        MessageGroupId="tenant",
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": trace}},
    )
    assert len(sent["MD5OfMessageSystemAttributes"]) == 32
    names = ["AWSTraceHeader", "MessageGroupId", "SequenceNumber"]
    (message,) = sqs.receive_message(QueueUrl=url("plain"), AttributeNames=names)["Messages"]
    assert message["Attributes"] == {"AWSTraceHeader": trace, "MessageGroupId": "tenant"}


def test_ten_at_once(sqs, url):
    entries = [{"Id": f"e{n}", "MessageBody": f"m{n}"} for n in range(10)]
    sent = sqs.send_message_batch(QueueUrl=url("plain"), Entries=entries)
    assert [one["Id"] for one in sent["Successful"]] == [f"e{n}" for n in range(10)]
    assert "Failed" not in sent
    messages = sqs.receive_message(QueueUrl=url("plain"), MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in messages) == [f"m{n}" for n in range(10)]
    changes = [
        {"Id": str(n), "ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": 0} for n, one in enumerate(messages)
    ]
    assert len(sqs.change_message_visibility_batch(QueueUrl=url("plain"), Entries=changes)["Successful"]) == 10
    messages = sqs.receive_message(QueueUrl=url("plain"), MaxNumberOfMessages=10)["Messages"]
    entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
    entries[3]["ReceiptHandle"] = "nonsense"
    gone = sqs.delete_message_batch(QueueUrl=url("plain"), Entries=entries)
    assert len(gone["Successful"]) == 9
    (failure,) = gone["Failed"]
    assert (failure["Id"], failure["Code"], failure["SenderFault"]) == ("3", "ReceiptHandleIsInvalid", True)
    counts = sqs.get_queue_attributes(QueueUrl=url("plain"), AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "1"


def test_a_bad_entry_of_a_batch_does_not_spoil_the_others(sqs, url):
    entries = [
        {"Id": "good", "MessageBody": "x"},
        {"Id": "late", "MessageBody": "x", "DelaySeconds": 901},
        {"Id": "odd", "MessageBody": "x", "MessageAttributes": {"X": {"DataType": "String", "StringValue": ""}}},
    ]
    sent = sqs.send_message_batch(QueueUrl=url("plain"), Entries=entries)
    assert [one["Id"] for one in sent["Successful"]] == ["good"]
    assert [(one["Id"], one["Code"]) for one in sent["Failed"]] == [
        ("late", "InvalidParameterValue"),
        ("odd", "InvalidParameterValue"),
    ]


def test_fifo(sqs, url):
    fifo = url("ordered.fifo")
    unique = str(time.time())
    sent = [
        sqs.send_message(QueueUrl=fifo, MessageBody=f"{unique}-{n}", MessageGroupId="ab"[n % 2])["SequenceNumber"]
        for n in range(4)
    ]
    assert sent == sorted(sent)
    again = sqs.send_message(QueueUrl=fifo, MessageBody=f"{unique}-0", MessageGroupId="a", DelaySeconds=0)
    assert again["SequenceNumber"] == sent[0]
    first = sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=2, AttributeNames=["All"])["Messages"]
    assert [message["Body"] for message in first] == [f"{unique}-0", f"{unique}-1"]
    assert first[0]["Attributes"]["MessageGroupId"] == "a"
    assert first[0]["Attributes"]["SequenceNumber"] == sent[0]
    assert len(first[0]["Attributes"]["MessageDeduplicationId"]) == 64
    assert "Messages" not in sqs.receive_message(QueueUrl=fifo)
    sqs.delete_message(QueueUrl=fifo, ReceiptHandle=first[0]["ReceiptHandle"])
    (third,) = sqs.receive_message(QueueUrl=fifo)["Messages"]
    assert third["Body"] == f"{unique}-2"
    for message in (first[1], third):
        sqs.delete_message(QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"])


def test_a_fifo_receipt_expires(sqs, url):
    sqs.send_message(
        QueueUrl=url("named.fifo"), MessageBody="x", MessageGroupId="g", MessageDeduplicationId=str(time.time_ns())
    )
    (message,) = sqs.receive_message(QueueUrl=url("named.fifo"), VisibilityTimeout=0)["Messages"]
    code, modelled, said = error_of(
        sqs.delete_message, QueueUrl=url("named.fifo"), ReceiptHandle=message["ReceiptHandle"]
    )
    assert (code, modelled) == ("InvalidParameterValue", "InvalidParameterValueException")
    assert said.endswith("for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.")


def test_a_message_that_nobody_deletes_becomes_a_dead_letter_and_is_redriven(sqs, url):
    sent = sqs.send_message(QueueUrl=url("quick"), MessageBody="bad")
    assert len(sqs.receive_message(QueueUrl=url("quick"))["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url("quick"), WaitTimeSeconds=2)
    (letter,) = sqs.receive_message(QueueUrl=url("quick-dead-letters"), AttributeNames=["All"], VisibilityTimeout=0)[
        "Messages"
    ]
    assert letter["MessageId"] == sent["MessageId"]
    assert letter["Attributes"]["ApproximateReceiveCount"] == "2"
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == f"arn:aws:sqs:us-east-1:{ACCOUNT}:quick"
    assert sqs.list_dead_letter_source_queues(QueueUrl=url("quick-dead-letters"))["queueUrls"] == [url("quick")]
    assert sqs.list_dead_letter_source_queues(QueueUrl=url("quick"))["queueUrls"] == []
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:quick-dead-letters"
    assert sqs.start_message_move_task(SourceArn=arn)["TaskHandle"]
    (task,) = wait_for(
        lambda: [
            task for task in sqs.list_message_move_tasks(SourceArn=arn)["Results"] if task["Status"] == "COMPLETED"
        ],
        "the move",
    )
    assert (task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (1, 1)
    assert "TaskHandle" not in task
    (again,) = sqs.receive_message(QueueUrl=url("quick"), AttributeNames=["All"])["Messages"]
    assert (again["MessageId"] != sent["MessageId"], again["Attributes"]["ApproximateReceiveCount"]) == (True, "1")


def test_a_slow_move_is_listed_is_alone_and_can_be_stopped(sqs, url):
    entries = [{"Id": str(n), "MessageBody": "x"} for n in range(10)]
    sqs.send_message_batch(QueueUrl=url("plain-dead-letters"), Entries=entries)
    arn, to = (f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}" for name in ("plain-dead-letters", "quick"))
    handle = sqs.start_message_move_task(SourceArn=arn, DestinationArn=to, MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    running = sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]
    assert (running["Status"], running["TaskHandle"], running["DestinationArn"]) == ("RUNNING", handle, to)
    assert "already a task running" in error_of(sqs.start_message_move_task, SourceArn=arn)[2]
    moved = sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    assert moved < 10
    wait_for(lambda: sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]["Status"] == "CANCELLED", "its end")
    assert error_of(sqs.cancel_message_move_task, TaskHandle=handle)[0] == "ResourceNotFoundException"


# ------------------------------------------------------------------------------------------------- errors

ERRORS = [
    ("receive_message", {"MaxNumberOfMessages": 11}, "InvalidParameterValue", "InvalidParameterValueException",
     "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."),
    ("receive_message", {"WaitTimeSeconds": 21}, "InvalidParameterValue", "InvalidParameterValueException",
     "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."),
    ("receive_message", {"WaitTimeSeconds": -1}, "InvalidParameterValue", "InvalidParameterValueException",
     "Value -1 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."),
    ("receive_message", {"VisibilityTimeout": 43_201}, "InvalidParameterValue", "InvalidParameterValueException",
     "Value 43201 for parameter VisibilityTimeout is invalid."),
    ("send_message", {"MessageBody": ""}, "MissingParameter", "MissingRequiredParameterException",
     "The request must contain the parameter MessageBody."),
    ("send_message", {"MessageBody": "x" * 1_048_577}, "InvalidParameterValue", "InvalidParameterValueException",
     "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes."),
    ("send_message", {"MessageBody": "\x01"}, "InvalidMessageContents", "InvalidMessageContents", "Invalid characters"),
    ("send_message", {"MessageBody": "x", "MessageAttributes": {"X": {"DataType": "String", "StringValue": ""}}},
     "InvalidParameterValue", "InvalidParameterValueException",
     "Message (user) attribute 'X' must contain a non-empty value of type 'String'."),
    ("send_message", {"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue",
     "InvalidParameterValueException", "Value 901 for parameter DelaySeconds is invalid."),
    ("send_message_batch", {"Entries": [{"Id": f"{n}", "MessageBody": "x"} for n in range(20)]},
     "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "TooManyEntriesInBatchRequest",
     "Maximum number of entries per request are 10. You have sent 20."),
    ("send_message_batch", {"Entries": []}, "AWS.SimpleQueueService.EmptyBatchRequest", "EmptyBatchRequest",
     "There should be at least one SendMessageBatchRequestEntry in the request."),
    ("send_message_batch", {"Entries": [{"Id": f"{n}", "MessageBody": "x" * 600_000} for n in range(2)]},
     "AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong",
     "Batch requests cannot be longer than 1048576 bytes. You have sent 1200000 bytes."),
    ("send_message_batch", {"Entries": [{"Id": "a b", "MessageBody": "x"}]},
     "AWS.SimpleQueueService.InvalidBatchEntryId", "InvalidBatchEntryId",
     "A batch entry id can only contain alphanumeric characters, hyphens and underscores."),
    ("send_message_batch", {"Entries": [{"Id": "a", "MessageBody": "x"}] * 2},
     "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinct", "Id a repeated."),
    ("delete_message", {"ReceiptHandle": "x"}, "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid",
     'The input receipt handle "x" is not valid.'),
    ("get_queue_attributes", {"AttributeNames": ["FifoQueue"]}, "InvalidAttributeName", "InvalidAttributeName",
     "Unknown Attribute FifoQueue."),
    ("set_queue_attributes", {"Attributes": {"FifoQueue": "true"}}, "InvalidAttributeName", "InvalidAttributeName",
     "Unknown Attribute FifoQueue."),
    ("set_queue_attributes", {"Attributes": {"DelaySeconds": "901"}}, "InvalidAttributeValue", "InvalidAttributeValue",
     "Invalid value for the parameter DelaySeconds."),
    ("set_queue_attributes", {"Attributes": {"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"}},
     "InvalidAttributeName", "InvalidAttributeName", "You can use one type of server-side encryption (SSE) at one time."),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "arguments", "code", "modelled", "said"), ERRORS)
def test_errors_are_those_of_sqs(sqs, url, operation, arguments, code, modelled, said):
    got = error_of(getattr(sqs, operation), QueueUrl=url("plain"), **arguments)
    assert got[:2] == (code, modelled)
    assert got[2].startswith(said)


FIFO_ERRORS = [
    ({}, "MissingParameter", "The request must contain the parameter MessageGroupId."),
    ({"MessageGroupId": "g"}, "InvalidParameterValue",
     "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"),
    ({"MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 2}, "InvalidParameterValue",
     "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type."),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "said"), FIFO_ERRORS)
def test_errors_of_fifo_queues(sqs, url, arguments, code, said):
    got = error_of(sqs.send_message, QueueUrl=url("named.fifo"), MessageBody="x", **arguments)
    assert (got[0], got[2]) == (code, said)


def test_an_unknown_queue_has_its_own_class_of_error(sqs, url):
    for call in (
        lambda: sqs.get_queue_url(QueueName="nope"),
        lambda: sqs.send_message(QueueUrl=url("nope"), MessageBody="x"),
    ):
        with pytest.raises(sqs.exceptions.QueueDoesNotExist, match="The specified queue does not exist") as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"


# ------------------------------------------------------------------------------------------------- queues


def test_queues_are_declared_and_creating_one_again_finds_it(sqs, url):
    assert sqs.create_queue(QueueName="plain")["QueueUrl"] == url("plain")
    assert sqs.create_queue(QueueName="plain", Attributes={"VisibilityTimeout": "30"})["QueueUrl"] == url("plain")
    sqs.create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})
    code, modelled, said = error_of(sqs.create_queue, QueueName="plain", Attributes={"DelaySeconds": "5"})
    assert (code, modelled) == ("QueueAlreadyExists", "QueueNameExists")
    assert said.startswith("A queue already exists with the same name and a different value for attribute DelaySeconds")
    assert "`delay` of queue `plain` (wherry.yaml:" in said
    assert error_of(sqs.create_queue, QueueName="plain", Attributes={"FifoQueue": "true"})[2] == (
        "Unknown Attribute FifoQueue."
    )
    assert error_of(sqs.create_queue, QueueName="new")[2] == (
        "queues are declared in the job file: add `new: {}` to its `queues` (wherry.yaml:24:1), or let clients create "
        "others: add `create_queues: true` to `local` under its `environments` (wherry.yaml:29:1)"
    )
    assert error_of(sqs.create_queue, QueueName="a b")[0] == "InvalidParameterValue"


def test_all_queues_are_listed_in_pages(sqs, url):
    names = sorted((*NAMES, *map(letters, NAMES)))
    assert sqs.list_queues()["QueueUrls"] == [url(name) for name in names]
    assert sqs.list_queues(QueueNamePrefix="qu")["QueueUrls"] == [url("quick"), url("quick-dead-letters")]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="x")
    pages = list(sqs.get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["QueueUrls"]) for page in pages] == [3, 3, 2]
    assert [found for page in pages for found in page["QueueUrls"]] == [url(name) for name in names]


def test_what_a_queue_is_like(sqs, url):
    sqs.send_message(QueueUrl=url("plain"), MessageBody="a")
    sqs.send_message(QueueUrl=url("plain"), MessageBody="b", DelaySeconds=900)
    found = sqs.get_queue_attributes(QueueUrl=url("plain"), AttributeNames=["All"])["Attributes"]
    made, changed = found.pop("CreatedTimestamp"), found.pop("LastModifiedTimestamp")
    assert abs(int(made) - time.time()) < 3600
    assert made == changed
    policy = json.loads(found.pop("RedrivePolicy"))
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:plain"
    assert policy == {"deadLetterTargetArn": f"{arn}-dead-letters", "maxReceiveCount": 3}
    assert found == {
        "ApproximateNumberOfMessages": "1",
        "ApproximateNumberOfMessagesDelayed": "1",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "QueueArn": arn,
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
        "VisibilityTimeout": "30",
    }
    fifo = sqs.get_queue_attributes(QueueUrl=url("named.fifo"), AttributeNames=["FifoQueue", "DeduplicationScope"])
    assert fifo["Attributes"] == {"FifoQueue": "true", "DeduplicationScope": "queue"}
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url("plain"))
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url("plain"))


def test_what_the_job_file_says_clients_cannot_change(sqs, url):
    sqs.set_queue_attributes(QueueUrl=url("plain"), Attributes={"VisibilityTimeout": "30"})
    same = {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:plain-dead-letters", "maxReceiveCount": "3"}
    sqs.set_queue_attributes(QueueUrl=url("plain"), Attributes={"RedrivePolicy": json.dumps(same)})
    code, _, said = error_of(
        sqs.set_queue_attributes, QueueUrl=url("plain"), Attributes={"RedrivePolicy": '{"maxReceiveCount":4}'}
    )
    assert code == "AWS.SimpleQueueService.UnsupportedOperation"
    assert said.startswith(
        "attribute RedrivePolicy cannot be changed here: the job file says it: `max_receives` of queue"
    )
    said = error_of(
        sqs.set_queue_attributes, QueueUrl=url("plain"), Attributes={"ReceiveMessageWaitTimeSeconds": "20"}
    )[2]
    assert said.endswith("the job file has no key for it, and here it is always `0`")


def test_a_purge_and_then_none_for_a_minute(sqs, url):
    sqs.send_message(QueueUrl=url("quick"), MessageBody="x")
    sqs.purge_queue(QueueUrl=url("quick"))
    assert "Messages" not in sqs.receive_message(QueueUrl=url("quick"))
    assert error_of(sqs.purge_queue, QueueUrl=url("quick")) == (
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        "PurgeQueueInProgress",
        "Only one PurgeQueue operation on quick is allowed every 60 seconds.",
    )


def test_what_is_not_here_says_so(sqs, url):
    assert "wherry does not have sqs:UntagQueue" in error_of(sqs.untag_queue, QueueUrl=url("plain"), TagKeys=["x"])[2]


# ------------------------------------------------------------------------------------------------- waiting


def test_a_long_poll_ends_with_the_first_message(sqs, url, engine):
    other = engine.session.client("sqs")
    threading.Timer(0.5, lambda: other.send_message(QueueUrl=url("plain"), MessageBody="late")).start()
    began = time.monotonic()
    (message,) = sqs.receive_message(QueueUrl=url("plain"), WaitTimeSeconds=20)["Messages"]
    assert message["Body"] == "late"
    assert 0.4 < time.monotonic() - began < 10
    other.close()


def test_a_killed_receiver_takes_no_message_with_it(sqs, url, variables):
    polling = subprocess.Popen(
        ["aws", "sqs", "receive-message", "--queue-url", url("plain"), "--wait-time-seconds", "20",
         "--endpoint-url", variables["AWS_ENDPOINT_URL"]],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(2)  # it says nothing while it waits
    polling.kill()
    polling.wait()
    sqs.send_message(QueueUrl=url("plain"), MessageBody="for the next one")
    assert sqs.receive_message(QueueUrl=url("plain"), WaitTimeSeconds=3)["Messages"][0]["Body"] == "for the next one"


# ------------------------------------------------------------------------------------------------- other clients


def test_the_aws_cli(sqs, url, aws, variables):
    def command(*arguments):
        said = aws("sqs", *arguments, "--endpoint-url", variables["AWS_ENDPOINT_URL"], "--output", "json")
        return json.loads(said) if said else {}

    assert command("get-queue-url", "--queue-name", "plain")["QueueUrl"] == url("plain")
    attributes = '{"City":{"DataType":"String","StringValue":"Zürich"}}'
    command("send-message", "--queue-url", url("plain"), "--message-body", "héllo", "--message-attributes", attributes)
    (message,) = command("receive-message", "--queue-url", url("plain"), "--message-attribute-names", "All")["Messages"]
    assert (message["Body"], message["MessageAttributes"]["City"]["StringValue"]) == ("héllo", "Zürich")
    command("delete-message", "--queue-url", url("plain"), "--receipt-handle", message["ReceiptHandle"])


class Forms:
    """A client of the query protocol: signed forms, XML back."""

    def __init__(self, variables) -> None:
        self._variables = variables

    def __call__(self, action, path="/", method="POST", **fields):
        form = urlencode({"Action": action, "Version": "2012-11-05", **fields})
        endpoint = f"{self._variables['AWS_ENDPOINT_URL']}{path}"
        if method == "GET":
            request = AWSRequest("GET", f"{endpoint}?{form}")
        else:
            kind = "application/x-www-form-urlencoded; charset=utf-8"
            request = AWSRequest("POST", endpoint, data=form, headers={"Content-Type": kind})
        credentials = Credentials(self._variables["AWS_ACCESS_KEY_ID"], self._variables["AWS_SECRET_ACCESS_KEY"])
        SigV4Auth(credentials, "sqs", self._variables["AWS_REGION"]).add_auth(request)
        wire = urllib.request.Request(
            request.url, data=form.encode() if method == "POST" else None, headers=dict(request.headers), method=method
        )
        try:
            with urllib.request.urlopen(wire) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        root = ET.fromstring(body)
        for node in root.iter():
            node.tag = node.tag.removeprefix("{http://queue.amazonaws.com/doc/2012-11-05/}")
        return status, root


def test_the_older_protocol(sqs, url, variables):
    call = Forms(variables)
    status, root = call("GetQueueUrl", QueueName="plain")
    assert (status, root.tag, root.findtext("GetQueueUrlResult/QueueUrl")) == (200, "GetQueueUrlResponse", url("plain"))
    assert root.findtext("ResponseMetadata/RequestId")
    path = f"/{ACCOUNT}/plain"
    _, root = call(
        "SendMessage",
        path,
        MessageBody="a & b\r\n<é>",
        **{
            "MessageAttribute.1.Name": "Hello",
            "MessageAttribute.1.Value.DataType": "String",
            "MessageAttribute.1.Value.StringValue": "There",
        },
    )
    assert root.findtext("SendMessageResult/MD5OfMessageAttributes") == "a311262e065454b75da111d535b8dacd"
    _, root = call("ReceiveMessage", path, **{"AttributeName.1": "All", "MessageAttributeName.1": "All"})
    message = root.find("ReceiveMessageResult/Message")
    assert message.findtext("Body") == "a & b\r\n<é>"
    pairs = {node.findtext("Name"): node.findtext("Value") for node in message.findall("Attribute")}
    assert pairs["ApproximateReceiveCount"] == "1"
    attribute = message.find("MessageAttribute")
    assert (attribute.findtext("Name"), attribute.findtext("Value/StringValue")) == ("Hello", "There")
    handle = message.findtext("ReceiptHandle")
    _, root = call(
        "DeleteMessageBatch",
        path,
        **{
            "DeleteMessageBatchRequestEntry.1.Id": "good",
            "DeleteMessageBatchRequestEntry.1.ReceiptHandle": handle,
            "DeleteMessageBatchRequestEntry.2.Id": "bad",
            "DeleteMessageBatchRequestEntry.2.ReceiptHandle": "x",
        },
    )
    result = root.find("DeleteMessageBatchResult")
    assert result.findtext("DeleteMessageBatchResultEntry/Id") == "good"
    failure = result.find("BatchResultErrorEntry")
    assert {node.tag: node.text for node in failure} == {
        "Id": "bad",
        "SenderFault": "true",
        "Code": "ReceiptHandleIsInvalid",
        "Message": 'The input receipt handle "x" is not valid.',
    }
    _, root = call("ReceiveMessage", path, MaxNumberOfMessages="10", WaitTimeSeconds="0")
    assert (root.tag, list(root.find("ReceiveMessageResult"))) == ("ReceiveMessageResponse", [])


def test_a_batch_and_attributes_in_the_older_protocol(sqs, url, variables):
    call = Forms(variables)
    fields = {}
    for n in range(1, 11):
        fields[f"SendMessageBatchRequestEntry.{n}.Id"] = f"e{n}"
        fields[f"SendMessageBatchRequestEntry.{n}.MessageBody"] = f"m{n}"
    _, root = call("SendMessageBatch", QueueUrl=url("plain"), **fields)
    entries = root.findall("SendMessageBatchResult/SendMessageBatchResultEntry")
    assert [entry.findtext("Id") for entry in entries] == [f"e{n}" for n in range(1, 11)]
    _, root = call("GetQueueAttributes", QueueUrl=url("plain"), **{"AttributeName.1": "ApproximateNumberOfMessages"})
    assert root.findtext("GetQueueAttributesResult/Attribute/Value") == "10"
    _, root = call("ListQueues", method="GET", QueueNamePrefix="plain")
    assert [node.text for node in root.findall("ListQueuesResult/QueueUrl")] == [
        url("plain"),
        url("plain-dead-letters"),
    ]
    status, root = call(
        "CreateQueue", QueueName="plain", **{"Attribute.1.Name": "DelaySeconds", "Attribute.1.Value": "1"}
    )
    assert (status, root.findtext("Error/Code")) == (400, "QueueAlreadyExists")


@pytest.mark.parametrize(
    ("action", "fields", "code", "said"),
    [
        ("GetQueueUrl", {"QueueName": "nope"}, "AWS.SimpleQueueService.NonExistentQueue",
         "The specified queue does not exist for this wsdl version."),
        ("SendMessage", {}, "MissingParameter", "The request must contain the parameter MessageBody."),
        ("ReceiveMessage", {"MaxNumberOfMessages": "11"}, "InvalidParameterValue", "Value 11 for parameter"),
        ("ReceiveMessage", {"MaxNumberOfMessages": "many"}, "InvalidParameterValue", "Value many for parameter"),
        ("AddPermission", {}, "NotImplemented", "wherry does not have sqs:AddPermission"),
        ("SendMessage", {"MessageAttribute": "x", "MessageAttribute.1.Name": "y"}, "MalformedInput", "the field"),
    ],
)  # fmt: skip
def test_errors_of_the_older_protocol(variables, action, fields, code, said):
    status, root = Forms(variables)(action, f"/{ACCOUNT}/plain", **fields)
    assert status >= 400
    assert (root.tag, root.findtext("Error/Type")) == ("ErrorResponse", "Sender" if status < 500 else "Receiver")
    assert root.findtext("Error/Code") == code
    assert root.findtext("Error/Message").startswith(said)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"QueueUrl": 5}',
        b'{"QueueUrl": "http://[", "MessageBody": "x"}',
        b'{"QueueUrl": "\\ud800", "MessageBody": "x"}',
        b'{"QueueUrl": "x", "MessageBody": 7}',
        b'{"MessageBody": "\\ud800"}',
        b'{"MessageBody": "x", "MessageAttributes": [1]}',
        b'{"MessageBody": "x", "MessageAttributes": {"a": {"DataType": 1}}}',
        b'{"MessageBody": "x", "DelaySeconds": true}',
        b'{"MessageBody": "x", "DelaySeconds": 1e400}',
    ],
)
def test_bodies_that_no_sdk_sends_are_the_clients_mistake(variables, body):
    endpoint = f"{variables['AWS_ENDPOINT_URL']}/{ACCOUNT}/plain"
    headers = {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", endpoint, data=body, headers=headers)
    credentials = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(credentials, "sqs", "us-east-1").add_auth(request)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(endpoint, data=body, headers=dict(request.headers)))
    assert caught.value.code == 400
    assert json.loads(caught.value.read())["__type"]
    caught.value.close()


# ------------------------------------------------------------------------------------------------- death

KILLED = """\
app: killed
queues: {work: {visibility: 1s, max_receives: 100}}
jobs: {a: {command: "true"}}
"""


def test_what_was_acknowledged_is_there_after_the_engine_was_killed(project):
    project.jobfile(KILLED)
    acknowledged = []
    for _ in range(3):
        engine = project.up()
        sqs = sqs_of(project)
        work = sqs.get_queue_url(QueueName="work")["QueueUrl"]
        threading.Timer(0.3, engine.kill).start()
        try:
            while True:
                body = f"m{len(acknowledged)}"
                sqs.send_message(QueueUrl=work, MessageBody=body)
                acknowledged.append(body)
        except (HTTPClientError, NoConnection):
            pass  # the engine is dead
        engine.wait()
        sqs.close()
    project.up()
    assert len(acknowledged) > 10
    sqs = sqs_of(project)
    work, got = sqs.get_queue_url(QueueName="work")["QueueUrl"], []
    while messages := sqs.receive_message(QueueUrl=work, MaxNumberOfMessages=10, VisibilityTimeout=600).get("Messages"):
        got += [message["Body"] for message in messages]
    assert {*acknowledged} <= {*got}
    assert len(got) <= len(acknowledged) + 3
    sqs.close()


def test_an_engine_that_is_told_to_end_does_not_wait_for_long_polls(project):
    project.jobfile(KILLED)
    engine = project.up()
    sqs = sqs_of(project)
    work = sqs.get_queue_url(QueueName="work")["QueueUrl"]
    ended = threading.Event()

    def poll():
        try:
            sqs.receive_message(QueueUrl=work, WaitTimeSeconds=20)
        except (HTTPClientError, NoConnection):
            pass
        ended.set()

    threading.Thread(target=poll, daemon=True).start()
    time.sleep(0.5)
    began = time.monotonic()
    engine.terminate()
    engine.wait(30)
    assert ended.wait(5)
    assert time.monotonic() - began < 5
    sqs.close()

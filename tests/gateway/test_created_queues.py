"""Queues that clients create where the job file lets them (`local: {create_queues: true}`)."""

import contextlib
import json

import pytest
from botocore.exceptions import ClientError

from tests.conftest import Project, wait_for
from tests.gateway.conftest import sqs_of

ACCOUNT = "000000000000"
JOBFILE = """\
app: created
queues:
  plain: {}
jobs:
  maker:
    command: [aws, sqs, create-queue, --queue-name, theirs]
    sends: [plain]
  sender:
    command: aws sqs send-message --queue-url "$AWS_ENDPOINT_URL/000000000000/taken" --message-body x
    sends: [plain]
environments:
  local: {create_queues: true}
"""


@contextlib.contextmanager
def engine_of(project):
    """An engine and a client of it, until the block ends."""
    engine = project.up()
    sqs = sqs_of(project)
    try:
        yield sqs
    finally:
        sqs.close()
        engine.terminate()
        engine.wait(30)


@pytest.fixture(scope="module")
def lenient(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("lenient"))
    project.jobfile(JOBFILE)
    project.up()
    yield project
    project.close()


@pytest.fixture(scope="module")
def sqs(lenient):
    sqs = sqs_of(lenient)
    yield sqs
    sqs.close()


def error_of(function, **arguments) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def attributes_of(sqs, url) -> dict[str, str]:
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def arn(name):
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def policy(name, receives=1):
    return json.dumps({"deadLetterTargetArn": arn(name), "maxReceiveCount": receives})


SAID = {
    "VisibilityTimeout": "7",
    "DelaySeconds": "1",
    "MessageRetentionPeriod": "600",
    "ReceiveMessageWaitTimeSeconds": "20",
    "MaximumMessageSize": "1048576",
}


def test_a_created_queue_is_as_its_creator_said_and_creating_it_again_finds_it(sqs):
    url = sqs.create_queue(QueueName="mine", Attributes=SAID)["QueueUrl"]
    assert sqs.create_queue(QueueName="mine", Attributes=SAID)["QueueUrl"] == url
    assert sqs.create_queue(QueueName="mine")["QueueUrl"] == url
    assert sqs.get_queue_url(QueueName="mine")["QueueUrl"] == url
    assert sqs.list_queues(QueueNamePrefix="min")["QueueUrls"] == [url]
    assert SAID.items() <= attributes_of(sqs, url).items()
    code, said = error_of(sqs.create_queue, QueueName="mine", Attributes={"VisibilityTimeout": "8"})
    assert code == "QueueAlreadyExists"
    assert said.endswith(
        "attribute VisibilityTimeout: a client has created the queue so, and SetQueueAttributes changes it"
    )
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "8"})
    assert (SAID | {"VisibilityTimeout": "8"}).items() <= attributes_of(sqs, url).items()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    # The receive says nothing of a wait: it is the queue's, longer than the delay.
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == "a"
    sqs.delete_queue(QueueUrl=url)


def test_a_created_fifo_queue_keeps_order_and_knows_a_body_again(sqs):
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName="mine.fifo", Attributes=attributes)["QueueUrl"]
    for body in "aab":
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in found] == ["a", "b"]
    sqs.delete_queue(QueueUrl=url)
    # A new queue of that name has no messages, and knows none again.
    assert sqs.create_queue(QueueName="mine.fifo", Attributes=attributes)["QueueUrl"] == url
    sqs.send_message(QueueUrl=url, MessageBody="a", MessageGroupId="g")
    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert message["Body"] == "a"
    sqs.delete_queue(QueueUrl=url)


def test_dead_letters_go_where_the_policy_says_and_come_back(sqs):
    letters = sqs.create_queue(QueueName="bin")["QueueUrl"]
    urls = [
        sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy("bin"), "VisibilityTimeout": "0"})[
            "QueueUrl"
        ]
        for name in ("first", "second")
    ]
    assert sqs.list_dead_letter_source_queues(QueueUrl=letters)["queueUrls"] == urls
    for url in urls:
        sqs.send_message(QueueUrl=url, MessageBody=url)
        assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert attributes_of(sqs, letters)["ApproximateNumberOfMessages"] == "2"
    sqs.start_message_move_task(SourceArn=arn("bin"))
    for url in urls:
        wait_for(lambda url=url: attributes_of(sqs, url)["ApproximateNumberOfMessages"] == "1", "the move")
    # Without the queue for them there are no dead letters: what was received too often stays.
    sqs.delete_queue(QueueUrl=letters)
    assert [len(sqs.receive_message(QueueUrl=urls[0])["Messages"]) for _ in range(3)] == [1, 1, 1]
    for url in urls:
        sqs.delete_queue(QueueUrl=url)


REFUSED = [
    ("x", {"Colour": "red"}, "InvalidAttributeName", "Unknown Attribute Colour."),
    ("x", {"ContentBasedDeduplication": "true"}, "InvalidAttributeName", "Unknown Attribute ContentBasedDeduplication."),
    ("x", {"VisibilityTimeout": "43201"}, "InvalidAttributeValue", "Invalid value for the parameter VisibilityTimeout."),
    ("x", {"MaximumMessageSize": "2048"}, "InvalidAttributeValue",
     "Invalid value for the parameter MaximumMessageSize: here it is always `1048576`."),
    ("x", {"Policy": "{}"}, "InvalidAttributeValue", "Invalid value for the parameter Policy: here it is never set."),
    ("x", {"FifoQueue": "true"}, "InvalidParameterValue", "The name of a FIFO queue must end in .fifo"),
    ("x.fifo", {}, "InvalidParameterValue", "The name of a FIFO queue must end in .fifo"),
    ("x.fifo", {"FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId"}, "InvalidAttributeValue",
     "Invalid value for the parameter FifoThroughputLimit: here it is always `perQueue`."),
    ("x", {"RedrivePolicy": "x"}, "InvalidParameterValue", "Redrive policy is not a valid JSON map."),
    ("x", {"RedrivePolicy": "{}"}, "InvalidParameterValue", "does not contain mandatory attribute: deadLetterTargetArn."),
    ("x", {"RedrivePolicy": policy("nope")}, "InvalidParameterValue", "Dead letter target does not exist."),
    ("x", {"RedrivePolicy": policy("x")}, "InvalidParameterValue", "Dead letter target does not exist."),
    ("x", {"RedrivePolicy": policy("plain", 0)}, "InvalidParameterValue", "valid values are from 1 to 1000 both inclusive."),
    ("x.fifo", {"FifoQueue": "true", "RedrivePolicy": policy("plain")}, "InvalidParameterValue",
     "Dead-letter queue must be same type of queue as the source."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "attributes", "code", "said"), REFUSED)
def test_what_a_queue_cannot_be_is_refused_and_nothing_is_created(sqs, name, attributes, code, said):
    got = error_of(sqs.create_queue, QueueName=name, Attributes=attributes)
    assert got[0] == code
    assert said in got[1]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="x")


def test_a_queue_that_is_deleted_is_gone_and_a_declared_one_is_not_deleted(sqs):
    url = sqs.create_queue(QueueName="brief")["QueueUrl"]
    sqs.delete_queue(QueueUrl=url)
    assert error_of(sqs.send_message, QueueUrl=url, MessageBody="x")[0] == "AWS.SimpleQueueService.NonExistentQueue"
    assert error_of(sqs.delete_queue, QueueUrl=url)[0] == "AWS.SimpleQueueService.NonExistentQueue"
    for name in ("plain", "plain-dead-letters"):
        code, said = error_of(sqs.delete_queue, QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
        assert code == "AWS.SimpleQueueService.UnsupportedOperation"
        assert "queues are declared in the job file: delete `plain` (wherry.yaml:3:3) from its `queues`" in said


def test_runs_create_none_and_send_to_none(lenient, sqs):
    lenient.wherry("run", "maker", code=None)
    run = json.loads(lenient.wherry("runs", "--json").stdout)[0]
    assert run["status"] == "failed"
    advice = "may not create queue `theirs`: queues are declared in the job file: add `theirs: {}` to its `queues`"
    assert f"job `maker` {advice}" in lenient.wherry("show", run["id"]).stdout
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="theirs")
    url = sqs.create_queue(QueueName="taken")["QueueUrl"]
    lenient.wherry("run", "sender", code=None)
    run = json.loads(lenient.wherry("runs", "--json").stdout)[0]
    assert "job `sender` may not send to queue `taken`" in lenient.wherry("show", run["id"]).stdout
    sqs.delete_queue(QueueUrl=url)


def test_created_queues_are_seen_by_the_command_line_and_by_the_next_engine(project):
    project.jobfile(JOBFILE)
    with engine_of(project) as sqs:
        sqs.create_queue(QueueName="bin")
        url = sqs.create_queue(QueueName="kept", Attributes={"RedrivePolicy": policy("bin"), "DelaySeconds": "0"})[
            "QueueUrl"
        ]
        sqs.send_message(QueueUrl=url, MessageBody="from a client")
        states = {state["name"]: state for state in json.loads(project.wherry("queues", "--json").stdout)}
        assert list(states) == ["plain", "bin", "kept"]
        assert (states["kept"]["waiting"], states["kept"]["job"]) == (1, None)
        assert "from a client" in project.wherry("queue", "peek", "kept").stdout
        project.wherry("queue", "send", "kept", "by hand")
        before = attributes_of(sqs, url)
    with engine_of(project) as sqs:
        url = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
        assert attributes_of(sqs, url) == before
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert sorted(message["Body"] for message in found) == ["by hand", "from a client"]
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"], VisibilityTimeout=0)
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert found[0]["Body"] in project.wherry("queue", "peek", "kept", "--dead").stdout
    refused = project.wherry("queue", "redrive", "kept", "--yes", code=2).stderr
    assert "queue `kept` was created by a client, and its dead letters may stand among others in `bin`" in refused
    project.wherry("queue", "purge", "kept", "--yes")
    states = {state["name"]: state for state in json.loads(project.wherry("queues", "--json").stdout)}
    assert [states["kept"][count] for count in ("waiting", "in_flight", "delayed", "dead")] == [0, 0, 0, 1]


def test_a_declaration_wins_and_without_the_key_created_queues_are_out_of_reach(project):
    project.jobfile(JOBFILE)
    with engine_of(project) as sqs:
        for name in ("later", "other"):
            url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"})["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody="x")
        later = sqs.get_queue_url(QueueName="later")["QueueUrl"]
        # The running engine takes the change up.
        project.jobfile(JOBFILE.replace("  plain: {}\n", "  plain: {}\n  later: {visibility: 9s}\n"))
        wait_for(lambda: attributes_of(sqs, later)["VisibilityTimeout"] == "9", "the new job file")
        assert "RedrivePolicy" in attributes_of(sqs, later)
        assert error_of(sqs.delete_queue, QueueUrl=later)[0] == "AWS.SimpleQueueService.UnsupportedOperation"
        assert len(sqs.receive_message(QueueUrl=later)["Messages"]) == 1
    project.jobfile(JOBFILE.replace("{create_queues: true}", "{}"))
    with engine_of(project) as sqs:
        assert [url.rpartition("/")[2] for url in sqs.list_queues()["QueueUrls"]] == ["plain", "plain-dead-letters"]
        for name in ("later", "other"):
            assert error_of(sqs.get_queue_url, QueueName=name)[0] == "AWS.SimpleQueueService.NonExistentQueue"
        code, said = error_of(sqs.create_queue, QueueName="other")
        assert code.startswith("AccessDenied")
        assert said == (
            "queues are declared in the job file: add `other: {}` to its `queues` (wherry.yaml:2:1), or let clients create "
            "others: add `create_queues: true` to `local` under its `environments` (wherry.yaml:12:3)"
        )
        assert "queue `other`, which the job file does not declare" in project.engine_output()
    # With the key they are there again; what was declared since is not.
    project.jobfile(JOBFILE)
    with engine_of(project) as sqs:
        assert attributes_of(sqs, sqs.get_queue_url(QueueName="other")["QueueUrl"])["VisibilityTimeout"] == "7"
        assert error_of(sqs.get_queue_url, QueueName="later")[0] == "AWS.SimpleQueueService.NonExistentQueue"

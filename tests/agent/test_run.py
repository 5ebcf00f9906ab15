"""What is written of a run, when, and what is known of it."""

import dataclasses
import json
import threading
from datetime import timedelta

import pytest

from wherry.agent.attempt import Attempt
from wherry.agent.client import CallFailed
from wherry.agent.credentials import Credentials
from wherry.agent.heartbeat import Heartbeat
from wherry.agent.job import Job
from wherry.agent.records import Records, known_of
from wherry.agent.run import Run
from wherry.agent.services import S3, Gone
from wherry.agent.settings import Settings
from wherry.agent.tools import Tools
from wherry.agent.turn import Turn
from wherry.agent.verdicts import COULD_NOT_START, Verdict

SETTINGS = Settings(
    job="j", queue="q", url="https://sqs/1/q", command="exit 9", work_bucket="work", backoff=timedelta(seconds=8)
)
DONE = Verdict("succeeded", "", deletes=True)


def message(receives=1, body="", mark=""):
    system = {"ApproximateReceiveCount": str(receives), "SentTimestamp": "1700000000000"}
    system["ApproximateFirstReceiveTimestamp"] = system["SentTimestamp"]
    attributes = {"wherry-run": {"DataType": "String", "StringValue": mark}} if mark else {}
    return {
        "MessageId": "m",
        "ReceiptHandle": "h",
        "Body": body,
        "Attributes": system,
        "MessageAttributes": attributes,
    }


class Bucket:
    """The work bucket; `answers`: what reading a key's end raises instead."""

    def __init__(self, answers=None):
        self.objects, self.answers = {}, answers or {}

    def read(self, bucket, key, **_):
        state = key.rpartition(".")[2]
        if state in self.answers:
            raise self.answers[state]
        if key not in self.objects:
            raise Gone
        return self.objects[key]

    def write(self, bucket, key, body):
        self.objects[key] = body

    def remove(self, bucket, key):
        self.objects.pop(key, None)

    def statuses(self):
        return [json.loads(body)["status"] for body in self.objects.values()]


class Queue:
    """What was asked of SQS."""

    def __init__(self):
        self.deleted, self.hidden = [], []

    def delete(self, taken):
        self.deleted += taken

    def hide(self, taken, seconds, **_):
        self.hidden += [seconds(each) for each in taken]


def tools(s3, told=print):
    return Tools(SETTINGS, None, Queue(), s3, Job(SETTINGS, {}), Records(SETTINGS, s3, told), {})


# ------------------------------------------------------------------------------------------------------- what is written


class Slow(Bucket):
    """Takes what is said of a run that goes on only after another write, or after a while."""

    def __init__(self):
        super().__init__()
        self.began, self.other = threading.Event(), threading.Event()

    def write(self, bucket, key, body):
        if json.loads(body)["status"] == "running":
            self.began.set()
            self.other.wait(0.5)
        super().write(bucket, key, body)
        self.other.set()


def test_what_is_written_late_does_not_outlive_the_verdict():
    s3 = Slow()
    run = Run(tools(s3), message())
    beside = threading.Thread(target=run.write, args=({}, {"started": "x"}))
    beside.start()
    assert s3.began.wait(10)
    run.write({}, {"started": "x"}, DONE)
    beside.join()
    assert s3.statuses() == ["succeeded"]


def test_nothing_is_written_after_the_verdict():
    s3 = Bucket()
    run = Run(tools(s3), message())
    run.write({}, {"started": "x"}, DONE)
    run.write({}, {"started": "x"})
    assert s3.statuses() == ["succeeded"]


def test_nothing_is_written_of_an_attempt_that_was_none():
    s3 = Bucket()
    run = Run(tools(s3), message())
    run.write({}, {"started": "x"})
    run.unwrite()
    run.write({}, {"started": "x"})
    assert s3.statuses() == []


def test_what_cannot_be_written_is_told():
    told, deep = [], []
    for _ in range(100_000):
        deep = [deep]
    s3 = Bucket()
    run = Run(tools(s3, told.append), message())
    run.write({"event": deep}, None)
    run.write({"env": {"HALF": "\ud800"}}, None, DONE)
    assert [text for text in told if "is not recorded" in text] == told != []
    assert s3.statuses() == ["succeeded"]


# --------------------------------------------------------------------------------------------------------- what is known


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_what_s3_cannot_tell_just_now_is_not_nothing(status):
    s3 = Bucket({"failed": CallFailed("later", code="SlowDown" if status else "", status=status)})
    with pytest.raises(CallFailed, match="later"):
        Run(tools(s3), message(receives=2)).recall()


def test_what_is_forbidden_is_not_there():
    """A role that may not list a bucket is told 403 of what is not there."""
    denied = {state: CallFailed("no", code="AccessDenied", status=403) for state in ("succeeded", "failed")}
    s3 = Bucket()
    Run(tools(s3), message()).write({}, {"started": "x"}, Verdict("queued", "", wait=1))
    s3.answers = denied
    again = Run(tools(s3), message(receives=2))
    again.recall()
    again.write({}, {"started": "y"}, DONE)
    (record,) = map(json.loads, s3.objects.values())
    assert [each["number"] for each in record["attempts"]] == [1, 2]


@pytest.mark.parametrize("verdict", [DONE, Verdict("failed", "dropped", deletes=True)], ids=lambda one: one.status)
def test_what_is_done_is_known_to_be(verdict):
    s3 = Bucket()
    Run(tools(s3), message()).write({}, {"started": "x"}, verdict)
    # its first record could not be deleted
    s3.objects[known_of("j", "q", message()).key("j", "open")] = b'{"status": "running"}'
    again = Run(tools(s3), message(receives=2))
    again.recall()
    assert again.is_done


@pytest.mark.parametrize(
    "verdict",
    [Verdict("queued", "", wait=1), Verdict("failed", "x", is_dead=True), Verdict("timed_out", "x", is_dead=True)],
    ids=lambda one: one.status,
)
def test_what_comes_back_is_not_done(verdict):
    s3 = Bucket()
    Run(tools(s3), message()).write({}, {"started": "x"}, verdict)
    again = Run(tools(s3), message(receives=2))
    again.recall()
    assert not again.is_done


def test_a_further_round_of_what_is_done_is_to_be_done():
    s3 = Bucket()
    Run(tools(s3), message()).write({}, {"started": "x"}, Verdict("failed", "dropped", deletes=True))
    known = known_of("j", "q", message())
    again = Run(tools(s3), {**message(mark=known.mark()), "MessageId": "n"})
    again.recall()
    assert (again.id, again.number, again.is_done) == (known.run_id, 2, False)


def test_a_message_of_which_nothing_can_be_known_comes_back_and_is_not_worked_on():
    s3 = Bucket({"succeeded": CallFailed("later", status=503)})
    given = tools(s3)
    taken = [message(receives=2)]
    turn = Turn(given, taken, Heartbeat(given.sqs, taken, timedelta(seconds=30), print))
    turn.go()
    assert turn.has_stumbled
    assert turn.returning == taken
    assert given.sqs.deleted == []
    assert 8 <= given.sqs.hidden[0] <= 16
    assert s3.objects == {}


@pytest.mark.parametrize("mark", [f"f00d {'9' * 5000}", "../../f00d 1700000000000", "f00d 1 2", "f00d ١"])
def test_a_mark_that_is_none_makes_no_further_round(mark):
    assert known_of("j", "q", message(mark=mark)) == known_of("j", "q", message())


def test_a_bucket_that_cannot_be_one_is_its_message_s_fault():
    told = {"source": "aws.s3", "detail-type": "Object Created"}
    body = json.dumps({**told, "detail": {"bucket": {"name": "b" * 70}, "object": {"key": "k"}}})
    settings = dataclasses.replace(SETTINGS, command="cat", env={"F": "${event.file}"})
    environment = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"}
    s3 = S3(environment, Credentials(environment), domain="amazonaws.com")
    end = Attempt(settings, Job(settings, {}), s3, None, None).go("f00d", 1, {}, [message(body=body)])
    assert (end.ending, end.passing) == (COULD_NOT_START, False)
    assert "its message cannot be given to a command" in end.reason

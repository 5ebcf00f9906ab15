"""What messages of the queue of dead letters say, in every form in which AWS may send them."""

import json

import pytest

from tests.aws.histories import Book, container, task
from tests.aws.scripted import JOBFILE, NOW, Scripted, site
from tests.aws.test_remote import described, histories
from wherry.aws.client import AwsError
from wherry.aws.compile import logical_ids
from wherry.aws.letters import Reader
from wherry.aws.remote import Remote
from wherry.errors import UserError
from wherry.messages import run_id_of
from wherry.model import Status

NAMES = site(Scripted()).names
READER = Reader(JOBFILE, NAMES, logical_ids(JOBFILE))
EVENT = {"version": "0", "id": "e1", "source": "shop", "detail-type": "order placed", "detail": {"order": 7}}
FIRING = {
    "job": "nightly",
    "machine": NAMES.machine_arn("nightly"),
    "trigger": "schedule",
    "label": "schedule:cron(0 5 * * ? *)@UTC",
    "schedule": "cron(0 5 * * ? *)",
    "scheduled-time": "2026-03-01T05:00:00Z",
}
SENT = int(NOW.timestamp() * 1000)


def message(body, number=1, **about):
    return {
        "MessageId": f"m{number}",
        "ReceiptHandle": f"r{number}",
        "Body": body if isinstance(body, str) else json.dumps(body),
        "Attributes": {"SentTimestamp": str(SENT)},
        "MessageAttributes": {name: {"DataType": "String", "StringValue": text} for name, text in about.items()},
    }


def status_change(machine, name, **detail):
    arn = f"arn:aws:states:eu-central-1:123456789012:stateMachine:{machine}"
    given = {"stateMachineArn": arn, "executionArn": f"{arn}:{name}", "name": name, "status": "FAILED", **detail}
    return {"detail-type": "Step Functions Execution Status Change", "source": "aws.states", "id": "x", "detail": given}


def rule_of(job):
    from wherry.aws.triggers import logical_id
    from wherry.model import EventTrigger

    trigger = next(one for one in JOBFILE.jobs[job].triggers if isinstance(one, EventTrigger))
    name = NAMES.rule(logical_id(logical_ids(JOBFILE)[job], trigger))
    return f"arn:aws:events:eu-central-1:123456789012:rule/{name}"


def test_a_run_that_failed():
    given = json.dumps({"job": "nightly", "trigger": "event", "cause": "event:e1", "event": EVENT})
    cause = json.dumps({"reason": "exit code 3", "attempts": 2, "exit-code": 3})
    body = status_change("sales-prod_nightly", "abc--2", input=given, error="Failed", cause=cause)
    letter = READER.read(message(body))
    assert (letter.run.id, letter.round_number, letter.run.job) == ("abc", 2, "nightly")
    assert (letter.run.reason, letter.run.cause, letter.run.event.document) == ("exit code 3", "event:e1", EVENT)
    assert letter.delivery == {}


@pytest.mark.parametrize("wrapped", ["plain", "transformed"])
def test_an_event_that_no_rule_could_deliver(wrapped):
    body = EVENT
    if wrapped == "transformed":
        body = {"job": "nightly", "machine": NAMES.machine_arn("nightly"), "trigger": "event", "event": EVENT}
    about = {"RULE_ARN": rule_of("nightly"), "ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "Lack of permissions"}
    letter = READER.read(message(body, **about))
    assert (letter.run.id, letter.run.job) == (run_id_of("nightly", "event:e1"), "nightly")
    assert letter.run.reason == "could not be delivered: NO_PERMISSIONS: Lack of permissions"
    assert (letter.run.status, letter.round_number, letter.run.created_at) == (Status.FAILED, 0, NOW)
    assert letter.delivery["machine"] == NAMES.machine_arn("nightly")
    assert letter.delivery["event"] == EVENT


@pytest.mark.parametrize("wrapped", ["plain", "called", "unfilled"])
def test_a_firing_that_scheduler_could_not_deliver(wrapped):
    body = FIRING
    if wrapped == "called":
        body = {"StateMachineArn": "x", "Input": json.dumps(FIRING)}
    if wrapped == "unfilled":
        body = {**FIRING, "scheduled-time": "<aws.scheduler.scheduled-time>"}
    about = {"ERROR_CODE": "X", "SCHEDULED_TIME": "2026-03-01T05:00:00Z", "SCHEDULE_ARN": "arn:x"}
    letter = READER.read(message(body, **about))
    cause = "schedule:cron(0 5 * * ? *)@UTC 2026-03-01T05:00:00Z"
    assert (letter.run.cause, letter.run.id) == (cause, run_id_of("nightly", cause))
    assert letter.delivery == FIRING
    assert letter.run.event.detail["scheduled-time"] == "2026-03-01T05:00:00Z"


def test_a_dispatcher_that_failed():
    given = {"job": "nightly", "machine": NAMES.machine_arn("nightly"), "trigger": "event", "event": EVENT}
    body = status_change(NAMES.dispatcher, "x", input=json.dumps(given), error="States.Runtime", cause="it broke")
    letter = READER.read(message(body))
    assert (letter.run.id, letter.delivery) == (run_id_of("nightly", "event:e1"), given)
    assert letter.run.reason == "could not be delivered: States.Runtime: it broke"


@pytest.mark.parametrize("body", ["no JSON", [], {}, {"detail": 3}, {"RULE_ARN": {}}, {"job": "nightly", "label": "x"}])
def test_what_nobody_can_read_is_shown_none_the_less(body):
    letter = READER.read(message(body, RULE_ARN="arn:aws:events:x:rule/some-rule"))
    assert (letter.run.id, letter.run.job, letter.delivery) == ("m1", "some-rule", {})
    assert READER.read(message(body)).delivery in ({}, body)


def test_a_job_that_is_gone_cannot_be_delivered():
    letter = READER.read(message({**FIRING, "job": "gone"}))
    assert (letter.run.job, letter.delivery) == ("gone", {})


# ------------------------------------------------------------------------------------------------------------ the queue


def remote(*messages, **answers):
    """A queue that shows each message once."""
    waiting = list(messages)

    def receive(**_):
        shown = waiting[:10]
        del waiting[:10]
        return {"Messages": shown} if shown else {}

    aws = Scripted(
        get_queue_url={"QueueUrl": "https://q"},
        receive_message=receive,
        change_message_visibility_batch={},
        delete_message_batch={},
        describe_task_definition=described(),
        **answers,
    )
    return Remote(site(aws)), aws


def receipts(aws, operation):
    return sorted(entry["ReceiptHandle"] for call in aws.asked(operation) for entry in call["Entries"])


def test_what_was_dealt_with_goes_and_the_rest_stays():
    bad = Book().scheduled().submitted().failed(task(1, container(code=3))).fail(reason="exit code 3")
    books = {
        "nightly__bad": bad,
        "nightly__retried": bad,
        "nightly__retried--2": Book().scheduled(),
        "nightly__stopped": Book().scheduled().submitted().fail("Stopped", reason="stopped on request"),
        f"nightly__{run_id_of('nightly', 'event:e1')}": bad,
    }
    names = ["bad", "retried", "stopped", "forgotten"]
    bodies = [status_change("sales-prod_nightly", name) for name in names]
    messages = [message(body, number) for number, body in enumerate(bodies)]
    messages += [message(EVENT, 4, RULE_ARN=rule_of("nightly"), ERROR_CODE="X"), message("?", 5)]
    target, aws = remote(*messages, get_execution_history=histories(**books))
    assert sorted(run.id for run in target.dead_letters()) == ["bad", "forgotten", "m5"]
    assert receipts(aws, "delete_message_batch") == ["r1", "r2", "r4"]
    # all were given back before: who else looks meanwhile sees them
    assert receipts(aws, "change_message_visibility_batch") == ["r0", "r1", "r2", "r3", "r4", "r5"]


def test_what_cannot_be_delivered_any_more_is_said_by_name():
    target, aws = remote(message("?", 5))
    assert [run.id for run in target.dead_letters()] == ["m5"]
    with pytest.raises(UserError, match="not in the job file any more") as caught:
        target.retry("m5")
    assert "purge m5" in caught.value.hint
    assert receipts(aws, "delete_message_batch") == []


def test_where_nothing_is_deployed_there_are_no_letters():
    target, aws = remote()
    aws.answers["get_queue_url"] = AwsError("no", code="AWS.SimpleQueueService.NonExistentQueue")
    assert target.dead_letters() == []
    target.bury(["x"])


def test_a_letter_that_somebody_else_looks_at_is_waited_for(monkeypatch):
    bodies = [message(status_change("sales-prod_nightly", "abc"), 1)]
    shown = iter([bodies, [], [], bodies, [], []])  # listed; hidden by somebody else; there again
    target, aws = remote(get_execution_history=histories(), get_queue_attributes={"Attributes": {}})
    aws.answers["receive_message"] = lambda **_: {"Messages": next(shown)}
    looking = iter(["1", "0"])
    aws.answers["get_queue_attributes"] = lambda **_: {
        "Attributes": {"ApproximateNumberOfMessagesNotVisible": next(looking)}
    }
    assert [run.id for run in target.dead_letters()] == ["abc"]
    target.bury(["abc"])
    assert receipts(aws, "delete_message_batch") == ["r1"]

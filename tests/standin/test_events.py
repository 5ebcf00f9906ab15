"""Events, rules, schedules, dead letters."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.standin import aws

ECHO = {"End": {"Type": "Pass", "End": True}}


@pytest.fixture
def machine(account):
    return aws.machine(account, ECHO, name="echo")


def rule(account, machine, pattern, *, bus="default", transformer=None, may=True, dead=None):
    """A rule that starts the machine; gives the rule's ARN."""
    allowed = [{"Action": "states:StartExecution"}] if may else []
    role = aws.role(account, f"events-{bus}", "events.amazonaws.com", *allowed)
    events = account.client("events")
    arn = events.put_rule(Name="r", EventBusName=bus, EventPattern=json.dumps(pattern))["RuleArn"]
    target = {"Id": "1", "Arn": machine, "RoleArn": role}
    if transformer:
        target["InputTransformer"] = transformer
    if dead:
        target["DeadLetterConfig"] = {"Arn": dead}
    events.put_targets(Rule="r", EventBusName=bus, Targets=[target])
    return arn


def inputs(account, machine, count=1, seconds=10):
    """What the machine's executions were given, once there are so many."""
    sfn = account.client("stepfunctions")

    def enough():
        found = sfn.list_executions(stateMachineArn=machine)["executions"]
        return found if len(found) >= count else None

    found = aws.until(enough, seconds)
    return [json.loads(sfn.describe_execution(executionArn=one["executionArn"])["input"]) for one in found]


def queue(account, name="dead", service="events.amazonaws.com"):
    sqs = account.client("sqs")
    allow = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
    return url, f"arn:aws:sqs:{account.region}:{account.id}:{name}"


def message(account, url):
    found = account.client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=5)
    return found["Messages"][0]


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])
def test_the_end_of_an_execution_is_an_event(account, machine, status):
    pattern = {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"], "detail": {"status": ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [{"suffix": ":watched"}]}}  # fmt: skip
    rule(account, machine, pattern)
    states = {
        "SUCCEEDED": {"End": {"Type": "Pass", "Output": "o", "End": True}},
        "FAILED": {"Fail": {"Type": "Fail", "Error": "E", "Cause": "C"}},
    }.get(status, {"Wait": {"Type": "Wait", "Seconds": 30, "End": True}})
    limits = {"TimeoutSeconds": 1} if status == "TIMED_OUT" else {}
    watched = aws.machine(account, states, name="watched", **limits)
    sfn = account.client("stepfunctions")
    started = sfn.start_execution(stateMachineArn=watched, name="n", input='{"a":1}')["executionArn"]
    if status == "ABORTED":
        sfn.stop_execution(executionArn=started, error="E", cause="C")
    (event,) = inputs(account, machine)
    detail = event["detail"]
    assert event["source"] == "aws.states"
    assert (detail["executionArn"], detail["stateMachineArn"], detail["name"]) == (started, watched, "n")
    assert (detail["status"], detail["input"]) == (status, '{"a":1}')
    assert isinstance(detail["startDate"], int)
    assert isinstance(detail["stopDate"], int)
    assert (detail["output"], detail["error"], detail["cause"]) == {
        "SUCCEEDED": ('"o"', None, None),
        "FAILED": (None, "E", "C"),
    }.get(status, (None, None, None))


KEYS = ["plain.csv", 'a "quoted" key', "new\nline", "ü/日本 +&=.csv", "a%20b"]


def test_objects_are_events(account, machine):
    s3, bucket = account.client("s3"), f"b{account.id}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": account.region})
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=bucket)
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": [bucket]}}}
    template = '{"job":"x","event":<aws.events.event.json>}'
    rule(account, machine, pattern, transformer={"InputTemplate": template})
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    found = [given["event"]["detail"] for given in inputs(account, machine, len(KEYS))]
    assert sorted(detail["object"]["key"] for detail in found) == sorted(KEYS)
    for detail in found:
        assert detail["object"].keys() >= {"key", "size", "etag", "sequencer"}
        assert detail["reason"] == "PutObject"


def test_large_events_arrive_whole(account, machine):
    rule(account, machine, {"source": ["big"]}, transformer={"InputTemplate": '{"event":<aws.events.event.json>}'})
    text = 'x ü"\n' * 30_000
    entry = {"Source": "big", "DetailType": "d", "Detail": json.dumps({"text": text}, ensure_ascii=False)}
    assert account.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    (given,) = inputs(account, machine)
    assert given["event"]["detail"]["text"] == text


def test_another_bus(account, machine):
    account.client("events").create_event_bus(Name="mine")
    rule(account, machine, {"source": ["s"]}, bus="mine")
    entry = {"Source": "s", "DetailType": "d", "Detail": "{}"}
    account.client("events").put_events(Entries=[entry, {**entry, "EventBusName": "mine"}])
    (given,) = inputs(account, machine)
    assert given.keys() >= {
        "version",
        "id",
        "detail-type",
        "source",
        "account",
        "time",
        "region",
        "resources",
        "detail",
    }


def test_a_rule_whose_role_may_not_leaves_a_dead_letter(account, machine):
    url, dead = queue(account)
    arn = rule(account, machine, {"source": ["s"]}, may=False, dead=dead)
    account.client("events").put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": '{"a": 1}'}])
    letter = message(account, url)
    assert json.loads(letter["Body"])["detail"] == {"a": 1}
    about = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert (about["RULE_ARN"], about["TARGET_ARN"]) == (arn, machine)
    assert about["ERROR_CODE"]
    assert account.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"] == []


def test_a_queue_as_target_needs_its_policy(account):
    events, sqs = account.client("events"), account.client("sqs")
    events.put_rule(Name="r", EventPattern='{"source":["s"]}')
    closed = sqs.create_queue(QueueName="closed")["QueueUrl"]
    url, arn = queue(account, "open")
    targets = [{"Id": "o", "Arn": arn}, {"Id": "c", "Arn": f"arn:aws:sqs:{account.region}:{account.id}:closed"}]
    events.put_targets(Rule="r", Targets=targets)
    events.put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}])
    assert json.loads(message(account, url)["Body"])["source"] == "s"
    assert "Messages" not in sqs.receive_message(QueueUrl=closed)


def schedule(account, machine, expression, *, may=True, dead=None, zone="UTC"):
    allowed = [{"Action": ["states:StartExecution"] if may else ["sqs:SendMessage"]}]
    role = aws.role(account, "scheduler", "scheduler.amazonaws.com", *allowed)
    target = {
        "Arn": machine,
        "RoleArn": role,
        "Input": '{"tick":"<aws.scheduler.scheduled-time>","id":"<aws.scheduler.execution-id>"}',
        "RetryPolicy": {"MaximumRetryAttempts": 0},
    }
    if dead:
        target["DeadLetterConfig"] = {"Arn": dead}
    account.client("scheduler").create_schedule(
        Name="s",
        ScheduleExpression=expression,
        ScheduleExpressionTimezone=zone,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
    )


def test_a_schedule_fires_at_its_time_in_its_zone(account, machine):
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    berlin = soon + timedelta(hours=1)
    schedule(account, machine, f"at({berlin:%Y-%m-%dT%H:%M:%S})", zone="Etc/GMT-1")
    (given,) = inputs(account, machine)
    assert given["tick"] == f"{soon:%Y-%m-%dT%H:%M:%SZ}"
    assert len(given["id"]) == 36


def test_a_schedule_can_be_made_to_fire(account, machine):
    schedule(account, machine, "cron(0 3 * * ? *)", zone="Europe/Berlin")
    account.fire("s", at="2026-01-02T02:00:00+00:00")
    (given,) = inputs(account, machine)
    assert given["tick"] == "2026-01-02T02:00:00Z"


def test_a_schedule_whose_role_may_not_leaves_a_dead_letter(account, machine):
    url, dead = queue(account, service="none.amazonaws.com")
    schedule(account, machine, "rate(1 minute)", may=False, dead=dead)
    account.fire("s")
    letter = message(account, url)
    assert json.loads(letter["Body"]).keys() == {"tick", "id"}
    assert letter["MessageAttributes"]["TARGET_ARN"]["StringValue"] == machine

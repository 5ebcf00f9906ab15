"""A destruction while messages wait: nothing starts workers again, and nothing is asked that AWS refuses."""

import pytest

from tests.aws.scripted import Scripted
from wherry.aws import standstill
from wherry.aws.client import AwsError
from wherry.aws.compile import compile_template
from wherry.aws.given import Given
from wherry.aws.survey import site_of
from wherry.model import Bus, Environment, Feed, Job, JobFile, Queue, QueueTrigger

JOBFILE = JobFile(
    path="/x/wherry.yaml",
    app="mail",
    queues={
        "letters": Queue(name="letters", feed=Feed(pattern={"source": ["post"]})),
        "parcels": Queue(name="parcels"),
    },
    jobs={
        "read": Job(name="read", image="reader:1", triggers=(QueueTrigger(queue="letters"),)),
        "open": Job(name="open", image="opener:1", triggers=(QueueTrigger(queue="parcels", min_workers=1),)),
    },
    environments={"prod": Environment(name="prod", region="eu-central-1", bus=Bus(name="shop"))},
)
GONE = AwsError("gone", code="ResourceNotFoundException")


def no_executions_of_express(*, stateMachineArn, **_):
    if stateMachineArn.endswith("waker"):
        raise AwsError("not supported by EXPRESS state machines", code="StateMachineTypeNotSupported")
    return []


def halted(**answers):
    aws = Scripted(
        **{
            "disable_rule": {},
            "describe_scalable_targets": lambda ResourceIds, **_: [{"ResourceId": each} for each in ResourceIds],
            "register_scalable_target": {},
            "update_service": {},
            "list_executions": no_executions_of_express,
            "list_tasks": [],
            **answers,
        }
    )
    environment = JOBFILE.environments["prod"]
    site = site_of(aws, JOBFILE, environment)
    standstill.halt(site, compile_template(JOBFILE, environment, Given()), lambda _: None)
    return aws


def test_what_starts_workers_ends_before_the_workers_do():
    aws = halted()
    order = list(dict.fromkeys(operation for _, operation, _ in aws.calls))
    begin = ["disable_rule", "describe_scalable_targets", "register_scalable_target", "update_service"]
    assert order[:4] == begin
    rules = {(each["Name"].rpartition("_")[2][-4:], each.get("EventBusName")) for each in aws.asked("disable_rule")}
    assert rules == {("Feed", "shop"), ("Look", None)}
    services = {"service/mail-prod/read_letters", "service/mail-prod/open_parcels"}
    closed = aws.asked("register_scalable_target")
    assert {each["ResourceId"] for each in closed} == services
    assert {(each["MinCapacity"], each["MaxCapacity"]) for each in closed} == {(0, 0)}
    assert {(each["service"], each["desiredCount"]) for each in aws.asked("update_service")} == {
        ("read_letters", 0),
        ("open_parcels", 0),
    }


def test_only_standard_machines_are_asked_for_runs():
    asked = [each["stateMachineArn"] for each in halted().asked("list_executions")]
    assert len(asked) == 2
    assert not any(arn.endswith("waker") for arn in asked)


def test_what_an_earlier_try_has_taken_away_is_not_registered_again():
    aws = halted(disable_rule=GONE, describe_scalable_targets=[], update_service=GONE)
    assert aws.asked("register_scalable_target") == []


def test_what_may_not_be_done_is_told():
    with pytest.raises(AwsError, match="not yours"):
        halted(disable_rule=AwsError("not yours", code="AccessDeniedException"))

"""Event buses that accounts share, and rules that accounts make on each other's."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.standin import aws

ECHO = {"End": {"Type": "Pass", "End": True}}


@pytest.fixture
def other(standin):
    return standin.account()


def shared(account, other, *actions, of="event-bus"):
    """A bus of an account whose policy lets another one do something."""
    events = account.client("events")
    arn = events.create_event_bus(Name="shop")["EventBusArn"]
    resource = arn if of == "event-bus" else f"{arn.replace(':event-bus/', ':rule/')}/*"
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{other.id}:root"}, "Action": list(actions)}
    condition = {"StringEqualsIfExists": {"events:creatorAccount": other.id}}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": resource, "Condition": condition}]}
    events.put_permission(EventBusName="shop", Policy=json.dumps(policy))
    return arn


def put(account, bus, n):
    entry = {"Source": "x", "DetailType": "d", "Detail": json.dumps({"n": n}), "EventBusName": bus}
    return account.client("events").put_events(Entries=[entry])


def test_an_event_of_another_account_keeps_its_account(account, other):
    machine = aws.machine(account, ECHO, name="echo")
    role = aws.role(account, "events", "events.amazonaws.com", {"Action": "states:StartExecution"})
    bus = shared(account, other, "events:PutEvents")
    events = account.client("events")
    events.put_rule(Name="r", EventBusName="shop", EventPattern=json.dumps({"account": [other.id]}))
    events.put_targets(Rule="r", EventBusName="shop", Targets=[{"Id": "1", "Arn": machine, "RoleArn": role}])
    put(account, "shop", 1)
    put(other, bus, 2)
    sfn = account.client("stepfunctions")
    (found,) = aws.until(lambda: sfn.list_executions(stateMachineArn=machine)["executions"])
    given = json.loads(sfn.describe_execution(executionArn=found["executionArn"])["input"])
    assert (given["account"], given["detail"]) == (other.id, {"n": 2})


def test_without_leave_nobody_puts_events_or_makes_rules(account, other):
    bus = shared(account, other, "events:DescribeRule", of="rule")
    with pytest.raises(ClientError, match="AccessDenied.*events:PutEvents"):
        put(other, bus, 1)
    with pytest.raises(ClientError, match="AccessDenied.*events:PutRule"):
        other.client("events").put_rule(Name="r", EventBusName=bus, EventPattern='{"source": ["x"]}')


def test_a_rule_on_anothers_bus_is_theirs_by_its_arn(account, other):
    bus = shared(account, other, "events:PutRule", "events:DeleteRule", "events:DescribeRule", of="rule")
    events = other.client("events")
    arn = events.put_rule(Name="r", EventBusName=bus, EventPattern='{"source": ["x"]}')["RuleArn"]
    assert arn == f"arn:aws:events:{account.region}:{account.id}:rule/shop/r"
    assert events.describe_rule(Name="r", EventBusName=bus)["CreatedBy"] == other.id
    assert [each["Name"] for each in account.client("events").list_rules(EventBusName="shop")["Rules"]] == ["r"]
    account.client("events").put_rule(Name="own", EventBusName="shop", EventPattern='{"source": ["x"]}')
    with pytest.raises(ClientError, match="AccessDenied.*events:DeleteRule"):
        events.delete_rule(Name="own", EventBusName=bus)  # creatorAccount is another one
    events.delete_rule(Name="r", EventBusName=bus)

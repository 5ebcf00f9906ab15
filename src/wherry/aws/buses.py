"""The environment's event bus, where it has one of its own, and what relays another account's events to it. Pure.

A rule on another account's bus cannot start a machine of this one: across accounts EventBridge delivers to event buses
and a few services, and Step Functions is not among them (EventBridge User Guide, "Sending events to an AWS service in
another account"). So such a rule hands the event to a bus of the environment's own, where the job's rule waits for it.
"""

from __future__ import annotations

import json
from typing import Any

from wherry.aws import policy
from wherry.aws.names import Names, shorten
from wherry.aws.policy import allow, arn, sub
from wherry.aws.storage import Resource, resource
from wherry.model import Bus, Environment, EventTrigger, JobFile

_PUT = "events:PutEvents"
#: The id of a statement has at most so many characters (EventBridge API Reference, PutPermission).
_STATEMENT = 64


def buses(jobfile: JobFile, environment: Environment, names: Names) -> dict[str, Resource]:
    """The bus, who else may put events on it, and the role of what relays; nothing for a bus that is there."""
    bus = environment.bus
    name = names.bus(bus)
    found: dict[str, Resource] = {}
    if bus.is_owned or _relays(jobfile, bus):
        about = f"the event bus {name}"
        found["Bus"] = resource(about, "AWS::Events::EventBus", {"Name": name})
    accounts = sorted(bus.accounts or ())
    if _relays(jobfile, bus):
        owner = account_of(bus)
        accounts = [owner]
        found["RelayRole"] = policy.role(
            f"what the rules on account {owner}'s event bus may do",
            "events.amazonaws.com",
            # the rule is ours by its name; whose account its ARN has when EventBridge asks is documented nowhere
            [sub(f"{each}/wherry-${{AWS::AccountId}}-*") for each in (rules_of(bus), _rules_here(bus))],
            [allow([_PUT], {"Fn::GetAtt": ["Bus", "Arn"]})],
            here=False,
        )
    if accounts:
        found["BusPolicy"] = resource(
            f"who else may put events on the event bus {name}",
            "AWS::Events::EventBusPolicy",
            {
                "EventBusName": reference(bus),
                "StatementId": shorten(f"wherry-{names.stem}", _STATEMENT),
                "Statement": {
                    "Effect": "Allow",
                    "Principal": {"AWS": [sub(f"arn:${{AWS::Partition}}:iam::{each}:root") for each in accounts]},
                    "Action": _PUT,
                    "Resource": arn("events", f"event-bus/{name}"),
                },
            },
        )
    return found


def reference(bus: Bus) -> Any:
    """The bus in this account on which rules are made: a function of CloudFormation where the stack makes it."""
    return {"Ref": "Bus"} if bus.is_owned or bus.is_elsewhere else bus.name


def relay(name: str, about: str, bus: Bus, pattern: Any) -> Resource:
    """A rule on another account's bus that hands its events to the environment's own; they stay as they are."""
    target = {
        "Id": "relay",
        "Arn": {"Fn::GetAtt": ["Bus", "Arn"]},
        "RoleArn": {"Fn::GetAtt": ["RelayRole", "Arn"]},
    }
    properties = {
        "EventBusName": bus.name,
        "Name": sub(name),
        "EventPattern": pattern,
        "State": "ENABLED",
        "Targets": [target],
    }
    # the bus must take an event before the first one comes
    return resource(about, "AWS::Events::Rule", properties, DependsOn="BusPolicy")


def account_of(bus: Bus) -> str:
    """The account of a bus that is given by its ARN."""
    return bus.name.split(":")[4]


def region_of(bus: Bus) -> str:
    """The region of a bus that is given by its ARN."""
    return bus.name.split(":")[3]


def rules_of(bus: Bus) -> str:
    """What the ARNs of all rules on a bus that is given by its ARN begin with."""
    return bus.name.replace(":event-bus/", ":rule/")


def _rules_here(bus: Bus) -> str:
    """The same with the account of whoever has made them."""
    return rules_of(bus).replace(f":{account_of(bus)}:", ":${AWS::AccountId}:")


def leave_for(bus: Bus, account: str) -> str:
    """The statement that another account's bus needs so that an account can make and remove rules of its own on it.

    Source: EventBridge User Guide, "Permissions for event buses"; tags come with every resource of a stack.
    """
    actions = ["PutRule", "DeleteRule", "DescribeRule", "EnableRule", "DisableRule", "PutTargets", "RemoveTargets"]
    actions += ["ListTargetsByRule", "ListTagsForResource", "TagResource", "UntagResource"]
    statement = {
        "Sid": f"RulesOf{account}",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{bus.name.split(':')[1]}:iam::{account}:root"},
        "Action": [f"events:{action}" for action in actions],
        "Resource": f"{rules_of(bus)}/wherry-{account}-*",
        "Condition": {"StringEqualsIfExists": {"events:creatorAccount": account}},
    }
    return json.dumps(statement)


def _relays(jobfile: JobFile, bus: Bus) -> bool:
    """Whether anything listens on another account's bus."""
    triggers = (trigger for job in jobfile.jobs.values() for trigger in job.triggers)
    feeds = (queue.feed for queue in jobfile.queues.values())
    return bus.is_elsewhere and (
        any(isinstance(trigger, EventTrigger) for trigger in triggers)
        or any(feed is not None and feed.pattern is not None for feed in feeds)
    )

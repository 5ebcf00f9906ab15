"""What tells people: the topic, the watch with its schedules and roles, the alarms. Pure.

All of it is there only when the environment has `alerts`; the ledger of `wherry status` needs none of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from wherry import schedule
from wherry.aws import alarms, policy, triggers
from wherry.aws.names import Names
from wherry.aws.policy import arn
from wherry.aws.storage import Resource, resource
from wherry.aws.watch import PULSE, watch
from wherry.model import Environment, Job, JobFile, ScheduleTrigger


def alerting(jobfile: JobFile, environment: Environment, names: Names, ids: Mapping[str, str]) -> dict[str, Resource]:
    """Everything that tells; nothing without `alerts`, or without jobs."""
    addresses = [str(address) for address in environment.alerts]
    if not addresses or not jobfile.jobs:
        return {}
    topics: list[Any] = [address for address in addresses if address.startswith("arn:")]
    found = _topic(names, [address for address in addresses if not address.startswith("arn:")])
    if found:
        topics.insert(0, {"Ref": "Alerts"})
    found |= _machine(names, topics) | _starters(names)
    for job in jobfile.jobs.values():
        for trigger in job.triggers:
            if isinstance(trigger, ScheduleTrigger):
                found |= _beside(job, trigger, names, ids[job.name])
    return found | alarms.alarms(names, topics) | alarms.of_queues(jobfile, names, topics)


def _topic(names: Names, addresses: Sequence[str]) -> dict[str, Resource]:
    """The topic with its subscribers; nothing when all addresses are topics of others."""
    if not addresses:
        return {}
    # not as a property of the topic: whether CloudFormation takes back what leaves that list is not documented
    subscriptions = {
        f"Alerts{hashlib.sha256(address.encode()).hexdigest()[:8]}": _subscription(address) for address in addresses
    }
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": {"Ref": "Alerts"},
        "Condition": {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
            "ArnLike": {"aws:SourceArn": arn("cloudwatch", f"alarm:{names.alarm('*')}")},
        },
    }
    return {
        "Alerts": resource("the topic of failures", "AWS::SNS::Topic", {"TopicName": names.topic}),
        "AlertsPolicy": resource(
            # the watch is of this account, and publishes by the leave of its role
            "who else may report failures: the alarms of this stack",
            "AWS::SNS::TopicPolicy",
            {
                "Topics": [{"Ref": "Alerts"}],
                "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            },
        ),
        **subscriptions,
    }


def _subscription(address: str) -> Resource:
    """Mail; or posts of what `alerts` posts here, too, without the envelope of SNS."""
    posted = {
        "Protocol": "https",
        "RawMessageDelivery": True,
        "DeliveryPolicy": {"requestPolicy": {"headerContentType": "application/json"}},
    }
    kind = posted if address.startswith("https:") else {"Protocol": "email"}
    properties = {"TopicArn": {"Ref": "Alerts"}, "Endpoint": address, **kind}
    return resource(f"alerts to {address}", "AWS::SNS::Subscription", properties)


def _machine(names: Names, topics: Sequence[Any]) -> dict[str, Resource]:
    """The watch, and what it may do."""
    runs = arn("states", f"execution:{names.prefix}*")
    cluster = {"ArnEquals": {"ecs:cluster": arn("ecs", f"cluster/{names.cluster}")}}
    statements = [
        policy.allow(["states:DescribeExecution", "states:GetExecutionHistory"], runs),
        policy.allow(["states:ListExecutions"], triggers.machines_arn(names, "*")),
        policy.allow(["states:StartExecution"], arn("states", f"stateMachine:{names.watch}")),
        policy.allow(["scheduler:GetSchedule"], arn("scheduler", f"schedule/{names.schedules}/*")),
        # without a container instance in the request there is no resource to name (ECS, "List tasks" examples)
        policy.allow(["ecs:ListTasks"], "*", cluster),
        policy.allow(["ecs:DescribeTasks"], arn("ecs", f"task/{names.cluster}/*")),
        policy.allow(["sns:Publish"], list(topics)),
    ]
    return {
        "WatchRole": policy.role(
            "what the watch may do",
            "states.amazonaws.com",
            arn("states", f"stateMachine:{names.watch}"),
            statements,
        ),
        "Watch": resource(
            "the watch: tells what should have happened and did not",
            "AWS::StepFunctions::StateMachine",
            {
                "StateMachineName": names.watch,
                "StateMachineType": "STANDARD",
                "RoleArn": {"Fn::GetAtt": ["WatchRole", "Arn"]},
                "Definition": watch(names, topics),
            },
        ),
    }


def _starters(names: Names) -> dict[str, Resource]:
    """What starts the watch, beside the schedules: the pulse; and the roles of both and of the rule of failures."""
    start = policy.allow(["states:StartExecution"], {"Ref": "Watch"})
    bury = policy.allow(["sqs:SendMessage"], {"Fn::GetAtt": ["DeadLetters", "Arn"]})
    given = {"pulse": "<aws.scheduler.scheduled-time>"}
    return {
        "WatchRulesRole": policy.role(
            "what the rule of failures may do",
            "events.amazonaws.com",
            arn("events", f"rule/{names.rule('Failures')}"),
            [start],
        ),
        "WatchSchedulesRole": policy.role(
            "what the schedules of the watch may do",
            "scheduler.amazonaws.com",
            triggers.schedule_group_arn(names.watches),
            [start, bury],
        ),
        "Watches": resource("the schedules of the watch", "AWS::Scheduler::ScheduleGroup", {"Name": names.watches}),
        "Pulse": _schedule(names.rule("Pulse"), "looks for tasks that hang while they start", PULSE, "UTC", given),
    }


def _beside(job: Job, trigger: ScheduleTrigger, names: Names, job_id: str) -> dict[str, Resource]:
    """The schedule beside a schedule. It goes before that one and comes after it, so that it never asks in vain."""
    watched = triggers.logical_id(job_id, trigger)
    given: dict[str, Any] = {
        "job": job.name,
        "machine": f"${{{job_id}Machine}}",
        "label": trigger.label,
        "schedule": names.rule(watched),
        "at": "<aws.scheduler.scheduled-time>",
    }
    parsed = schedule.parse(trigger.expression)
    if isinstance(parsed, schedule.Rate):
        given["period"] = int(parsed.interval.total_seconds())
    if trigger.window:
        given["window"] = int(trigger.window.total_seconds() * 1000)
    logical_id = triggers.logical_id(job_id, trigger, "Watch")
    about = f"job {job.name}: whether {trigger.expression} ({trigger.timezone}) has begun"
    made = _schedule(names.rule(logical_id), about, parsed.to_eventbridge(), trigger.timezone, given)
    return {logical_id: made | {"DependsOn": [watched]}}


def _schedule(name: str, about: str, expression: str, timezone: str, given: Mapping[str, str]) -> Resource:
    text = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
    return resource(
        about,
        "AWS::Scheduler::Schedule",
        {
            "Name": name,
            "GroupName": {"Ref": "Watches"},
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED",
            "Target": {
                "Arn": {"Ref": "Watch"},
                "RoleArn": {"Fn::GetAtt": ["WatchSchedulesRole", "Arn"]},
                "Input": policy.sub(text),
                "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
            },
        },
    )

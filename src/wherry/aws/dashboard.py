"""A page of graphs in CloudWatch: triggers, runs, dead letters. Pure.

Metrics that cost nothing. Tasks on Fargate have none of their own (CPU and memory are Container Insights', which is
paid), so of them there is the account's count of vCPUs alone. Sources: CloudWatch API Reference, "Dashboard Body
Structure and Syntax"; EventBridge User Guide, "Monitoring Amazon EventBridge" (a rule on another bus than the default
one has both dimensions); ECS Developer Guide, "AWS Fargate usage metrics".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from wherry.aws import triggers
from wherry.aws.names import Names
from wherry.aws.policy import sub
from wherry.aws.storage import Resource, resource
from wherry.model import Environment, EventTrigger, InvokeTrigger, JobFile, QueueTrigger, ScheduleTrigger

#: So many graphs of one page may be of metrics, all together (CloudWatch quotas).
MOST = 2_500
#: The page has 24 columns.
_WIDTH, _HEIGHT = 8, 6
_MACHINE = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:"
_RULES = {
    "TriggeredRules": "events that matched, by rule",
    "Invocations": "deliveries, by rule",
    "FailedInvocations": "deliveries that failed, by rule",
}
_RUNS = {
    "ExecutionsStarted": "runs started",
    "ExecutionsSucceeded": "runs that succeeded or were skipped",
    "ExecutionsFailed": "runs that failed",
    "ExecutionsTimedOut": "runs over their deadline",
    "ExecutionsAborted": "runs that were stopped",
}
_WAITING = "ApproximateNumberOfMessagesVisible"
_QUEUES = {
    _WAITING: ("messages that wait", "Maximum"),
    "ApproximateNumberOfMessagesNotVisible": ("messages that are worked on", "Maximum"),
    "ApproximateAgeOfOldestMessage": ("age of the oldest message, in seconds", "Maximum"),
    "NumberOfMessagesDeleted": ("messages done", "Sum"),
}
_SCHEDULES = {
    "InvocationAttemptCount": "fired",
    "TargetErrorCount": "refused",
    "InvocationDroppedCount": "given up",
    "InvocationsSentToDeadLetterCount": "dead letters",
}
#: Triggers that no rule of EventBridge hands to the dispatcher.
_WITHOUT_RULE = ScheduleTrigger | InvokeTrigger | QueueTrigger
Metric = list[Any]


def dashboard(jobfile: JobFile, environment: Environment, names: Names, ids: Mapping[str, str]) -> Resource:
    """The page. `refusals` has seen to it that not too much is on it."""
    rules = list(_rules(jobfile, environment, names, ids))
    arns = {job: f"{_MACHINE}{names.machine(job)}" for job in jobfile.jobs}
    graphs = [
        (title, [["AWS/States", metric, "StateMachineArn", arn, {"label": job}] for job, arn in arns.items()])
        for metric, title in _RUNS.items()
    ]
    group = [
        ["AWS/Scheduler", metric, "ScheduleGroup", names.schedules, {"label": label}]
        for metric, label in _SCHEDULES.items()
    ]
    if any(isinstance(trigger, ScheduleTrigger) for job in jobfile.jobs.values() for trigger in job.triggers):
        graphs.append(("schedules", group))
    if rules:
        graphs += [(title, [["AWS/Events", metric, *rule] for rule in rules]) for metric, title in _RULES.items()]
    graphs += _queues(jobfile, names)
    waiting = ["AWS/SQS", _WAITING, "QueueName", names.dead_letters, {"stat": "Maximum"}]
    graphs += [("dead letters that wait", [waiting]), ("vCPUs on Fargate, of the whole account", _usage())]
    widgets = [_widget(number, title, metrics) for number, (title, metrics) in enumerate(graphs) if metrics]
    body = json.dumps({"periodOverride": "inherit", "widgets": widgets}, ensure_ascii=False, separators=(",", ":"))
    return resource(
        "the page of graphs",
        "AWS::CloudWatch::Dashboard",
        {"DashboardName": names.stem, "DashboardBody": sub(body)},
    )


def size(jobfile: JobFile) -> int:
    """How many graphs of metrics a page of these jobs has."""
    kinds = [trigger for job in jobfile.jobs.values() for trigger in job.triggers]
    events = sum(not isinstance(trigger, _WITHOUT_RULE) for trigger in kinds)
    queues = (len(_QUEUES) + 1) * len(jobfile.queues)
    return len(_RUNS) * len(jobfile.jobs) + len(_RULES) * events + queues + len(_SCHEDULES) + 3


def _queues(jobfile: JobFile, names: Names) -> list[tuple[str, list[Metric]]]:
    """What waits in queues, what is worked on, and what comes of it."""
    found: list[tuple[str, list[Metric]]] = [
        (
            title,
            [
                ["AWS/SQS", metric, "QueueName", names.queue(queue.name), {"label": queue.name, "stat": stat}]
                for queue in jobfile.queues.values()
            ],
        )
        for metric, (title, stat) in _QUEUES.items()
    ]
    letters = [
        ["AWS/SQS", _WAITING, "QueueName", names.queue(queue.dead_letters), {"label": queue.name, "stat": "Maximum"}]
        for queue in jobfile.queues.values()
    ]
    return [*found, ("dead letters of queues", letters)]


def rule_dimensions(trigger: object, name: str, names: Names, environment: Environment) -> dict[str, str]:
    """By which a rule's metrics are found."""
    bus = names.bus(environment.bus)
    elsewhere = isinstance(trigger, EventTrigger) and bus != "default"
    return {**({"EventBusName": bus} if elsewhere else {}), "RuleName": name}


def _rules(jobfile: JobFile, environment: Environment, names: Names, ids: Mapping[str, str]) -> Iterable[Metric]:
    """The end of a metric of each rule."""
    for job in jobfile.jobs.values():
        for trigger in job.triggers:
            if not isinstance(trigger, _WITHOUT_RULE):
                name = names.rule(triggers.logical_id(ids[job.name], trigger))
                dimensions = rule_dimensions(trigger, name, names, environment)
                flat = [part for each in dimensions.items() for part in each]
                yield [*flat, {"label": f"{job.name}: {trigger.kind}"}]


def _usage() -> list[Metric]:
    known = ["AWS/Usage", "ResourceCount", "Service", "Fargate", "Type", "Resource", "Resource", "vCPU", "Class"]
    return [[*known, f"Standard/{kind}", {"label": kind, "stat": "Maximum"}] for kind in ("OnDemand", "Spot")]


def _widget(number: int, title: str, metrics: list[Metric]) -> dict[str, Any]:
    row, column = divmod(number, 24 // _WIDTH)
    return {
        "type": "metric",
        "x": column * _WIDTH,
        "y": row * _HEIGHT,
        "width": _WIDTH,
        "height": _HEIGHT,
        "properties": {
            "title": title,
            "region": "${AWS::Region}",
            "view": "timeSeries",
            "stat": "Sum",
            "period": 300,
            "metrics": metrics,
        },
    }

"""How many workers there are: the rule of `wherry.scaling` as alarms and step policies. Pure.

**Out.** While all workers are busy, the rule wants one more for each `backlog` messages that wait, beside those that
are there: that is a step for each number of them, added to the capacity. Workers that are still starting are not busy
yet; so long a step is not taken again, only a larger one is, by the difference (`Cooldown`, for scaling out). Never is
a number of workers written: it could be a lower one. (`ExactCapacity` of what waits would take workers away as soon as
less waits, and they are still at work.) Something has to wait at two minutes' ends: at one it may be that the first
worker, which the waker has started, is just on its way.

**In.** Only where nothing has waited, nothing has been worked on, nothing has been taken, and somebody has asked for
messages in vain, in each minute of `idle`: then down to `min`. So there has been a worker for so long, with nothing to
do. Without the asking the alarm would go on while there is no worker, and take away the one that the waker has just
started, before any metric shows its message; and what waits and is worked on are counts of a moment, which know nothing
of a message that came and was done between two of them. Minutes without data count as minutes with messages.

Of lateness (the rule's second part) the metrics do not tell: the age of the oldest message counts those that are being
worked on.

Sources: Application Auto Scaling API Reference, StepScalingPolicyConfiguration, StepAdjustment; CloudWatch User Guide,
"Evaluating an alarm", "Configuring how alarms treat missing data"; ECS Developer Guide, "Service auto scaling".
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from wherry.aws import capacity
from wherry.aws.names import Names
from wherry.aws.policy import sub
from wherry.aws.storage import Resource, resource
from wherry.model import Environment, Job, Queue, QueueTrigger

#: Seconds: what one data point of SQS stands for, and how often alarms look.
_MINUTE = 60
#: A policy has no more steps (Application Auto Scaling quotas).
_MOST_STEPS = 20
#: Seconds until a worker that was asked for takes messages and the metrics show it; an instance has to come first.
_STARTING, _STARTING_WITH_INSTANCE = 180, 480
_WAITING = "ApproximateNumberOfMessagesVisible"
#: What tells whether workers are needed: variables of the alarm's expression, their metrics and statistics.
_WORK = {
    "waiting": (_WAITING, "Maximum"),
    "working": ("ApproximateNumberOfMessagesNotVisible", "Maximum"),
    "taken": ("NumberOfMessagesReceived", "Sum"),
    "asked": ("NumberOfEmptyReceives", "Sum"),
}
_LEFT = "IF(asked > 0, waiting + working + taken, 1)"


def scaling(
    environment: Environment, names: Names, job: Job, queue: Queue, trigger: QueueTrigger, worker_id: str
) -> dict[str, Resource]:
    """The bounds of a service, and where they leave anything to decide the policies with their alarms."""
    about = f"job {job.name}: its workers at queue {queue.name}"
    trigger, why = _useful(queue, trigger)
    target = f"{worker_id}Target"
    bounds = {
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": sub(f"service/${{Cluster}}/${{{worker_id}.Name}}"),
        "MinCapacity": trigger.min_workers,
        "MaxCapacity": trigger.max_workers,
    }
    kind = "AWS::ApplicationAutoScaling::ScalableTarget"
    found = {target: resource(f"{about}: {trigger.min_workers} to {trigger.max_workers}{why}", kind, bounds)}
    if trigger.max_workers == trigger.min_workers:
        return found
    dimensions = [{"Name": "QueueName", "Value": names.queue(queue.name)}]
    slow = capacity.on_instances(environment)
    base = f"{job.name}_{queue.name.replace('.', '_')}"
    found[f"{worker_id}More"] = _policy(
        f"{about}: more of them",
        names.alarm(f"{base}-more"),
        target,
        "ChangeInCapacity",
        _STARTING_WITH_INSTANCE if slow else _STARTING,
        steps(trigger),
    )
    found[f"{worker_id}MoreAlarm"] = _alarm(
        f"{about}: messages wait",
        names.alarm(f"{base}-more"),
        f"{worker_id}More",
        {
            "Namespace": "AWS/SQS",
            "MetricName": _WAITING,
            "Dimensions": dimensions,
            "Statistic": "Maximum",
            "Period": _MINUTE,
            "EvaluationPeriods": 2,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "Threshold": 1,
        },
    )
    found[f"{worker_id}Fewer"] = _policy(
        f"{about}: down to {trigger.min_workers}",
        names.alarm(f"{base}-fewer"),
        target,
        "ExactCapacity",
        _MINUTE,
        [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": trigger.min_workers}],
    )
    found[f"{worker_id}FewerAlarm"] = _alarm(
        f"{about}: nothing is left to do",
        names.alarm(f"{base}-fewer"),
        f"{worker_id}Fewer",
        {
            "Metrics": [
                *(_metric(each, metric, stat, dimensions) for each, (metric, stat) in _WORK.items()),
                {"Id": "left", "Label": "what is left to do", "Expression": _LEFT, "ReturnData": True},
            ],
            "EvaluationPeriods": max(1, math.ceil(trigger.idle.total_seconds() / _MINUTE)),
            "ComparisonOperator": "LessThanOrEqualToThreshold",
            "Threshold": 0,
        },
    )
    return found


def _useful(queue: Queue, trigger: QueueTrigger) -> tuple[QueueTrigger, str]:
    """A trigger with no more workers than can have work at once, and why, in words.

    A rule gives its messages one group, of which SQS hands out nothing while something of it is worked on: a second
    worker would stand idle for as long as the first one has to do.
    """
    if not (queue.is_fifo and queue.feed is not None) or trigger.max_workers <= max(1, trigger.min_workers):
        return trigger, ""
    return replace(trigger, max_workers=max(1, trigger.min_workers)), ", for what feeds it is one message group"


def steps(trigger: QueueTrigger) -> list[dict[str, int]]:
    """How many workers are added, by how many messages wait; bounds count from the threshold, which is 1."""
    numbers = _numbers(trigger.max_workers - trigger.min_workers)
    befores = [0, *numbers[:-1]]
    found = []
    for before, number in zip(befores, numbers, strict=True):
        step = {"MetricIntervalLowerBound": before * trigger.backlog, "ScalingAdjustment": number}
        if number != numbers[-1]:
            step["MetricIntervalUpperBound"] = number * trigger.backlog
        found.append(step)
    return found


def _numbers(most: int) -> list[int]:
    """1 to the most; where there are too many for steps, some are left out, the more the larger they are."""
    if most <= _MOST_STEPS:
        return list(range(1, most + 1))
    return sorted({math.ceil(most ** (each / (_MOST_STEPS - 1)) - 1e-9) for each in range(_MOST_STEPS)})


def _policy(
    about: str, name: str, target: str, kind: str, cooldown: int, adjustments: list[dict[str, int]]
) -> Resource:
    return resource(
        about,
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        {
            "PolicyName": name,
            "PolicyType": "StepScaling",
            "ScalingTargetId": {"Ref": target},
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": kind,
                "Cooldown": cooldown,
                "MetricAggregationType": "Maximum",
                "StepAdjustments": adjustments,
            },
        },
    )


def _alarm(about: str, name: str, policy: str, properties: dict[str, Any]) -> Resource:
    return resource(
        about,
        "AWS::CloudWatch::Alarm",
        {
            "AlarmName": name,
            "AlarmDescription": about,
            **properties,
            "TreatMissingData": "notBreaching",
            "AlarmActions": [{"Ref": policy}],
        },
    )


def _metric(name: str, metric: str, statistic: str, dimensions: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {"Namespace": "AWS/SQS", "MetricName": metric, "Dimensions": dimensions},
            "Period": _MINUTE,
            "Stat": statistic,
        },
        "ReturnData": False,
    }

"""Alarms for what the watch cannot tell: what was delivered nowhere, and its own end. Pure.

CloudWatch publishes to the topics by itself. Each alarm costs $0.10 a month beyond the first ten of an account.

Sources: EventBridge Scheduler User Guide, "Monitoring with CloudWatch" (dimension `ScheduleGroup`: if AWS called it
otherwise, the alarm of silence would itself be silent; nobody here has seen it go off on AWS); Step Functions Developer
Guide, "Monitoring with CloudWatch"; SQS Developer Guide, "Available CloudWatch metrics".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wherry.aws.names import Names
from wherry.aws.storage import Resource, resource

_MINUTES = 60


def alarms(names: Names, topics: Sequence[Any]) -> dict[str, Resource]:
    """The alarms; an alarm has five actions at most, and so have the topics (`refusals`)."""
    where, env = f"{names.app} {names.environment}", f"--env {names.environment}"
    return {
        "DeadLettersAlarm": _alarm(
            names.alarm("dead-letters"),
            f"{where}: dead letters wait: runs that failed, or events and firings that could not be delivered. "
            f"`wherry dead-letters {env}` lists them.",
            (
                "AWS/SQS",
                "ApproximateNumberOfMessagesVisible",
                "QueueName",
                {"Fn::GetAtt": ["DeadLetters", "QueueName"]},
            ),
            {"Statistic": "Maximum", "Period": 5 * _MINUTES, "TreatMissingData": "notBreaching"},
            {"AlarmActions": list(topics)},
        ),
        "WatchAlarm": _alarm(
            names.alarm("watch"),
            f"{where}: the watch of schedules and failures has itself failed, and something may not have been told. "
            f"`wherry status {env}` lists what failed and what was missed.",
            ("AWS/States", "ExecutionsFailed", "StateMachineArn", {"Ref": "Watch"}),
            {"Statistic": "Sum", "Period": 5 * _MINUTES, "TreatMissingData": "notBreaching"},
            {"AlarmActions": list(topics)},
        ),
        # Missing data are told as such: an alarm begins without any, and that is no change. Had it to go off then, each
        # first deploy would set it off.
        "SilenceAlarm": _alarm(
            names.alarm("silence"),
            f"{where}: no schedule has fired for some time, so that nobody notices what is missed. Are the schedules "
            f"there, and enabled? `wherry deploy {env}` restores them.",
            ("AWS/Scheduler", "InvocationAttemptCount", "ScheduleGroup", names.watches),
            {
                "Statistic": "Sum",
                "Period": 30 * _MINUTES,
                "TreatMissingData": "missing",
                "ComparisonOperator": "LessThanThreshold",
            },
            {"AlarmActions": list(topics), "InsufficientDataActions": list(topics)},
        ),
    }


def _alarm(
    name: str, said: str, metric: tuple[str, str, str, Any], how: dict[str, Any], actions: dict[str, Any]
) -> Resource:
    namespace, metric_name, dimension, value = metric
    properties = {
        "AlarmName": name,
        "AlarmDescription": said,
        "Namespace": namespace,
        "MetricName": metric_name,
        "Dimensions": [{"Name": dimension, "Value": value}],
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 1,
        "EvaluationPeriods": 1,
        **how,
        **actions,
    }
    return resource(f"alarm: {name}", "AWS::CloudWatch::Alarm", properties)

"""Alarms for what the watch cannot tell: what was delivered nowhere, and its own end. Pure.

CloudWatch publishes to the topics by itself. Each alarm costs $0.10 a month beyond the first ten of an account.

Sources: EventBridge Scheduler User Guide, "Monitoring with CloudWatch" (dimension `ScheduleGroup`: if AWS called it
otherwise, the alarm of silence would itself be silent; nobody here has seen it go off on AWS); Step Functions Developer
Guide, "Monitoring with CloudWatch"; SQS Developer Guide, "Available CloudWatch metrics".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from wherry.aws import queues
from wherry.aws.names import Names
from wherry.aws.storage import Resource, resource
from wherry.model import Job, JobFile

_MINUTES = 60
_WAITING = "ApproximateNumberOfMessagesVisible"
#: A message that waits so long has probably nobody who takes it; and so long is the work where nothing bounds it.
_PATIENCE, _UNKNOWN = timedelta(hours=1), timedelta(hours=5)


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
                _WAITING,
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


def of_queues(jobfile: JobFile, names: Names, topics: Sequence[Any]) -> dict[str, Resource]:
    """Of each queue: messages that were given up; and with workers, one that nobody comes to take."""
    where, env = f"{names.app} {names.environment}", f"--env {names.environment}"
    how = {"Statistic": "Maximum", "Period": 5 * _MINUTES, "TreatMissingData": "notBreaching"}
    found = {}
    for queue in jobfile.queues.values():
        base = f"queue-{queue.name.replace('.', '_')}"
        found[f"{queues.letters_id(queue.name)}Alarm"] = _alarm(
            names.alarm(f"{base}-dead-letters"),
            f"{where}: queue {queue.name} has dead letters: messages that failed {queue.max_receives} times. "
            f"`wherry queues {env}` counts them, `wherry queue redrive {queue.name} {env}` gives them back.",
            ("AWS/SQS", _WAITING, "QueueName", names.queue(queue.dead_letters)),
            how,
            {"AlarmActions": list(topics)},
        )
        taker = jobfile.taker(queue.name)
        if taker is not None:
            threshold = int(patience(taker[0]).total_seconds())
            found[f"{queues.queue_id(queue.name)}OldAlarm"] = _alarm(
                names.alarm(f"{base}-old"),
                f"{where}: a message of queue {queue.name} is not done after {threshold // 60} minutes. "
                f"`wherry queues {env}` shows whether workers are there.",
                ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", names.queue(queue.name)),
                {**how, "Threshold": threshold},
                {"AlarmActions": list(topics)},
            )
    return found


def patience(job: Job) -> timedelta:
    """How old the oldest message may become: that counts those that are being worked on, so the work is in it."""
    return _PATIENCE + (job.timeout or _UNKNOWN)


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

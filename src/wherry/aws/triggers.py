"""Triggers as rules and schedules; each hands the whole event to the dispatcher. Pure.

The event goes through an input transformer as `<aws.events.event.json>`, which is put in as JSON and so survives every
key (EventBridge User Guide, "Input transformation"); single values would not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from wherry import causes, schedule
from wherry.aws import buses
from wherry.aws.firing import interval_of
from wherry.aws.names import Names
from wherry.aws.policy import arn
from wherry.aws.storage import Resource, resource
from wherry.model import AfterTrigger, Bus, Environment, EventTrigger, Job, ScheduleTrigger, Trigger, UploadTrigger

#: A day and 185 tries, the most there is (EventBridge and Scheduler API, RetryPolicy).
DAY = 86_400
TRIES = 185
#: `catch_up: none` takes a firing that is at most so late, in seconds (lifecycle.FIRING_GRACE).
_LATE = 60
#: How a run before must have ended -> the words of Step Functions among which the dispatcher looks closer.
_ENDS = {
    "success": (["SUCCEEDED"], ["succeeded"]),
    "failure": (["FAILED", "TIMED_OUT"], ["failed", "timed_out"]),
    "any": (["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"], ["succeeded", "failed", "timed_out", "stopped"]),
}
_EVENT = "<aws.events.event.json>"


def trigger_resource(
    job: Job,
    trigger: Trigger,
    environment: Environment,
    names: Names,
    buckets: Mapping[str, Any],
    ids: Mapping[str, str],
) -> dict[str, Resource]:
    """The resource of one trigger, under its logical id; `buckets` are values for patterns, `ids` those of jobs."""
    given = {"job": job.name, "machine": f"${{{ids[job.name]}Machine}}", **told(job, trigger)}
    found = logical_id(ids[job.name], trigger)
    match trigger:
        case ScheduleTrigger():
            return {found: _schedule(job, trigger, names.rule(found), given)}
        case UploadTrigger():
            pattern = causes.upload_pattern("", trigger.prefix, trigger.suffix)
            pattern["detail"]["bucket"]["name"] = [buckets[trigger.bucket]]
            about = f"job {job.name}: uploads to {trigger.bucket}"
            return {found: _rule(names.rule(found), about, pattern, given)}
        case EventTrigger():
            return _events(job, trigger, environment.bus, names, found, given)
        case AfterTrigger():
            theirs, _ = _ENDS[trigger.when]
            pattern = {
                "source": ["aws.states"],
                "detail-type": ["Step Functions Execution Status Change"],
                "detail": {"stateMachineArn": [{"Ref": f"{ids[trigger.job]}Machine"}], "status": theirs},
            }
            about = f"job {job.name}: after {trigger.job} ({trigger.when})"
            return {found: _rule(names.rule(found), about, pattern, given)}
    return {}


def told(job: Job, trigger: Trigger) -> dict[str, Any]:
    """What a trigger tells the dispatcher beside the event and the machine."""
    given: dict[str, Any] = {"job": job.name, "trigger": trigger.kind}
    match trigger:
        case ScheduleTrigger():
            given |= {"label": trigger.label, "schedule": trigger.expression, **interval_of(trigger)}
            given["scheduled-time"] = "<aws.scheduler.scheduled-time>"
        case AfterTrigger():
            given |= {"after": trigger.job, "statuses": _ENDS[trigger.when][1]}
    return given


def _events(
    job: Job, trigger: EventTrigger, bus: Bus, names: Names, logical_id: str, given: dict[str, Any]
) -> dict[str, Resource]:
    """The rule of a pattern, and where the bus is another account's the rule there that hands its events on."""
    about = f"job {job.name}: events that match its pattern"
    pattern = dict(trigger.pattern)
    found = {logical_id: _rule(names.rule(logical_id), about, pattern, given, bus=buses.reference(bus))}
    if bus.is_elsewhere:
        where = f"job {job.name}: its events on the bus of account {buses.account_of(bus)}"
        relayed = buses.relay(names.relay_sub(logical_id), where, bus, without_nulls(pattern))
        found[f"{logical_id}Relay"] = relayed
    return found


def _rule(name: str, about: str, pattern: dict[str, Any], given: dict[str, Any], bus: Any = "default") -> Resource:
    template = json.dumps({**given, "event": _EVENT}, ensure_ascii=False).replace(f'"{_EVENT}"', _EVENT)
    target = {
        "Id": "dispatcher",
        "Arn": {"Ref": "Dispatcher"},
        "RoleArn": {"Fn::GetAtt": ["RulesRole", "Arn"]},
        "InputTransformer": {"InputTemplate": {"Fn::Sub": template}},
        "RetryPolicy": {"MaximumEventAgeInSeconds": DAY, "MaximumRetryAttempts": TRIES},
        "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
    }
    properties = {"Name": name, "EventPattern": without_nulls(pattern), "State": "ENABLED", "Targets": [target]}
    return resource(about, "AWS::Events::Rule", {"EventBusName": bus, **properties} if bus != "default" else properties)


def without_nulls(pattern: dict[str, Any]) -> Any:
    """A pattern that asks for null travels as text: CloudFormation refuses nulls anywhere in a template.

    The schema of AWS::Events::Rule takes an object or a string.
    """
    text = json.dumps(pattern, ensure_ascii=False, separators=(",", ":"))
    return text if _has_null(pattern) else pattern


def _has_null(node: Any) -> bool:
    match node:
        case dict():
            return any(_has_null(each) for each in node.values())
        case list() | tuple():
            return any(_has_null(each) for each in node)
    return node is None


def _schedule(job: Job, trigger: ScheduleTrigger, name: str, given: dict[str, Any]) -> Resource:
    parsed = schedule.parse(trigger.expression)
    late = _LATE if trigger.catch_up == "none" else DAY
    return resource(
        f"job {job.name}: {trigger.expression} ({trigger.timezone})",
        "AWS::Scheduler::Schedule",
        {
            "Name": name,
            "GroupName": {"Ref": "Schedules"},
            "ScheduleExpression": parsed.to_eventbridge(),
            "ScheduleExpressionTimezone": trigger.timezone,
            "FlexibleTimeWindow": _flexible(trigger),
            "State": "ENABLED",
            "Target": {
                "Arn": {"Ref": "Dispatcher"},
                "RoleArn": {"Fn::GetAtt": ["SchedulesRole", "Arn"]},
                "Input": {"Fn::Sub": json.dumps(given, ensure_ascii=False, separators=(",", ":"))},
                "RetryPolicy": {"MaximumEventAgeInSeconds": late, "MaximumRetryAttempts": TRIES},
                "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
            },
        },
    )


def _flexible(trigger: ScheduleTrigger) -> dict[str, Any]:
    if not trigger.window:
        return {"Mode": "OFF"}
    return {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": int(trigger.window / timedelta(minutes=1))}


def failures(names: Names, *, told: bool) -> Resource:
    """The rule that every run that ends badly meets: into the dead letters; and to the watch, which tells people."""
    letters = {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    targets: list[dict[str, Any]] = [{"Id": "dead-letters", "Arn": letters}]
    if told:
        targets.append(
            {
                "Id": "watch",
                "Arn": {"Ref": "Watch"},
                "RoleArn": {"Fn::GetAtt": ["WatchRulesRole", "Arn"]},
                "InputTransformer": {"InputTemplate": f'{{"ended": {_EVENT}}}'},
                "RetryPolicy": {"MaximumEventAgeInSeconds": DAY, "MaximumRetryAttempts": TRIES},
                "DeadLetterConfig": {"Arn": letters},
            }
        )
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [{"prefix": machines_arn(names, "")}], "status": ["FAILED", "TIMED_OUT"]},
    }
    return resource(
        "runs that end badly: dead letters and alerts",
        "AWS::Events::Rule",
        {"Name": names.rule("Failures"), "EventPattern": pattern, "State": "ENABLED", "Targets": targets},
    )


def machines_arn(names: Names, end: str) -> Any:
    """The ARN of all machines of the stack: their common beginning, and what follows."""
    return arn("states", f"stateMachine:{names.prefix}{end}")


def logical_id(job_id: str, trigger: Trigger, kind: str = "") -> str:
    """The logical id of a trigger, which stays when triggers are reordered; `kind` of something that belongs to it."""
    label = json.dumps(trigger.pattern, sort_keys=True) if isinstance(trigger, EventTrigger) else trigger.label
    return f"{job_id}{kind or trigger.kind.capitalize()}{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def schedule_group_arn(name: str) -> Any:
    """What Scheduler says it is when it assumes a role: the group, not the schedule."""
    return arn("scheduler", f"schedule-group/{name}")

"""The watch: what should have happened and did not is told, each finding once. One machine, started in four ways. Pure.

::

    a firing -> Grace -> Look -> Begun -> Read | Schedule -> Counts -> Missed --+
    the pulse -> Tasks -> Listed -> Describe -----------------------------------+-> Found <-> Say
    a run that ended badly -> Ended -> Failed | Unstarted ----------------------+        |
    tell <- under a name that only this finding has -------------------------------------+

Each schedule has another one beside it that fires the watch, with the same expression. It knows by itself when the
other was due, so no machine has to compute schedules; it shares nothing with what it watches (its group and its role
are its own) but Scheduler itself; and it costs when something fires, not while nothing does: six transitions, $0.00015,
a firing. A machine that looks now and then would have to know every expression, and costs the same for a schedule that
fires once a year. Only tasks that hang while they start are looked for so, because nothing happens that could start a
look.

What could silence the watch has alarms (`alarms`). A name of an execution is taken for 90 days: that is the lock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from wherry.aws import findings
from wherry.aws.asl import PATIENTLY, State, integration
from wherry.aws.jsonata import expression, literal
from wherry.aws.names import Names

#: A task that is not running so long after it was made, in seconds, is told.
STUCK = 900
#: How often that is looked for, as a schedule.
PULSE = "rate(15 minutes)"
#: States of a run machine before its first attempt.
BEFORE_RUN = ("Begin", "Check", "Store", "Admit", "Turn", "Queue")
#: So many tasks in one answer: each takes 12,000 characters at most, and a state's result 262,144.
_TASKS = 15
_UNKNOWN_RUN = "Sfn.ExecutionDoesNotExistException"
_TAKEN = "Sfn.ExecutionAlreadyExistsException"
_NOTHING = "no run of it was started"


def watch(names: Names, topics: Sequence[Any]) -> State:
    """The definition. Its input has `tell`, `ended`, `pulse`, or `job`, `machine`, `label`, `schedule` and `at`."""
    return {
        "Comment": "Tells what should have happened and did not",
        "QueryLanguage": "JSONata",
        "StartAt": "What",
        "States": {
            **_what(),
            **_firing(names),
            **_pulse(names),
            **_ended(names),
            **_found(),
            **findings.telling(topics),
            "Done": {"Type": "Succeed"},
        },
    }


def _what() -> dict[str, State]:
    given = "$exists($states.input.%s)"
    return {
        "What": {
            "Type": "Choice",
            "Choices": [
                {"Condition": expression(given % "period"), "Next": "Interval"},
                {"Condition": expression(given % "pulse"), "Assign": {"page": ""}, "Next": "Tasks"},
                {"Condition": expression(given % "ended"), "Next": "Ended"},
                {"Condition": expression(given % "tell"), "Assign": {"untold": ""}, "Next": "Tell0"},
            ],
            "Default": "Grace",
        }
    }


def _firing(names: Names) -> dict[str, State]:
    grace = expression(f"$fromMillis({findings.LATEST})")
    absent = {"status": "ABSENT"}
    return {
        "Grace": {"Type": "Wait", "Timestamp": grace, "Next": "Look"},
        "Interval": {"Type": "Wait", "Timestamp": grace, "Next": "Lately"},
        "Look": {
            "Type": "Task",
            "Comment": "The run that this firing must have",
            "Resource": integration("aws-sdk:sfn:describeExecution"),
            "Arguments": {"ExecutionArn": expression(findings.run_of_firing("$execution"))},
            "Output": expression('$merge([$states.input, {"status": $states.result.Status}])'),
            "Retry": [{"ErrorEquals": [_UNKNOWN_RUN], "MaxAttempts": 0}, *PATIENTLY],
            "Catch": [
                {
                    "ErrorEquals": [_UNKNOWN_RUN],
                    "Output": expression(f"$merge([$states.input, {json.dumps(absent)}])"),
                    "Next": "Begun",
                }
            ],
            "Next": "Begun",
        },
        "Lately": {
            "Type": "Task",
            "Comment": "rate() counts from a moment that only Scheduler knows: any run of a trigger will do",
            "Resource": integration("aws-sdk:sfn:listExecutions"),
            "Arguments": {"StateMachineArn": expression("$states.input.machine"), "MaxResults": 100},
            "Output": expression(f"$merge([$states.input, {findings.LATELY}])"),
            "Retry": PATIENTLY,
            "Next": "Begun",
        },
        "Begun": {
            "Type": "Choice",
            "Choices": [
                {"Condition": expression('$states.input.status = "RUNNING"'), "Next": "Read"},
                {"Condition": expression('$states.input.status = "ABSENT"'), "Next": "Schedule"},
            ],
            "Default": "Done",
        },
        "Read": {
            "Type": "Task",
            "Comment": "A run may be there and wait for its turn",
            "Resource": integration("aws-sdk:sfn:getExecutionHistory"),
            "Arguments": {
                "ExecutionArn": expression(findings.run_of_firing("$execution")),
                "ReverseOrder": True,
                "MaxResults": 10,
                "IncludeExecutionData": False,
            },
            "Output": expression(findings.waiting(BEFORE_RUN)),
            "Retry": PATIENTLY,
            "Next": "Counts",
        },
        "Schedule": {
            "Type": "Task",
            "Comment": "A schedule that somebody has disabled, or that is younger than the firing, has missed nothing",
            "Resource": integration("aws-sdk:scheduler:getSchedule"),
            "Arguments": {"GroupName": names.schedules, "Name": expression("$states.input.schedule")},
            "Output": expression(findings.enabled(_NOTHING)),
            "Retry": [{"ErrorEquals": [findings.NO_SCHEDULE], "MaxAttempts": 0}, *PATIENTLY],
            # what is in doubt is told
            "Catch": [{"ErrorEquals": ["States.ALL"], "Output": expression(findings.gone(_NOTHING)), "Next": "Counts"}],
            "Next": "Counts",
        },
        "Counts": {
            "Type": "Choice",
            "Choices": [{"Condition": expression("$states.input.counts"), "Next": "Missed"}],
            "Default": "Done",
        },
        "Missed": _finding(findings.missed(names), "A firing without a run"),
    }


def _pulse(names: Names) -> dict[str, State]:
    listed = f"""$merge([
  {{"Cluster": {literal(names.cluster)}, "DesiredStatus": "RUNNING", "MaxResults": {_TASKS}}},
  $page = "" ? {{}} : {{"NextToken": $page}}
])"""
    return {
        "Tasks": {
            "Type": "Task",
            "Resource": integration("aws-sdk:ecs:listTasks"),
            "Arguments": expression(listed),
            "Assign": {
                "page": expression('$type($states.result.NextToken) = "string" ? $states.result.NextToken : ""')
            },
            "Output": {"tasks": expression("[$states.result.TaskArns]")},
            "Retry": PATIENTLY,
            "Next": "Listed",
        },
        "Listed": {
            "Type": "Choice",
            "Choices": [{"Condition": expression("$count($states.input.tasks) > 0"), "Next": "Describe"}],
            "Default": "Done",
        },
        "Describe": {
            "Type": "Task",
            "Comment": "Those that hang while they start",
            "Resource": integration("aws-sdk:ecs:describeTasks"),
            "Arguments": {"Cluster": names.cluster, "Tasks": expression("$states.input.tasks")},
            "Assign": {"found": expression(findings.stuck(names, STUCK))},
            "Output": {"page": expression("$page")},
            "Retry": PATIENTLY,
            "Next": "Found",
        },
    }


def _ended(names: Names) -> dict[str, State]:
    machine = '$split($states.input.ended.detail.stateMachineArn, ":")[6]'
    return {
        "Ended": {
            "Type": "Choice",
            "Choices": [
                # nothing follows from the watch's own end: an alarm tells of it
                {"Condition": expression(f"{machine} = {literal(names.watch)}"), "Next": "Done"},
                {"Condition": expression(f"{machine} = {literal(names.dispatcher)}"), "Next": "Unstarted"},
            ],
            "Default": "Failed",
        },
        "Failed": _finding(findings.failed(names), "A run that ended badly"),
        "Unstarted": _finding(findings.unstarted(names), "A trigger that could not start a run"),
    }


def _found() -> dict[str, State]:
    rest = {"found": expression("[$filter($found, function($each, $place) { $place > 0 })]")}
    return {
        "Found": {
            "Type": "Choice",
            "Choices": [
                {"Condition": expression("$count($found) > 0"), "Next": "Say"},
                {"Condition": expression('$exists($states.input.page) and $states.input.page != ""'), "Next": "Tasks"},
            ],
            "Default": "Done",
        },
        "Say": {
            "Type": "Task",
            "Resource": integration("aws-sdk:sfn:startExecution"),
            "Arguments": {
                "StateMachineArn": expression("$states.context.StateMachine.Id"),
                "Name": expression("$found[0].lock"),
                "Input": expression('$string({"tell": $found[0]})'),
            },
            "Assign": rest,
            "Output": expression("$states.input"),
            "Retry": [{"ErrorEquals": [_TAKEN], "MaxAttempts": 0}, *PATIENTLY],
            "Catch": [
                {
                    "ErrorEquals": [_TAKEN],
                    "Assign": rest,
                    "Output": expression("$states.input"),
                    "Next": "Found",
                }
            ],
            "Next": "Found",
        },
    }


def _finding(text: str, comment: str) -> State:
    return {"Type": "Pass", "Comment": comment, "Assign": {"found": expression(text)}, "Output": {}, "Next": "Found"}

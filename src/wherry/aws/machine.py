"""The run machine: one execution is one round of a run, one visit of `Run` one attempt.

::

    Begin -> Check -> [Store] -> [Admit <-> Queue] -> Run -> Judge -> Decide -> Succeeded | Failed | TimedOut | Stopped
                                                       ^                |
                                                       └── Backoff ─────┘

There is no `Retry` on the task: its Catch keeps the stopped task, and `Judge` tells what could not start from the job's
own failure; the two have budgets of their own (Step Functions Developer Guide, "Handling errors"; the task has the
shape of ECS's DescribeTasks in PascalCase).

A further round is an execution of its own, whose input names the run and counts its earlier attempts: RedriveExecution
goes on with the state that did not succeed, which here is a `Fail` state and so fails again, and it would keep the
definition with which the run has failed (Step Functions Developer Guide, "Redriving executions").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherry import lifecycle
from wherry.aws.admission import admission
from wherry.aws.asl import PATIENTLY, State, integration
from wherry.aws.jsonata import expression, literal
from wherry.aws.judgement import judgement, seconds
from wherry.aws.overrides import LIMIT, Plan
from wherry.aws.policy import sub
from wherry.model import Job

#: After so many starts in vain (no Spot capacity, interruptions) an attempt is made on demand.
_PATIENCE_WITH_SPOT = 3


#: A cause has at most so many characters, and may be cut off there (API Reference, TaskFailedEventDetails).
_MOST_CAUSE = 32_768


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the machine names of the rest of the stack: CloudFormation's functions, or plain values."""

    cluster: Any
    task_definition: Any
    #: None where tasks have no network of their own.
    network: Any
    #: The bucket for events that are too large for a task's overrides; and the same as an expression.
    work_bucket: Any
    work_bucket_expression: str
    #: `fargate`, `fargate-spot`, or the name of a capacity provider.
    capacity: str
    #: The name of the container that decides.
    main: str
    #: How many containers get the event.
    containers: int


def run_machine(job: Job, around: Surroundings, plan: Plan) -> State:
    """The definition of a job's run machine."""
    first = "Run" if lifecycle.limit_of(job) is None else "Admit"
    states: dict[str, State] = {
        "Begin": _begin(plan),
        "Check": _check(around.containers, first),
        "Store": _store(job, around, first),
    }
    if lifecycle.limit_of(job) is not None:
        states |= admission(job)
    states["Run"] = _run(job, around)
    states |= judgement(job, around.main)
    return {
        "Comment": f"Runs of {job.name}",
        "QueryLanguage": "JSONata",
        # bounds the whole execution, and stops its task
        **({} if job.deadline is None else {"TimeoutSeconds": seconds(job.deadline)}),
        "StartAt": "Begin",
        "States": states,
    }


def _begin(plan: Plan) -> State:
    return {
        "Type": "Pass",
        "Comment": "The run's input, and the values that the job takes of its event",
        "Assign": {
            "asked": expression("$toMillis($states.context.Execution.StartTime)"),
            "attempt": expression("$exists($states.input.earlier) ? $states.input.earlier + 1 : 1"),
            "failures": 0,
            "unstarted": 0,
            "ahead": 0,
            "page": "",
            "reason": "",
            "exitCode": expression("null"),  # CloudFormation refuses nulls in templates
            "patient": expression("$exists($states.input.patient) ? $states.input.patient : false"),
            "event": expression("$states.input.event"),
            "missing": expression(plan.missing),
            "containers": sub(expression(plan.containers)),
        },
        "Next": "Check",
    }


def _check(containers: int, first: str) -> State:
    rest = "$length($string($containers))"
    event = f'{containers} * $length($string({{"e": $string($event)}}))'
    too_long = "could not start: the event's values are too long: ECS takes 8,192 characters of command and variables"
    return {
        "Type": "Choice",
        "Comment": "A value that is missing, or too long for ECS, fails the run before a task starts",
        "Choices": [
            {"Condition": expression('$missing != ""'), **_refused(expression("$missing"))},
            {"Condition": expression(f"{rest} > {LIMIT}"), **_refused(too_long)},
            {"Condition": expression(f"{rest} + {event} > {LIMIT}"), "Next": "Store"},
            # A rule of its own: what the state itself assigns applies whichever rule matches (Developer Guide, "Choice
            # workflow state"), and a large event as a text is longer than a variable may be.
            {
                "Condition": expression("true"),
                "Assign": {"eventFact": expression('{"Name": "WHERRY_EVENT", "Value": $string($event)}')},
                "Next": first,
            },
        ],
    }


def _refused(reason: str) -> State:
    return {"Assign": {"reason": reason, "attempt": 0}, "Next": "Failed"}


def _store(job: Job, around: Surroundings, first: str) -> State:
    key = f'{literal(f"events/{job.name}/")} & $states.context.Execution.Name & ".json"'
    url = f'"s3://" & {around.work_bucket_expression} & "/" & {key}'
    return {
        "Type": "Task",
        "Comment": "The event is too large for a task's overrides: it travels through a bucket",
        "Resource": integration("aws-sdk:s3:putObject"),
        "Arguments": {
            "Bucket": around.work_bucket,
            "Key": expression(key),
            # an object is stored as its JSON; whether a text would be stored with quotes around it is not documented
            "Body": expression("$event"),
            "ContentType": "application/json",
        },
        "Assign": {"eventFact": expression(f'{{"Name": "WHERRY_EVENT_URI", "Value": {url}}}')},
        "Retry": PATIENTLY,
        "Next": first,
    }


def _run(job: Job, around: Surroundings) -> State:
    containers = """(
  $facts := [{"Name": "WHERRY_ATTEMPT", "Value": $string($attempt)}, $eventFact];
  [$map($containers, function($part) { $merge([$part, {"Environment": $append($part.Environment, $facts)}]) })]
)"""
    task = """(
  $cause := $exists($states.errorOutput.Cause) ? $trim($states.errorOutput.Cause) : "";
  $substring($cause, 0, 1) = "{" and $substring($cause, -1) = "}" and $length($cause) < MOST ? $parse($cause) : {}
)""".replace("MOST", str(_MOST_CAUSE))
    cause = '$exists($states.errorOutput.Cause) ? $substring($states.errorOutput.Cause, 0, 1000) : ""'
    return {
        "Type": "Task",
        "Comment": "One attempt",
        "Resource": integration("ecs:runTask.sync"),
        "Arguments": {
            "Cluster": around.cluster,
            "TaskDefinition": around.task_definition,
            "CapacityProviderStrategy": [{"CapacityProvider": _provider(job, around.capacity), "Weight": 1}],
            **({} if around.network is None else {"NetworkConfiguration": around.network}),
            "Overrides": {"ContainerOverrides": expression(containers)},
        },
        **({} if job.timeout is None else {"TimeoutSeconds": seconds(job.timeout)}),
        "Assign": {"task": expression("$states.result"), "failed": "", "cause": ""},
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Assign": {
                    "task": expression(task),
                    "failed": expression("$states.errorOutput.Error"),  # `$error` is a function of JSONata
                    "cause": expression(cause),
                },
                "Next": "Judge",
            }
        ],
        "Next": "Judge",
    }


def _provider(job: Job, capacity: str) -> str:
    """Spot, but for the last attempt, and when Spot was in vain again and again."""
    if capacity != "fargate-spot":
        return "FARGATE" if capacity == "fargate" else capacity
    on_demand = f"$unstarted >= {_PATIENCE_WITH_SPOT}"
    if job.retry.attempts > 1:
        on_demand += f" or $failures >= {job.retry.attempts - 1}"
    return expression(f'{on_demand} ? "FARGATE" : "FARGATE_SPOT"')

"""How an attempt ended, and what becomes of the run: `wherry.lifecycle.after_attempt`, in Amazon States Language."""

from __future__ import annotations

import json
import math
from datetime import timedelta

from wherry import lifecycle
from wherry.aws.asl import State
from wherry.aws.jsonata import expression, literal
from wherry.lifecycle import START_BUDGET
from wherry.model import Job, Retry

#: What will not start the next time either: texts of stopped reasons and of refused calls, in small letters (ECS
#: Developer Guide, "Stopped tasks error codes" and "API failure reasons"). Words, not a regular expression: whether
#: AWS's JSONata has these is not documented.
_HOPELESS = [
    "not found",
    "manifest unknown",
    "not exist",
    "denied",
    "not authorized",
    "no such file",
    "exec format error",
    "descriptor matching platform",
    "did not contain json key",
    "resourcenotfound",
    "invalidparameter",
    "clientexception",
    "no fargate configuration",
    "is inactive",
    "states.permissions",
]
#: ... and what may pass none the less: quotas come as ClientException, and a role that was made just now as a role that
#: cannot be assumed (IAM is eventually consistent).
_PASSING = ["limit", "throttl", "rate exceeded", "try again", "service linked role", "unable to assume"]


def judgement(job: Job, main: str) -> dict[str, State]:
    """The states from the end of an attempt to the next one, or to the end of the run."""
    return {"Judge": _judge(job, main), "Decide": _decide(), "Backoff": _backoff(), **_ends()}


def seconds(length: timedelta) -> int:
    """Whole seconds, rounded up: Step Functions counts no finer."""
    return math.ceil(length.total_seconds())


def _judge(job: Job, main: str) -> State:
    return {
        "Type": "Pass",
        "Comment": "How the attempt ended (the main container's exit code decides), and whether there is another one",
        "Output": expression(f"""(
  $container := $task.Containers[Name = {literal(main)}][0];
  $code := $exists($container.ExitCode) ? $container.ExitCode : null;
  $texts := $filter([$task.StoppedReason, $container.Reason], function($text) {{ $type($text) = "string" }});
  $why := $exists($texts) ? $join($texts, "; ") : "";
  $said := $why != "" ? $why : $failed & ($cause != "" ? ": " & $cause : "");
  $says := function($words) {{
    $count($filter($words, function($word) {{ $contains($lowercase($said), $word) }})) > 0
  }};
  $stop := $exists($task.StopCode) ? $task.StopCode : "";
  $ending := $failed = "States.Timeout" ? "timed_out"
    : $code = 0 ? "exited"
    : $stop = "UserInitiated" ? "stopped"
    : $code = null or $stop in ["TaskFailedToStart", "SpotInterruption", "TerminationNotice", "InfrastructureHealth"]
      ? "could_not_start"
    : $contains($why, "OutOfMemory") ? "out_of_memory"
    : "exited";
  $reason := $ending = "timed_out" ? {literal(f"it ran longer than `timeout: {lifecycle.duration(job.timeout)}`")}
    : $ending = "stopped" ? $said
    : $ending = "could_not_start" ? "could not start: " & $said
    : $ending = "out_of_memory" ? "out of memory: " & $container.Reason
    : "exit code " & $string($code);
  $unstartedNow := $ending = "could_not_start" ? $unstarted + 1 : $unstarted;
  $failuresNow := $ending = "could_not_start" ? $failures : $failures + 1;
  $worth := $ending = "could_not_start"
    ? $unstartedNow < {START_BUDGET.attempts}
      and ($says({json.dumps(_PASSING)}) or $not($says({json.dumps(_HOPELESS)})))
    : $failuresNow < {job.retry.attempts}{_worth(job.retry)};
  $wait := $ceil($ending = "could_not_start" ? {_delay(START_BUDGET, "$unstartedNow")}
    : {_delay(job.retry, "$failuresNow")});
  $inTime := {_in_time(job)};
  {{
    "ending": $ending,
    "code": $code,
    "succeeded": $ending = "exited" and $code = 0,
    "again": $worth and $inTime and $ending != "stopped" and $not($ending = "exited" and $code = 0),
    "reason": $reason & ($worth and $not($inTime) ? "; the deadline leaves no time for another attempt" : ""),
    "wait": $wait,
    "unstarted": $unstartedNow,
    "failures": $failuresNow
  }}
)"""),
        "Next": "Decide",
    }


def _worth(retry: Retry) -> str:
    if retry.exit_codes is None:
        return ""
    return f' and ($ending != "exited" or $code in {sorted(retry.exit_codes)})'


def _delay(retry: Retry, used: str) -> str:
    """`lifecycle.delay` in seconds. The exponent is bounded where the cap is reached, so that nothing overflows."""
    backoff, cap = retry.backoff.total_seconds(), retry.cap.total_seconds()
    if not backoff:
        return "0"
    growth = f"{backoff:g}"
    if retry.factor > 1:
        most = math.ceil(math.log(max(cap / backoff, 1), retry.factor))
        growth += f" * $power({retry.factor:g}, $min([{used} - 1, {most}]))"
    jitter = f" * (1 - {retry.jitter:g} * $random())" if retry.jitter else ""
    return f"$min([{cap:g}, {growth}]){jitter}"


def _in_time(job: Job) -> str:
    if job.deadline is None:
        return "true"
    return f"$millis() + $wait * 1000 < $asked + {seconds(job.deadline) * 1000}"


def _decide() -> State:
    told = {"reason": expression("$states.input.reason"), "exitCode": expression("$states.input.code")}
    return {
        "Type": "Choice",
        "Choices": [
            {"Condition": expression("$states.input.succeeded"), "Next": "Succeeded"},
            {
                "Condition": expression("$states.input.again"),
                "Assign": {name: expression(f"$states.input.{name}") for name in ("failures", "unstarted", "wait")}
                | {"attempt": expression("$attempt + 1")},
                "Next": "Backoff",
            },
            {
                "Condition": expression('$states.input.ending = "timed_out"'),
                "Assign": told,
                "Next": "TimedOut",
            },
            {"Condition": expression('$states.input.ending = "stopped"'), "Assign": told, "Next": "Stopped"},
        ],
        "Assign": told,
        "Default": "Failed",
    }


def _backoff() -> State:
    return {"Type": "Wait", "Comment": "Before the next attempt", "Seconds": expression("$wait"), "Next": "Run"}


def _ends() -> dict[str, State]:
    cause = expression('$string({"reason": $reason, "attempts": $attempt, "exit-code": $exitCode})')
    return {
        "Succeeded": {
            "Type": "Succeed",
            "Output": {
                "status": "succeeded",
                "reason": "",
                "attempts": expression("$attempt"),
                "exit-code": 0,
            },
        },
        **{name: {"Type": "Fail", "Error": name, "Cause": cause} for name in ("Failed", "TimedOut", "Stopped")},
    }

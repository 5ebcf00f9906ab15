"""What the watch finds, in words and as events, and how it is told. JSONata; pure.

A finding is `{lock, subject, text, event}`: the name of the execution that tells it (which there is once), the subject
of a mail, one line that says what to type next, and wherry's own event of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from wherry import announcements, lifecycle
from wherry.aws.asl import PATIENTLY, State, integration
from wherry.aws.dispatcher import end_event
from wherry.aws.jsonata import expression, literal
from wherry.aws.names import Names
from wherry.messages import RUN_ID_LENGTH

#: A subject of SNS has at most so many characters; a reason, and the event of a run, may be cut to these.
_SUBJECT, _REASON, _EVENT = 100, 1_000, 50_000
#: Scheduler may fire so much later than it says, in milliseconds.
_LATE = 60_000
#: A firing's run must have begun so long after it, in milliseconds.
START_GRACE = int(lifecycle.START_GRACE.total_seconds() * 1000)

#: What Step Functions calls it when there is no such schedule.
NO_SCHEDULE = "Scheduler.ResourceNotFoundException"

_ISO = '$iso := function($ms) { $substring($fromMillis($ms), 0, 19) & "Z" };'
_HASH = f'$short := function($text) {{ $substring($hash($text, "SHA-256"), 0, {RUN_ID_LENGTH}) }};'
_GIVEN = f"""{_ISO} {_HASH}
  $given := $states.input;
  $time := $iso($toMillis($given.at));
  $run := $short($given.job & " " & $given.label & " " & $time);
  $execution := $replace($given.machine, ":stateMachine:", ":execution:") & ":" & $run;"""


def run_of_firing(wanted: str) -> str:
    """`$run` or `$execution`: the id, or the ARN, of the run that a firing must have; the dispatcher names it so."""
    return f"({_GIVEN} {wanted})"


#: When a firing must have a run at the latest; `window` is what its schedule may take beyond its time.
LATEST = f"$toMillis($states.input.at) + {START_GRACE} + ($exists($states.input.window) ? $states.input.window : 0)"
#: Whether there is a run of a trigger (its id has that length) since the interval before began.
LATELY = f"""(
  $since := $toMillis($states.input.at) - $states.input.period * 1000 - {_LATE};
  $until := {LATEST};
  $runs := $filter($states.result.Executions, function($run) {{(
    $began := $toMillis($run.StartDate);
    $length($run.Name) = {RUN_ID_LENGTH} and $began >= $since and $began <= $until
  )}});
  {{"status": $count($runs) > 0 ? "SUCCEEDED" : "ABSENT"}}
)"""


def waiting(before: Sequence[str]) -> str:
    """A history's latest events, as whether the run still waits for its turn."""
    return f"""({_GIVEN}
  $state := ($states.result.Events.StateEnteredEventDetails.Name)[0];
  $merge([$given, {{
    "counts": $state in {json.dumps(list(before))},
    "reason": "run " & $run & " has not begun: it waits for another run of the job to end"
  }}])
)"""


def enabled(reason: str) -> str:
    """A schedule's description, as whether its firing counts.

    Dates come as ISO texts in other integrations with SDKs; were they none here, the expression would fail, and the
    firing be told.
    """
    return f"""(
  $given := $states.input;
  $due := $toMillis($given.at) - ($exists($given.period) ? $given.period * 1000 : 0);
  $merge([$given, {{
    "counts": $states.result.State = "ENABLED" and $toMillis($states.result.LastModificationDate) <= $due,
    "reason": {literal(reason)}
  }}])
)"""


def gone(reason: str) -> str:
    """Why a schedule could not be asked, as the reason of a firing that counts."""
    return f"""$merge([$states.input, {{
  "counts": true,
  "reason": $states.errorOutput.Error = {literal(NO_SCHEDULE)} ? "its schedule is gone" : {literal(reason)}
}}])"""


def missed(names: Names) -> str:
    """The finding of a firing."""
    detail = '{"job": $given.job, "trigger": $given.label, "scheduled-time": $time, "reason": $given.reason}'
    text = f"""{_who(names)} & $given.job & " should have started at " & $time & ": " & $given.reason
      & " ({_command(names, "status")})\""""
    return f"""({_GIVEN}
  $lock := "missed-" & $run;
  [{_finding(names, '$given.job & " has not started"', text, announcements.MISSED, detail)}]
)"""


def stuck(names: Names, seconds: int) -> str:
    """The findings of a description of tasks: those that are still starting, of runs and of services of workers."""
    length = lifecycle.duration(timedelta(seconds=seconds))
    reason = f'"its task is " & $task.LastStatus & " for more than {length}"'
    state = f'"job": $job, "status": "starting", "reason": {reason}'
    text = f"""{_who(names)} & $job & " has not started: " & {reason}
      & " (run " & $run & "; {_command(names, "show ", "$run")}; task " & $task.TaskArn & ")\""""
    of_run = _finding(
        names, '$job & " has not started"', text, announcements.STATE_CHANGE, f'{{"run-id": $run, {state}}}'
    )
    text = f"""{_who(names)} & $job & ": a worker of queue " & $queue & " has not started: " & {reason}
      & " ({_command(names, "queues")}; task " & $task.TaskArn & ")\""""
    of_worker = _finding(
        names, '$job & ": a worker has not started"', text, announcements.WORKER, f'{{"queue": $queue, {state}}}'
    )
    # a service is named by its job, whose name has no underscore, and its queue (`names.service`)
    return f"""({_ISO} {_HASH}
  $late := $filter($states.result.Tasks, function($task) {{
    $task.LastStatus in ["PROVISIONING", "PENDING", "ACTIVATING"]
      and $toMillis($task.CreatedAt) + {seconds * 1000} <= $millis()
  }});
  [$map($late, function($task) {{(
    $lock := "starting-" & $short($task.TaskArn);
    $family := $substringBefore($substringAfter($task.TaskDefinitionArn, "/"), ":");
    $service := $split($string($task.Group), "service:")[1];
    $job := $exists($service) ? $substringBefore($service, "_") : $substringAfter($family, {literal(names.family(""))});
    $queue := $replace($substringAfter($service, "_"), /_fifo$/, ".fifo");
    $run := $string(($task.Overrides.ContainerOverrides.Environment[Name = "WHERRY_RUN_ID"].Value)[0]);
    $exists($service) ? {of_worker} : {of_run}
  )}})]
)"""


def failed(names: Names) -> str:
    """The findings of a machine's end: none when somebody has stopped the task."""
    text = f"""{_who(names)} & $job & " " & $detail.status & ": " & $reason
      & " (run " & $detail.`run-id` & "; {_command(names, "explain ", "$detail.`run-id`")})\""""
    return f"""({_HASH}
  $ended := $states.input.ended;
  $asked := $type($ended.detail.input) = "string" ? $parse($ended.detail.input) : {{}};
  $machine := $split($ended.detail.stateMachineArn, ":")[6];
  $job := $exists($asked.job) ? $asked.job : $substringAfter($machine, {literal(names.prefix)});
  $whole := {end_event("$ended", "$job")};
  $detail := $whole.detail;
  $texts := $filter([$ended.detail.error, $ended.detail.cause], function($text) {{ $type($text) = "string" }});
  $said := $detail.reason != "" ? $detail.reason : $join($texts, ": ");
  $reason := $substring($said, 0, {_REASON});
  $fits := $length($string($detail.event)) <= {_EVENT};
  $detail.status = "stopped" ? [] : [{{
    "lock": "failed-" & $short($ended.detail.executionArn & " " & $string($ended.detail.stopDate)),
    "subject": {_who(names)} & $job & " " & $detail.status,
    "text": {text},
    "event": $merge([$whole, {{"detail": $merge([
      $sift($detail, function($value, $name) {{ $name != "event" or $fits }}), {{"reason": $reason}}
    ])}}])
  }}]
)"""


def unstarted(names: Names) -> str:
    """The findings of a dispatcher's end: none for a schedule, whose own watch tells it."""
    reason = '$substring($string($ended.detail.error) & ": " & $string($ended.detail.cause), 0, 1000)'
    detail = '{"job": $job, "trigger": $asked.trigger, "reason": $reason}'
    text = f"""{_who(names)} & $job & ": its trigger (" & $asked.trigger & ") could not start a run: " & $reason
      & " ({_command(names, "status")})\""""
    finding = _finding(names, '$job & " could not start"', text, announcements.MISSED, detail)
    return f"""({_ISO} {_HASH}
  $ended := $states.input.ended;
  $asked := $type($ended.detail.input) = "string" ? $parse($ended.detail.input) : {{"trigger": "event"}};
  $job := $exists($asked.job) ? $asked.job : "a job";
  $reason := {reason};
  $lock := "unstarted-" & $short($ended.detail.executionArn);
  $asked.trigger = "schedule" ? [] : [{finding}]
)"""


def telling(topics: Sequence[Any]) -> dict[str, State]:
    """The states that publish a finding to each topic; one that cannot be reached does not keep it from the others."""
    message = """$string({
  "default": $states.input.tell.text,
  "https": $string({"text": $states.input.tell.text, "event": $states.input.tell.event})
})"""
    states: dict[str, State] = {}
    for number, topic in enumerate(topics):
        following = f"Tell{number + 1}" if number + 1 < len(topics) else "Told"
        why = expression('$states.errorOutput.Error & ": " & $states.errorOutput.Cause')
        states[f"Tell{number}"] = {
            "Type": "Task",
            "Resource": integration("sns:publish"),
            "Arguments": {
                "TopicArn": topic,
                "Subject": expression(f"$substring($states.input.tell.subject, 0, {_SUBJECT})"),
                "MessageStructure": "json",
                "Message": expression(message),
            },
            "Output": expression("$states.input"),
            "Retry": PATIENTLY,
            "Catch": [
                {
                    "ErrorEquals": ["States.ALL"],
                    "Assign": {"untold": why},
                    "Output": expression("$states.input"),
                    "Next": following,
                }
            ],
            "Next": following,
        }
    return {
        **states,
        "Told": {
            "Type": "Choice",
            "Choices": [{"Condition": expression('$untold != ""'), "Next": "Untold"}],
            "Default": "Done",
        },
        "Untold": {"Type": "Fail", "Error": "Untold", "Cause": expression("$untold")},
    }


def _who(names: Names) -> str:
    return literal(f"{names.app} {names.environment}: ")


def _command(names: Names, verb: str, value: str = "") -> str:
    """Within a text of JSONata: the command that comes next, with a value in it."""
    return f"`wherry {verb}{f'{chr(34)} & {value} & {chr(34)}' if value else ''} --env {names.environment}`"


def _finding(names: Names, subject: str, text: str, kind: str, detail: str) -> str:
    """A finding with an event of wherry's; `$lock` and `$iso` are known where it stands."""
    where = '$split($states.context.Execution.Id, ":")'
    return f"""{{
    "lock": $lock,
    "subject": {_who(names)} & {subject},
    "text": {text},
    "event": {{
      "version": "0",
      "id": $lock,
      "detail-type": {literal(kind)},
      "source": {literal(announcements.SOURCE)},
      "account": {where}[4],
      "time": $iso($millis()),
      "region": {where}[3],
      "resources": [],
      "detail": {detail}
    }}
  }}"""

"""The dispatcher: every trigger starts it with the job and the event; it starts the job's machine, once for a cause.

EventBridge delivers at least once, and an execution's name is unique within its machine: the run's id is a hash of the
job and the cause, so a second delivery finds that the execution exists (Step Functions API, StartExecution).
"""

from __future__ import annotations

from wherry import announcements, causes
from wherry.aws.asl import PATIENTLY, State, integration
from wherry.aws.firing import BEFORE
from wherry.aws.jsonata import expression, literal
from wherry.messages import RUN_ID_LENGTH

#: Step Functions' word for how an execution ended -> ours; a failure's `error` tells more (`judgement`).
_STATUSES = '{"SUCCEEDED": "succeeded", "FAILED": "failed", "TIMED_OUT": "timed_out", "ABORTED": "stopped"}'
_EVENT, _AFTER = "$states.input.event", "$states.input.after"


def dispatcher() -> State:
    """The definition. Its input is `{job, machine, trigger, event}` and what the trigger adds."""
    return {
        "Comment": "Starts runs, at most one for each cause",
        "QueryLanguage": "JSONata",
        "StartAt": "Event",
        "States": {
            "Event": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": expression('$states.input.trigger = "schedule"'), "Next": "Firing"},
                    {"Condition": expression('$states.input.trigger = "after"'), "Next": "End"},
                ],
                "Default": "Start",
            },
            "Firing": {
                "Type": "Pass",
                "Comment": "The event of a firing, as wherry makes it everywhere",
                "Output": expression(_FIRING),
                "Next": "Start",
            },
            "End": {
                "Type": "Pass",
                "Comment": "The end of another job's run, in wherry's words",
                "Output": expression(f'$merge([$states.input, {{"event": {end_event(_EVENT, _AFTER)}}}])'),
                "Next": "Wanted",
            },
            "Wanted": {
                "Type": "Choice",
                "Comment": "A skipped run has not run, and no run goes round in a circle",
                "Choices": [
                    {
                        "Condition": expression(
                            "$states.input.event.detail.status in $states.input.statuses"
                            " and $not($states.input.job in $states.input.event.detail.chain)"
                        ),
                        "Next": "Start",
                    }
                ],
                "Default": "Done",
            },
            "Start": {
                "Type": "Task",
                "Resource": integration("aws-sdk:sfn:startExecution"),
                "Arguments": {
                    "StateMachineArn": expression("$states.input.machine"),
                    "Name": expression(_within('$substring($hash($job & " " & $cause, "SHA-256"), 0, ID)')),
                    "Input": expression(
                        _within('$string({"job": $job, "trigger": $trigger, "cause": $cause, "event": $event})')
                    ),
                },
                "Retry": [{"ErrorEquals": ["Sfn.ExecutionAlreadyExistsException"], "MaxAttempts": 0}, *PATIENTLY],
                "Catch": [{"ErrorEquals": ["Sfn.ExecutionAlreadyExistsException"], "Next": "Done"}],
                "Next": "Done",
            },
            "Done": {"Type": "Succeed"},
        },
    }


def _within(text: str) -> str:
    """An expression with the cause: an upload's object and version, a schedule's tick, an event's token or id."""
    return f"""(
  $event := $states.input.event;
  $job := $states.input.job;
  $trigger := $states.input.trigger;
  $object := $event.detail.object;
  $once := $event.resources[$substringBefore($, ONCE) = ""][0];
  $cause := $trigger = "schedule" ? $states.input.label & " " & $event.time
    : $event.source = "aws.s3" and $event.`detail-type` = "Object Created"
      ? "upload:" & $event.detail.bucket.name & "/" & $object.key & "#"
        & ($exists($object.sequencer) ? $object.sequencer : $event.id)
    : "event:" & ($exists($once) ? $substringAfter($once, ONCE) : $event.id);
  {text.replace("ID", str(RUN_ID_LENGTH))}
)""".replace("ONCE", literal(causes.ONCE))


_FIRING = f"""(
  {BEFORE}
  $given := $states.input;
  $where := $split($states.context.Execution.Id, ":");
  $iso := function($ms) {{ $substring($fromMillis($ms), 0, 19) & "Z" }};
  $time := $iso($toMillis($given.`scheduled-time`));
  $start := $exists($given.calendar) ? $before($given.calendar, $toMillis($time))
    : $toMillis($time) - $given.period * 1000;
  $merge([{{"job": $given.job, "machine": $given.machine, "trigger": "schedule", "label": $given.label}}, {{"event": {{
    "version": "0",
    "id": $states.context.Execution.Name,
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": $where[4],
    "time": $time,
    "region": $where[3],
    "resources": [$join(["arn", $where[1], "scheduler", $where[3], $where[4], "schedule/" & $given.job], ":")],
    "detail": {{
      "schedule": $given.schedule,
      "scheduled-time": $time,
      "interval": {{"start": $iso($start), "end": $time}}
    }}
  }}}}])
)"""


def end_event(event: str, job: str) -> str:
    """The end of an execution as wherry's own event; both are expressions: EventBridge's event, the job's name."""
    return f"""(
  $told := {event};
  $ended := $told.detail;
  $input := $type($ended.input) = "string" ? $parse($ended.input) : {{}};
  $output := $type($ended.output) = "string" ? $parse($ended.output) : {{}};
  $said := $type($ended.cause) = "string" and $substring($ended.cause, 0, 1) = "{{" ? $parse($ended.cause) : $output;
  $iso := function($ms) {{ $substring($fromMillis($ms), 0, 19) & "Z" }};
  $status := $output.status = "skipped" ? "skipped"
    : $ended.error = "TimedOut" ? "timed_out"
    : $ended.error = "Stopped" ? "stopped"
    : $lookup({_STATUSES}, $ended.status);
  $before := $input.event.source = {literal(announcements.SOURCE)} ? $input.event.detail.chain : [];
  {{
    "version": "0",
    "id": $told.id,
    "detail-type": {literal(announcements.STATE_CHANGE)},
    "source": {literal(announcements.SOURCE)},
    "account": $told.account,
    "time": $told.time,
    "region": $told.region,
    "resources": [$ended.executionArn],
    "detail": {{
      "run-id": $exists($input.run) ? $input.run : $ended.name,
      "job": {job},
      "status": $status,
      "reason": $exists($said.reason) ? $said.reason
        : $ended.status = "TIMED_OUT" ? "it ran into its deadline" : "",
      "trigger": $input.trigger,
      "cause": $input.cause,
      "attempts": $exists($said.attempts) ? $said.attempts : 0,
      "exit-code": $exists($said.`exit-code`) ? $said.`exit-code` : null,
      "created-at": $iso($ended.startDate),
      "ended-at": $iso($ended.stopDate),
      "chain": [$before, {job}],
      "event": $input.event
    }}
  }}
)"""

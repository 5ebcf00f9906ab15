"""Whether a run may begin: how many of its job are ahead of it, and what it does meanwhile."""

from __future__ import annotations

from wherry import lifecycle
from wherry.aws.asl import PATIENTLY, State, integration
from wherry.aws.jsonata import expression
from wherry.model import Job

#: So many executions in one listing: each takes up to 600 bytes, and a state's result 262,144 at most (Step Functions
#: Developer Guide, "Quotas"; beyond that it fails with States.DataLimitExceeded, which nothing can catch).
_PAGE = 250
#: A quarter of what was waited already: quick after short runs, cheap during long ones. After some hours every pause is
#: a two-hundredth longer than the one before, so that a year of waiting, the longest execution, stays below the 25,000
#: events that a history may have: each round takes nine.
_PAUSE = "($waited := ($millis() - $asked) / 1000; $floor($max([2, $min([60, $waited / 4]), $waited / 200])))"


def admission(job: Job) -> dict[str, State]:
    """Running executions that began earlier go first; listings are eventually consistent, and so is this."""
    limit = lifecycle.limit_of(job)
    others = '($ahead = 1 ? "another run is" : $string($ahead) & " other runs are") & " active (`overlap: skip`)"'
    choices: list[State] = [
        # the newest come first, so who is ahead may be on a later page
        {"Condition": expression(f'$ahead < {limit} and $page != ""'), "Next": "Admit"},
        {"Condition": expression(f"$ahead < {limit}"), "Next": "Run"},
    ]
    states: dict[str, State] = {}
    if job.overlap == "skip":
        choices.append(
            {"Condition": expression("$not($patient)"), "Assign": {"reason": expression(others)}, "Next": "Skipped"}
        )
        output = {
            "status": "skipped",
            "reason": expression("$reason"),
            "attempts": 0,
            "exit-code": expression("null"),
        }
        states["Skipped"] = {"Type": "Succeed", "Output": output}
    ahead = """(
  $me := $states.context.Execution.Name;
  $ahead + $count($filter($states.result.Executions, function($run) {(
    $began := $toMillis($run.StartDate);
    $began < $asked or ($began = $asked and $run.Name < $me)
  )}))
)"""
    listed = f"""$merge([
  {{"StateMachineArn": $states.context.StateMachine.Id, "StatusFilter": "RUNNING", "MaxResults": {_PAGE}}},
  $page = "" ? {{}} : {{"NextToken": $page}}
])"""
    return {
        "Admit": {
            "Type": "Task",
            "Comment": "How many runs of this job are ahead of this one",
            "Resource": integration("aws-sdk:sfn:listExecutions"),
            "Arguments": expression(listed),
            "Assign": {
                "ahead": expression(ahead),
                "page": expression('$type($states.result.NextToken) = "string" ? $states.result.NextToken : ""'),
            },
            "Retry": PATIENTLY,
            "Next": "Turn",
        },
        "Turn": {"Type": "Choice", "Choices": choices, "Default": "Queue"},
        "Queue": {
            "Type": "Wait",
            "Seconds": expression(_PAUSE),
            "Assign": {"ahead": 0, "page": ""},
            "Next": "Admit",
        },
        **states,
    }

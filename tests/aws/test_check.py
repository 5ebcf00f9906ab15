"""Before a run's first attempt: how its task learns of the event, whatever its size."""

import json

import pytest

from tests.aws.expressions import evaluate
from wherry.aws.machine import Surroundings, run_machine
from wherry.aws.overrides import plan_of
from wherry.model import Job

#: Bytes of all that a state assigns (Step Functions Developer Guide, "Passing data between states with variables").
MOST = 262_144


def check(event, missing=""):
    """Where the state `Check` goes, and what it assigns: what stands in the state itself whichever rule matches."""
    around = Surroundings(
        cluster="c",
        task_definition="t",
        network=None,
        work_bucket="w",
        work_bucket_expression='"w"',
        capacity="fargate",
        main="main",
        containers=1,
    )
    job = Job(name="job")
    state = run_machine(job, around, plan_of(job, {}))["States"]["Check"]
    known = {"event": event, "missing": missing, "containers": [{"Name": "main", "Environment": []}]}
    rule = next((each for each in state["Choices"] if evaluate(each["Condition"], **known)), {})
    assigned = {**state.get("Assign", {}), **rule.get("Assign", {})}
    told = {
        name: evaluate(value, **known) if str(value).startswith("{%") else value for name, value in assigned.items()
    }
    return rule.get("Next") or state["Default"], told


@pytest.mark.parametrize("event", [{}, {"id": "1", "detail": {"text": 'a "quoted" word'}}])
def test_a_small_event_is_told_as_it_is(event):
    where, told = check(event)
    assert where == "Run"
    assert told["eventFact"]["Name"] == "WHERRY_EVENT"
    assert json.loads(told["eventFact"]["Value"]) == event


def test_a_large_event_is_not_made_a_text_that_is_larger_still():
    event = {"detail": ['"' * 90] * 1_100}
    assert 190_000 < len(json.dumps(event)) < MOST
    where, told = check(event)
    assert where == "Store"
    assert len(json.dumps(told)) < MOST


def test_what_is_missing_fails_the_run():
    assert check({}, missing="could not start: no") == ("Failed", {"reason": "could not start: no", "attempt": 0})

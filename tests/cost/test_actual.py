"""What runs of messages have cost: one rule, here and on AWS, before and after."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from wherry.agent.records import iso
from wherry.aws.recorded import run_of
from wherry.causes import cause_of_worker
from wherry.cli import prices
from wherry.cost.actual import run_cost
from wherry.cost.bill import Length, job_bill
from wherry.cost.counts import Count
from wherry.cost.deployment import Task, Work
from wherry.cost.parts import total
from wherry.messages import cause_of
from wherry.model import Attempt, Ending, Event, Outcome, Run, Status

TARIFF = prices.packaged().tariff("eu-central-1")
START = datetime(2026, 3, 1, 5, 0, 0, tzinfo=UTC)
TASK = Task(cpu=Decimal("0.25"), memory=Decimal("0.5"), secrets=1)
WORK = Work(name="count", task=TASK, transitions=8, again=3, others=("queue",))
MESSAGE = cause_of("letters", "m1")
DONE = Outcome(ending=Ending.EXITED, exit_code=0)
FAILED = Outcome(ending=Ending.EXITED, exit_code=3)


def attempt(number, outcome, seconds):
    began = START + timedelta(minutes=number)
    ended = None if seconds is None else began + timedelta(seconds=seconds)
    arn = "arn:aws:ecs:eu-central-1:123456789012:task/mail-prod/0123"
    return Attempt(number=number, started_at=began, ended_at=ended, outcome=outcome, process=arn)


def cost(*attempts, cause=MESSAGE, now=START):
    run = Run(
        id="r1",
        job="count",
        trigger="queue",
        cause=cause,
        event=Event(document={"id": "m1", "source": "s", "detail-type": "d", "detail": {}}),
        status=Status.SUCCEEDED,
        created_at=START,
        due_at=START,
        attempts=attempts,
        asked_at=START,
    )
    return run_cost(TARIFF, run, WORK, now)


def test_a_message_has_cost_what_a_message_costs():
    took = timedelta(seconds=0.3)
    found = cost(attempt(1, DONE, 0.3))
    estimate = job_bill(WORK, TARIFF, Length(took, ""), Count(None, ""))
    assert found.amount == total(part for part in estimate.run if part.what != "logs")
    assert [part.what for part in found.attempts[0].parts] == ["compute", "public IPv4"]
    assert found.attempts[0].parts[0].how.startswith("1 s of a worker x ")
    assert (found.attempts[0].billed_seconds, [part.what for part in found.rest]) == (1, ["SQS"])


def test_each_further_attempt_receives_it_once_more():
    found = cost(attempt(1, FAILED, 2), attempt(2, DONE, 61))
    assert [each.billed_seconds for each in found.attempts] == [2, 61]
    assert found.rest[0].how == "sent, received, deleted: 4 requests x $0.40 per 1,000,000"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            attempt(1, Outcome(ending=Ending.COULD_NOT_START), 0),
            "nothing is billed of it, as far as is known: it did not start",
        ),
        (
            attempt(1, Outcome(ending=Ending.TIMED_OUT, reason="it had not started when `timeout: 1m` was over"), 60),
            "nothing is billed of it, as far as is known: it did not start",
        ),
        (attempt(1, Outcome(ending=Ending.LOST), None), "nobody knows what was billed of it"),
    ],
)
def test_what_has_no_price(one, said):
    found = cost(one, now=START + timedelta(days=3)).attempts[0]
    assert (found.task, found.parts, found.why) == (None, [], said)


def test_one_under_way_counts_until_now():
    found = cost(attempt(1, None, None), now=START + timedelta(minutes=1, seconds=7))
    assert found.attempts[0].billed_seconds == 7


def test_a_worker_that_polls_by_itself_is_a_task_of_its_own_and_no_message():
    began = Attempt(number=1, started_at=START, ended_at=START + timedelta(seconds=5), outcome=DONE, process="1:2")
    found = cost(began, cause=cause_of_worker("letters", "1"))
    assert (found.attempts[0].billed_seconds, found.rest) == (60, [])


def test_what_a_worker_has_written_down_is_priced():
    record = {
        "run": "r1",
        "job": "count",
        "queue": "letters",
        "messages": [{"id": "m1"}],
        "status": "succeeded",
        "created": iso(START),
        "ended": iso(START + timedelta(seconds=90)),
        "attempts": [
            {
                "number": 1,
                "task": "arn:aws:ecs:eu-central-1:123456789012:task/mail-prod/0123",
                "started": iso(START),
                "ended": iso(START + timedelta(seconds=90)),
                "ending": "exited",
                "code": 0,
            }
        ],
    }
    found = run_cost(TARIFF, run_of(record), WORK, START + timedelta(days=1))
    assert (found.attempts[0].billed_seconds, found.attempts[0].task) == (90, TASK)
    assert [part.what for part in found.rest] == ["SQS"]

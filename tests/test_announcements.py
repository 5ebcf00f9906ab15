"""What wherry says: the same thing under the same id, and no job is started by what it has led to."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.ear import Ear, intake_of
from wherry import announcements, pattern
from wherry.local.alerts import Alerts
from wherry.local.consequences import Consequences
from wherry.local.database import Database
from wherry.local.history import History
from wherry.local.runs import Runs
from wherry.model import (
    AfterTrigger,
    Attempt,
    Ending,
    Event,
    EventTrigger,
    Job,
    JobFile,
    Outcome,
    Run,
    ScheduleTrigger,
    Status,
    new_event,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
EVENT = new_event("shop", "order placed", {"order": 7}, now=NOW)
HOURLY = ScheduleTrigger(expression="rate(1 hour)")


def attempt(number=1, code=0):
    outcome = Outcome(ending=Ending.EXITED, exit_code=code)
    return Attempt(number=number, started_at=NOW, ended_at=NOW, outcome=outcome)


def a_run(status=Status.SUCCEEDED, attempts=(attempt(),), event=EVENT, **more):
    run = Run(
        id="01run",
        job="job",
        trigger="event",
        cause="event:1",
        event=event,
        status=status,
        created_at=NOW,
        due_at=NOW,
        asked_at=NOW,
        attempts=tuple(attempts),
        ended_at=NOW if status.ended else None,
    )
    return dataclasses.replace(run, **more)


# ----------------------------------------------------------------------------------------------------------- identity


@given(st.sampled_from(Status), st.integers(0, 3))
def test_a_state_that_is_told_again_is_the_same_event(status, count):
    run = a_run(status, [attempt(number) for number in range(1, count + 1)])
    first, again = announcements.state_change(run, now=NOW), announcements.state_change(run, now=LATER)
    assert first.id == again.id
    assert first.detail == again.detail


@given(st.lists(st.tuples(st.sampled_from(["01a", "01b"]), st.sampled_from(Status), st.integers(0, 3)), unique=True))
def test_each_state_of_each_run_is_an_event_of_its_own(states):
    runs = [
        a_run(status, [attempt(number) for number in range(1, count + 1)], id=run_id)
        for run_id, status, count in states
    ]
    assert len({announcements.state_change(run, now=NOW).id for run in runs}) == len(states)


def test_the_end_of_another_round_is_another_event_also_without_an_attempt():
    first = a_run(Status.TIMED_OUT, attempts=())
    again = a_run(Status.TIMED_OUT, attempts=(), asked_at=LATER, ended_at=LATER)
    assert announcements.state_change(first, now=NOW).id != announcements.state_change(again, now=LATER).id


def test_a_firing_and_a_missed_one_have_ids_of_their_own_that_stay():
    firing = announcements.firing("job", HOURLY, NOW, LATER)
    missed = announcements.missed("job", HOURLY.label, LATER, "no engine ran", now=NOW)
    assert firing.id == announcements.firing("job", HOURLY, NOW, LATER).id
    assert missed.id == announcements.missed("job", HOURLY.label, LATER, "another reason", now=LATER).id
    others = [
        announcements.firing("other", HOURLY, NOW, LATER),
        announcements.firing("job", dataclasses.replace(HOURLY, timezone="Europe/Berlin"), NOW, LATER),
        announcements.firing("job", HOURLY, NOW, NOW),
        announcements.missed("other", HOURLY.label, LATER, "no engine ran", now=NOW),
        announcements.missed("job", HOURLY.label, NOW, "no engine ran", now=NOW),
    ]
    assert len({event.id for event in [firing, missed, *others]}) == 7


def test_a_firing_says_what_it_covers():
    firing = announcements.firing("job", HOURLY, NOW, LATER)
    assert (firing.source, firing.detail_type) == ("aws.events", "Scheduled Event")
    assert firing.document["time"] == firing.detail["scheduled-time"] == "2026-03-01T15:00:00Z"
    assert firing.detail["interval"] == {"start": "2026-03-01T12:00:00Z", "end": "2026-03-01T15:00:00Z"}


def test_a_state_change_says_how_the_run_stands_and_why_it_is():
    run = a_run(Status.FAILED, [attempt(1, 1), attempt(2, 3)], reason="exit code 3")
    detail = announcements.state_change(run, now=LATER).detail
    assert (detail["job"], detail["status"], detail["exit-code"], detail["attempts"]) == ("job", "failed", 3, 2)
    assert (detail["created-at"], detail["ended-at"]) == ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z")
    assert (detail["chain"], detail["event"]) == (["job"], EVENT.document)
    waits = announcements.state_change(a_run(Status.QUEUED, ()), now=NOW).detail
    assert (waits["exit-code"], waits["started-at"], waits["ended-at"]) == (None, None, None)


@given(st.sampled_from(Status))
def test_whatever_is_said_can_be_written_down(status):
    event = announcements.state_change(a_run(status), now=NOW)
    assert json.loads(json.dumps(event.document)) == event.document


# -------------------------------------------------------------------------------------------------------------- chains


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=6))
def test_a_chain_has_every_job_that_led_here_the_first_one_first(names):
    event = EVENT
    for name in names:
        event = announcements.state_change(a_run(event=event, job=name), now=NOW)
    assert announcements.chain_of(event) == names


@pytest.mark.parametrize("chain", [None, "job", {"job": 1}, 7])
def test_what_looks_like_a_chain_is_none(chain):
    detail = {} if chain is None else {"chain": chain}
    assert announcements.chain_of(new_event("wherry", "Wherry Run State Change", detail, now=NOW)) == []
    assert announcements.chain_of(new_event("shop", "x", {"chain": ["job"]}, now=NOW)) == []


@pytest.mark.parametrize(
    ("when", "statuses"),
    [
        ("success", {Status.SUCCEEDED}),
        ("failure", {Status.FAILED, Status.TIMED_OUT}),
        ("any", {Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.STOPPED}),
    ],
)
def test_after_means_these_ends_of_that_job(when, statuses):
    wanted = pattern.parse(announcements.after_pattern(AfterTrigger(job="job", when=when)))
    matches = lambda run: wanted.matches(announcements.state_change(run, now=NOW).document)  # noqa: E731
    assert {status for status in Status if matches(a_run(status))} == statuses
    assert not any(matches(a_run(status, job="job2")) for status in Status)


@pytest.fixture
def follow(tmp_path):
    """Ends runs until nothing follows any more; gives the jobs that ran, in order."""
    databases = []

    def follow(jobs, event, most=20):
        jobfile = JobFile(path=str(tmp_path / "wherry.yaml"), app="test", jobs={job.name: job for job in jobs})
        database = Database(str(tmp_path / "wherry.db"))
        databases.append(database)
        runs, history, ear, errors = Runs(database), History(database), Ear(), []
        offered = ear.offered
        intake = intake_of(jobfile, database, runs, lambda: NOW, ear)
        alerts = Alerts(database, lambda: NOW, lambda: jobfile, errors.append, silent=True)
        consequences = Consequences(intake, alerts, errors.append)
        intake.accept(event)
        for queued in offered:  # it grows
            ended = dataclasses.replace(history.get(queued.id), status=Status.SUCCEEDED, ended_at=NOW)
            for _ in range(2):  # said twice, it starts nothing twice
                database.write(lambda tx, run=ended: consequences.of(tx, run, NOW))
            assert len(offered) < most
        assert errors == []
        return [queued.job for queued in offered]

    yield follow
    for database in databases:
        database.close()


def job(name, *triggers):
    return Job(name=name, command=("true",), triggers=triggers)


def test_one_job_follows_another(follow):
    shop = EventTrigger(pattern={"source": ["shop"]})
    jobs = [job("c", AfterTrigger(job="b")), job("b", AfterTrigger(job="a")), job("a", shop)]
    assert follow(jobs, EVENT) == ["a", "b", "c"]


def test_a_job_that_listens_to_all_runs_does_not_start_itself(follow):
    everything = EventTrigger(pattern={"source": [{"exists": True}]})
    assert follow([job("a", everything)], EVENT) == ["a"]


def test_jobs_that_listen_to_each_other_come_to_an_end(follow):
    everything = EventTrigger(pattern={"source": [{"prefix": ""}]})
    ran = follow([job(name, everything) for name in "abc"], EVENT, most=30)
    # each order of each choice: a chain has no job twice
    assert len(ran) == 3 + 6 + 6
    assert ran[:3] == ["a", "b", "c"]


def test_a_missed_firing_starts_who_listens(follow):
    missed = announcements.missed("job", HOURLY.label, NOW, "no engine ran", now=NOW)
    assert isinstance(missed, Event)
    assert follow([job("a", EventTrigger(pattern={"detail-type": [announcements.MISSED]}))], missed) == ["a"]

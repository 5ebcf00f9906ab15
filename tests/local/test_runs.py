from datetime import UTC, datetime, timedelta

import pytest

from wherry.errors import NotFound
from wherry.lifecycle import Decision
from wherry.local.database import Database
from wherry.local.runs import RunIds, Runs
from wherry.model import Ending, Outcome, Overrides, Status, new_event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT = new_event("shop", "order placed", {"order": 7}, now=NOW)
ME = "1:1"


@pytest.fixture
def database(tmp_path):
    database = Database(str(tmp_path / "wherry.db"))
    yield database
    database.close()


@pytest.fixture
def runs(database):
    return Runs(database)


@pytest.fixture
def add(database, runs):
    def add(job="report", cause="event:1", trigger="event", now=NOW, event=EVENT, **more):
        return database.write(
            lambda tx: runs.add(tx, job=job, trigger=trigger, cause=cause, event=event, now=now, **more)
        )

    return add


def test_ids_sort_by_time_and_are_short():
    ids = RunIds()
    made = [ids.new(NOW) for _ in range(1000)] + [ids.new(NOW + timedelta(milliseconds=1))]
    assert made == sorted(made)
    assert len(set(made)) == 1001
    assert {len(run_id) for run_id in made} == {16}


def test_ids_rise_even_when_the_clock_falls():
    ids = RunIds()
    first = ids.new(NOW)
    assert ids.new(NOW - timedelta(hours=1)) > first


def test_one_run_per_job_and_cause(runs, add):
    first = add()
    assert first
    assert add() is None
    assert add(job="other")
    assert len(runs.listing()) == 2


def test_a_run_by_hand_keeps_its_own_event_whatever_its_id(runs, add):
    other = new_event("shop", "order placed", {"order": 8}, now=NOW, event_id=EVENT.id)
    first = add(trigger="manual", cause="manual:1")
    second = add(trigger="manual", cause="manual:2", event=other)
    assert runs.get(first).event.detail == {"order": 7}
    assert runs.get(second).event.detail == {"order": 8}


def test_a_run_is_claimed_once(runs, add):
    run_id = add()
    claimed = runs.claim(run_id, ME, NOW)
    assert claimed.status is Status.STARTING
    assert [attempt.number for attempt in claimed.attempts] == [1]
    assert runs.claim(run_id, ME, NOW) is None
    assert runs.claim(run_id, "2:2", NOW) is None


def test_a_run_is_not_claimed_before_it_is_due(runs, add):
    run_id = add()
    run = runs.claim(run_id, ME, NOW)
    failed = Outcome(ending=Ending.EXITED, exit_code=1)
    due = NOW + timedelta(seconds=10)
    runs.decide(run, failed, Decision(status=Status.QUEUED, due_at=due, reason="attempt 1: exit code 1"), NOW)
    assert runs.queued() == [(run_id, due)]
    assert runs.claim(run_id, ME, due - timedelta(milliseconds=1)) is None
    assert [attempt.number for attempt in runs.claim(run_id, ME, due).attempts] == [1, 2]


def test_the_owner_of_a_run_is_the_only_one_to_claim_it(runs, add):
    run_id = add(owner=ME)
    assert runs.queued() == []
    assert runs.claim(run_id, "2:2", NOW) is None
    assert runs.claim(run_id, ME, NOW) is not None


def test_what_ran_and_how_it_ended_is_kept(runs, add):
    import dataclasses

    run = runs.claim(add(overrides=Overrides(args=("a b",), env={"K": "V"})), ME, NOW)
    run = dataclasses.replace(run, command=("echo", "a b"), env={"K": "V"})
    runs.started(run, "4711:99")
    outcome = Outcome(ending=Ending.EXITED, exit_code=3, reason="because")
    runs.decide(run, outcome, Decision(status=Status.FAILED, reason="exit code 3"), NOW + timedelta(seconds=1))
    kept = runs.get(run.id)
    assert kept.command == ("echo", "a b")
    assert kept.overrides == Overrides(args=("a b",), env={"K": "V"})
    assert kept.attempts[0].process == "4711:99"
    assert kept.attempts[0].outcome == outcome
    assert (kept.status, kept.reason, kept.ended_at) == (Status.FAILED, "exit code 3", NOW + timedelta(seconds=1))


def test_runs_are_found_by_the_beginning_of_their_id(runs, add):
    first = add(cause="1")
    second = add(cause="2", now=NOW + timedelta(days=400))
    assert runs.find(first[:6]).id == first
    assert runs.find(second.upper()).id == second
    with pytest.raises(NotFound, match="is the beginning of several runs"):
        runs.find(first[0])
    with pytest.raises(NotFound, match="there is no run `zzz`"):
        runs.find("zzz")


def test_listing_is_newest_first_and_filtered(runs, add):
    ids = [add(job=f"job{n % 2}", cause=str(n), now=NOW + timedelta(minutes=n)) for n in range(6)]
    assert [run.id for run in runs.listing()] == ids[::-1]
    assert [run.id for run in runs.listing(job="job1", limit=2)] == [ids[5], ids[3]]
    assert [run.id for run in runs.listing(since=NOW + timedelta(minutes=4))] == [ids[5], ids[4]]
    assert runs.listing(statuses=[Status.FAILED]) == []
    runs.claim(ids[0], ME, NOW + timedelta(hours=1))
    assert [run.id for run in runs.listing(statuses=[Status.STARTING, Status.RUNNING])] == [ids[0]]


def test_a_stop_of_a_waiting_run_ends_it(runs, add):
    run_id = add()
    assert runs.request_stop(run_id)
    assert runs.stop_requests() == [(run_id, Status.QUEUED)]
    runs.stop_queued(run_id, NOW)
    assert runs.get(run_id).status is Status.STOPPED
    assert not runs.request_stop(run_id)


def test_a_dead_owners_run_is_taken_over_once(runs, add):
    run_id = add()
    runs.claim(run_id, "dead:1", NOW)
    assert runs.owned() == [(run_id, "dead:1")]
    assert runs.adopt(run_id, old_owner="dead:1", owner=ME)
    assert not runs.adopt(run_id, old_owner="dead:1", owner="3:3")


def test_a_schedules_anchor_stays_where_it_was_set(runs, database):
    first = runs.firing("nightly", "schedule:rate(1 hour)@UTC", now=NOW)
    assert (first.anchor, first.last) == (NOW, None)
    database.write(lambda tx: runs.keep_firing(tx, "nightly", "schedule:rate(1 hour)@UTC", NOW + timedelta(hours=1)))
    again = runs.firing("nightly", "schedule:rate(1 hour)@UTC", now=NOW + timedelta(days=1))
    assert (again.anchor, again.last) == (NOW, NOW + timedelta(hours=1))

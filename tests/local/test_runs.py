import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from wherry.errors import NotFound
from wherry.executors import Usage
from wherry.ids import RunIds, first_of
from wherry.lifecycle import Decision
from wherry.local.database import Database
from wherry.local.firings import Firings
from wherry.local.history import History
from wherry.local.runs import Runs
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
def history(database):
    return History(database)


@pytest.fixture
def add(database, runs):
    def add(job="report", cause="event:1", trigger="event", now=NOW, event=EVENT, **more):
        added = database.write(
            lambda tx: runs.add(tx, job=job, trigger=trigger, cause=cause, event=event, now=now, **more)
        )
        return added and added.id

    return add


@pytest.fixture
def claim(database, runs):
    return lambda run_id, owner, now: database.write(lambda tx: runs.claim(tx, run_id, owner, now))


@pytest.fixture
def decide(database, runs):
    def decide(run, outcome, decision, now, usage=None):
        attempt = dataclasses.replace(run.attempts[-1], ended_at=now, outcome=outcome)
        run = dataclasses.replace(run, attempts=(*run.attempts[:-1], attempt))
        database.write(lambda tx: runs.decide(tx, run, outcome, decision, now=now, usage=usage))

    return decide


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


def test_no_id_made_since_then_is_less_than_the_first_of_then():
    assert first_of(NOW) <= RunIds().new(NOW) < first_of(NOW + timedelta(milliseconds=1))


def test_one_run_per_job_and_cause(history, add):
    first = add()
    assert first
    assert add() is None
    assert add(job="other")
    assert len(history.listing()) == 2
    assert history.of_cause("report", "event:1").id == first
    assert history.of_cause("report", "event:2") is None


def test_a_run_by_hand_keeps_its_own_event_whatever_its_id(history, add):
    other = new_event("shop", "order placed", {"order": 8}, now=NOW, event_id=EVENT.id)
    first = add(trigger="manual", cause="manual:1", own_event=True)
    second = add(trigger="manual", cause="manual:2", event=other, own_event=True)
    assert history.get(first).event.detail == {"order": 7}
    assert history.get(second).event.detail == {"order": 8}


def test_a_run_is_claimed_once(claim, add):
    run_id = add()
    claimed = claim(run_id, ME, NOW)
    assert claimed.status is Status.STARTING
    assert [attempt.number for attempt in claimed.attempts] == [1]
    assert claim(run_id, ME, NOW) is None
    assert claim(run_id, "2:2", NOW) is None


def test_a_run_is_not_claimed_before_it_is_due(runs, claim, decide, add):
    run_id = add()
    run = claim(run_id, ME, NOW)
    failed = Outcome(ending=Ending.EXITED, exit_code=1)
    due = NOW + timedelta(seconds=10)
    decide(run, failed, Decision(status=Status.QUEUED, due_at=due, reason="attempt 1: exit code 1"), NOW)
    assert [(queued.id, queued.due_at, queued.admitted) for queued in runs.queued()] == [(run_id, due, True)]
    assert claim(run_id, ME, due - timedelta(milliseconds=1)) is None
    assert [attempt.number for attempt in claim(run_id, ME, due).attempts] == [1, 2]


def test_what_waits_by_a_clock_that_was_ahead_waits_no_longer_once_it_is_right(runs, claim, decide, add):
    ahead = NOW + timedelta(hours=1)
    new, failing, sound = add(cause="event:1", now=ahead), add(cause="event:2", now=NOW), add(cause="event:3", now=NOW)
    failed = Outcome(ending=Ending.EXITED, exit_code=1)
    again = Decision(status=Status.QUEUED, due_at=ahead + timedelta(seconds=10), reason="attempt 1: exit code 1")
    decide(claim(failing, ME, NOW), failed, again, ahead)
    decide(claim(sound, ME, NOW), failed, dataclasses.replace(again, due_at=NOW + timedelta(minutes=5)), NOW)
    assert sorted(runs.mend_clock(NOW)) == sorted([new, failing])
    due = {queued.id: queued.due_at for queued in runs.queued()}
    assert due == {new: NOW, failing: NOW + timedelta(seconds=10), sound: NOW + timedelta(minutes=5)}


def test_the_owner_of_a_run_is_the_only_one_to_claim_it(runs, claim, add):
    run_id = add(owner=ME)
    assert runs.queued() == []
    assert claim(run_id, "2:2", NOW) is None
    assert claim(run_id, ME, NOW) is not None


def test_what_ran_and_how_it_ended_is_kept(database, runs, history, claim, decide, add):
    run = claim(add(overrides=Overrides(args=("a b",), env={"K": "V"})), ME, NOW)
    run = dataclasses.replace(run, command=("echo", "a b"), env={"K": "V"})
    database.write(lambda tx: runs.started(tx, run, "4711:99"))
    assert history.get(run.id).status is Status.RUNNING
    outcome = Outcome(ending=Ending.EXITED, exit_code=3, reason="because")
    later = NOW + timedelta(seconds=1)
    decide(run, outcome, Decision(status=Status.FAILED, reason="exit code 3"), later, Usage(1 << 20, 0.5))
    kept = history.get(run.id)
    assert kept.command == ("echo", "a b")
    assert kept.overrides == Overrides(args=("a b",), env={"K": "V"})
    assert kept.attempts[0].process == "4711:99"
    assert kept.attempts[0].outcome == outcome
    assert (kept.attempts[0].peak_memory, kept.attempts[0].cpu_seconds) == (1 << 20, 0.5)
    assert (kept.status, kept.reason, kept.ended_at) == (Status.FAILED, "exit code 3", later)


def test_what_failed_is_a_dead_letter_until_it_is_buried_or_tried_again(database, runs, history, claim, decide, add):
    ids = [add(cause=str(number)) for number in range(3)]
    for run_id in ids:
        decide(
            claim(run_id, ME, NOW),
            Outcome(ending=Ending.EXITED, exit_code=1),
            Decision(status=Status.FAILED, reason="exit code 1"),
            NOW,
        )
    assert [run.id for run in history.dead()] == ids[::-1]
    assert [run.id for run in history.dead(reason="CODE 1", since=NOW, limit=1)] == [ids[2]]
    assert history.dead(job="other") == history.dead(reason="code 2") == history.dead(since=NOW + timedelta(1)) == []
    runs.bury([ids[0]])
    assert database.write(lambda tx: runs.another_round(tx, ids[1], NOW + timedelta(hours=1)))
    assert [run.id for run in history.dead()] == [ids[2]]
    assert history.dead_count() == 1


def test_another_round_begins_with_fresh_budgets(database, runs, history, claim, decide, add):
    run_id = add()
    later = NOW + timedelta(hours=1)
    assert not database.write(lambda tx: runs.another_round(tx, run_id, later))
    decide(claim(run_id, ME, NOW), Outcome(ending=Ending.EXITED, exit_code=1), Decision(status=Status.FAILED), NOW)
    assert database.write(lambda tx: runs.another_round(tx, run_id, later))
    run = history.get(run_id)
    assert (run.status, run.asked_at, run.earlier_attempts, run.ended_at) == (Status.QUEUED, later, 1, None)
    assert [attempt.number for attempt in claim(run_id, ME, later).attempts] == [1, 2]


def test_runs_are_found_by_the_beginning_of_their_id(history, add):
    first = add(cause="1")
    second = add(cause="2", now=NOW + timedelta(days=400))
    assert history.find(first[:6]).id == first
    assert history.find(second.upper()).id == second
    with pytest.raises(NotFound, match="is the beginning of several runs"):
        history.find(first[0])
    with pytest.raises(NotFound, match="there is no run `zzz`"):
        history.find("zzz")


def test_listing_is_newest_first_and_filtered(history, claim, add):
    ids = [add(job=f"job{n % 2}", cause=str(n), now=NOW + timedelta(minutes=n)) for n in range(6)]
    assert [run.id for run in history.listing()] == ids[::-1]
    assert [run.id for run in history.listing(job="job1", limit=2)] == [ids[5], ids[3]]
    assert [run.id for run in history.listing(since=NOW + timedelta(minutes=4))] == [ids[5], ids[4]]
    assert history.listing(statuses=[Status.FAILED]) == []
    claim(ids[0], ME, NOW + timedelta(hours=1))
    assert [run.id for run in history.listing(statuses=[Status.STARTING, Status.RUNNING])] == [ids[0]]
    assert history.counts(NOW + timedelta(minutes=4)) == {Status.QUEUED: 2}


def test_a_run_that_waits_is_closed_without_an_attempt(database, runs, history, claim, add):
    run_id = add()
    assert runs.request_stop(run_id)
    assert runs.stop_requests() == [(run_id, Status.QUEUED)]
    assert claim(run_id, ME, NOW) is None
    closed = database.write(lambda tx: runs.close(tx, run_id, Status.STOPPED, "because", NOW))
    assert (closed.status, closed.reason, closed.attempts) == (Status.STOPPED, "because", ())
    assert database.write(lambda tx: runs.close(tx, run_id, Status.STOPPED, "again", NOW)) is None
    assert history.get(run_id).reason == "because"
    assert not runs.request_stop(run_id)


def test_active_are_those_that_have_begun_and_not_ended(database, runs, claim, decide, add):
    first, second = add(cause="1"), add(cause="2")
    waiting = next(queued for queued in runs.queued() if queued.id == second)
    count = lambda: database.write(lambda tx: runs.active(tx, waiting))  # noqa: E731
    assert count() == 0
    run = claim(first, ME, NOW)
    assert count() == 1
    due = NOW + timedelta(hours=1)
    decide(run, Outcome(ending=Ending.EXITED, exit_code=1), Decision(status=Status.QUEUED, due_at=due), NOW)
    assert count() == 1  # between two attempts it is active
    database.write(lambda tx: runs.close(tx, first, Status.STOPPED, "", NOW))
    assert count() == 0


def test_a_dead_owners_run_is_taken_over_once(runs, claim, add):
    run_id = add()
    claim(run_id, "dead:1", NOW)
    assert runs.owned() == [(run_id, "report", "dead:1", "dead:1")]
    assert runs.adopt(run_id, old_owner="dead:1", owner=ME)
    assert not runs.adopt(run_id, old_owner="dead:1", owner="3:3")


def test_a_schedules_anchor_stays_where_it_was_set(database):
    firings = Firings(database)
    key = ("nightly", "schedule:rate(1 hour)@UTC")
    first = firings.anchor([key], NOW)[key]
    assert (first.anchor, first.last) == (NOW, None)
    database.write(lambda tx: firings.keep(tx, *key, NOW + timedelta(hours=1)))
    again = firings.anchor([key], NOW + timedelta(days=1))[key]
    assert (again.anchor, again.last) == (NOW, NOW + timedelta(hours=1))


def test_a_missed_firing_is_noted_once(database):
    firings = Firings(database)
    note = lambda: database.write(  # noqa: E731
        lambda tx: firings.miss(tx, job="a", trigger="t", fires_at=NOW, reason="no engine ran", now=NOW)
    )
    assert (note(), note()) == (True, False)
    assert [missed.job for missed in firings.missed(since=NOW)] == ["a"]
    assert firings.missed(since=NOW + timedelta(seconds=1)) == []

"""Schedules over a real store and a clock of our own: each firing once, and what nobody saw is made up for or said."""

import itertools
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.local.ear import Ear, intake_of
from wherry import lifecycle, schedule
from wherry.local import scheduler
from wherry.local.alerts import Alerts
from wherry.local.consequences import Consequences
from wherry.local.database import Database
from wherry.local.firings import Firings
from wherry.local.history import History
from wherry.local.runs import Runs
from wherry.local.scheduler import Scheduler
from wherry.model import EventTrigger, Job, JobFile, ScheduleTrigger, Status
from wherry.target import Wish

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MISSED = EventTrigger(pattern={"source": ["wherry"], "detail-type": ["Wherry Run Missed"]})


class Town:
    """A store with its intake, and a clock that only we move. Each `engine` is one more start of the scheduler."""

    def __init__(self, folder, *triggers, now=NOW, listens=True, **job):
        self.now = now
        self.errors = []
        jobs = {"job": Job(name="job", command=("true",), triggers=triggers, **job)}
        if listens:
            jobs["listener"] = Job(name="listener", command=("true",), triggers=(MISSED,))
        self.jobfile = JobFile(path=str(folder / "wherry.yaml"), app="test", jobs=jobs)
        self.database = Database(str(folder / "wherry.db"))
        self.runs, self.history, self.firings = Runs(self.database), History(self.database), Firings(self.database)
        ear = Ear()
        self.offered = ear.offered
        self.intake = intake_of(self.jobfile, self.database, self.runs, self.clock, ear)
        self.alerts = Alerts(self.database, self.clock, lambda: self.jobfile, self.errors.append, silent=True)

    def clock(self):
        return self.now

    def engine(self):
        consequences = Consequences(self.intake, self.alerts, self.errors.append)
        return Scheduler(self.jobfile, self.database, self.firings, self.intake, consequences, self.clock)

    def pass_time(self, engine, length, step=30 * timedelta(seconds=1)):
        """Time goes on, and the engine sees it."""
        until = self.now + length
        while self.now < until:
            self.now = min(self.now + step, until)
            engine.turn(self.now)

    def fired(self):
        """The instants whose runs there are, in order."""
        runs = self.history.listing(job="job", limit=-1)
        return sorted(datetime.fromisoformat(run.event.document["time"]) for run in runs if run.trigger == "schedule")

    def missed(self, reason="no engine ran"):
        """What the ledger says was missed, in order."""
        found = self.firings.missed(since=EPOCH, limit=-1)
        return sorted(missed.fires_at for missed in found if reason in missed.reason)

    def told(self, reason="no engine ran"):
        """The scheduled times of the events on the bus that tell of missed firings, in order."""
        details = [run.event.detail for run in self.history.listing(job="listener", limit=-1)]
        return sorted(datetime.fromisoformat(d["scheduled-time"]) for d in details if reason in d["reason"])

    def close(self):
        self.database.close()
        assert self.errors == []


@pytest.fixture
def town(tmp_path):
    towns = []

    def town(expression="rate(1 minute)", *, catch_up="none", timezone="UTC", **more):
        trigger = ScheduleTrigger(expression=expression, catch_up=catch_up, timezone=timezone)
        towns.append(Town(tmp_path, trigger, **more))
        return towns[-1]

    yield town
    for one in towns:
        one.close()


def minutes(first, last):
    return [NOW + number * MINUTE for number in range(first, last + 1)]


# ---------------------------------------------------------------------------------------------------------------- once


def test_a_schedule_begins_when_it_is_first_seen_and_fires_at_each_of_its_times(town):
    town = town()
    engine = town.engine()
    assert engine.turn(town.now) == NOW + MINUTE
    town.pass_time(engine, 3 * MINUTE)
    assert town.fired() == minutes(1, 3)
    assert engine.turn(town.now) == NOW + 4 * MINUTE
    assert [queued.job for queued in town.offered] == ["job"] * 3
    assert town.missed() == town.told() == []


def test_a_restart_fires_nothing_twice_and_moves_nothing(town):
    town = town()
    for _ in range(5):
        town.pass_time(town.engine(), 45 * timedelta(seconds=1), step=timedelta(seconds=15))
    assert town.fired() == minutes(1, 3)
    assert town.missed() == []


def test_two_schedulers_on_one_store_fire_once(town):
    town = town()
    first, second = town.engine(), town.engine()
    for _ in range(10):
        town.now += MINUTE / 2
        first.turn(town.now)
        second.turn(town.now)
    assert town.fired() == minutes(1, 5)
    assert len(town.offered) == 5


def test_what_another_scheduler_has_fired_is_not_missed(town):
    town = town()
    first, second = town.engine(), town.engine()
    town.pass_time(first, 10 * MINUTE)
    second.turn(town.now)
    assert town.fired() == minutes(1, 10)
    assert town.missed() == town.told() == []


def test_a_job_without_a_schedule_is_never_due(town):
    assert town("at(2026-02-01T00:00:00)").engine().turn(NOW) is None


def test_two_schedules_of_one_job_keep_apart(tmp_path):
    triggers = [ScheduleTrigger(expression=f"rate({count} minutes)") for count in (2, 3)]
    town = Town(tmp_path, *triggers)
    town.pass_time(town.engine(), 6 * MINUTE)
    assert town.fired() == [NOW + count * MINUTE for count in (2, 3, 4, 6, 6)]
    town.close()


def test_what_the_store_refuses_is_fired_the_next_time(town, monkeypatch):
    town = town()
    engine = town.engine()
    town.now += MINUTE

    def refuse(work):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(town.database, "write", refuse)
        with pytest.raises(OSError, match="full"):
            engine.turn(town.now)
    assert engine.turn(town.now) == NOW + 2 * MINUTE
    assert town.fired() == minutes(1, 1)


# ------------------------------------------------------------------------------------------------------------ catch up

CATCH_UPS = pytest.mark.parametrize("catch_up", ["none", "latest", "all"])


def taken_of(catch_up, due):
    """What a policy makes up for of firings that are all too late."""
    return {"none": [], "latest": due[-1:], "all": due}[catch_up]


@CATCH_UPS
def test_after_a_downtime_the_catch_up_decides(town, catch_up):
    town = town("cron(* 12 * * ? *)", catch_up=catch_up)
    town.pass_time(town.engine(), 2 * MINUTE)
    slept = minutes(3, 59)
    town.now = slept[-1] + lifecycle.FIRING_GRACE + timedelta(milliseconds=1)
    town.engine().turn(town.now)
    taken = taken_of(catch_up, slept)
    assert town.fired() == minutes(1, 2) + taken
    assert town.missed() == town.told() == [moment for moment in slept if moment not in taken]


@CATCH_UPS
def test_what_is_at_most_a_minute_late_is_not_missed(town, catch_up):
    town = town(catch_up=catch_up)
    town.engine()
    town.now = NOW + 10 * MINUTE + lifecycle.FIRING_GRACE - timedelta(milliseconds=1)
    town.engine().turn(town.now)
    taken = minutes(1, 10) if catch_up == "all" else minutes(10, 10)
    assert town.fired() == taken
    assert town.missed() == town.told() == [moment for moment in minutes(1, 10) if moment not in taken]


@CATCH_UPS
def test_a_clock_that_jumps_forward_is_a_downtime(town, catch_up):
    town = town("cron(0 * * * ? *)", catch_up=catch_up)
    engine = town.engine()
    town.pass_time(engine, HOUR, step=10 * MINUTE)
    town.now = NOW + 4 * HOUR + 30 * MINUTE
    assert engine.turn(town.now) == NOW + 5 * HOUR
    slept = [NOW + hours * HOUR for hours in (2, 3, 4)]
    taken = taken_of(catch_up, slept)
    assert town.fired() == [NOW + HOUR, *taken]
    assert town.missed() == town.told() == [moment for moment in slept if moment not in taken]


def test_a_clock_that_is_set_back_repeats_nothing(town):
    town = town("cron(0/10 * * * ? *)", catch_up="all")
    engine = town.engine()
    town.pass_time(engine, HOUR, step=MINUTE)
    before = town.fired()
    town.now -= HOUR
    town.pass_time(engine, 50 * MINUTE, step=MINUTE)
    town.pass_time(town.engine(), 10 * MINUTE, step=MINUTE)
    assert town.fired() == before
    town.pass_time(town.engine(), 10 * MINUTE, step=MINUTE)
    assert town.fired() == [*before, NOW + HOUR + 10 * MINUTE]
    assert town.missed() == []


def test_the_latest_is_one_however_long_the_downtime(town, monkeypatch):
    monkeypatch.setattr(scheduler, "_MOST_FIRINGS", 10)
    town = town(catch_up="latest")
    town.engine()
    town.now += 35 * MINUTE + MINUTE / 2
    engine = town.engine()
    while engine.turn(town.now) <= town.now:
        pass
    assert town.fired() == minutes(35, 35)


def test_of_very_many_missed_firings_the_newest_are_told(town):
    town = town()
    town.engine()
    town.now += DAY
    town.engine().turn(town.now)
    assert town.fired() == minutes(1439, 1440)  # both at most a minute late
    assert town.missed() == town.told() == minutes(1339, 1438)


def test_a_missed_firing_is_told_once_also_after_a_restart(town):
    town = town("cron(0 * * * ? *)")
    town.engine()
    town.now += HOUR + 5 * MINUTE
    for _ in range(3):
        town.engine().turn(town.now)
    assert town.missed() == town.told() == [NOW + HOUR]
    listener = town.history.listing(job="listener")[0]
    assert listener.event.detail["job"] == "job"
    assert listener.event.detail["reason"] == "no engine ran"
    assert listener.event.detail["trigger"] == "schedule:cron(0 * * * ? *)@UTC"


def test_what_is_missed_is_noted_also_when_nobody_listens(town):
    town = town("cron(0 * * * ? *)", listens=False)
    town.engine()
    town.now += HOUR + 5 * MINUTE
    town.engine().turn(town.now)
    assert town.missed() == [NOW + HOUR]


steps = st.lists(
    st.tuples(st.sampled_from([0, 1, 20, 61, 200, 4000]), st.sampled_from(["turn", "restart", "sleep", "other"])),
    max_size=15,
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["rate(1 minute)", "rate(7 minutes)", "cron(0/5 * * * ? *)", "*/20 * * * *"]),
    st.sampled_from(["none", "latest", "all"]),
    st.integers(0, 7200),
    steps,
)
def test_every_firing_is_made_or_missed_and_never_both(expression, catch_up, offset, happenings):
    """Two schedulers, restarts and sleep, in any order."""
    began = NOW + offset * timedelta(seconds=1)
    with tempfile.TemporaryDirectory() as folder:
        trigger = ScheduleTrigger(expression=expression, catch_up=catch_up)
        town = Town(Path(folder), trigger, now=began)
        engine, other = town.engine(), town.engine()
        for seconds, what in happenings:
            town.now += seconds * timedelta(seconds=1)
            match what:
                case "turn":
                    engine.turn(town.now)
                case "other":
                    other.turn(town.now)
                case "restart":
                    engine = town.engine()
        engine.turn(town.now)
        due = schedule.parse(expression).firings(began, anchor=began)
        expected = [firing.at for firing in itertools.takewhile(lambda firing: firing.at <= town.now, due)]
        fired, missed = town.fired(), town.missed()
        assert len(set(fired)) == len(fired)
        assert not set(fired) & set(missed)
        made = sorted(fired + missed)
        # of very many that are missed at once only the newest are told
        assert made == expected or (len(missed) >= 100 and set(made) < set(expected))
        assert catch_up != "all" or fired == expected
        assert not expected or catch_up == "none" or expected[-1] in fired
        assert town.told() == missed
        town.close()


# -------------------------------------------------------------------------------------------------- changes of clocks


def in_berlin(*texts):
    return [datetime.fromisoformat(text).astimezone(UTC) for text in texts]


def test_what_the_clocks_jump_over_in_spring_does_not_fire(town):
    (began,) = in_berlin("2026-03-28T00:00+01:00")
    town = town("cron(30 2 * * ? *)", timezone="Europe/Berlin", now=began)
    town.pass_time(town.engine(), 3 * DAY, step=5 * MINUTE)
    assert town.fired() == in_berlin("2026-03-28T02:30+01:00", "2026-03-30T02:30+02:00")
    assert town.missed() == []


def test_what_the_clocks_show_twice_in_autumn_fires_once(town):
    (began,) = in_berlin("2026-10-24T00:00+02:00")
    town = town("cron(30 2 * * ? *)", timezone="Europe/Berlin", now=began)
    town.pass_time(town.engine(), 3 * DAY, step=5 * MINUTE)
    assert town.fired() == in_berlin("2026-10-24T02:30+02:00", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00")
    assert town.missed() == []


def test_a_rate_counts_hours_that_pass_whatever_the_clocks_show(town):
    (began,) = in_berlin("2026-03-29T00:30+01:00")
    town = town("rate(1 hour)", timezone="Europe/Berlin", now=began)
    town.pass_time(town.engine(), 4 * HOUR, step=5 * MINUTE)
    assert town.fired() == [began + hours * HOUR for hours in (1, 2, 3, 4)]


def test_a_downtime_over_a_change_of_the_clocks_is_caught_up_in_the_zones_own_days(town):
    (began,) = in_berlin("2026-10-23T12:00+02:00")
    town = town("cron(0 0 * * ? *)", timezone="Europe/Berlin", catch_up="all", now=began)
    town.engine()
    town.now += 4 * DAY
    town.engine().turn(town.now)
    midnights = in_berlin(
        "2026-10-24T00:00+02:00", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00", "2026-10-27T00:00+01:00"
    )
    assert town.fired() == midnights
    newest = town.history.listing(job="job", limit=-1)
    covered = {tuple(run.event.detail["interval"].values()) for run in newest}
    assert ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z") in covered  # a day of 25 hours


# ---------------------------------------------------------------------------------------------------------------- late


def test_a_run_that_does_not_begin_is_told_once(town):
    town = town("cron(0 * * * ? *)")
    engine = town.engine()
    town.pass_time(engine, HOUR)
    town.pass_time(engine, lifecycle.START_GRACE)
    assert town.missed("has not begun") == []
    town.pass_time(engine, 2 * MINUTE)
    town.pass_time(town.engine(), 10 * MINUTE)
    assert town.missed("has not begun") == town.told("has not begun") == [NOW + HOUR]
    run = town.history.listing(job="job")[0]
    assert town.history.listing(job="listener")[0].event.detail["reason"].startswith(f"run {run.id} has not begun")


def test_a_run_that_begins_in_time_is_not_late_however_long_it_takes(town):
    town = town("cron(0 * * * ? *)")
    engine = town.engine()
    town.pass_time(engine, HOUR)
    town.database.write(lambda tx: town.runs.claim(tx, town.offered[0].id, "1:1", town.now))
    town.pass_time(engine, 50 * MINUTE)
    assert town.missed("") == []


def test_a_skipped_firing_that_is_asked_for_again_has_its_time_to_begin(town):
    town = town("cron(0 * * * ? *)")
    engine = town.engine()
    town.pass_time(engine, HOUR)
    run_id = town.offered[0].id
    town.database.write(lambda tx: town.runs.close(tx, run_id, Status.SKIPPED, "another run is active", town.now))
    town.pass_time(engine, 30 * MINUTE)
    assert town.intake.again(run_id)
    town.pass_time(engine, 4 * MINUTE)
    assert town.missed("has not begun") == []
    town.pass_time(engine, 4 * MINUTE)
    assert town.missed("has not begun") == [NOW + HOUR]


def test_what_is_no_firing_is_not_missed_when_it_waits(town):
    town = town("at(2027-01-01T00:00:00)")
    engine = town.engine()
    for cause in ("backfill: 2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", "replay:7"):
        town.intake.by_hand(Wish(job="job", trigger="schedule", cause=cause))
    town.pass_time(engine, 10 * MINUTE)
    assert town.missed("") == town.told("") == []


# ------------------------------------------------------------------------------------------------------------ outlook


def test_what_comes_next_is_known_without_an_engine(town):
    town = town("cron(0 * * * ? *)")
    assert scheduler.upcoming(town.jobfile, town.firings, NOW) == [(NOW + HOUR, "job")]
    assert town.firings.known() == {}


def test_what_nobody_fired_is_known_without_an_engine(town):
    town = town("cron(0 * * * ? *)", catch_up="all")
    assert scheduler.overdue(town.jobfile, town.firings, NOW) == []
    town.engine()
    assert scheduler.overdue(town.jobfile, town.firings, NOW + HOUR) == []
    late = NOW + 2 * HOUR + lifecycle.FIRING_GRACE
    assert scheduler.overdue(town.jobfile, town.firings, late) == [(NOW + HOUR, "job"), (NOW + 2 * HOUR, "job")]

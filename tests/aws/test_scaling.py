"""How many workers there are on AWS, over hours and days: Application Auto Scaling simulated, from the template itself."""

import copy
import itertools
import os
import random
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aws.simulation import World
from wherry import scaling
from wherry.aws.compile import compile_template
from wherry.aws.given import Given
from wherry.aws.scaling import steps
from wherry.model import Environment, Job, JobFile, Queue, QueueTrigger

HOUR, DAY = 3600, 86_400
#: A value is there two minutes after what it tells of, and is acted on at the next full minute.
METRICS = 180


def resources(capacity=None, **workers):
    """The template of a job with workers at a queue."""
    trigger = QueueTrigger(queue="work", **{"max_workers": 8, **workers})
    jobfile = JobFile(
        path="/none/wherry.yaml",
        app="scales",
        queues={"work": Queue(name="work")},
        jobs={"job": Job(name="job", command=("true",), image="x", triggers=(trigger,))},
    )
    environment = Environment(name="prod", region="eu-central-1", capacity=capacity)
    return compile_template(jobfile, environment, Given())["Resources"]


def world(**more):
    about = {key: more.pop(key) for key in list(more) if key in World.__dataclass_fields__}
    return World(resources(**more), **about)


def first(history, condition):
    return next(moment.at for moment in history if condition(moment))


def test_an_upload_after_a_silence_of_a_day_starts_a_worker_at_once():
    found = world(work=10).run(DAY).run(DAY + HOUR, {DAY + 60: 1})
    begun = first(found.history, lambda moment: moment.desired == 1 and moment.at > DAY)
    assert begun - (DAY + 60) <= 10  # the history has every tenth second
    assert found.done == 1
    assert found.desired == 0


def test_what_an_sdk_sends_after_a_silence_of_a_day_starts_one_within_minutes():
    found = world(work=10).run(DAY).run(DAY + HOUR, {DAY + 61: 1}, by_upload=False)
    begun = first(found.history, lambda moment: moment.desired == 1 and moment.at > DAY)
    assert begun - (DAY + 61) <= METRICS + 10
    assert found.done == 1


def test_without_looks_that_would_take_a_quarter_of_an_hour():
    asleep = {name: each for name, each in resources().items() if "ScheduleExpression" not in each["Properties"]}
    found = World(asleep, work=10).run(DAY).run(DAY + HOUR, {DAY + 61: 1}, by_upload=False)
    begun = first(found.history, lambda moment: moment.desired == 1 and moment.at > DAY)
    assert begun - (DAY + 61) >= 900


def test_metrics_that_never_come_keep_nobody_waiting_longer_than_a_look():
    found = world(work=10, lag=10**9).run(2 * HOUR, {HOUR + 1: 3}, by_upload=False)
    begun = first(found.history, lambda moment: moment.desired == 1)
    assert begun - HOUR <= 300
    assert found.done == 3
    assert found.desired == 1  # and without them nobody goes: that is the safe side


@pytest.mark.parametrize("by_upload", [True, False])
@pytest.mark.parametrize("from_running", [True, False])
def test_a_step_from_none(by_upload, from_running):
    """Forty messages, ten for each worker."""
    found = world(work=120, from_running=from_running).run(4 * HOUR, {HOUR + 5: 40}, by_upload=by_upload)
    assert found.done == 40
    soon = next(moment for moment in found.history if moment.at >= HOUR + METRICS + 10)
    assert 4 <= soon.desired <= 5
    assert max(moment.desired for moment in found.history) <= 8
    assert found.desired == 0


def test_a_burst_of_thousands_asks_ecs_a_few_times():
    found = world(work=2, max_workers=20).run(2 * HOUR, {HOUR + second: 500 for second in range(1, 11)})
    assert found.done == 5_000
    assert found.looks <= 10 + 120 + 24  # the first ones, of the others one in ever more, and those of the looks
    assert max(moment.desired for moment in found.history) == 20
    full = first(found.history, lambda moment: moment.desired == 20)
    assert full - HOUR <= METRICS + 10
    assert found.desired == 0
    assert found.cut == []


def test_a_burst_that_is_counted_before_it_is_heard_wakes_somebody_at_once():
    random.seed(5)  # the waker throws dice
    found = world(work=2, counted_first=True).run(2 * HOUR, {HOUR + 5: 500})
    assert first(found.history, lambda moment: moment.desired == 1) - HOUR <= 10
    assert found.done == 500


def test_a_trickle_needs_one_worker():
    arrivals = {HOUR + second: 1 for second in range(0, 6 * HOUR, 30)}
    found = world(work=5).run(10 * HOUR, arrivals)
    assert found.done == len(arrivals)
    assert max(moment.desired for moment in found.history) <= 2
    assert found.desired == 0


def test_a_job_of_two_hours_keeps_its_worker():
    found = world(work=2 * HOUR, protected=False).run(4 * HOUR, {600: 1})
    busy = [moment for moment in found.history if moment.working]
    assert min(moment.desired for moment in busy) == 1
    assert found.cut == []
    ended = busy[-1].at
    gone = first(found.history, lambda moment: moment.at > ended and moment.desired == 0)
    assert 300 <= gone - ended <= 300 + METRICS + 60


def without(term, instead):
    """The template with another expression for what is left to do."""
    made = copy.deepcopy(resources())
    for each in made.values():
        for metric in each["Properties"].get("Metrics", ()):
            if "Expression" in metric:
                assert term in metric["Expression"]
                metric["Expression"] = metric["Expression"].replace(term, instead)
    return made


def test_without_what_is_in_flight_that_job_would_be_cut_off():
    found = World(
        without("IF(asked > 0, waiting + working + taken, 1)", "waiting"), work=2 * HOUR, protected=False
    ).run(4 * HOUR, {600: 1})
    assert found.cut


def test_without_the_asking_in_vain_a_woken_worker_would_be_taken_away_again():
    found = World(without("asked > 0", "asked >= 0"), work=10).run(DAY, {DAY - 2 * HOUR + 15: 1})
    woken = first(found.history, lambda moment: moment.at >= DAY - 2 * HOUR + 15 and moment.desired == 1)
    assert 0 in {moment.desired for moment in found.history if woken < moment.at <= woken + 120}


def test_idle_is_counted_from_the_last_message():
    found = world(work=5, idle=timedelta(minutes=20)).run(3 * HOUR, {600: 1, 900: 1})
    gone = first(found.history, lambda moment: moment.at > 1200 and moment.desired == 0)
    assert 20 * 60 <= gone - 905 <= 20 * 60 + METRICS + 60


def test_workers_that_are_always_there_stay():
    found = world(work=5, min_workers=2).run(3 * HOUR, {600: 200})
    assert min(moment.desired for moment in found.history) == 2
    assert max(moment.desired for moment in found.history) == 8
    assert found.desired == 2


@pytest.mark.parametrize("capacity", ["fargate", "ec2"])
def test_workers_that_are_still_starting_are_not_asked_for_twice(capacity):
    """Instances take minutes: as long as nobody has taken a message, the backlog is the same backlog."""
    start = {"fargate": 150, "ec2": 400}[capacity]
    found = world(capacity=capacity, work=30, start=start, max_workers=50).run(HOUR, {61: 30}, by_upload=False)
    begun = first(found.history, lambda moment: moment.running > 1)
    assert max(moment.desired for moment in found.history if moment.at <= begun) == 1 + 3  # the waker's, and for thirty


@settings(deadline=None, max_examples=25)
@given(
    arrivals=st.dictionaries(st.integers(1, HOUR), st.integers(1, 60), min_size=1, max_size=6),
    work=st.integers(1, 300),
    start=st.integers(20, 300),
    lag=st.integers(0, 120),
    workers=st.fixed_dictionaries(
        {"max_workers": st.integers(1, 40), "backlog": st.integers(1, 50), "idle": st.integers(1, 1200)}
    ),
    protected=st.booleans(),
    from_running=st.booleans(),
    by_upload=st.booleans(),
)
def test_whatever_comes(arrivals, work, start, lag, workers, protected, from_running, by_upload):
    """Never more than `max`, all is done, then none is left; and what is worked on is not cut off."""
    given_ = {**workers, "idle": timedelta(seconds=workers["idle"])}
    found = World(resources(**given_), work=work, start=start, lag=lag, protected=protected, from_running=from_running)
    found.run(HOUR, arrivals, by_upload=by_upload)
    total = sum(arrivals.values())
    while found.done < total:
        found.run(found.now + HOUR)
        assert found.now < 40 * HOUR
    found.run(found.now + HOUR)
    assert max(moment.desired for moment in found.history) <= workers["max_workers"]
    assert len(found.tasks) == found.desired == 0
    assert found.done == total
    # a worker of wherry protects itself; one that polls by itself can only be met by a scale-in that was decided before
    # its message was in any metric
    assert all(age <= lag + 120 for _, age in found.cut)
    assert not (protected and found.cut)


@given(
    waiting=st.integers(1, 2_000),
    backlog=st.integers(1, 100),
    most=st.integers(1, 20),
    workers=st.integers(0, 20),
)
def test_a_step_is_what_the_rule_wants_beside_workers_that_are_all_busy(waiting, backlog, most, workers):
    """Application Auto Scaling and the engine here reckon alike."""
    trigger = QueueTrigger(queue="q", max_workers=most, backlog=backlog)
    load = scaling.Load(waiting=waiting, in_flight=workers)
    wanted = scaling.wanted(load, workers=min(workers, most), steady_for=timedelta(0), trigger=trigger)
    distance = waiting - 1
    (step,) = [
        each["ScalingAdjustment"]
        for each in steps(trigger)
        if each["MetricIntervalLowerBound"] <= distance < each.get("MetricIntervalUpperBound", 10**9)
    ]
    assert min(min(workers, most) + step, most) == wanted


@given(most=st.integers(1, 1_000), least=st.integers(0, 5), backlog=st.integers(1, 100_000))
def test_steps_are_a_policy_s(most, least, backlog):
    trigger = QueueTrigger(queue="q", min_workers=min(least, most - 1), max_workers=most, backlog=backlog)
    found = steps(trigger)
    assert len(found) <= 20
    assert found[0]["MetricIntervalLowerBound"] == 0
    assert "MetricIntervalUpperBound" not in found[-1]
    assert found[-1]["ScalingAdjustment"] == most - trigger.min_workers
    for one, following in itertools.pairwise(found):
        assert one["MetricIntervalUpperBound"] == following["MetricIntervalLowerBound"]
        # where steps are left out, more workers come than are wanted, never fewer
        assert one["ScalingAdjustment"] * backlog >= one["MetricIntervalUpperBound"]


def test_the_picture_in_the_docs_is_what_the_simulation_shows():
    from tests.aws.scaling_plot import draw

    picture = Path(__file__).parents[2] / "docs/images/scaling.svg"
    if os.environ.get("GOLDEN") == "write":
        picture.parent.mkdir(exist_ok=True)
        picture.write_text(draw(), encoding="utf-8")
    assert draw() == picture.read_text(encoding="utf-8")

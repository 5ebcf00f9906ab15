from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model import QueueTrigger
from wherry.scaling import PATIENCE, Load, wanted

IDLE = timedelta(minutes=5)
LATE = PATIENCE + timedelta(seconds=1)
AGES = st.integers(min_value=0, max_value=3600).map(lambda seconds: timedelta(seconds=seconds))


def trigger(least: int = 0, most: int = 8, backlog: int = 10) -> QueueTrigger:
    return QueueTrigger(queue="q", min_workers=least, max_workers=most, backlog=backlog, idle=IDLE)


@st.composite
def triggers(draw) -> QueueTrigger:
    least = draw(st.integers(0, 5))
    return trigger(least, draw(st.integers(max(1, least), 50)), draw(st.integers(1, 100)))


@st.composite
def loads(draw, waiting=st.integers(0, 500), in_flight=st.integers(0, 100)) -> Load:
    waiting, in_flight = draw(waiting), draw(in_flight)
    return Load(
        waiting=waiting,
        in_flight=in_flight,
        oldest=draw(AGES) if waiting else None,
        empty_for=timedelta(0) if waiting or in_flight else draw(AGES),
    )


@pytest.mark.parametrize(
    ("waiting", "in_flight", "workers", "count"),
    [
        (0, 0, 0, 0),  # nothing to do
        (1, 0, 0, 1),  # the first message
        (10, 0, 0, 1),
        (11, 0, 0, 2),
        (100, 0, 0, 8),  # the most there may be
        (1, 1, 1, 2),  # the only worker is busy
        (1, 1, 2, 2),  # one is free
        (0, 3, 5, 5),  # none goes while somebody works
        (0, 10, 1, 1),  # ten messages of one receive keep one busy
        (0, 4, 0, 0),  # what dead workers had taken is not there to be received
    ],
)
def test_out(waiting, in_flight, workers, count):
    load = Load(waiting=waiting, in_flight=in_flight)
    assert wanted(load, workers=workers, steady_for=timedelta(0), trigger=trigger()) == count


@pytest.mark.parametrize(
    ("oldest", "steady_for", "count"),
    [(LATE, LATE, 4), (PATIENCE, LATE, 3), (LATE, timedelta(seconds=59), 3), (None, LATE, 3)],
    ids=["late", "not yet late", "one was just added", "unknown"],
)
def test_lateness_adds_one_a_minute(oldest, steady_for, count):
    load = Load(waiting=9, in_flight=2, oldest=oldest)
    assert wanted(load, workers=3, steady_for=steady_for, trigger=trigger()) == count


def test_lateness_adds_no_worker_without_a_message():
    load = Load(waiting=1, in_flight=2, oldest=LATE)
    assert wanted(load, workers=3, steady_for=LATE, trigger=trigger()) == 3


def test_in_all_at_once_when_it_was_empty_for_long_enough():
    for empty_for, count in ((IDLE - timedelta(seconds=1), 6), (IDLE, 2)):
        load = Load(waiting=0, in_flight=0, empty_for=empty_for)
        assert wanted(load, workers=6, steady_for=LATE, trigger=trigger(least=2)) == count


@given(load=loads(), workers=st.integers(0, 60), steady_for=AGES, limits=triggers())
def test_never_below_min_never_above_max(load, workers, steady_for, limits):
    count = wanted(load, workers=workers, steady_for=steady_for, trigger=limits)
    assert limits.min_workers <= count <= limits.max_workers


@given(load=loads(waiting=st.integers(1, 500)), workers=st.integers(0, 60), steady_for=AGES, limits=triggers())
def test_at_least_one_while_anything_waits(load, workers, steady_for, limits):
    assert wanted(load, workers=workers, steady_for=steady_for, trigger=limits) >= 1


@given(load=loads(), more=st.integers(1, 100), workers=st.integers(0, 60), steady_for=AGES, limits=triggers())
def test_more_that_waits_never_wants_fewer(load, more, workers, steady_for, limits):
    fuller = Load(waiting=load.waiting + more, in_flight=load.in_flight, oldest=load.oldest)
    before = wanted(load, workers=workers, steady_for=steady_for, trigger=limits)
    assert wanted(fuller, workers=workers, steady_for=steady_for, trigger=limits) >= before


@given(load=loads(), workers=st.integers(0, 60), steady_for=AGES, limits=triggers())
def test_none_goes_while_there_is_work_or_was_just_now(load, workers, steady_for, limits):
    if not load.is_empty or load.empty_for < IDLE:
        count = wanted(load, workers=workers, steady_for=steady_for, trigger=limits)
        assert count >= min(workers, limits.max_workers)


@given(load=loads(), workers=st.integers(0, 60), limits=triggers())
def test_it_comes_to_rest(load, workers, limits):
    """The same load asked again at once wants the same: workers are not added look by look."""
    first = wanted(load, workers=workers, steady_for=LATE, trigger=limits)
    load = Load(waiting=load.waiting, in_flight=min(load.in_flight, workers), oldest=load.oldest)
    settled = wanted(load, workers=first, steady_for=timedelta(0), trigger=limits)
    assert wanted(load, workers=settled, steady_for=timedelta(0), trigger=limits) == settled

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry import lifecycle
from wherry.model import Attempt, Ending, Outcome, Retry, Status

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def exited(code: int) -> Outcome:
    return Outcome(ending=Ending.EXITED, exit_code=code)


def attempts(*outcomes: Outcome) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(number=number, started_at=NOW, ended_at=NOW, outcome=outcome)
        for number, outcome in enumerate(outcomes, start=1)
    )


def decide(retry: Retry, *outcomes: Outcome, chance: float = 0.0) -> lifecycle.Decision:
    return lifecycle.after_attempt(attempts(*outcomes), outcomes[-1], retry, now=NOW, chance=chance)


def test_success_ends_the_run():
    assert decide(Retry(attempts=3), exited(0)) == lifecycle.Decision(status=Status.SUCCEEDED)


def test_failure_without_retry_ends_the_run():
    assert decide(Retry(), exited(3)) == lifecycle.Decision(status=Status.FAILED, reason="exit code 3")


def test_failure_with_retry_waits_for_the_backoff():
    decision = decide(Retry(attempts=3, backoff=timedelta(seconds=10)), exited(1))
    assert decision.status is Status.QUEUED
    assert decision.due_at == NOW + timedelta(seconds=10)
    assert decision.reason == "attempt 1: exit code 1"


def test_the_last_attempt_decides():
    retry = Retry(attempts=2)
    assert decide(retry, exited(1), exited(1)).status is Status.FAILED
    assert decide(retry, exited(1), exited(0)).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("used", "seconds"),
    [(1, 10), (2, 20), (3, 40), (4, 60), (5000, 60)],
    ids=["first", "second", "third", "cap", "late"],
)
def test_backoff_doubles_up_to_its_cap(used, seconds):
    retry = Retry(attempts=9999, backoff=timedelta(seconds=10), cap=timedelta(minutes=1))
    assert lifecycle.delay(retry, used, chance=0) == timedelta(seconds=seconds)


def test_jitter_takes_away_at_most_its_part():
    retry = Retry(attempts=2, backoff=timedelta(seconds=10), jitter=0.5)
    assert lifecycle.delay(retry, 1, chance=0) == timedelta(seconds=10)
    assert lifecycle.delay(retry, 1, chance=1) == timedelta(seconds=5)


def test_only_the_named_exit_codes_are_tried_again():
    retry = Retry(attempts=3, exit_codes=frozenset({75}))
    assert decide(retry, exited(75)).status is Status.QUEUED
    assert decide(retry, exited(1)).status is Status.FAILED


def test_a_stop_is_never_tried_again():
    stopped = Outcome(ending=Ending.STOPPED, exit_code=143, reason="stopped on request")
    assert decide(Retry(attempts=3), stopped).status is Status.STOPPED


def test_what_could_not_start_here_will_not_start_again():
    missing = Outcome(ending=Ending.COULD_NOT_START, reason="there is no program `x` on PATH")
    decision = decide(Retry(attempts=3), missing)
    assert decision == lifecycle.Decision(
        status=Status.FAILED, reason="could not start: there is no program `x` on PATH"
    )


def test_a_timeout_is_a_status_of_its_own():
    late = Outcome(ending=Ending.TIMED_OUT, reason="it ran longer than `timeout: 1s`")
    assert decide(Retry(), late).status is Status.TIMED_OUT
    assert decide(Retry(attempts=2), late).status is Status.QUEUED


@given(
    st.integers(1, 6),
    st.lists(st.sampled_from([exited(0), exited(1), Outcome(ending=Ending.LOST)]), min_size=1, max_size=8),
    st.floats(0, 1),
)
def test_a_run_has_at_most_its_attempts_and_ends(allowed, outcomes, chance):
    """Whatever happens, the attempts are bounded, and a queued run has a time at which it is due."""
    retry, seen = Retry(attempts=allowed, backoff=timedelta(seconds=1), jitter=1.0), []
    for outcome in outcomes:
        seen.append(outcome)
        decision = decide(retry, *seen, chance=chance)
        assert (decision.due_at is not None) == (decision.status is Status.QUEUED)
        if decision.due_at:
            assert decision.due_at >= NOW
        if decision.status is not Status.QUEUED:
            break
    assert len(seen) <= allowed


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(seconds=90), "1m30s"),
        (timedelta(hours=1), "1h"),
        (timedelta(days=2, hours=3), "2d3h"),
        (timedelta(milliseconds=250), "0.25s"),
        (None, "none"),
    ],
)
def test_durations_read_as_they_are_written(length, text):
    assert lifecycle.duration(length) == text

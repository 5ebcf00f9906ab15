from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry import lifecycle
from wherry.lifecycle import Fate
from wherry.model import Attempt, Ending, Outcome, QueueTrigger, Retry, Status

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


# ------------------------------------------------------------------------------------------------------------- messages

TRIGGER = QueueTrigger(queue="q", drop=frozenset({65}), give_back=frozenset({75}))
LOST = Outcome(ending=Ending.LOST)
UNSTARTED = Outcome(ending=Ending.COULD_NOT_START, passing=True)


def decide_message(*outcomes, max_receives=3, retry=Retry(), chance=0.0, deadline_at=None):
    return lifecycle.after_message(
        attempts(*outcomes),
        outcomes[-1],
        TRIGGER,
        max_receives=max_receives,
        retry=retry,
        now=NOW,
        chance=chance,
        deadline_at=deadline_at,
    )


@pytest.mark.parametrize(
    ("outcomes", "status", "fate"),
    [
        ([exited(0)], Status.SUCCEEDED, Fate.DELETED),
        ([exited(1)], Status.QUEUED, Fate.HELD),
        ([exited(1), LOST], Status.QUEUED, Fate.HELD),
        ([exited(1), LOST, exited(137)], Status.QUEUED, Fate.HELD),
        ([exited(1), LOST, exited(137), LOST, exited(1)], Status.FAILED, Fate.BURIED),
        ([LOST] * 9, Status.QUEUED, Fate.HELD),
        ([LOST] * 10, Status.FAILED, Fate.BURIED),
        ([exited(1), UNSTARTED, exited(1), UNSTARTED], Status.QUEUED, Fate.HELD),
        ([Outcome(ending=Ending.COULD_NOT_START, reason="no such value", unfit=True)], Status.FAILED, Fate.BURIED),
        ([Outcome(ending=Ending.COULD_NOT_START, reason="no such program")], Status.QUEUED, Fate.HELD),
        ([UNSTARTED] * 100, Status.QUEUED, Fate.HELD),
        ([exited(65)], Status.FAILED, Fate.DELETED),
        ([exited(1), exited(1), exited(65)], Status.FAILED, Fate.DELETED),
        ([exited(75)], Status.QUEUED, Fate.HELD),
        ([exited(75), exited(75), exited(75)], Status.FAILED, Fate.BURIED),
        ([Outcome(ending=Ending.STOPPED, reason="stopped on request")], Status.STOPPED, Fate.BURIED),
        ([Outcome(ending=Ending.TIMED_OUT)] * 3, Status.TIMED_OUT, Fate.BURIED),
    ],
)
def test_what_becomes_of_a_message(outcomes, status, fate):
    decision = decide_message(*outcomes)
    assert (decision.status, decision.fate) == (status, fate)


def test_the_waits_are_the_jobs_own_and_the_number_of_attempts_the_queues():
    retry = Retry(attempts=1, backoff=timedelta(seconds=10), factor=3, cap=timedelta(seconds=60))
    waits = [decide_message(*[exited(1)] * count, max_receives=9, retry=retry).due_at - NOW for count in (1, 2, 3)]
    assert [wait.total_seconds() for wait in waits] == [10, 30, 60]


def test_the_usual_wait_doubles_up_to_a_quarter_of_an_hour():
    waits = [decide_message(*[exited(1)] * count, max_receives=99).due_at - NOW for count in (1, 2, 3, 50)]
    assert [wait.total_seconds() for wait in waits] == [1, 2, 4, 900]


def test_what_cannot_start_is_tried_again_after_its_queue_has_rested():
    waits = [decide_message(*[UNSTARTED] * count, chance=1).due_at - NOW for count in (1, 2, 3, 50)]
    assert [wait.total_seconds() for wait in waits] == [2, 4, 8, 600]


def test_what_is_given_back_is_due_at_once():
    assert decide_message(exited(75)).due_at == NOW


def test_a_deadline_buries_what_it_leaves_no_time_for():
    decision = decide_message(exited(1), deadline_at=NOW + timedelta(milliseconds=500))
    assert (decision.status, decision.fate) == (Status.FAILED, Fate.BURIED)


@given(
    st.lists(st.sampled_from([exited(1), exited(65), exited(75), exited(0), LOST, UNSTARTED]), min_size=1, max_size=40),
    st.integers(1, 10),
    st.floats(0, 1),
)
def test_every_message_comes_to_an_end_and_fate_follows_status(outcomes, max_receives, chance):
    for number in range(1, len(outcomes) + 1):
        decision = decide_message(*outcomes[:number], max_receives=max_receives, chance=chance)
        assert (decision.fate is Fate.HELD) == (decision.status is Status.QUEUED)
        assert (decision.due_at is not None) == (decision.status is Status.QUEUED)
        last = outcomes[number - 1]
        assert (decision.fate is Fate.DELETED) == (last in (exited(0), exited(65)))
        if decision.status.ended:
            return
        assert sum(outcome not in (UNSTARTED, LOST) for outcome in outcomes[:number]) < max_receives

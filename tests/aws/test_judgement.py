"""The run machine decides as `wherry.lifecycle` does: the same outcomes, the same decisions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aws.expressions import evaluate
from wherry import lifecycle
from wherry.aws.judgement import judgement
from wherry.model import Attempt, Ending, Job, Outcome, Retry

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
lengths = st.sampled_from([timedelta(0), *(timedelta(seconds=seconds) for seconds in (1, 7, 60, 3600))])
retries = st.builds(
    Retry,
    attempts=st.integers(1, 4),
    backoff=lengths,
    factor=st.sampled_from([1.0, 1.5, 2.0, 100.0]),
    cap=lengths,
    exit_codes=st.none() | st.frozensets(st.sampled_from([1, 75, 137]), min_size=1),
)


def stopped(code, *, stop="EssentialContainerExited", reason="Essential container in task exited", container=None):
    main = {"Name": "main", "LastStatus": "STOPPED"}
    main |= {} if code is None else {"ExitCode": code}
    main |= {"Reason": container} if container else {}
    side = {"Name": "side", "ExitCode": 3}
    return {"TaskArn": "arn", "StopCode": stop, "StoppedReason": reason, "Containers": [side, main]}


def judge(job, task, error="", cause="", failures=0, unstarted=0, asked=0):
    output = judgement(job, "main")["Judge"]["Output"]
    return evaluate(output, task=task, failed=error, cause=cause, failures=failures, unstarted=unstarted, asked=asked)


#: (task, error, cause) -> the outcome that it is.
ENDS = [
    (stopped(0), "", "", Outcome(ending=Ending.EXITED, exit_code=0)),
    (stopped(3), "States.TaskFailed", "{}", Outcome(ending=Ending.EXITED, exit_code=3)),
    (stopped(75), "States.TaskFailed", "{}", Outcome(ending=Ending.EXITED, exit_code=75)),
    (
        stopped(137, container="OutOfMemoryError: Container killed due to memory usage"),
        "States.TaskFailed", "{}",
        Outcome(ending=Ending.OUT_OF_MEMORY, exit_code=137, reason="OutOfMemoryError: Container killed due to memory usage"),
    ),
    (
        stopped(None, stop="TaskFailedToStart", reason="CannotPullContainerError: i/o timeout"),
        "States.TaskFailed", "{}",
        Outcome(ending=Ending.COULD_NOT_START, reason="CannotPullContainerError: i/o timeout", passing=True),
    ),
    (
        stopped(None, stop="TaskFailedToStart", reason="CannotPullContainerError: manifest unknown"),
        "States.TaskFailed", "{}",
        Outcome(ending=Ending.COULD_NOT_START, reason="CannotPullContainerError: manifest unknown"),
    ),
    (
        stopped(143, stop="SpotInterruption", reason="Your Spot Task was interrupted."),
        "States.TaskFailed", "{}",
        Outcome(ending=Ending.COULD_NOT_START, exit_code=143, reason="Your Spot Task was interrupted.", passing=True),
    ),
    (
        {}, "AmazonECS.Unknown", "Capacity is unavailable at this time",
        Outcome(ending=Ending.COULD_NOT_START, reason="AmazonECS.Unknown: Capacity is unavailable at this time", passing=True),
    ),
    (
        {}, "ECS.AccessDeniedException", "not authorized",
        Outcome(ending=Ending.COULD_NOT_START, reason="ECS.AccessDeniedException: not authorized"),
    ),
    *[
        (
            {}, "ECS.ClientException", text,
            Outcome(ending=Ending.COULD_NOT_START, reason=f"ECS.ClientException: {text}", passing=True),
        )
        for text in (
            "You've reached the limit on the number of vCPUs you can run concurrently",
            "ECS was unable to assume the role 'arn:aws:iam::1:role/r' that was provided for this task.",
        )
    ],
    (
        {}, "ECS.InvalidParameterException",
        "Unable to assume the service linked role. Please verify that the ECS service linked role exists.",
        Outcome(
            ending=Ending.COULD_NOT_START,
            reason="ECS.InvalidParameterException: Unable to assume the service linked role. "
            "Please verify that the ECS service linked role exists.",
            passing=True,
        ),
    ),
    (
        {}, "ECS.ClientException", "TaskDefinition is inactive",
        Outcome(ending=Ending.COULD_NOT_START, reason="ECS.ClientException: TaskDefinition is inactive"),
    ),
    ({}, "States.Timeout", "", Outcome(ending=Ending.TIMED_OUT, reason="it ran longer than `timeout: 5s`")),
    (
        stopped(143, stop="UserInitiated", reason="enough"), "States.TaskFailed", "{}",
        Outcome(ending=Ending.STOPPED, reason="enough"),
    ),
]  # fmt: skip


@settings(deadline=None)
@given(retry=retries, end=st.sampled_from(ENDS), failures=st.integers(0, 4), unstarted=st.integers(0, 10))
def test_it_decides_as_the_engine_does(retry, end, failures, unstarted):
    task, error, cause, outcome = end
    job = Job(name="job", retry=retry, timeout=timedelta(seconds=5))
    found = judge(job, task, error, cause, failures, unstarted)
    before = [Outcome(ending=Ending.EXITED, exit_code=1)] * failures
    before += [Outcome(ending=Ending.COULD_NOT_START, passing=True)] * unstarted
    attempts = [
        Attempt(number=number, started_at=NOW, outcome=each) for number, each in enumerate([*before, outcome], start=1)
    ]
    decision = lifecycle.after_attempt(attempts, outcome, retry, now=NOW, chance=0.0)
    assert found["ending"] == outcome.ending.value
    assert found["succeeded"] == outcome.succeeded
    if not outcome.succeeded:
        assert found["again"] == (decision.due_at is not None)
    if decision.due_at is not None and outcome.ending is not Ending.COULD_NOT_START:
        wait = (decision.due_at - NOW).total_seconds()
        assert wait <= found["wait"] < wait + 1
    if decision.due_at is None and not outcome.succeeded:
        assert found["reason"] == decision.reason


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_chance_shortens_a_wait(jitter):
    job = Job(name="job", retry=Retry(attempts=3, backoff=timedelta(seconds=100), jitter=jitter))
    for _ in range(20):
        assert 100 * (1 - jitter) <= judge(job, stopped(1))["wait"] <= 100


def test_a_deadline_leaves_no_time():
    job = Job(name="job", retry=Retry(attempts=3, backoff=timedelta(hours=1)), deadline=timedelta(minutes=1))
    asked = datetime.now(UTC).timestamp() * 1000
    found = judge(job, stopped(1), asked=asked)
    assert not found["again"]
    assert found["reason"] == "exit code 1; the deadline leaves no time for another attempt"


def test_a_huge_factor_does_not_overflow():
    job = Job(name="job", retry=Retry(attempts=1000, backoff=timedelta(seconds=1), factor=100.0))
    assert judge(job, stopped(1), failures=998)["wait"] == 3600

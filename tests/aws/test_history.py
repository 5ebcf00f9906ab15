import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aws.histories import ABOUT, ARN, DEFINITION, START, Book, container, ms, task
from wherry.aws import history
from wherry.aws.visits import resolved
from wherry.lifecycle import describe
from wherry.model import Ending, Job, Outcome, Retry, Status

JOB = Job(
    name="nightly",
    command=("./etl.sh",),
    timeout=timedelta(seconds=90),
    deadline=timedelta(hours=1),
    retry=Retry(attempts=3, backoff=timedelta(seconds=10)),
)


def read(book, **more):
    return history.read(book.events, run_id="abc", job="nightly", **{"spec": JOB, **more})


def run_of(book, **more):
    return read(book, **more).run


def at(seconds):
    return START + timedelta(seconds=seconds)


def endings(run):
    return [attempt.outcome and attempt.outcome.ending.value for attempt in run.attempts]


def test_success():
    run = run_of(Book().admitted().scheduled().submitted().succeeded(task()).end())
    assert (run.status, run.reason, run.trigger, run.cause) == (Status.SUCCEEDED, "", "event", "event:e1")
    assert run.event.detail == {"order": 7}
    assert run.created_at == run.asked_at == START
    [attempt] = run.attempts
    assert attempt.started_at == at(10)
    assert attempt.ended_at == at(20)
    assert attempt.process == ARN.format(1)
    assert attempt.outcome == Outcome(ending=Ending.EXITED, exit_code=0)


def test_its_command_and_environment_are_the_overrides_over_the_task_definition():
    reading = read(Book().scheduled().submitted().succeeded(task()).end())
    given = {"LOG_LEVEL": "INFO", "DAY": "?", "AWS_REGION": "eu-central-1", "PYTHONUNBUFFERED": "1", "WHERRY_JOB": "x"}
    variables = [{"name": name, "value": value} for name, value in given.items()]
    definition = {"containerDefinitions": [{"name": "main", "command": ["x"], "environment": variables}]}
    run = resolved(reading, {DEFINITION: definition})
    assert run.command == ("./etl.sh", "--day", "1")
    assert run.env == {"LOG_LEVEL": "INFO", "DAY": "1"}
    run = resolved(reading, {DEFINITION: definition}, replace(JOB, env={"PYTHONUNBUFFERED": "1"}))
    assert run.env == {"LOG_LEVEL": "INFO", "DAY": "1", "PYTHONUNBUFFERED": "1"}


def test_without_an_override_it_runs_what_the_task_definition_says():
    reading = read(Book().scheduled({"Name": "main", "Environment": []}).submitted().succeeded(task()).end())
    definition = {"containerDefinitions": [{"name": "sidecar", "command": ["y"]}, {"name": "main", "command": ["x"]}]}
    assert resolved(reading, {DEFINITION: definition}).command == ("x",)
    assert resolved(reading, {}).command == ()


def test_exit_code_3():
    book = Book().scheduled().submitted().failed(task(1, container(code=3))).fail(reason="exit code 3", code=3)
    run = run_of(book)
    assert (run.status, run.reason) == (Status.FAILED, "exit code 3")
    assert run.attempts[0].outcome == Outcome(ending=Ending.EXITED, exit_code=3)


def test_a_backend_may_call_a_failed_container_a_success_of_the_state():
    run = run_of(Book().scheduled().submitted().succeeded(task(1, container(code=3))).fail(reason="exit code 3"))
    assert endings(run) == ["exited"]
    assert run.attempts[0].outcome.exit_code == 3


def test_image_not_found():
    reason = (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
        "docker.io/library/no_such_image:latest: docker.io/library/no_such_image:latest: not found"
    )
    stopped = task(1, container(code=None), started=None, stop_code="TaskFailedToStart", StoppedReason=reason)
    run = run_of(Book().scheduled().submitted().failed(stopped, at=25).fail(reason=reason))
    [attempt] = run.attempts
    assert attempt.started_at == at(2)  # when it was scheduled
    assert attempt.outcome.ending is Ending.COULD_NOT_START
    assert not attempt.outcome.passing
    assert run.reason.startswith("could not start: pull image manifest has been retried")


@pytest.mark.parametrize(
    ("reason", "passing"),
    [
        ("Capacity is unavailable at this time. Please try again later or in a different availability zone", True),
        ("You've reached the limit on the number of vCPUs you can run concurrently", True),
        ("Timeout waiting for network interface provisioning to complete.", True),
        ("CannotPullContainerError: ... toomanyrequests: You have reached your pull rate limit", True),
        ("ResourceInitializationError: unable to pull secrets: AccessDeniedException: not authorized", False),
        ('CannotStartContainerError: exec: "./nope": stat ./nope: no such file or directory', False),
    ],
)
def test_a_start_that_failed_tells_whether_it_may_pass(reason, passing):
    stopped = task(1, container(code=None), started=None, stop_code="TaskFailedToStart", StoppedReason=reason)
    outcome = run_of(Book().scheduled().submitted().failed(stopped)).attempts[0].outcome
    assert (outcome.ending, outcome.passing) == (Ending.COULD_NOT_START, passing)


def test_timeout():
    book = Book().scheduled(timeout=90).submitted()
    book.add("TaskTimedOut", at=95, **ABOUT, error="States.Timeout", cause="").leave("Run")
    run = run_of(book.fail("TimedOut", "it ran too long"))
    assert run.status is Status.TIMED_OUT
    assert run.reason == "it ran longer than `timeout: 1m30s`"
    assert run.attempts[0].ended_at == at(95)


def late(number=1):
    book = Book().scheduled(timeout=90).submitted(number)
    return book.add("TaskTimedOut", at=95, **ABOUT, error="States.Timeout", cause="").leave("Run")


def test_a_timeout_that_was_over_before_the_task_had_begun():
    """The start is in `timeout`: only ECS tells whether there was more than a start."""
    book = late().fail("TimedOut", "it ran too long")
    reading = read(book)
    assert (reading.run.reason, reading.unsettled) == ("it ran longer than `timeout: 1m30s`", (ARN.format(1),))

    said = "CannotPullContainerError: i/o timeout"
    found = task(1, container(code=None, Reason=said), started=None, stopped=97, stop_code="UserInitiated")
    reading = read(book, tasks={ARN.format(1): found})
    (attempt,) = reading.run.attempts
    assert reading.run.status is Status.TIMED_OUT
    assert reading.run.reason == "it had not started when `timeout: 1m30s` was over: i/o timeout"
    assert (attempt.outcome.reason, attempt.ended_at) == (reading.run.reason, at(97))
    assert reading.unsettled == ()

    waiting = {
        "TaskArn": ARN.format(1),
        "LastStatus": "PROVISIONING",
        "StopCode": "UserInitiated",
        "StoppedReason": "Stopped",
    }
    reading = read(book, tasks={ARN.format(1): waiting})
    assert reading.run.reason == "it had not started when `timeout: 1m30s` was over"
    assert reading.unsettled == (ARN.format(1),)

    begun = task(1, container(code=137), started=30, stopped=96)
    reading = read(book, tasks={ARN.format(1): begun})
    assert (reading.run.reason, reading.unsettled) == ("it ran longer than `timeout: 1m30s`", ())


def test_what_had_not_begun_is_asked_for_although_another_attempt_goes_on():
    reading = read(late().backoff(wait=10).scheduled(timeout=90).submitted(2))
    assert reading.unsettled == (ARN.format(1), ARN.format(2))


@pytest.mark.parametrize(("pulled", "is_billed"), [(None, False), (40, True)])
def test_what_had_not_begun_is_billed_from_its_pull(pulled, is_billed):
    size = {"Cpu": "256", "Memory": "512", "PullStartedAt": pulled and ms(pulled)}
    found = task(1, container(code=None), started=None, stopped=97, **size)
    (attempt,) = run_of(late().fail("TimedOut"), tasks={ARN.format(1): found}).attempts
    assert (attempt.usage.began_at if attempt.usage else None) == (at(pulled) if is_billed else None)


def test_a_bound_below_the_timeout_is_the_deadlines():
    book = Book().scheduled(timeout=40).submitted().add("TaskTimedOut", **ABOUT, error="States.Timeout")
    assert run_of(book.fail("TimedOut")).reason == "it ran longer than `deadline: 1h`"
    assert run_of(book, spec=None).reason == "it ran longer than `timeout: 40s`"


def test_the_deadline_passed_while_it_waited():
    failed = task(1, container(code=3))
    book = Book().scheduled().submitted().failed(failed).backoff().fail("TimedOut", "deadline: 1h", code=3)
    assert (run_of(book).status, run_of(book).reason) == (Status.TIMED_OUT, "deadline: 1h")


def test_out_of_memory():
    killed = container(code=137, Reason="OutOfMemoryError: Container killed due to memory usage")
    run = run_of(Book().scheduled().submitted().failed(task(1, killed)).fail())
    assert run.attempts[0].outcome.exit_code == 137
    assert run.reason == "out of memory: Container killed due to memory usage"


@pytest.mark.parametrize("code", ["SpotInterruption", "TerminationNotice"])
def test_what_aws_takes_back_is_not_the_jobs_failure(code):
    book = Book().scheduled().submitted().failed(task(1, container(code=143), stop_code=code)).backoff()
    run = run_of(book)
    assert run.status is Status.QUEUED
    assert endings(run) == ["could_not_start"]
    assert run.attempts[0].outcome.passing


def test_a_helper_that_failed_decides_nothing():
    stopped = task(1, container("proxy", 1), container("main", 0))
    run = run_of(Book().scheduled().submitted().failed(stopped).end())
    assert run.status is Status.SUCCEEDED
    assert run.attempts[0].outcome.succeeded


def test_the_main_container_of_a_users_own_task_definition_is_the_one_that_is_overridden():
    book = Book().scheduled({"Name": "analyzer", "Environment": []}).submitted()
    run = run_of(book.failed(task(1, container("log-router", 0), container("analyzer", 4))).fail())
    assert run.reason == "exit code 4"


@pytest.mark.parametrize(
    ("error", "cause", "said"),
    [
        ("ECS.InvalidParameterException", "No subnets. (Service: AmazonECS; Status Code: 400)", "No subnets."),
        ("AmazonECS.Unknown", json.dumps({"Failures": [{"Reason": "RESOURCE:MEMORY", "Arn": "..."}]}), "RESOURCE:MEM"),
        ("ECS.AccessDeniedException", "", "ECS.AccessDeniedException"),
    ],
)
def test_a_refused_run_task(error, cause, said):
    run = run_of(Book().scheduled().failed(cause, error).fail())
    assert endings(run) == ["could_not_start"]
    assert run.reason.startswith(f"could not start: {said}")
    assert run.attempts[0].process == ""


def test_a_submission_that_failed_is_one_attempt():
    book = Book().scheduled().add("TaskSubmitFailed", **ABOUT, error="ECS.ClientException", cause="Rate exceeded")
    run = run_of(book.failed("Rate exceeded"))
    assert len(run.attempts) == 1
    assert run.attempts[0].outcome.passing


def test_aborted_while_it_ran():
    book = Book().scheduled().submitted().add("ExecutionAborted", at=30, error="Stopped", cause="stopped on request")
    reading = read(book)
    assert (reading.run.status, reading.run.reason) == (Status.STOPPED, "stopped on request")
    assert endings(reading.run) == ["stopped"]
    assert reading.run.attempts[0].ended_at == at(30)
    assert reading.unsettled == (ARN.format(1),)  # its task may have its grace period yet
    reading = read(book, tasks={ARN.format(1): task(1, container(code=143), stopped=55)})
    assert reading.run.attempts[0].ended_at == at(55)
    assert reading.run.attempts[0].outcome.exit_code == 143
    assert reading.unsettled == ()


def test_aborted_before_it_ran():
    run = run_of(Book().enter("Admit").add("ExecutionAborted", error="Stopped", cause="stopped on request"))
    assert (run.status, run.reason, run.attempts) == (Status.STOPPED, "stopped on request before it started", ())


def test_stopped_in_the_console():
    stopped = task(1, container(code=143), stop_code="UserInitiated", StoppedReason="Task stopped by user")
    run = run_of(Book().scheduled().submitted().failed(stopped).fail("Stopped", "Task stopped by user"))
    assert (run.status, run.reason) == (Status.STOPPED, "stopped on request")


def test_skipped():
    run = run_of(Book().admitted().end("skipped", "run xyz of the job was active", 0))
    assert (run.status, run.reason, run.attempts) == (Status.SKIPPED, "run xyz of the job was active", ())
    assert run.ended_at is not None


def test_retried_thrice():
    book = Book()
    for number in (1, 2, 3):
        book.scheduled().submitted(number)
        times = {"started": book.now, "stopped": book.now + 5}
        book.failed(task(number, container(code=number), **times), at=book.now + 6)
        if number < 3:
            book.backoff().leave("Backoff", "Wait")
    run = run_of(book.fail(reason="exit code 3", attempts=3, code=3))
    assert [attempt.outcome.exit_code for attempt in run.attempts] == [1, 2, 3]
    assert [attempt.number for attempt in run.attempts] == [1, 2, 3]
    assert [attempt.process for attempt in run.attempts] == [ARN.format(number) for number in (1, 2, 3)]
    assert all(attempt.ended_at - attempt.started_at == timedelta(seconds=5) for attempt in run.attempts)
    assert run.reason == "exit code 3"


def test_it_waits_for_its_next_attempt():
    run = run_of(Book().scheduled().submitted().failed(task(1, container(code=3))).backoff())
    assert (run.status, run.reason, run.due_at) == (Status.QUEUED, "attempt 1: exit code 3", at(30))
    book = Book().scheduled().submitted().failed(task(1, container(code=3))).backoff(7)
    assert run_of(book).due_at == at(book.now - 1 + 7)


def test_the_deadline_that_left_no_time_is_said():
    failed = task(1, container(code=3))
    said = "exit code 3; the deadline leaves no time for another attempt"
    assert run_of(Book().scheduled().submitted().failed(failed).fail(reason=said)).reason == said


def test_from_waiting_to_running():
    book = Book()
    assert run_of(book).status is Status.QUEUED
    assert run_of(book.admitted()).status is Status.QUEUED
    assert run_of(book.scheduled()).status is Status.STARTING
    reading = read(book.submitted())
    assert (reading.run.status, reading.unsettled) == (Status.STARTING, (ARN.format(1),))
    known = {"TaskArn": ARN.format(1), "LastStatus": "PENDING"}
    assert run_of(book, tasks={ARN.format(1): known}).status is Status.STARTING
    known |= {"LastStatus": "RUNNING", "StartedAt": at(7)}
    run = run_of(book, tasks={ARN.format(1): known})
    assert (run.status, run.attempts[0].started_at, run.attempts[0].ended_at) == (Status.RUNNING, at(7), None)
    assert run_of(book.succeeded(task())).status is Status.RUNNING  # the machine has not said its last word


def test_a_value_that_the_event_lacks_fails_the_run_before_an_attempt():
    cause = (
        "The JSONata expression '$states.input.event.detail.day' specified for the field\n'Arguments' returned nothing"
    )
    book = Book().enter("Run").add("EvaluationFailed", error="States.QueryEvaluationError", cause=cause, state="Run")
    run = run_of(book.add("ExecutionFailed", error="States.QueryEvaluationError", cause=cause))
    assert (run.status, run.attempts) == (Status.FAILED, ())
    assert run.reason == cause.replace("\n", " ")


def test_the_execution_itself_timed_out():
    run = run_of(Book().scheduled().submitted().add("ExecutionTimedOut", error="States.Timeout"))
    assert run.status is Status.TIMED_OUT
    assert endings(run) == ["timed_out"]
    assert run.reason == "it ran longer than `deadline: 1h`"


def test_the_deadline_passed_in_waiting():
    run = run_of(Book().add("ExecutionTimedOut", error="States.Timeout"))
    assert (run.reason, run.attempts) == ("`deadline: 1h` passed while it waited", ())
    assert run_of(Book().add("ExecutionTimedOut"), spec=None).reason == "`deadline` passed while it waited"


def test_a_timeout_that_step_functions_rounds_up_is_the_job_files():
    spec = replace(JOB, timeout=timedelta(milliseconds=1500))
    book = Book().scheduled(timeout=2).submitted().add("TaskTimedOut", **ABOUT, error="States.Timeout")
    assert run_of(book.fail("TimedOut"), spec=spec).reason == "it ran longer than `timeout: 1.5s`"


def test_another_round_of_the_same_execution():
    book = Book().scheduled().submitted().failed(task(1, container(code=3))).fail(reason="exit code 3")
    book.add("ExecutionRedriven", at=100, redriveCount=1).scheduled().submitted(2)
    run = run_of(book)
    assert (run.status, run.earlier_attempts, run.asked_at) == (Status.STARTING, 1, at(100))
    assert run.ended_at is None
    later = {"started": 110, "stopped": 120}
    run = run_of(book.succeeded(task(2, **later)).end())
    assert (run.status, endings(run)) == (Status.SUCCEEDED, ["exited", "exited"])


def test_overrides_of_a_run_by_hand():
    run = run_of(Book(trigger="manual", overrides={"command": ["a"], "args": ["b"], "env": {"X": "1"}}))
    assert run.overrides.command == ("a",)
    assert run.overrides.args == ("b",)
    assert run.overrides.env == {"X": "1"}
    assert run_of(Book()).overrides.command is None


@pytest.mark.parametrize("document", [{}, {"Comment": "Insert your JSON here"}, [], 7, {"event": "x"}])
def test_what_somebody_started_in_the_console_is_a_run_all_the_same(document):
    run = run_of(Book(document))
    assert (run.id, run.job, run.trigger, run.event.id) == ("abc", "nightly", "manual", "abc")


codes = st.integers(0, 255) | st.none()
words = st.sampled_from(
    ["", "Essential container in task exited", "OutOfMemoryError: x", "Timeout", "not found", "Task stopped by user"]
)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            codes,
            codes,
            st.sampled_from(
                ["", "EssentialContainerExited", "TaskFailedToStart", "SpotInterruption", "UserInitiated", "Unheard"]
            ),
            words,
            words,
            st.booleans(),
        ),
        max_size=4,
    ),
    st.sampled_from(["none", "succeeded", "Failed", "TimedOut", "Stopped", "States.Runtime", "aborted"]),
)
def test_every_history_is_a_run_that_holds_together(attempts, ending):
    book = Book()
    for number, (code, other, stop_code, reason, stopped_reason, fails) in enumerate(attempts, 1):
        book.scheduled().submitted(number)
        stopped = task(
            number,
            container(code=code, Reason=reason),
            container("proxy", other),
            stop_code=stop_code,
            StoppedReason=stopped_reason,
        )
        (book.failed if fails else book.succeeded)(stopped)
    if ending == "succeeded":
        book.end()
    elif ending == "aborted":
        book.add("ExecutionAborted")
    elif ending != "none":
        book.fail(ending, "why")
    run = run_of(book)
    assert run.status.ended is (ending != "none")
    assert (run.ended_at is not None) is run.status.ended
    assert [attempt.number for attempt in run.attempts] == list(range(1, len(attempts) + 1))
    for attempt in run.attempts:
        assert attempt.ended_at >= attempt.started_at
        assert describe(attempt.outcome)
        assert (attempt.outcome.exit_code is not None) or attempt.outcome.ending is not Ending.EXITED
    assert run.reason or run.status in (Status.SUCCEEDED, Status.QUEUED, Status.RUNNING)
    for known, (code, *_rest) in zip(run.attempts, attempts, strict=True):
        if known.outcome.succeeded and run.status is not Status.SUCCEEDED:
            assert code == 0
    # whatever is cut off, what is left can be read: somebody may look at any moment
    for length in range(1, len(book.events)):
        history.read(book.events[:length], run_id="abc", job="nightly", spec=None)


def test_times_in_every_spelling():
    from wherry.aws.outcomes import moment

    assert moment(ms(0)) == moment(START.timestamp()) == moment("2026-03-01T05:00:00Z") == START
    assert moment(None) is None
    assert moment("soon") is None
    assert moment(True) is None


def test_a_further_round_is_another_execution():
    """The first one was stopped in the middle of an attempt; its end settles that attempt also when another round follows."""
    first = Book().scheduled().submitted()
    first.add("ExecutionAborted", at=30, error="Stopped", cause="stopped on request")
    second = Book(run="abc", earlier=1)
    second.now = 100
    second.scheduled().submitted(2).failed(task(2, container(code=3), stopped=120), at=121).fail(reason="exit code 3")
    for event in second.events:
        event["timestamp"] += timedelta(seconds=100)
    reading = history.read([*first.events, *second.events], run_id="abc", job="nightly", spec=JOB)
    run = reading.run
    assert (reading.rounds, run.id, run.status, run.reason) == (2, "abc", Status.FAILED, "exit code 3")
    assert (run.earlier_attempts, run.asked_at, run.created_at) == (1, at(100), START)
    assert endings(run) == ["stopped", "exited"]
    assert [attempt.number for attempt in run.attempts] == [1, 2]
    assert run.attempts[0].ended_at == at(30)


@pytest.mark.parametrize(
    ("book", "expected"),
    [
        (Book().scheduled(), False),
        (Book().scheduled().submitted().succeeded(task()).end(), False),
        (Book().end("skipped", "busy"), True),
        (Book().fail(reason="no"), True),
        (Book().add("ExecutionTimedOut"), True),
        (Book().add("ExecutionAborted"), True),
    ],
)
def test_what_has_not_succeeded_may_have_gone_on(book, expected):
    assert history.may_go_on(book.events) is expected
    assert history.may_go_on([]) is False

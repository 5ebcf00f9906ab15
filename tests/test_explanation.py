"""Each end in plain words, and what to do about it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry import reasons
from wherry.explanation import explain
from wherry.lifecycle import DROPPED
from wherry.model import Attempt, Ending, Job, Outcome, Retry, Run, Status, new_event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT = new_event("shop", "order placed", {"order": 7}, now=NOW)
JOB = Job(name="report", command=("true",), memory=256 << 20, retry=Retry(attempts=3))
MEGABYTE = 1 << 20
#: What AWS's words for a registry that does not answer mean.
MEANT = reasons.meaning("failed to resolve ref docker.io/library/x: dial tcp: i/o timeout", "report")


def exited(code, reason=""):
    return Outcome(ending=Ending.EXITED, exit_code=code, reason=reason)


def a_run(status, *outcomes, reason="", peak_memory=None):
    attempts = tuple(
        Attempt(
            number=number,
            started_at=NOW,
            ended_at=NOW if outcome else None,
            outcome=outcome,
            peak_memory=peak_memory,
        )
        for number, outcome in enumerate(outcomes, start=1)
    )
    return Run(
        id="01run",
        job="report",
        trigger="event",
        cause="event:1",
        event=EVENT,
        status=status,
        created_at=NOW,
        due_at=NOW,
        asked_at=NOW,
        attempts=attempts,
        ended_at=NOW if status.ended else None,
        reason=reason,
    )


def failed(outcome, log=(), job=JOB):
    return explain(a_run(Status.FAILED, outcome), job, log)


ENDS = [
    (Status.FAILED, exited(3), "the job itself said that it failed: exit code 3"),
    (Status.FAILED, exited(137, "ended by SIGKILL"), "a signal ended the process: SIGKILL, which nobody here sent"),
    (
        Status.TIMED_OUT,
        Outcome(ending=Ending.TIMED_OUT, reason="it ran longer than `timeout: 1m`"),
        "it was killed, because it ran longer than `timeout: 1m`",
    ),
    (
        Status.FAILED,
        Outcome(ending=Ending.OUT_OF_MEMORY, reason="it took 300 MB, more than its `memory`"),
        "it was killed for memory: it took 300 MB, more than its `memory`",
    ),
    (
        Status.FAILED,
        Outcome(ending=Ending.COULD_NOT_START, reason="there is no program `pyton` on PATH"),
        "the job was never begun: there is no program `pyton` on PATH",
    ),
    (
        Status.FAILED,
        Outcome(ending=Ending.COULD_NOT_START, reason="no process can be made: out of memory", passing=True),
        "the job was never begun: no process can be made: out of memory",
    ),
    (
        Status.FAILED,
        Outcome(ending=Ending.LOST, reason="the engine was killed while it ran"),
        "nobody knows how it ended: the engine was killed while it ran",
    ),
]


@pytest.mark.parametrize(("status", "outcome", "what"), ENDS)
def test_each_bad_end_has_its_sentence_and_advice(status, outcome, what):
    explanation = explain(a_run(status, outcome, reason="told elsewhere"), JOB, [])
    assert explanation.what == what
    assert explanation.advice
    assert explanation.advice[-1].startswith("then `wherry retry 01run`")


@pytest.mark.parametrize(
    ("run", "what"),
    [
        (a_run(Status.SUCCEEDED, exited(0)), "it succeeded: exit code 0"),
        (a_run(Status.SUCCEEDED, exited(1), exited(0)), "it succeeded with attempt 2: exit code 0"),
        (a_run(Status.STARTING, None), "it runs"),
        (a_run(Status.RUNNING, exited(1), None), "it runs"),
        (
            a_run(Status.QUEUED, exited(1), reason="attempt 1: exit code 1"),
            "it waits for its next attempt; attempt 1: exit code 1",
        ),
    ],
)
def test_what_is_well_needs_no_advice(run, what):
    explanation = explain(run, Job(name="report", retry=Retry(attempts=3)), [])
    assert explanation.what == what
    assert not [advice for advice in explanation.advice if "wherry retry" in advice]


def test_what_waits_for_its_turn_says_so():
    assert explain(a_run(Status.QUEUED), JOB, []).what.startswith("it waits: for a free place")


def test_what_waits_for_another_round_says_so():
    what = explain(a_run(Status.QUEUED, exited(1)), JOB, []).what
    assert what.startswith("it waits")
    assert not what.endswith("; ")


def test_a_skipped_run_is_told_how_it_would_have_run():
    run = a_run(Status.SKIPPED, reason="another run is active (`overlap: skip`)")
    explanation = explain(run, JOB, [])
    assert explanation.what == run.reason
    assert "`overlap: wait`" in explanation.advice[0]


def test_a_stopped_run_gives_its_reason_and_how_to_go_on():
    stopped = Outcome(ending=Ending.STOPPED, exit_code=143, reason="stopped on request; ended by SIGTERM")
    explanation = explain(a_run(Status.STOPPED, stopped, reason="stopped on request"), JOB, ["KeyError: 'PATH_TO_IT'"])
    assert explanation.what == "stopped on request"
    assert [advice.partition(" `wherry retry")[0] for advice in explanation.advice] == ["then"]


@pytest.mark.parametrize("outcomes", [[], [exited(1)]], ids=["first attempt", "next attempt"])
def test_a_deadline_that_passed_while_it_waited_is_the_reason(outcomes):
    run = a_run(Status.TIMED_OUT, *outcomes, reason="`deadline: 1h` passed while it waited")
    assert "`deadline: 1h`" in explain(run, JOB, []).what


def test_a_deadline_that_left_no_time_for_another_attempt_is_said():
    reason = "exit code 1; the deadline leaves no time for another attempt"
    explanation = explain(a_run(Status.FAILED, exited(1), reason=reason), JOB, [])
    assert "deadline" in " ".join([explanation.what, *explanation.facts])


def late(more=""):
    reason = f"it had not started when `timeout: 1m` was over{more}"
    return a_run(Status.TIMED_OUT, Outcome(ending=Ending.TIMED_OUT, reason=reason), reason=reason)


def test_what_had_not_begun_in_time_was_not_a_job_that_ran_too_long():
    told = explain(late(), JOB, [], on_aws=True)
    assert told.what == "the job was never begun: it had not started when `timeout: 1m` was over"
    assert told.advice[0].startswith("the start is in `timeout`, which counts from the call")
    assert told.advice[1].startswith("`wherry verify` checks what tasks need: the way out")

    told = explain(late(": failed to resolve ref docker.io/library/x: dial tcp: i/o timeout"), JOB, [], on_aws=True)
    assert told.what == f"the job was never begun: {MEANT.what}"
    assert told.advice[0] == MEANT.remedy
    assert told.advice[1].startswith("`wherry verify` ")
    assert told.facts == (
        "it had not started when `timeout: 1m` was over",
        "AWS says: failed to resolve ref docker.io/library/x: dial tcp: i/o timeout",
    )


def test_what_ecs_has_forgotten_and_what_wrote_nothing_may_never_have_begun():
    reason = "it ran longer than `timeout: 1m`"
    run = a_run(Status.TIMED_OUT, Outcome(ending=Ending.TIMED_OUT, reason=reason), reason=reason)
    told = explain(run, JOB, [], on_aws=True)
    assert told.facts == ("nothing was written, and the start is in that time: did it ever begin?",)
    assert told.advice[0].startswith("if it rightly takes that long, raise `timeout`")
    assert told.advice[1].startswith("`wherry verify` checks")
    for known in (explain(run, JOB, ["a line"], on_aws=True), explain(run, JOB, [])):
        assert (known.facts, [each for each in known.advice if "verify" in each]) == ((), [])


@pytest.mark.parametrize("code", [200, 255])
def test_an_exit_code_that_is_no_signals_is_the_jobs_own_word(code):
    assert failed(exited(code)).what == f"the job itself said that it failed: exit code {code}"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (
            Outcome(ending=Ending.TIMED_OUT, reason="it ran longer than `timeout: 1m`"),
            "raise `timeout` of job `report`",
        ),
        (Outcome(ending=Ending.TIMED_OUT, reason="it ran longer than `deadline: 1h`"), "raise `deadline` of job"),
        (Outcome(ending=Ending.OUT_OF_MEMORY, reason="it took 300 MB"), "raise `memory` of job `report`"),
        (Outcome(ending=Ending.LOST), "`retry` in the job file would try again"),
        (exited(1, "access to `out` denied: not in its `writes`"), "add to the job what the gateway names above"),
        (
            exited(255, "job `b` may not send to queue `q`: add `sends: [q]`"),
            "add to the job what the gateway names above",
        ),
        (
            exited(1, "job `b` may not put events on the bus: add `emits: true`"),
            "add to the job what the gateway names",
        ),
        (exited(3), "read the end of the log"),
    ],
)
def test_the_end_itself_suggests_something(outcome, said):
    assert said in failed(outcome).advice[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ModuleNotFoundError: No module named 'pandas.core'", "lacks the package `pandas.core`"),
        ("KeyError: 'API_TOKEN'", "environment variable `API_TOKEN` is not set"),
        ("MemoryError", "more `memory`"),
        ("cp: OSError: No space left on device", "the disk is full"),
        ("curl: (6) Could not resolve host: example.org", "`retry: {attempts: 3, backoff: 30s}`"),
        ("ClientError: An error occurred (SlowDown)", "asks for fewer calls"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'in{0}.csv'", "`in{0}.csv` is not there"),
        ("PermissionError: [Errno 13] Permission denied: '/etc/shadow'", "it may not touch `/etc/shadow`"),
        ("botocore.errorfactory.NoSuchKey: An error occurred", "not in the bucket"),
        ("An error occurred (NoSuchBucket)", "declare it under `buckets`"),
        ("  File 'x.py', line 1\nSyntaxError: invalid syntax", "cannot be read"),
    ],
)
def test_the_end_of_the_log_gives_away_what_is_wrong(line, said):
    found = [advice for advice in failed(exited(1), ["begins", line, "ends"]).advice if said in advice]
    assert len(found) == 1
    assert failed(exited(1), ["all is well"]).advice[0] not in found


@pytest.mark.parametrize("code", [2, 126, 127])
def test_exit_codes_that_mean_something_are_explained_and_not_tried_again(code):
    explanation = failed(exited(code), job=Job(name="report"))
    assert any(fact.startswith(f"exit code {code}: ") for fact in explanation.facts)
    assert not any("another attempt" in advice for advice in explanation.advice)


def test_a_job_that_is_never_tried_again_learns_of_retry():
    said = "if another attempt might end better: `retry: {attempts: 3, backoff: 10s}`"
    assert said in failed(exited(1), job=Job(name="report")).advice
    assert said not in failed(exited(1), job=JOB).advice


def test_the_attempts_and_the_memory_are_facts():
    same = explain(a_run(Status.FAILED, exited(1), exited(1), peak_memory=200 * MEGABYTE), JOB, [])
    assert same.facts == ("2 attempts, all the same", "its process took up to 200 of 256 MB")
    different = explain(a_run(Status.FAILED, exited(1), Outcome(ending=Ending.LOST)), JOB, [])
    assert different.facts == ("2 attempts: exit code 1; lost",)


outcomes = st.builds(
    Outcome,
    ending=st.sampled_from(Ending),
    exit_code=st.none() | st.integers(0, 255),
    reason=st.text(max_size=20),
    passing=st.booleans(),
)


@given(
    st.sampled_from(Status),
    st.lists(outcomes, max_size=3),
    st.none() | st.just(JOB),
    st.lists(st.one_of(st.text(), st.sampled_from(["KeyError: 'A_B'", "No module named '{x}'", "{0} SlowDown {"]))),
)
def test_whatever_a_run_and_its_log_look_like_there_are_words_for_it(status, ends, job, log):
    explanation = explain(a_run(status, *ends, reason="because"), job, log)
    assert explanation.what
    assert explanation.what.splitlines()[0].strip()
    assert all(explanation.advice)


@pytest.mark.parametrize(
    ("outcome", "log", "advice"),
    [
        (
            exited(1),
            ["An error occurred (AccessDenied) when calling the PutObject operation"],
            "`writes` of job `report`",
        ),
        (exited(1), ["botocore.exceptions.NoCredentialsError: Unable to locate credentials"], "`taskRoleArn`"),
        (exited(1), ["Connect timeout on endpoint URL: https://s3.eu-west-1.amazonaws.com"], "NAT gateway"),
        (exited(137), [], "raise `memory` of job `report`"),
        (Outcome(ending=Ending.LOST, reason="States.Runtime"), [], "Step Functions itself"),
        (Outcome(ending=Ending.COULD_NOT_START, reason="pull image: i/o timeout"), [], "NAT gateway"),
        (Outcome(ending=Ending.COULD_NOT_START, reason="nobody has seen this"), [], "mend what is named above"),
    ],
)
def test_on_aws_there_are_other_remedies(outcome, log, advice):
    explanation = explain(a_run(Status.FAILED, outcome), JOB, log, on_aws=True)
    assert advice in explanation.advice[0]
    assert explain(a_run(Status.FAILED, outcome), JOB, log).advice[0] != explanation.advice[0] or "mend" in advice


def test_what_was_cut_off_had_begun():
    spot = Outcome(ending=Ending.COULD_NOT_START, exit_code=143, reason="AWS took the Spot capacity back", passing=True)
    explanation = explain(a_run(Status.FAILED, spot), JOB, [], on_aws=True)
    assert explanation.what == "AWS took the Spot capacity back"


def test_of_a_message_s_run_on_aws_only_what_works_there_is_advised():
    run = replace(a_run(Status.FAILED, exited(3)), cause="queue:orders/1", trigger="queue")
    here, there = (explain(run, JOB, (), on_aws=on_aws).advice[-1] for on_aws in (False, True))
    assert here == "then `wherry retry 01run` goes on with this run, `wherry replay 01run` makes a new one of it"
    assert there == (
        "then `wherry retry 01run` goes on with this run, `wherry replay 01run --here` runs its event on this machine"
    )
    dropped = replace(run, reason=f"exit code 65: {DROPPED}")
    assert explain(dropped, JOB, (), on_aws=True).advice[-1] == (
        "its message is gone, but `wherry replay 01run --here` runs its event on this machine"
    )

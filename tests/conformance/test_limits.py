"""Overlap, concurrency, stops."""

from datetime import datetime

import pytest

from tests.conftest import wait_for


def most_at_once(runs):
    """How many attempts were under way together, at most."""
    steps = [
        (datetime.fromisoformat(attempt[name]), change)
        for run in runs
        for attempt in run["attempts"]
        for name, change in (("started_at", 1), ("ended_at", -1))
    ]
    most = now = 0
    for _, change in sorted(steps):
        now += change
        most = max(most, now)
    return most


def test_overlapping_runs_are_skipped(backend):
    """`overlap: skip`: while a run is active, another one of the job ends as skipped."""
    backend.deploy(f"job: {{command: '{backend.until('go')}', overlap: skip}}")
    first = backend.begin("job")
    backend.running("job")
    second = backend.run("job")
    backend.mark("go")
    assert first.wait(60) == 0
    first.communicate()
    assert (second["status"], second["reason"]) == ("skipped", "another run is active (`overlap: skip`)")
    assert backend.runs("job")[1]["status"] == "succeeded"


def test_overlapping_runs_wait(backend):
    """`overlap: wait`: one after the other, in the order in which they came."""
    backend.deploy("job: {command: 'sleep 0.2', overlap: wait}")
    for process in [backend.begin("job") for _ in range(3)]:
        assert process.wait(60) == 0
        process.communicate()
    runs = backend.runs("job")[::-1]
    assert most_at_once(runs) == 1
    if backend.name != "alone":
        assert [run["id"] for run in sorted(runs, key=lambda run: run["attempts"][0]["started_at"])] == [
            run["id"] for run in runs
        ]


def test_a_run_between_two_attempts_is_active(backend):
    """A run that waits for its next attempt still keeps others of its job from overlapping."""
    backend.deploy("job: {command: '[ $WHERRY_ATTEMPT = 2 ]', overlap: skip, retry: {attempts: 2, backoff: 8s}}")
    first = backend.begin("job")
    wait_for(lambda: [run for run in backend.runs("job", "queued") if run["attempts"]], "the wait")
    assert backend.run("job")["status"] == "skipped"
    assert first.wait(60) == 0
    first.communicate()


def test_who_waits_is_told_for_what(backend):
    """`wherry run` says when its run waits for another one, or for its next attempt."""
    backend.deploy(
        f"job: {{command: '{backend.until('go')}', overlap: wait}}\n"
        "again: {command: '[ $WHERRY_ATTEMPT = 2 ]', retry: {attempts: 2, backoff: 3s}}"
    )
    first = backend.begin("job")
    backend.running("job")
    second = backend.begin("job")
    assert "waits for a free place, or for another run of `job` to end" in second.stderr.readline()
    backend.mark("go")
    assert [process.wait(60) for process in (first, second)] == [0, 0]
    for process in (first, second):
        process.communicate()
    assert "attempt 1: exit code 1; the next attempt begins at" in backend.project.wherry("run", "again").stderr


@pytest.mark.needs_engine
def test_no_more_than_so_many_at_once(backend):
    """`concurrency: N` lets N runs of the job go on at once; the others wait."""
    backend.deploy("job: {command: 'sleep 0.3', concurrency: 2, on: [{event: {source: [test]}}]}")
    backend.emit(*({"n": number} for number in range(6)))
    runs = backend.ended("job", 6)
    assert {run["status"] for run in runs} == {"succeeded"}
    assert most_at_once(runs) == 2


@pytest.mark.needs_engine
def test_jobs_take_turns(backend):
    """A job with many runs does not keep another one's few waiting: a machine's places are shared fairly."""
    backend.deploy(
        "many: {command: 'sleep 0.1', on: [{event: {detail: {to: [many]}}}]}\n"
        "few: {command: 'sleep 0.1', on: [{event: {detail: {to: [few]}}}]}"
    )
    backend.emit(*({"to": "many", "n": number} for number in range(40)), {"to": "few"})
    few, *_ = backend.ended("few")
    many = backend.ended("many", 40)
    began = few["attempts"][0]["started_at"]
    assert len([run for run in many if run["attempts"][0]["started_at"] > began]) > 20


@pytest.mark.needs_engine
def test_the_deadline_passes_in_waiting(backend):
    """A run that cannot begin before its deadline ends as timed out, without an attempt."""
    backend.deploy(
        f"job: {{command: '{backend.until('go')}', overlap: wait, deadline: 2s, on: [{{event: {{source: [test]}}}}]}}"
    )
    backend.emit({"n": 1}, {"n": 2})
    runs = backend.ended("job", 2)
    assert [run["status"] for run in runs] == ["timed_out", "timed_out"]
    assert [run["reason"] for run in runs if not run["attempts"]] == ["`deadline: 2s` passed while it waited"]


def test_a_running_run_is_stopped(backend):
    """`wherry stop`: SIGTERM to all its processes; it ends as stopped and is not tried again."""
    backend.deploy("job: {command: 'sleep 300', retry: {attempts: 3}}")
    process = backend.begin("job")
    run = backend.running("job")
    if backend.name == "alone":
        process.send_signal(2)
    else:
        assert backend.project.wherry("stop", run["id"]).stdout.split() == [run["id"], "job", "stopped"]
    process.wait(60)
    process.communicate()
    run = backend.runs("job")[0]
    assert (run["status"], [attempt["ending"] for attempt in run["attempts"]]) == ("stopped", ["stopped"])
    backend.project.wherry("stop", run["id"], code=2)


@pytest.mark.needs_engine
def test_a_waiting_run_is_stopped(backend):
    """A run that waits ends without an attempt."""
    backend.deploy(f"job: {{command: '{backend.until('go')}', overlap: wait, on: [{{event: {{source: [test]}}}}]}}")
    first, second = backend.emit({"n": 1})[0], backend.emit({"n": 2})[0]
    backend.running("job")
    backend.project.wherry("stop", second)
    backend.mark("go")
    runs = backend.ended("job", 2)
    assert [(run["id"], run["status"], len(run["attempts"])) for run in runs] == [
        (first, "succeeded", 1),
        (second, "stopped", 0),
    ]

"""What starts a run, and that it starts one."""

import signal
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import BIN, wait_for

pytestmark = pytest.mark.needs_engine


def soon(seconds):
    """An `at(...)` schedule so far in the future."""
    return f"at({datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S})"


def test_an_event_makes_one_run_however_often_it_comes(backend):
    """Deliveries may repeat, runs don't: an event is known by its id."""
    backend.deploy("job: {command: 'true', on: [{event: {source: [test]}}, {event: {detail-type: [go]}}]}")
    assert len(backend.emit({"n": 1}, id="one")) == 1
    assert backend.emit({"n": 1}, id="one") == []
    backend.kill()
    assert backend.emit({"n": 1}, id="one") == []
    backend.start()
    assert backend.emit({"n": 1}, id="one") == []
    assert len(backend.ended("job")) == 1


def test_triggers_are_counted(backend):
    """`status` tells how often each kind of trigger has fired within a day; what is started by hand is not counted."""
    backend.deploy(
        "job: {command: 'true', on: [{event: {source: [test]}}, {upload: {bucket: incoming}}]}",
        "buckets: {incoming: {}}\n",
    )
    backend.emit({"n": 1}, {"n": 2})
    backend.ended("job", 2)
    backend.run("job")
    assert backend.status()["triggers"] == [
        {"job": "job", "trigger": "event", "fired": 2, "missed": 0},
        {"job": "job", "trigger": "upload", "fired": 0, "missed": 0},
    ]


def test_a_delivery_may_repeat(backend):
    """What delivers events may do so twice: each still makes one run."""
    backend.deploy("job: {command: 'true', on: [{event: {source: [test]}}]}")
    backend.emit({"n": 1}, {"n": 2})
    backend.ended("job", 2)
    backend.redeliver()
    assert len(backend.ended("job", 2)) == 2


def test_each_version_of_an_object_makes_one_run(backend):
    """An upload is known by bucket, key and sequencer."""
    backend.deploy(
        "job: {command: 'true', on: [{upload: {bucket: incoming, suffix: .csv}}]}", "buckets: {incoming: {}}\n"
    )
    for _ in range(2):
        backend.project.wherry("cp", "wherry.yaml", "s3://incoming/a.csv")
        backend.project.wherry("cp", "wherry.yaml", "s3://incoming/a.txt")
    assert len(backend.ended("job", 2)) == 2


def test_a_schedule_fires_once(backend):
    """A firing is known by job, trigger and fire time; the run knows its time and interval."""
    backend.deploy(f"job: {{command: 'echo $WHERRY_SCHEDULED_AT', on: [{{schedule: \"{soon(backend.lead)}\"}}]}}")
    run = backend.ended("job")[0]
    moment = run["event"]["detail"]["scheduled-time"]
    assert backend.log(run) == f"{moment}\n"
    began = datetime.fromisoformat(run["attempts"][0]["started_at"])
    assert timedelta(0) <= began - datetime.fromisoformat(moment) < timedelta(seconds=20)
    backend.redeliver()
    assert len(backend.ended("job")) == 1


def test_what_was_missed_is_made_up_for_or_reported(backend):
    """`catch_up` after downtime: none, the latest, or all firings; what is left out is in the ledger, and on the bus."""
    rate = "on: [{schedule: rate(1 minute), catch_up: %s}]"
    jobs = "\n".join(f"{name}: {{command: 'true', {rate % name}}}" for name in ("none", "latest", "all"))
    jobs += "\nwatch: {command: 'true', on: [{event: {detail-type: [Wherry Run Missed]}}]}"
    backend.deploy(jobs)
    backend.kill()
    age(backend, minutes=5)
    missed = backend.status()["missed"]
    assert {one["job"] for one in missed} == {"none", "latest", "all"}
    assert {one["reason"] for one in missed} == {"no engine runs"}
    backend.start()
    wait_for(lambda: len(backend.runs("all", "succeeded")) >= 4, "all that were missed")
    assert len(backend.runs("all")) - 4 <= 1
    # One that is at most a minute late is taken in any case.
    assert 1 <= len(backend.runs("latest")) <= 2
    assert len(backend.runs("none")) <= 2
    missed = backend.status()["missed"]
    assert {one["job"] for one in missed} == {"none", "latest"}
    assert all(one["reason"].startswith("no engine ran") for one in missed)
    wait_for(lambda: len(backend.runs("watch", "succeeded")) == len(missed), "a run for each that was missed")


def age(backend, minutes):
    """Move what the store knows of the schedules into the past, as if the engine had been down for so long."""
    import sqlite3

    with sqlite3.connect(backend.project.folder / ".wherry" / "wherry.db", timeout=30) as store:
        store.execute("update firings set anchor_ms = anchor_ms - ?, last_ms = last_ms - ?", [minutes * 60000] * 2)


def test_a_job_runs_after_another(backend):
    """`after`: when a run of the other job has succeeded, failed, or ended either way; its id and event are at hand."""
    backend.deploy(
        "first: {command: '[ $WHERRY_ATTEMPT = 2 ]', retry: {attempts: 2}, on: [{event: {source: [test]}}]}\n"
        "bad: {command: exit 3, on: [{event: {source: [test]}}]}\n"
        "good: {command: [echo, '$.detail.run-id', '$.detail.event.detail.n'], on: [{after: first}]}\n"
        "never: {command: 'true', on: [{after: first, when: failure}]}\n"
        "mend: {command: [echo, '$.detail.status', '$.detail.exit-code'], on: [{after: bad, when: failure}]}\n"
        "any: {command: 'true', on: [{after: bad, when: any}, {after: first, when: any}]}"
    )
    backend.emit({"n": 7})
    good, mend = backend.ended("good")[0], backend.ended("mend")[0]
    first = backend.ended("first")[0]
    assert backend.log(good) == f"{first['id']} 7\n"
    assert (good["trigger"], backend.log(mend)) == ("after", "failed 3\n")
    assert len(backend.ended("any", 2)) == 2
    assert backend.runs("never") == []


def test_a_call_starts_a_run_and_is_told_which(backend):
    """`invoke`: whoever calls the job's function by Lambda's API is told of the run; its payload is the detail."""
    backend.deploy("job: {command: [echo, '$.detail.n'], on: [{invoke: {}}]}")
    told = backend.invoke("job", {"n": 7})
    run = backend.ended("job")[0]
    assert (told["id"], told["job"], told["cause"]) == (run["id"], "job", run["cause"])
    assert (run["status"], run["trigger"], run["event"]["detail"]) == ("succeeded", "invoke", {"n": 7})
    assert backend.log(run) == "7\n"


def test_a_call_with_an_events_own_id_starts_one_run(backend):
    """Callers repeat themselves, runs don't: who gives the event an id has one run of it."""
    backend.deploy("job: {command: 'true', on: [{invoke: {}}]}")
    told = [backend.invoke("job", {"id": "order-7", "detail": {"n": 7}})["id"] for _ in range(2)]
    assert backend.invoke("job", {"detail": {"n": 7}}, InvocationType="Event") == {}
    runs = backend.ended("job", 2)
    assert {told[0], told[1]} < {run["id"] for run in runs}
    assert told[0] == told[1]


def test_event_patterns_watch_runs_without_going_round(backend):
    """Changes of state are events; such an event starts no job whose run has led to it."""
    backend.deploy(
        "bad: {command: exit 3, on: [{event: {source: [test]}}]}\n"
        "watch: {command: exit 4, on: [{event: {source: [wherry], detail: {status: [failed]}}}]}\n"
        "other: {command: exit 5, on: [{event: {source: [wherry], detail: {status: [failed]}}}]}"
    )
    backend.emit({})
    # bad -> watch -> other, and bad -> other -> watch; then every job has been in its chain.
    backend.ended("watch", 2)
    chains = {tuple(run["event"]["detail"]["chain"]) for run in backend.ended("watch", 2) + backend.ended("other", 2)}
    assert chains == {("bad",), ("bad", "watch"), ("bad", "other")}


def test_a_second_engine_becomes_a_client(backend):
    """One engine a folder: a second `wherry up` says so, shows the first one's runs, and takes its place when it ends."""
    backend.deploy("job: {command: 'true'}")
    with subprocess.Popen(
        [f"{BIN}/wherry", "up", *backend.options], cwd=backend.project.folder, stderr=subprocess.PIPE, text=True
    ) as second:
        assert "an engine already runs" in second.stderr.readline()
        assert "Ctrl-C leaves it running" in second.stderr.readline()
        run = backend.run("job")
        # One that is short has begun and ended between two looks.
        step = second.stderr.readline()
        if f"{run['id']}  job  starts" in step:
            step = second.stderr.readline()
        assert f"{run['id']}  job  succeeded" in step
        backend.kill()
        assert "conformance: 1 job" in second.stderr.readline()
        assert backend.run("job")["status"] == "succeeded"
        second.send_signal(signal.SIGINT)
        second.stderr.read()
    assert second.returncode == 0

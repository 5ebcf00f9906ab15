"""The engine through the command line: schedules, restarts, kills, stops."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.conftest import BIN, wait_for

JOBFILE = """\
app: engine
buckets:
  incoming: {}
jobs:
  every-minute:
    command: [sh, -c, 'echo "$WHERRY_SCHEDULED_AT $1 $2"', sh, "${interval.start}", "${interval.end}"]
    on:
      - {schedule: "* * * * *"}
  once:
    command: [echo, once]
    on:
      - {schedule: "at(SOON)"}
  long:
    command: [sh, -c, "echo started; sleep 3; echo ended"]
    on:
      - event: {source: [go]}
  on-upload:
    command: [cat]
    on:
      - upload: {bucket: incoming, prefix: in/, suffix: .csv}
  shop:
    command: [aws, events, put-events, --entries, "Source=shop,DetailType=sold,Detail='{}',EventBusName=${bus}"]
    emits: true
  sold:
    command: [echo, "$.detail-type"]
    on:
      - event: {source: [shop]}
environments:
  prod: {region: eu-central-1, bus: {name: shop}}
"""


def runs(project, *options) -> list[dict]:
    return json.loads(project.wherry("runs", "--json", "--limit", "5000", *options).stdout)


@pytest.fixture
def engine(project):
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 4))
    project.jobfile(JOBFILE.replace("SOON", soon))
    return project


def test_the_clock_starts_runs(engine):
    engine.up()
    run = wait_for(lambda: runs(engine, "--job", "once", "--status", "succeeded"), "the schedule")[0]
    assert run["trigger"] == "schedule"
    document = run["event"]
    assert (document["source"], document["detail-type"]) == ("aws.events", "Scheduled Event")
    assert document["detail"]["scheduled-time"] == document["time"]
    delay = time.mktime(time.strptime(run["created_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.mktime(
        time.strptime(document["time"], "%Y-%m-%dT%H:%M:%SZ")
    )
    assert 0 <= delay <= 2


def test_a_scheduled_run_knows_its_interval(engine):
    event = {"detail": {"interval": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}}}
    done = engine.wherry("run", "every-minute", "--event", json.dumps(event))
    assert done.stdout == " 2026-01-01T00:00:00Z 2026-01-01T00:01:00Z\n"
    refused = engine.wherry("run", "every-minute", code=1)
    assert "`${interval.start}` needs a run that covers an interval" in refused.stderr
    assert "by hand: --event" in refused.stderr


def test_a_killed_engine_comes_back_and_knows_what_it_left(engine):
    """Its child lives on, and its end is known; what was queued meanwhile runs."""
    first = engine.up()
    engine.wherry("emit", '{"source": "go", "detail-type": "x"}')
    run = wait_for(lambda: runs(engine, "--job", "long", "--status", "running"), "the run")[0]
    wait_for(lambda: engine.wherry("logs", run["id"]).stdout == "started\n", "its first line")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    engine.wherry("emit", '{"source": "go", "detail-type": "y"}')
    engine.up()
    both = wait_for(
        lambda: (ended := runs(engine, "--job", "long", "--status", "succeeded")) and len(ended) == 2 and ended,
        "both runs",
    )
    assert [len(one["attempts"]) for one in both] == [1, 1]
    assert run["id"] in {one["id"] for one in both}
    assert engine.wherry("logs", run["id"]).stdout == "started\nended\n"


def test_the_first_signal_waits_for_what_runs(engine):
    process = engine.up()
    engine.wherry("emit", '{"source": "go", "detail-type": "x"}')
    wait_for(lambda: runs(engine, "--status", "running"), "the run")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert [run["status"] for run in runs(engine, "--job", "long")] == ["succeeded"]
    assert "waiting for 1 run to end" in engine.engine_output()


def test_ctrl_c_of_a_run_by_the_engine_ends_it(engine):
    engine.up()
    watching = subprocess.Popen(
        [f"{BIN}/wherry", "run", "long"], cwd=engine.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert watching.stdout.readline() == "started\n"
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=60)
    assert watching.returncode == 130
    assert runs(engine, "--job", "long")[0]["status"] == "stopped"


def test_an_upload_must_match_prefix_and_suffix(engine):
    engine.up()
    for key in ("in/a.csv", "in/b.txt", "out/c.csv", "in/*odd\\.csv"):
        engine.wherry("cp", "wherry.yaml", f"s3://incoming/{key}")
    wait_for(lambda: len(runs(engine, "--job", "on-upload", "--status", "succeeded")) == 2, "two runs")
    keys = sorted(run["event"]["detail"]["object"]["key"] for run in runs(engine, "--job", "on-upload"))
    assert keys == ["in/*odd\\.csv", "in/a.csv"]


def test_many_uploads_make_one_run_each(engine):
    engine.up()
    folder = engine.folder / ".wherry/buckets/incoming/in"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.csv").write_text("x")
    done = lambda: runs(engine, "--job", "on-upload", "--status", "succeeded")  # noqa: E731
    wait_for(lambda: len(done()) == 100, "a hundred runs", 60)
    assert len({run["event"]["detail"]["object"]["key"] for run in done()}) == 100


def test_a_changed_job_file_is_taken_up_and_a_wrong_one_is_not(engine):
    engine.up()
    engine.jobfile(
        "app: engine\nbuckets:\n  incoming: {}\n  fresh: {}\njobs:\n  added:\n    command: [echo, new]\n    on: [{upload: {bucket: fresh}}]\n"
    )
    wait_for(lambda: "the job file was changed" in engine.engine_output(), "the change")
    assert engine.wherry("run", "added").stdout == "new\n"
    (engine.folder / ".wherry/buckets/fresh/x").write_text("1")
    wait_for(lambda: runs(engine, "--job", "added", "--status", "succeeded")[1:], "the new bucket's upload")
    engine.jobfile("app: engine\njobs:\n  added: {comand: x}\n")
    wait_for(lambda: "did you mean `command`?" in engine.engine_output(), "the complaint")
    engine.jobfile("app: engine\njobs:\n  mended: {command: [echo, mended]}\n")
    wait_for(lambda: engine.engine_output().count("the job file was changed") == 2, "the second change")
    assert engine.wherry("run", "mended").stdout == "mended\n"


def test_a_job_puts_events_on_the_bus_by_its_name_here(engine):
    """On AWS, where the environment has a bus of its own, the same job names that one."""
    engine.up()
    done = engine.wherry("run", "shop")
    assert '"FailedEntryCount": 0' in done.stdout
    (sold,) = wait_for(lambda: runs(engine, "--job", "sold", "--status", "succeeded"), "what the event starts")
    assert sold["trigger"] == "event"

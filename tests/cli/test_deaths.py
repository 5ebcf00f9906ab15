"""What becomes of runs when the processes around them die: engines, lone `wherry run`s, keepers."""

import json
import signal
import subprocess

import pytest

from tests.conftest import BIN, wait_for

JOBS = """\
app: demo
jobs:
  patient:
    command: 'echo $WHERRY_ATTEMPT >> began; while ! [ -e go ]; do sleep 0.02; done'
    timeout: 10m
    retry: {attempts: 3}
    overlap: wait
  hasty: {command: 'sleep 2', timeout: 4s, retry: {attempts: 3}}
  polite: {command: "trap 'echo term >> terms; exit 0' TERM; touch ready; while :; do sleep 0.02; done"}
  stubborn:
    command: 'touch begun; while ! [ -e go-$CODE ]; do sleep 0.02; done; exit $CODE'
    env: {CODE: "0"}
    retry: {attempts: 2, backoff: 10m, cap: 10m}
  value: {command: [echo, '$.detail.x']}
"""


@pytest.fixture
def demo(project):
    project.jobfile(JOBS)
    return project


def runs(project, *arguments):
    return json.loads(project.wherry("runs", "--json", *arguments).stdout)


def begin(project, *arguments):
    return subprocess.Popen(
        [f"{BIN}/wherry", *arguments], cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill(process):
    process.kill()
    process.communicate()


def began(project):
    path = project.folder / "began"
    return path.read_text().split() if path.exists() else []


def ended(project, count=1):
    return wait_for(
        lambda: len(found := [run for run in runs(project) if run["ended_at"]]) == count and found, "the end"
    )


def test_an_end_in_time_stands_although_nobody_looked(demo):
    """The engine dies, the job ends in time, and its time-out has long passed when the next engine comes."""
    engine = demo.up()
    watching = begin(demo, "run", "hasty")
    wait_for(lambda: runs(demo, "--status", "running"), "the run")
    kill(engine)
    kill(watching)
    wait_for(lambda: list(demo.folder.glob(".wherry/runs/*/1.end")), "the job's end")
    subprocess.run(["sleep", "2.5"], check=True)
    demo.up()
    assert [(run["status"], len(run["attempts"])) for run in ended(demo)] == [("succeeded", 1)]


def test_an_end_is_known_after_two_deaths(demo):
    first = demo.up()
    watching = begin(demo, "run", "patient")
    wait_for(lambda: began(demo), "the job")
    kill(first)
    kill(watching)
    second = demo.up()
    kill(second)
    (demo.folder / "go").touch()
    demo.up()
    assert [(run["status"], len(run["attempts"])) for run in ended(demo)] == [("succeeded", 1)]
    assert began(demo) == ["1"]


@pytest.mark.parametrize("with_engine", [True, False])
def test_a_lone_runs_death_keeps_nobody_waiting(demo, with_engine):
    """Its job goes on; an engine, or the next one that waits for it, finds out how it ends."""
    alone = begin(demo, "run", "patient")
    wait_for(lambda: began(demo), "the job")
    if with_engine:
        demo.up()
    kill(alone)
    (demo.folder / "go").touch()
    demo.wherry("run", "patient")
    assert [run["status"] for run in ended(demo, 2)] == ["succeeded", "succeeded"]
    assert began(demo) == ["1", "1"]


def test_a_lone_run_does_not_wait_for_what_it_goes_on_with_besides(demo):
    """The run of a dead engine fails, and is to be tried again much later: by whoever is there then."""
    engine = demo.up()
    watching = begin(demo, "run", "stubborn", "-e", "CODE=1")
    wait_for((demo.folder / "begun").exists, "the job")
    kill(engine)
    kill(watching)
    alone = begin(demo, "run", "stubborn")
    wait_for(lambda: runs(demo)[0]["status"] == "running", "its own run")
    (demo.folder / "go-1").touch()
    wait_for(lambda: runs(demo)[1]["status"] == "queued", "the other one's failure")
    (demo.folder / "go-0").touch()
    alone.communicate(timeout=60)
    assert alone.returncode == 0
    assert [run["status"] for run in runs(demo)] == ["succeeded", "queued"]


def test_who_waits_for_a_dead_engine_is_told(demo):
    engine = demo.up()
    watching = begin(demo, "run", "patient")
    wait_for(lambda: began(demo), "the job")
    kill(engine)
    _, said = watching.communicate(timeout=60)
    assert watching.returncode == 2
    assert "the engine has stopped" in said
    (demo.folder / "go").touch()
    wait_for(lambda: list(demo.folder.glob(".wherry/runs/*/1.end")), "the job's end")


def test_a_value_that_no_process_can_be_given_costs_nobody_else(demo):
    demo.up()
    watching = begin(demo, "run", "patient")
    wait_for(lambda: began(demo), "the job")
    refused = demo.wherry("run", "value", "--event", '{"detail": {"x": "a\\u0000b"}}', code=1)
    assert "holds a NUL character" in refused.stderr
    refused = demo.wherry("run", "value", "--event", '{"detail": {"x": "a\\ud800b"}}', code=1)
    assert "could not start" in refused.stderr
    # it can be looked at, and so can all the others
    odd = next(run for run in runs(demo) if run["event"]["detail"].get("x") == "a\ud800b")
    assert r'"x": "a\ud800b"' in demo.wherry("show", odd["id"]).stdout
    (demo.folder / "go").touch()
    assert watching.wait(60) == 0
    watching.communicate()


def test_a_lone_run_is_stopped_from_another_terminal(demo):
    alone = begin(demo, "run", "polite")
    wait_for((demo.folder / "ready").exists, "the job")
    run = runs(demo)[0]
    assert demo.wherry("stop", run["id"]).stdout.split()[2] == "stopped"
    alone.communicate(timeout=60)
    assert alone.returncode == 1  # it exited with 0, and has not done its work
    assert (demo.folder / "terms").read_text() == "term\n"


def test_sigterm_of_a_lone_run_ends_its_job(demo):
    alone = begin(demo, "run", "polite")
    wait_for((demo.folder / "ready").exists, "the job")
    alone.send_signal(signal.SIGTERM)
    alone.communicate(timeout=60)
    assert alone.returncode == 130
    assert runs(demo)[0]["status"] == "stopped"


def test_a_closed_terminal_takes_a_lone_run_along(demo):
    alone = begin(demo, "run", "polite")
    wait_for((demo.folder / "ready").exists, "the job")
    alone.send_signal(signal.SIGHUP)
    alone.communicate(timeout=60)
    assert alone.returncode == 130
    assert runs(demo)[0]["status"] == "stopped"


def test_a_closed_terminal_leaves_the_engines_runs_alone(demo):
    demo.up()
    watching = begin(demo, "run", "patient")
    wait_for(lambda: began(demo), "the job")
    watching.send_signal(signal.SIGHUP)
    watching.communicate(timeout=60)
    assert watching.returncode == -signal.SIGHUP
    detached = demo.wherry("run", "hasty", "--detach").stdout.strip()
    wait_for(lambda: json.loads(demo.wherry("show", detached, "--json").stdout)["status"] == "succeeded", "the other")
    (demo.folder / "go").touch()
    wait_for(lambda: {run["status"] for run in runs(demo)} == {"succeeded"}, "both")


def test_nothing_is_left_to_itself_where_nobody_goes_on_with_it(demo):
    refused = demo.wherry("run", "hasty", "-d", code=2)
    assert "no engine runs here that would go on with the run" in refused.stderr
    assert runs(demo) == []


def test_a_redrive_goes_on_past_a_job_that_is_no_more(demo):
    demo.jobfile("app: demo\njobs:\n  a: {command: exit 3}\n  b: {command: exit 3}\n")
    for job in ("a", "b"):
        demo.wherry("run", job, code=3)
    demo.jobfile("app: demo\njobs:\n  a: {command: 'true'}\n")
    refused = demo.wherry("dead-letters", "redrive", "--all", code=1)
    assert "there is no job `b`" in refused.stderr
    letters = json.loads(demo.wherry("dead-letters", "--json").stdout)
    assert [letter["job"] for letter in letters] == ["b"]


def test_a_backfill_goes_on_with_what_a_killed_one_left(demo):
    arguments = ("backfill", "patient", "--from", "2026-03-01", "--to", "2026-03-04", "--every", "1d")
    first = begin(demo, *arguments)
    wait_for(lambda: began(demo), "the first interval")
    kill(first)
    (demo.folder / "go").touch()
    demo.wherry(*arguments)
    assert [run["status"] for run in runs(demo)] == ["succeeded"] * 3
    assert began(demo) == ["1"] * 3


def test_after_ctrl_c_no_line_is_shown_twice(demo):
    demo.jobfile(
        "app: demo\njobs:\n  a: {command: \"echo one; trap 'echo two; exit 0' TERM; touch ready; while :; do sleep 0.02; done\"}\n"
    )
    alone = begin(demo, "run", "a")
    wait_for((demo.folder / "ready").exists, "the job")
    assert alone.stdout.readline() == "one\n"
    alone.send_signal(signal.SIGINT)
    shown, _ = alone.communicate(timeout=60)
    assert [line for line in shown.splitlines() if line != "Terminated"] == ["two"]

"""`wherry run` through the real command line, without an engine."""

import json
import signal
import subprocess

import pytest

from tests.conftest import BIN, wait_for

JOBFILE = """\
app: demo
defaults: {env: {FROM_DEFAULTS: one}}
buckets:
  results: {}
jobs:
  script:
    command: [./job.sh, fixed]
    env: {GREETING: hello}
  shell:
    command: echo "$GREETING from $WHERRY_JOB"
    env: {GREETING: hi}
  fails:
    command: [sh, -c, "echo before; echo oops >&2; exit 3"]
  flaky:
    command: [sh, -c, 'echo "try $WHERRY_ATTEMPT"; test "$WHERRY_ATTEMPT" -ge 3']
    retry: {attempts: 3, backoff: 10ms}
    helpers: {silent: {command: sleep 60}}
  slow:
    command: [sh, -c, "echo started; sleep 60"]
    timeout: 300ms
  endless:
    command: [sh, -c, "echo started; sleep 60 & wait"]
  missing:
    command: [no-such-program]
  from-event:
    command: [echo, "${event.detail.order}", "$.detail.name", "${bucket.results}"]
    env: {WHOLE: "$.detail"}
  needs-secret:
    command: [sh, -c, 'echo "$TOKEN"']
    secrets: {TOKEN: api-token}
  shows-env:
    command: [env]
"""


@pytest.fixture
def demo(project):
    project.jobfile(JOBFILE)
    project.file("job.sh", '#!/bin/sh\necho "$GREETING $FROM_DEFAULTS"\nfor a in "$@"; do echo "[$a]"; done\n', 0o755)
    return project


def last_run(project) -> dict:
    return json.loads(project.wherry("runs", "--limit", "1", "--json").stdout)[0]


def test_it_shows_the_log_and_exits_with_0(demo):
    done = demo.wherry("run", "script")
    assert done.stdout == "hello one\n[fixed]\n"
    assert done.stderr == ""


def test_arguments_reach_the_command_unchanged(demo):
    odd = ["two words", "*", "$HOME", "a;b|c", "--json", "-e", "", "ünïcode", "--", "'quoted\""]
    done = demo.wherry("run", "script", "--", *odd)
    assert done.stdout.splitlines()[1:] == ["[fixed]", *(f"[{argument}]" for argument in odd)]


def test_arguments_of_a_shell_command_are_its_last_words(demo):
    assert demo.wherry("run", "shell", "--", "and", "$HOME").stdout == "hi from shell and $HOME\n"


def test_the_command_and_the_environment_can_be_replaced(demo):
    done = demo.wherry("run", "script", "-e", "GREETING=ahoy", "--command", "sh -c 'echo $GREETING $0'", "--", "x")
    assert done.stdout == "ahoy x\n"


def test_a_variable_of_ones_own_is_passed_on(demo):
    assert demo.wherry("run", "shell", "-e", "GREETING", env={"GREETING": "mine"}).stdout == "mine from shell\n"
    refused = demo.wherry("run", "shell", "-e", "NOT_THERE", code=2)
    assert refused.stderr == (
        "error: `-e NOT_THERE`: there is no such variable here to pass on\n  write `-e NOT_THERE=VALUE`\n"
    )


def test_the_jobs_exit_code_is_the_commands(demo):
    done = demo.wherry("run", "fails", code=3)
    assert done.stdout == "before\noops\n"
    run = last_run(demo)
    assert done.stderr == (
        f"failed: {run['id']} fails: exit code 3\n"
        f"  `wherry explain {run['id']}` says what to change, `wherry retry {run['id']}` tries again\n"
    )
    assert (run["status"], run["reason"], run["attempts"][0]["exit_code"]) == ("failed", "exit code 3", 3)


def test_a_failed_attempt_is_tried_again(demo):
    assert demo.wherry("run", "flaky").stdout == "try 1\ntry 2\ntry 3\n"
    run = last_run(demo)
    assert [attempt["exit_code"] for attempt in run["attempts"]] == [1, 1, 0]
    assert run["status"] == "succeeded"
    assert demo.wherry("logs", run["id"], "--attempt", "2").stdout == "try 2\n"
    assert "helper `silent` of run" in demo.wherry("logs", run["id"], "--helper", "silent").stderr
    unknown = demo.wherry("logs", run["id"], "--helper", "silnt", code=2).stderr
    assert "job `flaky` has no helper `silnt`" in unknown
    assert "did you mean `silent`?" in unknown


def test_a_timeout_ends_the_attempt(demo):
    done = demo.wherry("run", "slow", code=124)
    assert done.stdout == "started\n"
    assert "timed_out" in done.stderr
    assert "it ran longer than `timeout: 0.3s`" in done.stderr


def test_what_cannot_start_says_why(demo):
    done = demo.wherry("run", "missing", code=1)
    assert done.stderr.startswith(
        f"failed: {last_run(demo)['id']} missing: could not start: there is no program `no-such-program` on PATH\n"
    )


def test_the_event_fills_command_and_environment(demo):
    event = {"detail": {"order": 7, "name": 'a "quoted"; $(name)\nwith a newline'}}
    done = demo.wherry("run", "from-event", "--event", json.dumps(event))
    assert done.stdout == f"7 {event['detail']['name']} results\n"
    assert json.loads(last_run(demo)["env"]["WHOLE"]) == event["detail"]


def test_an_event_may_be_its_detail_alone_or_a_file(demo):
    demo.file("event.json", '{"order": 9, "name": "n"}')
    assert demo.wherry("run", "from-event", "--event", "event.json").stdout == "9 n results\n"
    assert demo.wherry("run", "from-event", "--event", "-", stdin='{"order": 1, "name": "x"}').stdout == "1 x results\n"


def test_a_value_that_the_event_lacks_fails_the_run_by_name(demo):
    done = demo.wherry("run", "from-event", "--event", '{"detail": {"ordr": 7, "name": "n"}}', code=1)
    assert "the event has no `detail.order`" in done.stderr
    assert done.stdout == ""


def test_a_long_event_travels_as_a_file(demo):
    text = "x" * 100_000
    demo.file("event.json", json.dumps({"detail": {"text": text}}))
    script = """sh -c 'test -z "$WHERRY_EVENT" && cat "$WHERRY_EVENT_FILE"'"""
    done = demo.wherry("run", "script", "--event", "event.json", "--command", script)
    assert json.loads(done.stdout)["detail"]["text"] == text


def test_a_secret_reaches_the_job_and_nothing_else(demo):
    refused = demo.wherry("run", "needs-secret", code=1)
    assert "there is no secret `api-token`; set it: `wherry secrets set api-token`" in refused.stderr
    demo.wherry("secrets", "set", "api-token", stdin="s3cr3t\n")
    assert demo.wherry("run", "needs-secret").stdout == "s3cr3t\n"
    run = last_run(demo)
    assert "s3cr3t" not in demo.wherry("show", run["id"]).stdout.replace("s3cr3t\n", "", 0).partition("log")[0]
    assert "s3cr3t" not in json.dumps(run)


def test_nothing_leaks_in_from_the_caller(demo):
    done = demo.wherry("run", "shows-env", env={"PASSWORD": "hunter2", "AWS_PROFILE": "mine", "PYTHONPATH": "/x"})
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert names - {"PATH", "HOME", "LANG", "TZ", "FROM_DEFAULTS", "PYTHONUNBUFFERED"} == {
        "WHERRY_RUN_ID",
        "WHERRY_JOB",
        "WHERRY_ATTEMPT",
        "WHERRY_TRIGGER",
        "WHERRY_EVENT",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    }


def test_inherit_hands_over_the_callers_own_aws_configuration(demo):
    demo.jobfile(JOBFILE + "environments: {local: {aws: inherit}}\n")
    done = demo.wherry("run", "shows-env", env={"AWS_PROFILE": "mine", "AWS_REGION": "eu-central-1", "PASSWORD": "x"})
    aws = sorted(line for line in done.stdout.splitlines() if line.startswith("AWS_"))
    assert aws == ["AWS_PROFILE=mine", "AWS_REGION=eu-central-1"]


def test_ctrl_c_ends_the_job_and_exits_with_130(demo):
    process = subprocess.Popen(
        [f"{BIN}/wherry", "run", "endless"],
        cwd=demo.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "stopping" in stderr
    assert last_run(demo)["status"] == "stopped"


def test_several_terminals_at_once(demo):
    processes = [
        subprocess.Popen([f"{BIN}/wherry", "run", "script"], cwd=demo.folder, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert outputs == ["hello one\n[fixed]\n"] * 6
    assert [process.returncode for process in processes] == [0] * 6
    assert len(json.loads(demo.wherry("runs", "--json").stdout)) == 6


def test_an_unknown_job_is_the_callers_mistake(demo):
    refused = demo.wherry("run", "scirpt", code=2)
    assert refused.stderr.startswith("error: there is no job `scirpt` in ")
    assert refused.stderr.endswith("  did you mean `script`?\n")
    assert demo.wherry("runs").stderr == "no runs\n"


def test_with_an_engine_the_engine_executes(demo):
    demo.up()
    assert demo.wherry("run", "flaky").stdout == "try 1\ntry 2\ntry 3\n"
    demo.wherry("run", "fails", code=3)
    wait_for(lambda: "fails" in demo.engine_output(), "the engine's own words")
    assert "flaky" in demo.engine_output()

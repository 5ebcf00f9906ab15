"""An environment on the stand-in, used through the real command line: real containers, real histories."""

import json
import shutil
import signal
import subprocess

import pytest

from tests.aws.deployed import Deployed
from tests.conftest import BIN, Project, wait_for

harness = pytest.importorskip("tests.standin.harness")

REGION = "eu-west-1"
JOBFILE = f"""
app: sales
buckets: {{uploads: {{}}}}
jobs:
  hello:
    command: [x]
    on: [{{event: {{source: [shop]}}}}, {{schedule: "cron(0 5 * * ? *)"}}]
    secrets: {{KEY: the-key}}
  three: {{command: [x], retry: {{attempts: 2, backoff: 1s}}}}
  slow: {{command: [x], timeout: 3s}}
  ticks: {{command: [x]}}
  nope: {{command: [x]}}
  skippy: {{command: [x], overlap: skip}}
  undeployed: {{command: [x]}}
environments:
  prod: {{region: {REGION}}}
  staging: {{region: {REGION}}}
"""
TICKS = "trap 'echo ending; exit 0' TERM; i=0; while true; do echo tick $i; i=$((i+1)); sleep 1 & wait $!; done"


@pytest.fixture(scope="module")
def prod(tmp_path_factory):
    """The environment, once for all: what is tested here does not change it."""
    folder = tmp_path_factory.mktemp("prod")
    with harness.StandIn() as standin:
        account = standin.account()
        deployed = Deployed(account.client, account.id, REGION)
        shell = ["/bin/sh", "-c"]
        deployed.job(
            "hello",
            [*shell, "echo hello $DAY; echo $WHERRY_RUN_ID; printf 'no end'"],
            helpers={"proxy": [*shell, "echo helping"]},
        )
        deployed.job("three", [*shell, "echo trying; exit 3"], attempts=2)
        deployed.job("slow", [*shell, "echo begin; sleep 60"], timeout=3)
        deployed.job("ticks", [*shell, TICKS])
        deployed.job("nope", ["x"], image="no-such-image:1")
        deployed.job("skippy", ["x"], skip=True)
        deployed.listen("hello", {"source": ["shop"]})
        project = Environment(folder, account.environment)
        project.jobfile(JOBFILE)
        yield project
        shutil.rmtree(folder, ignore_errors=True)


class Environment(Project):
    """A project whose commands are meant for `prod`."""

    def __init__(self, folder, variables):
        super().__init__(folder)
        self.variables = variables

    def wherry(self, *arguments, env=None, where="prod", **more):
        place = arguments.index("--") if "--" in arguments else len(arguments)
        arguments = [*arguments[:place], "--env", where, *arguments[place:]]
        return super().wherry(*arguments, env={**self.variables, **(env or {})}, **more)

    def run(self, job, *arguments, code=0):
        """Run a job to its end; gives what it printed and the run."""
        done = self.wherry("run", job, *arguments, code=code)
        return done, json.loads(self.wherry("runs", "--job", job, "--limit", "1", "--json").stdout)[0]

    def begin(self, job):
        process = subprocess.Popen(
            [f"{BIN}/wherry", "run", job, "--env", "prod"],
            cwd=self.folder,
            env={**self.base(), **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "tick 0\n"
        return process

    @staticmethod
    def base():
        import os

        return dict(os.environ)


def test_a_run_shows_its_log_and_what_it_was(prod):
    done, run = prod.run("hello", "-e", "DAY=7")
    assert done.stdout.splitlines() == ["hello 7", run["id"], "no end"]
    assert (run["status"], run["trigger"], run["reason"]) == ("succeeded", "manual", "")
    assert run["command"][:2] == ["/bin/sh", "-c"]
    assert run["env"] == {"LOG_LEVEL": "INFO", "DAY": "7"}
    assert run["overrides"]["env"] == {"DAY": "7"}
    [attempt] = run["attempts"]
    assert (attempt["ending"], attempt["exit_code"]) == ("exited", 0)
    assert run["created_at"] <= attempt["started_at"] <= attempt["ended_at"]
    assert prod.wherry("logs", run["id"]).stdout == done.stdout
    assert prod.wherry("logs", run["id"], "--helper", "proxy").stdout == "helping\n"
    shown = prod.wherry("show", run["id"][:12]).stdout
    assert shown.startswith(f"run         {run['id']}  succeeded\n")


def test_the_command_can_be_another(prod):
    done, run = prod.run("hello", "--command", "echo other", "--", "--more")
    assert done.stdout == "other --more\n"
    assert run["command"] == ["echo", "other", "--more"]


def test_the_jobs_own_exit_code(prod):
    done, run = prod.run("three", code=3)
    assert done.stdout == "trying\ntrying\n"
    assert run["reason"] == "exit code 3"
    assert [attempt["exit_code"] for attempt in run["attempts"]] == [3, 3]
    assert f"`wherry explain {run['id']} --env prod` says what to change" in done.stderr
    assert prod.wherry("logs", run["id"], "--attempt", "2").stdout == "trying\n"
    explained = prod.wherry("explain", run["id"]).stdout
    assert "the job itself said that it failed: exit code 3" in explained
    assert "  trying\n" in explained


def test_a_timeout(prod):
    done, run = prod.run("slow", code=124)
    assert done.stdout == "begin\n"
    assert (run["status"], run["reason"]) == ("timed_out", "it ran longer than `timeout: 3s`")


def test_an_image_that_is_not_there(prod):
    _, run = prod.run("nope", code=1)
    assert run["reason"].startswith("could not start: ")
    assert "no-such-image" in run["reason"]
    assert run["attempts"][0]["ending"] == "could_not_start"


def test_a_skipped_run(prod):
    _, run = prod.run("skippy", code=1)
    assert (run["status"], run["reason"], run["attempts"]) == ("skipped", "another run is active", [])
    assert [found["id"] for found in json.loads(prod.wherry("runs", "--status", "skipped", "--json").stdout)] == [
        run["id"]
    ]


def test_ctrl_c_ends_the_task_and_shows_its_last_words(prod):
    process = prod.begin("ticks")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=100)
    assert process.returncode == 130
    assert stdout.endswith("ending\n")
    assert "stopping " in stderr
    run = json.loads(prod.wherry("runs", "--job", "ticks", "--limit", "1", "--json").stdout)[0]
    assert (run["status"], run["reason"]) == ("stopped", "stopped on request")
    assert run["attempts"][0]["ending"] == "stopped"


def test_stop_from_elsewhere(prod):
    process = prod.begin("ticks")
    running = json.loads(prod.wherry("runs", "--status", "running", "--json").stdout)
    assert [run["job"] for run in running] == ["ticks"]
    run_id = running[0]["id"]
    assert prod.wherry("stop", run_id).stdout == f"{run_id}  ticks  stopped\n"
    stdout, _ = process.communicate(timeout=100)
    assert process.returncode == 1
    assert stdout.endswith("ending\n")
    assert "has ended already" in prod.wherry("stop", run_id, code=2).stderr


def test_following_a_run_that_another_one_started(prod):
    process = prod.begin("ticks")
    run_id = json.loads(prod.wherry("runs", "--status", "running", "--json").stdout)[0]["id"]
    follower = subprocess.Popen(
        [f"{BIN}/wherry", "logs", "-f", run_id, "--env", "prod"],
        cwd=prod.folder,
        env={**prod.base(), **prod.variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout.readline() == "tick 0\n"
    prod.wherry("stop", run_id)
    assert follower.communicate(timeout=100)[0].endswith("ending\n")
    assert follower.returncode == 0
    process.communicate(timeout=100)


def test_an_event_and_the_run_that_it_makes(prod):
    event = {"source": "shop", "detail-type": "order placed", "detail": {"text": 'a"b\n ü\\', "n": [1, {"x": None}]}}
    [run] = json.loads(prod.wherry("emit", json.dumps(event), "--json").stdout)
    token = run["event"]["resources"][-1].removeprefix("wherry:once/")
    assert (run["job"], run["trigger"], run["cause"]) == ("hello", "event", f"event:{token}")
    assert run["event"]["detail"] == event["detail"]

    def ended():
        found = json.loads(prod.wherry("show", run["id"], "--json").stdout)
        return found if found["ended_at"] else None

    assert wait_for(ended, "its end")["status"] == "succeeded"
    replayed = prod.wherry("replay", run["id"])
    assert f"replays {run['id']} of hello" in replayed.stderr
    assert "no job is started" in prod.wherry("emit", '{"source": "other", "detail-type": "x"}').stderr


def test_objects(prod):
    path = prod.folder / "big.bin"
    path.write_bytes(bytes(range(256)) * (90 << 10))  # 22.5 MB: in parts
    prod.wherry("cp", "big.bin", "s3://uploads/in/")
    prod.wherry("cp", "s3://uploads/in/big.bin", "back.bin")
    assert (prod.folder / "back.bin").read_bytes() == path.read_bytes()
    prod.wherry("cp", "-", "s3://uploads/note.txt", stdin="hello")
    assert prod.wherry("cp", "s3://uploads/note.txt", "-").stdout == "hello"
    assert "there is no object `none`" in prod.wherry("cp", "s3://uploads/none", "-", code=2).stderr
    assert "did you mean `uploads`?" in prod.wherry("cp", "s3://uplods/none", "-", code=2).stderr


def test_secrets(prod):
    prod.wherry("secrets", "set", "the-key", stdin="one\n")
    prod.wherry("secrets", "set", "the-key", stdin="two")
    prod.wherry("secrets", "set", "other", stdin="x")
    names = [entry["name"] for entry in json.loads(prod.wherry("secrets", "ls", "--json").stdout)]
    assert names == ["other", "the-key"]
    for action in ("set", "rm"):  # one for both environments
        told = prod.wherry("secrets", action, "other", where="staging", stdin="y", code=2).stderr
        assert "secret `other` is there, and was set for environment `prod`; it is left as it is" in told
        assert "a secret is one for all of an account and region, of `prod` and `staging`, too" in told
    prod.wherry("secrets", "set", "other", "--yes", where="staging", stdin="y")
    prod.wherry("secrets", "rm", "other")
    assert "other" not in prod.wherry("secrets", "ls").stdout
    assert "there is no secret `other`" in prod.wherry("secrets", "rm", "other", code=2).stderr


def test_status_and_env(prod):
    status = json.loads(prod.wherry("status", "--json").stdout)
    assert status["engine"].endswith("stack sales-prod: CREATE_COMPLETE")
    assert status["running"] is True
    assert status["upcoming"] == []  # the job file has a schedule, and none is deployed
    assert (status["missed"], status["disk"], status["dead_letters"]) == ([], None, 0)
    assert prod.wherry("env").stdout == f"export AWS_REGION={REGION}\n"


def test_what_is_not_deployed(prod):
    done = prod.wherry("run", "undeployed", code=2)
    assert "job `undeployed` is not deployed in `prod`" in done.stderr
    done = prod.wherry("run", "hello", where="staging", code=2)
    assert done.stderr == "error: environment `staging` is not deployed\n  `wherry deploy --env staging` does it\n"
    assert "not deployed" in prod.wherry("status", where="staging").stdout
    assert "there is no environment `dev`" in prod.wherry("runs", where="dev", code=2).stderr


def test_a_run_that_is_not_there(prod):
    done = prod.wherry("show", "zzz", code=2)
    assert done.stderr == "error: there is no run `zzz`\n  `wherry runs --env prod` lists them\n"


def test_no_credentials(prod):
    done = prod.wherry("runs", code=1, env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
    assert "credentials" in done.stderr
    assert "`aws configure sso` or AWS_PROFILE give some" in done.stderr

"""What somebody has begun on AWS goes on when he is gone, and others see it: laptops are closed, commands are killed."""

import json
import shutil
import signal
from collections import Counter

import pytest

from tests.aws.conftest import Cloud
from tests.conftest import Project, wait_for

JOBFILE = """
app: absence
defaults: {memory: 512MB, cpu: 0.25}
jobs:
  long: {image: "wherry-busybox:1", command: 'for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; sleep 1; done'}
  hourly:
    image: "wherry-busybox:1"
    command: 'echo $WHERRY_INTERVAL_START; sleep 1'
    on: [{schedule: "cron(0 * * * ? *)"}]
environments:
  prod: {region: eu-west-1}
"""
DAY = ("backfill", "hourly", "--from", "2026-03-01T00:00+00:00", "--to", "2026-03-02T00:00+00:00", "--env", "prod")


@pytest.fixture(scope="module")
def cloud(standin, docker_engine, tmp_path_factory):
    cloud = Cloud(Project(tmp_path_factory.mktemp("absence")), standin.account())
    cloud.project.jobfile(JOBFILE)
    cloud.wherry("deploy", "--yes")
    yield cloud
    cloud.wherry("destroy", "--yes")


def listed(cloud, job):
    return json.loads(cloud.wherry("runs", "--job", job, "--limit", "100", "--json", "--env", "prod").stdout)


def test_a_run_goes_on_when_the_laptop_is_closed_and_another_one_sees_it(cloud, tmp_path, monkeypatch):
    process = cloud.begin("run", "long", "--env", "prod")
    assert process.stdout.readline() == "line 1\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # another folder, another home: nothing is known here but the job file and the account
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    other = Cloud(Project(tmp_path / "clone"), cloud.account)
    other.project.folder.mkdir()
    shutil.copy(cloud.project.folder / "wherry.yaml", other.project.folder)
    run = listed(other, "long")[0]
    assert run["status"] == "running"
    lines = "".join(f"line {number}\n" for number in range(1, 11))
    assert other.wherry("logs", run["id"], "-f", "--env", "prod").stdout == lines
    shown = json.loads(other.wherry("show", run["id"], "--json", "--env", "prod").stdout)
    assert (shown["status"], [attempt["exit_code"] for attempt in shown["attempts"]]) == ("succeeded", [0])
    assert sorted(path.name for path in other.project.folder.iterdir()) == ["wherry.yaml"]


def executions(cloud):
    """The executions of the backfilled job, as AWS has them: nothing of wherry's is asked."""
    arn = f"arn:aws:states:eu-west-1:{cloud.account.id}:stateMachine:absence-prod_hourly"
    return cloud.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"]


def test_a_backfill_of_a_day_is_killed_and_goes_on(cloud):
    """24 intervals, 6 at a time; interrupted twice, by Ctrl-C and by SIGKILL: each interval has run once."""
    for number, count in ((signal.SIGINT, 5), (signal.SIGKILL, 12)):
        process = cloud.begin(*DAY, "--parallel", "6")
        wait_for(lambda count=count: len(executions(cloud)) >= count, f"{count} intervals")
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
        if number == signal.SIGINT:
            assert process.returncode == 130
            assert "the same command goes on with them" in said
    before = len(executions(cloud))
    assert 12 <= before < 24
    done = cloud.wherry(*DAY, "--parallel", "6")
    assert done.stdout.splitlines()[-1].startswith("[")
    runs = listed(cloud, "hourly")
    assert Counter(run["status"] for run in runs) == {"succeeded": 24}
    assert {len(run["attempts"]) for run in runs} == {1}
    assert len({run["event"]["detail"]["interval"]["start"] for run in runs}) == 24
    found = executions(cloud)
    assert len(found) == 24
    assert most_at_once(found) <= 6
    assert "24 intervals, 24 done, 0 to do" in cloud.wherry(*DAY).stderr
    assert len(executions(cloud)) == 24


def most_at_once(found):
    """How many executions were under way at the same time, at most."""
    steps = sorted([(one["startDate"], 1) for one in found] + [(one["stopDate"], -1) for one in found])
    most = now = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most

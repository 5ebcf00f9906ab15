"""A function starts a job's runs: called by the API, by its URL, by a rule of somebody's own; deployed for real."""

import json

import pytest

from tests.aws.conftest import Cloud
from tests.conftest import Project, wait_for

JOBFILE = """
app: calls
jobs:
  greet: {image: wherry-busybox:1, command: [echo, "hello $.detail.name"], on: [{invoke: {url: true}}]}
  alone:
    image: wherry-busybox:1
    command: [sleep, "3"]
    overlap: skip
    on: [{invoke: {}}, {schedule: "rate(5 minutes)"}]
environments: {prod: {region: eu-west-1}}
"""


@pytest.fixture(scope="module")
def cloud(standin, docker_engine, tmp_path_factory):
    cloud = Cloud(Project(tmp_path_factory.mktemp("calls")), standin.account())
    cloud.project.jobfile(JOBFILE.replace('"hello $.detail.name"', 'hello, "$.detail.name"'))
    cloud.wherry("deploy", "--yes")
    return cloud


def invoke(cloud, payload, job="greet", **more):
    answer = cloud.client("lambda").invoke(FunctionName=f"calls-prod_{job}", Payload=json.dumps(payload), **more)
    return answer, json.loads(answer["Payload"].read() or b"null")


def run_of(cloud, run_id):
    def look():
        run = json.loads(cloud.wherry("show", run_id, "--env", "prod", "--json").stdout)
        return run if run["ended_at"] else None

    return wait_for(look, "the run's end", seconds=60)


def count(cloud, job):
    return len(json.loads(cloud.wherry("runs", "--env", "prod", "--job", job, "--json").stdout))


def test_a_call_is_told_of_the_run_and_its_task(cloud):
    answer, told = invoke(cloud, {"name": "world"})
    assert "FunctionError" not in answer, told
    assert (told["job"], told["trigger"], told["status"]) == ("greet", "invoke", "starting")
    assert told["task"]["taskDefinitionArn"].rpartition(":")[0].endswith("task-definition/calls-prod_greet")
    assert told["task"]["containers"][0]["name"]
    run = run_of(cloud, told["id"])
    assert (run["status"], run["trigger"], run["cause"]) == ("succeeded", "invoke", told["cause"])
    assert run["attempts"][0]["process"] == told["task"]["taskArn"]
    assert (run["event"]["detail-type"], run["event"]["detail"]) == ("Invocation", {"name": "world"})
    assert (run["event"]["account"], run["event"]["region"]) == (cloud.account.id, cloud.account.region)
    assert cloud.wherry("logs", told["id"], "--env", "prod").stdout == "hello world\n"

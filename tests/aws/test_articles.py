"""The articles' own task definitions deploy as they are, account and region filled in."""

import base64
import io
import json
from pathlib import Path

import docker
import pytest

from tests.aws.lint import lint
from tests.standin import aws
from wherry import jobfile
from wherry.aws.compile import compile_template
from wherry.aws.given import Given

ARTICLES = Path(__file__).parents[3] / "shared" / "articles"
FILES = ["1-task-definition.json", "3-task-definition-csv-analyzer.json", "3-task-definition-data-processor.json"]


@pytest.fixture(params=FILES)
def definition(request, project):
    path = ARTICLES / request.param
    if not path.exists():
        pytest.skip("the articles' files stand beside the repository, and are not there")
    return path.read_text(encoding="utf-8")


def filled_in(text, account, region):
    for given in ("ACCOUNT_ID", "123456789012"):
        text = text.replace(given, account)
    return text.replace("REGION", region).replace("us-east-1", region)


def write(project, text):
    project.file("task-definition.json", text)
    project.jobfile(
        "app: article\njobs:\n  theirs: {task_definition: task-definition.json}\n"
        "environments: {prod: {region: eu-west-1, network: own}}\n"
    )


def test_it_compiles_as_it_is(definition, project, monkeypatch):
    write(project, filled_in(definition, "123456789012", "eu-west-1"))
    monkeypatch.chdir(project.folder)
    read = jobfile.load("wherry.yaml")
    template = compile_template(read, read.environments["prod"], Given())
    assert lint({"article": template}) == []
    made = template["Resources"]["JobTheirsTask"]["Properties"]
    given = json.loads(filled_in(definition, "123456789012", "eu-west-1"))
    assert (made["Family"], made["Cpu"], made["Memory"]) == (given["family"], given["cpu"], given["memory"])
    assert made["ContainerDefinitions"][0]["Image"] == given["containerDefinitions"][0]["image"]
    options = made["ContainerDefinitions"][0]["LogConfiguration"]["Options"]
    assert options == given["containerDefinitions"][0]["logConfiguration"]["options"]
    assert ("ExecutionRoleArn" in made, "TaskRoleArn" in made) == (True, True)
    if "taskRoleArn" in given:
        assert made["TaskRoleArn"] == given["taskRoleArn"]


def test_it_runs_as_it_is(definition, cloud, docker_engine):
    """Its image and its roles are made by hand, as in the articles."""
    text = filled_in(definition, cloud.account.id, cloud.account.region)
    given = json.loads(text)
    write(cloud.project, text)
    for key in ("executionRoleArn", "taskRoleArn"):
        if key in given:
            may = {"Action": ["ecr:*", "logs:CreateLogStream", "logs:PutLogEvents"]}
            aws.role(cloud.account, given[key].rsplit("/", 1)[-1], "ecs-tasks.amazonaws.com", may)
    push(cloud.account, given["containerDefinitions"][0]["image"])
    cloud.wherry("deploy", "--yes")
    done = cloud.wherry("run", "theirs", "--env", "prod")
    assert done.stdout == "from the image\n", done.stderr
    shown = cloud.client("ecs").describe_task_definition(taskDefinition=given["family"])["taskDefinition"]
    for key in ("family", "cpu", "memory", "networkMode"):
        assert shown[key] == given[key]


def push(account, image):
    """An image of that name with a command of its own, in the account's ECR."""
    name = image.rpartition("/")[2].partition(":")[0]
    ecr = account.client("ecr")
    uri = ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"]
    token = base64.b64decode(ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]).decode()
    recipe = io.BytesIO(b'FROM wherry-busybox:1\nCMD ["echo", "from the image"]\n')
    engine = docker.from_env()
    try:
        engine.images.build(fileobj=recipe, tag=f"{uri}:latest", rm=True)
        login = {"username": "AWS", "password": token.partition(":")[2]}
        told = list(engine.images.push(uri, "latest", auth_config=login, stream=True, decode=True))
        assert not [each for each in told if "error" in each], told
        engine.images.remove(f"{uri}:latest")
    finally:
        engine.close()

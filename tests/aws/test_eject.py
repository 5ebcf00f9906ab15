"""`wherry eject`: what it leaves is deployed, used and destroyed by its own README, with nothing but the AWS CLI and Docker."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.aws.conftest import Cloud, leftovers
from tests.aws.lint import lint
from tests.conftest import BIN, PYTHON, Project, wait_for
from wherry import jobfile
from wherry.agent.settings import IMAGE_FILE
from wherry.aws.ejected import ejected
from wherry.aws.handbook import handbook

TEMPLATES = Path(__file__).parent / "templates"

JOBFILE = """
app: leave
buckets: {out: {}, theirs: {existing: leave-landing-zone}}
queues: {told: {from: {bucket: theirs, suffix: .csv, format: s3}}}
jobs:
  greet:
    build: greet
    command: [sh, greet.sh]
    env: {OUT: "${bucket.out}"}
    secrets: {TOKEN: api-token}
    writes: [out]
    on: [{upload: {bucket: theirs, suffix: .txt}}]
  slow:
    image: wherry-busybox:1
    command: [sleep, "100"]
    on: [{invoke: {}}, {schedule: "rate(1 day)"}, {queue: told, mode: self-polling}]
environments: {prod: {region: eu-west-1}}
"""
MANAGED = f"""
app: taken
queues: {{q: {{}}}}
jobs: {{theirs: {{image: {PYTHON}, on: [{{queue: q}}]}}}}
environments: {{prod: {{region: eu-west-1}}}}
"""
#: What somebody else's bucket tells already.
OTHERS = {
    "QueueConfigurations": [
        {
            "Id": "theirs",
            "QueueArn": "arn:aws:sqs:eu-west-1:999999999999:others",
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {
                "Key": {"FilterRules": [{"Name": "prefix", "Value": "out/"}, {"Name": "suffix", "Value": ".x"}]}
            },
        }
    ]
}
#: The programs that the README may use, beside the AWS CLI.
TOOLS = ("docker", "bash", "sh", "cut", "grep", "sed", "tr", "cat", "sleep", "python3", "env", "chmod")


class Book:
    """The README's commands, section by section, each in one and the same shell."""

    def __init__(self, folder, environment):
        self.folder, self.environment = folder, environment
        text = (folder / "README.md").read_text(encoding="utf-8")
        parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
        self.sections = dict(zip(["top", *parts[1::2]], parts[0::2], strict=True))
        self.shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self.run("set -eu")

    def run(self, commands: str) -> str:
        """Run commands; gives what they print. The shell ends where one fails."""
        self.shell.stdin.write(f"{commands}\nprintf '\\n--done--\\n'\n")
        lines = []
        for line in self.shell.stdout:
            if line == "--done--\n":
                return "".join(lines).strip()
            lines.append(line)
        raise AssertionError(f"failed: {commands}\n{''.join(lines)}")

    def follow(self, section: str) -> str:
        blocks = re.findall(r"^```sh\n(.*?)^```", self.sections[section], flags=re.MULTILINE | re.DOTALL)
        return self.run("".join(blocks))

    def close(self):
        self.shell.stdin.close()
        self.shell.stdout.close()
        self.shell.wait(30)


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project")
    project.folder.mkdir()
    project.jobfile(JOBFILE)
    (project.folder / "greet").mkdir()
    project.file("greet/greet.sh", 'echo "hello $TOKEN, into $OUT"\n')
    project.file("greet/Dockerfile", "FROM wherry-busybox:1\nWORKDIR /app\nCOPY greet.sh ./\n")
    return project


@pytest.fixture
def programs(tmp_path):
    """A folder with the programs that the README may use: wherry is none of them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name))
    # version 1 of the AWS CLI takes AWS_ENDPOINT_URL for every service but this one
    script = f'#!/bin/sh\n[ "$1" != sqs ] || set -- --endpoint-url "$AWS_ENDPOINT_URL" "$@"\nexec {BIN}/aws "$@"\n'
    (folder / "aws").write_text(script, encoding="utf-8")
    (folder / "aws").chmod(0o755)
    return folder


def status(cloud, arn):
    return cloud.client("stepfunctions").describe_execution(executionArn=arn)["status"]


def test_its_readme_is_enough(project, programs, account, docker_engine, tmp_path, request):
    cloud = Cloud(project, account)
    cloud.client("s3").create_bucket(
        Bucket="leave-landing-zone", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    queue = cloud.client("sqs").create_queue(QueueName="kept")["QueueUrl"]
    cloud.client("s3").put_bucket_notification_configuration(
        Bucket="leave-landing-zone", NotificationConfiguration=OTHERS, SkipDestinationValidation=True
    )
    project.wherry("eject", "out")
    folder = tmp_path / "elsewhere"
    shutil.move(project.folder / "out", folder)
    shutil.rmtree(project.folder)
    (folder / "api-token.secret").write_text("s3cr3t", encoding="utf-8")
    environment = {**account.environment, "PATH": str(programs), "HOME": str(tmp_path)}
    assert subprocess.run(["/bin/sh", "-c", "command -v wherry"], env=environment, check=False).returncode
    book = Book(folder, environment)
    request.addfinalizer(book.close)
    for section in list(book.sections):
        if section == "Start a run":
            break
        book.follow(section)
    book.follow("Start a run")
    run = book.run('echo "$run"')
    wait_for(lambda: status(cloud, run) != "RUNNING", "the run", seconds=60)
    assert book.follow("Look at runs and logs").startswith("SUCCEEDED")
    said = wait_for(lambda: re.search("hello .*", book.follow("Look at runs and logs")), "the log")[0]
    assert said == f"hello s3cr3t, into leave-prod-out-{account.id}-eu-west-1"
    book.follow("Runs that failed, and running one again")
    again = book.run('echo "$run"')
    assert again != run
    wait_for(lambda: status(cloud, again) != "RUNNING", "the other run", seconds=60)
    assert status(cloud, again) == "SUCCEEDED"
    told = cloud.client("s3").get_bucket_notification_configuration(Bucket="leave-landing-zone")
    assert "EventBridgeConfiguration" in told
    assert [each["Id"] for each in told["QueueConfigurations"]] == ["theirs", "wherry_leave-prod_told"]
    assert "leave-prod-told" in book.follow("Queues")

    slow = book.run(
        'run=$(aws stepfunctions start-execution --state-machine-arn "$machines:leave-prod_slow" '
        "--input file://runs/slow.json --query executionArn --output text)\necho $run"
    )
    book.follow("Stop a run")
    assert status(cloud, slow) == "ABORTED"
    book.follow("Take it away")
    assert cloud.stacks() == {}
    told = cloud.client("s3").get_bucket_notification_configuration(Bucket="leave-landing-zone")
    assert [each["Id"] for each in told["QueueConfigurations"]] == ["theirs"]
    cloud.client("sqs").delete_queue(QueueUrl=queue)
    assert leftovers(account) == [
        "s3 leave-landing-zone",
        f"s3 leave-prod-out-{account.id}-eu-west-1",
        "secretsmanager api-token",
    ]


def test_what_is_ejected_takes_over_what_is_deployed(project, account, docker_engine):
    """The same stacks, names and logical ids: only what names images and the network is said another way."""
    cloud = Cloud(project, account)
    cloud.client("s3").create_bucket(
        Bucket="leave-landing-too", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    project.jobfile(JOBFILE.replace("leave-landing-zone", "leave-landing-too"))
    cloud.secret("api-token")
    cloud.wherry("deploy", "--yes")
    project.wherry("eject", "out")
    deployed = cloud.client("cloudformation").get_template(StackName="leave-prod")["TemplateBody"]
    deployed = yaml.safe_load(deployed) if isinstance(deployed, str) else deployed
    made = yaml.safe_load((project.folder / "out" / "stack.yaml").read_text(encoding="utf-8"))
    assert set(made["Parameters"]) == {"Vpc", "Subnets", "JobGreetImage"}
    assert made["Resources"].keys() == deployed["Resources"].keys()
    changed = {name for name, each in made["Resources"].items() if each != deployed["Resources"][name]}
    images = {"JobGreetTask", "JobSlowTask", "JobSlowAtQueueTold1fccTask"}
    network = {"SecurityGroup", "JobGreetMachine", "JobSlowMachine", "JobSlowAtQueueTold1fcc"}
    filled_in = {
        "BucketOut7620",
        "JobGreetExecutionRole",
        "JobGreetTaskRole",
    }  # the account's number, a secret's whole ARN
    assert changed <= images | network | filled_in


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        ("", {"Vpc", "Subnets", "JobGreetImage"}),
        (", network: own", {"JobGreetImage"}),
        (", network: {subnets: [subnet-0a1b2c3d]}", {"Vpc", "JobGreetImage"}),
        (", network: {subnets: [subnet-0a1b2c3d], security_groups: [sg-0a1b2c3d]}", {"JobGreetImage"}),
    ],
)
def test_what_the_account_gives_is_a_parameter(project, network, parameters):
    project.jobfile(JOBFILE.replace("eu-west-1}", f"eu-west-1{network}}}"))
    project.wherry("eject", "out")
    templates = {
        name: yaml.safe_load((project.folder / "out" / f"{name}.yaml").read_text(encoding="utf-8"))
        for name in ("base", "stack")
    }
    assert set(templates["stack"]["Parameters"]) == parameters
    assert lint(templates) == []
    readme = (project.folder / "out" / "README.md").read_text(encoding="utf-8")
    assert all(f'{name}="${name}"' in readme for name in parameters - {"Vpc"})


def test_the_worker_comes_into_the_image_of_a_job_that_takes_messages(
    project, programs, account, docker_engine, request
):
    project.jobfile(MANAGED)
    project.wherry("eject", "out")
    environment = {**account.environment, "PATH": str(programs), "HOME": str(project.folder)}
    book = Book(project.folder / "out", environment)
    request.addfinalizer(book.close)
    for section in ("top", "What must be there first", "The image of theirs"):
        said = book.follow(section)
    assert "can work" in said
    own = json.loads(book.run(f'docker run --rm --entrypoint cat "$repository:latest" {IMAGE_FILE}'))
    assert own == {"Entrypoint": None, "Cmd": ["python3"]}
    assert "@sha256:" in book.run('echo "$JobTheirsImage"')


def test_it_never_writes_over_anything(project):
    project.file("out/mine", "x")
    done = project.wherry("eject", "out", code=2)
    assert "`out` is there already" in done.stderr
    assert os.listdir(project.folder / "out") == ["mine"]


def test_whatever_a_job_file_says_can_be_ejected(monkeypatch):
    """All that has a template has an ejected one, too, and a README of commands that a shell can read."""
    monkeypatch.chdir(TEMPLATES)
    made = {}
    for path in sorted(TEMPLATES.glob("*.yaml")):
        read = jobfile.load(path.name)
        environment = read.environments["prod"]
        made[path.stem] = ejected(read, environment)
        text = handbook(read, environment, made[path.stem], {job: f"images/{job}" for job in made[path.stem].images})
        commands = "".join(re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
        subprocess.run(["bash", "-n"], input=commands, text=True, check=True)
    # cfn-lint has seen them all with their images (tests/aws/test_templates.py): here it sees some with parameters
    assert lint({name: each.main for name, each in list(made.items())[::3]}) == []


def test_instances_are_let_go_before_their_group_is_deleted(project):
    project.jobfile("app: a\njobs: {x: {image: 'b:1'}}\nenvironments: {prod: {region: eu-west-1, capacity: ec2}}\n")
    project.wherry("eject", "--env", "prod", "out")
    text = (project.folder / "out/README.md").read_text()
    assert "Instances:" in (project.folder / "out/stack.yaml").read_text()
    assert "--logical-resource-id Instances" in text
    assert text.index("--no-protected-from-scale-in") < text.index("delete-stack --stack-name a-prod\n")

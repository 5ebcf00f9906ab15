"""Jobs on AWS from the job file to the result, through the command line; what AWS's own client shows agrees."""

import json
import re

import pytest

from tests.aws.conftest import Cloud
from tests.conftest import Project, wait_for
from tests.executors.test_docker import with_boto3

JOBFILE = """
app: end-to-end
defaults: {memory: 512MB, cpu: 0.25}
buckets:
  uploads: {}
  results: {}
  landing: {existing: LANDING}
jobs:
  analyzer:
    build: image
    command: [python, analyzer.py]
    on: [{upload: {bucket: uploads, suffix: .csv}}]
    env: {INPUT_BUCKET: $.detail.bucket.name, INPUT_KEY: $.detail.object.key, OUTPUT_BUCKET: "${bucket.results}"}
    reads: [uploads]
    writes: [results]
  tick:
    image: wherry-busybox:1
    command: 'echo "$WHERRY_SCHEDULED_AT $WHERRY_INTERVAL_START ${interval.end}"'
    on: [{schedule: "rate(1 minute)"}]
  nightly:
    image: wherry-busybox:1
    command: [echo, "${interval.start}", "${interval.end}"]
    on: [{schedule: "30 2 * * 1-5", timezone: Europe/Berlin}]
  event:
    image: wherry-busybox:1
    command: 'printf "%s|%s|%s" "$KEY" "$SIZE" "$WHERRY_EVENT_URI"'
    env: {KEY: $.detail.key, SIZE: $.detail.size}
    on: [{event: {source: [shop], detail-type: [order placed]}}]
  landed:
    image: wherry-busybox:1
    command: [echo, $.detail.object.key]
    on: [{upload: {bucket: landing}}]
  third: {image: wherry-busybox:1, command: "echo $WHERRY_ATTEMPT; [ $WHERRY_ATTEMPT = 3 ]", retry: {attempts: 4}}
  next: {image: wherry-busybox:1, command: [echo, $.detail.run-id], on: [{after: third}]}
  slow: {image: wherry-busybox:1, command: "trap 'exit 0' TERM; sleep 60 & wait", timeout: 9s}
  single: {image: wherry-busybox:1, command: sleep 12, overlap: skip}
  broken: {image: wherry-busybox:1, command: exit 7}
  secret: {image: wherry-busybox:1, command: 'echo "$TOKEN"', secrets: {TOKEN: api-token}}
environments:
  prod: {region: eu-west-1}
"""
ANALYZER = """
import csv, json, os
import boto3
s3 = boto3.client("s3")
body = s3.get_object(Bucket=os.environ["INPUT_BUCKET"], Key=os.environ["INPUT_KEY"])["Body"].read().decode()
rows = list(csv.reader(body.splitlines()))
s3.put_object(Bucket=os.environ["OUTPUT_BUCKET"], Key=os.environ["INPUT_KEY"] + ".json", Body=json.dumps(len(rows)))
print("rows", len(rows))
"""
HOSTILE = 'in/it\'s "quoted" $(rm -rf ~)\nünï 完.csv'


@pytest.fixture(scope="module")
def cloud(standin, docker_engine, tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("end-to-end"))
    cloud = Cloud(project, standin.account())
    landing = f"landing-{cloud.account.id}"
    cloud.client("s3").create_bucket(
        Bucket=landing, CreateBucketConfiguration={"LocationConstraint": cloud.account.region}
    )
    project.jobfile(JOBFILE.replace("LANDING", landing))
    image = project.folder / "image"
    image.mkdir()
    with_boto3(image)
    (image / "analyzer.py").write_text(ANALYZER)
    project.wherry("secrets", "set", "api-token", "--env", "prod", stdin="s3cr3t-ü", env=cloud.account.environment)
    cloud.wherry("deploy", "--yes")
    yield cloud
    cloud.wherry("destroy", "--yes")
    left = [each for each in cloud.leftovers() if not each.startswith(("s3 ", "secretsmanager "))]
    assert left == []


def run_of(cloud, job):
    """The newest run of a job, once it has ended."""

    def look():
        found = json.loads(cloud.wherry("runs", "--env", "prod", "--job", job, "--json").stdout)
        return found[0] if found and found[0]["ended_at"] else None

    return wait_for(look, f"a run of {job}")


def log_of(cloud, run):
    return cloud.wherry("logs", run["id"], "--env", "prod").stdout


def run(cloud, job, code=0):
    return cloud.wherry("run", job, "--env", "prod", code=code)


def test_an_upload_becomes_a_result(cloud):
    file = cloud.project.file("a.csv", "x,y\n1,2\n3,4\n")
    cloud.wherry("cp", str(file), "s3://uploads/in/a.csv", "--env", "prod")
    found = run_of(cloud, "analyzer")
    assert (found["status"], found["trigger"]) == ("succeeded", "upload"), found["reason"] + log_of(cloud, found)
    assert log_of(cloud, found) == "rows 3\n"
    assert cloud.wherry("cp", "s3://results/in/a.csv.json", "-", "--env", "prod").stdout == "3"
    image = cloud.client("ecs").describe_task_definition(taskDefinition="end-to-end-prod_analyzer")
    assert re.search(r"@sha256:[0-9a-f]{64}$", image["taskDefinition"]["containerDefinitions"][0]["image"])


def test_a_schedule_fires_once(cloud):
    for _ in range(2):  # Scheduler delivers at least once
        fire(cloud, "JobTick", "2026-03-01T05:00:00+00:00")
    found = run_of(cloud, "tick")
    assert log_of(cloud, found) == "2026-03-01T05:00:00Z 2026-03-01T04:59:00Z 2026-03-01T05:00:00Z\n"
    assert found["cause"] == "schedule:rate(1 minute)@UTC 2026-03-01T05:00:00Z"
    machine = f"arn:aws:states:eu-west-1:{cloud.account.id}:stateMachine:end-to-end-prod_tick"
    executions = cloud.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    assert sum(each["name"] == found["id"] for each in executions) == 1


def fire(cloud, job, at):
    schedules = cloud.client("scheduler").list_schedules(GroupName="end-to-end-prod")["Schedules"]
    name = next(each["Name"] for each in schedules if job in each["Name"])
    cloud.account.fire(name, group="end-to-end-prod", at=at)


def test_a_cron_covers_what_lies_between_its_firings(cloud):
    """Monday's covers the weekend, and the night in which the clocks went forward had no 2:30."""
    fire(cloud, "JobNightly", "2026-03-30T00:30:00+00:00")
    assert log_of(cloud, run_of(cloud, "nightly")) == "2026-03-27T01:30:00Z 2026-03-30T00:30:00Z\n"


@pytest.mark.parametrize("size", [10, 200_000])
def test_an_event_with_a_hostile_key(cloud, size):
    event = {
        "source": "shop",
        "detail-type": "order placed",
        # a quotation mark is two bytes, and within a text four
        "detail": {"key": HOSTILE, "size": size, "rest": '"' * (size // 2)},
    }
    file = cloud.project.file("event.json", json.dumps(event))
    made = json.loads(cloud.wherry("emit", str(file), "--env", "prod", "--json").stdout)
    found = wait_for(lambda: _ended(cloud, made[0]["id"]), "the run")
    key, seen, uri = log_of(cloud, found).removesuffix("\n").split("|")
    assert (key, seen) == (HOSTILE, str(size))
    if size == 10:
        assert uri == ""
        return
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    kept = json.loads(cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    assert kept["detail"]["rest"] == '"' * (size // 2)


def _ended(cloud, run_id):
    found = json.loads(cloud.wherry("show", run_id, "--env", "prod", "--json").stdout)
    return found if found["ended_at"] else None


def test_somebody_elses_bucket(cloud):
    file = cloud.project.file("b.txt", "x")
    cloud.wherry("cp", str(file), "s3://landing/it's ü", "--env", "prod")
    assert log_of(cloud, run_of(cloud, "landed")) == "it's ü\n"


def test_two_failures_then_success_and_what_follows(cloud):
    assert run(cloud, "third").stdout.splitlines() == ["1", "2", "3"]
    found = run_of(cloud, "third")
    assert [attempt["exit_code"] for attempt in found["attempts"]] == [1, 1, 0]
    assert log_of(cloud, run_of(cloud, "next")) == f"{found['id']}\n"


def test_a_timeout(cloud):
    assert "it ran longer than `timeout: 9s`" in run(cloud, "slow", code=124).stderr
    task = run_of(cloud, "slow")["attempts"][0]["process"]
    shown = cloud.client("ecs").describe_tasks(cluster="end-to-end-prod", tasks=[task])["tasks"][0]
    assert (shown["lastStatus"], shown["desiredStatus"]) == ("STOPPED", "STOPPED")


def test_overlap(cloud):
    first = cloud.begin("run", "single", "--env", "prod")
    wait_for(lambda: json.loads(cloud.wherry("runs", "--env", "prod", "--job", "single", "--json").stdout), "the run")
    assert "skipped" in run(cloud, "single", code=1).stderr
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_a_failure_is_a_dead_letter(cloud):
    assert "exit code 7" in run(cloud, "broken", code=7).stderr
    found = run_of(cloud, "broken")
    queue = cloud.client("sqs")
    url = queue.get_queue_url(QueueName="end-to-end-prod-dead-letters")["QueueUrl"]

    def look():
        messages = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
        details = [json.loads(message["Body"])["detail"] for message in messages]
        return [detail for detail in details if detail["name"] == found["id"]]

    letter = wait_for(look, "the dead letter")[0]
    assert json.loads(letter["input"])["event"] == found["event"]
    assert json.loads(cloud.wherry("status", "--env", "prod", "--json").stdout)["dead_letters"] >= 1


def test_a_secret(cloud):
    assert run(cloud, "secret").stdout == "s3cr3t-ü\n"


def test_aws_shows_what_wherry_shows(cloud):
    run(cloud, "broken", code=7)
    found = run_of(cloud, "broken")
    machine = f"arn:aws:states:eu-west-1:{cloud.account.id}:execution:end-to-end-prod_broken:{found['id']}"
    shown = json.loads(cloud.aws("stepfunctions", "describe-execution", "--execution-arn", machine).stdout)
    assert (shown["status"], shown["error"]) == ("FAILED", "Failed")
    assert json.loads(shown["cause"]) == {"reason": found["reason"], "attempts": 1, "exit-code": 7}
    task = json.loads(
        cloud.aws(
            "ecs", "describe-tasks", "--cluster", "end-to-end-prod", "--tasks", found["attempts"][0]["process"]
        ).stdout
    )["tasks"][0]
    main = next(container for container in task["containers"] if container["name"] == "main")
    assert main["exitCode"] == found["attempts"][0]["exit_code"]

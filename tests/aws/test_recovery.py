"""What people do about failures on AWS, through the command line: explain, retry, dead letters."""

import json
import signal

import pytest

from tests.aws.conftest import Cloud
from tests.conftest import Project, wait_for

JOBFILE = """
app: recovery
defaults: {memory: 512MB, cpu: 0.25}
jobs:
  fragile:
    image: "wherry-busybox:1"
    command: 'echo "$WHERRY_RUN_ID $WHERRY_ATTEMPT $X"; exit 3'
    env: {X: $.detail.x}
    retry: {attempts: 2, backoff: 0s}
  unpulled: {image: "nobody/no-such-image:1", command: 'true'}
  greedy: {image: "wherry-busybox:1", command: [tail, /dev/zero]}
  secretive: {image: "wherry-busybox:1", command: 'true', secrets: {TOKEN: api-token}}
  order: {image: "wherry-busybox:1", command: 'echo "$KEY"', env: {KEY: $.detail.key}, on: [{event: {source: [shop]}}]}
  hourly: {image: "wherry-busybox:1", command: 'echo "${interval.start}"', on: [{schedule: "cron(0 * * * ? *)"}]}
environments:
  prod: {region: eu-west-1}
"""


@pytest.fixture(scope="module")
def cloud(standin, docker_engine, tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("recovery"))
    cloud = Cloud(project, standin.account())
    project.jobfile(JOBFILE)
    cloud.secret("api-token")
    cloud.wherry("deploy", "--yes")
    yield cloud
    cloud.wherry("destroy", "--yes")


def asked(cloud, *arguments):
    return json.loads(cloud.wherry(*arguments, "--json", "--env", "prod").stdout)


def failed(cloud, job, *arguments, code=1):
    """Run a job that fails; gives the run."""
    cloud.wherry("run", job, *arguments, "--env", "prod", code=code)
    return asked(cloud, "runs", "--job", job)[0]


def explained(cloud, run):
    return " ".join(cloud.wherry("explain", run["id"], "--env", "prod").stdout.split())


def letters(cloud, *arguments):
    return {run["id"]: run for run in asked(cloud, "dead-letters", "ls", *arguments)}


def messages(cloud):
    """How many letters anybody can see in the queue."""
    queue = cloud.client("sqs")
    url = queue.get_queue_url(QueueName="recovery-prod-dead-letters")["QueueUrl"]
    name = "ApproximateNumberOfMessages"
    return int(queue.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def test_an_image_that_is_not_there_is_explained(cloud):
    run = failed(cloud, "unpulled")
    assert [attempt["ending"] for attempt in run["attempts"]] == ["could_not_start"]
    said = explained(cloud, run)
    assert "the job was never begun: there is no such image, or it is private" in said
    assert "correct `image` of job `unpulled`" in said
    assert "AWS says: pull image manifest" in said


def test_too_little_memory_is_explained(cloud):
    run = failed(cloud, "greedy", code=137)
    assert [attempt["ending"] for attempt in run["attempts"]] == ["out_of_memory"]
    assert "raise `memory` of job `greedy`" in explained(cloud, run)


def test_a_secret_that_is_gone_is_explained(cloud):
    cloud.client("secretsmanager").delete_secret(SecretId="api-token", ForceDeleteWithoutRecovery=True)
    run = failed(cloud, "secretive")
    said = explained(cloud, run)
    assert "the secret `api-token` is not there" in said
    assert "`wherry secrets set api-token" in said
    assert "the job was never begun" in asked(cloud, "explain", run["id"])["what"]
    cloud.secret("api-token")


def test_a_retry_goes_on_with_the_run_as_it_is_deployed_now(cloud):
    run = failed(cloud, "fragile", "--event", '{"detail": {"x": "data"}}', code=3)
    assert wait_for(lambda: run["id"] in letters(cloud), "the letter")
    cloud.project.jobfile(JOBFILE.replace("; exit 3", ""))
    cloud.wherry("deploy", "--yes")
    done = cloud.wherry("retry", run["id"], "--env", "prod")
    assert done.stdout == f"{run['id']} 3 data\n"
    again = asked(cloud, "runs", "--job", "fragile")
    assert [(one["id"], one["status"], one["event"], one["cause"]) for one in again] == [
        (run["id"], "succeeded", run["event"], run["cause"])
    ]
    assert [attempt["exit_code"] for attempt in again[0]["attempts"]] == [3, 3, 0]
    logged = cloud.wherry("logs", run["id"], "--env", "prod").stdout
    assert logged.splitlines() == [f"{run['id']} {number} data" for number in (1, 2, 3)]
    assert "retried" in cloud.wherry("show", run["id"], "--env", "prod").stdout
    assert run["id"] not in letters(cloud)
    assert "`wherry replay" in cloud.wherry("retry", run["id"], "--env", "prod", code=2).stderr


@pytest.fixture
def undelivered(cloud):
    """An event and a firing that nobody takes: the roles may not start the dispatcher."""
    iam = cloud.client("iam")
    kept = {}
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        if "RulesRole" in name or "SchedulesRole" in name:
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                kept[name, policy] = document
                less = json.dumps(document).replace("states:StartExecution", "states:ListActivities")
                iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=less)
    assert len(kept) >= 2
    before = set(letters(cloud))
    event = {"Source": "shop", "DetailType": "order placed", "Detail": json.dumps({"key": "it's ü"})}
    cloud.client("events").put_events(Entries=[event])
    name = cloud.client("scheduler").list_schedules(GroupName="recovery-prod")["Schedules"][0]["Name"]
    cloud.account.fire(name, group="recovery-prod", at="2026-03-01T05:00:00+00:00")
    found = wait_for(lambda: (new := letters(cloud)) and len(new.keys() - before) >= 2 and new, "the letters")
    for (role, policy), document in kept.items():
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))
    return [run for run_id, run in found.items() if run_id not in before]


def test_what_could_not_be_delivered_is_a_letter_and_becomes_a_run(cloud, undelivered):
    lost = {run["job"]: run for run in undelivered}
    assert set(lost) == {"order", "hourly"}
    assert lost["order"]["event"]["detail"] == {"key": "it's ü"}
    assert lost["hourly"]["cause"].endswith("2026-03-01T05:00:00Z")
    for run in lost.values():
        assert run["reason"].startswith("could not be delivered: ")
        assert "AccessDenied" in run["reason"]
        assert run["attempts"] == []
    assert "it's ü" in cloud.wherry("dead-letters", "show", lost["order"]["id"][:20], "--env", "prod").stdout
    cloud.wherry("dead-letters", "redrive", lost["order"]["id"], lost["hourly"]["id"], "--env", "prod")

    def done(job):
        return wait_for(
            lambda: [run for run in asked(cloud, "runs", "--job", job) if run["status"] == "succeeded"],
            f"a run of {job}",
        )[0]

    for job, text in (("order", "it's ü\n"), ("hourly", "2026-03-01T04:00:00Z\n")):
        run = done(job)
        assert (run["id"], run["cause"]) == (lost[job]["id"], lost[job]["cause"])
        assert cloud.wherry("logs", run["id"], "--env", "prod").stdout == text
    assert not {run["id"] for run in lost.values()} & letters(cloud).keys()


def test_looking_at_letters_hides_none_and_loses_none(cloud):
    for _ in range(3):
        failed(cloud, "greedy", code=137)
    count = wait_for(lambda: (found := len(letters(cloud, "--job", "greedy"))) >= 3 and found, "the letters")
    there = messages(cloud)
    for number in (signal.SIGINT, None, signal.SIGTERM):
        process = cloud.begin("dead-letters", "--env", "prod")
        if number:
            wait_for(lambda: messages(cloud) < there, "somebody who looks")
            process.send_signal(number)
        process.communicate(timeout=60)
        assert messages(cloud) == there, number
    assert len(letters(cloud, "--job", "greedy")) == count
    chosen = next(iter(letters(cloud, "--job", "greedy")))
    cloud.wherry("dead-letters", "purge", chosen, "--env", "prod")
    assert messages(cloud) == there - 1
    assert chosen not in letters(cloud)
    cloud.wherry("dead-letters", "purge", "--all", "--env", "prod")
    assert messages(cloud) == 0
    assert asked(cloud, "status")["dead_letters"] == 0

"""Nothing in a role is superfluous: without any one of its statements something that the job file asks for fails."""

import contextlib
import json
import time

import pytest

from tests.aws.conftest import Cloud
from tests.conftest import Project, wait_for

JOBFILE = """
app: least
buckets: {source: {}, target: {}}
jobs:
  work:
    image: wherry-busybox:1
    command: [sh, -c, 'echo "$TOKEN"; echo "$WHERRY_EVENT_URI"']
    secrets: {TOKEN: api-token}
    overlap: wait
    timeout: 20s
    on: [{event: {source: [least]}}]
  slow: {image: wherry-busybox:1, command: [sleep, "60"], timeout: 9s}
  tick: {image: wherry-busybox:1, command: "true", on: [{schedule: "rate(1 hour)"}]}
environments: {prod: {region: eu-west-1}}
"""
#: Statements that the stand-in does not ask for (tests/standin/README.md), each with the reason why AWS needs it. Task
#: roles are for the jobs' own programs: tests/conformance reads and writes with and without permission.
NOT_ASKED = {
    "events:PutTargets": "the managed rule by which Step Functions hears of a task's end, made with the machine",
    "ecs:StopTask": "asked when a task is stopped, which has a test of its own below",
    "sqs:SendMessage": "asked when a firing cannot be delivered, which has a test of its own below",
}


@pytest.fixture(scope="module")
def cloud(standin, docker_engine, tmp_path_factory):
    cloud = Cloud(Project(tmp_path_factory.mktemp("least")), standin.account())
    cloud.project.jobfile(JOBFILE)
    cloud.secret("api-token")
    cloud.wherry("deploy", "--yes")
    return cloud


def statements(cloud):
    """Every statement of every role of the stack: (role, number, actions)."""
    iam = cloud.client("iam")
    found = []
    for role in iam.list_roles()["Roles"]:
        if not role["RoleName"].startswith("least-prod-") or any(
            job in role["RoleName"] for job in ("JobTick", "JobSlow")
        ):
            continue  # the other jobs' are of the same kinds
        document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName="least")["PolicyDocument"]
        found += [(role["RoleName"], number, each["Action"]) for number, each in enumerate(document["Statement"])]
    return found


def works(cloud, seconds):
    """The scenario: a large event, a secret, its turn; then a tick of the schedule. True when all of it worked.

    Runs are known by their causes: what an earlier round left behind may come late, and is not this one's.
    """
    entry = {"Source": "least", "DetailType": "go", "Detail": json.dumps({"rest": "x" * 20_000})}
    sent = cloud.client("events").put_events(Entries=[entry])["Entries"][0]["EventId"]
    schedule = cloud.client("scheduler").list_schedules(GroupName="least-prod")["Schedules"][0]
    cloud.tick += 1
    at = f"2026-03-01T05:{cloud.tick:02}:00"
    cloud.account.fire(schedule["Name"], group="least-prod", at=f"{at}+00:00")
    try:
        made = wait_for(lambda: _ended(cloud, sent, at), "both runs", seconds=seconds)
    except AssertionError:
        return False
    return all(run["status"] == "succeeded" for run in made)


def _runs(cloud):
    return json.loads(cloud.wherry("runs", "--env", "prod", "--json", "--limit", "1000").stdout)


def _ended(cloud, *causes):
    """The runs of these causes when one of them has failed or all have ended."""
    runs = [run for run in _runs(cloud) if any(cause in run["cause"] for cause in causes)]
    if any(run["status"] == "failed" for run in runs):
        return runs
    return runs if len(runs) == len(causes) and all(run["ended_at"] for run in runs) else None


def test_without_any_one_statement_it_fails(cloud):
    iam = cloud.client("iam")
    cloud.tick = 0
    began = time.monotonic()
    assert works(cloud, seconds=60)
    enough = 1 + 2 * (time.monotonic() - began)
    superfluous = []
    for role, number, actions in statements(cloud):
        if "TaskRole" in role or any(action in NOT_ASKED for action in actions):
            continue
        document = iam.get_role_policy(RoleName=role, PolicyName="least")["PolicyDocument"]
        less = {**document, "Statement": [each for place, each in enumerate(document["Statement"]) if place != number]}
        less["Statement"] = less["Statement"] or [{"Effect": "Deny", "Action": "none:Nothing", "Resource": "*"}]
        iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=json.dumps(less))
        if works(cloud, enough):
            superfluous.append((role, actions))
        iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=json.dumps(document))
    assert superfluous == []
    assert works(cloud, seconds=60)


@contextlib.contextmanager
def without(cloud, role_part, *actions):
    """A role for a while without the statements that allow one of these."""
    iam = cloud.client("iam")
    role = next(each["RoleName"] for each in iam.list_roles()["Roles"] if role_part in each["RoleName"])
    document = iam.get_role_policy(RoleName=role, PolicyName="least")["PolicyDocument"]
    left = [each for each in document["Statement"] if not set(each["Action"]) & set(actions)]
    assert len(left) == len(document["Statement"]) - len(actions)
    less = {**document, "Statement": left or [{"Effect": "Deny", "Action": "none:Nothing", "Resource": "*"}]}
    iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=json.dumps(less))
    yield
    iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=json.dumps(document))


def is_left_running(cloud):
    """Whether the task of a run that timed out goes on."""
    cloud.wherry("run", "slow", "--env", "prod", code=None)
    task = _runs_of(cloud, "slow")[0]["attempts"][0]["process"]
    shown = cloud.client("ecs").describe_tasks(cluster="least-prod", tasks=[task])["tasks"][0]
    return shown["desiredStatus"] == "RUNNING"


def _runs_of(cloud, job):
    return [run for run in _runs(cloud) if run["job"] == job]


def test_stopping_a_task_needs_its_permission(cloud):
    assert not is_left_running(cloud)
    with without(cloud, "JobSlowMachineRole", "ecs:StopTask"):
        assert is_left_running(cloud)


def letters(cloud):
    queue = cloud.client("sqs")
    url = queue.get_queue_url(QueueName="least-prod-dead-letters")["QueueUrl"]
    shown = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(shown["Attributes"]["ApproximateNumberOfMessages"])


def test_a_firing_that_cannot_be_delivered_needs_the_queue(cloud):
    schedule = cloud.client("scheduler").list_schedules(GroupName="least-prod")["Schedules"][0]
    with without(cloud, "SchedulesRole", "states:StartExecution"):
        before = letters(cloud)
        cloud.account.fire(schedule["Name"], group="least-prod", at="2026-03-02T05:00:00+00:00")
        wait_for(lambda: letters(cloud) == before + 1, "the dead letter")
    with without(cloud, "SchedulesRole", "states:StartExecution", "sqs:SendMessage"):
        cloud.account.fire(schedule["Name"], group="least-prod", at="2026-03-02T06:00:00+00:00")
        time.sleep(3)
        assert letters(cloud) == before + 1

"""What did not happen is told, once, and listed: on the stand-in, through the command line, to a subscriber of SNS."""

import contextlib
import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.aws.conftest import Cloud
from tests.conftest import Project, wait_for

JOBFILE = """
app: tell
buckets: {inbox: {}}
jobs:
  good: {image: wherry-busybox:1, command: "true", on: [{schedule: "0 * * * *"}]}
  lost: {image: wherry-busybox:1, command: "true", on: [{schedule: "15 * * * *"}]}
  hourly: {image: wherry-busybox:1, command: "true", on: [{schedule: rate(1 hour)}]}
  busy: {image: wherry-busybox:1, command: sleep 600, overlap: wait, on: [{schedule: "30 * * * *"}]}
  bad: {image: wherry-busybox:1, command: exit 3}
  hangs: {task_definition: hangs.json}
  sort: {image: wherry-busybox:1, command: "true", on: [{upload: {bucket: inbox}}]}
environments: {prod: {region: eu-west-1, dashboard: true, alerts: [ops@example.com, TOPIC]}}
"""
#: Its main container waits for a neighbour that is never healthy.
HANGS = {
    "family": "tell-prod_hangs",
    "containerDefinitions": [
        {
            "name": "main",
            "image": "wherry-busybox:1",
            "command": ["true"],
            "dependsOn": [{"containerName": "sick", "condition": "HEALTHY"}],
        },
        {
            "name": "sick",
            "image": "wherry-busybox:1",
            "command": ["sleep", "600"],
            "essential": False,
            "healthCheck": {"command": ["CMD-SHELL", "false"], "interval": 300, "retries": 10},
        },
    ],
    "cpu": "256",
    "memory": "512",
}


@pytest.fixture(scope="module")
def cloud(standin, docker_engine, tmp_path_factory):
    cloud = Cloud(Project(tmp_path_factory.mktemp("alerts")), standin.account())
    topic = cloud.client("sns").create_topic(Name="pager")["TopicArn"]
    cloud.project.jobfile(JOBFILE.replace("TOPIC", topic))
    cloud.project.file("hangs.json", json.dumps(HANGS))
    cloud.wherry("deploy", "--yes")
    cloud.boxes = [subscribed(cloud, name) for name in (topic, topic.replace("pager", "tell-prod-alerts"))]
    cloud.account.age(hours=1.5)
    yield cloud
    for run in json.loads(cloud.wherry("runs", "--env", "prod", "--json").stdout):
        if not run["ended_at"]:
            cloud.wherry("stop", run["id"], "--env", "prod", code=None)
    cloud.wherry("destroy", "--yes")
    left = [each for each in cloud.leftovers() if not each.startswith(("s3 ", "sns ", "sqs "))]
    assert left == []


def subscribed(cloud, topic):
    """A queue that gets what the topic does."""
    queues = cloud.client("sqs")
    url = queues.create_queue(QueueName=f"box-{topic.rpartition(':')[2]}")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    may = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**may, "Resource": arn}]}
    queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def received(cloud, box=1):
    """What has come since somebody looked: (subject, text)."""
    found = []
    while True:
        answer = cloud.client("sqs").receive_message(QueueUrl=cloud.boxes[box], MaxNumberOfMessages=10)
        if "Messages" not in answer:
            return found
        for message in answer["Messages"]:
            cloud.client("sqs").delete_message(QueueUrl=cloud.boxes[box], ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(message["Body"])
            found.append((body["Subject"], body["Message"]))


def told(cloud, box=1):
    """Wait for the one thing that is told."""
    found = wait_for(lambda: received(cloud, box), "an alert")
    assert len(found) == 1
    return found[0]


def last(minute):
    """The latest time with this minute that lies more than the grace back."""
    now = datetime.now(UTC) - timedelta(minutes=6)
    moment = now.replace(minute=minute, second=0, microsecond=0)
    return moment if moment <= now else moment - timedelta(hours=1)


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def schedules(cloud, group, part):
    found = cloud.client("scheduler").list_schedules(GroupName=group)["Schedules"]
    return next(each["Name"] for each in found if part in each["Name"])


def fire(cloud, part, moment):
    cloud.account.fire(schedules(cloud, "tell-prod", part), group="tell-prod", at=moment.isoformat())


def watch(cloud, part, moment):
    """Have the schedule beside a schedule fire; gives when the watch has looked.

    The clock fires, too, while the tests run, and what it starts may take minutes: ours is known by its time.
    """
    before = {each["executionArn"] for each in looks(cloud)}
    cloud.account.fire(schedules(cloud, "tell-prod_watch", part), group="tell-prod_watch", at=moment.isoformat())

    def looked():
        describe = cloud.client("stepfunctions").describe_execution
        new = [each["executionArn"] for each in looks(cloud) if each["executionArn"] not in before]
        ours = [each for each in (describe(executionArn=arn) for arn in new) if iso(moment) in each["input"]]
        return ours if ours and all(each["status"] != "RUNNING" for each in ours) else None

    assert {each["status"] for each in wait_for(looked, "a look")} == {"SUCCEEDED"}, failures(cloud)


def looks(cloud):
    machine = f"arn:aws:states:eu-west-1:{cloud.account.id}:stateMachine:tell-prod__watch"
    return cloud.client("stepfunctions").list_executions(stateMachineArn=machine, maxResults=1000)["executions"]


def failures(cloud):
    describe = cloud.client("stepfunctions").describe_execution
    return [describe(executionArn=each["executionArn"]).get("cause") for each in looks(cloud)]


def runs(cloud, job):
    return json.loads(cloud.wherry("runs", "--env", "prod", "--job", job, "--json").stdout)


def missed(cloud):
    return json.loads(cloud.wherry("status", "--env", "prod", "--json").stdout)["missed"]


def test_a_firing_that_has_its_run_is_not_told(cloud):
    moment = last(0)
    fire(cloud, "Good", moment)
    wait_for(lambda: runs(cloud, "good"), "the run")
    watch(cloud, "Good", moment)
    fire(cloud, "Hourly", moment)
    wait_for(lambda: runs(cloud, "hourly"), "the run")
    watch(cloud, "Hourly", datetime.now(UTC) - timedelta(seconds=299))
    time.sleep(2)
    assert received(cloud) == received(cloud, 0) == []


def test_a_firing_without_a_run_is_told_once(cloud):
    moment = last(15)
    for _ in range(2):  # Scheduler delivers at least once
        watch(cloud, "Lost", moment)
    said = (
        f"tell prod: lost should have started at {iso(moment)}: no run of it was started (`wherry status --env prod`)"
    )
    assert told(cloud) == ("tell prod: lost has not started", said)
    assert told(cloud, 0) == ("tell prod: lost has not started", said)
    time.sleep(2)
    assert received(cloud) == received(cloud, 0) == []


def test_a_firing_that_is_not_delivered_is_listed_with_the_reason(cloud):
    moment = last(15)
    with without(cloud, "SchedulesRole", "states:StartExecution"):
        fire(cloud, "Lost", moment)
    found = wait_for(lambda: [one for one in missed(cloud) if "delivered" in one["reason"]], "the reason")
    assert [(one["job"], one["fires_at"]) for one in found] == [("lost", f"{moment:%Y-%m-%dT%H:%M:%S}.000Z")]
    assert found[0]["reason"].startswith("could not be delivered: AccessDenied")
    shown = cloud.wherry("status", "--env", "prod").stdout
    assert "missed: should have started within the last 24h and did not" in shown


def test_a_schedule_that_is_disabled_or_new_has_missed_nothing(cloud):
    scheduler = cloud.client("scheduler")
    name = schedules(cloud, "tell-prod", "Lost")
    known = scheduler.get_schedule(GroupName="tell-prod", Name=name)
    shape = scheduler.meta.service_model.operation_model("UpdateSchedule").input_shape.members
    kept = {key: value for key, value in known.items() if key in shape}
    scheduler.update_schedule(**{**kept, "State": "DISABLED"})
    assert "lost" not in {one["job"] for one in missed(cloud)}
    watch(cloud, "Lost", last(16))
    scheduler.update_schedule(**kept)  # enabled anew: younger than the firings
    assert "lost" not in {one["job"] for one in missed(cloud)}
    watch(cloud, "Lost", last(17))
    time.sleep(2)
    assert received(cloud) == []


def test_a_schedule_that_is_gone_is_told(cloud):
    scheduler = cloud.client("scheduler")
    name = schedules(cloud, "tell-prod", "Hourly")
    known = scheduler.get_schedule(GroupName="tell-prod", Name=name)
    scheduler.delete_schedule(GroupName="tell-prod", Name=name)
    moment = datetime.now(UTC) - timedelta(hours=20)
    watch(cloud, "Hourly", moment)
    said = f"tell prod: hourly should have started at {iso(moment)}: its schedule is gone (`wherry status --env prod`)"
    assert told(cloud) == ("tell prod: hourly has not started", said)
    shape = scheduler.meta.service_model.operation_model("CreateSchedule").input_shape.members
    scheduler.create_schedule(**{key: value for key, value in known.items() if key in shape})


def test_a_run_that_waits_for_its_turn_is_told_and_listed(cloud):
    before = cloud.begin("run", "busy", "--env", "prod")
    wait_for(lambda: [run for run in runs(cloud, "busy") if run["status"] == "running"], "the run ahead")
    moment = last(30)
    fire(cloud, "Busy", moment)
    run = wait_for(lambda: [run for run in runs(cloud, "busy") if run["status"] == "queued"], "the run")[0]
    watch(cloud, "Busy", moment)
    reason = f"run {run['id']} has not begun: it waits for another run of the job to end"
    said = f"tell prod: busy should have started at {iso(moment)}: {reason} (`wherry status --env prod`)"
    assert told(cloud)[1] == said
    assert reason in {one["reason"] for one in missed(cloud)}
    for each in runs(cloud, "busy"):
        cloud.wherry("stop", each["id"], "--env", "prod", code=None)
    before.communicate(timeout=60)


def test_a_run_that_fails_is_told_once(cloud):
    cloud.wherry("run", "bad", "--env", "prod", code=None)
    run = runs(cloud, "bad")[0]
    subject, text = told(cloud)
    assert subject == "tell prod: bad failed"
    assert text == f"tell prod: bad failed: exit code 3 (run {run['id']}; `wherry explain {run['id']} --env prod`)"
    time.sleep(2)
    assert received(cloud) == []


def test_a_task_that_hangs_while_it_starts_is_told_once(cloud):
    process = cloud.begin("run", "hangs", "--env", "prod")
    run = wait_for(lambda: [run for run in runs(cloud, "hangs") if run["attempts"]], "the run")[0]
    watch(cloud, "Pulse", datetime.now(UTC))
    time.sleep(2)
    assert received(cloud) == []
    cloud.account.age(hours=0.3)
    for _ in range(2):
        watch(cloud, "Pulse", datetime.now(UTC))
    subject, text = told(cloud)
    assert subject == "tell prod: hangs has not started"
    said = rf"its task is [A-Z]+ for more than 15m \(run {run['id']}; `wherry show {run['id']} --env prod`; task arn:"
    assert re.match(rf"tell prod: hangs has not started: {said}", text)
    time.sleep(2)
    assert received(cloud) == []
    cloud.wherry("stop", run["id"], "--env", "prod")
    process.communicate(timeout=60)


def test_an_alarm_reaches_the_topics(cloud):
    client = cloud.client("cloudwatch")
    alarms = client.describe_alarms()["MetricAlarms"]
    assert {one["AlarmName"] for one in alarms} == {
        f"tell-prod_{name}" for name in ("dead-letters", "watch", "silence")
    }
    for box in (0, 1):
        received(cloud, box)
    client.set_alarm_state(AlarmName="tell-prod_dead-letters", StateValue="ALARM", StateReason="one waits")
    for box in (0, 1):
        said = json.loads(told(cloud, box)[1])
        assert said["AlarmDescription"].startswith("tell prod: dead letters wait: ")
        assert "`wherry dead-letters --env prod`" in said["AlarmDescription"]
    client.set_alarm_state(AlarmName="tell-prod_dead-letters", StateValue="OK", StateReason="none waits")


def test_triggers_are_counted(cloud):
    with without(cloud, "RulesRole", "states:StartExecution"):
        upload(cloud, "lost.txt")
        wait_for(lambda: counted(cloud)["sort"]["missed"] == 1, "the count")
    upload(cloud, "there.txt")
    wait_for(lambda: runs(cloud, "sort"), "the run")
    assert counted(cloud)["sort"] == {"job": "sort", "trigger": "upload", "fired": 2, "missed": 1}
    assert "sort    upload    2      1" in cloud.wherry("status", "--env", "prod").stdout


def tells_missed(cloud, number):
    """Whether a firing without a run is told; each number is a firing of its own."""
    moment = last(15) - timedelta(minutes=number)
    fire_watch(cloud, "Lost", moment)
    return is_told(cloud, iso(moment))


def tells_missed_rate(cloud, number):
    moment = last(0) - timedelta(hours=30, minutes=number)
    cloud.account.age(hours=48)
    fire_watch(cloud, "Hourly", moment)
    return is_told(cloud, iso(moment))


def tells_failed(cloud, _number):
    cloud.wherry("run", "bad", "--env", "prod", code=None)
    return is_told(cloud, runs(cloud, "bad")[0]["id"])


def tells_stuck(cloud, _number):
    process = cloud.begin("run", "hangs", "--env", "prod")
    run = wait_for(lambda: [run for run in runs(cloud, "hangs") if not run["ended_at"] and run["attempts"]], "it")[0]
    cloud.account.age(hours=0.3)
    fire_watch(cloud, "Pulse", datetime.now(UTC))
    found = is_told(cloud, run["id"])
    cloud.wherry("stop", run["id"], "--env", "prod")
    process.communicate(timeout=60)
    return found


def tells_late(cloud, number):
    before = cloud.begin("run", "busy", "--env", "prod")
    wait_for(lambda: [run for run in runs(cloud, "busy") if run["status"] == "running"], "the run ahead")
    moment = last(30) - timedelta(hours=2, minutes=number)
    fire(cloud, "Busy", moment)
    wait_for(lambda: [run for run in runs(cloud, "busy") if run["status"] == "queued"], "the run")
    fire_watch(cloud, "Busy", moment)
    found = is_told(cloud, iso(moment))
    for each in runs(cloud, "busy"):
        cloud.wherry("stop", each["id"], "--env", "prod", code=None)
    before.communicate(timeout=60)
    return found


def fire_watch(cloud, part, moment):
    cloud.account.fire(schedules(cloud, "tell-prod_watch", part), group="tell-prod_watch", at=moment.isoformat())


def is_told(cloud, text):
    """Whether something with this text comes soon."""
    texts = []
    until = time.monotonic() + 6
    while time.monotonic() < until:
        texts += [message for _, message in received(cloud)]
        if any(text in each for each in texts):
            return True
        time.sleep(0.1)
    return False


#: Every statement of the watch's roles, and what is not told without it. Without `scheduler:GetSchedule` a firing is told
#: in the end, because what is in doubt is told, but not before all tries are in vain.
NEEDED = [
    ("WatchRole", "states:DescribeExecution", tells_late),
    ("WatchRole", "states:ListExecutions", tells_missed_rate),
    ("WatchRole", "states:StartExecution", tells_missed),
    ("WatchRole", "scheduler:GetSchedule", tells_missed),
    ("WatchRole", "ecs:ListTasks", tells_stuck),
    ("WatchRole", "ecs:DescribeTasks", tells_stuck),
    ("WatchRole", "sns:Publish", tells_missed),
    ("WatchRulesRole", "states:StartExecution", tells_failed),
    ("WatchSchedulesRole", "states:StartExecution", tells_missed),
]
#: Asked when a firing of the watch cannot be delivered: `test_a_look_that_cannot_be_delivered_becomes_a_dead_letter`.
NOT_HERE = [("WatchSchedulesRole", "sqs:SendMessage")]


@pytest.mark.parametrize(("role", "action", "tells"), NEEDED)
def test_without_any_one_statement_it_is_silent(cloud, role, action, tells):
    place = NEEDED.index((role, action, tells))
    with without(cloud, role, action):
        assert not tells(cloud, 20 + place)
    assert tells(cloud, 40 + place)


def test_every_statement_is_tried(cloud):
    iam = cloud.client("iam")
    found = set()
    for role in iam.list_roles()["Roles"]:
        if role["RoleName"].startswith("tell-prod-Watch"):
            document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName="least")["PolicyDocument"]
            found |= {(role["RoleName"].split("-")[2], each["Action"][0]) for each in document["Statement"]}
    assert found == {(role, action) for role, action, _ in NEEDED} | set(NOT_HERE)


def test_a_look_that_cannot_be_delivered_becomes_a_dead_letter(cloud):
    def letters():
        return json.loads(cloud.wherry("status", "--env", "prod", "--json").stdout)["dead_letters"]

    with without(cloud, "WatchSchedulesRole", "states:StartExecution"):
        before = letters()
        fire_watch(cloud, "Lost", last(15))
        wait_for(lambda: letters() == before + 1, "the dead letter")


def counted(cloud):
    found = json.loads(cloud.wherry("status", "--env", "prod", "--json").stdout)["triggers"]
    return {one["job"]: one for one in found}


def upload(cloud, name):
    cloud.wherry("cp", str(cloud.project.file(name, "x")), f"s3://inbox/{name}", "--env", "prod")


@contextlib.contextmanager
def without(cloud, role_part, action):
    """A role for a while without the statements that allow an action."""
    iam = cloud.client("iam")
    role = next(each["RoleName"] for each in iam.list_roles()["Roles"] if f"tell-prod-{role_part}" in each["RoleName"])
    document = iam.get_role_policy(RoleName=role, PolicyName="least")["PolicyDocument"]
    left = [each for each in document["Statement"] if action not in each["Action"]]
    less = {**document, "Statement": left or [{"Effect": "Deny", "Action": "none:Nothing", "Resource": "*"}]}
    iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=json.dumps(less))
    yield
    time.sleep(1)
    iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=json.dumps(document))

"""Queues and workers of a deployed environment: what feeds them, what wakes the first worker, what goes at the end."""

import contextlib
import json
import time

import pytest

from tests.aws.conftest import Cloud
from tests.conftest import BUSYBOX, Project, wait_for

LANDING = "wakes-landing-zone"
JOBFILE = f"""
app: wakes
buckets: {{inbox: {{}}, landing: {{existing: {LANDING}}}}}
queues:
  drawn: {{from: {{bucket: inbox, suffix: .geojson}}}}
  told: {{from: {{bucket: inbox, suffix: .csv, format: s3}}}}
  theirs: {{from: {{bucket: landing, prefix: in/, format: s3}}}}
  sent: {{}}
  sealed: {{}}
jobs:
  draw: {{image: {BUSYBOX}, command: [sleep, "600"], on: [{{queue: drawn, mode: self-polling}}]}}
  tell: {{image: {BUSYBOX}, command: [sleep, "600"], on: [{{queue: told, mode: self-polling, workers: {{min: 1}}}}]}}
  take: {{image: {BUSYBOX}, command: [sleep, "600"], on: [{{queue: theirs, mode: self-polling}}]}}
  open:
    image: {BUSYBOX}
    command: [sleep, "600"]
    secrets: {{KEY: wakes-key}}
    on: [{{queue: sealed, mode: self-polling}}]
environments: {{prod: {{region: eu-west-1}}}}
"""
OTHERS = {
    "QueueConfigurations": [
        {
            "Id": "theirs",
            "QueueArn": "arn:aws:sqs:eu-west-1:999999999999:others",
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "out/"}]}},
        }
    ]
}


@pytest.fixture(scope="module")
def cloud(standin, docker_engine, tmp_path_factory):
    cloud = Cloud(Project(tmp_path_factory.mktemp("wakes")), standin.account())
    cloud.project.jobfile(JOBFILE)
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=LANDING, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_notification_configuration(
        Bucket=LANDING, NotificationConfiguration=OTHERS, SkipDestinationValidation=True
    )
    cloud.secret("wakes-key")
    cloud.wherry("deploy", "--yes")
    return cloud


def workers(cloud, name):
    (found,) = cloud.client("ecs").describe_services(cluster="wakes-prod", services=[name])["services"]
    return found["desiredCount"]


def sleep(cloud, name):
    cloud.client("ecs").update_service(cluster="wakes-prod", service=name, desiredCount=0)
    assert workers(cloud, name) == 0


def bodies(cloud, name):
    """What waits in a queue; it goes on waiting."""
    queue = cloud.client("sqs")
    url = queue.get_queue_url(QueueName=f"wakes-prod-{name}")["QueueUrl"]
    asked = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, VisibilityTimeout=0)
    return [message["Body"] for message in asked.get("Messages", [])]


def put(cloud, key):
    bucket = cloud.client("sts").get_caller_identity()["Account"]
    cloud.client("s3").put_object(Bucket=f"wakes-prod-inbox-{bucket}-eu-west-1", Key=key, Body=b"x")


def told(cloud):
    answer = cloud.client("s3").get_bucket_notification_configuration(Bucket=LANDING)
    return {each["Id"]: each for each in answer.get("QueueConfigurations", [])}, answer


def test_the_first_deploy_shows_that_a_worker_starts_and_the_next_has_nothing_to_do(cloud):
    assert [workers(cloud, name) for name in ("draw_drawn", "tell_told")] == [1, 1]
    assert not cloud.plan()["changed"]


def test_an_upload_becomes_a_message_and_wakes_the_first_worker(cloud):
    sleep(cloud, "draw_drawn")
    put(cloud, "a b.geojson")
    wait_for(lambda: workers(cloud, "draw_drawn") == 1, "the wake", seconds=15)
    (body,) = wait_for(lambda: bodies(cloud, "drawn"), "the message")
    assert json.loads(body)["detail"]["object"]["key"] == "a b.geojson"


def test_a_look_wakes_a_worker_for_what_others_have_sent_and_for_nothing_else(cloud):
    sleep(cloud, "draw_drawn")
    look = {"service": "draw_drawn", "asked": "look"}
    machines = cloud.client("stepfunctions")
    arn = next(
        one["stateMachineArn"] for one in machines.list_state_machines()["stateMachines"] if "waker" in one["name"]
    )
    urls = {name: cloud.client("sqs").get_queue_url(QueueName=f"wakes-prod-{name}")["QueueUrl"] for name in ("drawn",)}
    cloud.client("sqs").purge_queue(QueueUrl=urls["drawn"])
    begun = machines.start_execution(stateMachineArn=arn, input=json.dumps({**look, "queue": urls["drawn"]}))
    ended = lambda: machines.describe_execution(executionArn=begun["executionArn"])["status"] == "SUCCEEDED"  # noqa: E731
    wait_for(ended, "the look", seconds=15)
    assert workers(cloud, "draw_drawn") == 0
    cloud.client("sqs").send_message(QueueUrl=urls["drawn"], MessageBody="by an SDK")
    machines.start_execution(stateMachineArn=arn, input=json.dumps({**look, "queue": urls["drawn"]}))
    wait_for(lambda: workers(cloud, "draw_drawn") == 1, "the wake", seconds=15)


@contextlib.contextmanager
def without(cloud, action):
    """The waker for a while without the statement that allows this."""
    iam = cloud.client("iam")
    role = next(each["RoleName"] for each in iam.list_roles()["Roles"] if "WakerRole" in each["RoleName"])
    document = iam.get_role_policy(RoleName=role, PolicyName="least")["PolicyDocument"]
    left = [each for each in document["Statement"] if action not in each["Action"]]
    assert len(left) == len(document["Statement"]) - 1
    less = json.dumps({**document, "Statement": left})
    iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=less)
    yield
    iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=json.dumps(document))


@pytest.mark.parametrize("action", ["sqs:GetQueueAttributes", "ecs:UpdateService"])
def test_the_waker_may_do_nothing_that_it_does_not_need(cloud, action):
    sleep(cloud, "draw_drawn")
    with without(cloud, action):
        put(cloud, f"{action[:3]}.geojson")
        time.sleep(1)
        assert workers(cloud, "draw_drawn") == 0
    wait_for(lambda: workers(cloud, "draw_drawn") == 1, "the repeated call", seconds=30)


def test_a_deploy_leaves_the_number_of_workers_as_it_is(cloud):
    cloud.client("ecs").update_service(cluster="wakes-prod", service="draw_drawn", desiredCount=3)
    cloud.project.jobfile(JOBFILE.replace('[sleep, "600"], on: [{queue: drawn', '[sleep, "601"], on: [{queue: drawn'))
    cloud.wherry("deploy", "--yes")
    assert workers(cloud, "draw_drawn") == 3


def test_it_says_why_nobody_takes_what_waits(cloud):
    """Deployed, at rest, then somebody removes a secret: ECS starts workers in vain."""
    sleep(cloud, "open_sealed")
    cloud.client("secretsmanager").delete_secret(SecretId="wakes-key")
    cloud.wherry("queue", "send", "sealed", "hello", "--env", "prod")
    cloud.client("ecs").update_service(cluster="wakes-prod", service="open_sealed", desiredCount=1)  # as the waker does

    def stumble():
        found = json.loads(cloud.wherry("queues", "--env", "prod", "--json").stdout)
        return next(each["stumble"] for each in found if each["name"] == "sealed")

    found = wait_for(stumble, "the reason", seconds=30)
    assert found["what"] == "could not start: the secret `wakes-key` was removed"
    said = "no worker takes from queue `sealed`; the last one ("
    remedy = (
        "): could not start: the secret `wakes-key` was removed; `wherry secrets set wakes-key --env prod` brings it"
    )
    for told in (cloud.wherry("queues", "--env", "prod").stderr, cloud.wherry("status", "--env", "prod").stdout):
        assert said in told
        assert remedy in told
    cloud.client("secretsmanager").restore_secret(SecretId="wakes-key")


def test_a_queue_that_is_not_deployed_is_not_an_empty_one(cloud):
    cloud.project.jobfile(JOBFILE.replace("  sealed:", "  fresh: {}\n  sealed:"))
    done = cloud.wherry("queues", "--env", "prod")
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("fresh")]
    assert row == ["fresh", *["-"] * 8]
    assert "not deployed yet: `fresh`; `wherry deploy --env prod` does it" in done.stderr
    for verb in ("redrive", "purge"):
        refused = cloud.wherry("queue", verb, "fresh", "--yes", "--env", "prod", code=2)
        assert "queue `fresh` is not deployed in `prod`" in refused.stderr
    cloud.project.jobfile(JOBFILE)


def test_a_bucket_tells_a_queue_by_itself_in_the_words_of_s3(cloud):
    put(cloud, "a b.csv")
    (body,) = wait_for(lambda: [each for each in bodies(cloud, "told") if "Records" in each], "the notification")
    assert json.loads(body)["Records"][0]["s3"]["object"]["key"] == "a+b.csv"


def test_a_bucket_of_somebody_else_tells_ours_and_goes_on_telling_theirs(cloud):
    entries, whole = told(cloud)
    assert entries["theirs"]["QueueArn"].endswith(":others")
    assert entries["wherry_wakes-prod_theirs"]["QueueArn"].endswith(":wakes-prod-theirs")
    assert "EventBridgeConfiguration" in whole
    entry = entries["theirs"] | {
        "Id": "more",
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/x"}]}},
    }
    cloud.client("s3").put_bucket_notification_configuration(
        Bucket=LANDING,
        NotificationConfiguration={"QueueConfigurations": [*entries.values(), entry]},
        SkipDestinationValidation=True,
    )
    refused = cloud.wherry("plan", code=2).stderr
    assert f"bucket `{LANDING}` sends the same uploads to arn:aws:sqs:eu-west-1:999999999999:others (`more`)" in refused
    cloud.client("s3").put_bucket_notification_configuration(
        Bucket=LANDING, NotificationConfiguration=OTHERS, SkipDestinationValidation=True
    )
    assert f"bucket {LANDING}: it tells the queues of uploads" in cloud.wherry("plan").stdout
    cloud.wherry("deploy", "--yes")
    assert told(cloud)[0].keys() == {"theirs", "wherry_wakes-prod_theirs"}
    cloud.project.jobfile(JOBFILE.replace("prefix: in/, format: s3", "prefix: in/"))
    assert f"bucket {LANDING}: it does not tell all the queues any more" in cloud.wherry("plan").stdout
    cloud.wherry("deploy", "--yes")
    assert told(cloud)[0].keys() == {"theirs"}
    cloud.project.jobfile(JOBFILE)
    cloud.wherry("deploy", "--yes")
    assert told(cloud)[0].keys() == {"theirs", "wherry_wakes-prod_theirs"}


def test_workers_go_over_to_spot_and_back(cloud):
    def provider():
        found = cloud.client("ecs").describe_services(cluster="wakes-prod", services=["draw_drawn"])["services"][0]
        (strategy,) = found["capacityProviderStrategy"]
        (newest,) = found["deployments"][0]["capacityProviderStrategy"]
        return strategy["capacityProvider"], newest["capacityProvider"]

    cloud.project.jobfile(JOBFILE.replace("region: eu-west-1", "region: eu-west-1, capacity: fargate-spot"))
    cloud.wherry("deploy", "--yes")
    assert provider() == ("FARGATE_SPOT", "FARGATE_SPOT")
    assert not cloud.plan()["changed"]
    cloud.project.jobfile(JOBFILE)
    cloud.wherry("deploy", "--yes")
    assert provider() == ("FARGATE", "FARGATE")


def test_at_the_end_it_says_which_messages_are_lost_and_leaves_nothing(cloud):
    url = cloud.client("sqs").get_queue_url(QueueName="wakes-prod-sent")["QueueUrl"]
    for _ in range(3):
        cloud.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    done = cloud.wherry("destroy", "--yes")
    assert "- queue sent, with 3 messages in it" in done.stdout
    assert "workers draw_drawn: no more of them" in done.stderr
    assert told(cloud)[0].keys() == {"theirs"}
    assert (
        "the queues of the job file are not deployed in `prod`"
        in cloud.wherry("queues", "--env", "prod", code=2).stderr
    )
    assert "not deployed" in cloud.wherry("status", "--env", "prod").stdout
    left = cloud.leftovers()
    assert [each for each in left if not each.startswith(("s3 ", "secretsmanager "))] == []

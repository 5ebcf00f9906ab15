"""wherry's worker in real containers of a service: messages become results, whoever dies; and the same verbs there."""

import json
import subprocess
import time

import pytest

from tests.aws.conftest import Cloud, leftovers
from tests.conftest import PYTHON, Project, wait_for

JOBFILE = """
app: mail
buckets: {inbox: {}, results: {}}
queues:
  letters: {from: {bucket: inbox, suffix: .txt}, visibility: 5s, max_receives: 3}
jobs:
  count:
    build: count
    command: ["${event.file}", "${event.detail.object.key}"]
    env: {OUT: "${bucket.results}"}
    writes: [results]
    retry: {backoff: 1s, factor: 1}
    on: [{queue: letters, workers: {max: 2}}]
environments: {prod: {region: eu-west-1}}
"""
DOCKERFILE = f"""
FROM {PYTHON}
RUN useradd job
COPY count.py /app/
WORKDIR /app
USER job
ENTRYPOINT ["python3", "count.py"]
"""
# the image has no SDK: the worker's own client is one
COUNT = """
import os, sys, time
sys.path.insert(0, "/opt/wherry/worker")
from wherry.agent.credentials import Credentials
from wherry.agent.services import S3

path, key = sys.argv[1:]
with open(path) as file:
    text = file.read()
print("counting", key, os.path.basename(path), os.environ["WHERRY_ATTEMPT"], flush=True)
if text == "poison":
    sys.exit(3)
time.sleep(float(text))
S3(os.environ, Credentials(os.environ), domain="").write(os.environ["OUT"], key, str(len(text)).encode())
print("counted", key)
"""
CLUSTER, SERVICE = "mail-prod", "count_letters"


@pytest.fixture(scope="module")
def cloud(standin, docker_engine, tmp_path_factory):
    cloud = Cloud(Project(tmp_path_factory.mktemp("mail")), standin.account())
    cloud.project.jobfile(JOBFILE)
    cloud.project.file("count/Dockerfile", DOCKERFILE)
    cloud.project.file("count/count.py", COUNT)
    wherry(cloud, "deploy", "--yes")
    return cloud


def wherry(cloud, *arguments):
    return cloud.wherry(*arguments, "--env", "prod")


def bucket(cloud, name):
    return f"mail-prod-{name}-{cloud.account.id}-eu-west-1"


def upload(cloud, key, text):
    cloud.client("s3").put_object(Bucket=bucket(cloud, "inbox"), Key=key, Body=text.encode())


def results(cloud):
    listed = cloud.client("s3").list_objects_v2(Bucket=bucket(cloud, "results"))
    return {one["Key"] for one in listed.get("Contents", [])}


def tasks(cloud, status="RUNNING"):
    ecs = cloud.client("ecs")
    arns = ecs.list_tasks(cluster=CLUSTER, serviceName=SERVICE, desiredStatus=status)["taskArns"]
    return ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []


def runs(cloud, *arguments):
    return json.loads(wherry(cloud, "runs", "--json", *arguments).stdout)


def run_of(cloud, key, *statuses):
    """The run of an object, as soon as it stands so."""

    def look():
        found = [run for run in runs(cloud) if run["event"]["detail"].get("object", {}).get("key") == key]
        return next((run for run in found if run["status"] in statuses), None)

    wait_for(lambda: recorded(cloud, key) in statuses, f"the run of {key} to be {statuses}")
    return wait_for(look, f"the run of {key} to be {statuses}")


def recorded(cloud, key):
    """What the newest run of an object stands at, as its worker has written it down: far sooner asked than `runs`."""
    s3, bucket = cloud.client("s3"), f"mail-prod-wherry-{cloud.account.id}-eu-west-1"
    for one in s3.list_objects_v2(Bucket=bucket, Prefix="queue-runs/count/").get("Contents", []):
        try:
            record = json.load(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"])
        except s3.exceptions.NoSuchKey:  # it has ended since
            continue
        if record["event"]["detail"].get("object", {}).get("key") == key:
            return record["status"]
    return None


def begun(cloud, key):
    """Wait until a worker is at an object; gives the task."""
    wait_for(lambda: recorded(cloud, key) == "running", f"the run of {key}")
    (task,) = tasks(cloud)
    return task


def want(cloud, count):
    cloud.client("ecs").update_service(cluster=CLUSTER, service=SERVICE, desiredCount=count)


def test_uploads_become_results(cloud):
    for number in range(3):
        upload(cloud, f"in/{number}.txt", "0.1")
    wait_for(lambda: len(results(cloud)) == 3, "the results")
    run = run_of(cloud, "in/0.txt", "succeeded")
    assert (run["job"], run["trigger"], len(run["attempts"])) == ("count", "queue", 1)
    shown = wherry(cloud, "show", run["id"]).stdout
    assert run["id"] in shown
    assert "succeeded" in shown
    # three runs of one task: each has its own lines alone
    for number in range(3):
        log = wherry(cloud, "logs", run_of(cloud, f"in/{number}.txt", "succeeded")["id"]).stdout.splitlines()
        assert log == [f"counting in/{number}.txt {number}.txt 1", f"counted in/{number}.txt"]
    assert {run["id"] for run in runs(cloud, "--status", "succeeded")} == {run["id"] for run in runs(cloud)}
    assert runs(cloud, "--status", "failed") == []


def test_a_deploy_of_the_same_builds_and_pushes_nothing(cloud):
    assert wherry(cloud, "plan").stdout.endswith("no changes\n")
    wherry(cloud, "deploy", "--yes")


def test_a_worker_that_is_stopped_ends_what_it_works_on(cloud):
    upload(cloud, "stopped.txt", "5")
    task = begun(cloud, "stopped.txt")
    cloud.client("ecs").stop_task(cluster=CLUSTER, task=task["taskArn"])
    upload(cloud, "after.txt", "0.1")
    wait_for(lambda: {"stopped.txt", "after.txt"} <= results(cloud), "the results")
    assert len(run_of(cloud, "stopped.txt", "succeeded")["attempts"]) == 1
    assert [each["taskArn"] for each in tasks(cloud)] != [task["taskArn"]]


def test_scale_in_spares_a_worker_that_works(cloud):
    upload(cloud, "spared.txt", "5")
    task = begun(cloud, "spared.txt")
    want(cloud, 0)
    assert [each["desiredStatus"] for each in tasks(cloud)] == ["RUNNING"]
    wait_for(lambda: "spared.txt" in results(cloud), "the result")
    wait_for(lambda: tasks(cloud) == [], "no worker")
    assert task["taskArn"] in [each["taskArn"] for each in tasks(cloud, "STOPPED")]
    want(cloud, 1)


def test_a_killed_container_s_message_comes_back(cloud):
    upload(cloud, "killed.txt", "5")
    task = begun(cloud, "killed.txt")
    subprocess.run(["docker", "kill", task["containers"][0]["runtimeId"]], capture_output=True, check=True)
    run = run_of(cloud, "killed.txt", "succeeded")
    assert "killed.txt" in results(cloud)
    assert [each["ending"] for each in run["attempts"]] == ["lost", "exited"]


def test_poison_becomes_a_dead_letter_of_a_run_and_goes_back(cloud):
    upload(cloud, "poison.txt", "poison")
    run = run_of(cloud, "poison.txt", "failed")
    assert [each["exit_code"] for each in run["attempts"]] == [3, 3, 3]

    def dead():
        return json.loads(wherry(cloud, "queues", "--json").stdout)[0]["dead"] == 1

    wait_for(dead, "the dead letter")
    letters = json.loads(wherry(cloud, "dead-letters", "--json").stdout)
    assert [letter["id"] for letter in letters] == [run["id"]]
    (peeked,) = json.loads(wherry(cloud, "queue", "peek", "letters", "--dead", "--json").stdout)
    assert peeked["run"] == run["id"]
    assert wherry(cloud, "logs", run["id"]).stdout.splitlines() == [
        f"counting poison.txt poison.txt {n}" for n in (1, 2, 3)
    ]
    assert "exit code 3" in wherry(cloud, "explain", run["id"]).stdout
    cost = json.loads(wherry(cloud, "cost", "--run", run["id"], "--json").stdout)
    assert all("s of a worker x " in attempt["parts"][0]["how"] for attempt in cost["attempts"])
    assert (len(cost["attempts"]), [part["what"] for part in cost["parts"]]) == (3, ["SQS"])
    # mended, it goes on as the same run
    upload_quietly(cloud, "poison.txt", "0.1")
    wherry(cloud, "dead-letters", "redrive", run["id"])
    again = wait_for(lambda: run_if(cloud, run["id"], "succeeded"), "the further round")
    assert [each["number"] for each in again["attempts"]] == [1, 2, 3, 4]
    assert json.loads(wherry(cloud, "dead-letters", "--json").stdout) == []


def upload_quietly(cloud, key, text):
    """An upload that no queue is told of."""
    cloud.client("events").disable_rule(Name=rule(cloud))
    upload(cloud, key, text)
    time.sleep(1)
    cloud.client("events").enable_rule(Name=rule(cloud))


def rule(cloud, kind="Feed"):
    """The rule that feeds the queue, or the one that looks at it every minute."""
    names = [each["Name"] for each in cloud.client("events").list_rules()["Rules"]]
    (found,) = [name for name in names if "QueueLetters" in name and kind in name]
    return found


def run_if(cloud, run_id, status):
    return next((run for run in runs(cloud) if run["id"] == run_id and run["status"] == status), None)


def test_all_dead_letters_go_back_by_sqs_itself(cloud):
    upload(cloud, "worse.txt", "poison")
    first = run_of(cloud, "worse.txt", "failed")
    wait_for(lambda: json.loads(wherry(cloud, "queues", "--json").stdout)[0]["dead"] == 1, "the dead letter")
    wherry(cloud, "queue", "redrive", "letters", "--yes")
    second = wait_for(
        lambda: next((run for run in runs(cloud, "--status", "failed") if run["id"] != first["id"]), None), "a new run"
    )
    assert second["event"] == first["event"]
    wait_for(lambda: json.loads(wherry(cloud, "queues", "--json").stdout)[0]["dead"] == 1, "the dead letter")
    wherry(cloud, "dead-letters", "purge", second["id"])
    assert json.loads(wherry(cloud, "queues", "--json").stdout)[0]["dead"] == 0


def test_json_that_no_event_can_hold_is_a_message_like_any_other(cloud):
    body = r'{"a": "\ud800"}'
    wherry(cloud, "queue", "send", "letters", body)
    (letter,) = wait_for(lambda: json.loads(wherry(cloud, "dead-letters", "--json").stdout), "the dead letter")
    assert (letter["status"], letter["event"]["detail"]["body"]) == ("failed", body)
    assert "has no `detail.object.key`" in wherry(cloud, "explain", letter["id"]).stdout
    assert f'"body": {json.dumps(body)}' in wherry(cloud, "show", letter["id"]).stdout
    assert wherry(cloud, "logs", letter["id"]).stdout == ""
    (peeked,) = json.loads(wherry(cloud, "queue", "peek", "letters", "--dead", "--json").stdout)
    assert (peeked["run"], peeked["body"]) == (letter["id"], body)
    wherry(cloud, "dead-letters", "purge", letter["id"])


def test_queues_agree_with_sqs(cloud):
    # the look that comes every minute would wake a worker
    cloud.client("events").disable_rule(Name=rule(cloud, "Look"))
    want(cloud, 0)
    wait_for(lambda: tasks(cloud) == [], "no worker")
    wherry(cloud, "queue", "send", "letters", "one")
    wherry(cloud, "queue", "send", "letters", "two", "--delay", "15m")
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName="mail-prod-letters")["QueueUrl"]
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=60)
    sqs.send_message(QueueUrl=url, MessageBody="three")
    (state,) = json.loads(wherry(cloud, "queues", "--json").stdout)
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    names = ("", "NotVisible", "Delayed")
    assert [state["waiting"], state["in_flight"], state["delayed"]] == [
        int(told[f"ApproximateNumberOfMessages{name}"]) for name in names
    ]
    assert (state["waiting"], state["in_flight"], state["delayed"]) == (1, 1, 1)
    assert (state["job"], state["workers"], state["max_workers"]) == ("count", 0, 2)
    wherry(cloud, "queue", "purge", "letters", "--yes")
    assert json.loads(wherry(cloud, "queues", "--json").stdout)[0]["waiting"] == 0


def test_the_end_leaves_nothing(cloud):
    wherry(cloud, "destroy", "--yes", "--with-data", "mail")
    assert leftovers(cloud.account) == []

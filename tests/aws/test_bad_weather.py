"""Throttling, faults of AWS's own and lost answers: each command goes on or says so, and no run begins twice."""

import itertools
import json
import time

import pytest

from tests.aws.weather import Weather

JOBFILE = """
app: sturdy
buckets: {uploads: {}, results: {}}
jobs:
  greet: {image: "wherry-busybox:1", command: [echo, hello], secrets: {TOKEN: sturdy-token}}
  sleep: {image: "wherry-busybox:1", command: [sleep, "300"]}
  landed: {image: "wherry-busybox:1", command: [echo, "$.detail.object.key"], on: [{upload: {bucket: uploads}}]}
  ordered: {image: "wherry-busybox:1", command: [echo, "$.detail.order"], on: [{event: {source: [shop]}}]}
environments: {prod: {region: eu-west-1}}
"""
ONE_JOB = 'jobs: {greet: {image: "wherry-busybox:1", command: [echo]}}\nenvironments: {prod: {region: eu-west-1}}\n'
HERE = ("--env", "prod")


class Storm:
    """The command line in bad weather, beside what is really there."""

    def __init__(self, cloud, weather):
        self.cloud, self.weather = cloud, weather

    def wherry(self, *arguments, **more):
        self.weather.clear()
        environment = {**self.cloud.account.environment, "AWS_ENDPOINT_URL": self.weather.endpoint_url}
        done = self.cloud.project.wherry(*arguments, env=environment, **more)
        assert self.weather.met, f"{arguments} met no bad weather"
        return done

    def runs(self, job):
        return json.loads(self.cloud.wherry("runs", "--job", job, *HERE, "--json").stdout)

    def wait_for_end(self, job):
        for _ in range(120):
            runs = self.runs(job)
            if runs and all(run["status"] not in ("queued", "starting", "running") for run in runs):
                return runs
            time.sleep(0.25)
        raise AssertionError(f"{job} does not end: {runs}")


@pytest.fixture
def storm(cloud, standin):
    cloud.project.jobfile(JOBFILE)
    with Weather(standin.endpoint_url) as weather:
        yield Storm(cloud, weather)


@pytest.mark.parametrize("faults", [("throttled", "fault"), ("lost", "fault-after")], ids=["refused", "lost"])
def test_each_command_goes_on_and_nothing_happens_twice(storm, faults, tmp_path):
    turns = itertools.cycle(faults)
    storm.weather.fault = lambda operation, number: next(turns) if number == 1 else None
    storm.wherry("secrets", "set", "sturdy-token", *HERE, stdin="secret")
    assert "+" in storm.wherry("plan", *HERE).stdout
    storm.wherry("deploy", *HERE, "--yes")

    assert storm.wherry("run", "greet", *HERE).stdout == "hello\n"
    (run,) = storm.runs("greet")
    assert run["status"] == "succeeded"
    for verb in ("show", "logs", "explain"):
        assert storm.wherry(verb, run["id"], *HERE).stdout
    assert run["id"] in storm.wherry("runs", *HERE).stdout
    assert storm.wherry("status", *HERE).stdout
    assert "sturdy-token" in storm.wherry("secrets", "ls", *HERE).stdout
    storm.wherry("replay", run["id"], *HERE)
    assert [each["status"] for each in storm.runs("greet")] == ["succeeded"] * 2

    sleeping = storm.wherry("run", "sleep", *HERE, "--detach").stdout.strip()
    storm.wherry("stop", sleeping, *HERE)
    assert [each["status"] for each in storm.wait_for_end("sleep")] == ["stopped"]

    (tmp_path / "event.json").write_text('{"source": "shop", "detail-type": "order", "detail": {"order": 7}}')
    storm.wherry("emit", str(tmp_path / "event.json"), *HERE)
    assert [each["status"] for each in storm.wait_for_end("ordered")] == ["succeeded"]

    for key, size in (("small.txt", 5), ("large.bin", 17 << 20)):
        (tmp_path / key).write_bytes(b"x" * size)
        storm.wherry("cp", str(tmp_path / key), f"s3://uploads/{key}", *HERE)
        storm.wherry("cp", f"s3://uploads/{key}", str(tmp_path / "back"), *HERE)
        assert (tmp_path / "back").read_bytes() == b"x" * size
    time.sleep(2)  # a second upload's run would be there by now
    assert len(storm.wait_for_end("landed")) == 2

    storm.wherry("destroy", *HERE, "--yes", "--with-data", "sturdy")
    assert not [name for name in storm.cloud.stacks() if name.startswith("sturdy")]


def test_it_says_so_after_a_while(storm):
    storm.cloud.secret("sturdy-token")
    storm.cloud.wherry("deploy", *HERE, "--yes")
    storm.weather.fault = lambda operation, number: (
        "throttled" if operation == "StartExecution" and number <= 4 else None
    )
    done = storm.wherry("run", "greet", *HERE)
    assert "AWS asks for patience (stepfunctions:StartExecution), attempt 4: trying again" in done.stderr
    assert done.stdout == "hello\n"
    assert len(storm.runs("greet")) == 1


def test_an_answer_that_never_comes_is_asked_for_again(storm):
    storm.cloud.secret("sturdy-token")
    storm.cloud.wherry("deploy", *HERE, "--yes")
    storm.weather.fault = lambda operation, number: "silence" if operation == "StartExecution" and number == 1 else None
    done = storm.wherry("run", "greet", *HERE)
    assert "AWS does not answer (stepfunctions:StartExecution), attempt 1: trying again" in done.stderr
    assert (done.stdout, len(storm.runs("greet"))) == ("hello\n", 1)


def test_who_never_gets_an_answer_is_told_what_was_asked(storm):
    storm.weather.fault = lambda operation, number: "fault" if operation == "GetCallerIdentity" else None
    done = storm.wherry("runs", *HERE, code=1)
    assert "sts:GetCallerIdentity: ServiceUnavailable: please try again" in done.stderr
    assert len(storm.weather.met) == 5


@pytest.mark.parametrize(
    ("queue", "fault", "code"),
    [
        ("orders", "throttled", 0),
        ("orders", "lost", 1),
        ("orders", "fault-after", 1),
        ("tickets.fifo", "lost", 0),
    ],
)
def test_a_message_is_sent_once(storm, queue, fault, code):
    storm.cloud.project.jobfile("app: sturdy\nqueues: {orders: {}, tickets.fifo: {}}\n" + ONE_JOB)
    sqs = storm.cloud.client("sqs")
    attributes = {"FifoQueue": "true"} if queue.endswith(".fifo") else {}
    url = sqs.create_queue(QueueName=f"sturdy-prod-{queue}", Attributes=attributes)["QueueUrl"]
    storm.weather.fault = lambda operation, number: fault if operation == "SendMessageBatch" and number == 1 else None
    more = ("--group", "a", "--dedup", "1") if attributes else ()
    done = storm.wherry("queue", "send", queue, "hello", *more, *HERE, code=code)
    if code:
        assert "message 1 may have been sent or not: sqs:SendMessageBatch: " in done.stderr
        assert f"`wherry queues --env prod` counts what is in `{queue}`" in done.stderr
    counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert counted["ApproximateNumberOfMessages"] == "1"

"""Who may do what: signatures, the owner, runs and their declared reads and writes."""

import http.client
import io
import json
import os
import re
import subprocess
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.conftest import BIN, wait_for


def test_a_wrong_secret_is_refused(variables):
    s3 = boto3.client("s3", aws_secret_access_key="wrong", aws_access_key_id=variables["AWS_ACCESS_KEY_ID"])
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3.list_buckets()


def test_a_foreign_key_is_refused(variables):
    s3 = boto3.client("s3", aws_secret_access_key="x", aws_access_key_id="AKIAIOSFODNN7EXAMPLE")
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        s3.list_buckets()


def test_an_unsigned_request_is_refused(variables):
    host = variables["AWS_ENDPOINT_URL"].removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    connection.request("GET", "/data?list-type=2")
    answer = connection.getresponse()
    assert (answer.status, b"<Code>AccessDenied</Code>" in answer.read()) == (403, True)
    connection.request("GET", "/_wherry/health")
    assert json.loads(connection.getresponse().read())["status"] == "ok"
    connection.close()


@pytest.fixture
def running(engine):
    """A run of `reader`, and clients with its own credentials."""
    process = subprocess.Popen([f"{BIN}/wherry", "run", "reader"], cwd=engine.folder, stderr=subprocess.PIPE)
    run = wait_for(
        lambda: [run for run in json.loads(engine.wherry("runs", "--json").stdout) if run["status"] == "running"],
        "the run",
    )[0]
    environ = wait_for(lambda: _environment(run["id"]), "its process")

    def client(service):
        return boto3.client(
            service,
            endpoint_url=environ["AWS_ENDPOINT_URL"],
            aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
            region_name=environ["AWS_REGION"],
        )

    yield client, run["id"], process
    if process.poll() is None:
        process.send_signal(2)
        process.wait(60)
    process.stderr.close()


def _environment(run_id):
    """The environment of a run's process, as the system tells it."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                pairs = dict(
                    pair.split("=", 1) for pair in file.read().decode(errors="replace").split("\0") if "=" in pair
                )
        except OSError:
            continue
        if pairs.get("WHERRY_RUN_ID") == run_id:
            return pairs
    return None


def message(function, **arguments) -> str:
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    return caught.value.response["Error"]["Message"]


def test_a_run_reaches_what_its_job_declares_and_nothing_else(running, s3, engine):
    client, run_id, process = running
    mine = client("s3")
    s3.put_object(Bucket="data", Key="x", Body=b"1")
    assert mine.get_object(Bucket="data", Key="x")["Body"].read() == b"1"
    assert mine.list_objects_v2(Bucket="data")["KeyCount"] == 1
    mine.put_object(Bucket="other", Key="y", Body=b"2")
    mine.upload_fileobj(io.BytesIO(b"3"), "other", "z")
    assert message(mine.list_buckets).startswith("job `reader` may not list buckets: `${bucket.NAME}` in its `env`")
    denied = message(client("events").put_events, Entries=[{"Source": "shop", "DetailType": "x", "Detail": "{}"}])
    assert re.fullmatch(r"job `reader` may not put events on the bus: add `emits: true` \(wherry\.yaml:7:\d+\)", denied)
    place = re.escape("(wherry.yaml:10:")
    denied = message(mine.put_object, Bucket="data", Key="x", Body=b"2")
    assert re.fullmatch(
        rf"job `reader` may not write to bucket `data`: add `data` to its `writes` {place}\d+\)", denied
    )
    denied = message(mine.get_object, Bucket="sealed", Key="x")
    assert denied.startswith("job `reader` may not read bucket `sealed`: add `sealed` to its `reads` (wherry.yaml:9:")
    assert "add `nope: {}` to `buckets`" in message(mine.get_object, Bucket="nope", Key="x")
    # Also with a body that is on its way already, for clients that wait for a word and for those that do not.
    body = b"x" * 20_000_000
    assert "may not write to bucket `data`" in message(mine.put_object, Bucket="data", Key="x", Body=body)
    assert "may not write to bucket `data`" in sent_at_once(mine, body)
    secrets = client("secretsmanager")
    assert secrets.get_secret_value(SecretId="api-token")["SecretString"] == "s3cr3t"
    denied = message(secrets.get_secret_value, SecretId="prod/key")
    assert "job `reader` may not read the secret `prod/key`: add `PROD_KEY: prod/key` to `secrets`" in denied
    assert client("sts").get_caller_identity()["Arn"] == f"arn:aws:sts::000000000000:assumed-role/reader/{run_id}"
    process.send_signal(2)
    process.wait(60)
    with pytest.raises(ClientError, match="has ended"):
        mine.get_object(Bucket="data", Key="x")
    shown = engine.wherry("show", run_id).stdout
    assert "may not write to bucket `data`" in shown


def sent_at_once(client, body: bytes) -> str:
    """What a put says to a client that looks at the answer only after it has sent its whole body."""
    url = urlsplit(client.generate_presigned_url("put_object", Params={"Bucket": "data", "Key": "x"}))
    connection = http.client.HTTPConnection(url.netloc)
    connection.request("PUT", f"{url.path}?{url.query}", body=body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return text


JOBFILE = """\
app: fix
buckets:
  uploads: {}
  results: {}
jobs:
  copy:
    command: [python, job.py]
    reads: [uploads]
"""
PROGRAM = """\
import boto3
boto3.client("s3").put_object(Bucket="results", Key="x", Body=b"1")
print("done")
"""


def test_a_missing_permission_fails_with_the_line_to_add_and_adding_it_mends_the_run(project):
    project.jobfile(JOBFILE)
    project.file("job.py", PROGRAM)
    failed = project.wherry("run", "copy", code=1)
    line = re.search(r"add `(writes: \[results\])` \(wherry\.yaml:(\d+):\d+\)", failed.stderr)
    assert line, failed.stderr
    assert JOBFILE.splitlines()[int(line[2]) - 1] == "  copy:"
    project.jobfile(JOBFILE + f"    {line[1]}\n")
    assert project.wherry("run", "copy").stdout == "done\n"
    assert project.wherry("cp", "s3://results/x", "-").stdout == "1"


QUEUES = """\
app: queues
buckets: {uploads: {}, other: {}}
queues:
  work: {from: {bucket: uploads, prefix: in/}}
  results: {}
  foreign: {}
jobs:
  poller:
    command: [sleep, "600"]
    on: [{queue: work, mode: self-polling, workers: {min: 1}}]
    sends: [results]
"""


def test_a_job_takes_from_its_queue_reads_what_feeds_it_and_sends_where_it_says(project):
    project.jobfile(QUEUES)
    project.up()
    run = wait_for(
        lambda: [run for run in json.loads(project.wherry("runs", "--json").stdout) if run["status"] == "running"],
        "the worker",
    )[0]
    environ = wait_for(lambda: _environment(run["id"]), "its process")
    clients = {
        service: boto3.client(
            service,
            endpoint_url=environ["AWS_ENDPOINT_URL"],
            aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
            region_name=environ["AWS_REGION"],
        )
        for service in ("sqs", "s3")
    }
    sqs, s3 = clients["sqs"], clients["s3"]

    def url(name: str) -> str:
        return f"{environ['AWS_ENDPOINT_URL']}/000000000000/{name}"

    assert environ["QUEUE_URL"] == url("work")
    (project.folder / ".wherry/buckets/uploads/in").mkdir(parents=True)
    project.file(".wherry/buckets/uploads/in/x", "fed")
    project.file(".wherry/buckets/uploads/y", "not fed")

    # What it takes, and what that tells of.
    received = wait_for(lambda: sqs.receive_message(QueueUrl=url("work"), WaitTimeSeconds=5).get("Messages"), "it")
    handle = {"QueueUrl": url("work"), "ReceiptHandle": received[0]["ReceiptHandle"]}
    sqs.change_message_visibility(**handle, VisibilityTimeout=60)
    sqs.delete_message(**handle)
    assert sqs.get_queue_url(QueueName="work")["QueueUrl"] == url("work")
    assert sqs.get_queue_attributes(QueueUrl=url("results"), AttributeNames=["All"])["Attributes"]
    assert s3.get_object(Bucket="uploads", Key="in/x")["Body"].read() == b"fed"
    s3.head_bucket(Bucket="uploads")
    denied = message(s3.get_object, Bucket="uploads", Key="y")
    assert denied.startswith("job `poller` may not read bucket `uploads`: add `reads: [uploads]`")
    assert "may not write to bucket `uploads`" in message(s3.put_object, Bucket="uploads", Key="in/z", Body=b"")

    # Where it sends.
    sqs.send_message(QueueUrl=url("results"), MessageBody="done")
    denied = message(sqs.send_message, QueueUrl=url("work"), MessageBody="again")
    assert denied.startswith("job `poller` may not send to queue `work`: add `work` to its `sends` (wherry.yaml:11:")
    denied = message(sqs.receive_message, QueueUrl=url("results"))
    assert denied.startswith(
        "job `poller` may not take messages of queue `results`: "
        "add `- {queue: results, mode: self-polling}` to its `on` (wherry.yaml:10:"
    )

    # What is nobody's but the owner's.
    assert "job `poller` may not send to queue `foreign`" in message(sqs.get_queue_url, QueueName="foreign")
    assert message(sqs.list_queues).startswith("job `poller` may not list queues: `${queue.NAME.url}` in its `env`")
    for call, arguments in (
        (sqs.purge_queue, {"QueueUrl": url("work")}),
        (sqs.receive_message, {"QueueUrl": url("work-dead-letters")}),
        (sqs.send_message, {"QueueUrl": url("results-dead-letters"), "MessageBody": "x"}),
        (sqs.start_message_move_task, {"SourceArn": "arn:aws:sqs:us-east-1:000000000000:work-dead-letters"}),
    ):
        assert message(call, **arguments).endswith("only the folder's owner may, as `wherry env` makes you")
    for client in clients.values():
        client.close()

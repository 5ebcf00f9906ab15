"""One real engine for all tests of the gateway, and real clients that know it by `wherry env` alone."""

import json
import os
import subprocess

import boto3
import pytest
from botocore.config import Config

from tests.conftest import BIN, Project

JOBFILE = """\
app: gateway
buckets:
  data: {}
  other: {}
  sealed: {}
jobs:
  reader:
    command: [sleep, "600"]
    reads: [data]
    writes: [other]
    secrets: {TOKEN: api-token}
  called:
    command: [echo, "$.detail.order"]
    on: [{invoke: {url: true}}]
  unlisted:
    command: "true"
    on: [{invoke: {}}]
  placed:
    command: "true"
    on: [{event: {source: [orders]}}]
  sender:
    command: [sleep, "600"]
    sends: [plain]
queues:
  plain: {max_receives: 3}
  quick: {visibility: 1s, max_receives: 1}
  ordered.fifo: {content_deduplication: true}
  named.fifo: {visibility: 1s}
environments:
  prod: {region: eu-central-1}
"""


def sqs_of(project):
    """SQS as the owner of a project has it, whose engine runs."""
    variables = json.loads(project.wherry("env", "--json").stdout)
    return boto3.client(
        "sqs",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"max_attempts": 1}),
    )


@pytest.fixture(scope="package")
def engine(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("gateway"))
    project.jobfile(JOBFILE)
    project.wherry("secrets", "set", "api-token", stdin="s3cr3t")
    project.wherry("secrets", "set", "prod/key", "--from-file", "/dev/stdin", stdin="plain")
    process = project.up()
    project.pid = process.pid
    project.variables = json.loads(project.wherry("env", "--json").stdout)
    # A session reads the models of services once; each new one would read them again, for half a second.
    project.session = boto3.session.Session()
    project.clients = {}
    yield project
    for client in project.clients.values():
        client.close()
    project.close()


@pytest.fixture
def variables(engine, monkeypatch):
    """The environment as `eval "$(wherry env)"` leaves it."""
    for name, value in engine.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return engine.variables


@pytest.fixture
def client(engine, variables):
    def make(service, **config):
        key = (service, *sorted(config.items()))
        if key not in engine.clients:
            engine.clients[key] = engine.session.client(service, config=Config(retries={"max_attempts": 1}, **config))
        return engine.clients[key]

    return make


@pytest.fixture
def s3(client):
    s3 = client("s3")
    for bucket in ("data", "other"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
            if keys:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
    return s3


@pytest.fixture
def aws(variables, tmp_path):
    """The AWS CLI in a process of its own."""

    def run(*arguments, code=0, stdin=None):
        done = subprocess.run(
            [f"{BIN}/aws", *arguments],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert code is None or done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def rss_mb(pid: int) -> float:
    """The most memory that a process has had, in MB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    raise AssertionError(os.getpid())

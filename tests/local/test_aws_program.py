"""The `aws` that jobs find first: it tells the real one where SQS is, and changes nothing else."""

import os
import subprocess

import pytest

from wherry.local.environment import _PROGRAMS

TOLD = ["--endpoint-url", "http://gateway"]


@pytest.fixture
def aws(tmp_path):
    """Calls `aws` as a job does; gives the arguments of the one that is installed."""
    real = tmp_path / "with space" / "aws"
    real.parent.mkdir()
    real.write_text('#!/bin/sh\nfor word; do echo "$word"; done\nexit 7\n')
    real.chmod(0o755)

    def run(*arguments, path=f"{_PROGRAMS}:/nowhere:{real.parent}:/usr/bin:/bin", **variables):
        env = {"PATH": path, "AWS_ENDPOINT_URL": "http://gateway", **variables}
        done = subprocess.run(["aws", *arguments], env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    return run


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sqs", "list-queues"], True),
        (["--region", "eu-west-1", "sqs", "list-queues"], True),
        (["--debug", "sqs", "list-queues"], True),
        (["--output=text", "sqs", "receive-message", "--queue-url", "x"], True),
        (["s3", "cp", "sqs", "s3://sqs/"], False),
        (["--output", "text", "s3", "ls", "sqs"], False),
        (["--version"], False),
        ([], False),
    ],
)
def test_sqs_alone_is_told_where_it_is(aws, arguments, told):
    assert aws(*arguments) == (7, [*(TOLD if told else []), *arguments])


def test_what_a_job_says_itself_comes_last_and_counts(aws):
    assert aws("sqs", "x", "--endpoint-url", "mine")[1] == [*TOLD, "sqs", "x", "--endpoint-url", "mine"]
    assert aws("sqs", "x", AWS_ENDPOINT_URL_SQS="http://other")[1][:2] == ["--endpoint-url", "http://other"]
    assert aws("sqs", "a b", "*", "")[1] == [*TOLD, "sqs", "a b", "*", ""]


def test_without_an_endpoint_nothing_is_said(aws):
    assert aws("sqs", "x", AWS_ENDPOINT_URL="")[1] == ["sqs", "x"]


def test_without_an_aws_cli_it_says_so(aws):
    assert aws("sqs", "x", path=f"{_PROGRAMS}:{_PROGRAMS}/../bin:/nowhere") == (127, [])
    assert os.access(f"{_PROGRAMS}/aws", os.X_OK)

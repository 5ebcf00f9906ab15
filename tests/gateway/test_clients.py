"""Clients that people use, configured by `wherry env` alone: the AWS CLI, s3fs, pandas."""

import json
import os
import urllib.request

import pytest


def test_the_aws_cli_copies_lists_moves_and_removes(s3, aws, tmp_path):
    (tmp_path / "a b.csv").write_text("x,y\n1,2\n")
    aws("s3", "cp", "a b.csv", "s3://data/in/")
    assert "in/a b.csv" in aws("s3", "ls", "s3://data", "--recursive")
    assert aws("s3", "ls", "s3://data").split() == ["PRE", "in/"]
    assert aws("s3", "cp", "s3://data/in/a b.csv", "-") == "x,y\n1,2\n"
    aws("s3", "cp", "s3://data/in/a b.csv", "s3://other/copy.csv")
    aws("s3", "mv", "s3://other/copy.csv", "s3://other/moved.csv")
    aws("s3", "rm", "s3://data/in/a b.csv")
    assert aws("s3", "ls", "s3://data", "--recursive", code=None) == ""
    assert "moved.csv" in aws("s3", "ls", "s3://other")


def test_the_aws_cli_presigns(s3, aws):
    s3.put_object(Bucket="data", Key="x", Body=b"by url")
    with urllib.request.urlopen(aws("s3", "presign", "s3://data/x").strip()) as answer:
        assert answer.read() == b"by url"


def test_the_aws_cli_has_its_api_commands(s3, aws, tmp_path):
    (tmp_path / "x").write_text("12345")
    put = json.loads(aws("s3api", "put-object", "--bucket", "data", "--key", "k", "--body", "x", "--metadata", "a=b"))
    head = json.loads(aws("s3api", "head-object", "--bucket", "data", "--key", "k"))
    assert (head["ContentLength"], head["ETag"], head["Metadata"]) == (5, put["ETag"], {"a": "b"})
    listed = json.loads(aws("s3api", "list-objects-v2", "--bucket", "data"))
    assert [item["Key"] for item in listed["Contents"]] == ["k"]
    aws("s3api", "get-object", "--bucket", "data", "--key", "k", "--range", "bytes=1-2", "out")
    assert (tmp_path / "out").read_text() == "23"
    aws("s3api", "delete-object", "--bucket", "data", "--key", "k")


def test_sync_of_two_thousand_files_both_ways(s3, aws, tmp_path):
    source = tmp_path / "source"
    for number in range(2000):
        folder = source / f"{number % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").write_text(str(number))
    aws("s3", "sync", "--quiet", "source", "s3://data/tree")
    keys = [
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="data", Prefix="tree/")
        for item in page["Contents"]
    ]
    assert len(keys) == 2000
    aws("s3", "sync", "--quiet", "s3://data/tree", "back")
    names = sorted(
        os.path.join(os.path.relpath(base, source), name) for base, _, files in os.walk(source) for name in files
    )
    assert len(names) == 2000
    for name in names:
        assert (tmp_path / "back" / name).read_text() == (source / name).read_text()
    assert aws("s3", "sync", "source", "s3://data/tree") == ""


def test_the_other_services_answer_the_aws_cli(aws):
    assert json.loads(aws("sts", "get-caller-identity"))["Arn"] == "arn:aws:iam::000000000000:user/wherry"
    secret = json.loads(aws("secretsmanager", "get-secret-value", "--secret-id", "api-token"))
    assert secret["SecretString"] == "s3cr3t"
    entries = '[{"Source":"shop","DetailType":"x","Detail":"{}"}]'
    assert json.loads(aws("events", "put-events", "--entries", entries))["FailedEntryCount"] == 0


def test_s3fs_and_pandas(s3, variables):
    pandas = pytest.importorskip("pandas")
    s3fs = pytest.importorskip("s3fs")
    options = {"client_kwargs": {"endpoint_url": variables["AWS_ENDPOINT_URL"]}}
    frame = pandas.DataFrame({"a": range(1000), "b": [f"row {number}" for number in range(1000)]})
    frame.to_csv("s3://data/frames/x.csv", index=False, storage_options=options)
    assert pandas.read_csv("s3://data/frames/x.csv").equals(frame)
    files = s3fs.S3FileSystem(skip_instance_cache=True, **options)
    assert files.ls("data/frames") == ["data/frames/x.csv"]
    with files.open("data/frames/y.bin", "wb") as file:
        file.write(b"x" * 6_000_000)
    assert files.info("data/frames/y.bin")["size"] == 6_000_000
    files.rm("data/frames", recursive=True)
    assert not files.exists("data/frames/x.csv")

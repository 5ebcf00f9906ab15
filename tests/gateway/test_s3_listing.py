"""S3 listings: order, prefixes, delimiters, pages; and multipart uploads."""

import base64
import hashlib
import os
from datetime import UTC, datetime

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import rss_mb
from tests.gateway.test_s3_objects import refused
from wherry.gateway.s3_listing import page_of
from wherry.local.objects import ObjectInfo

KEYS = ["a.csv", "in/1.csv", "in/2.csv", "in/deep/3.csv", "in/deep/4.csv", "in/é.csv", "out/5.csv", "z", "\U0001f600"]


@pytest.fixture
def filled(s3):
    for key in KEYS:
        s3.put_object(Bucket="data", Key=key, Body=key.encode())
    return s3


def everything(s3, operation, **arguments) -> tuple[list[str], list[str], int]:
    keys, prefixes, pages = [], [], 0
    for page in s3.get_paginator(operation).paginate(Bucket="data", **arguments):
        pages += 1
        keys += [item["Key"] for item in page.get("Contents", [])]
        prefixes += [item["Prefix"] for item in page.get("CommonPrefixes", [])]
    return keys, prefixes, pages


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_all_keys_in_utf8_order_whatever_the_page(filled, operation, size):
    keys, prefixes, _ = everything(filled, operation, PaginationConfig={"PageSize": size})
    assert keys == sorted(KEYS, key=lambda key: key.encode())
    assert prefixes == []


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_delimiters_make_folders(filled, operation, size):
    config = {"PaginationConfig": {"PageSize": size}}
    assert everything(filled, operation, Delimiter="/", **config)[:2] == (["a.csv", "z", "\U0001f600"], ["in/", "out/"])
    inside = everything(filled, operation, Delimiter="/", Prefix="in/", **config)
    assert inside[:2] == (["in/1.csv", "in/2.csv", "in/é.csv"], ["in/deep/"])
    assert everything(filled, operation, Prefix="in/deep", **config)[0] == ["in/deep/3.csv", "in/deep/4.csv"]


def test_start_after_and_empty_pages(filled):
    listed = filled.list_objects_v2(Bucket="data", StartAfter="in/deep/4.csv", MaxKeys=2)
    assert [item["Key"] for item in listed["Contents"]] == ["in/é.csv", "out/5.csv"]
    assert (listed["KeyCount"], listed["IsTruncated"]) == (2, True)
    nothing = filled.list_objects_v2(Bucket="data", MaxKeys=0)
    assert (nothing["KeyCount"], nothing["IsTruncated"]) == (0, False)
    assert refused(filled.list_objects_v2, Bucket="data", ContinuationToken="!") == "InvalidArgument"


def test_a_listing_tells_size_etag_and_time(filled):
    item = filled.list_objects_v2(Bucket="data", Prefix="a.csv")["Contents"][0]
    head = filled.head_object(Bucket="data", Key="a.csv")
    assert (item["Size"], item["ETag"], item["LastModified"]) == (5, head["ETag"], head["LastModified"])


def test_a_common_prefix_is_passed_over_in_one_step(s3, engine):
    """Ten thousand files beside one: the page is made without looking at each."""
    folder = engine.folder / ".wherry/buckets/other/many"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:05}").touch()
    s3.put_object(Bucket="other", Key="zzz", Body=b"")
    from tests.conftest import wait_for

    wait_for(lambda: s3.list_objects_v2(Bucket="other", Prefix="many/")["KeyCount"] == 200, "the watcher")
    listed = s3.list_objects_v2(Bucket="other", Delimiter="/")
    assert [item["Prefix"] for item in listed["CommonPrefixes"]] == ["many/"]
    assert [item["Key"] for item in listed["Contents"]] == ["zzz"]


def test_multipart_by_hand(s3):
    where = {"Bucket": "data", "Key": "big"}
    upload = s3.create_multipart_upload(**where, ContentType="text/csv", Metadata={"a": "b"})["UploadId"]
    bodies = [os.urandom(5 << 20), os.urandom(6 << 20), b"end"]
    parts = []
    for number, body in reversed(list(enumerate(bodies, start=1))):
        etag = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts.insert(0, {"PartNumber": number, "ETag": etag})
    assert [upload["Key"] for upload in s3.list_multipart_uploads(Bucket="data")["Uploads"]] == ["big"]
    listed = s3.list_parts(**where, UploadId=upload, MaxParts=2)
    assert [part["Size"] for part in listed["Parts"]] == [5 << 20, 6 << 20]
    assert listed["IsTruncated"]
    assert refused(s3.head_object, **where) == "404"
    complete = {**where, "UploadId": upload}
    assert (
        refused(s3.complete_multipart_upload, **complete, MultipartUpload={"Parts": parts[::-1]}) == "InvalidPartOrder"
    )
    wrong = [{**parts[0], "ETag": '"0"'}]
    assert refused(s3.complete_multipart_upload, **complete, MultipartUpload={"Parts": wrong}) == "InvalidPart"
    done = s3.complete_multipart_upload(**complete, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-3"')
    got = s3.get_object(**where)
    assert got["Body"].read() == b"".join(bodies)
    assert (got["ContentType"], got["Metadata"], got["ETag"]) == ("text/csv", {"a": "b"}, done["ETag"])
    second = s3.get_object(**where, PartNumber=2)
    assert second["Body"].read() == bodies[1]
    assert second["PartsCount"] == 3
    # Who missed the answer asks again, and is told the same; until the object is another one.
    assert s3.complete_multipart_upload(**complete, MultipartUpload={"Parts": parts})["ETag"] == done["ETag"]
    s3.put_object(**where, Body=b"")
    assert refused(s3.complete_multipart_upload, **complete, MultipartUpload={"Parts": parts}) == "NoSuchUpload"


def test_the_size_of_the_whole_is_held_against_the_parts(s3):
    where = {"Bucket": "data", "Key": "big"}
    upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=b"xyz")["ETag"]}
    whole = {**upload, "MultipartUpload": {"Parts": [part]}}
    assert refused(s3.complete_multipart_upload, **whole, MpuObjectSize=4) == "InvalidRequest"
    s3.complete_multipart_upload(**whole, MpuObjectSize=3)


def test_the_checksums_of_named_parts_are_held_against_those_received(s3):
    where = {"Bucket": "data", "Key": "big"}
    upload = {**where, "UploadId": s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]}
    done = s3.upload_part(**upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256")
    part = {"PartNumber": 1, "ETag": done["ETag"], "ChecksumSHA256": done["ChecksumSHA256"]}
    wrong = {**part, "ChecksumSHA256": base64.b64encode(bytes(32)).decode()}
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": [wrong]}) == "InvalidPart"
    whole = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    digest = hashlib.sha256(base64.b64decode(done["ChecksumSHA256"])).digest()
    assert whole["ChecksumSHA256"] == f"{base64.b64encode(digest).decode()}-1"


def test_a_copy_of_an_object_of_parts_has_no_checksum_of_parts(s3):
    where = {"Bucket": "data", "Key": "big"}
    upload = {**where, "UploadId": s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC32")["UploadId"]}
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    for directive in ("COPY", "REPLACE"):
        s3.copy_object(Bucket="other", Key="copy", CopySource="data/big", MetadataDirective=directive)
        assert "ChecksumCRC32" not in s3.head_object(Bucket="other", Key="copy", ChecksumMode="ENABLED")


class Shelf:
    """Stands for the buckets: counts what a listing looks at."""

    def __init__(self, keys: list[str]) -> None:
        self.keys, self.seen = sorted(keys), 0

    def listing(self, bucket, *, prefix="", after="", limit=1000):
        found = [key for key in self.keys if key.startswith(prefix) and key > after][:limit]
        self.seen += len(found)
        return [ObjectInfo(bucket=bucket, key=key, size=0, etag="", modified=EPOCH, sequencer="") for key in found]


EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = st.lists(st.text("ab/", min_size=1, max_size=6), unique=True, max_size=30)


@settings(max_examples=200, deadline=None)
@given(NAMES, st.sampled_from(["", "a", "a/"]), st.sampled_from(["", "/", "b"]), st.integers(1, 9))
def test_pages_together_are_what_a_plain_listing_would_be(keys, prefix, delimiter, limit):
    found, after, complete = [], "", False
    while not complete:
        page = page_of(Shelf(keys), "b", prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        assert len(page.contents) + len(page.prefixes) <= limit
        found += [info.key for info in page.contents] + page.prefixes
        complete, after = page.last is None, page.last or ""
    rest = [key[len(prefix) :] for key in keys if key.startswith(prefix)]
    cut = {
        prefix + (name.split(delimiter)[0] + delimiter if delimiter and delimiter in name else name) for name in rest
    }
    assert sorted(found) == sorted(cut)


def test_folders_are_listed_without_looking_at_what_is_in_them():
    shelf = Shelf([f"{folder:03}/{number:03}" for folder in range(100) for number in range(100)])
    page = page_of(shelf, "b", prefix="", delimiter="/", after="", limit=1000)
    assert len(page.prefixes) == 100
    assert shelf.seen < 500


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("CRC64NVME", "FULL_OBJECT")],
)
def test_checksums_of_an_upload_in_parts(s3, algorithm, kind):
    from wherry.local.checksums import new_digest

    def sum_of(*bodies):
        digest = new_digest(algorithm)
        for body in bodies:
            digest.update(body)
        return digest.digest()

    where = {"Bucket": "data", "Key": "big"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm=algorithm, ChecksumType=kind)["UploadId"]
    bodies, parts = [os.urandom(5 << 20), b"end"], []
    for number, body in enumerate(bodies, start=1):
        answer = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        name = f"Checksum{algorithm}"
        parts.append({"PartNumber": number, "ETag": answer["ETag"], name: answer[name]})
    whole = base64.b64encode(sum_of(*bodies)).decode()
    expected = whole if kind == "FULL_OBJECT" else f"{base64.b64encode(sum_of(*map(sum_of, bodies))).decode()}-2"
    complete = {**where, "UploadId": upload, "MultipartUpload": {"Parts": parts}}
    if kind == "FULL_OBJECT":
        wrong = {f"Checksum{algorithm}": base64.b64encode(bytes(len(sum_of()))).decode(), "ChecksumType": kind}
        assert refused(s3.complete_multipart_upload, **complete, **wrong) == "BadDigest"
        complete |= {f"Checksum{algorithm}": whole, "ChecksumType": kind}
    done = s3.complete_multipart_upload(**complete)
    assert done[f"Checksum{algorithm}"] == expected
    head = s3.head_object(**where, ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (expected, kind)
    assert s3.get_object(**where, ChecksumMode="ENABLED")["Body"].read() == b"".join(bodies)


def test_small_parts_and_aborts(s3):
    where = {"Bucket": "data", "Key": "big"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    etags = [s3.upload_part(**where, UploadId=upload, PartNumber=n, Body=b"x")["ETag"] for n in (1, 2)]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in zip((1, 2), etags, strict=True)]
    complete = {**where, "UploadId": upload, "MultipartUpload": {"Parts": parts}}
    assert refused(s3.complete_multipart_upload, **complete) == "EntityTooSmall"
    s3.abort_multipart_upload(**where, UploadId=upload)
    assert refused(s3.upload_part, **where, UploadId=upload, PartNumber=1, Body=b"x") == "NoSuchUpload"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="data")


def test_part_copies(s3):
    body = os.urandom(11 << 20)
    s3.put_object(Bucket="data", Key="from", Body=body)
    where = {"Bucket": "other", "Key": "to"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number, span in enumerate(("bytes=0-5242879", f"bytes=5242880-{len(body) - 1}"), start=1):
        copied = s3.upload_part_copy(
            **where, UploadId=upload, PartNumber=number, CopySource="data/from", CopySourceRange=span
        )
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(**where)["Body"].read() == body


def test_transfers_of_a_large_file_keep_the_engine_small(s3, engine, tmp_path):
    """300 MB in parts, up and down again; the engine holds none of it. (1 GB of the same is in the benchmark.)"""
    path, back = tmp_path / "big.bin", tmp_path / "back.bin"
    block = os.urandom(1 << 20)
    with open(path, "wb") as file:
        file.writelines(block for _ in range(300))
    config = TransferConfig(max_concurrency=4)
    s3.upload_file(str(path), "data", "big.bin", Config=config)
    s3.download_file("data", "big.bin", str(back), Config=config)
    assert back.stat().st_size == 300 << 20
    with open(back, "rb") as file:
        assert all(file.read(1 << 20) == block for _ in range(300))
    assert rss_mb(engine.pid) < 150
    assert os.listdir(engine.folder / ".wherry/spool") == []


def test_the_resource_interface(variables):
    bucket = boto3.resource("s3").Bucket("data")
    bucket.put_object(Key="by/resource", Body=b"1")
    assert "by/resource" in [item.key for item in bucket.objects.filter(Prefix="by/")]
    bucket.Object("by/resource").delete()
    with pytest.raises(ClientError):
        bucket.Object("by/resource").load()

"""S3 as boto3 speaks it: objects, ranges, conditions, checksums, copies, deletes, odd keys."""

import base64
import hashlib
import os
import threading
import urllib.error
import urllib.request
import zlib

import pytest
from botocore.exceptions import ClientError

ODD_KEYS = [
    "a b+c%20d.csv",
    "é/ü/日本.txt",
    "quotes \"and\" 'more'",
    "new\nline",
    "tab\tand\x01control",
    "../outside",
    "../../etc/passwd",
    "/leading",
    "trailing/",
    "a//b",
    "a/./b",
    "a/../b",
    ".",
    "..",
    "x" * 300,
    "~tilde*star?question#hash&amp;=eq",
    "<xml>&</xml>",
    "\U0001f600",
]


def refused(function, **arguments) -> str:
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    return caught.value.response["Error"]["Code"]


@pytest.mark.parametrize("size", [0, 1, 10_000, 300_000, 9_000_000])
def test_what_is_put_is_got(s3, size):
    body = os.urandom(size)
    put = s3.put_object(Bucket="data", Key="in/x.bin", Body=body)
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    assert put["ETag"] == etag
    got = s3.get_object(Bucket="data", Key="in/x.bin")
    assert got["Body"].read() == body
    assert (got["ETag"], got["ContentLength"], got["ContentType"]) == (etag, size, "binary/octet-stream")


def test_what_a_client_says_of_an_object_is_kept(s3):
    said = {
        "ContentType": "text/csv; charset=utf-8",
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="x.csv"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "Metadata": {"source": "sap", "note": "two words"},
    }
    s3.put_object(Bucket="data", Key="x", Body=b"1", **said)
    head = s3.head_object(Bucket="data", Key="x")
    assert {name: head[name] for name in said} == said
    got = s3.get_object(Bucket="data", Key="x", ResponseContentType="application/json")
    assert got["ContentType"] == "application/json"


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_are_stored_safely(s3, engine, key):
    s3.put_object(Bucket="data", Key=key, Body=key.encode())
    assert s3.get_object(Bucket="data", Key=key)["Body"].read() == key.encode()
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="data").get("Contents", [])] == [key]
    root = engine.folder.resolve()
    assert not (root / ".wherry/buckets/outside").exists()
    assert not (root / ".wherry/outside").exists()
    s3.delete_object(Bucket="data", Key=key)
    assert refused(s3.head_object, Bucket="data", Key=key) == "404"


def test_a_file_and_a_folder_of_one_name(s3):
    for key in ("a", "a/b", "a/b/c"):
        s3.put_object(Bucket="data", Key=key, Body=key.encode())
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="data")["Contents"]] == ["a", "a/b", "a/b/c"]
    for key in ("a", "a/b", "a/b/c"):
        assert s3.get_object(Bucket="data", Key=key)["Body"].read() == key.encode()
    s3.delete_object(Bucket="data", Key="a")
    assert s3.get_object(Bucket="data", Key="a/b/c")["Body"].read() == b"a/b/c"


def test_keys_that_cannot_be(s3):
    assert refused(s3.put_object, Bucket="data", Key="x" * 1025, Body=b"") == "KeyTooLongError"
    assert refused(s3.get_object, Bucket="data", Key="nope") == "NoSuchKey"
    assert refused(s3.get_object, Bucket="nope", Key="x") == "NoSuchBucket"


@pytest.mark.parametrize(
    ("header", "expected", "content_range"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-100", b"0123456789", "bytes 0-9/10"),
        ("bytes=5-100", b"56789", "bytes 5-9/10"),
    ],
)
def test_ranges(s3, header, expected, content_range):
    s3.put_object(Bucket="data", Key="x", Body=b"0123456789")
    got = s3.get_object(Bucket="data", Key="x", Range=header)
    assert got["Body"].read() == expected
    assert got["ContentRange"] == content_range
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.head_object(Bucket="data", Key="x", Range=header)["ContentLength"] == len(expected)


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=50-60", "bytes=-0"])
def test_ranges_outside_the_object(s3, header):
    s3.put_object(Bucket="data", Key="x", Body=b"0123456789")
    assert refused(s3.get_object, Bucket="data", Key="x", Range=header) == "InvalidRange"


@pytest.mark.parametrize("header", ["bytes=4-2", "lines=1-2", "bytes=0-1,4-5"])
def test_what_is_no_range_is_the_whole(s3, header):
    s3.put_object(Bucket="data", Key="x", Body=b"0123456789")
    assert s3.get_object(Bucket="data", Key="x", Range=header)["Body"].read() == b"0123456789"


def test_conditions_of_reads(s3):
    etag = s3.put_object(Bucket="data", Key="x", Body=b"1")["ETag"]
    modified = s3.head_object(Bucket="data", Key="x")["LastModified"]
    where = {"Bucket": "data", "Key": "x"}
    assert s3.get_object(**where, IfMatch=etag)["Body"].read() == b"1"
    assert refused(s3.get_object, **where, IfMatch='"other"') == "PreconditionFailed"
    assert refused(s3.get_object, **where, IfNoneMatch=etag) == "304"
    assert s3.get_object(**where, IfNoneMatch='"other"')["Body"].read() == b"1"
    assert refused(s3.get_object, **where, IfModifiedSince=modified) == "304"
    assert s3.get_object(**where, IfUnmodifiedSince=modified)["Body"].read() == b"1"


def test_conditions_of_writes(s3):
    where = {"Bucket": "data", "Key": "x"}
    etag = s3.put_object(**where, Body=b"1", IfNoneMatch="*")["ETag"]
    assert refused(s3.put_object, **where, Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert refused(s3.put_object, **where, Body=b"2", IfMatch='"other"') == "PreconditionFailed"
    s3.put_object(**where, Body=b"3", IfMatch=etag)
    assert s3.get_object(**where)["Body"].read() == b"3"
    assert refused(s3.put_object, Bucket="data", Key="none", Body=b"", IfMatch=etag) == "NoSuchKey"


def test_of_many_writers_one_is_first(s3, client):
    won = []

    def put(number):
        try:
            client("s3").put_object(Bucket="data", Key="lock", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError:
            return
        won.append(number)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert s3.get_object(Bucket="data", Key="lock")["Body"].read() == str(won[0]).encode()
    assert len(won) == 1


SUMS = {
    "CRC32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "SHA1": lambda body: hashlib.sha1(body).digest(),
    "SHA256": lambda body: hashlib.sha256(body).digest(),
    "CRC32C": None,
    "CRC64NVME": None,
}


@pytest.mark.parametrize("algorithm", SUMS)
def test_checksums_are_verified_and_kept(s3, algorithm):
    body = os.urandom(100_000)
    where = {"Bucket": "data", "Key": "x"}
    put = s3.put_object(**where, Body=body, ChecksumAlgorithm=algorithm)
    value = put[f"Checksum{algorithm}"]
    if SUMS[algorithm]:
        assert base64.b64decode(value) == SUMS[algorithm](body)
    got = s3.get_object(**where, ChecksumMode="ENABLED")
    assert got[f"Checksum{algorithm}"] == value
    assert got["Body"].read() == body
    wrong = base64.b64encode(bytes(len(base64.b64decode(value)))).decode()
    assert refused(s3.put_object, **where, Body=body, **{f"Checksum{algorithm}": wrong}) == "BadDigest"
    assert s3.get_object(**where)["Body"].read() == body


def test_content_md5_is_verified(s3):
    good = base64.b64encode(hashlib.md5(b"x").digest()).decode()
    s3.put_object(Bucket="data", Key="x", Body=b"x", ContentMD5=good)
    assert refused(s3.put_object, Bucket="data", Key="x", Body=b"y", ContentMD5=good) == "BadDigest"
    assert refused(s3.put_object, Bucket="data", Key="x", Body=b"y", ContentMD5="abc") == "InvalidDigest"


def test_copies(s3):
    s3.put_object(Bucket="data", Key="from é", Body=b"1", ContentType="text/csv", Metadata={"a": "b"})
    s3.copy_object(Bucket="other", Key="to", CopySource={"Bucket": "data", "Key": "from é"})
    head = s3.head_object(Bucket="other", Key="to")
    assert (head["ContentType"], head["Metadata"]) == ("text/csv", {"a": "b"})
    s3.copy_object(
        Bucket="other",
        Key="to",
        CopySource={"Bucket": "other", "Key": "to"},
        MetadataDirective="REPLACE",
        Metadata={"c": "d"},
        ContentType="text/plain",
    )
    head = s3.head_object(Bucket="other", Key="to")
    assert (head["ContentType"], head["Metadata"]) == ("text/plain", {"c": "d"})
    assert s3.get_object(Bucket="other", Key="to")["Body"].read() == b"1"
    same = {"Bucket": "other", "Key": "to", "CopySource": {"Bucket": "other", "Key": "to"}}
    assert refused(s3.copy_object, **same) == "InvalidRequest"
    missing = {"Bucket": "other", "Key": "to", "CopySource": {"Bucket": "data", "Key": "nope"}}
    assert refused(s3.copy_object, **missing) == "NoSuchKey"
    unlike = {**same, "CopySourceIfMatch": '"other"', "MetadataDirective": "REPLACE"}
    assert refused(s3.copy_object, **unlike) == "PreconditionFailed"


def test_deleting_many_at_once(s3):
    for number in range(12):
        s3.put_object(Bucket="data", Key=f"deep/folder/{number}", Body=b"")
    keys = [{"Key": f"deep/folder/{number}"} for number in range(12)] + [{"Key": "was never there"}]
    assert len(s3.delete_objects(Bucket="data", Delete={"Objects": keys})["Deleted"]) == 13
    assert s3.list_objects_v2(Bucket="data")["KeyCount"] == 0


def test_deleting_the_last_object_leaves_no_folder(s3, engine):
    s3.put_object(Bucket="data", Key="deep/folder/x", Body=b"")
    s3.delete_object(Bucket="data", Key="deep/folder/x")
    assert list((engine.folder / ".wherry/buckets/data").iterdir()) == []


def test_an_object_is_a_plain_file_and_a_file_is_an_object(s3, engine):
    s3.put_object(Bucket="data", Key="in/x.csv", Body=b"1")
    path = engine.folder / ".wherry/buckets/data/in/x.csv"
    assert path.read_bytes() == b"1"
    path.write_bytes(b"changed by hand")
    got = s3.get_object(Bucket="data", Key="in/x.csv")
    assert got["Body"].read() == b"changed by hand"
    assert got["ETag"] == f'"{hashlib.md5(b"changed by hand").hexdigest()}"'
    path.unlink()
    assert refused(s3.get_object, Bucket="data", Key="in/x.csv") == "NoSuchKey"


def test_a_link_that_leads_out_is_no_object(s3, engine, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    folder = engine.folder / ".wherry/buckets/data"
    (folder / "link").symlink_to(tmp_path)
    (folder / "file-link").symlink_to(tmp_path / "secret.txt")
    try:
        assert refused(s3.get_object, Bucket="data", Key="link/secret.txt") == "NoSuchKey"
        assert refused(s3.get_object, Bucket="data", Key="file-link") == "NoSuchKey"
        s3.put_object(Bucket="data", Key="link/new.txt", Body=b"x")
        assert not (tmp_path / "new.txt").exists()
        assert s3.get_object(Bucket="data", Key="link/new.txt")["Body"].read() == b"x"
    finally:
        (folder / "link").unlink()
        (folder / "file-link").unlink()


def test_a_reader_sees_the_old_or_the_new(s3, client):
    bodies = [bytes([letter]) * 3_000_000 for letter in b"ab"]
    s3.put_object(Bucket="data", Key="x", Body=bodies[0])
    stop = threading.Event()

    def write():
        writer = client("s3")
        while not stop.is_set():
            for body in bodies:
                writer.put_object(Bucket="data", Key="x", Body=body)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(25):
            got = s3.get_object(Bucket="data", Key="x")
            body = got["Body"].read()
            assert body in bodies
            assert got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("version", [None, "s3v4"])
def test_presigned_urls(s3, client, version):
    """boto3's own choice is Signature Version 2 in us-east-1, also where it signs everything else with Version 4."""
    signer = client("s3", signature_version=version)
    where = {"Bucket": "data", "Key": "a b/é.txt"}
    put = signer.generate_presigned_url("put_object", Params={**where, "ContentType": "text/plain"}, ExpiresIn=60)
    upload = urllib.request.Request(put, data=b"by url", method="PUT", headers={"Content-Type": "text/plain"})
    with urllib.request.urlopen(upload) as answer:
        assert answer.status == 200
    get = signer.generate_presigned_url("get_object", Params={**where, "ResponseContentType": "x/y"}, ExpiresIn=60)
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"by url"
        assert answer.headers["Content-Type"] == "x/y"
    expired = signer.generate_presigned_url("get_object", Params=where, ExpiresIn=-1 if version is None else 60)
    expired = expired.replace("X-Amz-Expires=60", "X-Amz-Expires=61")
    for wrong in (expired, get.replace("a%20b", "a%20c"), get.replace("x%2Fy", "z")):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(wrong)


def test_attributes_and_tags(s3):
    s3.put_object(Bucket="data", Key="x", Body=b"12345")
    attributes = s3.get_object_attributes(Bucket="data", Key="x", ObjectAttributes=["ETag", "ObjectSize", "Checksum"])
    assert attributes["ObjectSize"] == 5
    assert attributes["Checksum"]["ChecksumCRC32"]
    assert s3.get_object_tagging(Bucket="data", Key="x")["TagSet"] == []


def test_buckets(s3):
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["data", "other", "sealed"]
    assert s3.head_bucket(Bucket="data")["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert refused(s3.head_bucket, Bucket="nope") == "404"
    assert s3.get_bucket_location(Bucket="data")["LocationConstraint"] is None
    assert refused(s3.create_bucket, Bucket="data") == "BucketAlreadyOwnedByYou"
    assert refused(s3.create_bucket, Bucket="fresh") == "AccessDenied"
    assert "Status" not in s3.get_bucket_versioning(Bucket="data")


def test_what_is_not_there_says_so(s3):
    assert refused(s3.put_bucket_policy, Bucket="data", Policy="{}") == "NotImplemented"
    assert refused(s3.get_object_acl, Bucket="data", Key="x") == "NotImplemented"
    assert refused(s3.delete_bucket, Bucket="data") == "NotImplemented"
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert refused(s3.put_object_tagging, Bucket="data", Key="x", Tagging=tags) == "NotImplemented"


def test_a_long_body_is_written_and_verified(s3, engine):
    """Long enough to be taken by two threads."""
    body = os.urandom(1 << 20) * 40
    wrong = base64.b64encode(bytes(16)).decode()
    assert refused(s3.put_object, Bucket="data", Key="long", Body=body, ContentMD5=wrong) == "BadDigest"
    assert refused(s3.head_object, Bucket="data", Key="long") == "404"
    put = s3.put_object(Bucket="data", Key="long", Body=body)
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert s3.get_object(Bucket="data", Key="long")["Body"].read() == body
    assert os.listdir(engine.folder / ".wherry/spool") == []


def test_there_is_one_version(s3):
    s3.put_object(Bucket="data", Key="x", Body=b"1")
    where = {"Bucket": "data", "Key": "x"}
    assert s3.get_object(**where, VersionId="null")["Body"].read() == b"1"
    assert refused(s3.get_object, **where, VersionId="other") == "NoSuchVersion"
    assert refused(s3.delete_object, **where, VersionId="other") == "NoSuchVersion"
    objects = [{"Key": "x", "VersionId": "other"}]
    assert refused(s3.delete_objects, Bucket="data", Delete={"Objects": objects}) == "NoSuchVersion"
    s3.delete_object(**where, VersionId="null")
    assert refused(s3.get_object, **where) == "NoSuchKey"


def test_a_condition_that_cannot_be_kept_deletes_nothing(s3):
    s3.put_object(Bucket="data", Key="x", Body=b"1")
    assert refused(s3.delete_object, Bucket="data", Key="x", IfMatch='"other"') == "NotImplemented"
    objects = [{"Key": "x", "ETag": '"other"'}]
    assert refused(s3.delete_objects, Bucket="data", Delete={"Objects": objects}) == "NotImplemented"
    assert s3.get_object(Bucket="data", Key="x")["Body"].read() == b"1"


def test_encryption_with_the_clients_own_key_is_refused_rather_than_forgotten(s3):
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0" * 32}
    assert refused(s3.put_object, Bucket="data", Key="x", Body=b"secret", **key) == "NotImplemented"


def test_the_first_part_of_an_empty_object(s3):
    s3.put_object(Bucket="data", Key="x", Body=b"")
    got = s3.get_object(Bucket="data", Key="x", PartNumber=1)
    assert (got["Body"].read(), "ContentRange" in got, "PartsCount" in got) == (b"", False, False)


def test_a_source_whose_key_looks_like_a_version(s3):
    key = "a?versionId=b %2F"
    s3.put_object(Bucket="data", Key=key, Body=b"1")
    s3.copy_object(Bucket="data", Key="copy", CopySource={"Bucket": "data", "Key": key})
    assert s3.get_object(Bucket="data", Key="copy")["Body"].read() == b"1"


def test_an_unchanged_object_is_told_with_its_etag(s3):
    etag = s3.put_object(Bucket="data", Key="x", Body=b"1")["ETag"]
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="data", Key="x", IfNoneMatch=etag)
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["etag"] == etag


def test_a_header_in_a_url_does_not_begin_another(s3):
    s3.put_object(Bucket="data", Key="x", Body=b"1")
    for value in ("a\r\nX-Injected: 1", "a\nb", "日本"):
        arguments = {"Bucket": "data", "Key": "x", "ResponseContentDisposition": value}
        assert refused(s3.get_object, **arguments) == "InvalidArgument"

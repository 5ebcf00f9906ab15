"""S3: multipart uploads."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator

from wherry.gateway.completion import check, etag_of, named_parts
from wherry.gateway.context import Call
from wherry.gateway.errors import AwsError
from wherry.gateway.http import Response
from wherry.gateway.s3_conditions import check_read, range_of, write_conditions
from wherry.gateway.s3_objects import attributes_of, copy_source, open_for, receive, small_document
from wherry.gateway.text import number_in
from wherry.gateway.xml import HEADER, document, element, elements, parse
from wherry.local.checksums import HEADERS
from wherry.local.multipart import Upload, copy
from wherry.local.objects import ObjectError, ObjectInfo

#: A completion that takes longer is answered with white space until it is done, so that no client gives up; seconds.
_PATIENCE = 5.0


def create(call: Call, bucket: str, key: str) -> Response:
    """CreateMultipartUpload."""
    call.services.buckets.folder(bucket)
    call.services.guard.may_write(call.caller, bucket)
    algorithm = call.request.headers.get("x-amz-checksum-algorithm", "").upper()
    # CRC64NVME is known of whole objects alone.
    default = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    kind = call.request.headers.get("x-amz-checksum-type", default).upper()
    attributes = dataclasses.replace(attributes_of(call), checksum_type=kind)
    upload_id = call.services.multipart.start(bucket, key, attributes)
    content = elements([("Bucket", bucket), ("Key", key), ("UploadId", upload_id)])
    headers = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)] if algorithm else []
    return document("InitiateMultipartUploadResult", content, headers)


def upload_part(call: Call, bucket: str, key: str) -> Response:
    """UploadPart; with x-amz-copy-source UploadPartCopy."""
    upload = _upload(call, bucket, key)
    number = number_in(call.query, "partNumber")
    if "x-amz-copy-source" in call.request.headers:
        return _copy_part(call, upload, number)
    with call.services.multipart.receive(upload, number) as part:
        sums = receive(call, part)
        etag = part.commit(sums)
    return Response(headers=[("ETag", f'"{etag}"'), *((HEADERS[name], value) for name, value in sums.items())])


def _copy_part(call: Call, upload: Upload, number: int) -> Response:
    bucket, key = copy_source(call)
    with open_for(call, bucket, key) as opened, call.services.multipart.receive(upload, number) as part:
        check_read(call.request.headers, opened.info, "x-amz-copy-source-")
        wanted = range_of(call.request.headers.get("x-amz-copy-source-range"), opened.info.size)
        offset, length = wanted or (0, opened.info.size)
        copy(opened.descriptor, offset, part.descriptor, 0, length)
        part.hash_content()
        etag = part.commit({})
    now = call.services.clock()
    content = elements([("LastModified", f"{now:%Y-%m-%dT%H:%M:%S}.000Z"), ("ETag", f'"{etag}"')])
    return document("CopyPartResult", content)


def complete(call: Call, bucket: str, key: str) -> Response:
    """CompleteMultipartUpload."""
    named = named_parts(parse(small_document(call, has_checksums=False)))
    headers = call.request.headers
    conditions = write_conditions(headers)
    try:
        upload = _upload(call, bucket, key)
    except ObjectError as error:
        done = _completed_before(call, bucket, key, etag_of(named)) if error.code == "NoSuchUpload" else None
        if done is None:
            raise
        return _completed(done)
    check(named, call.services.multipart.parts(upload), headers)
    wanted = [(part.number, part.etag) for part in named]
    expected = {name: headers[header] for name, header in HEADERS.items() if header in headers}
    job = _Completion(lambda: call.services.multipart.complete(upload, wanted, conditions, expected))
    if job.wait(_PATIENCE):
        return _completed(job.result())
    return Response(headers=[("Content-Type", "application/xml")], pieces=_slowly(job))


class _Completion:
    """A completion in a thread of its own."""

    def __init__(self, work: Callable[[], ObjectInfo]) -> None:
        self._work = work
        self._done = threading.Event()
        self._info: ObjectInfo | None = None
        self._error: Exception | None = None
        threading.Thread(target=self._run, name="complete").start()

    def wait(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    def result(self) -> ObjectInfo:
        if self._error:
            raise self._error
        assert self._info is not None  # noqa: S101 - set when there is no error
        return self._info

    def _run(self) -> None:
        try:
            self._info = self._work()
        except Exception as error:  # noqa: BLE001 - raised in the thread that answers
            self._error = error
        finally:
            self._done.set()


def _completed(info: ObjectInfo) -> Response:
    content = [("Location", f"/{info.bucket}/{info.key}"), ("Bucket", info.bucket), ("Key", info.key)]
    content.append(("ETag", f'"{info.etag}"'))
    content += [(f"Checksum{name}", value) for name, value in info.attributes.checksums.items()]
    if info.attributes.checksums:
        content.append(("ChecksumType", info.attributes.checksum_type))
    return document("CompleteMultipartUploadResult", elements(content))


def _slowly(job: _Completion) -> Iterator[bytes]:
    """White space until it is done, then the document, or an error under the status 200: so does S3."""
    yield HEADER.encode()
    while not job.wait(_PATIENCE):
        yield b" "
    try:
        body = _completed(job.result()).body
        assert isinstance(body, bytes)  # noqa: S101 - a document
        yield body.removeprefix(HEADER.encode())
    except Exception as caught:  # noqa: BLE001 - the status is sent: this is the last place to say so
        error = caught if isinstance(caught, AwsError | ObjectError) else AwsError("InternalError", repr(caught))
        yield f"<Error>{elements([('Code', error.code), ('Message', error.message)])}</Error>".encode()


def abort(call: Call, bucket: str, key: str) -> Response:
    """AbortMultipartUpload."""
    call.services.multipart.abort(_upload(call, bucket, key))
    return Response(status=204)


def list_parts(call: Call, bucket: str, key: str) -> Response:
    """ListParts."""
    upload = _upload(call, bucket, key)
    after, limit = number_in(call.query, "part-number-marker", 0), min(number_in(call.query, "max-parts", 1000), 1000)
    behind = [part for part in call.services.multipart.parts(upload) if part.number > after]
    page = behind[:limit]
    listed = "".join(
        "<Part>"
        + elements(
            [
                ("PartNumber", part.number),
                ("LastModified", f"{part.modified:%Y-%m-%dT%H:%M:%S}.000Z"),
                ("ETag", f'"{part.etag}"'),
                ("Size", part.size),
                *((f"Checksum{name}", value) for name, value in part.checksums.items()),
            ]
        )
        + "</Part>"
        for part in page
    )
    head = elements(
        [
            ("Bucket", bucket),
            ("Key", key),
            ("UploadId", upload.id),
            ("PartNumberMarker", after),
            ("NextPartNumberMarker", page[-1].number if page else 0),
            ("MaxParts", limit),
            ("IsTruncated", len(behind) > limit),
            ("StorageClass", "STANDARD"),
        ]
    )
    return document("ListPartsResult", head + listed)


def list_uploads(call: Call, bucket: str, key: str) -> Response:  # noqa: ARG001 - every operation has one shape
    """ListMultipartUploads, in one page."""
    uploads = call.services.multipart.uploads(bucket)
    call.services.guard.may_write(call.caller, bucket)
    prefix = call.query.get("prefix", "")
    listed = "".join(
        "<Upload>"
        + elements([("Key", upload.key), ("UploadId", upload.id), ("StorageClass", "STANDARD")])
        + element("Initiated", f"{upload.started_at:%Y-%m-%dT%H:%M:%S}.000Z")
        + "</Upload>"
        for upload in uploads
        if upload.key.startswith(prefix)
    )
    head = elements([("Bucket", bucket), ("Prefix", prefix), ("MaxUploads", 1000), ("IsTruncated", False)])
    return document("ListMultipartUploadsResult", head + listed)


def _completed_before(call: Call, bucket: str, key: str, etag: str | None) -> ObjectInfo | None:
    """The object, where it is what the upload became: a client that missed the answer asks again."""
    try:
        info = call.services.buckets.head(bucket, key)
    except ObjectError:
        return None
    return info if info.etag == etag else None


def _upload(call: Call, bucket: str, key: str) -> Upload:
    call.services.buckets.folder(bucket)
    call.services.guard.may_write(call.caller, bucket)
    return call.services.multipart.get(call.query["uploadId"], bucket, key)

"""Uploads that happen once, whatever becomes of the answers.

Each object that is written is an event, and each event may start a job: an upload that is repeated because its answer
was lost would start it twice. So each one carries a token in its metadata, by which it is known again.
"""

from __future__ import annotations

import io
import uuid
from typing import BinaryIO

from wherry.aws.client import Aws, AwsError

#: What is smaller goes in one request.
_LEAST_PART = 16 << 20
#: An upload has at most 10,000 parts.
_MOST_PARTS = 9_000
#: The name of the metadata; S3 shows it as `x-amz-meta-wherry-upload`.
_MARK = "wherry-upload"
_NO_SUCH_UPLOAD = "NoSuchUpload"


def upload(aws: Aws, bucket: str, key: str, source: BinaryIO, *, size: int | None = None) -> None:
    """Upload an object, in parts when it is large; `size` is a guess that chooses theirs. Raises AwsError."""
    token = {_MARK: str(uuid.uuid4())}
    part = max(_LEAST_PART, (size or 0) // _MOST_PARTS)
    beginning = source.read(part)

    def is_done() -> bool:
        return _has(aws, bucket, key, token)

    if len(beginning) < part:
        aws.carefully("s3", "put_object", is_done, Bucket=bucket, Key=key, Body=beginning, Metadata=token)
        return
    try:
        whole = io.BufferedReader(_Joined(beginning, source))
        aws.upload_parts(bucket, key, whole, part=part, metadata=token)
    except AwsError as error:
        # the upload was completed, its answer lost, and it was completed again
        if error.code != _NO_SUCH_UPLOAD or not is_done():
            raise


def _has(aws: Aws, bucket: str, key: str, token: dict[str, str]) -> bool:
    try:
        found = aws.call("s3", "head_object", Bucket=bucket, Key=key)
    except AwsError as error:
        if error.code in ("404", "NoSuchKey", "NotFound"):
            return False
        raise
    return bool(found.get("Metadata", {}).get(_MARK) == token[_MARK])


class _Joined(io.RawIOBase):
    """What was read of a stream already, and then the rest of it."""

    def __init__(self, beginning: bytes, rest: BinaryIO) -> None:
        self._beginning = io.BytesIO(beginning)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._beginning.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

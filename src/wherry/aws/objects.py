"""Objects in the environment's buckets."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO, NamedTuple

from wherry.aws.client import AwsError
from wherry.aws.site import Site
from wherry.aws.uploads import upload
from wherry.errors import NotFound


class Entry(NamedTuple):
    """An object, without its bytes."""

    key: str
    #: In bytes.
    size: int
    etag: str


class Objects:
    """Uploads and downloads."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def put(self, bucket: str, key: str, source: BinaryIO) -> int:
        """Upload an object; gives its size in bytes."""
        name = self._site.bucket(bucket)
        counted = _Counted(source)
        try:
            upload(self._site.aws, name, key, counted, size=_size_of(source))  # type: ignore[arg-type]  # it is read, no more
        except AwsError as error:
            raise self._meant(error, bucket, key) from None
        return counted.size

    def get(self, bucket: str, key: str) -> Iterator[bytes]:
        """Download an object."""
        try:
            yield from self._site.aws.download(self._site.bucket(bucket), key)
        except AwsError as error:
            raise self._meant(error, bucket, key) from None

    def find(self, bucket: str, keys: Sequence[str]) -> list[Entry]:
        """Those of these objects that there are, in that order; a key that ends with `/`, or none, means all below."""
        name = self._site.bucket(bucket)

        def look(key: str) -> list[Entry]:
            try:
                if not key or key.endswith("/"):
                    listed = self._site.aws.pages("s3", "list_objects_v2", "Contents", Bucket=name, Prefix=key)
                    return [Entry(one["Key"], one["Size"], one["ETag"].strip('"')) for one in listed]
                found = self._site.aws.call("s3", "head_object", Bucket=name, Key=key)
            except AwsError as error:
                if error.code in ("404", "NoSuchKey"):
                    return []
                raise self._meant(error, bucket, key) from None
            return [Entry(key, found["ContentLength"], found["ETag"].strip('"'))]

        return list(chain.from_iterable(self._site.aws.together(look, keys)))

    def _meant(self, error: AwsError, bucket: str, key: str) -> Exception:
        if error.code == "NoSuchKey":
            return NotFound(f"there is no object `{key}` in bucket `{bucket}`")
        return self._site.not_deployed() if error.code == "NoSuchBucket" else error


class _Counted:
    """A stream that counts what is read of it, and that nobody closes or winds back."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.size = 0

    def read(self, amount: int = -1) -> bytes:
        data = self._source.read(amount)
        self.size += len(data)
        return data


def _size_of(source: BinaryIO) -> int | None:
    """The size of a file, None for a pipe or what has no descriptor."""
    try:
        found = os.fstat(source.fileno())
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None

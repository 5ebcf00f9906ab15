"""Multipart uploads: parts are files in `spool/`, named in the store; completion joins them inside the kernel.

The parts are appended to the first part's file by the kernel. A completion that is cut off leaves its upload as it
was: the first part's size is in the store, and the next try cuts its file back to that.

Parts are not synced one by one: the joined object is, once, before it is acknowledged. So an upload in progress does
not outlive the machine's boot; after a power cut its client is told that there is no such upload, and begins again.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from wherry.local import places
from wherry.local.buckets import Buckets
from wherry.local.checksums import new_digest
from wherry.local.clock import from_ms, to_ms
from wherry.local.database import Row, Transaction
from wherry.local.objects import (
    ANY,
    SQL,
    Attributes,
    Conditions,
    ObjectError,
    ObjectInfo,
    load_attributes,
)
from wherry.local.spool import Spooled

#: Every part but the last has at least so many bytes (Amazon S3 User Guide, "Multipart upload limits").
SMALLEST_PART = 5 << 20
MOST_PARTS = 10_000


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A multipart upload in progress."""

    id: str
    bucket: str
    key: str
    started_at: datetime
    attributes: Attributes


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part that was received."""

    number: int
    size: int
    etag: str
    modified: datetime
    checksums: dict[str, str]


class Multipart:
    """The multipart uploads of all buckets."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._database = buckets.database
        self._home = buckets.home

    def start(self, bucket: str, key: str, attributes: Attributes) -> str:
        """Begin an upload; gives its id."""
        self._buckets.folder(bucket)
        places.check_key(key)
        upload = {
            "id": uuid.uuid4().hex,
            "bucket": bucket,
            "key": key,
            "started_ms": to_ms(self._buckets.clock()),
            "boot": boot_id(),
            "attributes": attributes.dump(),
        }
        self._database.write(lambda tx: tx.execute(SQL["add_upload"], upload))
        return str(upload["id"])

    def get(self, upload_id: str, bucket: str, key: str) -> Upload:
        """The upload; raises ObjectError NoSuchUpload."""
        with self._database.reading() as connection:
            row = connection.execute(SQL["upload"], {"id": upload_id}).fetchone()
        if row is None or (row["bucket"], row["key"], row["boot"]) != (bucket, key, boot_id()):
            raise ObjectError("NoSuchUpload", "there is no such upload: it was completed or aborted, or never begun")
        return _upload(row)

    def receive(self, upload: Upload, number: int) -> IncomingPart:
        """Begin to receive a part; raises ObjectError."""
        if not 1 <= number <= MOST_PARTS:
            raise ObjectError("InvalidArgument", f"part numbers are from 1 to {MOST_PARTS:,}")
        return IncomingPart(self._buckets, upload, number)

    def parts(self, upload: Upload) -> list[Part]:
        """The parts that were received, by number."""
        return [_part(row) for row in self._rows(upload)]

    def uploads(self, bucket: str) -> list[Upload]:
        """The uploads in progress."""
        self._buckets.folder(bucket)
        with self._database.reading() as connection:
            return [_upload(row) for row in connection.execute(SQL["uploads"], {"bucket": bucket})]

    def abort(self, upload: Upload) -> None:
        """Give an upload up and its parts with it."""
        rows = self._rows(upload)
        self._database.write(lambda tx: tx.execute(SQL["delete_upload"], {"id": upload.id}))
        self._unlink(row["file"] for row in rows)

    def complete(
        self,
        upload: Upload,
        wanted: Sequence[tuple[int, str]],
        conditions: Conditions = ANY,
        expected: Mapping[str, str] = MappingProxyType({}),
    ) -> ObjectInfo:
        """Join the parts that are wanted, (number, ETag) in order; raises ObjectError.

        `expected` are checksums of the whole, in S3's spelling, by algorithm.
        """
        rows = {row["number"]: row for row in self._rows(upload)}
        chosen = _choose(rows, wanted)
        digests = b"".join(bytes.fromhex(row["etag"]) for row in chosen)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(chosen)}"

        def also(transaction: Transaction) -> None:
            transaction.execute(SQL["delete_upload"], {"id": upload.id})

        with _Joined(self._home.spool, chosen) as joined:
            sums = _sums(upload, chosen, joined.descriptor)
            for name, value in expected.items():
                if sums.get(name) not in (None, value):
                    raise ObjectError("BadDigest", f"the {name} you gave does not match what we calculated")
            sizes = tuple(row["size"] for row in chosen)
            attributes = dataclasses.replace(upload.attributes, part_sizes=sizes, checksums=sums)
            info = self._buckets.take(
                joined, upload.bucket, upload.key, etag, attributes, conditions, "CompleteMultipartUpload", also
            )
        self._unlink(row["file"] for row in rows.values())
        return info

    def _rows(self, upload: Upload) -> list[Row]:
        with self._database.reading() as connection:
            return connection.execute(SQL["parts"], {"upload_id": upload.id}).fetchall()

    def _unlink(self, names: Iterable[str]) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._home.spool}/{name}")


class IncomingPart(Spooled):
    """A part being received. Leaving the context without `commit` discards it."""

    def __init__(self, buckets: Buckets, upload: Upload, number: int) -> None:
        super().__init__(buckets.home)
        self._buckets = buckets
        self._upload = upload
        self._number = number

    def commit(self, checksums: dict[str, str]) -> str:
        """Make it the part of its number; gives its ETag. Raises ObjectError when the upload has gone."""
        etag = self.md5().hex()
        part = {
            "upload_id": self._upload.id,
            "number": self._number,
            "size": self.size,
            "etag": etag,
            "modified_ms": to_ms(self._buckets.clock()),
            "checksums": json.dumps(checksums),
            "file": self.name,
        }

        def work(transaction: Transaction) -> str | None:
            if transaction.execute(SQL["upload"], {"id": self._upload.id}).fetchone() is None:
                raise ObjectError("NoSuchUpload", "the upload was completed or aborted meanwhile")
            rows = transaction.execute(SQL["parts"], {"upload_id": self._upload.id}).fetchall()
            before = next((row["file"] for row in rows if row["number"] == self._number), None)
            transaction.execute(SQL["put_part"], part)
            transaction.after_commit(self.take)
            return before

        before = self._buckets.database.write(work)
        if before:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._buckets.home.spool}/{before}")
        return etag


class _Joined(Spooled):
    """The first part's file with the other parts behind it."""

    def __init__(self, spool: str, parts: Sequence[Row]) -> None:
        self.taken = True
        self.name = parts[0]["file"]
        self.path = f"{spool}/{self.name}"
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        os.ftruncate(self.descriptor, parts[0]["size"])
        end = parts[0]["size"]
        for part in parts[1:]:
            source = os.open(f"{spool}/{part['file']}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                copy(source, 0, self.descriptor, end, part["size"])
            finally:
                os.close(source)
            end += part["size"]


def copy(source: int, offset: int, target: int, place: int, size: int) -> None:
    """Copy bytes between files inside the kernel; shares them where the file system can."""
    while size:
        done = os.copy_file_range(source, target, size, offset, place)
        if done == 0:
            raise ObjectError("InternalError", "a file became shorter while it was copied")
        offset, place, size = offset + done, place + done, size - done


@functools.cache
def boot_id() -> str:
    """Names the machine's present boot; empty where the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _choose(rows: dict[int, Row], wanted: Sequence[tuple[int, str]]) -> list[Row]:
    numbers = [number for number, _ in wanted]
    if not wanted:
        raise ObjectError("MalformedXML", "name at least one part")
    if numbers != sorted(set(numbers)):
        raise ObjectError("InvalidPartOrder", "the parts were not in ascending order")
    for number, etag in wanted:
        if number not in rows or rows[number]["etag"] != etag.strip('"'):
            raise ObjectError("InvalidPart", f"part {number} was not received, or its ETag is another one")
    chosen = [rows[number] for number in numbers]
    small = next((row for row in chosen[:-1] if row["size"] < SMALLEST_PART), None)
    if small:
        raise ObjectError("EntityTooSmall", f"part {small['number']} has fewer than 5 MiB and is not the last one")
    return chosen


def _sums(upload: Upload, rows: Sequence[Row], descriptor: int) -> dict[str, str]:
    """The checksums of the whole, for the algorithms that all its parts have."""
    parts = [json.loads(row["checksums"]) for row in rows]
    names = set(parts[0]).intersection(*parts[1:])
    if upload.attributes.checksum_type == "FULL_OBJECT":
        return {name: _whole(name, descriptor) for name in names}
    return {name: _composite(name, [part[name] for part in parts]) for name in names}


def _composite(name: str, sums: Sequence[str]) -> str:
    """The checksum of the parts' checksums: `BASE64-COUNT`."""
    digest = new_digest(name)
    for value in sums:
        digest.update(base64.b64decode(value))
    return f"{base64.b64encode(digest.digest()).decode()}-{len(sums)}"


def _whole(name: str, descriptor: int) -> str:
    """The checksum of a file's content."""
    digest, offset = new_digest(name), 0
    while chunk := os.pread(descriptor, 1 << 20, offset):
        digest.update(chunk)
        offset += len(chunk)
    return base64.b64encode(digest.digest()).decode()


def _upload(row: Row) -> Upload:
    return Upload(
        id=row["id"],
        bucket=row["bucket"],
        key=row["key"],
        started_at=from_ms(row["started_ms"]),
        attributes=load_attributes(row["attributes"]),
    )


def _part(row: Row) -> Part:
    return Part(
        number=row["number"],
        size=row["size"],
        etag=row["etag"],
        modified=from_ms(row["modified_ms"]),
        checksums=json.loads(row["checksums"]),
    )

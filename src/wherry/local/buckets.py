"""Buckets as plain folders: objects received, read, listed, copied and deleted; durable, atomic, never held in memory.

The order that makes a put safe: the bytes are on disk in `spool/` -> one transaction writes the object's row (naming the
spooled file) and announces it -> the file is renamed to its place. The commit is the moment the object exists; a
reader that finds the row ahead of the rename reads the spooled file, and a restart finishes renames that a crash cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType

from wherry.local.clock import Clock
from wherry.local.database import Database, Transaction
from wherry.local.home import Home
from wherry.model import Event


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """What a client said of an object, and what is known of its content."""

    content_type: str = "binary/octet-stream"
    #: Cache-Control, Content-Disposition, Content-Encoding, Content-Language, Expires: lower-case header -> value.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: User metadata: lower-case name without `x-amz-meta-` -> value.
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: Algorithm (`CRC32`, `SHA256` ...) -> Base64 value, as S3 writes it.
    checksums: Mapping[str, str] = field(default_factory=dict)
    #: `FULL_OBJECT` or `COMPOSITE`.
    checksum_type: str = "FULL_OBJECT"
    #: Sizes of the parts of a multipart upload, in order; empty for a plain put.
    part_sizes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """One object, without its content."""

    bucket: str
    key: str
    size: int
    #: Without quotes: the MD5 of the content, or `MD5-of-MD5s-N` of a multipart upload.
    etag: str
    modified: datetime
    sequencer: str
    attributes: Attributes = Attributes()


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """When a write may happen (S3 User Guide, "Conditional writes")."""

    #: Only if there is no object of that key.
    if_none_match: bool = False
    #: Only if the object has this ETag.
    if_match: str | None = None


class OpenObject:
    """An object open for reading; a context manager. `descriptor` is a plain file's, fit for `os.sendfile`."""

    info: ObjectInfo
    descriptor: int

    def __enter__(self) -> OpenObject:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError


class Incoming:
    """An object (or part) being received into `spool/`; hashes as it writes. Leaving the context without `commit` discards it."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        raise NotImplementedError

    def md5(self) -> bytes:
        """The MD5 of what was written so far."""
        raise NotImplementedError

    def commit(self, attributes: Attributes, conditions: Conditions = Conditions()) -> ObjectInfo:
        """Make it the object, durably; raises PreconditionFailed. Announces `Object Created` to the bus."""
        raise NotImplementedError

    def __enter__(self) -> Incoming:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError


#: Called inside the transaction that creates or deletes an object, with the event that says so.
Announce = Callable[[Transaction, Event], None]


class Buckets:
    """All buckets of one environment."""

    def __init__(self, home: Home, database: Database, names: Iterator[str], clock: Clock, announce: Announce) -> None:
        raise NotImplementedError

    def recover(self) -> None:
        """After a start: finish renames that a crash cut off, discard what was never committed."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """The buckets, sorted."""
        raise NotImplementedError

    def receive(self, bucket: str, key: str) -> Incoming:
        """Begin to receive an object; raises NoSuchBucket, KeyTooLong, InvalidKey."""
        raise NotImplementedError

    def open(self, bucket: str, key: str) -> OpenObject:
        """Open an object; raises NoSuchKey."""
        raise NotImplementedError

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """What is known of an object; raises NoSuchKey."""
        raise NotImplementedError

    def listing(self, bucket: str, *, prefix: str = "", after: str = "", limit: int = 1000) -> list[ObjectInfo]:
        """Up to `limit` objects whose key starts with `prefix` and sorts after `after`, in S3's (UTF-8 byte) order."""
        raise NotImplementedError

    def delete(self, bucket: str, key: str) -> bool:
        """Delete an object; False when there was none (which is no error). Announces `Object Deleted`."""
        raise NotImplementedError

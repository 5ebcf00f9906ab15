"""Records of objects, and their index in the store."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wherry.errors import UserError
from wherry.local.clock import from_ms
from wherry.local.database import Row, load_sql

SQL = load_sql("objects")


class ObjectError(UserError):
    """S3 would refuse this; `code` is S3's name for it (Amazon S3 API Reference, "Error responses")."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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

    def dump(self) -> str:
        """As the store keeps it: what differs from the defaults."""
        return _DEFAULT_TEXT if self == _DEFAULT else json.dumps(dataclasses.asdict(self), separators=(",", ":"))


_DEFAULT = Attributes()
_DEFAULT_TEXT = "{}"


def load_attributes(text: str) -> Attributes:
    """What `dump` wrote."""
    if text == _DEFAULT_TEXT:
        return _DEFAULT
    values = json.loads(text)
    return Attributes(**{**values, "part_sizes": tuple(values["part_sizes"])})


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
    attributes: Attributes = _DEFAULT


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """When a write may happen (Amazon S3 User Guide, "Conditional writes")."""

    #: Only if there is no object of that key.
    if_none_match: bool = False
    #: Only if the object has this ETag.
    if_match: str | None = None

    def check(self, row: Row | None, key: str) -> None:
        """Raise PreconditionFailed, or NoSuchKey where S3 does."""
        if self.if_none_match and row is not None:
            raise ObjectError("PreconditionFailed", f"there is an object `{key}` already")
        if self.if_match is not None:
            if row is None:
                raise ObjectError("NoSuchKey", f"there is no object `{key}`")
            if row["etag"] != self.if_match:
                raise ObjectError("PreconditionFailed", f"the object `{key}` has another ETag")


ANY = Conditions()


def info_of(row: Row) -> ObjectInfo:
    """The object that a row describes."""
    return ObjectInfo(
        bucket=row["bucket"],
        key=row["key"],
        size=row["size"],
        etag=row["etag"],
        modified=from_ms(row["modified_ns"] // 1_000_000),
        sequencer=row["sequencer"],
        attributes=load_attributes(row["attributes"]),
    )


def describes(row: Row, stat: os.stat_result) -> bool:
    """True when the row was made for this very file, and nobody changed the file since."""
    return bool(row["inode"] == stat.st_ino and row["size"] == stat.st_size and row["modified_ns"] == stat.st_mtime_ns)


def sequencer_after(row: Row | None) -> str:
    """A sequencer that sorts after the one of the object's last version, whatever the clock does."""
    previous = int(row["sequencer"], 16) if row else 0
    return f"{max(time.time_ns(), previous + 1):018X}"


def upper_bound(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`, None when there is none; in UTF-8's order."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if code == 0xD800:
            code = 0xE000  # surrogates are no characters
        if code <= 0x10FFFF:
            return prefix[:-1] + chr(code)
        prefix = prefix[:-1]
    return None

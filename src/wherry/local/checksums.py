"""The checksums that S3 keeps of an object (Amazon S3 User Guide, "Checking object integrity")."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Protocol

from wherry.local.objects import ObjectError

#: Algorithm -> what S3 calls its header.
HEADERS = {name: f"x-amz-checksum-{name.lower()}" for name in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")}


class Digest(Protocol):
    """What hashlib's objects do."""

    def update(self, data: bytes, /) -> object:
        """Add bytes."""
        ...

    def digest(self) -> bytes:
        """The result."""
        ...


class _Crc:
    """A CRC as a Digest: `function(data, previous)` and its width in bytes."""

    def __init__(self, function: Callable[[bytes, int], int], width: int) -> None:
        self._function = function
        self._width = width
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


def new_digest(algorithm: str) -> Digest:
    """A digest of one of S3's algorithms; raises ObjectError for another."""
    match algorithm:
        case "CRC32":
            return _Crc(zlib.crc32, 4)
        case "SHA1":
            return hashlib.sha1(usedforsecurity=False)
        case "SHA256":
            return hashlib.sha256()
        case "CRC32C" | "CRC64NVME":
            from awscrt import checksums  # Python has neither, and few clients ask

            return _Crc(checksums.crc32c, 4) if algorithm == "CRC32C" else _Crc(checksums.crc64nvme, 8)
    raise ObjectError("InvalidRequest", f"the checksum algorithm {algorithm} is not known")

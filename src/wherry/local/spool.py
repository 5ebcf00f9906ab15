"""Files while they are being received: in `spool/`, hashed as they are written, gone when nobody takes them."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from types import TracebackType
from typing import Self

from wherry.local.home import Home

_CHUNK = 1 << 20
_numbers = itertools.count()


class Spooled:
    """A file being received into `spool/`; a context manager that discards what was not taken."""

    def __init__(self, home: Home) -> None:
        # The pid tells a restart whether somebody is still writing it.
        self.name = f"{os.getpid()}-{next(_numbers)}-{os.urandom(4).hex()}"
        self.path = f"{home.spool}/{self.name}"
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0
        #: True from the moment that the store names the file: then it is not ours to discard.
        self.taken = False

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self._md5.update(data)
        self.size += len(data)
        while data:
            written = os.write(self.descriptor, data)
            if written == len(data):
                return
            data = memoryview(data)[written:]

    def md5(self) -> bytes:
        """The MD5 of what was written so far."""
        return self._md5.digest()

    def hash_content(self) -> None:
        """Take the sums of what is in the file, of one that was filled without `write`."""
        self._md5 = md5_of(self.descriptor)
        self.size = os.fstat(self.descriptor).st_size

    def sync(self) -> os.stat_result:
        """Bring it to the disk; gives its stat."""
        os.fdatasync(self.descriptor)
        return os.fstat(self.descriptor)

    def take(self) -> None:
        """From now on the store names the file."""
        self.taken = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)
        if not self.taken:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


def md5_of(descriptor: int) -> hashlib._Hash:
    """The MD5 of a file's content."""
    digest = hashlib.md5(usedforsecurity=False)
    offset = 0
    while chunk := os.pread(descriptor, _CHUNK, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest


def is_being_written(name: str) -> bool:
    """True while the process that spools a file of that name lives."""
    pid = name.partition("-")[0]
    return pid.isdigit() and os.path.exists(f"/proc/{pid}")

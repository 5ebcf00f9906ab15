"""The files that an image is built of: what `.dockerignore` leaves, with a sum that says whether they have changed."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import re
import stat
import tarfile
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

#: Never part of an image: the local environment's own folder, which changes with every run.
_NEVER = (".wherry",)
#: What the files in an image say of their age. Not 1970: zip files, and so wheels, begin with 1980.
_TIME = 946_684_800
_CHUNK = 1 << 20


class Entry(NamedTuple):
    """One file, folder or symbolic link of a context."""

    #: Relative to the context, with slashes.
    path: str
    full: str
    stat: os.stat_result


def entries(folder: str, ignore: Sequence[str]) -> list[Entry]:
    """What a folder's context holds, by path; `ignore` are the lines of a .dockerignore."""
    rules = [*_rules(ignore), *_rules(_NEVER)]
    return sorted(_walk(folder, "", rules), key=lambda entry: entry.path)


def _walk(folder: str, base: str, rules: Sequence[tuple[re.Pattern[str], bool]]) -> Iterator[Entry]:
    has_exceptions = any(not is_ignored for _, is_ignored in rules)
    with os.scandir(os.path.join(folder, base)) as found:
        for one in found:
            path = f"{base}{one.name}"
            status = one.stat(follow_symlinks=False)
            is_folder = stat.S_ISDIR(status.st_mode)
            is_wanted = not _is_ignored(path, rules)
            if is_wanted and (is_folder or stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
                yield Entry(path, one.path, status)
            if is_folder and one.name not in _NEVER and (is_wanted or has_exceptions):
                yield from _walk(folder, f"{path}/", rules)


def _rules(lines: Sequence[str]) -> Iterator[tuple[re.Pattern[str], bool]]:
    """(what a line matches, whether it is left out), in order."""
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        is_ignored = not text.startswith("!")
        pattern = os.path.normpath(text.removeprefix("!").strip()).strip("/")
        if pattern and pattern != ".":
            yield re.compile(_regex(pattern) + r"(?:/.*)?", re.DOTALL), is_ignored


def _is_ignored(path: str, rules: Sequence[tuple[re.Pattern[str], bool]]) -> bool:
    """The last rule that matches a path, or a folder above it, decides."""
    return next((is_ignored for pattern, is_ignored in reversed(rules) if pattern.fullmatch(path)), False)


#: Go's `filepath.Match`, and `**` for any number of folders.
_PIECES = re.compile(r"(\*\*/)|(\*\*)|(\*)|(\?)|(\[\^?[^\]]+\])|\\(.)|(.)", re.DOTALL)


def _regex(pattern: str) -> str:
    text = ""
    for folders, anything, star, mark, characters, escaped, plain in _PIECES.findall(pattern):
        if folders:
            text += "(?:.*/)?"
        elif anything:
            text += ".*"
        elif star:
            text += "[^/]*"
        elif mark:
            text += "[^/]"
        else:
            text += characters or re.escape(escaped or plain)
    return text


def checksum(found: Sequence[Entry]) -> str:
    """A sum over names, contents and who may execute them; not over times, owners and other rights."""
    total = hashlib.sha256()
    for entry in found:
        total.update(f"{_mode(entry):o} {entry.path}\0{_content(entry)}\0".encode(errors="surrogateescape"))
    return total.hexdigest()


def pack(found: Sequence[Entry], extra: dict[str, bytes], into: IO[bytes], *, executable: Sequence[str] = ()) -> None:
    """Write a context as a tar file, the same for the same sources; `extra` are files that are not in the folder."""
    with tarfile.open(fileobj=into, mode="w") as tar:
        for name, content in extra.items():
            mode = 0o755 if name in executable else 0o644
            tar.addfile(_header(name, size=len(content), mode=mode), io.BytesIO(content))
        for entry in found:
            header = _header(entry.path, mode=_mode(entry) & 0o777)
            if stat.S_ISDIR(entry.stat.st_mode):
                header.type = tarfile.DIRTYPE
                tar.addfile(header)
            elif stat.S_ISLNK(entry.stat.st_mode):
                header.type, header.linkname = tarfile.SYMTYPE, os.readlink(entry.full)
                tar.addfile(header)
            else:
                with open(entry.full, "rb") as file:
                    header.size = os.fstat(file.fileno()).st_size
                    tar.addfile(header, file)
    into.seek(0)


def unpack(packed: IO[bytes], into: str) -> None:
    """Make a folder of a context that was packed here."""
    with tarfile.open(fileobj=packed) as tar:
        tar.extractall(into, filter="tar")


def _header(name: str, *, size: int = 0, mode: int = 0o644) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode, header.mtime = size, mode, _TIME
    return header


def _mode(entry: Entry) -> int:
    """Its kind, and whether it may be executed: what git keeps, too."""
    mode = entry.stat.st_mode
    return stat.S_IFMT(mode) | (0o755 if mode & 0o100 or stat.S_ISDIR(mode) else 0o644)


def _content(entry: Entry) -> str:
    status = entry.stat
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(entry.full)
    if stat.S_ISDIR(status.st_mode):
        return ""
    return _digest(entry.full, (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino))


@functools.lru_cache(maxsize=50_000)
def _digest(path: str, stamp: tuple[int, ...]) -> str:  # noqa: ARG001 - a file with another stamp is read again
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()

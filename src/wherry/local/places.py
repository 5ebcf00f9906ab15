"""Where an object's file is: at its key's own path, or, where that cannot be, among the kept ones.

A key is any text; a path is not. `../x`, `a//b`, `folder/`, a name of more than 255 bytes, or `a` beside `a/b` cannot
be files of their own name; they are kept under `kept/BUCKET/`, named by the SHA-256 of their key. No key ever leads out
of its bucket's folder, also not through a symbolic link.
"""

from __future__ import annotations

import hashlib
import os
import stat

from wherry.local.objects import ObjectError

#: S3's limit, in bytes of UTF-8.
LONGEST_KEY = 1024
_LONGEST_NAME = 255


def check_key(key: str) -> None:
    """Raise ObjectError for what S3 would not take as a key."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ObjectError("InvalidURI", "the key is not valid UTF-8") from None
    if size > LONGEST_KEY:
        raise ObjectError("KeyTooLongError", f"the key has {size} bytes, and 1,024 is the most")
    if size == 0:
        raise ObjectError("InvalidRequest", "the key is empty")


def can_be_path(key: str, *, exact: bool) -> bool:
    """True when the key, as a relative path, names a file of just that name.

    Where the file system does not hold names exactly, only keys without capitals and accents do.
    """
    if "\0" in key or not (exact or (key.isascii() and key == key.lower())):
        return False
    return all(part not in ("", ".", "..") and len(part.encode()) <= _LONGEST_NAME for part in key.split("/"))


def holds_names_exactly(folder: str) -> bool:
    """False on a file system for which `a` and `A` are one file; `folder` is one of ours, with a small name in it."""
    return not os.path.exists(f"{folder}/BUCKETS")


def kept_place(bucket: str, key: str) -> str:
    """The kept place of a key, relative to the home."""
    return f"kept/{bucket}/{hashlib.sha256(key.encode()).hexdigest()}"


def leads_through_link(folder: str, key: str) -> bool:
    """True when a folder on the way to the key is a symbolic link."""
    path = folder
    for part in key.split("/")[:-1]:
        path = f"{path}/{part}"
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                return True
        except OSError:
            return False
    return False


def is_unfinished(name: str) -> bool:
    """True for names under which programs keep files they have not finished; not an upload until renamed."""
    return name.startswith(".") or name.endswith(("~", ".part", ".partial", ".crdownload", ".swp", ".tmp"))

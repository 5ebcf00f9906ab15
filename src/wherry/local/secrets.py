"""Secrets as files: `.wherry/secrets/NAME`, readable by their owner alone. On AWS they live in Secrets Manager."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from wherry.errors import NotFound, UserError

#: Secrets Manager's limit for a name, in characters.
_LONGEST_NAME = 512
#: Secrets Manager's limit for a value, in bytes (Secrets Manager User Guide, "Quotas").
_LARGEST_VALUE = 65_536


@dataclass(frozen=True, kw_only=True)
class SecretInfo:
    """A secret, without its value."""

    name: str
    changed_at: datetime


class Secrets:
    """The secrets of one local environment."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        """The value, or None when there is no such secret."""
        try:
            with open(self._path(name), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def info(self, name: str) -> SecretInfo | None:
        """What is known of a secret but its value, or None."""
        try:
            changed = os.stat(self._path(name)).st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None
        return SecretInfo(name=name, changed_at=datetime.fromtimestamp(changed, UTC))

    def set(self, name: str, value: bytes) -> None:
        """Set or replace a secret, at once and durably; raises UserError for a bad name or a value over 64 KiB."""
        if (
            not name
            or len(name) > _LONGEST_NAME
            or any(not (c.isascii() and (c.isalnum() or c in "/_+=.@-")) for c in name)
        ):
            raise UserError(
                f"`{name}` cannot be a secret's name", hint="use letters, digits and /_+=.@- (Secrets Manager's rule)"
            )
        if len(value) > _LARGEST_VALUE:
            raise UserError(f"the value has {len(value):,} bytes, and Secrets Manager holds 65,536 at most")
        path = self._path(name)
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        aside = f"{path}.{os.getpid()}~"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(value)
            file.flush()
            os.fsync(descriptor)
        os.replace(aside, path)

    def remove(self, name: str) -> None:
        """Remove a secret; raises NotFound."""
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            raise NotFound(f"there is no secret `{name}`", hint="`wherry secrets ls` lists them") from None

    def listing(self) -> list[SecretInfo]:
        """All secrets, by name."""
        names = []
        with contextlib.suppress(FileNotFoundError):
            names = [unquote(entry) for entry in os.listdir(self._folder) if not entry.endswith("~")]
        return [info for name in sorted(names) if (info := self.info(name))]

    def _path(self, name: str) -> str:
        # One flat file a secret, whatever slashes and dots its name has.
        return os.path.join(self._folder, quote(name, safe="").replace(".", "%2E"))

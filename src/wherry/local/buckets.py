"""Buckets as plain folders: objects received, read, listed and deleted; durable, atomic, never held in memory.

What makes a put safe. The bytes are on disk in `spool/` (fdatasync) before anything else. Then a transaction writes
the object's row, which names the spooled file, and announces it: its commit is the moment the object exists, and what
the client is told. Then the file is renamed to its place, by whoever holds SQLite's write lock and only while the row
still names it, so that of two processes that put the same key the later row always has its file. A reader that comes
between commit and rename reads the spooled file; a restart does the renames that a crash cut off or a power cut undid.
A put costs two fsyncs: the file's, and the commit that it shares with others.

A file that its row does not describe (inode, size, time) was changed by hand. Whoever finds it first, a reader or the
watcher, adopts it: its row is made anew, and it is announced like any upload.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Self

from wherry.local import places
from wherry.local.clock import Clock
from wherry.local.database import Database, Row, Transaction
from wherry.local.home import Home
from wherry.local.notices import created, deleted
from wherry.local.objects import (
    ANY,
    SQL,
    Attributes,
    Conditions,
    ObjectError,
    ObjectInfo,
    describes,
    info_of,
    sequencer_after,
    upper_bound,
)
from wherry.local.spool import Spooled, is_being_written, md5_of
from wherry.model import Event

#: Called inside the transaction that creates or deletes an object, with the event that says so.
Announce = Callable[[Transaction, Event], None]

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class OpenObject:
    """An object open for reading; a context manager. `descriptor` is a plain file's, fit for `os.sendfile`."""

    def __init__(self, info: ObjectInfo, descriptor: int) -> None:
        self.info = info
        self.descriptor = descriptor

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Incoming(Spooled):
    """An object being received. Leaving the context without `commit` discards it."""

    def __init__(self, buckets: Buckets, bucket: str, key: str) -> None:
        super().__init__(buckets.home)
        self._buckets = buckets
        self._bucket = bucket
        self._key = key

    def commit(self, attributes: Attributes, conditions: Conditions = ANY, reason: str = "PutObject") -> ObjectInfo:
        """Make it the object, durably; raises ObjectError PreconditionFailed. Announces `Object Created`."""
        return self._buckets.take(self, self._bucket, self._key, self.md5().hex(), attributes, conditions, reason)


class Buckets:
    """All buckets of one environment; safe to share between threads and processes."""

    def __init__(self, home: Home, database: Database, names: Iterable[str], clock: Clock, announce: Announce) -> None:
        self.home = home
        self.database = database
        self.clock = clock
        self._announce = announce
        self._folders: dict[str, str] = {}
        self.declare(names)
        self._exact = places.holds_names_exactly(home.root)

    def declare(self, names: Iterable[str]) -> None:
        """Say which buckets there are; their folders are made. What is declared no more keeps its folder."""
        folders = {name: f"{self.home.buckets}/{name}" for name in names}
        for folder in folders.values():
            os.makedirs(folder, exist_ok=True)
        self._folders = folders

    def names(self) -> list[str]:
        """The buckets, sorted."""
        return sorted(self._folders)

    def folder(self, bucket: str) -> str:
        """The bucket's folder; raises ObjectError NoSuchBucket."""
        try:
            return self._folders[bucket]
        except KeyError:
            known = ", ".join(f"`{name}`" for name in self.names()) or "none"
            raise ObjectError(
                "NoSuchBucket",
                f"the job file has no bucket `{bucket}` (it has {known}): add `{bucket}: {{}}` to `buckets`",
            ) from None

    def receive(self, bucket: str, key: str) -> Incoming:
        """Begin to receive an object; raises ObjectError."""
        self.folder(bucket)
        places.check_key(key)
        return Incoming(self, bucket, key)

    def take(
        self,
        spooled: Spooled,
        bucket: str,
        key: str,
        etag: str,
        attributes: Attributes,
        conditions: Conditions,
        reason: str,
        also: Callable[[Transaction], object] = lambda _: None,
    ) -> ObjectInfo:
        """Make a spooled file the object; `also` joins the transaction."""
        found = spooled.sync()

        def work(transaction: Transaction) -> Row:
            # Before all others: whatever goes wrong in one of them, the store names the file then.
            transaction.after_commit(spooled.take)
            before = self._row_within(transaction, bucket, key)
            conditions.check(before, key)
            place = before["place"] if before else None
            new = {"place": place, "spooled": spooled.name, "etag": etag, "attributes": attributes.dump()}
            row = self._write(transaction, bucket, key, found, before, new)
            also(transaction)
            self._announce(transaction, created(info_of(row), reason, self.clock()))
            return row

        row = self.database.write(work)
        self.database.write(partial(self._move_in, spooled.name, bucket, key))
        return info_of(row)

    def open(self, bucket: str, key: str) -> OpenObject:
        """Open an object; raises ObjectError NoSuchKey."""
        folder = self.folder(bucket)
        places.check_key(key)
        row = self.row(bucket, key)
        if row is None and (not self._can_be_path(key) or not os.path.lexists(f"{folder}/{key}")):
            raise _no_such_key(bucket, key)
        descriptor = self._open_described(row) if row is not None else None
        while row is None or descriptor is None:
            # Either a put or a hand was quicker, or the file is a new one.
            if self.adopt(bucket, key) is None:
                raise _no_such_key(bucket, key)
            row = self.row(bucket, key)
            descriptor = self._open_described(row) if row is not None else None
        return OpenObject(info_of(row), descriptor)

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """What is known of an object; raises ObjectError NoSuchKey."""
        with self.open(bucket, key) as opened:
            return opened.info

    def listing(self, bucket: str, *, prefix: str = "", after: str = "", limit: int = 1000) -> list[ObjectInfo]:
        """Up to `limit` objects whose key starts with `prefix` and sorts after `after`, in S3's (UTF-8 byte) order."""
        self.folder(bucket)
        bounds = {
            "bucket": bucket,
            "first": max(prefix, after),
            "after": after,
            "last": upper_bound(prefix),
            "limit": limit,
        }
        with self.database.reading() as connection:
            return [info_of(row) for row in connection.execute(SQL["page"], bounds)]

    def delete(self, bucket: str, *keys: str) -> None:
        """Delete objects, durably; those that do not exist are no error. Announces `Object Deleted`."""
        self.folder(bucket)

        def work(transaction: Transaction) -> None:
            folders = {self._remove(transaction, bucket, key) for key in keys}
            for folder in filter(None, folders):
                _sync_folder(folder)

        self.database.write(work)

    def adopt(self, bucket: str, key: str) -> ObjectInfo | None:
        """Bring the row of an object in line with its file, which was changed by hand; None when the file is gone.

        First all writers before us are waited for: then a difference is no put in progress.
        """
        row = self.database.write(lambda transaction: self._row_within(transaction, bucket, key))
        if row is not None:
            descriptor = self._open_described(row)
            if descriptor is not None:
                os.close(descriptor)
                return info_of(row)
        place = row["place"] if row is not None else None
        descriptor = self._open_file(bucket, key, place)
        if descriptor is None and place is not None:
            place, descriptor = None, self._open_file(bucket, key, None)
        if descriptor is None:
            if row is not None:
                self.delete(bucket, key)
            return None
        try:
            return self._adopt_file(bucket, key, place, descriptor)
        finally:
            os.close(descriptor)

    def _adopt_file(self, bucket: str, key: str, place: str | None, descriptor: int) -> ObjectInfo:
        """Make the row of a file; its sum is taken before anybody is kept waiting."""
        while True:
            found = os.fstat(descriptor)
            etag = md5_of(descriptor).hexdigest()
            if os.fstat(descriptor).st_mtime_ns == found.st_mtime_ns:
                break  # nobody wrote into it meanwhile

        def work(transaction: Transaction) -> Row:
            present = self._row_within(transaction, bucket, key)
            if present is not None and (describes(present, found) or self._is_spooled(present)):
                return present
            new = {"place": place, "spooled": None, "etag": etag, "attributes": Attributes().dump()}
            made = self._write(transaction, bucket, key, found, present, new)
            self._announce(transaction, created(info_of(made), "PutObject", self.clock()))
            return made

        return info_of(self.database.write(work))

    def known(self, bucket: str) -> dict[str, Row]:
        """The rows of a bucket by key; for comparing them with the folder."""
        with self.database.reading() as connection:
            return {row["key"]: row for row in connection.execute(SQL["all"], {"bucket": bucket})}

    def row(self, bucket: str, key: str) -> Row | None:
        """The row of an object, or None."""
        with self.database.reading() as connection:
            row: Row | None = connection.execute(SQL["get"], {"bucket": bucket, "key": key}).fetchone()
        return row

    def recover(self) -> None:
        """After a start: redo renames that a power cut undid, discard what was never taken."""
        for name in os.listdir(self.home.spool):
            self.database.write(partial(self._recover, name))

    def _recover(self, name: str, transaction: Transaction) -> None:
        row = transaction.execute(SQL["of_spooled"], {"spooled": name}).fetchone()
        if row is not None:
            self._move_in(name, row["bucket"], row["key"], transaction)
        elif not transaction.execute(SQL["part_file"], {"file": name}).fetchone() and not is_being_written(name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.home.spool}/{name}")

    def _can_be_path(self, key: str) -> bool:
        return places.can_be_path(key, exact=self._exact)

    def _row_within(self, transaction: Transaction, bucket: str, key: str) -> Row | None:
        row: Row | None = transaction.execute(SQL["get"], {"bucket": bucket, "key": key}).fetchone()
        return row

    def _write(
        self,
        transaction: Transaction,
        bucket: str,
        key: str,
        found: os.stat_result,
        before: Row | None,
        new: dict[str, str | None],
    ) -> Row:
        """Write the row of a file; gives it as it then is."""
        values = {
            "bucket": bucket,
            "key": key,
            "size": found.st_size,
            "modified_ns": found.st_mtime_ns,
            "inode": found.st_ino,
            "sequencer": sequencer_after(before),
            **new,
        }
        transaction.execute(SQL["put"], values)
        row = self._row_within(transaction, bucket, key)
        assert row is not None  # noqa: S101 - it was written a line before
        return row

    def _move_in(self, name: str, bucket: str, key: str, transaction: Transaction) -> None:
        """Rename a spooled file to its object's place, or discard it when it is the object no more; alone."""
        row = self._row_within(transaction, bucket, key)
        if row is None or row["spooled"] != name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.home.spool}/{name}")
            return
        if not os.path.lexists(f"{self.home.spool}/{name}"):
            return  # it was moved already, by its own put while a starting engine looked after it too
        place = self._place_file(f"{self.home.spool}/{name}", bucket, key)
        if place != row["place"]:
            if row["place"] is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{self.home.root}/{row['place']}")
            transaction.execute(SQL["set_place"], {"bucket": bucket, "key": key, "place": place})

    def _place_file(self, path: str, bucket: str, key: str) -> str | None:
        """Rename a file to the key's own path, else to the kept place; gives the place, None for the plain one."""
        folder = f"{self.home.buckets}/{bucket}"
        if self._can_be_path(key) and not ("/" in key and places.leads_through_link(folder, key)):
            target = f"{folder}/{key}"
            # Refused for `a` beside `a/b`, and for a name that this file system cannot hold.
            with contextlib.suppress(OSError):
                try:
                    os.rename(path, target)
                except FileNotFoundError:
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    os.rename(path, target)
                return None
        place = places.kept_place(bucket, key)
        os.makedirs(f"{self.home.kept}/{bucket}", exist_ok=True)
        os.rename(path, f"{self.home.root}/{place}")
        return place

    def _remove(self, transaction: Transaction, bucket: str, key: str) -> str | None:
        """Remove an object's file and row; gives the folder to be synced, None when there was nothing."""
        row = self._row_within(transaction, bucket, key)
        if row is None and not self._can_be_path(key):
            return None
        path = self._path(bucket, key, row["place"] if row else None)
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            if row is None:
                return None
        if row is not None:
            if row["spooled"]:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{self.home.spool}/{row['spooled']}")
            transaction.execute(SQL["delete"], {"bucket": bucket, "key": key})
            self._announce(transaction, deleted(info_of(row), self.clock()))
        return self._remove_empty_parents(bucket, path)

    def _remove_empty_parents(self, bucket: str, path: str) -> str:
        root = self.folder(bucket)
        parent = os.path.dirname(path)
        while parent.startswith(f"{root}/"):
            try:
                os.rmdir(parent)
            except FileNotFoundError:
                pass
            except OSError:
                break
            parent = os.path.dirname(parent)
        return parent

    def _path(self, bucket: str, key: str, place: str | None) -> str:
        return f"{self.home.root}/{place}" if place else f"{self._folders[bucket]}/{key}"

    def _open_described(self, row: Row) -> int | None:
        """The file that a row describes, open: at its place, or still in the spool; None when neither is it."""
        descriptor = self._open_file(row["bucket"], row["key"], row["place"])
        if descriptor is not None:
            if describes(row, os.fstat(descriptor)):
                return descriptor
            os.close(descriptor)
        if row["spooled"] is None:
            return None
        try:
            descriptor = os.open(f"{self.home.spool}/{row['spooled']}", _READ)
        except FileNotFoundError:
            return None
        if describes(row, os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)
        return None

    def _is_spooled(self, row: Row) -> bool:
        return row["spooled"] is not None and os.path.exists(f"{self.home.spool}/{row['spooled']}")

    def _open_file(self, bucket: str, key: str, place: str | None) -> int | None:
        """The file at an object's place, open; None when there is none that may be it."""
        if place is None:
            folder = self.folder(bucket)
            if not self._can_be_path(key) or ("/" in key and places.leads_through_link(folder, key)):
                return None
        try:
            descriptor = os.open(self._path(bucket, key, place), _READ)
        except OSError:
            return None
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None


def _no_such_key(bucket: str, key: str) -> ObjectError:
    return ObjectError("NoSuchKey", f"there is no object `{key}` in bucket `{bucket}`")


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

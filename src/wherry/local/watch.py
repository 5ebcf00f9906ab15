"""Sees what people do to the buckets' folders by hand: a file dropped there is an upload, one taken away is deleted.

inotify tells when a file is complete: when its writer closes it, or when it is renamed into the folder. A scan at the
start, and one now and then, finds what happened while nobody watched; what it finds must have been left alone for a
while, since a scan cannot see whether somebody still writes.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from typing import Any

from wherry.local import places
from wherry.local.buckets import Buckets
from wherry.local.objects import describes

#: A scan takes a file that was left alone for so long, in nanoseconds.
SETTLED_NS = 2_000_000_000
#: How often the folders are scanned where inotify works, and where there is none; in seconds.
SCAN_SECONDS = 300.0
SCAN_SECONDS_ALONE = 1.0


class Watcher:
    """Watches all buckets from a thread of its own."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._folders = {bucket: os.path.realpath(buckets.folder(bucket)) for bucket in buckets.names()}
        self._notifier: Any = None
        self._watched: dict[int, tuple[str, str]] = {}
        self._unsettled = False

    def start(self) -> None:
        """Look at everything once, then watch."""
        self._notifier = _notifier()
        for bucket in self._folders:
            self._watch_below(bucket, "")
        self.scan()
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()
        self._thread.join()
        if self._notifier is not None:
            self._notifier.close()

    def refresh(self) -> None:
        """Watch the buckets that there are now."""
        for bucket in self._buckets.names():
            if bucket not in self._folders:
                self._folders = {**self._folders, bucket: os.path.realpath(self._buckets.folder(bucket))}
                self._watch_below(bucket, "")
                self._unsettled = True  # scan soon

    def scan(self) -> None:
        """Compare each folder with its rows; adopt what differs."""
        self._unsettled = False
        for bucket in self._buckets.names():
            folder = self._folders.get(bucket)
            if folder is None:
                continue
            known = self._buckets.known(bucket)
            for key, found in _files(folder):
                row = known.pop(key, None)
                if row is None or (row["place"] is None and not describes(row, found)):
                    self._consider(bucket, key, found)
            for key, row in known.items():
                if row["place"] is None:
                    self._buckets.adopt(bucket, key)

    def _consider(self, bucket: str, key: str, found: os.stat_result) -> None:
        if places.is_unfinished(os.path.basename(key)):
            return
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < SETTLED_NS:
            self._unsettled = True
        else:
            self._buckets.adopt(bucket, key)

    def _run(self) -> None:
        due = time.monotonic() + self._pause()
        while not self._stopping.is_set():
            if self._notifier is None:
                self._stopping.wait(0.2)
            else:
                self._read_notices()
            if time.monotonic() >= due:
                self.scan()
                due = time.monotonic() + self._pause()
            elif self._unsettled:
                due = min(due, time.monotonic() + SCAN_SECONDS_ALONE)

    def _pause(self) -> float:
        return SCAN_SECONDS_ALONE if self._notifier is None or self._unsettled else SCAN_SECONDS

    def _read_notices(self) -> None:
        from inotify_simple import flags

        assert self._notifier is not None  # noqa: S101 - asked by the caller
        for notice in self._notifier.read(timeout=200):
            if notice.mask & flags.Q_OVERFLOW:
                self.scan()
                continue
            bucket, folder = self._watched.get(notice.wd, ("", ""))
            if not bucket or not notice.name:
                continue
            key = f"{folder}/{notice.name}" if folder else notice.name
            if notice.mask & flags.ISDIR:
                if notice.mask & (flags.CREATE | flags.MOVED_TO):
                    self._watch_below(bucket, key)
                    self._adopt_below(bucket, key)
                elif notice.mask & flags.MOVED_FROM:
                    self.scan()
            elif notice.mask & (flags.CLOSE_WRITE | flags.MOVED_TO | flags.DELETE | flags.MOVED_FROM):
                self._changed(bucket, key, gone=bool(notice.mask & (flags.DELETE | flags.MOVED_FROM)))

    def _changed(self, bucket: str, key: str, *, gone: bool) -> None:
        """A file was completed or taken away; most often by ourselves, which its row tells."""
        if not _is_text(key):
            return
        row = self._buckets.row(bucket, key)
        if gone:
            if row is not None and row["place"] is None:
                self._buckets.adopt(bucket, key)
            return
        try:
            found = os.lstat(f"{self._folders[bucket]}/{key}")
        except (OSError, ValueError):
            return
        if not stat.S_ISREG(found.st_mode) or (row is not None and describes(row, found)):
            return
        if not places.is_unfinished(os.path.basename(key)):
            self._buckets.adopt(bucket, key)

    def _watch_below(self, bucket: str, folder: str) -> None:
        """Watch a folder and all below it."""
        if self._notifier is None:
            return
        from inotify_simple import flags

        mask = (
            flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.CREATE | flags.DELETE
            | flags.ONLYDIR | flags.DONT_FOLLOW
        )  # fmt: skip
        root = self._folders[bucket]
        with contextlib.suppress(OSError):  # it is gone again
            wd = self._notifier.add_watch(f"{root}/{folder}" if folder else root, mask)
            self._watched[wd] = (bucket, folder)
            with os.scandir(f"{root}/{folder}") as entries:
                below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            for name in below:
                self._watch_below(bucket, f"{folder}/{name}" if folder else name)

    def _adopt_below(self, bucket: str, folder: str) -> None:
        """A folder came with files in it: those were complete, or their writers will close them."""
        for key, found in _files(self._folders[bucket], folder):
            row = self._buckets.row(bucket, key)
            if row is None or not describes(row, found):
                self._consider(bucket, key, found)


def _files(root: str, folder: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """(key, stat) of the plain files below a folder; links are not followed, names that are no text left out."""
    try:
        entries = list(os.scandir(f"{root}/{folder}" if folder else root))
    except OSError:
        return
    for entry in entries:
        key = f"{folder}/{entry.name}" if folder else entry.name
        if not _is_text(key):
            continue
        with contextlib.suppress(FileNotFoundError):
            if entry.is_dir(follow_symlinks=False):
                yield from _files(root, key)
            elif entry.is_file(follow_symlinks=False):
                yield key, entry.stat(follow_symlinks=False)


def _is_text(name: str) -> bool:
    try:
        return len(name.encode()) <= places.LONGEST_KEY
    except UnicodeEncodeError:
        return False


def _notifier() -> Any:
    """An INotify, or None where the system has none."""
    try:
        from inotify_simple import INotify
    except ImportError:
        return None
    return INotify()

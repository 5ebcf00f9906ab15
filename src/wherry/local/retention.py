"""Keeps the disk bounded: history that is over the limits of `keep:` goes, the oldest first. Open runs never go."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

from wherry.errors import WherryError
from wherry.ids import first_of
from wherry.local.clock import to_ms
from wherry.local.database import Transaction, load_sql
from wherry.local.home import Home
from wherry.local.workspace import Workspace
from wherry.model import Keep
from wherry.target import DiskUse

#: How often, in seconds.
_PERIOD = 3600.0
#: Runs of one transaction.
_BATCH = 200
#: An upload in parts that nobody has gone on with for so long is given up.
_ABANDONED = timedelta(days=7)
#: A folder of a run without a row is a rest once it is so old.
_SETTLED = timedelta(hours=1)


class Janitor:
    """Prunes in a thread of its own while started: at once, then every hour."""

    def __init__(self, workspace: Workspace, failed: Callable[[BaseException], None]) -> None:
        self._workspace = workspace
        self._failed = failed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="janitor", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the batch under way."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        pause = 1.0  # what was started just now comes first
        while not self._stopping.wait(pause):
            try:
                prune(self._workspace, self._stopping.is_set)
            except (OSError, WherryError) as error:
                self._failed(error)
            pause = _PERIOD


def prune(workspace: Workspace, interrupted: Callable[[], bool] = lambda: False) -> int:
    """Remove what is over the limits; gives the number of runs that went."""
    local = workspace.jobfile.environments.get("local")
    keep = local.keep if local else Keep()
    gone = 0
    while not interrupted() and (batch := _too_old(workspace, keep)):
        _remove(workspace, batch)
        gone += len(batch)
    for run_id in _too_big(workspace, keep):
        if interrupted():
            break
        if _has_ended(workspace, run_id):  # still: somebody may have asked for another round just now
            shutil.rmtree(f"{workspace.home.runs}/{run_id}", ignore_errors=True)
    _remove_rests(workspace, keep)
    workspace.queues.prune()
    return gone


def disk_use(workspace: Workspace) -> DiskUse:
    """What the environment takes of the disk."""
    home = workspace.home
    store = sum(_size(f"{home.database}{suffix}") for suffix in ("", "-wal", "-shm"))
    logs = sum(size for _, size in log_sizes(home))
    with workspace.database.reading() as connection:
        objects = connection.execute(load_sql("retention")["objects_size"]).fetchone()[0]
    return DiskUse(store=store, logs=logs, objects=objects)


def log_sizes(home: Home) -> Iterator[tuple[str, int]]:
    """What the files of each run take, the oldest run first."""
    for run_id in sorted(os.listdir(home.runs)):
        try:
            with os.scandir(f"{home.runs}/{run_id}") as entries:
                yield run_id, sum(entry.stat().st_blocks * 512 for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            continue


def _too_old(workspace: Workspace, keep: Keep) -> list[str]:
    """The next ended runs over the limit of age, or of number."""
    parameters = {"ended_ms": to_ms(workspace.clock() - keep.age), "keep": keep.runs, "limit": _BATCH}
    with workspace.database.reading() as connection:
        return [row["id"] for row in connection.execute(load_sql("retention")["too_old"], parameters)]


def _too_big(workspace: Workspace, keep: Keep) -> Iterator[str]:
    """The oldest ended runs whose logs must go so that the rest is within the limit; open runs do not count."""
    with workspace.database.reading() as connection:
        open_runs = {row["id"] for row in connection.execute(load_sql("retention")["open_runs"])}
    sizes = [(run_id, size) for run_id, size in log_sizes(workspace.home) if run_id not in open_runs]
    excess = sum(size for _, size in sizes) - keep.logs
    for run_id, size in sizes:
        if excess <= 0:
            return
        excess -= size
        yield run_id


def _has_ended(workspace: Workspace, run_id: str) -> bool:
    with workspace.database.reading() as connection:
        return connection.execute(load_sql("retention")["has_ended"], {"id": run_id}).fetchone() is not None


def _remove(workspace: Workspace, run_ids: list[str]) -> None:
    """Rows first, and only of runs that have still ended: somebody may have asked for another round just now."""
    sql = load_sql("retention")

    def work(transaction: Transaction) -> list[str]:
        ended = [run_id for run_id in run_ids if transaction.execute(sql["has_ended"], {"id": run_id}).fetchone()]
        for run_id in ended:
            for statement in ("delete_attempts", "delete_run"):
                transaction.execute(sql[statement], {"id": run_id})
        return ended

    for run_id in workspace.database.write(work):
        shutil.rmtree(f"{workspace.home.runs}/{run_id}", ignore_errors=True)


def _remove_rests(workspace: Workspace, keep: Keep) -> None:
    """Events without runs, old entries of the ledger, uploads in parts that were given up."""
    from wherry.local.multipart import Multipart

    sql = load_sql("retention")
    before_ms = to_ms(workspace.clock() - keep.age)

    def work(transaction: Transaction) -> None:
        transaction.execute(sql["delete_events"])
        transaction.execute(sql["delete_missed"], {"before_ms": before_ms})
        transaction.execute(sql["delete_fed"], {"before_ms": before_ms})

    workspace.database.write(work)
    with workspace.database.reading() as connection:
        known = {row["id"] for row in connection.execute(sql["ids"])}
    newest = first_of(workspace.clock() - _SETTLED)
    for run_id in os.listdir(workspace.home.runs):
        if run_id not in known and run_id < newest:  # a removal that was cut off
            shutil.rmtree(f"{workspace.home.runs}/{run_id}", ignore_errors=True)
    multipart = Multipart(workspace.buckets)
    for bucket in workspace.jobfile.buckets.values():
        for upload in multipart.uploads(bucket.local_name):
            if workspace.clock() - upload.started_at > _ABANDONED:
                multipart.abort(upload)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0

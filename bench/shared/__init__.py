"""What burst.py and idle.py share: an engine of their own, and its store to read times from."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

WHERRY = f"{os.path.dirname(sys.executable)}/wherry"
#: No server of a bench outlives this, whatever becomes of the bench.
BOUNDED = ["timeout", "--foreground", "-k", "10", "300"]


class Up(NamedTuple):
    """An engine that is ready."""

    #: Seconds from exec until then.
    ready: float
    #: Of `timeout`; the engine is the process under it.
    pid: int


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    # Beside this file, not in /tmp, which may be memory. Peers' servers, which are other users, must get in.
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent.parent) as name:
        os.chmod(name, 0o755)
        yield Path(name)


@contextlib.contextmanager
def engine(home: Path, jobfile: str) -> Iterator[Up]:
    """`wherry up`, ready to be used; raises RuntimeError with its words when it ends before."""
    (home / "wherry.yaml").write_text(jobfile, encoding="utf-8")
    ready = home / ".wherry" / "engine.json"
    with open(home / "up.log", "w", encoding="utf-8") as log:
        began = time.perf_counter()
        process = subprocess.Popen([*BOUNDED, WHERRY, "up"], cwd=home, stdout=log, stderr=log)
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise RuntimeError((home / "up.log").read_text())
            time.sleep(0.005)
        yield Up(time.perf_counter() - began, process.pid)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def store_of(home: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(f"file:{home}/.wherry/wherry.db?mode=ro", uri=True)) as store:
        yield store


def wait_for(store: sqlite3.Connection, job: str, count: int, pulse: float = 0.05, seconds: float = 240) -> None:
    """Until so many runs of a job have ended, all of them well."""
    deadline = time.monotonic() + seconds
    statement = "select count(*), sum(status = 'succeeded') from runs where job like ? and ended_ms is not null"
    while (ended := store.execute(statement, (job,)).fetchone())[0] < count:
        if time.monotonic() > deadline:
            sys.exit(f"only {ended[0]} of {count} runs ended in {seconds:.0f} s")
        time.sleep(pulse)
    if ended != (count, count):
        sys.exit(f"of {count} runs {ended[1]} succeeded, and {ended[0]} ended")


def printed(home: Path, run_id: str) -> int:
    """The time that a run's `date` told."""
    log = home / ".wherry" / "runs" / run_id / "1.log"
    return int(log.read_text() if log.exists() else subprocess.check_output([WHERRY, "logs", run_id], cwd=home))


def spawned(command: list[str], log: str) -> None:
    with open(log, "wb") as file:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=True)


def summary(nanoseconds: list[int]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    milliseconds = sorted(value / 1e6 for value in nanoseconds)
    last = milliseconds[min(len(milliseconds) - 1, int(len(milliseconds) * 0.99))]
    return round(statistics.median(milliseconds), 2), round(last, 2)

"""A burst of 1,000 runs that do nothing, and the start of one run when idle, beside floors and peers.

Runs a second count from the first accepted event to the last run's end, every step of every run on disk before the next
one. The floors, four in flight: processes alone, and processes with the three SQLite commits that a durable engine
needs (accepted, started, ended), each commit by itself. `--peers` adds huey on SQLite and procrastinate on PostgreSQL,
each installed into a venv of its own under ~/.cache.

The start is of one run at a time: from before the client's call to what `date +%s%N` prints. `raw` is the same call,
signed beforehand and sent by `http.client`: the difference to boto3 is boto3's own time.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from shared import WHERRY, engine, folder, printed, spawned, store_of, summary, wait_for

JOBFILE = """\
app: bench
jobs:
  noop: {command: ["true"], on: [{event: {source: [burst]}}]}
  stamp: {command: [date, "+%s%N"], on: [{event: {source: [stamp]}}]}
"""
IN_FLIGHT = 4
PEERS = {"huey": ["huey==3.5.4"], "procrastinate": ["procrastinate==3.10.0", "psycopg[binary]"]}
COLUMNS = ("runs/s", "run p50 ms", "start p50 ms", "start p99 ms")
Row = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="runs in the burst")
    parser.add_argument("--starts", type=int, default=100, help="runs one at a time")
    parser.add_argument("--peers", action="store_true", help="huey and procrastinate, too")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    count, starts = arguments.count, arguments.starts
    results = {}
    with folder() as home:
        results["subprocess"] = bare(home, count, starts)
    with folder() as home:
        results["subprocess + SQLite"] = with_sqlite(home, count, starts)
    with folder() as home:
        results |= wherry(home, count, starts)
    if arguments.peers:
        for name, packages in PEERS.items():
            with folder() as home:
                results[name] = peer(name, packages, home, count, starts)
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    print(" " * 22 + "".join(f"{column:>14}" for column in COLUMNS))
    for name, row in results.items():
        print(f"{name:22}" + "".join(f"{row.get(column, ''):>14}" for column in COLUMNS))


def bare(home: Path, count: int, starts: int) -> Row:
    """Processes and their output files, and nothing else."""
    return measure(home, count, starts, lambda n, command: spawned(command, f"{home}/{n}.log"))


def with_sqlite(home: Path, count: int, starts: int) -> Row:
    """What is left when an engine is only its commits and its processes.

    One connection behind a lock; a connection for each of the four threads was no faster.
    """
    store = sqlite3.connect(home / "bare.db", isolation_level=None, check_same_thread=False)
    store.execute("pragma journal_mode = wal")
    store.execute("pragma synchronous = full")
    store.execute("create table runs (id integer primary key, accepted integer, started integer, ended integer)")
    lock = threading.Lock()

    def commit(statement: str, number: int) -> None:
        with lock:
            store.execute(statement, (time.time_ns(), number))

    def run(number: int, command: list[str]) -> None:
        commit("insert into runs (accepted, id) values (?, ?)", number)
        commit("update runs set started = ? where id = ?", number)
        spawned(command, f"{home}/{number}.log")
        commit("update runs set ended = ? where id = ?", number)

    with contextlib.closing(store):
        return measure(home, count, starts, run)


def measure(home: Path, count: int, starts: int, run: Callable[[int, list[str]], object]) -> Row:
    """A floor's burst, then its runs one at a time."""

    def timed(number: int) -> float:
        began = time.perf_counter()
        run(number, ["true"])
        return (time.perf_counter() - began) * 1000

    began = time.perf_counter()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        took = list(pool.map(timed, range(count)))
    rate = count / (time.perf_counter() - began)
    delays = []
    for number in range(count, count + starts):
        time.sleep(0.02)
        now = time.time_ns()
        run(number, ["date", "+%s%N"])
        delays.append(int((home / f"{number}.log").read_text()) - now)
    return {"runs/s": round(rate, 1), "run p50 ms": round(statistics.median(took), 2)} | starting(delays)


def wherry(home: Path, count: int, starts: int) -> dict[str, Row]:
    with engine(home, JOBFILE), store_of(home) as store:
        burst = json.dumps([{"source": "burst", "detail-type": "tick", "detail": {"n": n}} for n in range(count)])
        emit = subprocess.Popen([WHERRY, "emit", "-"], cwd=home, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        emit.communicate(burst.encode())
        if emit.returncode:
            sys.exit("`wherry emit` failed")
        wait_for(store, "noop", count)
        rate, took = store.execute(
            "select count(*) * 1000.0 / (max(ended_ms) - min(created_ms)), group_concat(ended_ms - started_ms)"
            " from (select runs.ended_ms, created_ms, started_ms from runs join attempts on run_id = id"
            " where job = 'noop')"
        ).fetchone()
        row = {"runs/s": round(rate, 1), "run p50 ms": statistics.median(map(int, took.split(",")))}
        access = json.loads(subprocess.check_output([WHERRY, "env", "--json"], cwd=home))
        row |= starting(one_at_a_time(home, store, starts, by_boto3(access)))
        return {"wherry up": row, "wherry up (raw)": starting(one_at_a_time(home, store, starts, by_hand(access)))}


def one_at_a_time(
    home: Path, store: sqlite3.Connection, count: int, prepare: Callable[[int], Callable[[], object]]
) -> list[int]:
    """Nanoseconds from the call to the process; the next call comes when the run before has ended."""
    before = store.execute("select count(*) from runs where job = 'stamp'").fetchone()[0]
    began = []
    for number in range(count):
        send = prepare(number)
        time.sleep(0.02)
        began.append(time.time_ns())
        send()
        wait_for(store, "stamp", before + number + 1, pulse=0.003)
    ids = store.execute("select id from runs where job = 'stamp' order by id limit -1 offset ?", (before,)).fetchall()
    return [printed(home, run_id) - then for (run_id,), then in zip(ids, began, strict=True)]


def entry(number: int) -> dict[str, str]:
    return {"Source": "stamp", "DetailType": "tick", "Detail": f'{{"n":{number}}}'}


def by_boto3(access: dict[str, str]) -> Callable[[int], Callable[[], object]]:
    events = boto3.client(
        "events",
        endpoint_url=access["AWS_ENDPOINT_URL"],
        aws_access_key_id=access["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=access["AWS_SECRET_ACCESS_KEY"],
        region_name=access["AWS_REGION"],
    )
    return lambda number: partial(events.put_events, Entries=[entry(number)])


def by_hand(access: dict[str, str]) -> Callable[[int], Callable[[], object]]:
    credentials = Credentials(access["AWS_ACCESS_KEY_ID"], access["AWS_SECRET_ACCESS_KEY"])
    url = access["AWS_ENDPOINT_URL"]
    connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"))

    def prepare(number: int) -> Callable[[], None]:
        headers = {"X-Amz-Target": "AWSEvents.PutEvents", "Content-Type": "application/x-amz-json-1.1"}
        request: Any = AWSRequest("POST", f"{url}/", headers, json.dumps({"Entries": [entry(number)]}))
        SigV4Auth(credentials, "events", access["AWS_REGION"]).add_auth(request)

        def send() -> None:
            connection.request("POST", "/", request.body, dict(request.headers.items()))
            answer = connection.getresponse()
            if answer.status != 200 or b'"FailedEntryCount":0' not in (text := answer.read()).replace(b" ", b""):
                sys.exit(f"PutEvents answered {answer.status}: {text!r}")

        return send

    return prepare


def peer(name: str, packages: list[str], home: Path, count: int, starts: int) -> Row:
    """A peer measures itself, by its own Python; see peers/."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "wherry-bench", name)
    if not (cache / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", cache], check=True)
        subprocess.run([cache / "bin/pip", "install", "--quiet", *packages], check=True)
        (cache / "made").touch()
    script = Path(__file__).parent / "peers" / f"{name}_peer.py"
    told = subprocess.check_output([cache / "bin/python", script, str(home), str(count), str(starts)])
    result = json.loads(told)
    return {"runs/s": round(result["rate"], 1)} | starting(result["delays"])


def starting(nanoseconds: list[int]) -> Row:
    p50, p99 = summary(nanoseconds)
    return {"start p50 ms": p50, "start p99 ms": p99}


if __name__ == "__main__":
    main()

"""What an engine costs while nothing happens, with many schedules, and how late 200 firings of one second are.

Idle: memory and CPU of `wherry up` and of all its processes, beside a bare Python that sleeps. Many schedules: from
exec to ready (its endpoint is announced), the first time and again, and the memory then. Firings: from the due instant
to what each run's `date +%s%N` prints, beside 200 bare processes, four in flight.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared import engine, folder, printed, spawned, store_of, summary, wait_for

Row = dict[str, float | str]
STAMP = ["date", "+%s%N"]
LEAD = timedelta(seconds=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of idling")
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--firings", type=int, default=200, help="due in the same second")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {
        "idle": {"bare Python": bare_python(), "wherry up": idle(arguments.seconds)},
        f"{arguments.schedules} schedules": many(arguments.schedules),
        f"{arguments.firings} firings at once": {
            "bare processes": bare_processes(arguments.firings),
            "wherry up": firings(arguments.firings),
        },
    }
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    for title, rows in results.items():
        print(title)
        for name, row in rows.items():
            print(f"  {name:16}" + "   ".join(f"{key}: {value}" for key, value in row.items()))


def bare_python() -> Row:
    with subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=-1
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        row = memory([process.pid])
        process.terminate()
    return row


def idle(seconds: float) -> Row:
    jobfile = "app: bench\njobs:\n  a: {command: ['true'], on: [{schedule: '0 5 1 1 *'}]}\n"
    with folder() as home, engine(home, jobfile) as up:
        # What it has to do at its start is not idling.
        time.sleep(2)
        processes = tree(up.pid)
        used, began = cpu_seconds(processes), time.perf_counter()
        time.sleep(seconds)
        used, took = cpu_seconds(processes) - used, time.perf_counter() - began
        return {**memory(tree(up.pid)), "CPU % of a core": round(100 * used / took, 2)}


def many(count: int) -> dict[str, Row]:
    """All of them fire once a year, none of them now."""
    month = (datetime.now(UTC).month + 1) % 12 + 1
    crons = [f"{n % 60} {n // 60 % 24} {n % 28 + 1} {month} *" for n in range(count)]
    jobs = "".join(f"  j{n}: {{command: ['true'], on: [{{schedule: {cron!r}}}]}}\n" for n, cron in enumerate(crons))
    rows: dict[str, Row] = {}
    with folder() as home:
        for name in ("first start", "second start"):
            try:
                with engine(home, f"app: bench\njobs:\n{jobs}") as up:
                    time.sleep(1)
                    rows[name] = {"ready s": round(up.ready, 2), **memory(tree(up.pid))}
            except RuntimeError as error:
                return {"wherry up": {"refused": str(error).strip().splitlines()[0]}}
    return rows


def firings(count: int) -> Row:
    due = datetime.now(UTC).replace(microsecond=0) + LEAD
    trigger = f"{{schedule: 'at({due:%Y-%m-%dT%H:%M:%S})'}}"
    jobs = "".join(f"  j{n}: {{command: {json.dumps(STAMP)}, on: [{trigger}]}}\n" for n in range(count))
    with folder() as home, engine(home, f"app: bench\njobs:\n{jobs}"), store_of(home) as store:
        if (left := (due - datetime.now(UTC)).total_seconds()) < 0.5:
            sys.exit(f"the engine was ready {left:.1f} s before the firings were due: too late to measure")
        time.sleep(left + 0.5)
        wait_for(store, "%", count)
        ids = [run_id for (run_id,) in store.execute("select id from runs")]
        return spread([printed(home, run_id) - int(due.timestamp()) * 10**9 for run_id in ids])


def bare_processes(count: int) -> Row:
    with folder() as home:
        logs = [f"{home}/{n}.log" for n in range(count)]
        began = time.time_ns()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda log: spawned(STAMP, log), logs))
        return spread([int(Path(log).read_text(encoding="ascii")) - began for log in logs])


def spread(delays: list[int]) -> Row:
    return {"start p50 ms": summary(delays)[0], "last start ms": round(max(delays) / 1e6, 2)}


def tree(root: int) -> list[int]:
    """Every process under that one; no run is executed meanwhile, so that all are the engine's own."""
    parents = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parents[pid] = int(stat(pid)[1])
    found = [root]
    for known in found:
        found += [pid for pid, parent in parents.items() if parent == known]
    return found[1:]


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: the state, the parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def cpu_seconds(processes: list[int]) -> float:
    return sum(int(field) for pid in processes for field in stat(pid)[11:13]) / os.sysconf("SC_CLK_TCK")


def memory(processes: list[int]) -> Row:
    """RSS: what processes share is counted in each of them."""
    each = []
    for pid in processes:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        each.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
    row: Row = {"RSS MB": round(sum(each), 1)}
    if len(each) > 1:
        row["each"] = " + ".join(f"{size:.1f}" for size in each)
    return row


if __name__ == "__main__":
    main()

"""How long from an upload to the start of its process, beside a bare subprocess: milliseconds, p50 and p99.

The job is `date +%s%N`: what it prints is the time at which it ran. The clock starts before the client's call, so that
the client's own work, the signature, the fsyncs and the claim are all inside.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import boto3

JOBFILE = """\
app: bench
buckets:
  incoming: {}
jobs:
  stamp:
    command: [date, "+%s%N"]
    on:
      - upload: {bucket: incoming}
      - event: {source: [bench]}
"""
WHERRY = f"{os.path.dirname(sys.executable)}/wherry"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {"bare subprocess": floor(arguments.count)}
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as environment:
        s3 = boto3.client("s3", **environment)
        results["upload -> start"] = measure(
            Path(folder),
            arguments.count,
            lambda n: s3.put_object(Bucket="incoming", Key=f"{n}.csv", Body=b"a,b\n1,2\n"),
        )
        events = boto3.client("events", **environment)
        results["event -> start"] = measure(
            Path(folder),
            arguments.count,
            lambda n: events.put_events(Entries=[{"Source": "bench", "DetailType": "tick", "Detail": f'{{"n":{n}}}'}]),
        )
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'':20}{'p50 ms':>8}{'p99 ms':>8}")
    for name, row in results.items():
        print(f"{name:20}{row['p50']:8.2f}{row['p99']:8.2f}")


def floor(count: int) -> dict[str, float]:
    """The same process, started by nothing but `subprocess`."""
    delays = []
    for _ in range(count):
        began = time.time_ns()
        printed = subprocess.run(["date", "+%s%N"], stdout=subprocess.PIPE, check=True).stdout
        delays.append(int(printed) - began)
    return summary(delays)


@contextlib.contextmanager
def engine(folder: Path) -> Iterator[dict[str, str]]:
    (folder / "wherry.yaml").write_text(JOBFILE, encoding="utf-8")
    with open(folder / "up.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen([WHERRY, "up"], cwd=folder, stderr=log)
    try:
        for _ in range(200):
            done = subprocess.run([WHERRY, "env", "--json"], cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            time.sleep(0.05)
        variables = json.loads(done.stdout)
        yield {
            "endpoint_url": variables["AWS_ENDPOINT_URL"],
            "aws_access_key_id": variables["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"],
            "region_name": variables["AWS_REGION"],
        }
    finally:
        process.terminate()
        process.wait()


def measure(folder: Path, count: int, cause: object) -> dict[str, float]:
    """One cause at a time: the next one comes when the run before has printed."""
    assert callable(cause)
    runs = folder / ".wherry" / "runs"
    seen = set(os.listdir(runs))
    delays = []
    for number in range(count):
        began = time.time_ns()
        cause(number)
        new = ""
        while not new:
            fresh = set(os.listdir(runs)) - seen
            if fresh:
                log = runs / next(iter(fresh)) / "1.log"
                new = log.read_text() if log.exists() else ""
                if not new.endswith("\n"):
                    new = ""
            time.sleep(0.001)
        seen |= fresh
        delays.append(int(new) - began)
        time.sleep(0.005)
    return summary(delays)


def summary(nanoseconds: list[int]) -> dict[str, float]:
    milliseconds = sorted(value / 1e6 for value in nanoseconds)
    return {
        "p50": round(statistics.median(milliseconds), 3),
        "p99": round(milliseconds[min(len(milliseconds) - 1, int(len(milliseconds) * 0.99))], 3),
    }


if __name__ == "__main__":
    main()

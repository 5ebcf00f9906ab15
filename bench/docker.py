"""A container that does nothing, from the event to its end on disk, beside a bare `docker run` of the same image.

The two take turns, so that the machine's other tenants meet both. `docker run` gets the default network as jobs do. A
container without any is shown too, for the network is most of what could be saved. Then so many with 4 in flight.
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
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3

IMAGE = "wherry-busybox:1"
JOBFILE = f"""\
app: bench
jobs:
  nothing:
    image: "{IMAGE}"
    command: ["true"]
    on: [{{event: {{source: [bench]}}}}]
"""
WHERRY = f"{os.path.dirname(sys.executable)}/wherry"
IN_FLIGHT = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--burst", type=int, default=40)
    arguments = parser.parse_args()
    bare: list[float] = []
    lonely: list[float] = []
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as client:
        for number in range(arguments.count):
            bare.append(run_bare("bridge"))
            lonely.append(run_bare("none"))
            put(client, number)
            await_ends(folder, number + 1)
        ours = [length(run) for run in await_ends(folder, arguments.count)]
        floor = statistics.median(bare)
        for name, values in (("docker run", bare), ("docker run --network none", lonely), ("wherry", ours)):
            median = statistics.median(values)
            print(f"{name:28}{1000 * median:8.0f} ms{1000 * min(values):8.0f} ms at best{median / floor:8.2f}")
        began = time.monotonic()
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            list(pool.map(run_bare, ["bridge"] * arguments.burst))
        rate = arguments.burst / (time.monotonic() - began)
        began = time.monotonic()
        for number in range(arguments.burst):
            put(client, number)
        runs = await_ends(folder, arguments.count + arguments.burst)[: arguments.burst]
        ends = max(datetime.fromisoformat(run["ended_at"]) for run in runs)
        starts = min(datetime.fromisoformat(run["created_at"]) for run in runs)
        ours_rate = arguments.burst / (ends - starts).total_seconds()
        print(f"{'docker run, 4 in flight':28}{rate:8.1f} a second")
        print(f"{'wherry, 4 in flight':28}{ours_rate:8.1f} a second{'':13}{rate / ours_rate:8.2f}")


def run_bare(network: str) -> float:
    """Seconds; its removal is not counted, as ours comes after the end, too."""
    began = time.monotonic()
    command = ["docker", "run", "--detach=false", "--network", network, "--label", "wherry.bench=1", IMAGE, "true"]
    subprocess.run(command, check=True)
    took = time.monotonic() - began
    left = subprocess.run(
        ["docker", "ps", "-aq", "--filter", "label=wherry.bench=1", "--filter", "status=exited"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()
    subprocess.run(["docker", "rm", "--force", *left], capture_output=True, check=False)
    return took


@contextlib.contextmanager
def engine(folder: Path) -> Iterator[Any]:
    (folder / "wherry.yaml").write_text(JOBFILE, encoding="utf-8")
    with open(folder / "up.log", "w", encoding="utf-8") as log:
        command = [WHERRY, "up", "--executor", "docker", "--parallel", str(IN_FLIGHT)]
        process = subprocess.Popen(command, cwd=folder, stderr=log)
    try:
        for _ in range(200):
            done = subprocess.run([WHERRY, "env", "--json"], cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            time.sleep(0.05)
        variables = json.loads(done.stdout)
        yield boto3.client(
            "events",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
        )
    finally:
        process.terminate()
        process.wait()


def put(client: Any, number: int) -> None:
    client.put_events(Entries=[{"Source": "bench", "DetailType": "tick", "Detail": f'{{"n":{number}}}'}])


def await_ends(folder: str, count: int) -> list[dict[str, Any]]:
    """The runs, newest first, once so many have ended."""
    while True:
        time.sleep(0.7)  # looking costs more than what is looked at
        shown = subprocess.run(
            [WHERRY, "runs", "--json", "--limit", "1000"], cwd=folder, stdout=subprocess.PIPE, check=True
        ).stdout
        runs: list[dict[str, Any]] = json.loads(shown)
        if sum(run["status"] == "succeeded" for run in runs) >= count:
            return runs


def length(run: dict[str, Any]) -> float:
    """From its acceptance to its end, in seconds."""
    return (datetime.fromisoformat(run["ended_at"]) - datetime.fromisoformat(run["created_at"])).total_seconds()


if __name__ == "__main__":
    main()

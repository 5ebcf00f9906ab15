"""Managed mode: messages a second from end to end, and how long from a message to the start of its process.

Beside it the shell loop that people write for this with the AWS CLI: receive, copy the object, delete, and two seconds
of sleep, for each message. Its parts are measured here, against the same engine, with a command that does nothing in
both.

Start: the job is `date +%s%N`, and what it prints is the time at which it ran; the clock starts before the client's
call, and the engine has nothing else to do.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3

JOBFILE = """\
app: bench
buckets:
  incoming: {}
queues:
  stamps: {}
  work: {}
  files: {from: {bucket: incoming}}
jobs:
  stamp:
    command: [date, "+%s%N"]
    on: [{queue: stamps}]
  noop:
    command: ["true"]
    on: [{queue: work, workers: {max: PLACES}}]
"""
BIN = os.path.dirname(sys.executable)
WHERRY = f"{BIN}/wherry"
#: What the shell loop sleeps after each message, in seconds.
SLEEP = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with engine(folder, arguments.parallel) as environment:
            results: dict[str, Any] = {
                "start": starts(folder, environment, arguments.starts),
                "managed": managed(environment, arguments.messages),
                "shell loop": shell_loop(environment),
            }
    results["times"] = results["managed"]["messages/s"] / results["shell loop"]["messages/s"]
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    start, loop = results["start"], results["shell loop"]
    print(f"message -> start of its process   p50 {start['p50']:.1f} ms, p99 {start['p99']:.1f} ms")
    print(f"managed, {arguments.parallel} workers                {results['managed']['messages/s']:.0f} messages/s")
    print(f"shell loop with the AWS CLI       {loop['messages/s']:.2f} messages/s", end="")
    print(f" ({loop['cli ms']:.0f} ms of AWS CLI and {SLEEP:.0f} s of sleep a message)")
    print(f"managed is                        {results['times']:.0f} times as fast")


def starts(folder: Path, environment: dict[str, str], count: int) -> dict[str, float]:
    """One message after the other, each into an engine with nothing to do."""
    sqs = client("sqs", environment)
    url = sqs.get_queue_url(QueueName="stamps")["QueueUrl"]
    began = {}
    for number in range(count):
        time.sleep(0.1)
        began[str(number)] = time.time_ns()
        sqs.send_message(QueueUrl=url, MessageBody=f'"{number}"')
    wait(lambda: len(ended(folder, "stamp")) == count)
    delays = []
    for run in ended(folder, "stamp"):
        printed = (folder / f".wherry/runs/{run['id']}/1.log").read_text(encoding="utf-8")
        delays.append((int(printed) - began[run["event"]["detail"]["body"]]) / 1e6)
    delays.sort()
    return {"p50": statistics.median(delays), "p99": delays[int(len(delays) * 0.99) - 1], "worst": delays[-1]}


def managed(environment: dict[str, str], count: int) -> dict[str, float]:
    """From the first message's sending to the last one's deletion."""
    sqs = client("sqs", environment)
    url = sqs.get_queue_url(QueueName="work")["QueueUrl"]
    began = time.monotonic()
    for first in range(0, count, 10):
        entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(first, min(first + 10, count))]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def is_empty() -> bool:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return all(found[name] == "0" for name in names)

    wait(is_empty)
    took = time.monotonic() - began
    return {"messages/s": count / took, "seconds": took}


def shell_loop(environment: dict[str, str]) -> dict[str, float]:
    """What a message costs the loop: its three calls of the AWS CLI, each the best of three, and its sleep."""
    s3, sqs = client("s3", environment), client("sqs", environment)
    url = sqs.get_queue_url(QueueName="files")["QueueUrl"]
    took: dict[str, list[float]] = {"receive": [], "copy": [], "delete": []}
    for number in range(3):
        s3.put_object(Bucket="incoming", Key=f"{number}.geojson", Body=b"{}")
        receive = ["sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "20", "--output", "text"]
        said = cli(environment, took["receive"], *receive, "--query", "Messages[0].[ReceiptHandle]")
        with tempfile.TemporaryDirectory() as work:
            cli(environment, took["copy"], "s3", "cp", f"s3://incoming/{number}.geojson", f"{work}/input.geojson")
        cli(environment, took["delete"], "sqs", "delete-message", "--queue-url", url, "--receipt-handle", said.strip())
    spent = sum(min(times) for times in took.values())
    return {"messages/s": 1 / (spent + SLEEP), "cli ms": spent * 1000}


def cli(environment: dict[str, str], took: list[float], *arguments: str) -> str:
    """Call the AWS CLI, and note how long that takes."""
    began = time.monotonic()
    said = subprocess.run(
        [f"{BIN}/aws", "--endpoint-url", environment["AWS_ENDPOINT_URL"], *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    took.append(time.monotonic() - began)
    return said


def client(service: str, environment: dict[str, str]) -> Any:
    return boto3.client(
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )


def ended(folder: Path, job: str) -> list[dict[str, Any]]:
    listed = subprocess.check_output([WHERRY, "runs", "--job", job, "--json", "--limit", "100000"], cwd=folder)
    return [run for run in json.loads(listed) if run["ended_at"]]


def wait(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)


@contextlib.contextmanager
def engine(folder: Path, places: int) -> Iterator[dict[str, str]]:
    (folder / "wherry.yaml").write_text(JOBFILE.replace("PLACES", str(places)), encoding="utf-8")
    with open(folder / "up.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen([WHERRY, "up", "--parallel", str(places)], cwd=folder, stderr=log)
    try:
        for _ in range(200):
            said = subprocess.run([WHERRY, "env", "--json"], cwd=folder, capture_output=True, check=False)
            if not said.returncode:
                break
            time.sleep(0.05)
        yield json.loads(said.stdout)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()

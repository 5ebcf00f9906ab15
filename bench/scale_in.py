"""Scale-ins at random moments, and the start of the first worker: tests/local/scale_ins.py with more of everything.

Exit code 1 when work was cut off, or a message was worked on twice; the seed that is printed makes the same bursts.
The start is measured from before the client's call to what the worker's first command says is the time.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import boto3

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.local import scale_ins

#: Queues that are asked one after the other, each without a worker, before all of them have to come back to none.
QUEUES = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale-ins", type=int, default=200)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    wrong: list[str] = []
    if arguments.scale_ins:
        with tempfile.TemporaryDirectory() as folder:
            story = scale_ins.storm(
                Path(folder),
                scale_ins=arguments.scale_ins,
                seed=arguments.seed,
                say=lambda text: print(text, flush=True),
            )
        wrong = scale_ins.check(story)
        print(
            f"{story.scale_ins} scale-ins in {story.seconds:.0f} s, {len(story.sent)} messages, "
            f"{story.zeros} times back to none: {len(wrong)} wrong"
        )
        print("\n".join(wrong))
    if arguments.starts:
        with tempfile.TemporaryDirectory() as folder:
            first, *others = starts(Path(folder), arguments.starts)
        took = sorted(others)
        middle, late = statistics.median(took), took[int(len(took) * 0.99)]
        print(f"from none to the first worker, ms: p50 {middle:.1f}, p99 {late:.1f}; the engine's very first {first:.1f}")
    return 1 if wrong else 0


def starts(folder: Path, count: int) -> list[float]:
    """Milliseconds from a message into an empty queue without workers to a worker's first breath."""
    names = [f"q{number}" for number in range(QUEUES)]
    jobs = {
        name: {
            "command": f"date +%s%N > stamp-{name}; exec sleep 1000",
            "on": [{"queue": name, "mode": "self-polling", "workers": {"max": 1, "idle": "1s"}}],
        }
        for name in names
    }
    document = {"app": "starts", "queues": {name: {} for name in names}, "jobs": jobs}
    (folder / "wherry.yaml").write_text(json.dumps(document), encoding="utf-8")
    took: list[float] = []
    with scale_ins.engine(folder, parallel=QUEUES + 1) as environment:
        sqs = boto3.client("sqs", **environment)
        urls = {name: sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in names}
        while len(took) < count:
            for name in names:
                stamp = folder / f"stamp-{name}"
                stamp.unlink(missing_ok=True)
                began = time.time_ns()
                sqs.send_message(QueueUrl=urls[name], MessageBody="x")
                while not (stamp.exists() and stamp.read_text().endswith("\n")):
                    time.sleep(0.001)
                took.append((int(stamp.read_text()) - began) / 1e6)
            for name in names:
                for message in sqs.receive_message(QueueUrl=urls[name]).get("Messages", []):
                    sqs.delete_message(QueueUrl=urls[name], ReceiptHandle=message["ReceiptHandle"])
            scale_ins.wait_for_none(folder)
    return took


if __name__ == "__main__":
    sys.exit(main())

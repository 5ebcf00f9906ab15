"""Scale-ins at random moments, and whether any of them cut work off. Used by test_scale_ins.py and bench/scale_in.py.

Queues get bursts of messages at random moments, many of them just when their workers are about to leave, and the job
file's `max` goes up and down meanwhile, so that workers must leave that are in the midst of their work. The workers
(poller.py) are killed by the first SIGTERM. What they did they tell in a journal; no check has to believe the engine.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

WHERRY = f"{os.path.dirname(sys.executable)}/wherry"
POLLER = Path(__file__).parent / "poller.py"
#: Bounds against hanging, not measurements; in seconds.
PATIENCE = 60.0
#: The most workers of a queue.
MOST = 3


@dataclass
class Story:
    """What was done, and what came of it."""

    sent: set[str] = field(default_factory=set)
    #: Lines of the journal: what, message, run, when.
    journal: list[tuple[str, str, str, float]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    #: How often all queues were seen to have no worker.
    zeros: int = 0
    seconds: float = 0.0

    @property
    def scale_ins(self) -> int:
        """Workers that were ended because nobody wanted them any more."""
        return sum(run["attempts"][-1]["ending"] == "dismissed" for run in self.runs if run["attempts"])


def storm(folder: Path, *, scale_ins: int, seed: int, queues: int = 6, say: Callable[[str], object] = print) -> Story:
    """Send bursts until so many workers were scaled in; gives what happened."""
    chance, story, began = random.Random(seed), Story(), time.monotonic()
    names = [f"q{number}" for number in range(queues)]
    write_jobfile(folder, dict.fromkeys(names, MOST))
    with engine(folder, parallel=queues * MOST + 1) as environment:
        sqs = boto3.client("sqs", **environment)
        urls = {name: sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in names}
        while story.scale_ins < scale_ins:
            for _ in range(3 * queues):
                story.sent |= burst(sqs, urls[chance.choice(names)], chance)
                time.sleep(chance.uniform(0, 0.3))
                if chance.random() < 0.4:  # many are at work just now, and some of them have to leave
                    write_jobfile(folder, {name: chance.randint(1, MOST) for name in names})
            wait_for_none(folder)
            story.zeros += 1
            story.runs = ask(folder, "runs", "--limit", "100000")
            say(f"{story.scale_ins} scale-ins, {len(story.sent)} messages, {time.monotonic() - began:.0f} s")
    lines = (folder / "journal").read_text(encoding="utf-8").splitlines()
    story.journal = [(what, message, run, float(at)) for what, message, run, at in (line.split() for line in lines)]
    story.seconds = time.monotonic() - began
    return story


def burst(sqs: Any, url: str, chance: random.Random) -> set[str]:
    """Some messages, most of which are little work."""
    works = [chance.choice((0.0, 0.05, 0.3, 0.7)) for _ in range(chance.randint(1, 6))]
    entries = [{"Id": str(number), "MessageBody": str(work)} for number, work in enumerate(works)]
    return {each["MessageId"] for each in sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]}


def wait_for_none(folder: Path) -> None:
    """Until every queue is empty and has no worker."""
    deadline = time.monotonic() + PATIENCE
    while True:
        states = ask(folder, "queues")
        if not any(state["waiting"] + state["in_flight"] + state["workers"] for state in states):
            return
        assert time.monotonic() < deadline, f"there is still something after {PATIENCE} s: {states}"
        time.sleep(0.2)


def check(story: Story) -> list[str]:
    """What is wrong: each message must have been begun once and ended once, and no worker may have failed."""
    begun = Counter(message for what, message, _, _ in story.journal if what == "begin")
    ended = Counter(message for what, message, _, _ in story.journal if what == "end")
    wrong = [f"{message} was begun and not ended: work was cut off" for message in begun.keys() - ended.keys()]
    wrong += [f"{message} was begun {number} times" for message, number in begun.items() if number > 1]
    wrong += [f"{message} was never begun" for message in story.sent - begun.keys()]
    wrong += [f"{message} was begun and never sent" for message in begun.keys() - story.sent]
    wrong += [f"run {run['id']}: {run['status']}: {run['reason']}" for run in story.runs if not ended_well(run)]
    return wrong


def ended_well(run: dict[str, Any]) -> bool:
    """Dismissed, or never begun because nobody wanted it any more."""
    return run["status"] in ("succeeded", "skipped")


def write_jobfile(folder: Path, most: dict[str, int]) -> None:
    """A job for each queue, all with the same program; the file is replaced in one step."""
    document = {
        "app": "scale-ins",
        "queues": {name: {"visibility": "1h"} for name in most},
        "jobs": {
            f"job-{name}": {
                "command": [sys.executable, "-S", str(POLLER)],
                "on": [
                    {
                        "queue": name,
                        "mode": "self-polling",
                        "workers": {"min": 0, "max": number, "backlog": 2, "idle": "1s"},
                    }
                ],
            }
            for name, number in most.items()
        },
    }
    (folder / "wherry.yaml~").write_text(json.dumps(document), encoding="utf-8")
    os.replace(folder / "wherry.yaml~", folder / "wherry.yaml")


@contextlib.contextmanager
def engine(folder: Path, *, parallel: int) -> Iterator[dict[str, str]]:
    """An engine, and what boto3 needs to reach it."""
    with open(folder / "engine.out", "a", encoding="utf-8") as log:
        process = subprocess.Popen([WHERRY, "up", "--parallel", str(parallel)], cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            shown = subprocess.run([WHERRY, "env"], cwd=folder, capture_output=True, text=True, check=False)
            if shown.returncode == 0:
                break
            assert process.poll() is None, (folder / "engine.out").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        told = dict(line.removeprefix("export ").split("=", 1) for line in shown.stdout.splitlines())
        yield {
            "endpoint_url": told["AWS_ENDPOINT_URL"],
            "aws_access_key_id": told["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": told["AWS_SECRET_ACCESS_KEY"],
            "region_name": told["AWS_REGION"],
        }
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def ask(folder: Path, *question: str) -> Any:
    """What the command line says, as JSON."""
    shown = subprocess.run([WHERRY, *question, "--json"], cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(shown.stdout)

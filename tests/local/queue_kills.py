"""A storm over queues: messages are worked on while attempts are killed at random, and the engine too.

`storm` makes one and gives its `Story`; each of `CHECKS` looks for what is wrong in a story. What the jobs really did
they tell themselves, in a journal outside `.wherry`; what became of the messages is asked by boto3, as any client asks.
Used by test_queue_kills.py and, with 10,000 messages, by bench/queue_kill.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.local.kills import LOST_CONNECTION, PATIENCE, AttemptKey, Place, Run

#: The engine lives so long after it answered, in seconds.
LIFE = (0.8, 2.5)
#: One kill of the engine in so many is one of its keeper as well: then nobody knows how its attempts end.
BLIND = 3
#: How often an attempt is killed, in seconds between two.
PAUSE = (0.02, 0.25)
#: How often a message is tried. So many that no chance kills a good one as often.
MOST = 12
WORKERS = 4
GROUPS = 5
#: Queue -> its job. Bodies begin with the queue's name, and with `bad-` after that when they always fail.
QUEUES = {"work": "worker", "steps.fifo": "stepper", "batches": "packer"}

JOBFILE = f"""\
app: queue-storm
queues:
  work: {{visibility: 1s, max_receives: {MOST}}}
  steps.fifo: {{visibility: 1s, max_receives: {MOST}}}
  batches: {{visibility: 1s, max_receives: {MOST}}}
jobs:
  worker:
    command: [/bin/sh, job.sh, "${{event.detail.body}}"]
    on: [{{queue: work, workers: {{max: {WORKERS}}}}}]
    retry: {{backoff: 20ms, cap: 200ms}}
  stepper:
    command: [/bin/sh, job.sh, "${{event.detail.body}}"]
    on: [{{queue: steps.fifo, workers: {{max: {WORKERS}}}}}]
    retry: {{backoff: 20ms, cap: 200ms}}
  packer:
    command: [/bin/sh, batch.sh, "${{event.file}}"]
    on: [{{queue: batches, workers: {{max: {WORKERS}}}, batch: 5}}]
    retry: {{backoff: 20ms, cap: 200ms}}
"""
#: Each line is one `write` to a file opened with O_APPEND, so lines never mix. After `done` there is time to be killed.
JOB = """\
tell() { echo "$1 $WHERRY_RUN_ID $WHERRY_ATTEMPT $$ $2" >> journal; }
tell began "$1"
case $1 in *-slow-*) sleep 0.2 ;; esac
case $1 in *-bad-*) exit 3 ;; esac
tell done "$1"
case $1 in *-slow-*) sleep 0.2 ;; esac
exit 0
"""
BATCH = """\
tell() { echo "$1 $WHERRY_RUN_ID $WHERRY_ATTEMPT $$ $2" >> journal; }
bodies=$(sed 's/.*"body":"\\([^"]*\\)".*/\\1/' "$1")
for body in $bodies; do tell began "$body"; done
for body in $bodies; do tell done "$body"; done
sleep 0.1
exit 0
"""


@dataclass(frozen=True)
class Line:
    """One line of the journal."""

    what: str
    run_id: str
    attempt: int
    pid: int
    body: str


@dataclass
class Ledger:
    """The bodies that were sent: each is sent once, in the order of the lists."""

    asked: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


@dataclass(kw_only=True)
class Story:
    """All that is known after a storm."""

    seed: int
    engine_kills: int
    blind_kills: int
    #: The attempts that were killed.
    killed: set[AttemptKey]
    ledger: Ledger
    journal: list[Line]
    runs: list[Run]
    #: The runs that are dead letters.
    letters: list[Run]
    #: Queue -> the bodies in its queue of dead letters.
    dead: dict[str, list[str]]
    #: Queue -> what SQS says of its counts.
    counts: dict[str, dict[str, str]]
    files: list[str]
    seconds: float
    output: str

    def done(self) -> Counter[str]:
        """How often each body was worked off."""
        return Counter(line.body for line in self.journal if line.what == "done")

    def run_of(self) -> dict[str, list[Run]]:
        """The runs of each body."""
        found = defaultdict(list)
        for run in self.runs:
            for body in bodies_of(run):
                found[body].append(run)
        return found

    def summary(self) -> str:
        """The storm in a few lines."""
        sent = sum(map(len, self.ledger.acknowledged.values()))
        endings = Counter(attempt["ending"] for run in self.runs for attempt in run["attempts"])
        done = self.done()
        twice = sum(count > 1 for count in done.values())
        return (
            f"seed {self.seed}: {sent} messages in {self.seconds:.0f} s; killed: {len(self.killed)} attempts, the engine"
            f" {self.engine_kills} times, {self.blind_kills} of these with its keeper; {len(self.runs)} runs,"
            f" attempts {dict(endings)}; worked off: {len(done)} messages, {twice} of them more than once"
            f" ({sum(done.values()) - len(done)} duplicates); dead letters: {sum(map(len, self.dead.values()))}"
        )


def bodies_of(run: Run) -> list[str]:
    """The bodies of the messages that a run worked on."""
    detail = run["event"]["detail"]
    return [one["body"] for one in detail.get("messages", [detail])]


def storm(
    folder: Path, *, messages: int, kills: int, seed: int, say: Callable[[str], object] = lambda _: None
) -> Story:
    """Send so many messages to a new folder's engine, kill it so often, and its attempts all the time; then look."""
    chance = random.Random(seed)
    (folder / "batch.sh").write_text(BATCH, encoding="utf-8")
    place, ledger, killer = Place(folder, jobfile=JOBFILE, job=JOB), Ledger(), Killer(folder, seed)
    blind = 0
    began = time.monotonic()
    try:
        place.start()
        place.client("sqs")  # asks the engine for its credentials, which stay the same
        sender = threading.Thread(target=_send, args=(place, ledger, messages, random.Random(seed)), daemon=True)
        sender.start()
        killer.start()
        for number in range(1, kills + 1):
            time.sleep(chance.uniform(*LIFE))
            if number % BLIND:
                place.kill()
            else:
                place.kill_all_own()
                blind += 1
            place.start()
        sender.join(PATIENCE * 5)
        assert not sender.is_alive(), "the sender is never answered"
        say("all is sent; the engine is killed no more")
        if messages > 5000:
            _wait_until_empty(place, at_most=messages // 10)
        killer.stopping.set()
        killer.join(PATIENCE)
        _wait_until_empty(place)
        seconds = time.monotonic() - began
        return _look(place, Story, seed=seed, blind_kills=blind, killed=killer.killed, ledger=ledger, seconds=seconds)
    finally:
        killer.stopping.set()
        place.close()


class Killer(threading.Thread):
    """Kills attempts at random, by SIGKILL, one after the other."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(daemon=True, name="killer")
        self._journal = folder / "journal"
        self._chance = random.Random(f"{seed} killer")
        self.stopping = threading.Event()
        self.killed: set[AttemptKey] = set()

    def run(self) -> None:
        """Kill one of the last attempts that have begun, again and again."""
        while not self.stopping.wait(self._chance.uniform(*PAUSE)):
            with open(self._journal, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
                lines = file.read().decode().splitlines()[1:]
            self._chance.shuffle(lines)
            for line in lines:
                read = _read(line)
                if read and self._kill(read):
                    break

    def _kill(self, line: Line) -> bool:
        """False when it has ended; the id of its process may be another one's by now."""
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{line.pid}/environ").read_bytes().split(b"\0")
            if f"WHERRY_RUN_ID={line.run_id}".encode() in environment:
                os.kill(line.pid, signal.SIGKILL)
                self.killed.add((line.run_id, line.attempt))
                return True
        return False


def _send(place: Place, ledger: Ledger, messages: int, chance: random.Random) -> None:
    """Send by tens until so many are acknowledged; what nobody knows of after a lost connection is not sent again."""
    left = {"work": messages * 8 // 10, "steps.fifo": messages // 10, "batches": messages // 10}
    number = 0
    while any(left.values()):
        queue = chance.choice([name for name, count in left.items() if count])
        entries = []
        for _ in range(min(10, left[queue])):
            number += 1
            kind = chance.choices(["plain", "slow", "bad"], [84, 15, 1])[0] if queue != "batches" else "plain"
            body = f"{queue}-{kind}-{number:06}"
            fifo = {"MessageGroupId": f"g{number % GROUPS}", "MessageDeduplicationId": body}
            entries.append({"Id": str(number), "MessageBody": body, **(fifo if queue.endswith(".fifo") else {})})
        ledger.asked[queue] += [entry["MessageBody"] for entry in entries]
        try:
            sqs = place.client("sqs")
            answer = sqs.send_message_batch(QueueUrl=f"{place.endpoint}/000000000000/{queue}", Entries=entries)
        except LOST_CONNECTION:
            time.sleep(0.1)
            continue
        well = {one["Id"] for one in answer.get("Successful", [])}
        ledger.acknowledged[queue] += [entry["MessageBody"] for entry in entries if entry["Id"] in well]
        left[queue] -= len(well)
        assert len(well) == len(entries), answer


def _counts(place: Place, queue: str) -> dict[str, str]:
    sqs = place.client("sqs")
    asked = {"QueueUrl": f"{place.endpoint}/000000000000/{queue}", "AttributeNames": ["All"]}
    found: dict[str, str] = sqs.get_queue_attributes(**asked)["Attributes"]
    return {name: count for name, count in found.items() if name.startswith("ApproximateNumberOfMessages")}


def _wait_until_empty(place: Place, at_most: int = 0) -> None:
    """Wait while there are more messages than that; a check will tell what never goes."""
    least, since = 1 << 60, time.monotonic()
    while time.monotonic() - since < PATIENCE:
        left = sum(int(count) for queue in QUEUES for count in _counts(place, queue).values())
        if left <= at_most:
            return
        if left < least:
            least, since = left, time.monotonic()
        time.sleep(0.2)


def _look(place: Place, story: type[Story], **known: Any) -> Story:
    sqs = place.client("sqs")
    counts = {queue: _counts(place, queue) for queue in QUEUES}
    runs = place.runs()
    letters = json.loads(place.wherry("dead-letters", "--json"))
    dead: dict[str, list[str]] = {}
    for queue in QUEUES:
        stem, dot, fifo = queue.partition(".")
        url = f"{place.endpoint}/000000000000/{stem}-dead-letters{dot}{fifo}"
        dead[queue] = []
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            dead[queue] += [message["Body"] for message in found]
            for message in found:  # else its FIFO group would be busy
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    place.stop()
    files = place.folder / ".wherry/files"
    return story(
        engine_kills=place.kills,
        journal=[read for line in (place.folder / "journal").read_text().splitlines() if (read := _read(line))],
        runs=runs,
        letters=letters,
        dead=dead,
        counts=counts,
        files=os.listdir(files) if files.exists() else [],
        output=place.output(),
        **known,
    )


def _read(line: str) -> Line | None:
    try:
        what, run_id, attempt, pid, body = line.split(" ")
        return Line(what, run_id, int(attempt), int(pid), body)
    except ValueError:
        return None


# ------------------------------------------------------------------------------------------------------- the checks


def every_message_is_worked_off(story: Story) -> Iterator[str]:
    """At least once, and none is lost: what is not worked off is a dead letter."""
    done = story.done()
    for queue, bodies in story.ledger.acknowledged.items():
        for body in bodies:
            if not done[body] and body not in story.dead[queue]:
                yield f"{body} was acknowledged, and is neither worked off nor a dead letter"


def nothing_comes_from_nowhere(story: Story) -> Iterator[str]:
    asked = {body for bodies in story.ledger.asked.values() for body in bodies}
    yield from sorted({line.body for line in story.journal} - asked)


def a_message_has_one_run(story: Story) -> Iterator[str]:
    for body, runs in story.run_of().items():
        if len(runs) > 1:
            yield f"{body} has {len(runs)} runs: {', '.join(run['id'] for run in runs)}"


def dead_letters_are_those_that_must_be(story: Story) -> Iterator[str]:
    """What always fails, and what was killed `max_receives` times; nothing else."""
    unlucky = {
        body
        for run in story.runs
        if sum(_is_our_doing(story, run, attempt) for attempt in run["attempts"]) >= MOST
        for body in bodies_of(run)
    }
    must = {body for bodies in story.ledger.acknowledged.values() for body in bodies if "-bad-" in body} | unlucky
    are = {body for bodies in story.dead.values() for body in bodies}
    may = {body for bodies in story.ledger.asked.values() for body in bodies if "-bad-" in body} | unlucky
    yield from (f"{body} is no dead letter" for body in sorted(must - are))
    yield from (f"{body} is a dead letter" for body in sorted(are - may))
    for body, count in Counter(body for bodies in story.dead.values() for body in bodies).items():
        if count > 1:
            yield f"{body} is a dead letter {count} times"
    told = {body for run in story.letters for body in bodies_of(run)}
    yield from (
        f"{body} is a dead letter for clients or for `wherry dead-letters` alone" for body in sorted(are ^ told)
    )


def _is_our_doing(story: Story, run: Run, attempt: dict[str, Any]) -> bool:
    """An attempt that we have killed, or kept from telling how it ended."""
    return attempt["ending"] == "lost" or (run["id"], attempt["number"]) in story.killed


def failures_are_counted(story: Story) -> Iterator[str]:
    """A run fails after `max_receives` attempts that ran, and ends with the first that succeeds."""
    for run in story.runs:
        ran = [attempt for attempt in run["attempts"] if attempt["ending"] != "could_not_start"]
        well = [attempt["exit_code"] == 0 and attempt["ending"] == "exited" for attempt in ran]
        right = ("succeeded", True) if any(well) else ("failed", False)
        if run["status"] != right[0] or (well[-1:] == [True]) != right[1] or sum(well) > 1:
            yield f"{run['id']} is {run['status']}: {[attempt['ending'] for attempt in run['attempts']]}"
        if len(ran) > MOST or (run["status"] == "failed" and len(ran) < MOST):
            yield f"{run['id']} is {run['status']} after {len(ran)} attempts of {MOST}"


def duplicates_have_a_reason(story: Story) -> Iterator[str]:
    """Work is done twice only when the attempt that did it was killed, or its end is not known."""
    ends = {(run["id"], attempt["number"]): attempt for run in story.runs for attempt in run["attempts"]}
    by_body = defaultdict(list)
    for line in story.journal:
        if line.what == "done":
            by_body[line.body].append(line)
    for body, lines in by_body.items():
        for line in lines[:-1]:
            end = ends[line.run_id, line.attempt]
            if end["ending"] != "lost" and (line.run_id, line.attempt) not in story.killed:
                yield f"{body}: attempt {line.attempt} of {line.run_id} did its work, {end['ending']} {end['exit_code']}"


def no_attempt_runs_twice(story: Story) -> Iterator[str]:
    began = Counter((line.run_id, line.attempt, line.body) for line in story.journal if line.what == "began")
    yield from (f"{key} began {count} times" for key, count in began.items() if count > 1)


def no_more_workers_than_allowed(story: Story) -> Iterator[str]:
    for job in QUEUES.values():
        moments = []
        for run in story.runs:
            for attempt in run["attempts"] if run["job"] == job else ():
                moments += [(attempt["started_at"], 1), (attempt["ended_at"], -1)]
        at_once = most = 0
        for _, step in sorted(moments):
            at_once += step
            most = max(most, at_once)
        if most > WORKERS:
            yield f"{most} workers of {job} at once"


def groups_keep_their_order(story: Story) -> Iterator[str]:
    """FIFO: within a group the next message is begun only when the one before has ended for good."""
    last: dict[str, str] = {}
    for line in story.journal:
        if line.what == "began" and line.body.startswith("steps"):
            number = int(line.body[-6:])
            group = f"g{number % GROUPS}"
            if line.body[-6:] < last.get(group, "0"):
                yield f"{line.body} began after {last[group]} of its group"
            last[group] = line.body[-6:]


def nothing_is_left(story: Story) -> Iterator[str]:
    for queue, counts in story.counts.items():
        if any(count != "0" for count in counts.values()):
            yield f"{queue}: {counts}"
    yield from story.files
    yield from (f"{run['id']} is {run['status']}" for run in story.runs if run["ended_at"] is None)


def the_engine_finds_no_bug_in_itself(story: Story) -> Iterator[str]:
    yield from (line for line in story.output.splitlines() if "this is a bug" in line or "Traceback" in line)


CHECKS: tuple[Callable[[Story], Iterator[str]], ...] = (
    every_message_is_worked_off,
    nothing_comes_from_nowhere,
    a_message_has_one_run,
    dead_letters_are_those_that_must_be,
    failures_are_counted,
    duplicates_have_a_reason,
    no_attempt_runs_twice,
    no_more_workers_than_allowed,
    groups_keep_their_order,
    nothing_is_left,
    the_engine_finds_no_bug_in_itself,
)

"""A storm: an engine under load is killed again and again, and then what it says is held against what was.

`storm` makes one and gives its `Story`; each of `CHECKS` looks for what is wrong in a story. All of it goes through the
front door: the command line, boto3, files. What the jobs really did they tell themselves, in a journal outside
`.wherry`, so no check has to believe the engine. Used by test_kills.py and, for longer storms, by bench/kill.py.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

#: What part of the attempts may end as `lost`, though only the engine is killed and never a job.
LOST_TOLERATED = 0.0
#: How long the engine may live after it answered, in seconds.
LIFE = (0.15, 0.8)
#: One engine in so many is killed before it answers, or just then: in the middle of taking over.
STILLBORN = 5
#: Bounds against hanging, not measurements; in seconds.
PATIENCE = 120.0
#: What is left behind must be gone so soon after the last run's end.
GONE_WITHIN = 15.0

WHERRY = f"{os.path.dirname(sys.executable)}/wherry"
BUCKET = "incoming"
#: In the engine's environment, so that its own processes are found again. Jobs do not inherit it.
MARK = "KILLS_FOLDER"

JOBFILE = """\
app: storm
buckets:
  incoming: {}
jobs:
  steady:
    command: [/bin/sh, job.sh, steady]
    on:
      - upload: {bucket: incoming, prefix: small/}
      - upload: {bucket: incoming, prefix: slow/}
    retry: {attempts: 5, backoff: 0s}
  leaves:
    command: [/bin/sh, job.sh, leaves]
    on:
      - upload: {bucket: incoming, prefix: parts/}
    retry: {attempts: 5, backoff: 0s}
  flaky:
    command: [/bin/sh, job.sh, flaky]
    on:
      - event: {source: [storm]}
    retry: {attempts: 5, backoff: 0s}
  fails:
    command: [/bin/sh, job.sh, fails]
    on:
      - event: {source: [storm]}
  clock:
    command: [/bin/sh, job.sh, clock]
    retry: {attempts: 5, backoff: 0s}
    on:
"""
#: Each line of the journal is one `write` to a file opened with O_APPEND, so lines never mix.
JOB = """\
tell() { echo "$WHERRY_RUN_ID $WHERRY_ATTEMPT $*" >> journal; }
lines() { n=0; while [ $n -lt $1 ]; do n=$((n + 1)); echo "line $n"; tell printed $n; sleep $2; done; }
end() { tell ended $1; exit $1; }
tell began
case $1 in
  steady) lines 3 0.05; end 0 ;;
  leaves) sleep 300 & lines 5 0.1; end 0 ;;
  flaky) lines 2 0.05; [ "$WHERRY_ATTEMPT" = 1 ] && end 1; end 0 ;;
  fails) lines 1 0.05; end 3 ;;
  clock) sleep 300 & lines 4 0.05; end 0 ;;
esac
"""
#: How many attempts each job has.
TRIES = {"steady": 5, "leaves": 5, "flaky": 5, "fails": 1, "clock": 5}
#: The jobs that a cause starts, by how its name begins; names of firings are times.
STARTS = {
    "small/": ("steady",),
    "slow/": ("steady",),
    "parts/": ("leaves",),
    "event-": ("flaky", "fails"),
    "emit-": ("flaky", "fails"),
    "2": ("clock",),
}
LOST_CONNECTION = (NoConnection, HTTPClientError, ResponseParserError, http.client.HTTPException, OSError)
#: A call that boto3 repeats unseen would be two causes by one name.
ONE_TRY = Config(retries={"total_max_attempts": 1}, connect_timeout=20, read_timeout=20)
ENDED = ("succeeded", "failed", "timed_out", "stopped")

Run = dict[str, Any]
#: A run's id and the number of an attempt.
AttemptKey = tuple[str, int]


# ------------------------------------------------------------------------------------------------------- the engine


class Place:
    """A folder with a job file, and the engine that is killed in it."""

    def __init__(self, folder: Path, firings: Iterable[str] = (), *, jobfile: str = JOBFILE, job: str = JOB) -> None:
        self.folder = folder
        self.kills = 0
        self.endpoint = ""
        self._engine: subprocess.Popen[bytes] | None = None
        self._variables: dict[str, str] = {}
        self._clients: dict[tuple[str, str], Any] = {}
        self._session = boto3.session.Session()
        self._lock = threading.Lock()
        clock = "".join(f'      - {{schedule: "at({moment.rstrip("Z")})"}}\n' for moment in firings)
        (folder / "wherry.yaml").write_text(jobfile + clock, encoding="utf-8")
        (folder / "job.sh").write_text(job, encoding="utf-8")
        (folder / "journal").touch()
        (folder / "engine.out").touch()

    def start(self) -> None:
        """Start the engine and wait until it answers."""
        told = self._spawn()
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"AWS endpoint (http://\S+)\n", self.output()[told:])) or not _answers(found[1]):
            assert self._engine is not None
            if self._engine.poll() is not None:
                raise AssertionError(f"the engine ended by itself:\n{self.output()[told:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the engine does not answer:\n{self.output()[told:]}")
            time.sleep(0.01)
        self.endpoint = found[1]

    def start_and_kill(self, seconds: float) -> None:
        """An engine that does not live long enough to be waited for."""
        self._spawn()
        time.sleep(seconds)
        self.kill()

    def kill(self) -> None:
        """Kill the engine's own process, and nothing else."""
        assert self._engine is not None
        ended = self._engine.poll()
        assert ended is None, f"the engine ended by itself with exit code {ended}:\n{self.output()[-2000:]}"
        self._engine.send_signal(signal.SIGKILL)
        self._engine.wait()
        self.kills += 1

    def stop(self) -> int:
        """Ask the engine to end; gives its exit code."""
        assert self._engine is not None
        self._engine.terminate()
        return self._engine.wait(PATIENCE)

    def kill_all_own(self) -> None:
        """Kill the engine and whatever of wherry watches over its attempts; these go on, alone."""
        self.kill()
        for pid in self.own_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """End whatever is still alive of it: after a failure nothing may be left on the machine."""
        if self._engine is not None and self._engine.poll() is None:
            self._engine.kill()
            self._engine.wait()
        # The engine's own first: none of them must start another job meanwhile.
        for find in (self.own_processes, self.job_processes):
            for pid in find():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for client in self._clients.values():
            client.close()

    def wherry(self, *arguments: str) -> str:
        """What the command line prints; any exit code but 0 is an error, ConnectionError where the engine is killed."""
        done = subprocess.run(
            [WHERRY, *arguments],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            if "no engine runs here" in done.stderr:
                raise ConnectionRefusedError(done.stderr)
            raise RuntimeError(f"wherry {' '.join(arguments)} -> {done.returncode}: {done.stderr}")
        return done.stdout

    def runs(self, *options: str) -> list[Run]:
        """The runs as `wherry runs` lists them."""
        listed: list[Run] = json.loads(self.wherry("runs", "--json", "--limit", "1000000", *options))
        return listed

    def client(self, service: str) -> Any:
        """A boto3 client of the present endpoint."""
        with self._lock:
            key = (service, self.endpoint)
            if key not in self._clients:
                self._variables = self._variables or json.loads(self.wherry("env", "--json"))
                self._clients[key] = self._session.client(
                    service,
                    endpoint_url=self.endpoint,
                    aws_access_key_id=self._variables["AWS_ACCESS_KEY_ID"],
                    aws_secret_access_key=self._variables["AWS_SECRET_ACCESS_KEY"],
                    region_name=self._variables["AWS_REGION"],
                    config=ONE_TRY.merge(Config(signature_version="s3v4" if service == "s3" else "v4")),
                )
            return self._clients[key]

    def output(self) -> str:
        """What all engines said."""
        return (self.folder / "engine.out").read_text(encoding="utf-8", errors="replace")

    def job_processes(self) -> dict[int, str]:
        """The living processes of this folder's runs, their children too."""
        names = {path.name for path in self.folder.glob(".wherry/runs/*")}
        return _processes(lambda variables: variables.get("WHERRY_RUN_ID") in names)

    def own_processes(self) -> dict[int, str]:
        """The living processes of the engines of this folder."""
        return _processes(lambda variables: variables.get(MARK) == str(self.folder))

    def _spawn(self) -> int:
        """Start the engine; gives where in the output its own begins."""
        told = len(self.output())
        with open(self.folder / "engine.out", "ab") as log:
            self._engine = subprocess.Popen(
                [WHERRY, "up"],
                cwd=self.folder,
                env={**self._environment(), MARK: str(self.folder)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for us, not for it
                stdout=log,
                stderr=log,
            )
        return told

    def _environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WHERRY_"))}
        return {**clean, "HOME": str(self.folder)}


def _answers(endpoint: str) -> bool:
    address = urlsplit(endpoint)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=5).close()
    except OSError:
        return False
    return True


def _processes(wanted: Callable[[dict[str, str]], bool]) -> dict[int, str]:
    """The pids and command lines of the processes whose environment is wanted."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended, or is not ours to look at
            text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
            if wanted(dict(line.partition("=")[::2] for line in text.split("\0"))):
                found[int(pid)] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


# ------------------------------------------------------------------------------------------------------ the clients


@dataclass
class Ledger:
    """What the clients asked for, and what of it was acknowledged; by name, each name is used in one call only."""

    asked: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    #: Answers that nobody should get.
    surprises: list[str] = field(default_factory=list)


class Client(threading.Thread):
    """Makes one call after the other until told to stop. After a lost connection it calls again, by another name."""

    def __init__(
        self, place: Place, ledger: Ledger, call: Callable[[Place, str], bool], name: str, pause: float, seed: int
    ) -> None:
        super().__init__(daemon=True, name=name)
        self._place = place
        self._ledger = ledger
        self._call = call
        self._pause = pause
        self._chance = random.Random(f"{seed} {name}")
        self.stopping = threading.Event()

    def run(self) -> None:
        """Make the calls; each is noted before and, when it was acknowledged, after."""
        number = 0
        while not self.stopping.is_set():
            number += 1
            name = f"{self.name}{number}"
            self._ledger.asked.add(name)
            pause = self._pause * self._chance.uniform(0.5, 1.5)
            try:
                if self._call(self._place, name):
                    self._ledger.acknowledged.add(name)
            except LOST_CONNECTION:
                pause = 0.2
            except Exception as error:  # noqa: BLE001 - whatever it is, the check tells it
                self._ledger.surprises.append(f"{name}: {error!r}")
            self.stopping.wait(pause)


def content_of(key: str) -> bytes:
    """The content that an object of that key has: long, and different at every place."""
    chance = random.Random(key)
    if key.startswith("small/"):
        return chance.randbytes(chance.randrange(1, 30_000))
    if key.startswith("slow/"):
        return chance.randbytes(1 << 20)
    return chance.randbytes((5 << 20) + chance.randrange(1, 1 << 20))


def put(place: Place, key: str) -> bool:
    """Put a small object by boto3."""
    place.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content_of(key))
    return True


def put_slowly(place: Place, key: str) -> bool:
    """Put a megabyte over a fifth of a second, so that kills find it half received."""
    url = urlsplit(place.client("s3").generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": key}))
    body = content_of(key)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]
            time.sleep(0.012)

    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("PUT", f"{url.path}?{url.query}", pieces(), {"Content-Length": str(len(body))})
        answer = connection.getresponse()
        text = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {text!r}")
    return True


def put_in_parts(place: Place, key: str) -> bool:
    """Put an object in two parts. Each step is tried again until it is answered: an upload outlives the engine."""
    body, where = content_of(key), {"Bucket": BUCKET, "Key": key}
    where["UploadId"] = _insist(place, "create_multipart_upload", **where)[0]["UploadId"]
    parts = []
    for number, piece in enumerate((body[: 5 << 20], body[5 << 20 :]), start=1):
        answer, _ = _insist(place, "upload_part", **where, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    return _insist(place, "complete_multipart_upload", **where, MultipartUpload={"Parts": parts})[0] is not None


def _insist(place: Place, operation: str, **parameters: Any) -> tuple[Any, int]:
    """Call until there is an answer; gives it and the number of tries. None when an unheard try did the work."""
    for tries in range(1, 1000):
        try:
            return getattr(place.client("s3"), operation)(**parameters), tries
        except LOST_CONNECTION:
            time.sleep(0.05)
        except ClientError as error:
            completed = operation == "complete_multipart_upload" and error.response["Error"]["Code"] == "NoSuchUpload"
            if completed and tries > 1:
                return None, tries
            raise
    raise RuntimeError(f"{operation} is never answered")


def put_event(place: Place, name: str) -> bool:
    """Put an event by boto3."""
    entry = {"Source": "storm", "DetailType": "x", "Detail": json.dumps({"id": name})}
    answer = place.client("events").put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        raise RuntimeError(answer)
    return True


def emit(place: Place, name: str) -> bool:
    """Put an event by the command line, which must work with and without an engine."""
    place.wherry("emit", json.dumps({"source": "storm", "detail-type": "x", "detail": {"id": name}}))
    return True


#: Call, how its names begin, and the usual pause between two calls in seconds.
CALLS: tuple[tuple[Callable[[Place, str], bool], str, float], ...] = (
    (put, "small/", 0.4),
    (put_slowly, "slow/", 0.5),
    (put_in_parts, "parts/", 2.0),
    (put_event, "event-", 0.5),
    (emit, "emit-", 2.0),
)


# -------------------------------------------------------------------------------------------------------- the storm


@dataclass
class Told:
    """What one attempt told of itself in the journal."""

    began: int = 0
    printed: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class Story:
    """All that is known after a storm."""

    seed: int
    kills: int
    ledger: Ledger
    #: The firings that were due; their names are their times.
    firings: set[str]
    #: Firings that may have been due, or not yet.
    later: set[str]
    runs: list[Run]
    journal: dict[AttemptKey, Told]
    #: The lines of each attempt's log.
    logs: dict[AttemptKey, list[str]]
    #: The objects that S3 lists, and what is wrong with each: nothing, if all is well.
    objects: dict[str, str]
    #: The files in the bucket's folder.
    files: set[str]
    spool: list[str]
    #: Of runs that `wherry show` and `wherry logs` tell something else about than `wherry runs` and the log file.
    contradictions: list[str]
    #: Processes of runs that outlived the last run's end, by pid.
    orphans: dict[int, str]
    #: Processes of the engine that outlived its orderly end, by pid.
    leftovers: dict[int, str]
    exit_code: int
    output: str

    def attempts(self) -> Iterator[tuple[Run, dict[str, Any]]]:
        """Every attempt with its run."""
        for run in self.runs:
            for attempt in run["attempts"]:
                yield run, attempt

    def journal_of(self, run: Run, attempt: dict[str, Any]) -> Told:
        """What an attempt told of itself; nothing when it never began."""
        return self.journal.get((run["id"], attempt["number"]), Told())

    def lost(self) -> list[tuple[str, Told]]:
        """The attempts whose end the engine does not know, and what they told."""
        return [
            (f"{run['id']}: attempt {attempt['number']}", self.journal_of(run, attempt))
            for run, attempt in self.attempts()
            if attempt["ending"] == "lost"
        ]

    def summary(self) -> str:
        """The storm in a few lines."""
        lost = self.lost()
        idle = sum(1 for _, told in lost if not told.began)
        attempts = sum(1 for _ in self.attempts())
        endings = Counter(attempt["ending"] for _, attempt in self.attempts())
        statuses = Counter(run["status"] for run in self.runs)
        asked, acknowledged = len(self.ledger.asked), len(self.ledger.acknowledged)
        return (
            f"seed {self.seed}: {self.kills} kills; {acknowledged} of {asked} calls acknowledged,"
            f" {len(self.firings)} firings; {len(self.runs)} runs {dict(statuses)};"
            f" {attempts} attempts {dict(endings)}; lost: {len(lost)} ({len(lost) / max(1, attempts):.1%}),"
            f" of which {idle} never began; {len(self.objects)} objects"
        )


def storm(folder: Path, *, kills: int, seed: int, say: Callable[[str], object] = lambda _: None) -> Story:
    """Kill the engine of a new folder so often while clients call it; then let it end its work, and look."""
    chance = random.Random(seed)
    firings = _firings(time.time() + 8, kills * 0.9)
    place, ledger = Place(folder, firings), Ledger()
    clients = [Client(place, ledger, call, name, pause, seed) for call, name, pause in CALLS]
    try:
        place.start()
        for client in clients:
            client.start()
        _kill_often(place, chance, kills, say)
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(PATIENCE)
        assert not any(client.is_alive() for client in clients), "a client's call is never answered"
        place.kill()
        place.start()
        say("the clients have gone; waiting for the runs to end")
        _wait_for_the_end(place, firings[-1])
        return _look(place, seed, ledger, firings)
    finally:
        for client in clients:
            client.stopping.set()
        place.close()


def _kill_often(place: Place, chance: random.Random, kills: int, say: Callable[[str], object]) -> None:
    for number in range(1, kills + 1):
        time.sleep(chance.uniform(*LIFE))
        place.kill()
        if number % STILLBORN == 0:
            place.start_and_kill(chance.uniform(0, 0.6))
        place.start()
        if number % 50 == 0:
            say(f"{number} kills")


def _firings(first: float, span: float, count: int = 25) -> list[str]:
    """Times spread over the storm, to the second, as wherry writes them."""
    seconds = {round(first + span * number / count) for number in range(count)}
    return [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)) for second in sorted(seconds)]


def _wait_for_the_end(place: Place, last_firing: str) -> None:
    """Wait until nothing more fires and no run is open; when that takes too long, a check will tell which one is."""
    while last_firing >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1)):
        time.sleep(0.2)  # a run that begins between two looks would be known to one of them alone
    open_ones = ("--status", "queued", "--status", "starting", "--status", "running")
    deadline = time.monotonic() + PATIENCE
    while place.runs(*open_ones) and time.monotonic() < deadline:
        time.sleep(0.5)


def _look(place: Place, seed: int, ledger: Ledger, firings: list[str]) -> Story:
    """Gather what is to be checked; at the end the engine is stopped."""
    s3 = place.client("s3")
    for upload in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):  # those whose beginning nobody heard of
        s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    due = {moment for moment in firings if moment < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3))}
    runs, journal = place.runs(), _read_journal(place.folder / "journal")
    objects = {key: _wrong_with(s3, key) for key in _keys(s3)}
    bucket = place.folder / ".wherry/buckets" / BUCKET
    contradictions = [text for run in runs[:: max(1, len(runs) // 5)] for text in _contradictions(place, run)]
    orphans = _those_that_stay(place.job_processes)
    exit_code = place.stop()
    return Story(
        seed=seed,
        kills=place.kills,
        ledger=ledger,
        firings=due,
        later=set(firings) - due,
        runs=runs,
        journal=journal,
        logs={key: _log(place, key) for key in journal},
        objects=objects,
        files={str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file()},
        spool=os.listdir(place.folder / ".wherry/spool"),
        contradictions=contradictions,
        orphans=orphans,
        leftovers=_those_that_stay(place.own_processes),
        exit_code=exit_code,
        output=place.output(),
    )


def _keys(s3: Any) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def _wrong_with(s3: Any, key: str) -> str:
    try:
        content = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    except (*LOST_CONNECTION, ClientError) as error:
        return f"cannot be read: {error!r}"
    return "" if content == content_of(key) else f"has other content than was put, {len(content)} bytes"


def _read_journal(path: Path) -> dict[AttemptKey, Told]:
    journal: dict[AttemptKey, Told] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        run_id, attempt, what, *value = line.split(" ")
        told = journal.setdefault((run_id, int(attempt)), Told())
        if what == "began":
            told.began += 1
        else:
            (told.printed if what == "printed" else told.ended).append(int(value[0]))
    return journal


def _log(place: Place, key: AttemptKey) -> list[str]:
    """The lines of a log, from the file that the documentation names."""
    path = place.folder / f".wherry/runs/{key[0]}/{key[1]}.log"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _contradictions(place: Place, run: Run) -> Iterator[str]:
    if run["status"] in ENDED and json.loads(place.wherry("show", run["id"], "--json")) != run:
        yield f"{run['id']}: `wherry show` tells something else than `wherry runs`"
    for attempt in run["attempts"]:
        shown = place.wherry("logs", run["id"], "--attempt", str(attempt["number"]))
        if shown.splitlines() != _log(place, (run["id"], attempt["number"])):
            yield f"{run['id']}: `wherry logs` shows something else than attempt {attempt['number']}'s file"


def _those_that_stay(find: Callable[[], dict[int, str]]) -> dict[int, str]:
    """The processes that are there, after they were given time to end."""
    deadline = time.monotonic() + GONE_WITHIN
    while (found := find()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


# ------------------------------------------------------------------------------------------------------- the checks


def name_of(run: Run) -> str:
    """The name of what caused a run: an object's key, an event's own id, a firing's time."""
    detail = run["event"]["detail"]
    name = detail["object"]["key"] if run["trigger"] == "upload" else detail.get("id") or detail["scheduled-time"]
    return str(name)


def started_by(names: Iterable[str]) -> set[tuple[str, str]]:
    """The (job, name) of every run that these causes make."""
    return {(job, name) for name in names for prefix, jobs in STARTS.items() if name.startswith(prefix) for job in jobs}


def causes_that_were_accepted_have_their_run(story: Story) -> Iterator[str]:
    made = {(run["job"], name_of(run)) for run in story.runs}
    for job, name in sorted(started_by(story.ledger.acknowledged | story.firings) - made):
        yield f"{job}: {name} was acknowledged, or due, and has no run"


def no_cause_has_two_runs(story: Story) -> Iterator[str]:
    for (job, name), count in Counter((run["job"], name_of(run)) for run in story.runs).items():
        if count > 1:
            yield f"{job}: {name} has {count} runs"


def no_run_comes_from_nowhere(story: Story) -> Iterator[str]:
    known = started_by(story.ledger.asked | story.firings | story.later)
    for run in story.runs:
        if (run["job"], name_of(run)) not in known:
            yield f"{run['id']} ({run['job']}): nobody asked for {name_of(run)}"


def calls_are_answered_as_they_should(story: Story) -> Iterator[str]:
    yield from story.ledger.surprises


def every_run_has_an_end(story: Story) -> Iterator[str]:
    for run in story.runs:
        if run["status"] not in ENDED or run["ended_at"] is None:
            yield f"{run['id']} ({run['job']}) is {run['status']}, ended at {run['ended_at']}"
    for run, attempt in story.attempts():
        if attempt["ending"] is None or attempt["ended_at"] is None:
            yield f"{run['id']} ({run['job']}): attempt {attempt['number']} has no end"


def a_run_ends_as_its_last_attempt_did(story: Story) -> Iterator[str]:
    """Nothing but exit codes decides here: nobody stops a run, there are no timeouts, and every program exists."""
    for run in story.runs:
        last = run["attempts"][-1] if run["attempts"] else {"ending": None, "exit_code": None}
        well = (last["ending"], last["exit_code"]) == ("exited", 0)
        tries = sum(1 for attempt in run["attempts"] if attempt["ending"] != "could_not_start")
        if run["status"] != ("succeeded" if well else "failed"):
            yield f"{run['id']} ({run['job']}) is {run['status']}, its last attempt {last['ending']} {last['exit_code']}"
        elif not well and tries < TRIES[run["job"]]:
            yield f"{run['id']} ({run['job']}) failed with {tries} of {TRIES[run['job']]} attempts: {run['reason']}"


def exit_codes_are_true(story: Story) -> Iterator[str]:
    for run, attempt in story.attempts():
        ended = story.journal_of(run, attempt).ended
        if attempt["ending"] == "exited" and ended != [attempt["exit_code"]]:
            yield f"{run['id']}: attempt {attempt['number']} exited {attempt['exit_code']}, its journal says {ended}"
        if attempt["ending"] in ("stopped", "timed_out", "out_of_memory"):
            yield f"{run['id']}: attempt {attempt['number']} {attempt['ending']}, which nobody did: {attempt['reason']}"


def what_could_not_start_did_not(story: Story) -> Iterator[str]:
    for run, attempt in story.attempts():
        if attempt["ending"] == "could_not_start" and story.journal_of(run, attempt).began:
            yield f"{run['id']}: attempt {attempt['number']} began, and could not start: {attempt['reason']}"


def no_attempt_begins_twice(story: Story) -> Iterator[str]:
    for (run_id, number), told in story.journal.items():
        if told.began > 1 or len(told.ended) > 1:
            yield f"{run_id}: attempt {number} began {told.began} times, ended {told.ended}"


def attempts_that_began_are_known(story: Story) -> Iterator[str]:
    known = {(run["id"], attempt["number"]) for run, attempt in story.attempts()}
    for run_id, number in sorted(key for key, told in story.journal.items() if told.began and key not in known):
        yield f"{run_id}: attempt {number} began, and nobody knows of it"
    for run in story.runs:
        numbers = [attempt["number"] for attempt in run["attempts"]]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{run['id']}: its attempts are {numbers}"


def attempts_that_began_have_ended(story: Story) -> Iterator[str]:
    """Only the engine is killed: a job whose end is not in the journal was killed by it."""
    for (run_id, number), told in story.journal.items():
        if told.began and not told.ended:
            yield f"{run_id}: attempt {number} began and was not left to end"


def no_attempt_is_lost(story: Story) -> Iterator[str]:
    lost, attempts = story.lost(), sum(1 for _ in story.attempts())
    if len(lost) > LOST_TOLERATED * attempts:
        yield f"{len(lost)} of {attempts} attempts are lost, {LOST_TOLERATED:.0%} may be"
        for attempt, told in lost:
            yield f"{attempt} is lost; its journal: {told}"


def no_line_is_lost(story: Story) -> Iterator[str]:
    for (run_id, number), told in story.journal.items():
        lines = [f"line {line}" for line in told.printed]
        log = story.logs[run_id, number]
        # A job that is killed may have written one line more than it has told of.
        if log[: len(lines)] != lines or len(log) > len(lines) + (not told.ended):
            yield f"{run_id}: attempt {number} printed {lines}, its log has {log}"


def no_process_is_left(story: Story) -> Iterator[str]:
    for pid, command in story.orphans.items():
        yield f"{pid} outlived its run: {command}"


def the_engine_ends_in_order(story: Story) -> Iterator[str]:
    if story.exit_code:
        yield f"exit code {story.exit_code}"
    for pid, command in story.leftovers.items():
        yield f"{pid} outlived its engine: {command}"


def objects_are_whole(story: Story) -> Iterator[str]:
    for key, wrong in story.objects.items():
        if wrong:
            yield f"{key} {wrong}"
        if key not in story.ledger.asked:
            yield f"{key} was never put"
    for key in sorted(name for name in story.ledger.acknowledged if "/" in name and name not in story.objects):
        yield f"{key} was acknowledged and is not there"
    for name in sorted(story.files ^ set(story.objects)):
        yield f"{name} is {'a file and no object' if name in story.files else 'an object without a file'}"


def nothing_is_left_in_the_spool(story: Story) -> Iterator[str]:
    yield from story.spool


def all_commands_agree(story: Story) -> Iterator[str]:
    yield from story.contradictions


def the_engine_finds_no_bug_in_itself(story: Story) -> Iterator[str]:
    for line in story.output.splitlines():
        if re.search(r"this is a bug|Traceback|Error\b", line):
            yield line
    for run, attempt in story.attempts():
        if "this is a bug" in attempt["reason"]:
            yield f"{run['id']}: {attempt['reason']}"


CHECKS: tuple[Callable[[Story], Iterator[str]], ...] = (
    causes_that_were_accepted_have_their_run,
    no_cause_has_two_runs,
    no_run_comes_from_nowhere,
    calls_are_answered_as_they_should,
    every_run_has_an_end,
    a_run_ends_as_its_last_attempt_did,
    exit_codes_are_true,
    what_could_not_start_did_not,
    no_attempt_begins_twice,
    attempts_that_began_are_known,
    attempts_that_began_have_ended,
    no_attempt_is_lost,
    no_line_is_lost,
    no_process_is_left,
    the_engine_ends_in_order,
    objects_are_whole,
    nothing_is_left_in_the_spool,
    all_commands_agree,
    the_engine_finds_no_bug_in_itself,
)


def in_lines(wrong: list[str], most: int = 10) -> str:
    """What is wrong, not more than a person reads."""
    more = [f"... and {len(wrong) - most} more"] if len(wrong) > most else []
    return "\n".join(f"  {line}" for line in [*wrong[:most], *more])

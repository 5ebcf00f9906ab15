"""What is promised when things go wrong: the engine is killed, the disk is full, the store is locked, no process can be made."""

import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import BIN, Project, wait_for
from tests.local import kills

KILLS = 50
#: The kills of each storm are at the same instants; `bench/kill.py` has other seeds.
SEED = 20261


def runs(project, *options) -> list[dict]:
    return json.loads(project.wherry("runs", "--json", "--limit", "1000", *options).stdout)


@pytest.fixture
def client():
    """Makes boto3 clients that show the first answer, good or bad."""
    clients = []

    def make(project, service):
        variables = json.loads(project.wherry("env", "--json").stdout)
        made = boto3.session.Session().client(
            service,
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        clients.append(made)
        return made

    yield make
    for made in clients:
        made.close()


def in_seconds(seconds: float) -> str:
    """A time to the second, as `at(...)` wants it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + seconds))


# ------------------------------------------------------------------------------------------------------------ kills


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    folder = tmp_path_factory.mktemp("storm")
    print(f"seed {SEED}")  # for a storm that does not come to its end
    yield kills.storm(folder, kills=KILLS, seed=SEED)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(600)
def test_the_storm_was_one(story):
    """Else the checks would check nothing."""
    print(story.summary())
    assert story.kills >= KILLS
    assert {run["job"] for run in story.runs} == set(kills.TRIES)
    assert len(story.ledger.acknowledged) > KILLS
    assert len(story.ledger.acknowledged) < len(story.ledger.asked)
    assert len(story.firings) > 10
    assert any(told.printed for told in story.journal.values())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("check", kills.CHECKS, ids=lambda check: check.__name__)
def test_after_many_kills(story, check):
    wrong = list(check(story))
    assert not wrong, f"{check.__name__}, but:\n{kills.in_lines(wrong)}\n{story.summary()}"


# -------------------------------------------------------------------------------------------------------- full disk

FULL = """\
app: full
buckets:
  incoming: {}
jobs:
  on-event:
    command: [echo, done]
    on: [{event: {source: [shop]}}]
  on-upload:
    command: [echo, done]
    on: [{upload: {bucket: incoming}}]
  on-clock:
    command: [echo, done]
    on: [{schedule: "at(SOON)"}]
  patient:
    command: [sh, -c, "touch began; until [ -e go ]; do sleep 0.05; done; touch ended"]
    on: [{event: {source: [patience]}}]
"""


class SmallDisk:
    """A project whose `.wherry` stands on a small disk of its own."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.path = project.folder / ".wherry"
        self._filler = self.path / "filler"
        self.path.mkdir()
        mount("-o", "size=4m,mode=755", "tmpfs", str(self.path))

    def fill(self) -> None:
        """Leave not one byte."""
        with pytest.raises(OSError, match="No space left"), open(self._filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        self._filler.unlink()

    def close(self) -> None:
        self.project.close()
        # Lazily: what a failed test left alive in there must not keep it.
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)


def mount(*arguments) -> None:
    subprocess.run(["mount", "-t", "tmpfs", *arguments], check=True, capture_output=True, text=True)


def may_mount(*prefix) -> bool:
    """Whether mounting is permitted, to us or behind a prefix as `unshare`."""
    with tempfile.TemporaryDirectory() as folder:
        text = 'mount -t tmpfs tmpfs "$0" && umount "$0"'
        return subprocess.run([*prefix, "sh", "-c", text, folder], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(project, request):
    if not may_mount():
        repeat_where_mounting_is_permitted(request.node.nodeid)
    disk = SmallDisk(project)
    yield disk
    disk.close()


def repeat_where_mounting_is_permitted(test: str) -> None:
    """Run a test once more as the root of a user namespace, and say here how it went."""
    if not may_mount("unshare", "-rm"):
        pytest.skip("a small disk needs `mount`, which neither root nor `unshare -rm` may use here")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-m", "pytest", "-q", test],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    pytest.skip("passed in a user namespace of its own")


def is_clear(text: str) -> bool:
    return any(words in text for words in ("full", "No space left")) and "bug in wherry" not in text


LARGE = json.dumps({"text": "x" * 200_000})
LARGE_EVENT = f'{{"source": "shop", "detail-type": "x", "detail": {LARGE}}}'


def test_a_full_disk_is_told_to_clients_and_survived(small_disk, client):
    """What was refused has left nothing; what comes after some space was made is as ever."""
    project = small_disk.project
    project.jobfile(FULL.replace("SOON", in_seconds(3600)))
    engine = project.up()
    s3, events = client(project, "s3"), client(project, "events")
    s3.put_object(Bucket="incoming", Key="before", Body=b"1")
    wait_for(lambda: runs(project, "--status", "succeeded"), "the first run")
    small_disk.fill()
    with pytest.raises(ClientError) as put:
        s3.put_object(Bucket="incoming", Key="refused", Body=bytes(300_000))
    with pytest.raises(ClientError) as event:
        events.put_events(Entries=[{"Source": "shop", "DetailType": "x", "Detail": LARGE}])
    for error in (put.value.response, event.value.response):
        assert error["ResponseMetadata"]["HTTPStatusCode"] >= 500
        assert is_clear(error["Error"]["Message"]), error
    assert len(runs(project)) == 1
    small_disk.free()
    s3.put_object(Bucket="incoming", Key="after", Body=bytes(300_000))
    events.put_events(Entries=[{"Source": "shop", "DetailType": "x", "Detail": LARGE}])
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="incoming")["Contents"]] == ["after", "before"]
    it_goes_on(small_disk, engine)


def test_a_full_disk_is_told_by_commands(small_disk):
    project = small_disk.project
    project.jobfile(FULL.replace("SOON", in_seconds(3600)))
    project.file("large.json", LARGE_EVENT)
    engine = project.up()
    project.wherry("cp", "wherry.yaml", "s3://incoming/before")
    wait_for(lambda: runs(project, "--status", "succeeded"), "the first run")
    small_disk.fill()
    refused = [
        project.wherry(*arguments, code=None)
        for arguments in (("cp", "large.json", "s3://incoming/refused"), ("emit", "large.json"))
    ]
    assert len(runs(project)) == 1
    small_disk.free()
    project.wherry("cp", "large.json", "s3://incoming/after")
    project.wherry("emit", "large.json")
    it_goes_on(small_disk, engine)
    assert [done.returncode for done in refused] == [1, 1]
    for done in refused:
        assert is_clear(done.stderr), done


def it_goes_on(small_disk, engine) -> None:
    """Three runs were accepted, two objects were put, and of what was refused nothing is there."""
    project = small_disk.project
    wait_for(lambda: len(runs(project, "--status", "succeeded")) == 3, "what was begun after some space was made")
    assert len(runs(project)) == 3
    assert sorted(os.listdir(small_disk.path / "buckets/incoming")) == ["after", "before"]
    assert os.listdir(small_disk.path / "spool") == []
    assert engine.poll() is None
    assert "bug in wherry" not in project.engine_output()


def test_a_run_that_ends_on_a_full_disk_gets_its_end(small_disk):
    project = small_disk.project
    project.jobfile(FULL.replace("SOON", in_seconds(3600)))
    engine = project.up()
    project.wherry("emit", '{"source": "patience", "detail-type": "x"}')
    wait_for((project.folder / "began").exists, "the job")
    wait_for(lambda: runs(project, "--status", "running"), "the run")
    small_disk.fill()
    project.file("go", "")
    wait_for((project.folder / "ended").exists, "the job's end")
    time.sleep(1)  # the engine sees it, and cannot write it down
    assert engine.poll() is None, project.engine_output()
    small_disk.free()
    wait_for(lambda: runs(project, "--status", "succeeded"), "the run's end")
    assert [attempt["exit_code"] for attempt in runs(project)[0]["attempts"]] == [0]
    assert "bug in wherry" not in project.engine_output()


def test_a_firing_that_is_due_on_a_full_disk_is_made_up_for(small_disk):
    """It is late by less than a minute."""
    project = small_disk.project
    soon = in_seconds(6)
    project.jobfile(FULL.replace("SOON", soon))
    engine = project.up()
    small_disk.fill()
    assert in_seconds(0) < soon, "the machine is too slow for this test"
    wait_for(lambda: in_seconds(-2) > soon, "the time")
    assert engine.poll() is None, project.engine_output()
    small_disk.free()
    wait_for(lambda: runs(project, "--job", "on-clock", "--status", "succeeded"), "the firing's run")
    assert "bug in wherry" not in project.engine_output()


# ----------------------------------------------------------------------------------------------------- locked store

LOCKED = """\
app: locked
buckets:
  incoming: {}
jobs:
  by-hand:
    command: [echo, hello]
  on-event:
    command: [echo, done]
    on: [{event: {source: [shop]}}]
  on-upload:
    command: [echo, done]
    on: [{upload: {bucket: incoming}}]
"""
LOCKER = """\
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("begin immediate")
print("locked", flush=True)
sys.stdin.read()
"""
EVENT = '{"source": "shop", "detail-type": "x"}'
COMMANDS = (("run", "by-hand"), ("emit", EVENT), ("cp", "wherry.yaml", "s3://incoming/by-command"))


@pytest.fixture
def locker(project):
    """Locks the store when it is called; gives what unlocks it."""
    processes = []

    def lock():
        arguments = [sys.executable, "-c", LOCKER, str(project.folder / ".wherry/wherry.db")]
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "locked\n"
        return process.communicate

    yield lock
    for process in processes:
        process.kill()
        process.communicate()


def begin(project, *arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [f"{BIN}/wherry", *arguments], cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def succeeded(begun: subprocess.Popen) -> str:
    printed, complaint = begun.communicate(timeout=60)
    assert begun.returncode == 0, f"{begun.args}: {printed}{complaint}"
    return printed


def test_commands_and_clients_wait_for_a_locked_store(project, locker, client):
    project.jobfile(LOCKED)
    project.up()
    s3, events = client(project, "s3"), client(project, "events")
    unlock = locker()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        begun = [begin(project, *arguments) for arguments in COMMANDS]
        calls = [
            pool.submit(s3.put_object, Bucket="incoming", Key="by-client", Body=b"1"),
            pool.submit(events.put_events, Entries=[{"Source": "shop", "DetailType": "x", "Detail": "{}"}]),
        ]
        assert runs(project) == []  # who reads need not wait
        time.sleep(3)
        assert [process.poll() for process in begun] == [None] * len(begun)
        assert [call.done() for call in calls] == [False, False]
        unlock()
        assert succeeded(begun[0]) == "hello\n"
        for process in begun[1:]:
            succeeded(process)
        assert [call.result(60)["ResponseMetadata"]["HTTPStatusCode"] for call in calls] == [200, 200]
    wait_for(lambda: len(runs(project, "--status", "succeeded")) == 5, "all runs")
    assert len(runs(project)) == 5
    assert sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket="incoming")["Contents"]) == [
        "by-client",
        "by-command",
    ]


def test_commands_wait_for_a_locked_store_without_an_engine(project, locker):
    project.jobfile(LOCKED)
    assert runs(project) == []  # makes the store
    unlock = locker()
    begun = [begin(project, *arguments) for arguments in COMMANDS]
    time.sleep(3)
    assert [process.poll() for process in begun] == [None] * len(begun)
    unlock()
    assert succeeded(begun[0]) == "hello\n"
    for process in begun[1:]:
        succeeded(process)
    project.up()
    wait_for(lambda: len(runs(project, "--status", "succeeded")) == 3, "all runs")
    assert len(runs(project)) == 3


def test_a_locked_store_does_not_end_the_engine(project, locker):
    """A run ends and a schedule fires meanwhile; both are written down afterwards."""
    project.jobfile(FULL.replace("SOON", in_seconds(5)))
    engine = project.up()
    project.wherry("emit", '{"source": "patience", "detail-type": "x"}')
    wait_for(lambda: runs(project, "--status", "running"), "the run")
    unlock = locker()
    project.file("go", "")
    time.sleep(6)
    assert engine.poll() is None, project.engine_output()
    unlock()
    for job in ("patient", "on-clock"):
        wait_for(lambda job=job: runs(project, "--job", job, "--status", "succeeded"), job)


# ------------------------------------------------------------------------------------------------- no more processes

CROWDED = """\
app: crowded
jobs:
  on-event:
    command: [echo, done]
    on: [{event: {source: [shop]}}]
"""
#: A user who has no other processes: the limit counts all of a user's. Root has none, so the test needs to be root.
USER = "54321"
#: The capability lets it reach the interpreter and the test's folder wherever they are; it is not one that lifts the limit.
AS_USER = ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--inh-caps", "+dac_override",
           "--ambient-caps", "+dac_override")  # fmt: skip


class Crowded(Project):
    """A project of another user, whose processes can be forbidden to make more."""

    def wherry(self, *arguments, code=0, stdin="", env=None):
        done = subprocess.run(
            [*AS_USER, f"{BIN}/wherry", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{arguments} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def up(self):
        with open(self.folder / "engine.out", "a", encoding="utf-8") as log:
            engine = subprocess.Popen(
                [*AS_USER, f"{BIN}/wherry", "up"], cwd=self.folder, stdout=log, stderr=log, text=True
            )
        self._engines.append(engine)
        wait_for(lambda: self.wherry("env", code=None).returncode == 0 or engine.poll() is not None, "the engine")
        assert engine.poll() is None, self.engine_output()
        return engine

    def limit(self, processes: str) -> None:
        """Of the engine and of whatever it has made to help it; the soft limit alone, which can be raised again."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if is_of_user(pid):
                subprocess.run([*AS_USER, "prlimit", "--pid", pid, f"--nproc={processes}:"], check=True)


def is_of_user(pid: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return f"\nUid:\t{USER}\t" in status


@pytest.fixture
def crowded(tmp_path):
    if os.getuid() != 0 or not all(map(shutil.which, ("setpriv", "prlimit"))):
        pytest.skip("a process limit needs another user: root, `setpriv` and `prlimit`")
    limited = subprocess.run(
        [*AS_USER, "prlimit", "--nproc=1", "sh", "-c", "ls; true"], capture_output=True, check=False
    )
    if limited.returncode == 0:
        pytest.skip("a process limit is not heeded here")
    folder = tmp_path / "crowded"
    folder.mkdir()
    shutil.chown(folder, int(USER), int(USER))
    project = Crowded(folder)
    yield project
    project.close()


def test_where_no_process_can_be_made_a_run_says_so_and_the_engine_goes_on(crowded):
    crowded.jobfile(CROWDED)
    engine = crowded.up()
    crowded.wherry("emit", EVENT)
    wait_for(lambda: runs(crowded, "--status", "succeeded"), "the first run")
    crowded.limit("1")
    crowded.wherry("emit", f"[{EVENT}, {EVENT}, {EVENT}]")
    time.sleep(3)  # they end, or wait for better times
    assert engine.poll() is None, crowded.engine_output()
    assert len(runs(crowded)) == 4
    assert len(runs(crowded, "--status", "succeeded")) == 1
    crowded.limit("1000")
    crowded.wherry("emit", EVENT)
    wait_for(lambda: runs(crowded)[0]["status"] == "succeeded", "the run after the limit was raised")
    wait_for(lambda: {run["status"] for run in runs(crowded)} <= {"succeeded", "failed"}, "all ends")
    for run in runs(crowded, "--status", "failed"):
        assert [attempt["ending"] for attempt in run["attempts"]] == ["could_not_start"], run
        assert crowded.wherry("logs", run["id"]).stdout == ""
        assert "bug" not in run["reason"]
        assert "Resource temporarily unavailable" in run["reason"] or "process" in run["reason"]
    assert engine.poll() is None
    assert "bug in wherry" not in crowded.engine_output()

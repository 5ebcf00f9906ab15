"""Real workers, as processes with nothing but the standard library, at the queues of a real engine."""

import http.server
import itertools
import json
import os
import signal
import subprocess
import threading
from datetime import timedelta

import boto3
import pytest
from tests.conftest import Project, wait_for

from wherry.agent.records import read_key
from wherry.agent.settings import VARIABLE, Settings
from wherry.executors import agent

#: Each test has a queue of its own, without a job that takes from it.
QUEUES = 60
JOBFILE = "\n".join(
    [
        "app: agent",
        "buckets: {uploads: {}, work: {}, results: {}}",
        "queues:",
        *(f"  q{number}: {{visibility: 2s, max_receives: 3}}" for number in range(QUEUES)),
        *(f"  f{number}.fifo: {{visibility: 2s, max_receives: 3}}" for number in range(QUEUES // 10)),
        "jobs: {idle: {command: 'true'}}",
    ]
)
_numbers, _ordered = itertools.count(), itertools.count()


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("agent"))
    project.jobfile(JOBFILE)
    project.up()
    connected(project)
    yield project
    project.sqs.close()
    project.s3.close()
    project.close()


def connected(project):
    """Give a project with an engine its clients."""
    project.variables = json.loads(project.wherry("env", "--json").stdout)
    session = boto3.session.Session()
    known = {
        "endpoint_url": project.variables["AWS_ENDPOINT_URL"],
        "aws_access_key_id": project.variables["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": project.variables["AWS_SECRET_ACCESS_KEY"],
        "region_name": project.variables["AWS_REGION"],
    }
    project.sqs, project.s3 = session.client("sqs", **known), session.client("s3", **known)


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """The worker as it is in an image, for the oldest Python that there is here and that it may meet."""
    path = tmp_path_factory.mktemp("worker") / "worker"
    path.write_bytes(agent.packed(oldest_python()))
    path.chmod(0o755)
    return str(path)


def oldest_python():
    """Python 3.10 where pyenv has one, else the one that runs here; not a shim, which would need an environment."""
    for minor in range(agent.PYTHON[1], 20):
        code = "import sys; print(sys.executable)"
        try:
            found = subprocess.run([f"python3.{minor}", "-IS", "-c", code], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return found.stdout.strip()
    raise AssertionError("there is no Python")


class Bench:
    """A queue, its workers, and a file that commands write to."""

    def __init__(self, engine, program, folder, name, letters):
        self.engine, self.program, self.folder, self.name = engine, program, folder, name
        self.s3, self.sqs = engine.s3, engine.sqs
        self.url = self.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        self.letters = self.sqs.get_queue_url(QueueName=letters)["QueueUrl"]
        self.job = f"job-{name.partition('.')[0]}"
        self.out = folder / "out"
        self.workers = []

    def start(self, command, *, environment=None, **more):
        settings = Settings(
            job=self.job,
            queue=self.name,
            url=self.url,
            command=command,
            buckets={"results": "results"},
            work_bucket="work",
            **{"visibility": timedelta(seconds=2), **more},
        )
        known = {name: value for name, value in self.engine.variables.items() if name.startswith("AWS_")}
        given = {"PATH": os.environ["PATH"], "OUT": str(self.out), VARIABLE: json.dumps(settings.document())}
        with open(self.folder / "log", "ab") as log:
            worker = subprocess.Popen(
                [self.program], env=given | known | (environment or {}), stdout=log, stderr=log, cwd=self.folder
            )
        self.workers.append(worker)
        return worker

    def send(self, *bodies):
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        return [self.sqs.send_message(QueueUrl=self.url, MessageBody=text)["MessageId"] for text in texts]

    def drain(self, worker, seconds=30):
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(seconds) == 0, self.log()

    def log(self):
        return (self.folder / "log").read_text()

    def lines(self):
        return self.out.read_text().splitlines() if self.out.exists() else []

    def counts(self, url=None):
        """(waiting, in flight)"""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        got = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return tuple(int(got[name]) for name in names)

    def keys(self):
        listed = self.s3.list_objects_v2(Bucket="work", Prefix=f"queue-runs/{self.job}/")
        return [one["Key"] for one in listed.get("Contents", [])]

    def records(self):
        """The records of runs, as they stand: newest message first."""
        keys = self.keys()
        chosen = {read_key(key)[0].run_id: key for key in sorted(keys, key=lambda key: not key.endswith(".open"))}
        found = []
        for key in keys:
            if key in chosen.values():
                try:
                    found.append(json.load(self.s3.get_object(Bucket="work", Key=key)["Body"]))
                except self.s3.exceptions.NoSuchKey:  # it has ended since
                    continue
        return found

    def wait_for_status(self, status, count=1):
        def look():
            found = [each for each in self.records() if each["status"] == status]
            return found if len(found) >= count else None

        return wait_for(look, f"{count} {status} of {[each['status'] for each in self.records()]}\n{self.log()}", 30)

    def close(self):
        for worker in self.workers:
            worker.kill()
            worker.wait()


@pytest.fixture
def bench(engine, program, tmp_path):
    name = f"q{next(_numbers)}"
    bench = Bench(engine, program, tmp_path, name, f"{name}-dead-letters")
    yield bench
    bench.close()


@pytest.fixture
def ordered(engine, program, tmp_path):
    """A bench whose queue keeps the order within its groups."""
    name = f"f{next(_ordered)}"
    bench = Bench(engine, program, tmp_path, f"{name}.fifo", f"{name}-dead-letters.fifo")
    yield bench
    bench.close()


class Neighbour(http.server.ThreadingHTTPServer):
    """ECS's agent: what it was asked, and what it answers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = []
        self.answers = {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "null")
        self.server.asked.append((self.command, self.path, body))
        status, answer = self.server.answers.get(self.path, (404, {"message": "not found"}))
        if isinstance(status, list):  # one after the other, the last for good
            status = status.pop(0) if len(status) > 1 else status[0]
        text = json.dumps(answer(body) if callable(answer) else answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_PUT = do_POST = do_GET  # noqa: N815 - as the base class has it

    def log_message(self, *_):
        pass


@pytest.fixture
def neighbour():
    server = Neighbour()
    yield server
    server.shutdown()
    server.server_close()

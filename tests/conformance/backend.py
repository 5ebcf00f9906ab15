"""What a scenario needs of a backend, and the backends there are. All go through the real command line."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import threading
from typing import Any

import boto3

from tests.conftest import BIN, BUSYBOX, PYTHON, Project, wait_for

#: What a backend can do beyond running jobs by hand.
ENGINE = "triggers, and runs that go on by themselves, need an engine"


class Process:
    """The embedded engine: `wherry up`, each attempt a process."""

    name = "process"
    lacks: tuple[str, ...] = ()
    #: What `wherry up` is told.
    options: tuple[str, ...] = ()
    #: The test equipment it needs: names of fixtures; `account` is passed on to it.
    equipment: tuple[str, ...] = ()
    #: The least time that is told apart from none, in seconds.
    tick = 0.3
    #: So many seconds before a moment the job file that speaks of it is deployed.
    lead = 8
    #: The least that `memory` can be, in MB.
    least_memory = 64
    #: So many seconds may pass between the end of an attempt and that of the last of its processes.
    slack = 0.0
    #: Whether a run that lacks a value fails before there is an attempt.
    checks_first = False
    #: So many seconds an attempt may need until it runs.
    start_takes = 0.0

    def __init__(self, project: Project) -> None:
        self.project = project

    def close(self) -> None:
        """The scenario is over."""

    def deploy(self, jobs: str, rest: str = "", secrets: dict[str, str] | None = None) -> None:
        """Put a job file into force; `jobs` stands below `jobs:`, `rest` at the left margin."""
        indented = "".join(f"  {line}\n" for line in self.adapted(jobs).strip("\n").splitlines())
        self.project.jobfile(f"app: conformance\n{rest}{self.place()}jobs:\n{indented}")
        for name, value in (secrets or {}).items():
            self.project.wherry("secrets", "set", name, stdin=value)
        self.start()

    def place(self) -> str:
        """What the job file says of where it runs."""
        return ""

    def start(self) -> None:
        self.engine = self.project.up(*self.options)

    def adapted(self, jobs: str) -> str:
        """The jobs of a scenario, with what they need to run here."""
        return jobs

    # Marks are how a scenario and its jobs see each other's steps; each is a name that is there or is not.

    def mark(self, name: str) -> None:
        """Make a mark."""
        (self.project.folder / name).touch()

    def marking(self, name: str) -> str:
        """A shell command that makes a mark."""
        return f"touch {name}"

    def marked(self, name: str) -> str:
        """A shell command that succeeds when a mark was made."""
        return f"[ -e {name} ]"

    def until(self, name: str) -> str:
        """A shell command that waits for a mark."""
        return f"until {self.marked(name)}; do sleep 0.05; done"

    def kill(self) -> None:
        self.engine.kill()
        self.engine.wait()

    def redeliver(self) -> None:
        """Whatever makes a backend see once more what it has seen: here an engine that begins anew."""
        self.kill()
        self.start()

    def run(self, job: str, *arguments: str) -> dict[str, Any]:
        """Run a job by hand to its end; gives the run."""
        self.project.wherry("run", job, *arguments, code=None)
        return self.runs(job)[0]

    def run_all(self, *jobs: str) -> dict[str, dict[str, Any]]:
        """Run several jobs by hand, side by side, each to its end; gives their newest runs."""
        for process in [self.popen("run", job) for job in jobs]:
            process.communicate()
        return {run["job"]: run for run in reversed(self.runs())}

    def begin(self, job: str) -> subprocess.Popen[str]:
        """Run a job by hand, without waiting for its end."""
        before = self.count(job)
        process = self.popen("run", job)
        wait_for(lambda: self.count(job) > before or process.poll() is not None, "the run")
        return process

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on beside the scenario."""
        return subprocess.Popen(
            [f"{BIN}/wherry", *self.project.meant(*arguments)],
            cwd=self.project.folder,
            env={**os.environ, **self.project.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def here(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command that is meant for this machine, wherever the scenario runs."""
        return Project(self.project.folder).wherry(*arguments)

    def emit(self, *details: dict[str, Any], **fields: str) -> list[str]:
        """Put events of the source `test` on the bus, together; gives the ids of the runs they make."""
        events = [{"source": "test", "detail-type": "go", "detail": detail, **fields} for detail in details]
        return [run["id"] for run in json.loads(self.project.wherry("emit", json.dumps(events), "--json").stdout)]

    def send(self, queue: str, body: str) -> None:
        """Send a message."""
        self.project.wherry("queue", "send", queue, body)

    def queue(self, name: str) -> dict[str, Any]:
        """A queue as `wherry queues` shows it."""
        found: list[dict[str, Any]] = json.loads(self.project.wherry("queues", "--json").stdout)
        return next(queue for queue in found if queue["name"] == name)

    def dead_letters(self) -> list[str]:
        """The ids of the runs that `wherry dead-letters` lists."""
        return [run["id"] for run in json.loads(self.project.wherry("dead-letters", "--json").stdout)]

    def invoke(self, job: str, payload: Any, **more: str) -> dict[str, Any]:
        """Call a job's function as any AWS client does; gives what it answers."""
        functions = self.client("lambda")
        answer = functions.invoke(FunctionName=self.function(job), Payload=json.dumps(payload).encode(), **more)
        found: dict[str, Any] = json.loads(answer["Payload"].read() or b"{}")
        return found

    def function(self, job: str) -> str:
        """What the function of a job is called."""
        return job

    def client(self, service: str) -> Any:
        """A client of the environment's services, configured by what `wherry env` says."""
        said = json.loads(self.project.wherry("env", "--json").stdout)
        return boto3.client(
            service,
            endpoint_url=said["AWS_ENDPOINT_URL"],
            aws_access_key_id=said["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=said["AWS_SECRET_ACCESS_KEY"],
            region_name=said["AWS_REGION"],
        )

    def runs(self, job: str | None = None, status: str | None = None) -> list[dict[str, Any]]:
        """The runs, newest first."""
        arguments = ["--job", job] if job else []
        arguments += ["--status", status] if status else []
        listed = self.project.wherry("runs", "--json", "--limit", "1000", *arguments).stdout
        found: list[dict[str, Any]] = json.loads(listed)
        return found

    def count(self, job: str, *, ended: bool = False) -> int:
        """How many runs a job has, or has had."""
        return len([run for run in self.runs(job) if run["ended_at"] or not ended])

    def running(self, job: str) -> dict[str, Any]:
        """Wait until an attempt of a job is under way; gives the newest run."""
        found: list[dict[str, Any]] = wait_for(lambda: self.runs(job, "running"), f"a run of {job}")
        return found[0]

    def ended(self, job: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until that many runs of a job have ended; gives them, oldest first."""

        def look() -> list[dict[str, Any]] | None:
            if self.count(job, ended=True) < count:
                return None
            found = [run for run in self.runs(job) if run["ended_at"]]
            return found if len(found) >= count else None

        found: list[dict[str, Any]] = wait_for(look, f"{count} ended runs of {job}")
        assert len(found) == count
        return found[::-1]

    def log(self, run: dict[str, Any], *arguments: str) -> str:
        """What a run wrote."""
        return self.project.wherry("logs", run["id"], *arguments).stdout

    def status(self) -> dict[str, Any]:
        """`wherry status`."""
        found: dict[str, Any] = json.loads(self.project.wherry("status", "--json").stdout)
        return found


class Alone(Process):
    """No engine: `wherry run` and the like execute in their own process."""

    name = "alone"
    lacks = (ENGINE,)

    def start(self) -> None:
        pass


class Contained(Process):
    """Attempts are containers, which see nothing of this machine's files: marks are on a board that they can ask."""

    equipment = ("docker_engine",)

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        marks = self._marks = set[str]()

        class Board(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                verb, _, name = self.path[1:].partition("/")
                if verb == "make":
                    marks.add(name)
                self.send_response(200 if name in marks else 404)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        address = self.gateway()
        self._board = http.server.ThreadingHTTPServer((address, 0), Board)
        self._address = f"http://{address}:{self._board.server_port}"
        self._thread = threading.Thread(target=self._board.serve_forever, daemon=True)
        self._thread.start()

    def gateway(self) -> str:
        """This machine's address, as containers see it."""
        network = json.loads(subprocess.check_output(["docker", "network", "inspect", "bridge"]))[0]
        config = network["IPAM"]["Config"][0]
        return str(config.get("Gateway") or re.sub(r"\d+/\d+$", "1", config["Subnet"]))

    def close(self) -> None:
        self._board.shutdown()
        self._thread.join()
        self._board.server_close()

    def adapted(self, jobs: str) -> str:
        image = PYTHON if "python3" in jobs else BUSYBOX
        jobs = re.sub(r"^(\w+): *\{", rf'\1: {{image: "{image}", ', jobs, flags=re.MULTILINE)
        return re.sub(r"^(\w+):\n", rf'\1:\n  image: "{image}"\n', jobs, flags=re.MULTILINE)

    def mark(self, name: str) -> None:
        self._marks.add(name)

    def marking(self, name: str) -> str:
        return f"wget -q -O /dev/null {self._address}/make/{name}"

    def marked(self, name: str) -> str:
        return f"wget -q -O /dev/null {self._address}/is/{name} 2>/dev/null"


class Docker(Contained):
    """The embedded engine: `wherry up --executor docker`, each attempt a container."""

    name = "docker"
    options = ("--executor", "docker")


class Aws(Contained):
    """Amazon ECS on Fargate, started by Step Functions: `wherry deploy`, then the same commands with `--env prod`."""

    name = "aws"
    equipment = ("docker_engine", "account")
    tick = 1.0
    lead = 20
    least_memory = 512
    slack = 10.0
    checks_first = True
    start_takes = 8.0

    def __init__(self, project: Project, account: Any) -> None:
        self.account = account
        self._clients: dict[str, Any] = {}
        super().__init__(There(project, account.environment))

    def gateway(self) -> str:
        return str(self.account.standin.settings.gateway)

    def place(self) -> str:
        return f"environments: {{prod: {{region: {self.account.region}}}}}\n"

    def start(self) -> None:
        self.project.wherry("deploy", "--yes")
        # The stand-in has no Application Auto Scaling, which would bring the first worker of each queue.
        ecs = self.client("ecs")
        for cluster in ecs.list_clusters()["clusterArns"]:
            for service in ecs.list_services(cluster=cluster)["serviceArns"] if "conformance-prod" in cluster else ():
                ecs.update_service(cluster=cluster, service=service, desiredCount=1)

    def redeliver(self) -> None:
        """EventBridge and Scheduler deliver at least once: hand the dispatcher all that it was given once more."""
        machines, dispatcher = self.client("stepfunctions"), self.machine("_dispatcher")
        before = self.executions("_dispatcher")
        assert before
        for one in before:
            given = machines.describe_execution(executionArn=one["executionArn"])["input"]
            machines.start_execution(stateMachineArn=dispatcher, input=given)

        def are_over() -> bool:
            listed = self.executions("_dispatcher")
            return len(listed) == 2 * len(before) and {one["status"] for one in listed} == {"SUCCEEDED"}

        wait_for(are_over, "the second deliveries")

    # The command line needs about a second to answer: whoever waits asks AWS itself, and then once the command line.

    def run(self, job: str, *arguments: str) -> dict[str, Any]:
        before, ended = self.count(job), self.count(job, ended=True)
        process = self.popen("run", job, *arguments)
        wait_for(lambda: self.count(job, ended=True) > ended or process.poll() is not None, f"a run of {job}")
        assert self.count(job) > before, process.communicate()
        process.kill()  # it would wait two seconds for lines that come late
        process.communicate()
        return self.runs(job)[0]

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.account.client(service)
        return self._clients[service]

    def function(self, job: str) -> str:
        return f"conformance-prod_{job}"

    def machine(self, job: str) -> str:
        return f"arn:aws:states:{self.account.region}:{self.account.id}:stateMachine:conformance-prod_{job}"

    def executions(self, job: str) -> list[dict[str, Any]]:
        pages = self.client("stepfunctions").get_paginator("list_executions")
        return [one for page in pages.paginate(stateMachineArn=self.machine(job)) for one in page["executions"]]

    def count(self, job: str, *, ended: bool = False) -> int:
        return len([one for one in self.executions(job) if not ended or one["status"] != "RUNNING"])

    def running(self, job: str) -> dict[str, Any]:
        cluster, family = "conformance-prod", f"conformance-prod_{job}"

        def look() -> bool:
            arns = self.client("ecs").list_tasks(cluster=cluster, family=family)["taskArns"]
            tasks = self.client("ecs").describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
            return any(task["lastStatus"] == "RUNNING" for task in tasks)

        wait_for(look, f"a task of {job}")
        return super().running(job)


class There(Project):
    """A project whose commands are meant for the environment `prod`."""

    def __init__(self, project: Project, variables: dict[str, str]) -> None:
        super().__init__(project.folder)
        self.environment = variables

    def meant(self, *arguments: str) -> list[str]:
        if "--here" in arguments:
            return [*arguments]
        place = arguments.index("--") if "--" in arguments else len(arguments)
        return [*arguments[:place], "--env", "prod", *arguments[place:]]


BACKENDS = (Process, Alone, Docker, Aws)

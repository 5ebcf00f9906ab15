"""What a scenario needs of a backend, and the backends there are. All go through the real command line."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import threading
from typing import Any

from tests.conftest import BIN, BUSYBOX, PYTHON, Project, wait_for

#: What a backend can do beyond running jobs by hand.
ENGINE = "triggers, and runs that go on by themselves, need an engine"


class Process:
    """The embedded engine: `wherry up`, each attempt a process."""

    name = "process"
    lacks: tuple[str, ...] = ()
    #: What `wherry up` is told.
    options: tuple[str, ...] = ()
    #: The test equipment it needs.
    equipment: tuple[str, ...] = ()

    def __init__(self, project: Project) -> None:
        self.project = project

    def close(self) -> None:
        """The scenario is over."""

    def deploy(self, jobs: str, rest: str = "") -> None:
        """Put a job file into force; `jobs` stands below `jobs:`, `rest` at the left margin."""
        indented = "".join(f"  {line}\n" for line in self.adapted(jobs).strip("\n").splitlines())
        self.project.jobfile(f"app: conformance\n{rest}jobs:\n{indented}")
        self.start()

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

    def run(self, job: str, *arguments: str) -> dict[str, Any]:
        """Run a job by hand to its end; gives the run."""
        self.project.wherry("run", job, *arguments, code=None)
        return self.runs(job)[0]

    def begin(self, job: str) -> subprocess.Popen[str]:
        """Run a job by hand, without waiting for its end."""
        before = len(self.runs(job))
        process = subprocess.Popen(
            [f"{BIN}/wherry", "run", job],
            cwd=self.project.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: len(self.runs(job)) > before or process.poll() is not None, "the run")
        return process

    def emit(self, *details: dict[str, Any], **fields: str) -> list[str]:
        """Put events of the source `test` on the bus, together; gives the ids of the runs they make."""
        events = [{"source": "test", "detail-type": "go", "detail": detail, **fields} for detail in details]
        return [run["id"] for run in json.loads(self.project.wherry("emit", json.dumps(events), "--json").stdout)]

    def runs(self, job: str | None = None, status: str | None = None) -> list[dict[str, Any]]:
        """The runs, newest first."""
        arguments = ["--job", job] if job else []
        arguments += ["--status", status] if status else []
        listed = self.project.wherry("runs", "--json", "--limit", "1000", *arguments).stdout
        found: list[dict[str, Any]] = json.loads(listed)
        return found

    def ended(self, job: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until that many runs of a job have ended; gives them, oldest first."""

        def look() -> list[dict[str, Any]] | None:
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


class Docker(Process):
    """The embedded engine: `wherry up --executor docker`, each attempt a container."""

    name = "docker"
    options = ("--executor", "docker")
    equipment = ("docker_engine",)

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        marks = self._marks = set[str]()

        class Board(http.server.BaseHTTPRequestHandler):
            """Containers see nothing of this machine's files, but they can ask."""

            def do_GET(self) -> None:
                verb, _, name = self.path[1:].partition("/")
                if verb == "make":
                    marks.add(name)
                self.send_response(200 if name in marks else 404)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        network = json.loads(subprocess.check_output(["docker", "network", "inspect", "bridge"]))[0]
        config = network["IPAM"]["Config"][0]
        address = config.get("Gateway") or re.sub(r"\d+/\d+$", "1", config["Subnet"])
        self._board = http.server.ThreadingHTTPServer((address, 0), Board)
        self._address = f"http://{address}:{self._board.server_port}"
        self._thread = threading.Thread(target=self._board.serve_forever, daemon=True)
        self._thread.start()

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


BACKENDS = (Process, Alone, Docker)

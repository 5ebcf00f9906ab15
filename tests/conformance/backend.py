"""What a scenario needs of a backend, and the backends there are. All go through the real command line."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.conftest import BIN, Project, wait_for

#: What a backend can do beyond running jobs by hand.
ENGINE = "triggers, and runs that go on by themselves, need an engine"


class Process:
    """The embedded engine: `wherry up`, each attempt a process."""

    name = "process"
    lacks: tuple[str, ...] = ()

    def __init__(self, project: Project) -> None:
        self.project = project

    def deploy(self, jobs: str, rest: str = "") -> None:
        """Put a job file into force; `jobs` stands below `jobs:`, `rest` at the left margin."""
        indented = "".join(f"  {line}\n" for line in jobs.strip("\n").splitlines())
        self.project.jobfile(f"app: conformance\n{rest}jobs:\n{indented}")
        self.start()

    def start(self) -> None:
        self.engine = self.project.up()

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


BACKENDS = (Process, Alone)

"""Fixtures for all tests. No test reads the home or the AWS configuration of the person who runs it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BIN = os.path.dirname(sys.executable)


@pytest.fixture(autouse=True)
def _nobodys_home(tmp_path_factory, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("AWS_", "WHERRY_")):
            monkeypatch.delenv(name)
    # Tests start the command line hundreds of times: compiling it anew each time is most of what that takes.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp()))
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")


class Project:
    """A folder with a job file, and the real command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: What the commands have in their environment beyond ours.
        self.environment: dict[str, str] = {}
        self._engines: list[subprocess.Popen[str]] = []

    def file(self, name: str, text: str, mode: int = 0o644) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def jobfile(self, text: str) -> Path:
        return self.file("wherry.yaml", text)

    def meant(self, *arguments: str) -> list[str]:
        """The arguments of a command, with the environment that it is meant for."""
        return [*arguments]

    def wherry(self, *arguments, code=0, stdin="", env=None) -> subprocess.CompletedProcess[str]:
        """Run the command line and hold it to its exit code (None: any)."""
        done = subprocess.run(
            [f"{BIN}/wherry", *self.meant(*arguments)],
            cwd=self.folder,
            input=stdin,
            env={**os.environ, **self.environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{arguments} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def up(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the engine and wait until it answers."""
        log = open(self.folder / "engine.out", "a", encoding="utf-8")  # noqa: SIM115 - the engine's own
        engine = subprocess.Popen(
            [f"{BIN}/wherry", "up", *arguments], cwd=self.folder, stdout=log, stderr=log, text=True
        )
        log.close()
        self._engines.append(engine)
        wait_for(lambda: self.wherry("env", code=None).returncode == 0 or engine.poll() is not None, "the engine")
        assert engine.poll() is None, self.engine_output()
        return engine

    def engine_output(self) -> str:
        return (self.folder / "engine.out").read_text(encoding="utf-8")

    def close(self) -> None:
        for engine in self._engines:
            if engine.poll() is None:
                engine.send_signal(signal.SIGTERM)
                try:
                    engine.wait(10)
                except subprocess.TimeoutExpired:
                    engine.kill()
                    engine.wait()


def wait_for(condition, what: str, seconds: float = 60):
    """Wait until the condition holds; gives what it gave.

    Half of the time at least it sleeps: to ask is work for the machine as well, often a whole process.
    """
    deadline = time.monotonic() + seconds
    while True:
        asked_at = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        assert now < deadline, f"waited {seconds} s for {what}"
        time.sleep(max(0.02, now - asked_at))


BUSYBOX, PYTHON = "wherry-busybox:1", "python:3.11-slim"


@pytest.fixture(scope="session")
def docker_engine():
    """A Docker engine with the images of `scripts/docker-engine`. Without one a test is skipped, but in CI it fails."""
    for image in (BUSYBOX, PYTHON):
        looked = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True, check=False)
        if looked.returncode:
            said = f"no Docker engine with {image}: {looked.stderr.strip()}; `scripts/docker-engine` makes one"
            pytest.fail(said) if os.environ.get("CI") == "true" else pytest.skip(said)


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    yield project
    project.close()
    shutil.rmtree(folder, ignore_errors=True)

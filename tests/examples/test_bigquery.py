"""The pipeline of examples/bigquery-names, against an emulator of BigQuery: as a process, in a container, deployed."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.aws.conftest import Cloud
from tests.conftest import BIN, Project, wait_for
from tests.standin import fixture

standin = fixture.standin
ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "bigquery-names"
WANTED = [EXAMPLE / "requirements.txt", EXAMPLE / "requirements-emulator.txt"]
CONSTRAINTS = Path(__file__).parent / "bigquery-constraints.txt"
TABLE = """
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

client = bigquery.Client(project="demo", credentials=AnonymousCredentials())
for row in client.query("SELECT name FROM `people.names` ORDER BY name").result():
    print(row["name"])
"""
FIRST = ["Jane Doe", "John Doe", "Richard Roe"]
ADDED = sorted([*FIRST, "Doe, Jane", "Doe, John"])


@pytest.fixture(scope="module")
def programs():
    """A virtual environment with the client and the emulator, made once: together they are 400 MB that few need."""
    known = hashlib.sha256(b"".join(file.read_bytes() for file in [*WANTED, CONSTRAINTS])).hexdigest()[:12]
    folder = ROOT / ".venv" / f"bigquery-{known}"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        files = [argument for file in WANTED for argument in ("-r", str(file))]
        install = [
            f"{BIN}/uv",
            "pip",
            "install",
            "-q",
            "--python",
            f"{folder}/bin/python",
            "-c",
            str(CONSTRAINTS),
            *files,
        ]
        subprocess.run(install, check=True, timeout=500)
        (folder / "complete").touch()
    return folder / "bin"


@contextlib.contextmanager
def emulator(programs, home, address="127.0.0.1"):
    """BigQuery with the table of `seed.py`; gives its URL."""
    with socket.create_server((address, 0)) as one, socket.create_server((address, 0)) as other:
        rest, grpc = one.getsockname()[1], other.getsockname()[1]
    # DuckDB would download this extension into the home folder; the package has it, so nothing is downloaded
    code = "import duckdb, sys; print(duckdb.__version__, duckdb.sql('PRAGMA platform').fetchone()[0], sys.path[-1])"
    version, platform, packages = subprocess.check_output([programs / "python", "-c", code], text=True).split()
    extensions = home / ".duckdb" / "extensions" / f"v{version}" / platform
    extensions.parent.mkdir(parents=True)
    shutil.copytree(f"{packages}/duckdb_extension_spatial/extensions/v{version}", extensions)
    url = f"http://{address}:{rest}"
    with open(home / "log", "wb") as log:
        process = subprocess.Popen(
            [programs / "bqemulator", "start", "--rest-host", address, "--rest-port", str(rest),
             "--grpc-host", address, "--grpc-port", str(grpc), "--project", "demo"],
            env={**os.environ, "HOME": str(home)}, stdout=log, stderr=log,
        )  # fmt: skip
    try:

        def answers():
            assert process.poll() is None, (home / "log").read_text(encoding="utf-8")[-2000:]
            with contextlib.suppress(OSError), socket.create_connection((address, rest), 1):
                return True
            return False

        wait_for(answers, "the emulator", seconds=60)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def run(programs, url, *arguments):
    return subprocess.run(
        [programs / "python", *arguments],
        env={**os.environ, "BIGQUERY_EMULATOR_HOST": url},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def seed(programs, url):
    assert run(programs, url, str(EXAMPLE / "seed.py")) == "people.names has 3 rows\n"


def table(programs, url):
    return run(programs, url, "-c", TABLE).splitlines()


@pytest.fixture(scope="module")
def here(programs, tmp_path_factory):
    with emulator(programs, tmp_path_factory.mktemp("bigquery")) as url:
        yield url


@pytest.fixture
def pipeline(project, programs, monkeypatch):
    """The example with its secret; `python` is the one that has the client."""
    monkeypatch.setenv("PATH", f"{programs}:{BIN}:{os.environ['PATH']}")
    shutil.copytree(EXAMPLE, project.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".wherry"))
    project.wherry("secrets", "set", "google-credentials", stdin='{"project_id": "demo"}')
    return project


def test_rows_are_read_changed_and_appended(pipeline, programs, here):
    seed(programs, here)
    done = pipeline.wherry("run", "append-names", "-e", f"BIGQUERY_EMULATOR_HOST={here}")
    assert done.stdout == "New rows have been added\n"
    assert table(programs, here) == ADDED


def test_an_attempt_that_fails_after_its_append_does_not_append_again(pipeline, programs, here):
    seed(programs, here)
    text = (pipeline.folder / "wherry.yaml").read_text(encoding="utf-8")
    pipeline.jobfile(
        text.replace("backoff: 1m", "backoff: 1s").replace(
            "[python, names.py]", "'python names.py; [ $WHERRY_ATTEMPT = 2 ]'"
        )
    )
    done = pipeline.wherry("run", "append-names", "-e", f"BIGQUERY_EMULATOR_HOST={here}")
    assert done.stdout.splitlines() == ["New rows have been added", "The rows were added before"]
    assert table(programs, here) == ADDED


def test_a_day_is_appended_once_however_often_it_is_run(pipeline, programs, here):
    seed(programs, here)
    text = (pipeline.folder / "wherry.yaml").read_text(encoding="utf-8")
    pipeline.jobfile(text.replace("people.names}", f'people.names, BIGQUERY_EMULATOR_HOST: "{here}"}}'))
    day = ("backfill", "append-names", "--from", "2026-03-01T05:00", "--to", "2026-03-02T05:00")
    pipeline.wherry(*day)
    assert table(programs, here) == ADDED
    pipeline.wherry(*day, "--tag", "again")
    runs = json.loads(pipeline.wherry("runs", "--json").stdout)
    assert [run["status"] for run in runs] == ["succeeded"] * 2
    assert table(programs, here) == ADDED


def bring_wheels(project, programs):
    """No package index can be reached from a build on every machine: what the image needs comes with its folder."""
    subprocess.run(
        [programs / "python", "-m", "pip", "download", "-q", "-c", CONSTRAINTS,
         "-r", EXAMPLE / "requirements.txt", "-d", project.folder / "wheels"],
        check=True, timeout=300,
    )  # fmt: skip
    dockerfile = project.folder / "Dockerfile"
    text = dockerfile.read_text(encoding="utf-8")
    here = "COPY wheels wheels\nRUN pip install --no-index --find-links wheels -c "
    shutil.copy(CONSTRAINTS, project.folder / "wheels" / "constraints.txt")
    text = re.sub(r"RUN pip install --no-cache-dir ", f"{here}wheels/constraints.txt ", text)
    dockerfile.write_text(text, encoding="utf-8")
    with (project.folder / ".dockerignore").open("a", encoding="utf-8") as ignored:
        ignored.write("!wheels\n")


def test_its_image_runs_here_and_deployed(programs, standin, docker_engine, tmp_path_factory):
    """`docker build` of the folder as it is; the credentials come as a secret, and are not in the image."""
    project = Project(tmp_path_factory.mktemp("pipeline"))
    shutil.copytree(EXAMPLE, project.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".wherry"))
    bring_wheels(project, programs)
    project.wherry("secrets", "set", "google-credentials", stdin='{"project_id": "demo"}')
    account = standin.account()
    cloud = Cloud(project, account)
    with emulator(programs, tmp_path_factory.mktemp("bigquery"), standin.settings.gateway) as url:
        seed(programs, url)
        given = ("-e", f"BIGQUERY_EMULATOR_HOST={url}")
        done = project.wherry("run", "append-names", "--executor", "docker", *given)
        assert done.stdout.endswith("New rows have been added\n")
        assert table(programs, url) == ADDED
        seed(programs, url)
        cloud.wherry("secrets", "set", "google-credentials", "--env", "prod", stdin='{"project_id": "demo"}')
        cloud.wherry("deploy", "--yes")
        done = cloud.wherry("run", "append-names", "--env", "prod", *given)
        assert done.stdout.endswith("New rows have been added\n")
        assert table(programs, url) == ADDED
        cloud.wherry("destroy", "--env", "prod", "--yes")
        cloud.wherry("secrets", "rm", "google-credentials", "--env", "prod")
    project.close()

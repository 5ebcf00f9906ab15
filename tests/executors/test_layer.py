"""The worker in images: what it leaves as it is, and what it cannot go into."""

import json
import subprocess
import sys

import pytest

from tests.conftest import BUSYBOX, PYTHON
from wherry.errors import UserError
from wherry.executors import agent, images, layer


def run(image, *options):
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", *options[:-1], image, *options[-1]],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def test_the_same_sources_are_the_same_bytes():
    script = "import sys; from wherry.executors import agent; sys.stdout.buffer.write(agent.packed('/usr/bin/python3'))"
    others = [subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout for _ in range(2)]
    assert others[0] == others[1] == agent.packed("/usr/bin/python3")
    assert others[0].startswith(b"#!/usr/bin/python3 -IS\nPK")


def test_an_image_keeps_what_it_has(docker_engine, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        f'FROM {PYTHON}\nENTRYPOINT ["echo", "own"]\nCMD ["words"]\nUSER 1234\nWORKDIR /srv\n'
    )
    said = []
    tag = layer.build(str(folder), images.NATIVE, said.append)
    assert said
    assert layer.build(str(folder), images.NATIVE, pytest.fail) == tag != images.tag_of(str(folder))
    assert run(tag, []) == "own words"
    assert run(tag, "--entrypoint", "sh", ["-c", "id -u; pwd"]) == "1234\n/srv"
    assert json.loads(run(tag, "--entrypoint", "cat", ["/opt/wherry/image.json"])) == {
        "Entrypoint": ["echo", "own"],
        "Cmd": ["words"],
    }
    assert "there is no WHERRY_WORKER" in run(tag, "--entrypoint", "/opt/wherry/worker", [])
    subprocess.run(["docker", "rmi", "--force", tag], capture_output=True, check=True)


def test_what_has_no_python_is_refused_by_name(docker_engine):
    with pytest.raises(UserError) as caught:
        layer.extend(BUSYBOX)
    assert str(caught.value) == f"image `{BUSYBOX}` has no Python 3.10 or later, which the worker needs"
    assert "`mode: self-polling`" in caught.value.hint


def test_what_has_an_old_python_is_told_so(docker_engine, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "python3").write_text("#!/bin/sh\necho 3 9 /bin/python3\n")
    (folder / "python3").chmod(0o755)
    (folder / "Dockerfile").write_text(f"FROM {BUSYBOX}\nCOPY python3 /bin/\n")
    with pytest.raises(
        UserError, match=r"has no Python 3\.10 or later, which the worker needs \(its `python3` is 3\.9\)"
    ):
        layer.build(str(folder))

"""Images of jobs in managed mode: the job's own, and over it one layer with the worker.

The layer leaves everything else of the image as it is: its entry point and command are written into a file beside the
worker, which stands in for them (`wherry.agent.job`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from wherry.agent.settings import ENTRY_POINT, FOLDER, IMAGE_FILE
from wherry.errors import UserError
from wherry.executors import agent, context, images
from wherry.executors.dockerd import DockerFailure, ask_once

#: The names that a Python has on an image's PATH, the usual one first.
_NAMES = ("python3", *(f"python3.{minor}" for minor in range(15, agent.PYTHON[1] - 1, -1)), "python")
_WHICH = 'import sys; print("%d %d" % sys.version_info[:2], sys.executable)'
_FORMAT = "exec format error"


def total_of(base: str) -> str:
    """A sum over what an image with a worker becomes; `base` is the sum or the digest of the image below."""
    return hashlib.sha256(f"{base}\0{agent.checksum()}".encode()).hexdigest()


def total_over(reference: str, platform: str) -> str:
    """The same for somebody else's image; one without a digest, which is on this machine alone, is known by its id."""
    found = reference
    if "@" not in reference:
        with contextlib.suppress(DockerFailure):
            found = str(asyncio.run(ask_once("GET", f"/images/{reference}/json"))["Id"])
    return total_of(f"{platform} {found}")


def build(folder: str, platform: str = images.NATIVE, show: Callable[[bytes], object] | None = None) -> str:
    """As `images.build`, with the worker; raises UserError for an image that the worker cannot run in, too."""
    tag = images.local_tag(total_of(images.fingerprint(folder, platform)))
    if not images.has(tag):
        base = images.build(folder, platform, show)
        _add(base, tag, platform, f"the image of `{folder}`", show)
    return tag


def extend(
    reference: str,
    platform: str = images.NATIVE,
    show: Callable[[bytes], object] | None = None,
    *,
    pull_with: Sequence[str] = (),
) -> str:
    """The same over somebody else's image; `pull_with` are the options of `logins.logged_in`."""
    tag = images.local_tag(total_over(reference, platform))
    if not images.has(tag):
        if not images.has(reference):
            images.pull(reference, platform, pull_with)
        _add(reference, tag, platform, f"image `{reference}`", show)
    return tag


def _add(base: str, tag: str, platform: str, called: str, show: Callable[[bytes], object] | None) -> None:
    """Build the layer, and see that the worker can work there."""
    files = {
        "Dockerfile": f"FROM {base}\nCOPY worker {os.path.basename(IMAGE_FILE)} {FOLDER}/\n".encode(),
        "worker": agent.packed(_interpreter(base, platform, called)),
        os.path.basename(IMAGE_FILE): json.dumps(_own(base)).encode(),
    }
    with tempfile.TemporaryFile() as packed:
        context.pack([], files, packed, executable=("worker",))
        command = ["build", "--platform", platform, "--tag", tag, "--force-rm", "-"]
        code, said = images.docker(*command, stdin=packed, show=show)
    if code:
        raise images.BuildFailed(f"the worker could not be put into {called}: {images.last_lines(said)}", said)
    code, said = _run(tag, platform, ENTRY_POINT[0], "--check")
    if code:
        images.docker("rmi", tag)
        hint = "add what is missing to the image, or take messages in the command itself: `mode: self-polling`"
        raise UserError(f"the worker cannot work in {called}: {images.last_lines(said, 1)}", hint=hint)


def _interpreter(base: str, platform: str, called: str) -> str:
    """The path of a Python in an image that is new enough; raises UserError where there is none."""
    seen = ""
    for name in _NAMES:
        code, said = _run(base, platform, name, "-IS", "-c", _WHICH)
        text = said.decode(errors="replace")
        if _FORMAT in text.lower():
            problem = f"{called} is for {platform}, and this machine cannot execute that, to put the worker in"
            raise UserError(
                problem, hint="`docker run --privileged --rm tonistiigi/binfmt --install all` makes it able to"
            )
        words = text.strip().splitlines()
        if code or not words:
            continue
        major, minor, path = words[-1].split(" ", 2)
        if (int(major), int(minor)) >= agent.PYTHON:
            return path
        seen = seen or f" (its `{name}` is {major}.{minor})"
    needed = ".".join(map(str, agent.PYTHON))
    raise UserError(
        f"{called} has no Python {needed} or later, which the worker needs{seen}",
        hint="install one in it (the job itself need not use it), or take messages in the command itself: "
        "`mode: self-polling`",
    )


def _run(image: str, platform: str, entry_point: str, *arguments: str) -> tuple[int, bytes]:
    return images.docker(
        *("run", "--rm", "--network", "none", "--platform", platform, "--entrypoint", entry_point, image, *arguments)
    )


def _own(image: str) -> dict[str, Any]:
    """The entry point and the command of an image (Docker Engine API, ImageInspect)."""
    found = asyncio.run(ask_once("GET", f"/images/{image}/json"))["Config"]
    return {name: found.get(name) or [] for name in ("Entrypoint", "Cmd")}

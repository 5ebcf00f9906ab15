"""Images: built from sources, found again by their sum, pushed to a registry and named there by digest.

Building, pulling and pushing is done by the `docker` program: it has BuildKit where that is there, and the person's
own logins. Nothing here knows whose registry it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import platform as machine
import re
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any

from wherry.executors import context, logins
from wherry.executors.dockerd import DockerError, DockerFailure, NoDocker, address, ask_once
from wherry.executors.logins import Credentials
from wherry.executors.process import call
from wherry.executors.recipe import Recipe, recipe
from wherry.executors.references import repository_of

#: What images are built for unless somebody says otherwise: what Fargate runs by default.
PLATFORM = "linux/amd64"
#: What this machine runs.
NATIVE = "linux/arm64" if machine.machine() in ("aarch64", "arm64") else "linux/amd64"
#: The local name of what is built here; the tag is the sum of the sources.
_LOCAL = "wherry-build"
#: Tells images that were built here from others.
_LABEL = "wherry.build"
#: The engine that we talk to has to have what is built, whichever builder the person uses otherwise; and statements
#: about the time of a build would make each another image.
_BUILDER = {"BUILDX_BUILDER": "default", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
_LAST_LINES = 5
_DIGEST = re.compile(rb"digest: (sha256:[0-9a-f]{64})")
#: Words of refusals that no second try changes.
_FINAL = (
    "not found",
    "does not exist",
    "denied",
    "unauthorized",
    "manifest unknown",
    "invalid reference",
    "no matching manifest",
)
_ABSENT = ("manifest unknown", "name unknown", "not found", "does not exist")


class ImageFailed(DockerFailure):
    """An image could not be built, pulled or pushed."""

    def __init__(self, message: str, output: bytes = b"", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.output = output
        self.is_passing = not any(word in message.lower() for word in _FINAL)


class BuildFailed(ImageFailed):
    """An image could not be built; `output` is all that the build said."""

    def __init__(self, message: str, output: bytes) -> None:
        super().__init__(message, output)
        self.is_passing = False


def fingerprint(folder: str, platform: str = PLATFORM) -> str:
    """A sum (64 hexadecimal digits) over all that decides what an image of the folder becomes.

    That is the platform, the Dockerfile (also one that is made up because there is none), and the name, content and
    executability of each file that the recipe leaves in the context; not times, owners, and where the folder is.
    Raises UserError for a folder that no image can be made of.
    """
    return _sources(folder, platform)[1]


def tag_of(folder: str, platform: str = NATIVE) -> str:
    """What the image of a folder's sources, as they are now, is called on this machine."""
    return local_tag(fingerprint(folder, platform))


def local_tag(total: str) -> str:
    """What an image of that sum is called on this machine."""
    return f"{_LOCAL}:{total[:32]}"


def build(folder: str, platform: str = NATIVE, show: Callable[[bytes], object] | None = None) -> str:
    """Build the image of a folder and give its local tag, `wherry-build:SUM`; unchanged sources build nothing.

    `show` gets each line that the build says. Raises BuildFailed with the last of them, and with all of them as
    `output`; UserError for a folder that no image can be made of; NoDocker when no engine answers.
    """
    how, total, found = _sources(folder, platform)
    tag = local_tag(total)
    if has(tag):
        return tag
    # A Dockerfile that .dockerignore leaves out is needed all the same.
    extra = {} if any(entry.path == "Dockerfile" for entry in found) else {"Dockerfile": how.dockerfile.encode()}
    # The label is always the same: with the sum in it, sources that change nothing in the image would make a new one.
    command = ["build", "--platform", platform, "--label", _LABEL, "--tag", tag, "--force-rm", "-"]
    with tempfile.TemporaryFile() as packed:
        context.pack(found, extra, packed)
        code, said = docker(*command, stdin=packed, show=show)
    if code:
        raise BuildFailed(f"the image of `{folder}` could not be built: {last_lines(said)}", said)
    return tag


def copy_context(folder: str, into: str) -> None:
    """Copy all that an image of the folder is built of, Dockerfile included, into a new folder; raises UserError."""
    how, _, found = _sources(folder, PLATFORM)
    with tempfile.TemporaryFile() as packed:
        context.pack(found, {"Dockerfile": how.dockerfile.encode()}, packed)
        context.unpack(packed, into)


def has(tag: str) -> bool:
    """True when this machine's engine has an image of that name."""
    try:
        asyncio.run(ask_once("GET", f"/images/{tag}/json"))
    except DockerError as error:
        if error.status != 404:
            raise
        return False
    return True


def pull(name: str, platform: str | None = None, options: Sequence[str] = ()) -> str:
    """Fetch an image from its registry and give its name; raises ImageFailed.

    Without a platform it is one for this machine; `options` are those of `logins.logged_in`.
    """
    code, said = docker(*options, "pull", "--quiet", *(("--platform", platform) if platform else ()), name)
    if code:
        raise ImageFailed(
            f"the image `{name}` cannot be pulled: {last_lines(said, 1)}",
            said,
            hint="is its name right, and its registry to be reached? `docker login` for one that is not public",
        )
    return name


def push(local_tag: str, repository: str, credentials: Credentials | None = None) -> str:
    """Push a local image to a repository, under the tag that it has here; gives its digest, `sha256:...`.

    What the registry has already is not pushed again. None: with the logins of the `docker` program.
    """
    reference = f"{repository}:{local_tag.rpartition(':')[2]}"
    known = remote_digest(reference, credentials)
    if known is not None:
        return known
    code, said = docker("tag", local_tag, reference)
    if not code:
        with logins.logged_in(repository, credentials) as options:
            code, said = docker(*options, "push", reference)
    digest = _DIGEST.search(said)
    if code or digest is None:
        raise ImageFailed(f"`{local_tag}` cannot be pushed to `{repository}`: {last_lines(said, 1)}", said)
    return digest[1].decode()


def remote_digest(reference: str, credentials: Credentials | None = None) -> str | None:
    """The digest that a reference (`REPOSITORY:TAG`) has in its registry, or None when the registry has no such image.

    Raises ImageFailed when the registry cannot be asked.
    """
    found = _described(reference, credentials)
    return None if found is None else str(found["Descriptor"]["digest"])


def platforms(reference: str, credentials: Credentials | None = None) -> frozenset[str] | None:
    """What an image is for, as `linux/amd64`, so far as its registry says it; None when that has no such image.

    Raises ImageFailed when the registry cannot be asked.
    """
    found = _described(reference, credentials)
    if found is None:
        return None
    named = {f"{each.get('os')}/{each.get('architecture')}" for each in found.get("Platforms") or ()}
    return frozenset(name for name in named if "unknown" not in name)  # attestations have no platform


def _described(reference: str, credentials: Credentials | None) -> dict[str, Any] | None:
    """What a registry says of an image (Docker Engine API, DistributionInspect); None: it has none of that name."""
    headers = {"X-Registry-Auth": logins.header(credentials or logins.stored(reference))}
    try:
        found: dict[str, Any] = asyncio.run(ask_once("GET", f"/distribution/{reference}/json", headers))
    except DockerError as error:
        if error.status == 404 or any(word in error.message.lower() for word in _ABSENT):
            return None
        raise ImageFailed(f"the registry of `{reference}` does not answer: {error.message}") from None
    return found


def pinned(reference: str, credentials: Credentials | None = None) -> str | None:
    """A reference by digest, `REPOSITORY@sha256:...`, as its registry has it now; None when nobody knows it.

    Where the registry cannot be asked, what this machine has pulled or pushed under that name counts.
    """
    if "@" in reference:
        return reference
    repository = repository_of(reference)
    try:
        digest = remote_digest(reference, credentials)
    except ImageFailed:
        digest = None
    return f"{repository}@{digest}" if digest else _local_digest(reference, repository)


def _local_digest(reference: str, repository: str) -> str | None:
    with contextlib.suppress(DockerError):
        digests = asyncio.run(ask_once("GET", f"/images/{reference}/json"))["RepoDigests"] or []
        return next((one for one in digests if one.partition("@")[0] == repository), None)
    return None


def _sources(folder: str, platform: str) -> tuple[Recipe, str, list[context.Entry]]:
    how = recipe(folder)
    found = context.entries(folder, how.ignore)
    # The Dockerfile counts once, also when the context leaves it out.
    parts = f"{platform}\0{how.dockerfile}\0{context.checksum(found)}"
    return how, hashlib.sha256(parts.encode()).hexdigest(), found


def docker(
    *arguments: str, stdin: IO[bytes] | None = None, show: Callable[[bytes], object] | None = None
) -> tuple[int, bytes]:
    """Run the `docker` program with the engine that we talk to; gives its exit code and what it said."""
    try:
        return call(["docker", "--host", address(), *arguments], stdin=stdin, show=show, env=os.environ | _BUILDER)
    except FileNotFoundError:
        hint = "install it: https://docs.docker.com/engine/install, on Debian `apt-get install docker.io`"
        raise NoDocker("there is no program `docker` on PATH, which builds and moves images", hint=hint) from None


def last_lines(said: bytes, count: int = _LAST_LINES) -> str:
    """The last lines of what a program said, as one."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-count:])

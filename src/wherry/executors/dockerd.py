"""The Docker Engine's API over its socket: the only door to containers.

Own code rather than the `docker` package: what is needed of HTTP is little, many answers are waited for at once (one
thread, no thread a container), and nothing has to be installed. Images are built and pushed by the `docker` program
(`images.py`), which knows the person's credential helpers.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from wherry.errors import WherryError

_DEFAULT = "unix:///var/run/docker.sock"
_CHUNK = 1 << 16


class DockerFailure(WherryError):
    """Docker did not do what it was asked for."""

    #: The same may work later.
    is_passing = False


class DockerError(DockerFailure):
    """The engine refused something."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
        # No room, no network; not a program that cannot be executed.
        self.is_passing = status >= 500 and "runtime create failed" not in message


class NoDocker(DockerFailure):
    """No Docker engine answers."""

    is_passing = True


def address() -> str:
    """The engine that the `docker` program here would use: DOCKER_HOST, else the current context, else the default."""
    host = os.environ.get("DOCKER_HOST")
    if host:
        return host
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    context = os.environ.get("DOCKER_CONTEXT") or _read(f"{folder}/config.json").get("currentContext", "default")
    if context == "default":
        return _DEFAULT
    name = hashlib.sha256(context.encode()).hexdigest()
    found = _read(f"{folder}/contexts/meta/{name}/meta.json").get("Endpoints", {}).get("docker", {}).get("Host")
    if not found:
        raise NoDocker(f"there is no Docker context `{context}`", hint="`docker context ls` lists them")
    return str(found)


def socket_of(host: str) -> str:
    """The socket's path; raises NoDocker for an engine of another machine, whose containers would not find ours."""
    if not host.startswith("unix://"):
        raise NoDocker(
            f"the Docker engine at `{host}` is not of this machine",
            hint="unset DOCKER_HOST or `docker context use default`; containers must reach the gateway here",
        )
    return host.removeprefix("unix://")


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return {}
    return content


class _Answer:
    """The answer to one request: its status, its body piece by piece."""

    def __init__(self, reader: asyncio.StreamReader, status: int, headers: dict[str, str], *, is_bare: bool) -> None:
        self._reader = reader
        self.status = status
        self._length = int(headers.get("content-length", -1))
        self._is_chunked = headers.get("transfer-encoding") == "chunked"
        self._is_bare = is_bare or status in (204, 304)
        #: The connection can be used again once the body was read.
        self.keep = headers.get("connection") != "close" and (self._is_chunked or self._is_bare or self._length >= 0)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises an OSError or EOFError when the connection breaks."""
        if self._is_bare:
            return
        if self._is_chunked:
            while size := int(await self._reader.readline() or b"!", 16):
                yield await self._reader.readexactly(size)
                await self._reader.readline()
            await self._reader.readline()
        elif self._length >= 0:
            yield await self._reader.readexactly(self._length)
        else:
            while piece := await self._reader.read(_CHUNK):
                yield piece

    async def body(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces()])


_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Dockerd:
    """One engine, asked from one event loop. Connections are kept for the next question.

    No version of the API is asked for: what is used here has not changed since Docker 20.10, and engines drop old ones.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: list[_Connection] = []

    async def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The answer as JSON; raises DockerError when it is refused, NoDocker when nobody answers."""
        async with self.stream(method, path, body, headers) as answer:
            try:
                content = await answer.body()
            except (OSError, EOFError, ValueError) as error:
                raise self._gone(error) from None
        return json.loads(content) if content.strip() else None

    @contextlib.asynccontextmanager
    async def stream(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> AsyncIterator[_Answer]:
        """The answer while it comes."""
        try:
            connection, answer = await self._send(method, path, body, headers or {})
        except (OSError, EOFError, ValueError) as error:
            raise self._gone(error) from None
        is_whole = False
        try:
            if answer.status >= 400:
                raise DockerError(_message(await answer.body()), answer.status)
            yield answer
            is_whole = answer.keep
        finally:
            if is_whole:
                self._idle.append(connection)
            else:
                connection[1].close()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop()[1].close()

    async def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[_Connection, _Answer]:
        content = b"" if body is None else json.dumps(body).encode()
        fields = {"Host": "docker", "Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n"
        while True:
            connection = self._idle.pop() if self._idle else None
            is_fresh = connection is None
            connection = connection or await asyncio.open_unix_connection(self._path, limit=_CHUNK)
            try:
                connection[1].write(head.encode() + content)
                return connection, await _answer(connection[0], is_bare=method == "HEAD")
            except (OSError, EOFError):
                connection[1].close()
                if is_fresh:  # else the engine was started again since: what we ask may be asked twice
                    raise
            except BaseException:
                connection[1].close()
                raise

    def _gone(self, error: Exception) -> NoDocker:
        said = (getattr(error, "strerror", None) or str(error) or "it hung up").lower()
        return NoDocker(
            f"no Docker engine answers at {self._path}: {said}",
            hint="start it (`sudo systemctl start docker`), or run without `--executor docker`",
        )


async def _answer(reader: asyncio.StreamReader, *, is_bare: bool) -> _Answer:
    status = await reader.readline()
    if not status:
        raise EOFError
    headers = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip().lower()
    return _Answer(reader, int(status.split(None, 2)[1]), headers, is_bare=is_bare)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()


async def ask_once(method: str, path: str, headers: dict[str, str] | None = None) -> Any:
    """Ask this machine's engine one thing."""
    dockerd = Dockerd(socket_of(address()))
    try:
        return await dockerd.ask(method, path, headers=headers)
    finally:
        dockerd.close()


async def frames(answer: _Answer) -> AsyncIterator[bytes]:
    """What a log stream holds, without the 8 bytes before each piece that say which of the two streams it is of."""
    buffer = b""
    async for piece in answer.pieces():
        buffer += piece
        position = 0
        while len(buffer) - position >= 8:
            end = position + 8 + int.from_bytes(buffer[position + 4 : position + 8])
            if end > len(buffer):
                break
            yield buffer[position + 8 : end]
            position = end
        buffer = buffer[position:]

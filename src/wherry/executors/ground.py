"""What all attempts that are containers stand on: the engine, its images, and how a container is made of one."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast
from urllib.parse import quote

from wherry.executors import Key, Launch, Part, images
from wherry.executors.containers import creation, labels_of, name_of, words_of
from wherry.executors.dockerd import Dockerd, DockerError

_CONFLICT = 409


class Ground:
    """One Docker engine, for the containers of one folder."""

    def __init__(self, dockerd: Dockerd, *, home: str, owner: str) -> None:
        self.dockerd = dockerd
        self.home = home
        self.owner = owner
        #: Images that are being fetched or built, by name or folder.
        self._coming: dict[str, asyncio.Task[str]] = {}
        #: Whether an image has a shell, by its id.
        self._has_shell: dict[str, bool] = {}

    async def image(self, name: str | None, folder: str) -> Mapping[str, Any]:
        """An image, fetched or built when it is not there; several who want it at once wait for the same."""
        tag = await _in_thread(images.tag_of, folder) if name is None else name
        with contextlib.suppress(DockerError):
            return await self._inspected(tag)
        task = self._coming.get(tag)
        if task is None:
            work = functools.partial(images.pull, name) if name else functools.partial(images.build, folder)
            task = self._coming[tag] = asyncio.create_task(_in_thread(work))
            task.add_done_callback(lambda _: self._coming.pop(tag, None))
        return await self._inspected(await asyncio.shield(task))

    async def _inspected(self, tag: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self.dockerd.ask("GET", f"/images/{tag}/json")
        return found

    async def create(self, key: Key, part: Part, launch: Launch, image: Mapping[str, Any], helper: str = "") -> str:
        """Make a container and give its id."""
        labels = labels_of(key, home=self.home, owner=self.owner, helper=helper)
        words = words_of(part, image)
        has_shell = self._has_shell.get(image["Id"])
        wanted = has_shell is not False
        body = creation(part, launch, words, image["Id"], labels, has_shell=wanted)
        if helper:
            # As in a task on ECS: they find each other on localhost.
            body["HostConfig"]["NetworkMode"] = f"container:{name_of(key)}"
        made = await self._created(name_of(key, helper), body)
        if has_shell is None:
            self._has_shell[image["Id"]] = await self._contains(made, "/bin/sh")
            if not self._has_shell[image["Id"]]:
                await self.remove(made)
                return await self.create(key, part, launch, image, helper)
        return made

    async def _created(self, name: str, body: Mapping[str, Any]) -> str:
        try:
            return str((await self.dockerd.ask("POST", f"/containers/create?name={name}", body))["Id"])
        except DockerError as error:
            if error.status != _CONFLICT:
                raise
        # Asked twice, because the engine hung up before it answered.
        return str((await self.dockerd.ask("GET", f"/containers/{name}/json"))["Id"])

    async def _contains(self, container: str, path: str) -> bool:
        try:
            await self.dockerd.ask("HEAD", f"/containers/{container}/archive?path={path}")
        except DockerError:
            return False
        return True

    async def listed(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """The containers with these labels, in any state."""
        filters = quote(json.dumps({"label": [f"{name}={value}" for name, value in labels.items()]}))
        found: list[dict[str, Any]] = await self.dockerd.ask("GET", f"/containers/json?all=1&filters={filters}")
        return found

    async def remove(self, container: str, *, force: bool = True) -> bool:
        """Remove a container with what it kept; False when it runs and is not to be forced."""
        try:
            await self.dockerd.ask("DELETE", f"/containers/{container}?v=1&force={int(force)}")
        except DockerError as error:
            return error.status != _CONFLICT or force
        return True


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


async def _in_thread(
    work: Callable[_Arguments, _Result], *arguments: _Arguments.args, **named: _Arguments.kwargs
) -> _Result:
    """Like `asyncio.to_thread`, in a thread that nobody waits for when the program ends: a pull can take an hour."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def settle(result: _Result | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(cast("_Result", result))
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work(*arguments, **named)
        except BaseException as caught:  # noqa: BLE001 - whoever waits is told
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True, name="image").start()
    return await future

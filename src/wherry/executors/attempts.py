"""One attempt as containers: made, waited for, its logs copied, removed. It all runs in the executor's loop."""

from __future__ import annotations

import asyncio
import contextlib
import io
import math
import os
from collections.abc import Mapping
from typing import Any

from wherry.errors import WherryError
from wherry.executors import Ended, Key, Launch, images
from wherry.executors.containers import ATTEMPT, HELPER, RUN, ended
from wherry.executors.dockerd import DockerError, NoDocker, frames
from wherry.executors.ground import Ground
from wherry.model import Ending, Outcome

#: How long helpers may take to end once the main container has, in seconds.
HELPER_GRACE = 10
#: The engine answers again after so long, or is asked once more, in seconds.
_PAUSE = 0.5
#: A log that is followed ends by itself with its container, at the latest so long after it, in seconds.
_LOG_PATIENCE = 5.0
#: Copying a log is tried so often after the end, for a disk may be full.
_COPY_TRIES = 3
_MISSING = 404


class Unstarted(Exception):
    """There is no container; the outcome says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Attempt:
    """An attempt's containers."""

    def __init__(self, ground: Ground, key: Key, *, log: str) -> None:
        self._ground = ground
        self._dockerd = ground.dockerd
        self._log = log
        self.key = key
        #: The main one's id.
        self.container = ""
        self._helpers: dict[str, str] = {}
        self._grace: float | None = None
        self._stopping = asyncio.Event()

    # --------------------------------------------------------------------------------------------- beginning

    async def begin(self, launch: Launch) -> None:
        """Make the containers and start them; raises Unstarted, DockerError or NoDocker when that does not work."""
        own = await self._awaited_image(launch.image, launch, launch.log)
        found = {
            name: await self._awaited_image(part.image, launch, launch.log) if part.image else own
            for name, part in launch.helpers.items()
        }
        try:
            self.container = await self._ground.create(self.key, launch, launch, own)
            for name, part in launch.helpers.items():
                self._helpers[name] = await self._ground.create(self.key, part, launch, found[name], name)
            await self._start()
        except (WherryError, asyncio.CancelledError):
            await self.remove()
            raise

    async def _awaited_image(self, name: str | None, launch: Launch, log: str) -> Mapping[str, Any]:
        """An image; a stop does not wait for it."""
        image = asyncio.ensure_future(self._ground.image(name, launch.folder))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({image, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not image.done():
                raise Unstarted(Outcome(ending=Ending.EXITED, exit_code=143, reason="it waited for its image"))
            return image.result()
        except images.BuildFailed as error:
            _append(log, error.output)
            raise
        finally:
            image.cancel()
            stop.cancel()

    async def _start(self) -> None:
        """The main one first, whose network the helpers share."""
        await self._dockerd.ask("POST", f"/containers/{self.container}/start")
        for name, container in self._helpers.items():
            try:
                await self._dockerd.ask("POST", f"/containers/{container}/start")
            except DockerError as error:
                if await self._has_ended():
                    return  # it was quicker than they, and does not need them any more
                raise DockerError(f"helper `{name}`: {error.message}", error.status) from None
        if self._grace is not None:
            await self.stop(self._grace)

    async def _has_ended(self) -> bool:
        inspected = await self._dockerd.ask("GET", f"/containers/{self.container}/json")
        return not inspected["State"]["Running"]

    async def find(self, *, was_started: bool) -> None:
        """Go on with what an engine that died has begun; raises Unstarted when there is nothing."""
        while True:
            containers = await self._patiently_listed()
            states = {one["Labels"].get(HELPER, ""): (one["Id"], one["State"]) for one in containers}
            self.container, state = states.pop("", ("", ""))
            self._helpers = {name: container for name, (container, _) in states.items()}
            if not self.container:
                await self.remove()
                raise Unstarted(_vanished() if was_started else _never_started())
            if state != "created":
                break
            # Not forced: the engine may have been told to start it, and be about to do so.
            if await self._ground.remove(self.container, force=False):
                await self.remove()
                raise Unstarted(_never_started())
        if state == "running":
            for container, state_of_helper in states.values():
                if state_of_helper == "created":
                    with contextlib.suppress(DockerError):
                        await self._dockerd.ask("POST", f"/containers/{container}/start")

    async def _patiently_listed(self) -> list[dict[str, Any]]:
        while True:
            try:
                return await self._ground.listed({RUN: self.key.run_id, ATTEMPT: str(self.key.attempt)})
            except NoDocker as error:  # the machine was started again, and Docker takes its time
                if self._stopping.is_set():
                    raise Unstarted(Outcome(ending=Ending.LOST, reason=error.message)) from None
                await asyncio.sleep(_PAUSE)

    # --------------------------------------------------------------------------------------------------- end

    async def stop(self, grace: float) -> None:
        """SIGTERM now, SIGKILL after `grace` seconds; before it has begun: give up."""
        self._grace = grace
        self._stopping.set()
        if self.container:
            await self._stop(self.container, grace)

    async def _stop(self, container: str, grace: float) -> None:
        while True:
            try:
                await self._dockerd.ask("POST", f"/containers/{container}/stop?t={math.ceil(grace)}")
            except NoDocker:
                await asyncio.sleep(_PAUSE)
            except DockerError:
                return  # it is gone
            else:
                return

    async def to_its_end(self) -> Ended:
        """Copy its logs until it ends; then end its helpers. Gives its end."""
        logs = {self.container: self._log}
        for name, container in self._helpers.items():
            logs[container] = f"{self._log.removesuffix('.log')}.{name}.log"
        followers = [asyncio.create_task(self._follow(container, log)) for container, log in logs.items()]
        try:
            inspected = await self._end_of(self.container)
            await asyncio.gather(*(self._stop(one, HELPER_GRACE) for one in self._helpers.values()))
            await asyncio.wait(followers, timeout=_LOG_PATIENCE)
        finally:
            for follower in followers:
                follower.cancel()
        if inspected is None:
            return Ended(self.key, _vanished())
        for container, log in logs.items():
            await self._copy_rest(container, log)
        return ended(self.key, inspected, _beginning(self._log))

    async def _end_of(self, container: str) -> Mapping[str, Any] | None:
        """What the engine knows of a container once it has ended; None when it knows none."""
        while True:
            try:
                await self._dockerd.ask("POST", f"/containers/{container}/wait")
                inspected: Mapping[str, Any] = await self._dockerd.ask("GET", f"/containers/{container}/json")
            except NoDocker:
                await asyncio.sleep(_PAUSE)
            except DockerError as error:
                if error.status == _MISSING:
                    return None
                await asyncio.sleep(_PAUSE)
            else:
                if not inspected["State"]["Running"]:
                    return inspected

    async def _follow(self, container: str, log: str) -> None:
        with contextlib.suppress(WherryError, OSError, EOFError, ValueError):  # what is missing is copied after the end
            await self._copy(container, log, follow=True)

    async def _copy_rest(self, container: str, log: str) -> None:
        """The end of a log: a log that is followed may stop short of it."""
        for _ in range(_COPY_TRIES):
            try:
                await self._copy(container, log, follow=False)
            except DockerError:
                return  # it is gone
            except (WherryError, OSError, EOFError, ValueError):
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def _copy(self, container: str, log: str, *, follow: bool) -> None:
        """Append to our copy what the engine has and it lacks."""
        with _appending(log) as file:
            known = os.fstat(file.fileno()).st_size
            path = f"/containers/{container}/logs?stdout=1&stderr=1&follow={int(follow)}"
            async with self._dockerd.stream("GET", path) as answer:
                async for frame in frames(answer):
                    if known >= len(frame):
                        known -= len(frame)
                    else:
                        file.write(frame[known:])
                        known = 0

    async def remove(self) -> None:
        """Remove its containers, and with them the engine's own copy of their logs."""
        for container in filter(None, [*self._helpers.values(), self.container]):
            with contextlib.suppress(NoDocker):  # the next one to start tidies up
                await self._ground.remove(container)


def _appending(path: str) -> io.FileIO:
    """A log, opened; what is written is in the file at once, for those who look at it meanwhile."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return io.FileIO(path, "ab")


def _append(path: str, text: bytes) -> None:
    with _appending(path) as file:
        file.write(text)


def _beginning(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1000)
    except OSError:  # a full disk
        return b""


def _vanished() -> Outcome:
    reason = "its container was removed by somebody else, so that how it ended is not known"
    return Outcome(ending=Ending.LOST, reason=reason)


def _never_started() -> Outcome:
    reason = "the engine was killed before it had started"
    return Outcome(ending=Ending.COULD_NOT_START, reason=reason, passing=True)

"""What runs write: the streams of CloudWatch Logs that the `awslogs` driver makes, one a container."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from wherry.aws.client import Aws, AwsError
from wherry.aws.runs import Runs
from wherry.aws.site import Site
from wherry.aws.visits import Visit
from wherry.errors import NotFound, UserError
from wherry.model import Run

#: How often a log is looked at while its run goes on, in seconds.
_PULSE = 1.0
#: CloudWatch shows what was written a little later: an attempt's log is complete when nothing has come for so long.
_LATE = 2.0
#: A stopped run has ended, its task may need its grace period.
_STOPPING = 150.0


class Logs:
    """Reads what runs write."""

    def __init__(self, site: Site, runs: Runs) -> None:
        self._site = site
        self._runs = runs

    def log(self, run: Run, attempt: int, helper: str = "", *, last: int | None = None) -> Iterator[bytes]:
        """What one attempt, or a helper in it, has written so far; of it the `last` bytes."""
        visits = self._runs.get(run.id).visits
        if not 0 < attempt <= len(visits):
            raise NotFound(f"run {run.id} has no attempt {attempt}", hint=f"it has {len(visits)} so far")
        stream = self._stream(visits[attempt - 1], helper)
        if stream is None:
            return iter(())
        return stream.more() if last is None else stream.end(last)

    def follow(self, run_id: str, *, after: int = 0) -> Iterator[bytes]:
        """What the run writes as it is written, all attempts but the first `after`, until it has ended."""
        listeners: dict[int, _Listener] = {}
        stopping_until: float | None = None
        while True:
            # First the state, then the logs: what was written before the end is not missed.
            reading = self._runs.get(run_id)
            has_ended = reading.run.status.ended
            if has_ended and reading.unsettled:
                self._runs.remember(run_id, reading.run.job)  # its task has not stopped: look again
                stopping_until = stopping_until or time.monotonic() + _STOPPING - self._age(reading.run)
                has_ended = time.monotonic() > stopping_until
            for number, visit in list(enumerate(reading.visits, 1))[after:]:
                if number not in listeners and (stream := self._stream(visit)):
                    listeners[number] = _Listener(stream)
                if number in listeners:
                    is_over = visit.ended_at is not None and (has_ended or not reading.run.status.ended)
                    yield from listeners[number].hear(is_over=is_over)
            if has_ended and all(listener.has_heard_all for listener in listeners.values()):
                return
            yield b""
            time.sleep(_PULSE)

    def _age(self, run: Run) -> float:
        """How long ago a run has ended, in seconds."""
        return (self._site.clock() - run.ended_at).total_seconds() if run.ended_at else 0.0

    def _stream(self, visit: Visit, helper: str = "") -> Stream | None:
        """The stream of a container; None when there is no task, or no such container in it. Raises UserError."""
        container = helper or visit.main
        described = self._runs.definition(visit.definition).get("containerDefinitions") or ()
        found: dict[str, Any] = next((one for one in described if one["name"] == container), {})
        if not found or not visit.arn:
            return None
        configuration = found.get("logConfiguration") or {}
        options = configuration.get("options") or {}
        if configuration.get("logDriver") != "awslogs" or not options.get("awslogs-stream-prefix"):
            raise UserError(
                f"the log of container `{container}` is not in CloudWatch Logs",
                hint="its task definition needs the log driver `awslogs` with `awslogs-stream-prefix`",
            )
        task_id = visit.arn.rpartition("/")[2]
        name = f"{options['awslogs-stream-prefix']}/{container}/{task_id}"
        return Stream(self._site.aws, options["awslogs-group"], name)


class Stream:
    """One log stream, or a part of it, read from its beginning on, or from its end."""

    def __init__(
        self, aws: Aws, group: str, name: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> None:
        self._aws = aws
        self._name: dict[str, Any] = {"logGroupName": group, "logStreamName": name}
        if since is not None:
            self._name["startTime"] = int(since.timestamp() * 1000)
        if until is not None:
            self._name["endTime"] = int(until.timestamp() * 1000) + 1  # what was written then is not included
        self._token: str | None = None

    def more(self) -> Iterator[bytes]:
        """What was not read before."""
        while True:
            answer = self._page(startFromHead=True, **({"nextToken": self._token} if self._token else {}))
            if answer is None:
                return
            if answer["events"]:
                yield _lines(answer["events"])
            if answer["nextForwardToken"] == self._token:
                return
            self._token = answer["nextForwardToken"]

    def end(self, size: int) -> Iterator[bytes]:
        """The last bytes."""
        chunks: deque[bytes] = deque()
        token: str | None = None
        while sum(map(len, chunks)) < size:
            answer = self._page(startFromHead=False, **({"nextToken": token} if token else {}))
            if answer is None or answer["nextBackwardToken"] == token:
                break
            token = answer["nextBackwardToken"]
            chunks.appendleft(_lines(answer["events"]))
        yield b"".join(chunks)[-size:]

    def _page(self, **options: Any) -> dict[str, Any] | None:
        """One page; None while there is no such stream: a container makes it with its first line."""
        try:
            return self._aws.call("logs", "get_log_events", **self._name, **options)
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise


class _Listener:
    """Hears one attempt to its end, and a little longer."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._closes_at: float | None = None
        self.has_heard_all = False

    def hear(self, *, is_over: bool) -> Iterator[bytes]:
        """What is new; `is_over`: the attempt has ended, and what still comes is late."""
        if self.has_heard_all:
            return
        for chunk in self._stream.more():
            self._closes_at = None
            yield chunk
        if is_over and self._closes_at is None:
            self._closes_at = time.monotonic() + _LATE
        self.has_heard_all = self._closes_at is not None and time.monotonic() >= self._closes_at


def _lines(events: list[dict[str, Any]]) -> bytes:
    """Each event is a line."""
    return b"".join(event["message"].encode() + b"\n" for event in events)

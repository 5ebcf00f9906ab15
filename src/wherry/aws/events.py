"""What happens in a stack, as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from wherry.aws.client import Aws, AwsError
from wherry.aws.failures import StackEvent
from wherry.aws.states import is_final

#: The stack's own statuses that an operation begins with.
_BEGINNINGS = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"}

Watch = Callable[[StackEvent], object]

#: The pause between two looks grows from the first to the last: DescribeStackEvents is throttled.
_FIRST_PAUSE = 0.2
_LAST_PAUSE = 3.0


def nobody(event: StackEvent) -> None:
    """Watch nothing."""


class Follower:
    """The events of one stack, each once and the oldest first. After its deletion only the stack's id finds them."""

    def __init__(self, aws: Aws, name: str, stack_id: str) -> None:
        self.stack_id = stack_id
        #: What happened since this follower began.
        self.seen: list[StackEvent] = []
        self._aws = aws
        self._name = name
        self._known: str | None = None
        self._began: str | None = None

    def skip(self) -> None:
        """Leave out what has happened until now."""
        newest = next(iter(self._newest_first()), None)
        self._known = newest.id if newest else None

    def join(self, watch: Watch = nobody) -> str:
        """Follow the operation that is under way from its beginning, and wait for its end."""
        for event in self._newest_first():
            if self._began is None and event.is_stack and event.status in _BEGINNINGS:
                self._began = event.id
        return self.wait(watch, status="")

    def wait(self, watch: Watch = nobody, *, status: str | None = None) -> str:
        """Pass on what happens until the stack says that it is over; gives the status then.

        Right after an operation was begun the stack may still show the status of the one before, so only an event
        counts as its end; where `status` is given, also a final status that begins with it.
        """
        pause = _FIRST_PAUSE
        while True:
            fresh = self._fresh()
            for event in fresh:
                watch(event)
            ended = next((event.status for event in reversed(fresh) if event.is_stack), "")
            if ended and is_final(ended):
                return ended
            if not fresh and status is not None:
                now = self._status()
                if now.startswith(status) and is_final(now):
                    return now
            pause = _FIRST_PAUSE if fresh else min(_LAST_PAUSE, pause * 1.5)
            time.sleep(pause)

    def _fresh(self) -> list[StackEvent]:
        fresh = []
        for event in self._newest_first():
            if event.id == self._known:
                break
            fresh.append(event)
            if event.id == self._began:
                break
        if fresh:
            self._known = fresh[0].id
        fresh.reverse()
        self.seen += fresh
        return fresh

    def _status(self) -> str:
        """The stack's status; deleted stacks are known by their id for 90 days."""
        try:
            answer = self._aws.call("cloudformation", "describe_stacks", StackName=self.stack_id)
        except AwsError as error:
            if "does not exist" in error.message:
                return "DELETE_COMPLETE"
            raise
        return str(answer["Stacks"][0]["StackStatus"])

    def _newest_first(self) -> Any:
        try:
            for event in self._aws.pages(
                "cloudformation", "describe_stack_events", "StackEvents", StackName=self.stack_id
            ):
                yield _event(event)
        except AwsError as error:
            if "does not exist" not in error.message:
                raise


def _event(told: dict[str, Any]) -> StackEvent:
    return StackEvent(
        id=told["EventId"],
        logical_id=told["LogicalResourceId"],
        kind=told.get("ResourceType", ""),
        status=told["ResourceStatus"],
        reason=told.get("ResourceStatusReason") or "",
        physical_id=told.get("PhysicalResourceId") or "",
        is_stack=told.get("PhysicalResourceId") == told["StackId"],
    )

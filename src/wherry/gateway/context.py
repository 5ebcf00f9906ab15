"""What every operation is given: the request, verified, and the services behind the gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wherry.gateway.access import Caller, Guard
from wherry.gateway.http import Request
from wherry.gateway.moves import Tasks
from wherry.gateway.sigv4 import Signature
from wherry.local.buckets import Buckets
from wherry.local.clock import Clock
from wherry.local.multipart import Multipart
from wherry.local.queues import Queues
from wherry.local.secrets import Secrets
from wherry.model import Event, Job, Run


class PutEvents(Protocol):
    """Takes events, all or none."""

    def __call__(self, *events: Event) -> object:
        """Take them; they are on disk when this returns."""
        ...


class StartRun(Protocol):
    """Starts the one run that a job has of a cause."""

    def __call__(self, job: str, cause: str, event: Event) -> Run:
        """Start it, or find it where it is there already; it is on disk when this returns."""
        ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of the local environment that the gateway serves."""

    buckets: Buckets
    multipart: Multipart
    secrets: Secrets
    queues: Queues
    #: Moves of dead letters under way.
    moves: Tasks
    put_events: PutEvents
    #: The job that a function's name means; None when there is none.
    function: Callable[[str], Job | None]
    start_run: StartRun
    guard: Guard
    clock: Clock
    region: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """One verified request."""

    request: Request
    signature: Signature
    caller: Caller
    services: Services
    request_id: str
    #: Decoded; repeated names keep their last value.
    query: dict[str, str]
    #: The whole body, of services that have small ones; empty for S3.
    body: bytes = b""

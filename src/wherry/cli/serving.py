"""Builds a gateway for a workspace: the one place that brings the engine's parts and the gateway's together."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wherry.aws.names import names_of
from wherry.errors import UserError, WherryError
from wherry.gateway.access import Guard, owner_credentials, run_credentials
from wherry.gateway.context import Services
from wherry.gateway.moves import Tasks
from wherry.gateway.server import Gateway
from wherry.local.crew import DOCKER, Host, executor_of
from wherry.local.environment import AwsAccess
from wherry.local.multipart import Multipart
from wherry.local.workspace import Workspace
from wherry.model import LOCAL_REGION, Event, InvokeTrigger, Job, JobFile, Run
from wherry.target import Wish


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A gateway that serves."""

    endpoint: str
    #: Where a job finds it, which may be in a container.
    job_endpoint: str
    key: bytes
    inherit: bool

    def access_for(self, run_id: str) -> AwsAccess | None:
        """A run's way to the gateway; None where jobs use the caller's own AWS configuration."""
        if self.inherit:
            return None
        access_key_id, secret = run_credentials(self.key, run_id)
        return AwsAccess(endpoint=self.job_endpoint, access_key_id=access_key_id, secret_access_key=secret)


@contextlib.contextmanager
def serve(workspace: Workspace, host: Host, port: int | None = None) -> Iterator[Serving]:
    """Serve a workspace while the context lasts; on a port of any number unless one is given."""
    key = workspace.home.key()
    jobfile = workspace.jobfile
    services = Services(
        buckets=workspace.buckets,
        multipart=Multipart(workspace.buckets),
        secrets=workspace.secrets,
        queues=workspace.queues,
        moves=Tasks(),
        put_events=workspace.intake.accept,
        function=lambda name: _function(workspace.jobfile, name),
        start_run=lambda job, cause, event: _start_run(workspace, job, cause, event),
        guard=Guard(key, lambda: workspace.jobfile, host.active_job, host.denied),
        clock=workspace.clock,
        region=region_of(jobfile),
    )
    addresses = _addresses(workspace)
    gateway = _gateway(services, port or 0, addresses)
    workspace.queues.polls.reopen()
    gateway.start()
    try:
        local = jobfile.environments.get("local")
        yield Serving(
            endpoint=gateway.endpoint,
            job_endpoint=f"http://{addresses[0]}:{gateway.port}" if addresses else gateway.endpoint,
            key=key,
            inherit=bool(local and local.aws == "inherit"),
        )
    finally:
        workspace.queues.polls.end()  # else a long poll keeps its connection, and its receiver, waiting
        gateway.stop()


def _function(jobfile: JobFile, name: str) -> Job | None:
    """The job whose function is meant: by the job's own name, or by what the function is called on AWS."""
    for job in jobfile.jobs.values():
        if any(isinstance(trigger, InvokeTrigger) for trigger in job.triggers):
            there = (names_of(jobfile, environment).function(job.name) for environment in jobfile.environments)
            if name in (job.name, *there):
                return job
    return None


def _start_run(workspace: Workspace, job: str, cause: str, event: Event) -> Run:
    wish = Wish(job=job, trigger=InvokeTrigger.kind, cause=cause, event=event)
    run_id = workspace.intake.by_hand(wish)
    found = workspace.history.get(run_id) if run_id else workspace.history.of_cause(job, cause)
    assert found is not None  # noqa: S101 - a job has a run of a cause, or gets one
    return found


def _addresses(workspace: Workspace) -> list[str]:
    """Where the gateway must answer beside loopback: containers have a loopback of their own."""
    if executor_of(workspace) != DOCKER:
        return []
    from wherry.executors.docker import bridge

    return [bridge()]


def _gateway(services: Services, port: int, addresses: list[str]) -> Gateway:
    try:
        return Gateway(services, port, addresses=addresses)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        raise WherryError(
            f"containers find this machine at {addresses[0]}, which is none of its addresses",
            hint="use a Docker engine that runs on this machine itself: not Docker Desktop, not a rootless one",
        ) from None


@contextlib.contextmanager
def serve_again(workspace: Workspace, host: Host, port: int | None) -> Iterator[Serving]:
    """Serve on the given port, else on that of last time when it is free.

    What was started before a restart, and every shell that read `wherry env`, finds the engine where it was.
    """
    memory = Path(workspace.home.root, "port")
    with contextlib.ExitStack() as stack:
        try:
            last = int(memory.read_text(encoding="ascii")) if memory.exists() else 0
            serving = stack.enter_context(serve(workspace, host, port or last))
        except OSError as error:
            if port:
                raise UserError(f"port {port} cannot be used: {(error.strerror or str(error)).lower()}") from None
            serving = stack.enter_context(serve(workspace, host))
        memory.write_text(serving.endpoint.rpartition(":")[2], encoding="ascii")
        yield serving


def owner_variables(workspace: Workspace, endpoint: str) -> dict[str, str]:
    """The environment that makes any AWS client the folder's owner."""
    access_key_id, secret = owner_credentials(workspace.home.key())
    access = AwsAccess(endpoint=endpoint, access_key_id=access_key_id, secret_access_key=secret)
    return access.variables(region_of(workspace.jobfile))


def region_of(jobfile: JobFile) -> str:
    """The region that the local environment says it is."""
    local = jobfile.environments.get("local")
    return (local and local.region) or LOCAL_REGION

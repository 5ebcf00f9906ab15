"""Starts executions of the run machines, gives runs further rounds, and ends them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from wherry.aws import endings
from wherry.aws.client import AwsError
from wherry.aws.names import execution_name
from wherry.aws.runs import Runs
from wherry.aws.site import Site
from wherry.causes import LARGEST_INPUT, SMALLER, is_patient, queues_of, replayed_run, wants_file
from wherry.errors import UserError
from wherry.ids import RunIds
from wherry.messages import run_id_of
from wherry.model import Event, Job, JobFile, Overrides, Status, complete_event
from wherry.target import Wish


class Starts:
    """Starts runs by hand, retries and ends them."""

    def __init__(self, site: Site, runs: Runs) -> None:
        self._site = site
        self._runs = runs
        self._ids = RunIds()

    def start(self, wish: Wish) -> str | None:
        """Start an execution; gives the run's id, None when the job has a run of that cause already."""
        job = self._site.jobfile.job(wish.job)
        if wants_file(job if wish.overrides.command is None else replace(job, command=())):
            raise _needs_message(self._site.jobfile, job, wish)
        now = self._site.clock()
        run_id = run_id_of(job.name, wish.cause) if wish.cause else self._ids.new(now)
        document = input_of(wish, wish.event or self._by_hand(complete_event({}, now=now)))
        if not self._execute(job.name, run_id, document):
            return None
        self._runs.remember(run_id, job.name)
        return run_id

    def retry(self, run_id: str) -> None:
        """Give a run that has not succeeded another round: an execution of the machine as it is deployed now."""
        job = self._runs.job_of(run_id)
        self._site.jobfile.job(job)
        self._runs.remember(run_id, job)
        reading = self._runs.get(run_id)
        run = reading.run
        if not run.status.ended:
            raise UserError(f"run {run_id} has not ended", hint=f"it is {run.status}; `wherry stop {run_id}` ends it")
        if run.status is Status.SUCCEEDED:
            raise UserError(f"run {run_id} has succeeded", hint=f"to run its event once more: `wherry replay {run_id}`")
        document = {**reading.given, "asked": str(uuid.uuid4()), "run": run_id, "earlier": len(run.attempts)}
        is_ours = self._execute(job, execution_name(run_id, reading.rounds + 1), document)
        self._runs.remember(run_id, job, rounds=reading.rounds + 1)
        if not is_ours:
            raise UserError(f"run {run_id} was retried by somebody else just now", hint=f"`wherry show {run_id}`")

    def _execute(self, job: str, name: str, document: Mapping[str, Any]) -> bool:
        """Start an execution of a job's machine; False when somebody else has started it. Raises UserError."""
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        if (size := len(text.encode())) > LARGEST_INPUT:
            raise UserError(
                f"the run's input has {size:,} bytes, and Step Functions takes {LARGEST_INPUT:,} at most", hint=SMALLER
            )
        arn = self._site.names.machine_arn(job)
        try:
            self._site.aws.call("stepfunctions", "start_execution", stateMachineArn=arn, name=name, input=text)
        except AwsError as error:
            if error.code == "ExecutionAlreadyExists":
                # the first answer may have been lost, and the run may have ended since: it is ours all the same
                return self._is_ours(f"{arn.replace(':stateMachine:', ':execution:')}:{name}", document["asked"])
            if error.code == "StateMachineDoesNotExist":
                raise self._not_deployed(job) from None
            raise
        return True

    def stop(self, run_id: str) -> None:
        """End a run's execution, and with it its task."""
        job = self._runs.job_of(run_id)
        self._runs.remember(run_id, job)
        reading = self._runs.get(run_id)
        if reading.run.status.ended:
            raise UserError(f"run {run_id} has ended already", hint=f"`wherry show {run_id}`")
        arn = self._site.names.execution_arn(job, run_id, reading.rounds)
        said = endings.STOPPED
        self._site.aws.call("stepfunctions", "stop_execution", executionArn=arn, error="Stopped", cause=said)
        self._runs.remember(run_id, job)

    def _is_ours(self, arn: str, asked: str) -> bool:
        found = self._site.aws.call("stepfunctions", "describe_execution", executionArn=arn)
        return bool(json.loads(found["input"]).get("asked") == asked)

    def _by_hand(self, event: Event) -> Event:
        """The event of a run without one says where it is."""
        place = {"account": self._site.aws.account, "region": self._site.aws.region}
        return Event(document={**event.document, **place})

    def _not_deployed(self, job: str) -> UserError:
        """Nothing is, or this job is not yet."""
        others = [name for name in self._site.jobfile.jobs if name != job]
        return self._site.not_deployed(job if any(map(self._is_deployed, others)) else None)

    def _is_deployed(self, job: str) -> bool:
        try:
            arn = self._site.names.machine_arn(job)
            self._site.aws.call("stepfunctions", "describe_state_machine", stateMachineArn=arn)
        except AwsError as error:
            if error.code == "StateMachineDoesNotExist":
                return False
            raise
        return True


def _needs_message(jobfile: JobFile, job: Job, wish: Wish) -> UserError:
    """The machine could only start a run that fails: the file of a message is its worker's."""
    ways = " or ".join(_ways(jobfile, job))
    replayed = replayed_run(wish.cause)
    if not replayed:
        said = f"job `{job.name}` works on the file of a message (`${{event.file}}`), and a run by hand has no message"
        return UserError(f"{said} on AWS", hint=f"send one: {ways}")
    return UserError(
        f"run {replayed} worked on the file of its message (`${{event.file}}`), and a replay on AWS has no message",
        hint=f"`wherry retry {replayed}` has its message tried again when it failed, `wherry replay {replayed} --here` "
        f"runs its event on this machine; a new message is a new run: {ways}",
    )


def _ways(jobfile: JobFile, job: Job) -> Iterator[str]:
    """How a person makes a message that a job takes."""
    for queue in (jobfile.queues[name] for name in queues_of(job)):
        if queue.feed and queue.feed.bucket:
            yield f"`wherry cp FILE s3://{queue.feed.bucket}/{queue.feed.prefix}NAME{queue.feed.suffix}`"
        yield f"`wherry queue send {queue.name} {'--group NAME ' if queue.is_fifo else ''}BODY`"


def input_of(wish: Wish, event: Event) -> dict[str, Any]:
    """What a run machine is given.

    `asked` makes no two inputs alike: Step Functions takes a second start of the same name and input for a repetition
    of the first one, and we want to know whose run it is.
    """
    asked = str(uuid.uuid4())
    document: dict[str, Any] = {
        "job": wish.job,
        "trigger": wish.trigger,
        "cause": wish.cause or f"manual:{asked}",
        "event": dict(event.document),
        "asked": asked,
    }
    if wish.overrides != Overrides():
        overrides = wish.overrides
        command = {} if overrides.command is None else {"command": list(overrides.command)}
        document["overrides"] = {**command, "args": list(overrides.args), "env": dict(overrides.env)}
    if is_patient(wish.cause):
        document["patient"] = True
    return document

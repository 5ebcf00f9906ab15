"""Starts and stops executions of the run machines."""

from __future__ import annotations

import json
import uuid
from typing import Any

from wherry.aws import endings
from wherry.aws.client import AwsError
from wherry.aws.names import run_id_of
from wherry.aws.runs import Runs
from wherry.aws.site import Site
from wherry.causes import is_patient
from wherry.errors import UserError
from wherry.ids import RunIds
from wherry.model import Event, Overrides, complete_event
from wherry.target import Wish

#: Step Functions' limit for an execution's input, in bytes.
_LARGEST_INPUT = 262_144


class Starts:
    """Starts runs by hand, and ends them."""

    def __init__(self, site: Site, runs: Runs) -> None:
        self._site = site
        self._runs = runs
        self._ids = RunIds()

    def start(self, wish: Wish) -> str | None:
        """Start an execution; gives the run's id, None when the job has a run of that cause already."""
        job = self._site.jobfile.job(wish.job)
        now = self._site.clock()
        run_id = run_id_of(job.name, wish.cause) if wish.cause else self._ids.new(now)
        document = input_of(wish, wish.event or self._by_hand(complete_event({}, now=now)))
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        if (size := len(text.encode())) > _LARGEST_INPUT:
            raise UserError(
                f"the run's input has {size:,} bytes, and Step Functions takes {_LARGEST_INPUT:,} at most",
                hint="put what is large into a bucket, and its key into the event",
            )
        arn = self._site.names.machine_arn(job.name)
        try:
            self._site.aws.call("stepfunctions", "start_execution", stateMachineArn=arn, name=run_id, input=text)
        except AwsError as error:
            if error.code == "ExecutionAlreadyExists":
                # the first answer was lost, and the run has ended since: it is ours all the same
                return run_id if self._is_ours(job.name, run_id, document["asked"]) else None
            if error.code == "StateMachineDoesNotExist":
                raise self._not_deployed(job.name) from None
            raise
        self._runs.remember(run_id, job.name)
        return run_id

    def stop(self, run_id: str) -> None:
        """End an execution, and with it its task."""
        job = self._runs.job_of(run_id)
        self._runs.remember(run_id, job)
        if self._runs.get(run_id).run.status.ended:
            raise UserError(f"run {run_id} has ended already", hint=f"`wherry show {run_id}`")
        arn = self._site.names.execution_arn(job, run_id)
        said = endings.STOPPED
        self._site.aws.call("stepfunctions", "stop_execution", executionArn=arn, error="Stopped", cause=said)
        self._runs.remember(run_id, job)

    def _is_ours(self, job: str, run_id: str, asked: str) -> bool:
        arn = self._site.names.execution_arn(job, run_id)
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

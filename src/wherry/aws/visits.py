"""One attempt as an execution's history tells it, and what becomes of it in the model. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from wherry import reasons
from wherry.aws.outcomes import main_of, moment
from wherry.aws.usage import usage_of
from wherry.model import Attempt, Ending, Job, Outcome, Run, Status

#: A task that ECS says to be here has begun.
_BEGUN = frozenset({"RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED"})


@dataclass(kw_only=True)
class Visit:
    """One attempt, as the history tells it."""

    scheduled_at: datetime
    #: RunTask's parameters.
    parameters: Mapping[str, Any]
    #: The attempt's bound, in seconds.
    bound: float | None = None
    task: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome | None = None
    ended_at: datetime | None = None

    @property
    def overrides(self) -> Mapping[str, Any]:
        """What the run changes of its task definition."""
        found: Mapping[str, Any] = self.parameters.get("Overrides") or {}
        return found

    @property
    def main(self) -> str:
        """The name of the container that decides."""
        return main_of(self.overrides, self.task)

    @property
    def arn(self) -> str:
        """The task's ARN; empty until there is one."""
        return str(self.task.get("TaskArn") or "")

    @property
    def definition(self) -> str:
        """The task definition: its ARN where that is known, else what RunTask was given."""
        return str(self.task.get("TaskDefinitionArn") or self.parameters.get("TaskDefinition") or "")

    @property
    def may_not_have_begun(self) -> bool:
        """Its time was over, and nothing says that it had begun: the start is in it."""
        is_late = self.outcome is not None and self.outcome.ending is Ending.TIMED_OUT
        return is_late and not self.task.get("StartedAt")

    @property
    def status(self) -> Status:
        """Where an attempt that has not ended stands."""
        begun = self.task.get("LastStatus") in _BEGUN
        return Status.RUNNING if begun or (self.outcome and self.outcome.succeeded) else Status.STARTING


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a history says."""

    run: Run
    visits: tuple[Visit, ...]
    #: The run machine's input.
    given: Mapping[str, Any] = field(default_factory=dict)
    #: How many executions it had so far.
    rounds: int = 1

    @property
    def unsettled(self) -> tuple[str, ...]:
        """The ARNs of tasks that ECS knows more about than the history.

        They are under way, were stopped with their run, or ran out of time: who knows whether they had begun?
        """
        last = self.visits[-1] if self.visits else None
        is_open = last is not None and (last.ended_at is None or self.run.status is Status.STOPPED)
        found = [visit for visit in self.visits if visit.may_not_have_begun or (is_open and visit is last)]
        return tuple(visit.arn for visit in found if visit.arn and not visit.task.get("StoppedAt"))


def attempt_of(number: int, visit: Visit) -> Attempt:
    """The attempt of that number."""
    started = moment(visit.task.get("StartedAt")) or visit.scheduled_at
    ran = not reasons.never_began(visit.outcome)
    return Attempt(
        number=number,
        started_at=started,
        ended_at=visit.ended_at and max(visit.ended_at, started),
        outcome=visit.outcome,
        process=visit.arn,
        usage=usage_of(visit.task, visit.parameters, asked_at=visit.scheduled_at if ran else None),
    )


#: What every container is given, whatever its job.
_COMMON = frozenset({"AWS_REGION", "AWS_DEFAULT_REGION", "PYTHONUNBUFFERED"})
_FACTS = "WHERRY_"


def resolved(reading: Reading, definitions: Mapping[str, Mapping[str, Any]], spec: Job | None = None) -> Run:
    """The run with its own command and environment: the last attempt's overrides over its task definition's container.

    `spec` is what the job file says of it: it may name a variable that every container is given.
    """
    if not reading.visits:
        return reading.run
    visit = reading.visits[-1]
    definition = definitions.get(visit.definition, {})
    containers = definition.get("containerDefinitions") or ()
    container: Mapping[str, Any] = next((one for one in containers if one.get("name") == visit.main), {})
    overrides = visit.overrides.get("ContainerOverrides") or ()
    given: Mapping[str, Any] = next((one for one in overrides if one.get("Name") == visit.main), {})
    variables = {one["name"]: one.get("value", "") for one in container.get("environment") or ()}
    variables |= {one["Name"]: one.get("Value", "") for one in given.get("Environment") or ()}
    command = [*(container.get("entryPoint") or ()), *(given.get("Command") or container.get("command") or ())]
    common = _COMMON - (spec.env.keys() if spec else set()) - reading.run.overrides.env.keys()
    own = {name: text for name, text in variables.items() if name not in common and not name.startswith(_FACTS)}
    return replace(reading.run, command=tuple(str(word) for word in command), env=own)

"""Puts events on the environment's bus, and tells which runs they make."""

from __future__ import annotations

import functools
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from wherry import announcements, causes
from wherry.aws.runs import Runs
from wherry.aws.site import Site
from wherry.errors import UserError, WherryError
from wherry.messages import run_id_of
from wherry.model import Event, EventTrigger, Run
from wherry.pattern import Pattern

#: PutEvents takes so many at once.
_BATCH = 10
#: A rule and the dispatcher need about a second; who waits so long for a run waits in vain.
_PATIENCE = 20.0
_PULSE = 0.5
#: What may go better the next time.
_PASSING = ("ThrottlingException", "InternalException", "InternalFailure")
_TRIES = 4


class Bus:
    """The event bus of an environment."""

    def __init__(self, site: Site, runs: Runs) -> None:
        self._site = site
        self._runs = runs

    def emit(self, events: Sequence[Event]) -> list[Run]:
        """Put events on the bus; gives the runs that they made."""
        for event in events:
            if event.source.startswith("aws."):
                raise UserError(
                    f"the source `{event.source}` is reserved for AWS",
                    hint="sources that begin with `aws.` are refused",
                )
            causes.check_size(event, self._started_by)
        # a call whose answer is lost is repeated, and gives each event a new id: by its token it stays the same
        events = [_marked(event) for event in events]
        entries = [self._entry(event) for event in events]
        ids: list[str] = []
        for first in range(0, len(entries), _BATCH):
            ids += self._put(entries[first : first + _BATCH])
        return self._made_by([self._as_sent(event, event_id) for event, event_id in zip(events, ids, strict=True)])

    def _entry(self, event: Event) -> dict[str, Any]:
        document = event.document
        return {
            "Source": event.source,
            "DetailType": event.detail_type,
            "Detail": json.dumps(event.detail, ensure_ascii=False),
            "EventBusName": self._site.environment.bus.name,
            "Time": document["time"],
            "Resources": [str(one) for one in document["resources"]],
        }

    def _put(self, entries: Sequence[dict[str, Any]]) -> list[str]:
        """Put a few; gives their ids. What was refused for a moment is put again, the rest is named."""
        ids: dict[int, str] = {}
        refused: dict[int, dict[str, Any]] = {}
        for tries in range(_TRIES):
            todo = [number for number in range(len(entries)) if number not in ids]
            answer = self._site.aws.call("events", "put_events", Entries=[entries[number] for number in todo])
            refused = {}
            for number, result in zip(todo, answer["Entries"], strict=True):
                if result.get("EventId"):
                    ids[number] = result["EventId"]
                else:
                    refused[number] = result
            if not refused or any(result.get("ErrorCode") not in _PASSING for result in refused.values()):
                break
            time.sleep(_PULSE * 2**tries)
        if refused:
            named = [
                f"`{entries[number]['Source']}` `{entries[number]['DetailType']}`: "
                f"{result.get('ErrorCode')}: {result.get('ErrorMessage')}"
                for number, result in refused.items()
            ]
            accepted = f" ({len(ids)} of these {len(entries)} were accepted)" if len(entries) > 1 else ""
            raise WherryError(f"the bus refuses {'; '.join(named)}{accepted}")
        return [ids[number] for number in range(len(entries))]

    def _as_sent(self, event: Event, event_id: str) -> Event:
        """The event as rules see it."""
        given = {"id": event_id, "account": self._site.aws.account, "region": self._site.aws.region}
        return Event(document={**event.document, **given})

    @functools.cached_property
    def _rules(self) -> list[tuple[tuple[str, str], Pattern]]:
        return list(causes.rules_of(self._site.jobfile, self._site.bucket_name))

    def _started_by(self, event: Event) -> list[str]:
        """The jobs of the job file that an event starts."""
        led_here = announcements.chain_of(event)
        return [
            job
            for (job, kind), rule in self._rules
            # what a person emits is never an upload, nor the end of a run, which Step Functions itself tells
            if kind == EventTrigger.kind and job not in led_here and rule.matches(event.document)
        ]

    def _made_by(self, events: Sequence[Event]) -> list[Run]:
        """The runs that events make, once they are there: which ones these are follows from the job file."""
        expected: dict[str, str] = {}
        for event in events:
            cause = causes.cause_of(event)
            expected |= {run_id_of(job, cause): job for job in self._started_by(event)}
        found: dict[str, Run] = {}
        patient_until = time.monotonic() + _PATIENCE
        while len(found) < len(expected):
            missing = [(job, run_id) for run_id, job in expected.items() if run_id not in found]
            readings = self._site.aws.together(lambda one: self._runs.look_up(*one), missing)
            found |= {reading.run.id: self._runs.resolved(reading) for reading in readings if reading}
            if len(found) < len(expected) and time.monotonic() > patient_until:
                jobs = ", ".join(f"`{job}`" for run_id, job in expected.items() if run_id not in found)
                raise WherryError(
                    f"the bus has accepted the event, and {jobs} should have begun and did not",
                    hint=f"is the job file deployed as it is? `wherry deploy --env {self._site.environment.name}`",
                )
            if len(found) < len(expected):
                time.sleep(_PULSE)
        return [found[run_id] for run_id in expected]


def _marked(event: Event) -> Event:
    """The event with a token that makes it the same event again."""
    resources = event.document.get("resources")
    given = resources if isinstance(resources, list) else []
    return Event(document={**event.document, "resources": [*given, f"{causes.ONCE}{uuid.uuid4()}"]})

"""Rows of the store as records of the model, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wherry.local.clock import from_ms
from wherry.local.database import Row
from wherry.model import Attempt, Ending, Event, Outcome, Overrides, Run, Status


def run_of(row: Row, attempts: Iterable[Row]) -> Run:
    """A run, from its row joined with its event's document, and the rows of its attempts."""
    return Run(
        id=row["id"],
        job=row["job"],
        trigger=row["trigger"],
        cause=row["cause"],
        event=Event(document=json.loads(row["document"])),
        status=Status(row["status"]),
        created_at=from_ms(row["created_ms"]),
        due_at=from_ms(row["due_ms"]),
        command=tuple(json.loads(row["command"])),
        env=json.loads(row["env"]),
        overrides=_load_overrides(row["overrides"]),
        attempts=tuple(attempt_of(attempt) for attempt in attempts),
        asked_at=from_ms(row["asked_ms"]),
        earlier_attempts=row["earlier_attempts"],
        ended_at=None if row["ended_ms"] is None else from_ms(row["ended_ms"]),
        reason=row["reason"],
    )


def attempt_of(row: Row) -> Attempt:
    """An attempt."""
    outcome = None
    if row["ending"] is not None:
        outcome = Outcome(
            ending=Ending(row["ending"]),
            exit_code=row["exit_code"],
            reason=row["reason"],
            passing=bool(row["passing"]),
        )
    return Attempt(
        number=row["number"],
        started_at=from_ms(row["started_ms"]),
        ended_at=None if row["ended_ms"] is None else from_ms(row["ended_ms"]),
        outcome=outcome,
        process=row["process"] or "",
        peak_memory=row["peak_memory"],
        cpu_seconds=row["cpu_seconds"],
    )


def dump_document(event: Event) -> str:
    """An event's document as one line of JSON; with escapes where it holds half a character, which is no text alone."""
    text = json.dumps(event.document, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(event.document, separators=(",", ":"))
    return text


def dump_overrides(overrides: Overrides) -> str:
    """Overrides as the store keeps them."""
    return "{}" if overrides == Overrides() else json.dumps(dataclasses.asdict(overrides))


def _load_overrides(text: str) -> Overrides:
    if text == "{}":
        return Overrides()
    values: Mapping[str, Any] = json.loads(text)
    command: Sequence[str] | None = values["command"]
    return Overrides(command=None if command is None else tuple(command), args=tuple(values["args"]), env=values["env"])

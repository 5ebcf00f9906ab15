"""The store of runs: each method is one step of a run's life, one transaction, on disk when it returns.

Who writes what: whoever accepts an event adds runs (`add`); the process that executes a run owns its row from `claim`
to `decide`; nobody else changes it, but anybody may ask for its end (`request_stop`). A run whose owner has died is
taken over by the next engine (`owned`, `adopt`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wherry.errors import NotFound
from wherry.local.clock import from_ms, to_ms
from wherry.local.database import Database, Row, Transaction, load_sql
from wherry.model import Attempt, Ending, Event, Outcome, Overrides, Run, Status

if TYPE_CHECKING:
    from wherry.lifecycle import Decision

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH = 16
_RANDOM_BITS = 30


@dataclass(frozen=True, kw_only=True)
class Firing:
    """Where a schedule stands."""

    #: The instant from which `rate()` counts.
    anchor: datetime
    #: The last firing that became a run, or None.
    last: datetime | None


class RunIds:
    """Makes ids that sort by time: 10 letters of milliseconds, 6 of chance, in Crockford's Base32.

    Within one process each id is greater than the one before, also within a millisecond.
    """

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def new(self, now: datetime) -> str:
        """A new id."""
        number = (to_ms(now) << _RANDOM_BITS) | int.from_bytes(os.urandom(4), "big") >> (32 - _RANDOM_BITS)
        with self._lock:
            if number <= self._last:
                number = self._last + 1
            self._last = number
        return "".join(ALPHABET[(number >> shift) & 31] for shift in range(5 * (_ID_LENGTH - 1), -1, -5))


class Runs:
    """Runs, attempts and firings in the store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_sql("runs")
        self._ids = RunIds()

    def add(
        self,
        transaction: Transaction,
        *,
        job: str,
        trigger: str,
        cause: str,
        event: Event,
        now: datetime,
        overrides: Overrides = Overrides(),
        owner: str | None = None,
    ) -> str | None:
        """Add a queued run; None when the job already has a run of that cause.

        With an `owner` the run is that process's own: no engine claims it.
        """
        document = json.dumps(event.document, ensure_ascii=False, separators=(",", ":"))
        # A run by hand may bring any event, also one whose id was seen before with other content.
        event_key = cause if trigger == "manual" else event.id
        transaction.execute(self._sql["add_event"], {"id": event_key, "accepted_ms": to_ms(now), "document": document})
        run_id = self._ids.new(now)
        added = transaction.execute(
            self._sql["add_run"],
            {
                "id": run_id,
                "job": job,
                "trigger": trigger,
                "cause": cause,
                "event_id": event_key,
                "status": Status.QUEUED,
                "created_ms": to_ms(now),
                "due_ms": to_ms(now),
                "overrides": _dump_overrides(overrides),
                "owner": owner,
            },
        )
        return run_id if added.rowcount else None

    def claim(self, run_id: str, owner: str, now: datetime) -> Run | None:
        """Take a due, queued run and open its next attempt; None when it is somebody else's, or not due."""

        def work(transaction: Transaction) -> bool:
            parameters = {"id": run_id, "owner": owner, "now_ms": to_ms(now)}
            if not transaction.execute(self._sql["claim_run"], parameters).rowcount:
                return False
            self._open_attempt(transaction, run_id, now)
            return True

        return self.get(run_id) if self._database.write(work) else None

    def started(self, run: Run, process: str) -> None:
        """The run's last attempt has a process; its resolved command and environment are kept for `show`."""

        def work(transaction: Transaction) -> None:
            number = run.attempts[-1].number
            transaction.execute(self._sql["attempt_started"], {"run_id": run.id, "number": number, "process": process})
            transaction.execute(
                self._sql["run_started"],
                {"id": run.id, "command": json.dumps(run.command), "env": json.dumps(dict(run.env))},
            )

        self._database.write(work)

    def decide(self, run: Run, outcome: Outcome, decision: Decision, now: datetime) -> None:
        """The run's last attempt ended with `outcome`, and the run becomes what `decision` says."""

        def work(transaction: Transaction) -> None:
            if run.attempts:
                transaction.execute(
                    self._sql["attempt_ended"],
                    {
                        "run_id": run.id,
                        "number": run.attempts[-1].number,
                        "now_ms": to_ms(now),
                        "ending": outcome.ending,
                        "exit_code": outcome.exit_code,
                        "reason": outcome.reason,
                    },
                )
            transaction.execute(
                self._sql["run_decided"],
                {
                    "id": run.id,
                    "status": decision.status,
                    "due_ms": to_ms(decision.due_at) if decision.due_at else None,
                    "ended_ms": to_ms(now) if decision.status.ended else None,
                    "reason": decision.reason,
                },
            )

        self._database.write(work)

    def request_stop(self, run_id: str) -> bool:
        """Ask for the run's end; False when it has ended already."""
        return bool(self._database.write(lambda tx: tx.execute(self._sql["request_stop"], {"id": run_id}).rowcount))

    def stop_queued(self, run_id: str, now: datetime) -> None:
        """End a run that waits, without an attempt; nothing happens when it waits no more."""
        parameters = {"id": run_id, "now_ms": to_ms(now)}
        self._database.write(lambda tx: tx.execute(self._sql["stop_queued"], parameters).rowcount)

    def stop_requests(self) -> list[tuple[str, Status]]:
        """The open runs that somebody wants stopped."""
        with self._database.reading() as connection:
            return [(row["id"], Status(row["status"])) for row in connection.execute(self._sql["stop_requests"])]

    def queued(self) -> list[tuple[str, datetime]]:
        """The runs that wait for an engine, and when they are due."""
        with self._database.reading() as connection:
            return [(row["id"], from_ms(row["due_ms"])) for row in connection.execute(self._sql["queued_runs"])]

    def owned(self) -> list[tuple[str, str]]:
        """The open runs that some process owns, and that owner."""
        with self._database.reading() as connection:
            return [(row["id"], row["owner"]) for row in connection.execute(self._sql["owned_runs"])]

    def adopt(self, run_id: str, *, old_owner: str, owner: str) -> bool:
        """Take a run over from a dead owner; False when another engine was quicker."""
        parameters = {"id": run_id, "old_owner": old_owner, "owner": owner}
        return bool(self._database.write(lambda tx: tx.execute(self._sql["adopt_run"], parameters).rowcount))

    def release(self, run_id: str, owner: str) -> None:
        """Let any engine claim a queued run that was `owner`'s."""
        self._database.write(lambda tx: tx.execute(self._sql["release_run"], {"id": run_id, "owner": owner}))

    def get(self, run_id: str) -> Run:
        """One run with its attempts; raises NotFound."""
        with self._database.reading() as connection:
            row = connection.execute(self._sql["run"], {"id": run_id}).fetchone()
            if row is None:
                raise NotFound(f"there is no run `{run_id}`", hint="`wherry runs` lists them")
            return _run(row, connection.execute(self._sql["attempts"], {"run_id": run_id}))

    def find(self, reference: str) -> Run:
        """The run of an id or of the beginning of one; raises NotFound when none or several fit."""
        wanted = reference.lower()
        with self._database.reading() as connection:
            rows = connection.execute(self._sql["ids_like"], {"first": wanted, "last": wanted + "~"}).fetchall()
        if len(rows) == 1:
            return self.get(rows[0]["id"])
        if rows:
            several = ", ".join(row["id"] for row in rows)
            raise NotFound(f"`{reference}` is the beginning of several runs: {several}", hint="type more of the id")
        raise NotFound(f"there is no run `{reference}`", hint="`wherry runs` lists them")

    def listing(
        self,
        *,
        job: str | None = None,
        statuses: Iterable[Status] | None = None,
        since: datetime | None = None,
        limit: int = 20,
    ) -> list[Run]:
        """The newest runs, newest first."""
        parameters = {
            "job": job,
            "statuses": json.dumps([status.value for status in statuses]) if statuses is not None else None,
            "since_ms": to_ms(since) if since else None,
            "limit": limit,
        }
        with self._database.reading() as connection:
            rows = connection.execute(self._sql["list_runs"], parameters).fetchall()
            return [_run(row, connection.execute(self._sql["attempts"], {"run_id": row["id"]})) for row in rows]

    def counts(self, since: datetime | None = None) -> dict[Status, int]:
        """How many runs stand where, of those made since then."""
        with self._database.reading() as connection:
            rows = connection.execute(self._sql["counts"], {"since_ms": to_ms(since) if since else None})
            return {Status(row["status"]): row["runs"] for row in rows}

    def firing(self, job: str, trigger: str, *, now: datetime) -> Firing:
        """Where a schedule stands; one that is seen for the first time is anchored now."""
        keys = {"job": job, "trigger": trigger}
        self._database.write(lambda tx: tx.execute(self._sql["keep_anchor"], {**keys, "anchor_ms": to_ms(now)}))
        with self._database.reading() as connection:
            row = connection.execute(self._sql["firing"], keys).fetchone()
        last = None if row["last_ms"] is None else from_ms(row["last_ms"])
        return Firing(anchor=from_ms(row["anchor_ms"]), last=last)

    def keep_firing(self, transaction: Transaction, job: str, trigger: str, fired_at: datetime) -> None:
        """Remember that a schedule fired."""
        transaction.execute(self._sql["keep_firing"], {"job": job, "trigger": trigger, "last_ms": to_ms(fired_at)})

    def _open_attempt(self, transaction: Transaction, run_id: str, now: datetime) -> None:
        row = transaction.execute("select count(*) from attempts where run_id = ?", (run_id,)).fetchone()
        parameters = {"run_id": run_id, "number": row[0] + 1, "now_ms": to_ms(now)}
        transaction.execute(self._sql["add_attempt"], parameters)


def _run(row: Row, attempts: Iterable[Row]) -> Run:
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
        attempts=tuple(_attempt(attempt) for attempt in attempts),
        ended_at=None if row["ended_ms"] is None else from_ms(row["ended_ms"]),
        reason=row["reason"],
    )


def _attempt(row: Row) -> Attempt:
    outcome = None
    if row["ending"] is not None:
        outcome = Outcome(ending=Ending(row["ending"]), exit_code=row["exit_code"], reason=row["reason"])
    return Attempt(
        number=row["number"],
        started_at=from_ms(row["started_ms"]),
        ended_at=None if row["ended_ms"] is None else from_ms(row["ended_ms"]),
        outcome=outcome,
        process=row["process"] or "",
    )


def _dump_overrides(overrides: Overrides) -> str:
    if overrides == Overrides():
        return "{}"
    return json.dumps(dataclasses.asdict(overrides))


def _load_overrides(text: str) -> Overrides:
    if text == "{}":
        return Overrides()
    values: Mapping[str, Any] = json.loads(text)
    command: Sequence[str] | None = values["command"]
    return Overrides(command=None if command is None else tuple(command), args=tuple(values["args"]), env=values["env"])


def this_process() -> str:
    """Who owns a run that this process executes."""
    from wherry.executors.process import identify

    return identify(os.getpid())

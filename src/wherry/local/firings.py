"""The ledger of schedules in the store: where each stands, and what should have started and did not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from wherry.local.clock import from_ms, to_ms
from wherry.local.database import Database, Row, Transaction, load_sql
from wherry.model import iso_seconds
from wherry.target import Missed


@dataclass(frozen=True, kw_only=True)
class Firing:
    """Where a schedule stands."""

    #: The instant from which `rate()` counts, and before which nothing was due.
    anchor: datetime
    #: The last firing that was dealt with, or None.
    last: datetime | None


class Late(NamedTuple):
    """A scheduled run that has not begun long after it was due."""

    run_id: str
    job: str
    #: `TRIGGER FIRE-TIME`
    cause: str
    created_at: datetime
    admitted: bool


class Firings:
    """Where each schedule stands, and what was missed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_sql("firings")

    def known(self) -> Mapping[tuple[str, str], Firing]:
        """Where every schedule stands that an engine has seen: (job, trigger) -> firing."""
        with self._database.reading() as connection:
            return {(row["job"], row["trigger"]): _firing(row) for row in connection.execute(self._sql["all"])}

    def anchor(self, schedules: Iterable[tuple[str, str]], now: datetime) -> Mapping[tuple[str, str], Firing]:
        """Where these schedules stand; those that are seen for the first time are anchored now."""
        wanted = set(schedules)
        known = self.known()
        new = [schedule for schedule in wanted if schedule not in known]
        gone = [schedule for schedule in known if schedule not in wanted]
        if not new and not gone:
            return known

        def work(transaction: Transaction) -> None:
            for job, trigger in gone:
                # One that is not in the file any more begins anew when it comes back: it has missed nothing.
                transaction.execute(self._sql["forget"], {"job": job, "trigger": trigger})
            for job, trigger in new:
                parameters = {"job": job, "trigger": trigger, "anchor_ms": to_ms(now)}
                transaction.execute(self._sql["keep_anchor"], parameters)

        self._database.write(work)
        return self.known()

    def keep(self, transaction: Transaction, job: str, trigger: str, fired_at: datetime) -> None:
        """Remember that a schedule was dealt with up to this firing."""
        transaction.execute(self._sql["keep"], {"job": job, "trigger": trigger, "last_ms": to_ms(fired_at)})

    def miss(
        self,
        transaction: Transaction,
        *,
        job: str,
        trigger: str,
        fires_at: datetime,
        reason: str,
        now: datetime,
        late: bool = False,
    ) -> bool:
        """Note a firing that did not start; False when that was noted before, or it has its run.

        `late`: its run is there, and has not begun.
        """
        parameters = {
            "job": job,
            "trigger": trigger,
            "fires_ms": to_ms(fires_at),
            "noticed_ms": to_ms(now),
            "reason": reason,
            "cause": cause_of_firing(trigger, fires_at),
            "late": late,
        }
        return bool(transaction.execute(self._sql["miss"], parameters).rowcount)

    def missed(self, *, since: datetime, limit: int = 50) -> list[Missed]:
        """What was noted since then, the latest firing first."""
        with self._database.reading() as connection:
            rows = connection.execute(self._sql["missed"], {"since_ms": to_ms(since), "limit": limit})
            return [Missed(job=row["job"], fires_at=from_ms(row["fires_ms"]), reason=row["reason"]) for row in rows]

    def late(self, before: datetime) -> list[Late]:
        """The scheduled runs, made before then, that have not begun."""
        with self._database.reading() as connection:
            return [
                Late(row["id"], row["job"], row["cause"], from_ms(row["created_ms"]), bool(row["admitted"]))
                for row in connection.execute(self._sql["late"], {"before_ms": to_ms(before)})
            ]


def cause_of_firing(trigger: str, fires_at: datetime) -> str:
    """What makes a firing one run of its job."""
    return f"{trigger} {iso_seconds(fires_at)}"


def _firing(row: Row) -> Firing:
    last = None if row["last_ms"] is None else from_ms(row["last_ms"])
    return Firing(anchor=from_ms(row["anchor_ms"]), last=last)

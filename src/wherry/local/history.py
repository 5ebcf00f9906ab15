"""Reads runs from the store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from wherry.causes import queue_of_worker
from wherry.errors import NotFound
from wherry.ids import first_of
from wherry.local.clock import to_ms
from wherry.local.database import Database, Row, load_sql
from wherry.local.records import run_of
from wherry.messages import queue_of
from wherry.model import Run, Status


class History:
    """What is known of runs; each method sees what is committed when it begins."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_sql("runs")

    def get(self, run_id: str) -> Run:
        """One run with its attempts; raises NotFound."""
        runs = self._read("run", {"id": run_id})
        if not runs:
            raise NotFound(f"there is no run `{run_id}`", hint="`wherry runs` lists them")
        return runs[0]

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

    def of_cause(self, job: str, cause: str) -> Run | None:
        """The run that a job has of a cause."""
        with self._database.reading() as connection:
            row = connection.execute(self._sql["of_cause"], {"job": job, "cause": cause}).fetchone()
        return self.get(row["id"]) if row else None

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
            "first": first_of(since) if since else "",
            "limit": limit,
        }
        return self._read("list", parameters)

    def dead(
        self, *, job: str | None = None, reason: str | None = None, since: datetime | None = None, limit: int = -1
    ) -> list[Run]:
        """The dead letters, newest first; `reason` is a part of their reason, `since` when they died."""
        since_ms = to_ms(since) if since else 0
        return self._read("list_dead", {"job": job, "reason": reason, "since_ms": since_ms, "limit": limit})

    def dead_count(self) -> int:
        """How many dead letters there are."""
        with self._database.reading() as connection:
            return int(connection.execute(self._sql["dead_count"]).fetchone()[0])

    def counts(self, since: datetime | None = None) -> dict[Status, int]:
        """How many runs stand where, of those made since then."""
        with self._database.reading() as connection:
            rows = connection.execute(self._sql["counts"], {"first": first_of(since) if since else ""})
            return {Status(row["status"]): row["runs"] for row in rows}

    def at_work(self) -> Counter[str]:
        """How many attempts work on each queue's messages: those of runs of messages, and workers that poll."""
        with self._database.reading() as connection:
            causes = [row["cause"] for row in connection.execute(self._sql["at_work"])]
        return Counter(queue_of(cause) or queue_of_worker(cause) for cause in causes)

    def stumbled(self) -> dict[str, Run]:
        """Queue -> the run of a message that waits because it could not start: of several the one tried last."""
        with self._database.reading() as connection:
            rows = connection.execute(self._sql["stumbled"]).fetchall()
        last = {queue_of(row["cause"]) or "": row["id"] for row in rows}
        return {queue: self.get(run_id) for queue, run_id in last.items()}

    def fired(self, since: datetime) -> dict[tuple[str, str], int]:
        """How many runs triggers have made since then: (job, kind of trigger) -> how many."""
        with self._database.reading() as connection:
            rows = connection.execute(self._sql["fired"], {"first": first_of(since)})
            return {(row["job"], row["trigger"]): row["runs"] for row in rows}

    def _read(self, statement: str, parameters: Mapping[str, object]) -> list[Run]:
        with self._database.reading() as connection:
            rows: list[Row] = connection.execute(self._sql[statement], parameters).fetchall()
            return [run_of(row, connection.execute(self._sql["attempts"], {"id": row["id"]})) for row in rows]

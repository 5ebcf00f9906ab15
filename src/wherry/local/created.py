"""Queues that clients have created (`create_queues: true`): what the store says of them is all there is.

It is asked each time, because any process may have created or deleted one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from wherry.local.clock import Clock, to_ms
from wherry.local.database import Database, Transaction, load_sql
from wherry.local.queue_records import Settings

SQL = load_sql("queues")


class Created:
    """The queues that no job file declares."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        #: Whether the job file lets clients create queues; those that they have created are out of reach otherwise.
        self.is_allowed = False

    def beside(self, declared: Collection[str]) -> dict[str, Settings]:
        """Those that there are, without names that are declared as well."""
        if not self.is_allowed:
            return {}
        with self._database.reading() as connection:
            rows = connection.execute(SQL["created"]).fetchall()
        found = {row["name"]: Settings.load(row["settings"]) for row in rows if row["name"] not in declared}
        # Where the queue for dead letters has gone, messages stay where they are.
        return {
            name: each
            if each.letters in found or each.letters in declared
            else replace(each, letters=None, max_receives=None)
            for name, each in found.items()
        }

    def add(self, settings: Settings) -> None:
        """Create a queue, unless somebody else just has."""
        asked = {"name": settings.name, "settings": settings.dump(), "now_ms": to_ms(self._clock())}
        self._database.write(lambda transaction: transaction.execute(SQL["create"], asked))

    def change(self, settings: Settings) -> None:
        """The queue is like this from now on."""
        asked = {"name": settings.name, "settings": settings.dump(), "now_ms": to_ms(self._clock())}
        self._database.write(lambda transaction: transaction.execute(SQL["change"], asked))

    def remove(self, name: str) -> None:
        """Delete a queue with its messages."""

        def work(transaction: Transaction) -> None:
            if transaction.execute(SQL["remove"], {"name": name}).rowcount:
                transaction.execute(SQL["purge"], {"queue": name})
                transaction.execute(SQL["forget_queue"], {"name": name})

        self._database.write(work)

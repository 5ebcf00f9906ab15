"""The only door to SQLite: transactions that share their fsync, pooled readers, named SQL.

Guarantees. When `write` returns, its changes are on disk (WAL, `synchronous=FULL`), unless the writer has said that
they need not be: then they survive the end of this process at any instant, and reach the disk with the next commit that
must; only a power cut in between takes them back. Writers that come together share one transaction and one fsync
(group commit): the first becomes the leader and commits for all that wait behind it, so a lone writer pays no hand-over
between threads. One writer's exception undoes that writer's changes alone. Several processes may open the same file;
they take turns.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3  # noqa: TID251 - this is the door
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from wherry.errors import WherryError

Result = TypeVar("Result")
Parameters = Sequence[Any] | Mapping[str, Any]
Row = sqlite3.Row
Connection = sqlite3.Connection

#: How long a process waits for another one's transaction, in seconds.
BUSY_SECONDS = 30


def load_sql(name: str) -> dict[str, str]:
    """The statements of `sql/NAME.sql`: each stands under a line `-- name: STATEMENT`."""
    with open(os.path.join(os.path.dirname(__file__), "sql", f"{name}.sql"), encoding="utf-8") as file:
        text = file.read()
    pieces = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return {title: body.strip() for title, body in zip(pieces[::2], pieces[1::2], strict=True)}


class Transaction:
    """What a writer may do: execute statements, and ask for something to happen once they are on disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._after: list[Callable[[], object]] = []
        self._otherwise: list[Callable[[], object]] = []

    def execute(self, statement: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        _check_open(self._connection)
        return self._connection.execute(statement, parameters)

    @contextlib.contextmanager
    def nested(self) -> Iterator[None]:
        """What is done inside is undone, alone, when it raises."""
        _check_open(self._connection)
        self._connection.execute("savepoint nested")
        asked, wanted = len(self._after), len(self._otherwise)
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("rollback to nested")
            del self._after[asked:]
            while len(self._otherwise) > wanted:
                self._otherwise.pop()()
            raise
        finally:
            if self._connection.in_transaction:
                self._connection.execute("release nested")

    def after_commit(self, callback: Callable[[], object]) -> None:
        """Call back when the transaction is on disk, in the writer's own thread; never when it failed."""
        self._after.append(callback)

    def otherwise(self, callback: Callable[[], object]) -> None:
        """Call back when the transaction is undone; never when it is on disk."""
        self._otherwise.append(callback)


class _Ticket(Generic[Result]):
    """One writer's work, waiting for its turn."""

    def __init__(self, work: Callable[[Transaction], Result], *, durable: bool) -> None:
        self._work = work
        self.durable = durable
        self.done = False
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._transaction: Transaction | None = None

    def run(self, connection: sqlite3.Connection, path: str) -> bool:
        """Do the work; keep its result or its exception. False when it failed."""
        self._transaction = transaction = Transaction(connection)
        try:
            self._result = self._work(transaction)
        except Exception as error:  # noqa: BLE001 - it is the writer's own, and raised in the writer's thread
            self._error = _explained(error, path)
            return False
        return True

    def run_among_others(self, connection: sqlite3.Connection, path: str) -> None:
        """As `run`, between two savepoints: a failure undoes this work alone."""
        _check_open(connection)
        connection.execute("savepoint ticket")
        is_done = self.run(connection, path)
        _check_open(connection)
        if not is_done:
            connection.execute("rollback to ticket")
        connection.execute("release ticket")

    def fail(self, error: BaseException) -> None:
        """The whole transaction failed: nothing of this work is on disk."""
        self._error = error

    def settle(self) -> Result:
        """In the writer's thread: raise, or run the callbacks and give the result."""
        transaction = self._transaction
        if self._error is not None:
            for callback in transaction._otherwise if transaction else ():  # noqa: SLF001 - the two are one mechanism
                callback()
            raise self._error
        for callback in transaction._after if transaction else ():  # noqa: SLF001
            callback()
        return self._result  # type: ignore[return-value]  # set whenever there is no error


class Database:
    """One SQLite file; safe to share between threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._turn = threading.Lock()
        #: The thread whose turn it is.
        self._turn_of: int | None = None
        self._waiting: deque[_Ticket[Any]] = deque()
        self._readers: list[sqlite3.Connection] = []
        self._writer = self._connect()
        self._durable = True
        self._migrate()

    def write(self, work: Callable[[Transaction], Result], *, durable: bool = True) -> Result:
        """Run `work` in a transaction; its changes are on disk when this returns, or need not be (`durable=False`).

        Whatever `work` raises is raised here, and its changes are undone. Raises WherryError when the disk is full or
        another process holds the file for too long.
        """
        if self._turn_of == threading.get_ident():
            raise AssertionError("a transaction within a transaction: it would wait for itself, and the store for it")
        ticket = _Ticket(work, durable=durable)
        self._waiting.append(ticket)
        with self._turn:
            if not ticket.done:
                self._turn_of = threading.get_ident()
                try:
                    self._commit_waiting()
                finally:
                    self._turn_of = None
        return ticket.settle()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading; each statement sees what is committed when it begins."""
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        except sqlite3.Error as error:
            raise _explained(error, self._path) from error
        finally:
            self._readers.append(connection)

    def close(self) -> None:
        """Close all connections; nobody may be using the database."""
        with self._turn:
            for connection in (self._writer, *self._readers):
                connection.close()
            self._readers.clear()

    def _commit_waiting(self) -> None:
        tickets = [self._waiting.popleft() for _ in range(len(self._waiting))]
        connection = self._writer
        try:
            self._set_durable(any(ticket.durable for ticket in tickets))
            connection.execute("begin immediate")
            if len(tickets) == 1:
                if tickets[0].run(connection, self._path):
                    connection.execute("commit")
                elif connection.in_transaction:  # a full disk has ended it already
                    connection.execute("rollback")
            else:
                for ticket in tickets:
                    ticket.run_among_others(connection, self._path)
                connection.execute("commit")
        except BaseException as error:  # noqa: BLE001 - every waiting writer must learn of it
            failure = _explained(error, self._path)
            with contextlib.suppress(sqlite3.Error):
                connection.execute("rollback")
            for ticket in tickets:
                ticket.fail(failure)
        finally:
            for ticket in tickets:
                ticket.done = True

    def _set_durable(self, durable: bool) -> None:
        """Whether the next commit waits for the disk: SQLite takes the word for it only between transactions."""
        if durable != self._durable:
            self._writer.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            self._durable = durable

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            connection.row_factory = sqlite3.Row
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.execute("pragma foreign_keys = on")
        except sqlite3.Error as error:
            raise _explained(error, self._path) from error
        return connection

    def _migrate(self) -> None:
        """Bring the file to the present schema; each step runs once and in one transaction."""
        steps = load_sql("schema")
        if self._version() >= len(steps):
            return
        with self._turn:
            self._writer.execute("begin immediate")
            # Asked again: another process may have come first.
            for number, step in enumerate(steps.values(), start=1):
                if number > self._version():
                    for statement in step.split(";\n"):
                        self._writer.execute(statement)
                    self._writer.execute(f"pragma user_version = {number}")
            self._writer.execute("commit")

    def _version(self) -> int:
        return int(self._writer.execute("pragma user_version").fetchone()[0])


def _check_open(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.Error where SQLite has ended the transaction by itself, as it does when the disk is full.

    What is executed after that would be on disk at once, alone, however the others fare (sqlite.org, "Transaction",
    "Response To Errors Within A Transaction").
    """
    if not connection.in_transaction:
        raise sqlite3.OperationalError("the transaction was undone: the disk is full, or cannot be read or written")


def _explained(error: BaseException, path: str) -> BaseException:
    """The same failure in words for a person, where it is SQLite's."""
    if not isinstance(error, sqlite3.Error):
        return error
    hint = None
    if "full" in str(error):
        hint = f"free some space on the disk of {os.path.dirname(path)}"
    elif "locked" in str(error):
        hint = "another process holds the file; see `wherry status`"
    failure = WherryError(f"the store {path} cannot be used: {error}", hint=hint)
    failure.__cause__ = error
    return failure

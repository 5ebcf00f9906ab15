import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from tests.conftest import wait_for
from wherry.errors import WherryError
from wherry.local.database import Database

INSERT = "insert into events values (?, 0, '{}')"


@pytest.fixture
def database(tmp_path):
    database = Database(str(tmp_path / "wherry.db"))
    yield database
    database.close()


def count(database: Database) -> int:
    with database.reading() as connection:
        return connection.execute("select count(*) from events").fetchone()[0]


def test_a_write_is_there_for_every_reader(database):
    assert database.write(lambda tx: tx.execute(INSERT, ("a",)).rowcount) == 1
    assert count(database) == 1


def test_a_failed_write_leaves_nothing_and_raises_in_its_own_thread(database):
    def work(transaction):
        transaction.execute(INSERT, ("a",))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.write(work)
    assert count(database) == 0


def test_callbacks_run_after_the_commit_and_not_after_a_failure(database):
    seen = []

    def good(transaction):
        transaction.execute(INSERT, ("a",))
        transaction.after_commit(lambda: seen.append(count(database)))

    def bad(transaction):
        transaction.after_commit(lambda: seen.append("never"))
        raise KeyError

    database.write(good)
    with pytest.raises(KeyError):
        database.write(bad)
    assert seen == [1]


def test_many_writers_share_transactions_and_one_failure_is_one_writers_own(database):
    commits = []
    database._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "commit" else None)
    failures = []

    def write(number: int) -> None:
        def work(transaction):
            transaction.execute(INSERT, (f"{number}",))
            if number % 10 == 0:
                raise ValueError(number)

        try:
            database.write(work)
        except ValueError as error:
            failures.append(error.args[0])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(failures) == list(range(0, 200, 10))
    assert count(database) == 180
    assert len(commits) <= 200


def test_a_waiting_writer_is_committed_by_the_one_before_it(database):
    """Group commit, made certain: while the first writer holds the turn, ten more come; two commits do for all."""
    commits = []
    database._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "commit" else None)
    started, go_on = threading.Event(), threading.Event()

    def first(transaction):
        started.set()
        go_on.wait(10)
        transaction.execute(INSERT, ("first",))

    threads = [threading.Thread(target=database.write, args=(first,))]
    threads[0].start()
    started.wait(10)
    for number in range(10):
        work = lambda tx, number=number: tx.execute(INSERT, (f"{number}",))  # noqa: E731
        threads.append(threading.Thread(target=database.write, args=(work,)))
        threads[-1].start()
    while len(database._waiting) < 10:
        pass
    go_on.set()
    for thread in threads:
        thread.join()
    assert count(database) == 11
    assert len(commits) == 2


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    """A process that writes as fast as it can is killed; every number that it printed is in the file."""
    program = (
        "import sys; from wherry.local.database import Database\n"
        "database = Database(sys.argv[1])\n"
        "for number in range(100000):\n"
        f"    database.write(lambda tx: tx.execute({INSERT!r}, (str(number),)))\n"
        "    print(number, flush=True)\n"
    )
    path = str(tmp_path / "wherry.db")
    process = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
    last = -1
    for line in process.stdout:
        last = int(line)
        if last == 50:
            os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    database = Database(path)
    assert last >= 50
    assert count(database) in (last + 1, last + 2)  # the very last may be committed and not yet printed
    database.close()


def test_two_processes_take_turns(tmp_path):
    program = (
        "import sys; from wherry.local.database import Database\n"
        "database = Database(sys.argv[1])\n"
        "for number in range(100):\n"
        f"    database.write(lambda tx: tx.execute({INSERT!r}, (sys.argv[2] + str(number),)))\n"
    )
    path = str(tmp_path / "wherry.db")
    processes = [subprocess.Popen([sys.executable, "-c", program, path, name]) for name in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    database = Database(path)
    assert count(database) == 300
    database.close()


def test_a_folder_that_cannot_be_written_is_said_in_words(tmp_path):
    with pytest.raises(WherryError, match="the store .* cannot be used: unable to open database file"):
        Database(str(tmp_path / "missing" / "wherry.db"))


def test_a_write_within_a_write_is_a_mistake_and_no_standstill(database):
    def work(transaction):
        transaction.execute(INSERT, ("a",))
        database.write(lambda inner: inner.execute(INSERT, ("b",)))

    with pytest.raises(AssertionError, match="within a transaction"):
        database.write(work)
    assert count(database) == 0
    assert database.write(lambda transaction: transaction.execute(INSERT, ("c",)).rowcount) == 1


def undone_by_itself(transaction):
    """What SQLite does when the disk is full in the midst of a large transaction."""
    with transaction.nested():
        transaction.execute("rollback")
        raise sqlite3.OperationalError("database or disk is full")


def test_nothing_is_written_behind_a_transaction_that_has_undone_itself(database):
    """Whoever goes on after a failure of one part must not write the next one alone."""

    def work(transaction):
        transaction.execute(INSERT, ("a",))
        with contextlib.suppress(Exception):
            undone_by_itself(transaction)
        with contextlib.suppress(Exception):
            transaction.execute(INSERT, ("b",))
        with contextlib.suppress(Exception), transaction.nested():
            transaction.execute(INSERT, ("c",))

    with pytest.raises(WherryError, match="cannot be used"):
        database.write(work)
    assert count(database) == 0
    database.write(lambda transaction: transaction.execute(INSERT, ("d",)))
    assert count(database) == 1


def test_those_who_share_a_transaction_that_has_undone_itself_all_learn_of_it(database):
    """Their work was in it, or would be written alone."""
    started, failed = threading.Event(), []

    def hold(transaction):
        started.set()
        wait_for(lambda: len(database._waiting) == 3, "three that wait")

    def insert(name):
        try:
            database.write(lambda transaction: transaction.execute(INSERT, (name,)))
        except WherryError:
            failed.append(name)

    def lose():
        with pytest.raises(WherryError):
            database.write(undone_by_itself)

    threads = [threading.Thread(target=database.write, args=(hold,))]
    threads[0].start()
    started.wait()
    for target, arguments in ((insert, ("before",)), (lose, ()), (insert, ("after",))):
        threads.append(threading.Thread(target=target, args=arguments))
        threads[-1].start()
        wait_for(lambda: len(database._waiting) == len(threads) - 1, "its turn")
    for thread in threads:
        thread.join()
    assert sorted(failed) == ["after", "before"]
    assert count(database) == 0

"""procrastinate beside wherry: PostgreSQL with its durable defaults, concurrency 4. Run by burst.py.

The burst is deferred in one call. The worker learns of a new job by LISTEN/NOTIFY, as it does by default.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import procrastinate  # type: ignore[import-not-found]
import psycopg  # type: ignore[import-not-found]

BOUNDED = ["timeout", "--foreground", "-k", "10", "300"]
FOLDER = sys.argv[1]
# It warns of an app in `__main__`: here the worker and the client are the same file.
logging.getLogger("procrastinate").setLevel(logging.ERROR)


def _run(number: int, command: list[str]) -> None:
    with open(f"{FOLDER}/{number}.log", "wb") as file:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=True)


def application(connection: str, connector: Any) -> tuple[Any, Any]:
    app = procrastinate.App(connector=connector(conninfo=connection))
    return app, app.task(name="run")(_run)


def drive(connection: str, count: int, starts: int) -> dict[str, object]:
    app, run = application(connection, procrastinate.SyncPsycopgConnector)
    with app.open(), psycopg.connect(connection, autocommit=True) as store:
        began = time.perf_counter()
        run.batch_defer(*({"number": number, "command": ["true"]} for number in range(count)))
        wait(store, count, pulse=0.02)
        rate = count / (time.perf_counter() - began)
        delays = []
        for number in range(count, count + starts):
            time.sleep(0.02)
            now = time.time_ns()
            run.defer(number=number, command=["date", "+%s%N"])
            wait(store, number + 1)
            with open(f"{FOLDER}/{number}.log", encoding="ascii") as file:
                delays.append(int(file.read()) - now)
    return {"rate": rate, "delays": delays}


def wait(store: Any, ended: int, pulse: float = 0.003) -> None:
    deadline = time.monotonic() + 60
    statement = "select count(*) from procrastinate_jobs where status = 'succeeded'"
    while store.execute(statement).fetchone()[0] < ended:
        if time.monotonic() > deadline:
            sys.exit("procrastinate did not end its jobs")
        time.sleep(pulse)


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A server of our own, on a Unix socket. It refuses to be root."""
    person: dict[str, Any] = {}
    data = f"{FOLDER}/postgresql"
    os.mkdir(data)
    # Not in FOLDER: the path of a socket is at most 107 characters long.
    with tempfile.TemporaryDirectory() as sockets, open(f"{FOLDER}/postgresql.log", "wb") as log:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            person = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (data, sockets):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        initdb = ["initdb", "-D", data, "-U", "bench", "--auth=trust", "--no-locale", "--encoding=UTF8"]
        subprocess.run(initdb, cwd=data, stdout=log, stderr=log, check=True, **person)
        command = [*BOUNDED, "postgres", "-D", data, "-k", sockets, "-c", "listen_addresses="]
        server = subprocess.Popen(command, cwd=data, stdout=log, stderr=log, **person)
        connection = f"host={sockets} user=bench dbname=postgres"
        try:
            for _ in range(100):
                with contextlib.suppress(psycopg.OperationalError):
                    psycopg.connect(connection).close()
                    break
                time.sleep(0.1)
            yield connection
        finally:
            # The "fast" shutdown.
            server.send_signal(signal.SIGINT)
            server.wait(30)


def main() -> None:
    if sys.argv[2] == "work":
        app, _ = application(sys.argv[3], procrastinate.PsycopgConnector)
        app.run_worker(concurrency=4)
        return
    with postgresql() as connection:
        app, _ = application(connection, procrastinate.SyncPsycopgConnector)
        with app.open():
            app.schema_manager.apply_schema()
        command = [*BOUNDED, sys.executable, __file__, FOLDER, "work", connection]
        with open(f"{FOLDER}/worker.log", "wb") as log:
            worker = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            time.sleep(2)
            print(json.dumps(drive(connection, int(sys.argv[2]), int(sys.argv[3]))))
        finally:
            worker.terminate()
            worker.wait(20)


if __name__ == "__main__":
    main()

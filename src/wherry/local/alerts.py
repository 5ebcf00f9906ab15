"""Reports of failures to people and programs: written with the failure's own transaction, delivered until they arrive.

An address is an `https://` URL (the report is posted as JSON, with a `text` that chat programs show), an e-mail address
(through this machine's `sendmail`, as cron does it), or a command (the JSON on its standard input).
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from wherry import announcements
from wherry.errors import WherryError
from wherry.local.clock import Clock, to_ms
from wherry.local.database import Database, Transaction, load_sql
from wherry.local.environment import inherited
from wherry.model import CommandAlert, Event, JobFile

#: Where mail is handed in; LSB's place for it.
SENDMAIL = "/usr/sbin/sendmail"
#: The wait after the first failed delivery; it doubles each time.
_FIRST_WAIT = timedelta(seconds=10)
_LONGEST_WAIT = timedelta(minutes=15)
#: A report that could not be delivered for so long is given up, and said so.
_PATIENCE = timedelta(days=1)
_TIMEOUT = 30.0


class Alerts:
    """Adds reports to the store, and delivers them in a thread of its own while `start`ed."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        jobfile: Callable[[], JobFile],
        failed: Callable[[BaseException], None],
        *,
        silent: bool = False,
    ) -> None:
        self._database = database
        self._clock = clock
        self._jobfile = jobfile
        self._failed = failed
        self._silent = silent
        self._sql = load_sql("alerts")
        self._bell = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._deliver_all, name="alerts", daemon=True)

    @property
    def addresses(self) -> Sequence[str | CommandAlert]:
        """Who wants reports."""
        local = self._jobfile().environments.get("local")
        return () if local is None or self._silent else local.alerts

    def add(self, transaction: Transaction, event: Event, now: datetime) -> None:
        """Report an event to all addresses."""
        for address in self.addresses:
            parameters = {"now_ms": to_ms(now), "address": _dump(address), "body": self._body(event)}
            transaction.execute(self._sql["add"], parameters)
            transaction.after_commit(self._bell.set)

    def start(self) -> None:
        """Deliver what waits, and what comes."""
        self._thread.start()

    def stop(self) -> None:
        """Stop delivering; what waits is delivered by the next engine."""
        self._stopping = True
        self._bell.set()
        if self._thread.is_alive():
            self._thread.join(_TIMEOUT)

    def _body(self, event: Event) -> str:
        return json.dumps({"text": text_of(event, self._jobfile().app), "event": event.document}, ensure_ascii=False)

    def _deliver_all(self) -> None:
        wait = 0.0
        while not self._stopping:
            self._bell.wait(wait)
            self._bell.clear()
            try:
                wait = self._deliver_due()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next report must go out
                self._failed(error)
                wait = _FIRST_WAIT.total_seconds()

    def _deliver_due(self) -> float:
        """Deliver what is due; how long until the next one is, in seconds."""
        now_ms = to_ms(self._clock())
        with self._database.reading() as connection:
            rows = connection.execute(self._sql["all"]).fetchall()
        for row in rows:
            if row["due_ms"] <= now_ms and not self._stopping:
                self._deliver(dict(row))
        with self._database.reading() as connection:
            first = connection.execute(self._sql["first_due"]).fetchone()[0]
        return 3600.0 if first is None else max(0.0, (first - to_ms(self._clock())) / 1000)

    def _deliver(self, row: dict[str, Any]) -> None:
        try:
            send(_load(row["address"]), row["body"], os.path.dirname(self._jobfile().path))
        except Exception as error:  # noqa: BLE001 - what a stranger's server answers is no reason to end
            self._put_off(row, str(error) or repr(error))
        else:
            self._database.write(lambda tx: tx.execute(self._sql["delete"], {"id": row["id"]}))

    def _put_off(self, row: dict[str, Any], error: str) -> None:
        now = self._clock()
        if to_ms(now - _PATIENCE) > row["made_ms"]:
            self._database.write(lambda tx: tx.execute(self._sql["delete"], {"id": row["id"]}))
            self._failed(WherryError(f"a report to {row['address']} could not be delivered for a day: {error}"))
            return
        wait = min(_FIRST_WAIT * 2 ** min(row["tries"], 10), _LONGEST_WAIT)
        parameters = {"id": row["id"], "due_ms": to_ms(now + wait), "error": error}
        self._database.write(lambda tx: tx.execute(self._sql["put_off"], parameters))
        if row["tries"] == 0:
            self._failed(
                WherryError(f"a report to {row['address']} could not be delivered, it is tried again: {error}")
            )


def text_of(event: Event, app: str) -> str:
    """A report in one line."""
    detail = event.detail
    if event.detail_type == announcements.MISSED:
        return f"{app}: {detail['job']} should have started at {detail['scheduled-time']}: {detail['reason']}"
    return (
        f"{app}: {detail['job']} {detail['status']}: {detail['reason']} "
        f"(run {detail['run-id']}; `wherry explain {detail['run-id']}`)"
    )


def send(address: str | CommandAlert, body: str, folder: str) -> None:
    """Deliver one report; raises OSError or WherryError when it did not arrive."""
    from wherry.executors.process import feed  # only failures need it

    if isinstance(address, CommandAlert):
        command = ("/bin/sh", "-c", address.command) if isinstance(address.command, str) else address.command
        feed(command, body.encode(), env=inherited(), folder=folder, timeout=_TIMEOUT)
    elif address.startswith(("https://", "http://")):
        _post(address, body)
    else:
        feed((SENDMAIL, "-t"), _mail(address, body), env=inherited(), folder=folder, timeout=_TIMEOUT)


def _post(url: str, body: str) -> None:
    import urllib.request  # costs 30 ms, and only failures need it

    headers = {"Content-Type": "application/json", "User-Agent": "wherry"}
    request = urllib.request.Request(url, body.encode(), headers)  # noqa: S310 - the job file's check allows http(s) only
    with urllib.request.urlopen(request, timeout=_TIMEOUT):  # noqa: S310
        pass


def _mail(address: str, body: str) -> bytes:
    from email.message import EmailMessage

    content = json.loads(body)
    message = EmailMessage()
    message["To"] = address
    message["Subject"] = " ".join(content["text"].split())[:200]
    message.set_content(f"{content['text']}\n\n{json.dumps(content['event'], indent=2, ensure_ascii=False)}\n")
    return message.as_bytes()


def _dump(address: str | CommandAlert) -> str:
    return address if isinstance(address, str) else json.dumps({"command": address.command})


def _load(text: str) -> str | CommandAlert:
    if not text.startswith("{"):
        return text
    command = json.loads(text)["command"]
    return CommandAlert(command=command if isinstance(command, str) else tuple(command))

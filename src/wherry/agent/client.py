"""Calls to AWS: signed, and tried again while there is patience for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import TypeVar
from urllib.parse import urlsplit

from wherry.agent.credentials import Credentials, NoCredentials
from wherry.agent.signing import Request, signed

#: Seconds: nobody answers; the most, and the least where there is less patience.
_TIMEOUT, _LEAST_TIMEOUT = 60.0, 2.0
#: The waits between attempts: at random up to this, doubled each time, up to that.
_WAIT, _LONGEST_WAIT = 0.2, 20.0
_THROTTLED = http.client.TOO_MANY_REQUESTS
_FAULTS = http.client.INTERNAL_SERVER_ERROR
_PASSING = ("throttl", "slowdown", "requestlimit", "requesttimeout", "toomanyrequests", "bandwidth")
_EXPIRED = ("expired", "requesttimetooskewed", "invalidclienttokenid", "unrecognizedclient")


Result = TypeVar("Result")


class CallFailed(Exception):
    """AWS says no, or nobody answers; `code` is AWS's own, empty in the latter case."""

    def __init__(self, message: str, *, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    @property
    def is_passing(self) -> bool:
        """True where the same call may be answered otherwise a moment later."""
        code = self.code.lower()
        if self.status in (0, _THROTTLED) or self.status >= _FAULTS:
            return True
        return any(word in code for word in (*_PASSING, *_EXPIRED))


class Service:
    """One service in one region; each thread has a connection of its own, which stays open."""

    def __init__(self, name: str, region: str, credentials: Credentials) -> None:
        self._name = name
        self._region = region
        self._credentials = credentials
        self._own = threading.local()

    def ask(
        self,
        method: str,
        origin: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        patience: float = 30.0,
        timeout: float | None = None,
    ) -> bytes:
        """One call, for `patience` seconds if need be; `path` is percent-encoded. Raises CallFailed.

        `timeout`: seconds of silence after which nobody answers; the patience if not given.
        """
        silence = min(max(patience if timeout is None else timeout, _LEAST_TIMEOUT), _TIMEOUT)

        def once() -> bytes:
            with self.answer(method, origin, path, headers=headers, body=body, timeout=silence) as answer:
                return answer.read()

        return patiently(once, patience)

    @contextlib.contextmanager
    def answer(
        self,
        method: str,
        origin: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = _TIMEOUT,
    ) -> Iterator[http.client.HTTPResponse]:
        """One attempt; the answer's body is for the caller to read. Raises CallFailed."""
        host = urlsplit(origin).netloc
        request = Request(method, host, path, headers or {}, body)
        try:
            keys = self._credentials.keys()
        except NoCredentials as error:
            raise CallFailed(str(error)) from None
        now = datetime.now(timezone.utc)
        sent = signed(request, keys, service=self._name, region=self._region, now=now)
        try:
            answer = self._exchange(origin, method, path, body, sent, timeout)
            if answer.status >= http.client.MULTIPLE_CHOICES:
                raise self._refused(answer, answer.read())
            yield answer
            if not answer.isclosed():
                self._drop(origin)
        except (OSError, http.client.HTTPException) as error:
            self._drop(origin)
            raise CallFailed(f"{host} does not answer: {str(error) or type(error).__name__}") from None
        except BaseException:
            self._drop(origin)
            raise

    def _exchange(
        self, origin: str, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> http.client.HTTPResponse:
        is_fresh = origin not in self._connections
        connection = self._connection(origin, timeout)
        try:
            connection.request(method, path, body, dict(headers))
            return connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # the other side has closed a connection that was idle: that is no trouble of its own
            if is_fresh:
                raise
            self._drop(origin)
            connection = self._connection(origin, timeout)
            connection.request(method, path, body, dict(headers))
            return connection.getresponse()

    def _refused(self, answer: http.client.HTTPResponse, body: bytes) -> CallFailed:
        code, message = error_of(answer.status, body)
        found = CallFailed(message, code=code, status=answer.status)
        if any(word in code.lower() for word in _EXPIRED):
            self._credentials.forget()
        return found

    @property
    def _connections(self) -> dict[str, http.client.HTTPConnection]:
        if not hasattr(self._own, "connections"):
            self._own.connections = {}
        found: dict[str, http.client.HTTPConnection] = self._own.connections
        return found

    def _connection(self, origin: str, timeout: float) -> http.client.HTTPConnection:
        if origin not in self._connections:
            parts = urlsplit(origin)
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            self._connections[origin] = kind(parts.netloc)
        connection = self._connections[origin]
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection

    def _drop(self, origin: str) -> None:
        connection = self._connections.pop(origin, None)
        if connection is not None:
            connection.close()


def patiently(act: Callable[[], Result], patience: float) -> Result:
    """Do something until it succeeds, fails for good, or `patience` seconds are over; raises the last CallFailed."""
    until = time.monotonic() + patience
    wait = _WAIT
    while True:
        try:
            return act()
        except CallFailed as error:
            pause = wait * random.random()  # noqa: S311 - so that many workers do not come back together
            if not error.is_passing or time.monotonic() + pause > until:
                raise
        time.sleep(pause)
        wait = min(2 * wait, _LONGEST_WAIT)


def error_of(status: int, body: bytes) -> tuple[str, str]:
    """AWS's code and message: in JSON (SQS), in XML (S3), or none."""
    text = body.decode(errors="replace")
    if text.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            found = json.loads(text)
            code = str(found.get("__type", "")).rpartition("#")[2]
            message = str(found.get("message") or found.get("Message") or code)
            return code or str(status), message
    code, message = _between(text, "Code"), _between(text, "Message")
    return code or str(status), message or f"HTTP status {status}"


def _between(text: str, tag: str) -> str:
    return text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]

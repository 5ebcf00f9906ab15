"""A lean HTTP/1.1 for one machine: blocking sockets, bodies as streams, files by `sendfile`.

The standard library's server parses heads with the e-mail package, which costs more than all the rest of a small
request here. What is understood: request line and headers within limits, Content-Length or chunked bodies,
`Expect: 100-continue`, keep-alive. What is ambiguous is refused and the connection closed (RFC 9112, section 11.2).
`listener.py` accepts the connections.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

#: The longest request line and headers together, in bytes.
LONGEST_HEAD = 65_536
MOST_HEADERS = 100
#: How much of a body is held at once, in bytes.
CHUNK = 1 << 18
#: A body that the handler left unread is read away up to this size, to keep the connection; else it is closed.
DRAIN = 1 << 20
#: A refused client may finish sending for so long, in seconds, and so long it may be silent meanwhile.
LINGER_SECONDS = 30.0
LINGER_SILENCE = 3.0
#: Bodies from this size on are worth a system call of their own.
SEPARATE_BODY = 1 << 16

#: A header's name is a token (RFC 9110, 5.6.2).
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0]*)")
#: Header lines up to here are worth remembering.
_SHORT_LINE = 256
#: Content-Length; more digits than any object has bytes are a mistake.
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class BadRequest(Exception):
    """The bytes are no HTTP request; the connection is closed."""


class Disconnected(Exception):
    """The client went away in mid-request."""


@dataclass(frozen=True, kw_only=True)
class FileBody:
    """A part of an open file; closed when it was sent."""

    descriptor: int
    offset: int
    length: int
    close: Callable[[], None]


@dataclass(kw_only=True)
class Response:
    """What is answered."""

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | FileBody = b""
    #: What a HEAD request is told of a body that is not sent, in bytes.
    length: int | None = None
    #: Pieces sent as they come, chunked; used instead of `body`.
    pieces: Iterator[bytes] | None = None


class Body:
    """A request's body, read once, as a stream."""

    def __init__(self, connection: Connection, length: int, *, chunked: bool, expects: bool) -> None:
        self._connection = connection
        #: What is left, in bytes; of a chunked body, what is left of the current chunk.
        self._left = length
        self._chunked = chunked
        self._expects = expects
        self._ended = not chunked and length == 0
        self.length = None if chunked else length

    def read(self, most: int = CHUNK) -> bytes:
        """Up to `most` bytes; empty at the end. Raises Disconnected, BadRequest."""
        if self._ended:
            return b""
        if self._expects:
            self._expects = False
            self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._chunked and self._left == 0 and not self._next_chunk():
            return b""
        data = self._connection.receive(min(most, self._left))
        self._left -= len(data)
        if self._left == 0:
            if self._chunked:
                if self._connection.line():
                    raise BadRequest("a chunk is longer than it says")
            else:
                self._ended = True
        return data

    def read_all(self, limit: int) -> bytes | None:
        """The whole body, or None when it is longer than `limit` bytes."""
        pieces, size = [], 0
        while piece := self.read():
            size += len(piece)
            if size > limit:
                return None
            pieces.append(piece)
        return b"".join(pieces)

    def is_client_there(self) -> bool:
        """False once the client has closed the connection, or died."""
        return self._connection.is_open()

    def drain(self) -> bool:
        """Read away what is left; False when that is too much to be worth it."""
        if self._expects and not self._ended:
            return False  # the client waits for a word that will not come
        size = 0
        while piece := self.read():
            size += len(piece)
            if size > DRAIN:
                return False
        return True

    def _next_chunk(self) -> bool:
        size = self._connection.line().partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size):
            raise BadRequest("a chunk without a size")
        self._left = int(size, 16)
        if self._left == 0:
            while self._connection.line():
                pass
            self._ended = True
        return not self._ended


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request; names of headers are lower case."""

    method: str
    #: As it was sent, percent-encoded.
    path: str
    #: As it was sent, without the question mark.
    query: str
    headers: dict[str, str]
    body: Body = field(repr=False)
    #: The client wants to send more on the same connection.
    keep_alive: bool = True


class Connection:
    """One client's socket, with what was received and not yet used."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """Send all of it; raises Disconnected."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Disconnected from error

    def _recv(self, most: int) -> bytes:
        # Also a client that was silent for too long is gone.
        try:
            return self._socket.recv(most)
        except OSError as error:
            raise Disconnected from error

    def receive(self, most: int) -> bytes:
        """Some bytes, at least one."""
        if self._buffer:
            data, self._buffer = self._buffer[:most], self._buffer[most:]
            return data
        data = self._recv(most)
        if not data:
            raise Disconnected
        return data

    def is_open(self) -> bool:
        """False once the other side has closed."""
        try:
            return bool(self._buffer) or bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def line(self) -> bytes:
        """A line of a chunked body, without its end."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > LONGEST_HEAD:
                raise BadRequest("a line that does not end")
            data = self._recv(4096)
            if not data:
                raise Disconnected
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        if not line.endswith(b"\r"):
            raise BadRequest("a line without its carriage return")
        return line[:-1]

    def request(self) -> Request | None:
        """The next request; None when the client has closed."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > LONGEST_HEAD:
                raise BadRequest("the head is too long")
            data = self._recv(65_536)
            if not data:
                if self._buffer.strip():
                    raise Disconnected
                return None
            self._buffer += data
        if end > LONGEST_HEAD:
            raise BadRequest("the head is too long")
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        return self._parse(head.decode("latin-1").lstrip("\r\n"))

    def _parse(self, head: str) -> Request:
        first, *lines = head.split("\r\n")
        parts = first.split(" ")
        if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0") or len(lines) > MOST_HEADERS:
            raise BadRequest("no request line")
        headers: dict[str, str] = {}
        for line in lines:
            name, value = _header(line) if len(line) < _SHORT_LINE else _header.__wrapped__(line)
            # Repeated headers are one list (RFC 9110, 5.3).
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        target, _, query = parts[1].partition("?")
        if target.startswith(("http://", "https://")):
            target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
        if not target.startswith("/"):
            raise BadRequest("no path")
        return Request(
            method=parts[0],
            path=target,
            query=query,
            headers=headers,
            body=self._body(headers),
            keep_alive=_keeps_alive(parts[2], headers.get("connection", "")),
        )

    def _body(self, headers: dict[str, str]) -> Body:
        coding = headers.get("transfer-encoding")
        length = headers.get("content-length")
        if coding is not None and (coding.lower() != "chunked" or length is not None):
            raise BadRequest("a body of two lengths, or of an unknown coding")
        if length is not None and not _LENGTH.fullmatch(length):
            raise BadRequest("no length")
        expects = headers.get("expect", "").lower() == "100-continue"
        return Body(self, int(length or 0), chunked=coding is not None, expects=expects)

    def respond(self, request: Request, response: Response, *, keep: bool) -> None:
        """Send the answer; a small one in a single packet."""
        head = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}", f"Date: {_date(int(time.time()))}"]
        head += [f"{name}: {value}" for name, value in response.headers]
        body = response.body
        length = body.length if isinstance(body, FileBody) else len(body)
        if response.pieces is not None:
            head.append("Transfer-Encoding: chunked")
        elif response.status not in (204, 304):
            head.append(f"Content-Length: {length if response.length is None else response.length}")
        if not keep:
            head.append("Connection: close")
        data = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1", "replace")
        if request.method == "HEAD" or response.status in (204, 304):
            self.send(data)
        elif response.pieces is not None:
            self.send(data)
            for piece in response.pieces:
                self.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.send(b"0\r\n\r\n")
        elif isinstance(body, FileBody):
            self._send_file(data, body)
        elif len(body) < SEPARATE_BODY:
            self.send(data + body)
        else:
            self.send(data)
            self.send(body)

    def _send_file(self, head: bytes, body: FileBody) -> None:
        if body.length <= SEPARATE_BODY:
            content = os.pread(body.descriptor, body.length, body.offset)
            if len(content) != body.length:
                raise Disconnected
            self.send(head + content)
            return
        self.send(head)
        offset, left = body.offset, body.length
        while left:
            # A blocking sendfile: the socket has no timeout while it sends.
            sent = os.sendfile(self._socket.fileno(), body.descriptor, offset, min(left, 1 << 24))
            if sent == 0:
                raise Disconnected  # the file became shorter under our hands
            offset, left = offset + sent, left - sent

    def refuse(self, reason: str) -> None:
        """Say that the bytes were no request; the connection cannot be used after it."""
        text = f"400: {reason}\n".encode()
        head = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(text)
        self.send(head + text)

    def linger(self) -> None:
        """Take what the client still sends, so that it can read the answer.

        Closing a socket with unread bytes resets the connection, and the answer that says why is lost with it.
        """
        deadline = time.monotonic() + LINGER_SECONDS
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(LINGER_SILENCE)
            while time.monotonic() < deadline and self._socket.recv(CHUNK):
                pass


@functools.lru_cache(maxsize=256)
def _header(line: str) -> tuple[str, str]:
    """A header's name and value: of most requests of a client most headers are the same."""
    found = _HEADER.fullmatch(line)
    if not found:
        raise BadRequest("no header line")
    return found[1].lower(), found[2].strip(" \t")


@functools.lru_cache(maxsize=16)
def _keeps_alive(version: str, connection: str) -> bool:
    wishes = {wish.strip().lower() for wish in connection.split(",")}
    return "close" not in wishes and (version == "HTTP/1.1" or "keep-alive" in wishes)


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    """The Date header of a second since 1970: clients tell by it that their clock is off."""
    return formatdate(second, usegmt=True)

"""Accepts connections, on loopback unless told otherwise, and serves each in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence

from wherry.gateway.http import BadRequest, Connection, Disconnected, FileBody, Request, Response

#: A silent connection is closed after this many seconds.
IDLE_SECONDS = 120
#: How long to wait before the next try when no connection can be accepted, in seconds.
_PAUSE = 0.05

Handler = Callable[[Request], Response]


class Server:
    """Serves a handler on 127.0.0.1, and on further addresses at the same port; one thread a connection."""

    def __init__(self, handler: Handler, port: int = 0, addresses: Sequence[str] = ()) -> None:
        self._handler = handler
        self._sockets = _bind(port, ["127.0.0.1", *addresses])
        self.port: int = self._sockets[0].getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._accept, args=(door,), name="gateway", daemon=True) for door in self._sockets
        ]

    def start(self) -> None:
        """Begin to serve."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Close the doors and every connection."""
        self._stopping = True
        for door in self._sockets:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()
        for thread in self._threads:
            thread.join()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, door: socket.socket) -> None:
        while not self._stopping:
            try:
                connection, _ = door.accept()
            except OSError:
                # A client that gave up, or no file descriptor left: neither is the end of the gateway.
                time.sleep(_PAUSE)
                continue
            try:
                threading.Thread(target=self._serve, args=(connection,), daemon=True, name="client").start()
            except RuntimeError:  # no thread left
                connection.close()

    def _serve(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.add(sock)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A timeout in the kernel: Python's own would make the socket non-blocking, and sendfile with it.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, IDLE_SECONDS.to_bytes(8, "little") + bytes(8))
            connection = Connection(sock)
            while self._one(connection):
                pass
        except (OSError, Disconnected):
            pass  # the client is gone: nobody is there to be told
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def _one(self, connection: Connection) -> bool:
        """Serve one request; False when the connection ends."""
        try:
            request = connection.request()
            if request is None:
                return False
            response = self._handler(request)
        except BadRequest as error:
            connection.refuse(str(error))
            return False
        return _answer(connection, request, response)


def _bind(port: int, addresses: Sequence[str]) -> list[socket.socket]:
    """One listening socket an address, all at the same port; raises OSError."""
    doors: list[socket.socket] = []
    try:
        for address in addresses:
            doors.append(socket.create_server((address, port), backlog=256))
            port = doors[0].getsockname()[1]
    except OSError:
        for door in doors:
            door.close()
        raise
    return doors


def _answer(connection: Connection, request: Request, response: Response) -> bool:
    """Send an answer; False when the connection ends with it."""
    try:
        whole = request.body.drain()
        keep = whole and request.keep_alive
        connection.respond(request, response, keep=keep)
    except BadRequest as error:
        connection.refuse(str(error))
        return False
    finally:
        if isinstance(response.body, FileBody):
            response.body.close()
    if not whole:
        connection.linger()
    return keep

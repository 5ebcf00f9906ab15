"""Accepts connections on loopback and serves each in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from wherry.gateway.http import BadRequest, Connection, Disconnected, FileBody, Request, Response

#: A silent connection is closed after this many seconds.
IDLE_SECONDS = 120
#: How long to wait before the next try when no connection can be accepted, in seconds.
_PAUSE = 0.05

Handler = Callable[[Request], Response]


class Server:
    """Serves a handler on 127.0.0.1, one thread a connection."""

    def __init__(self, handler: Handler, port: int = 0) -> None:
        self._handler = handler
        self._socket = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._accept, name="gateway", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Close the door and every connection."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, _ = self._socket.accept()
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

"""Bad weather between wherry and AWS: a proxy on loopback that refuses, forgets and loses answers."""

import http.client
import http.server
import re
import socket
import threading
import urllib.parse
from collections import Counter

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Weather:
    """`fault(operation, n)` says what becomes of the nth request of an operation since `clear()`.

    None: it passes. `throttled`, `fault`: it is refused. `lost`, `fault-after`: AWS does it, and then the answer is lost,
    or is a fault. `silence`: AWS does it and the answer comes after `silence` seconds.
    """

    def __init__(self, endpoint: str, *, silence: float = 25) -> None:
        self.fault = lambda operation, number: None
        self.silence = silence
        self.met = []
        self._seen = Counter()
        self._lock = threading.Lock()
        self._behind = urllib.parse.urlsplit(endpoint).netloc
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def clear(self):
        """Another command begins."""
        with self._lock:
            self._seen.clear()
            self.met.clear()

    def becomes(self, operation):
        with self._lock:
            self._seen[operation] += 1
            fault = self.fault(operation, self._seen[operation])
            if fault:
                self.met.append((operation, fault))
            return fault

    def pass_on(self, method, path, headers, body):
        connection = http.client.HTTPConnection(self._behind, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


def operation_of(method, path, headers, body):
    """AWS's name of what is asked, as far as a request tells it."""
    if target := headers.get("X-Amz-Target"):
        return target.rpartition(".")[2]
    if found := re.match(rb"(?:.*&)?Action=(\w+)", body[:5000]):
        return found[1].decode()
    query = sorted(urllib.parse.parse_qs(urllib.parse.urlsplit(path).query, keep_blank_values=True))
    return " ".join([method, _service_of(headers), *query])


def _service_of(headers):
    """For which service a request is signed (Signature Version 4, "Credential scope")."""
    return headers.get("Authorization", "").split("/")[3]


def _handler_of(weather):  # noqa: C901 - one class
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            assert "chunked" not in self.headers.get("Transfer-Encoding", "")
            fault = weather.becomes(operation_of(self.command, self.path, self.headers, body))
            if fault == "throttled" and _service_of(self.headers) == "s3":
                return self._refuse(503, "SlowDown", "Please reduce your request rate.")
            if fault == "throttled":
                return self._refuse(429 if self._is_rest() else 400, "ThrottlingException", "Rate exceeded")
            if fault == "fault":
                return self._refuse(503, "ServiceUnavailable", "please try again")
            status, headers, answer = weather.pass_on(self.command, self.path, self.headers.items(), body)
            if fault == "fault-after":
                return self._refuse(500, "InternalError", "an internal error")
            if fault == "silence":
                threading.Event().wait(weather.silence)
            if fault in ("lost", "silence"):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return None
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            length = dict(headers).get("Content-Length", len(answer)) if self.command == "HEAD" else len(answer)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(answer)
            return None

        def _is_rest(self):
            return "X-Amz-Target" not in self.headers and self.path != "/"

        def _refuse(self, status, code, message):
            if "X-Amz-Target" in self.headers:
                text = f'{{"__type": "{code}", "message": "{message}"}}'
            elif self.path == "/":
                text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
            else:
                text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            self.send_response_only(status)
            self.send_header("x-amzn-errortype", code)
            self.send_header("Content-Length", str(len(text) if self.command != "HEAD" else 0))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text.encode())

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _any  # noqa: N815

        def log_message(self, *_):
            pass

    return Handler

"""The HTTP server, by raw sockets: what is malformed, ambiguous, cut off or slow."""

import contextlib
import http.client
import os
import resource
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from tests.conftest import wait_for
from wherry.gateway.http import FileBody, Response
from wherry.gateway.listener import Server


@pytest.fixture
def server(tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(300_000))

    def handle(request):
        if request.path == "/big":
            descriptor = os.open(big, os.O_RDONLY)
            body = FileBody(descriptor=descriptor, offset=10, length=299_990, close=lambda: os.close(descriptor))
            return Response(body=body)
        if request.path == "/pieces":
            return Response(pieces=iter([b"one", b"two"]))
        if request.path == "/unread":
            return Response(body=b"ok")
        return Response(
            body=request.method.encode() + b" " + request.path.encode() + b" " + (request.body.read_all(1 << 20) or b"")
        )

    server = Server(handle)
    server.start()
    server.big = big
    yield server
    server.stop()


def talk(server, *packets: bytes) -> bytes:
    """Send packets, then read until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        for packet in packets:
            sock.sendall(packet)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while data := sock.recv(65536):
            answer += data
    return answer


def test_several_requests_on_one_connection(server):
    answer = talk(server, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyzHEAD /c HTTP/1.1\r\n\r\n")  # fmt: skip
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert b"GET /a " in answer
    assert b"POST /b xyz" in answer
    assert answer.endswith(b"Content-Length: 8\r\n\r\n")


def test_a_request_in_single_bytes(server):
    request = (
        b"POST /slow HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    )
    assert b"POST /slow abcde" in talk(server, *(bytes([byte]) for byte in request))


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET no-slash HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nname : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcMORE\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\nab",
        b"GET / HTTP/1.1\r\na name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=lambda value: value[:90].decode("latin-1"),
)
def test_what_is_no_request_is_refused_and_the_connection_closed(server, request_):
    answer = talk(server, request_)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"GET / " in talk(server, b"GET / HTTP/1.1\r\n\r\n")


def test_a_client_that_goes_away_harms_nobody(server):
    assert talk(server, b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nshort") == b""
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\n\r\n")
    assert b"GET /still " in talk(server, b"GET /still HTTP/1.1\r\n\r\n")


def test_a_client_that_waits_for_a_word_gets_it(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(b"PUT /x HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ok")
        assert sock.recv(1000).endswith(b"PUT /x ok")


def test_a_body_that_nobody_reads_closes_the_connection_when_it_is_long(server):
    """And the client can read the answer, also when it looks at it only after it has sent everything."""
    long = b"POST /unread HTTP/1.1\r\nContent-Length: 30000000\r\n\r\n" + b"x" * 30_000_000
    answer = talk(server, long)
    assert b"Connection: close" in answer
    assert answer.endswith(b"\r\n\r\nok")


def test_a_client_of_the_old_protocol_waits_for_the_end(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        answer = b""
        while data := sock.recv(1000):
            answer += data
    assert b"Connection: close" in answer
    assert answer.count(b"HTTP/1.1") == 1
    kept = talk(server, b"GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n")
    assert kept.count(b"HTTP/1.1 200") == 2


def test_an_answer_tells_the_time(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/x")
    sent = parsedate_to_datetime(connection.getresponse().headers["Date"])
    connection.close()
    assert abs((datetime.now(UTC) - sent).total_seconds()) < 5


def test_a_bad_body_leaves_no_file_open(server):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        answer = talk(server, b"GET /big HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert answer.startswith(b"HTTP/1.1 400")
    wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before, "the files to be closed", 5)


def test_a_door_that_sticks_for_a_moment_opens_again(server):
    """Without a free file descriptor nobody can come in; that is no reason never to open again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    crowd = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 6, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                crowd.append(socket.create_connection(("127.0.0.1", server.port), timeout=1))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in crowd:
            each.close()
    assert b"GET /still " in talk(server, b"GET /still HTTP/1.1\r\n\r\n")


def test_files_and_pieces(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for _ in range(2):
        connection.request("GET", "/big")
        assert connection.getresponse().read() == server.big.read_bytes()[10:]
        connection.request("GET", "/pieces")
        assert connection.getresponse().read() == b"onetwo"
    connection.close()

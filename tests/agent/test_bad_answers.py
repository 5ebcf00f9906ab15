"""What the worker makes of connections and answers that are no good."""

import http.server
import os
import socket
import threading
import time

import pytest
from tests.conftest import wait_for

from wherry.agent.client import CallFailed
from wherry.agent.credentials import Credentials
from wherry.agent.repeating import Repeating
from wherry.agent.services import S3, Sqs

KEYS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"}
MESSAGE = {"MessageId": "m", "ReceiptHandle": "h"}


@pytest.fixture
def serve():
    """Starts an HTTP server that does with each request what it is told to; gives its address."""
    servers = []

    def start(do):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                do(self)

            do_POST = do_GET  # noqa: N815 - as the base class has it

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def sqs(url):
    environment = KEYS | {"AWS_ENDPOINT_URL": url}
    return Sqs(f"{url}/1/q", environment, Credentials(environment))


def test_what_is_done_again_and_again_goes_on_after_an_error(capfd):
    done = []

    def act():
        done.append(1)
        if len(done) == 1:
            raise KeyError("ReceiptHandle")

    with Repeating(act, interval=0.01):
        wait_for(lambda: len(done) > 2, "a further time")
    assert "wherry: KeyError, which is tried again: 'ReceiptHandle'" in capfd.readouterr().out


def test_a_page_of_somebody_else_is_a_call_that_failed(serve):
    def page(request):
        request.send_response(200)
        request.send_header("Content-Length", "6")
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(b"<html>")

    with pytest.raises(CallFailed, match="somebody else answers in the place of SQS: b'<html>'") as caught:
        sqs(serve(page)).hide([MESSAGE], lambda _: 10, patience=0)
    assert caught.value.is_passing


def test_silence_takes_no_longer_than_the_caller_s_patience():
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        with pytest.raises(CallFailed, match="does not answer: timed out"):
            sqs(f"http://127.0.0.1:{server.getsockname()[1]}").hide([MESSAGE], lambda _: 10, patience=1)
        assert time.monotonic() - began < 5


def test_a_download_that_breaks_off_again_and_again_goes_on_while_there_is_progress(serve, tmp_path):
    content = os.urandom(5_500)
    asked = []

    def some(request):
        begin = int((request.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        asked.append((begin, request.headers["If-Match"]))
        is_stuck = request.path.endswith("stuck") and begin
        request.send_response(206 if begin else 200)
        request.send_header("ETag", '"e"')
        request.send_header("Content-Length", str(len(content) - begin))
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(b"" if is_stuck else content[begin : begin + 1_000])

    environment = KEYS | {"AWS_ENDPOINT_URL": serve(some)}
    s3 = S3(environment, Credentials(environment), domain="")
    # no patience at all, as after the first minute of a long download
    s3.fetch("b", "k", str(tmp_path / "whole"), stop=lambda: False, patience=0)
    assert (tmp_path / "whole").read_bytes() == content
    assert asked == [(0, None), *((begin, '"e"') for begin in range(1_000, 5_500, 1_000))]
    with pytest.raises(CallFailed, match="only 1000 of 5500 bytes came"):
        s3.fetch("b", "stuck", str(tmp_path / "part"), stop=lambda: False, patience=0)

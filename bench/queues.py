"""SQS from one boto3 thread: messages a second that are sent, received and deleted, singly and by ten.

`floor` is the client's own limit: a socket that gives canned answers and keeps nothing. wherry has each message on disk
before it is acknowledged; MiniStack (`pip install ministack`) keeps them in memory, and so does moto, which is
measured too with `--moto PATH` (of a `moto_server`). All of them take turns in short rounds, so that a busy moment of
the machine is everybody's; told are the medians.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

BIN = os.path.dirname(sys.executable)
BODY = "x" * 200
DISCIPLINES = ("singly", "by ten")

Call = Callable[[], int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round of each server")
    parser.add_argument("--moto", metavar="PATH", help="a moto_server, to be measured too")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    servers: dict[str, AbstractContextManager[Any]] = {"floor": canned(), "wherry": wherry(), "ministack": ministack()}
    if arguments.moto:
        servers["moto"] = moto(arguments.moto)
    with contextlib.ExitStack() as stack:
        clients = {name: stack.enter_context(server) for name, server in servers.items()}
        results = measure(clients, arguments.rounds, arguments.seconds)
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    print("messages a second, sent + received + deleted; times wherry's\n")
    print(" " * 12 + "".join(f"{discipline:>18}" for discipline in DISCIPLINES))
    for name, row in results.items():
        told = (f"{row[each]:>10} ({row[each] / results['wherry'][each]:.2f})" for each in DISCIPLINES)
        print(f"{name:12}" + "".join(f"{cell:>18}" for cell in told))


def measure(clients: dict[str, Any], rounds: int, seconds: float) -> dict[str, dict[str, int]]:
    """The median rate of each server in each discipline."""
    calls = {name: dict(zip(DISCIPLINES, (singly(sqs), by_ten(sqs)), strict=True)) for name, sqs in clients.items()}
    rates: dict[str, dict[str, list[float]]] = {name: {each: [] for each in DISCIPLINES} for name in clients}
    for number in range(rounds + 1):
        for discipline in DISCIPLINES:
            for name, disciplines in calls.items():
                found = rate(disciplines[discipline], seconds)
                if number:  # the first round warms everybody up
                    rates[name][discipline].append(found)
    return {
        name: {discipline: round(statistics.median(found)) for discipline, found in row.items()}
        for name, row in rates.items()
    }


def rate(call: Call, seconds: float) -> float:
    messages, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        messages += call()
    return messages / elapsed


def singly(sqs: Any) -> Call:
    url = sqs.get_queue_url(QueueName="bench")["QueueUrl"]

    def call() -> int:
        sqs.send_message(QueueUrl=url, MessageBody=BODY)
        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return 1

    return call


def by_ten(sqs: Any) -> Call:
    url = sqs.get_queue_url(QueueName="bench")["QueueUrl"]
    entries = [{"Id": str(number), "MessageBody": BODY} for number in range(10)]

    def call() -> int:
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        handles = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
        sqs.delete_message_batch(QueueUrl=url, Entries=handles)
        return len(messages)

    return call


def client_of(endpoint: str, key: str = "x", secret: str = "x") -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}),
    )


@contextlib.contextmanager
def wherry() -> Iterator[Any]:
    # Beside this file, not in /tmp, which may be memory.
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:
        Path(folder, "wherry.yaml").write_text(
            "app: bench\nqueues: {bench: {}}\njobs: {a: {command: 'true'}}\n", "utf-8"
        )
        with running([f"{BIN}/wherry", "up"], cwd=folder):
            given = json.loads(patiently(lambda: environment_of(folder)))
            yield client_of(given["AWS_ENDPOINT_URL"], given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"])


def environment_of(folder: str) -> str:
    return subprocess.check_output([f"{BIN}/wherry", "env", "--json"], cwd=folder, text=True, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def ministack() -> Iterator[Any]:
    port = free_port()
    with running([f"{BIN}/ministack"], GATEWAY_PORT=str(port), DOCKER_HOST="unix:///nowhere"):
        yield emulated(port)


@contextlib.contextmanager
def moto(program: str) -> Iterator[Any]:
    port = free_port()
    with running([program, "-p", str(port)]):
        yield emulated(port)


def emulated(port: int) -> Any:
    sqs = client_of(f"http://127.0.0.1:{port}")
    patiently(lambda: sqs.create_queue(QueueName="bench"))
    return sqs


@contextlib.contextmanager
def running(command: list[str], cwd: str | None = None, **variables: str) -> Iterator[None]:
    process = subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def patiently(call: Callable[[], Any]) -> Any:
    for _ in range(300):
        try:
            return call()
        except Exception:  # noqa: BLE001 - not up yet
            time.sleep(0.1)
    return call()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@contextlib.contextmanager
def canned() -> Iterator[Any]:
    """A server that answers without thinking, in a process of its own as the others are."""
    listener = socket.create_server(("127.0.0.1", 0))
    pid = os.fork()
    if pid == 0:
        accept(listener)
    try:
        yield client_of(f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        listener.close()


def accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    md5 = hashlib.md5(BODY.encode()).hexdigest()
    answers = {name: packed(value) for name, value in answers_of(md5).items()}
    data = b""
    while received := connection.recv(65536):
        data += received
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
        if not end or len(body) < int(length[1] if length else 0):
            continue
        target = re.search(rb"AmazonSQS\.(\w+)", head)
        name = target[1].decode() if target else ""
        many = name == "ReceiveMessage" and b"MaxNumberOfMessages" in body
        connection.sendall(answers[name + ("10" if many else "")])
        data = b""


def answers_of(md5: str) -> dict[str, Any]:
    message = {"MessageId": "0" * 36, "ReceiptHandle": "r" * 60, "MD5OfBody": md5, "Body": BODY}
    sent = {"MessageId": "0" * 36, "MD5OfMessageBody": md5}
    return {
        "GetQueueUrl": {"QueueUrl": "http://127.0.0.1/000000000000/bench"},
        "SendMessage": sent,
        "SendMessageBatch": {"Successful": [{"Id": str(number), **sent} for number in range(10)]},
        "ReceiveMessage": {"Messages": [message]},
        "ReceiveMessage10": {"Messages": [message] * 10},
        "DeleteMessage": {},
        "DeleteMessageBatch": {"Successful": [{"Id": str(number)} for number in range(10)]},
    }


def packed(value: Any) -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


if __name__ == "__main__":
    main()

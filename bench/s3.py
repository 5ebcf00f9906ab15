"""S3 from one boto3 thread: small objects a second, large objects in MB/s, the engine's peak memory.

`floor` is the client's own limit: a socket that answers every request with the same bytes and keeps nothing. `moto` is
measured too when it is installed (`pip install 'moto[server]'`) and `--moto` is given. Every put to wherry is on disk
before it is acknowledged.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

WHERRY = f"{os.path.dirname(sys.executable)}/wherry"
SMALL = os.urandom(10_000)
LARGE_MB = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement of small objects")
    parser.add_argument(
        "--gigabyte", action="store_true", help="also upload 1 GB in parts and tell the engine's memory"
    )
    parser.add_argument("--moto", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    servers: dict[str, Callable[[], Any]] = {"floor": canned, "wherry": wherry}
    if arguments.moto:
        servers["moto"] = moto
    results = {}
    for name, start in servers.items():
        with start() as (client, pid):
            results[name] = measure(client, pid, arguments.seconds, large=name != "floor")
            if arguments.gigabyte and name == "wherry":
                results[name] |= gigabyte(client, pid)
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    columns = list(results["wherry"])
    print(" " * 8 + "".join(f"{column:>16}" for column in columns))
    for name, row in results.items():
        print(f"{name:8}" + "".join(f"{row.get(column, ''):>16}" for column in columns))


def measure(s3: Any, pid: int | None, seconds: float, *, large: bool) -> dict[str, float]:
    s3.put_object(Bucket="bench", Key="small", Body=SMALL)
    row: dict[str, float] = {
        "10 KB put/s": rate(lambda n: s3.put_object(Bucket="bench", Key=f"in/{n}", Body=SMALL), seconds),
        "10 KB get/s": rate(lambda n: s3.get_object(Bucket="bench", Key="small")["Body"].read(), seconds),
    }
    if large:
        body = os.urandom(1 << 20) * LARGE_MB
        row["200 MB put MB/s"] = speed(lambda: s3.put_object(Bucket="bench", Key="large", Body=io.BytesIO(body)))
        row["200 MB get MB/s"] = speed(lambda: drink(s3.get_object(Bucket="bench", Key="large")["Body"]))
        row["up parts MB/s"] = speed(lambda: s3.upload_fileobj(io.BytesIO(body), "bench", "parts"))
    if pid:
        row["peak RSS MB"] = peak_rss_mb(pid)
    return row


def gigabyte(s3: Any, pid: int) -> dict[str, float]:
    with tempfile.NamedTemporaryFile() as file:
        block = os.urandom(1 << 20)
        for _ in range(1024):
            file.write(block)
        file.flush()
        began = time.perf_counter()
        s3.upload_file(file.name, "bench", "gigabyte", Config=TransferConfig(max_concurrency=10))
        elapsed = time.perf_counter() - began
    return {"1 GB up MB/s": round(1024 / elapsed), "then RSS MB": peak_rss_mb(pid)}


def rate(call: Callable[[int], Any], seconds: float) -> int:
    count, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        call(count)
        count += 1
    return round(count / elapsed)


def speed(call: Callable[[], Any], rounds: int = 3) -> int:
    best = 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        best = max(best, LARGE_MB / (time.perf_counter() - began))
    return round(best)


def drink(body: Any) -> None:
    while body.read(1 << 20):
        pass


def peak_rss_mb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    return 0


def client_of(endpoint: str, key: str = "x", secret: str = "x") -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@contextlib.contextmanager
def wherry() -> Iterator[tuple[Any, int]]:
    # Beside this file, not in /tmp, which may be memory.
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:
        Path(folder, "wherry.yaml").write_text(
            "app: bench\nbuckets: {bench: {}}\njobs: {a: {command: 'true'}}\n", "utf-8"
        )
        process = subprocess.Popen([WHERRY, "up"], cwd=folder, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                done = subprocess.run(
                    [WHERRY, "env", "--json"], cwd=folder, capture_output=True, text=True, check=False
                )
                if done.returncode == 0:
                    break
                time.sleep(0.05)
            given = json.loads(done.stdout)
            yield (
                client_of(given["AWS_ENDPOINT_URL"], given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"]),
                process.pid,
            )
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def moto() -> Iterator[tuple[Any, int]]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    process = subprocess.Popen(["moto_server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = client_of(f"http://127.0.0.1:{port}")
        for _ in range(100):
            try:
                client.create_bucket(Bucket="bench")
                break
            except Exception:  # noqa: BLE001 - not up yet
                time.sleep(0.1)
        yield client, process.pid
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def canned() -> Iterator[tuple[Any, None]]:
    """A server that answers without thinking."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    yield client_of(f"http://127.0.0.1:{listener.getsockname()[1]}"), None
    listener.close()


def accept(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = b'HTTP/1.1 200 OK\r\nETag: "d41d8cd98f00b204e9800998ecf8427e"\r\nContent-Length: '
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            received = connection.recv(65536)
            if not received:
                return
            data += received
        headers, _, data = data.partition(b"\r\n\r\n")
        lower = headers.lower()
        if b"expect: 100-continue" in lower:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0) - len(data)
        while left > 0:
            left -= len(connection.recv(min(left, 1 << 20)))
        data = b""
        body = SMALL if headers.startswith(b"GET") else b""
        connection.sendall(head + str(len(body)).encode() + b"\r\n\r\n" + body)


if __name__ == "__main__":
    main()

"""huey beside wherry: SqliteHuey with `fsync=True`, four workers. Run by burst.py.

huey has no call for many tasks at once: each is enqueued, and committed, by itself. It looks for work at intervals; ten
milliseconds is far quicker than its default of 100.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from huey import SqliteHuey  # type: ignore[import-not-found]

BOUNDED = ["timeout", "--foreground", "-k", "10", "300"]
FOLDER = sys.argv[1]

huey = SqliteHuey(filename=f"{FOLDER}/huey.db", fsync=True)


def _run(number: int, command: list[str]) -> int:
    with open(f"{FOLDER}/{number}.log", "wb") as file:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=True).returncode


run = huey.task()(_run)


def drive(count: int, starts: int) -> dict[str, object]:
    began = time.perf_counter()
    for number in range(count):
        run(number, ["true"])
    # A run has ended when its result is stored.
    wait(count, pulse=0.02)
    rate = count / (time.perf_counter() - began)
    delays = []
    for number in range(count, count + starts):
        time.sleep(0.02)
        now = time.time_ns()
        run(number, ["date", "+%s%N"])
        wait(number + 1)
        with open(f"{FOLDER}/{number}.log", encoding="ascii") as file:
            delays.append(int(file.read()) - now)
    return {"rate": rate, "delays": delays}


def wait(results: int, pulse: float = 0.003) -> None:
    deadline = time.monotonic() + 60
    while huey.result_count() < results:
        if time.monotonic() > deadline:
            sys.exit("huey did not end its tasks")
        time.sleep(pulse)


def main() -> None:
    if sys.argv[2] == "work":
        huey.create_consumer(workers=4, worker_type="thread", initial_delay=0.01, max_delay=0.01, periodic=False).run()
        return
    with open(f"{FOLDER}/consumer.log", "wb") as log:
        command = [*BOUNDED, sys.executable, __file__, FOLDER, "work"]
        consumer = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        time.sleep(1)
        print(json.dumps(drive(int(sys.argv[2]), int(sys.argv[3]))))
    finally:
        consumer.terminate()
        consumer.wait(20)


if __name__ == "__main__":
    main()

"""How long the command line takes to answer, beside a bare Python: milliseconds of wall time, median of several."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = os.path.dirname(sys.executable)
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "python -c 'import json, sqlite3, argparse'": [sys.executable, "-c", "import json, sqlite3, argparse"],
    "wherry --help": [f"{BIN}/wherry", "--help"],
    "wherry runs (200 runs)": [f"{BIN}/wherry", "runs"],
    "wherry check": [f"{BIN}/wherry", "check"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wherry.yaml"
        path.write_text(
            "app: bench\njobs:\n  a: {command: 'true', on: [{event: {source: [bench]}}]}\n", encoding="utf-8"
        )
        events = json.dumps([{"source": "bench", "detail-type": "tick", "detail": {"n": n}} for n in range(200)])
        subprocess.run(
            [f"{BIN}/wherry", "emit", "-"], cwd=folder, input=events, text=True, capture_output=True, check=True
        )
        results = {name: median_ms(command, folder, arguments.count) for name, command in COMMANDS.items()}
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    for name, value in results.items():
        print(f"{name:45}{value:8.1f}")


def median_ms(command: list[str], folder: str, count: int) -> float:
    times = []
    for _ in range(count + 1):
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        times.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(times[1:]), 1)


if __name__ == "__main__":
    main()

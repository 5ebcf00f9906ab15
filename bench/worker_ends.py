"""Workers of managed mode on ECS are told to go at random moments, as scale-ins, deploys and Spot do.

`python -m bench.worker_ends [ENDS]`: messages of 0 to 0.2 s of work at an engine's queue; a worker is started, gets
SIGTERM at a random moment, and another one follows, 200 times. Nothing may be lost, done twice or cut off.
"""

from __future__ import annotations

import importlib
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from wherry.executors import agent

#: The tests' own bench, which has no types.
shared: Any = importlib.import_module("tests.agent.conftest")

WORK = 'echo "begin $N" >> $OUT; sleep $S; echo "end $N" >> $OUT'
FIELDS = {"N": "${event.detail.body.n}", "S": "${event.detail.body.seconds}"}


def main() -> int:
    """Print what was seen; exit code 1 when it is not as it must be."""
    ends = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        project = shared.Project(Path(folder))
        project.jobfile(shared.JOBFILE)
        project.up()
        try:
            return _measure(project, Path(folder), chance, ends)
        finally:
            project.close()


def _measure(project: Any, folder: Path, chance: random.Random, ends: int) -> int:
    shared.connected(project)
    program = folder / "worker"
    program.write_bytes(agent.packed(shared.oldest_python()))
    program.chmod(0o755)
    bench = shared.Bench(project, str(program), folder)
    wanted = 4 * ends
    bench.send(*({"n": number, "seconds": round(chance.uniform(0, 0.2), 3)} for number in range(wanted)))
    began = time.monotonic()
    for number in range(ends):
        worker = bench.start(WORK, env=FIELDS)
        shared.wait_for(lambda: bench.log().count("takes messages") > number, "the worker")  # noqa: B023 - at once
        time.sleep(chance.uniform(0, 0.5))
        bench.drain(worker)
    lines = bench.lines()
    begun = [line.split()[1] for line in lines if line.startswith("begin")]
    ended = [line.split()[1] for line in lines if line.startswith("end")]
    waiting, in_flight = bench.counts()
    cut_off, twice = len(begun) - len(ended), len(ended) - len(set(ended))
    lost = wanted - waiting - in_flight - len(set(ended))
    print(f"{ends} workers told to go in {time.monotonic() - began:.0f} s: {len(ended)} messages done, {waiting} wait")
    print(f"lost {lost}, cut off {cut_off}, done twice {twice}, in flight at the end {in_flight}")
    return 1 if lost or cut_off or twice or in_flight else 0


if __name__ == "__main__":
    sys.exit(main())

"""A long storm over queues: 10,000 messages, workers killed at random by SIGKILL, and the engine too.

tests/local/queue_kills.py with more of everything. Exit code 1 when a promise was broken; the seed that is printed
makes the same kills of the engine again.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.local import queue_kills
from tests.local.kills import in_lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=40, help="of the engine; workers are killed all the time")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        story = queue_kills.storm(
            Path(folder),
            messages=arguments.messages,
            kills=arguments.kills,
            seed=arguments.seed,
            say=lambda text: print(text, flush=True),
        )
    print(story.summary())
    for check in queue_kills.CHECKS:
        wrong = list(check(story))
        broken += bool(wrong)
        print(f"{'broken' if wrong else 'kept':8}{check.__name__.replace('_', ' ')}")
        if wrong:
            print(in_lines(wrong))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

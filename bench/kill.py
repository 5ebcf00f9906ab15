"""A long storm of kills, and what of an engine's promises it broke: tests/local/kills.py with more of everything.

Exit code 1 when a promise was broken; the seed that is printed makes the same kills again.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.local import kills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        story = kills.storm(
            Path(folder), kills=arguments.kills, seed=arguments.seed, say=lambda text: print(text, flush=True)
        )
    print(story.summary())
    for check in kills.CHECKS:
        wrong = list(check(story))
        broken += bool(wrong)
        print(f"{'broken' if wrong else 'kept':8}{check.__name__.replace('_', ' ')}")
        if wrong:
            print(kills.in_lines(wrong))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

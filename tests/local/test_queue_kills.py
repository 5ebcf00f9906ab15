"""At least once, whatever is killed: a storm over queues, short. `bench/queue_kill.py` has a long one."""

import shutil

import pytest

from tests.local import queue_kills
from tests.local.kills import in_lines

MESSAGES, KILLS = 500, 4
#: The kills of each storm are at the same instants; `bench/queue_kill.py` has other seeds.
SEED = 20262


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    folder = tmp_path_factory.mktemp("queue-storm")
    print(f"seed {SEED}")  # for a storm that does not come to its end
    yield queue_kills.storm(folder, messages=MESSAGES, kills=KILLS, seed=SEED)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(300)
def test_the_storm_was_one(story):
    """Else the checks would check nothing."""
    print(story.summary())
    assert len(story.killed) >= 10
    assert story.engine_kills >= KILLS > story.blind_kills > 0
    assert {run["job"] for run in story.runs} == set(queue_kills.QUEUES.values())
    assert any(story.dead.values())
    assert any(count > 1 for count in story.done().values())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", queue_kills.CHECKS, ids=lambda check: check.__name__)
def test_after_many_kills(story, check):
    wrong = list(check(story))
    assert not wrong, f"{check.__name__}, but:\n{in_lines(wrong)}\n{story.summary()}"

"""docs/queues.md is true: its walk is walked, its table of workers is the rule's, its operations are those that answer."""

import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import wait_for
from wherry.gateway import sqs
from wherry.model import QueueTrigger
from wherry.scaling import Load, wanted

PAGE = (Path(__file__).parent.parent.parent / "docs/queues.md").read_text(encoding="utf-8")
#: What differs from one time to the next: run and message ids, times and spans, shares of a minute.
_VARYING = {
    r"[0-9a-f]{8}-[0-9a-f-]{27}": "MESSAGE-ID",
    r"\b01[0-9a-z]{14}\b": "RUN-ID",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d": "TIME",
    r"\b\d+\.\d+s\b": "SPAN",
    r" \d+\.\d$": " RATE",
    r"[ \t]+": " ",
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def alike(text):
    for pattern, word in _VARYING.items():
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return [line.strip() for line in text.strip().splitlines()]


def steps():
    """Each command of the walk with what it prints."""
    return [
        step.split("\n", 1) for block in blocks("console") for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    ]


def test_the_walk(project):
    project.jobfile(next(block for block in blocks("yaml") if "app: walk" in block))
    project.up()
    before = ""
    for command, printed in steps():
        if command.startswith("eval"):
            before = f"{command}; "
            continue
        script = before + command

        def prints(script=script, printed=printed):
            done = subprocess.run(script, shell=True, cwd=project.folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return alike(done.stdout + done.stderr) == alike(printed)

        looks_only = command.startswith(("wherry runs", "wherry queues", "wherry queue peek", "aws sqs get"))
        if looks_only:
            wait_for(prints, f"`{command}` to print\n{printed}", seconds=20)
        else:
            assert prints(), command


def workers():
    """Rows of the table of workers: waiting, in flight, workers, how many are wanted, and how many at last."""
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| (\d+)(?:, and (\d+) when .*)? \|$", PAGE, re.MULTILINE)
    return [tuple(int(cell) if cell else None for cell in row) for row in rows]


@pytest.mark.parametrize("row", workers(), ids=str)
def test_the_table_of_workers_is_the_rules(row):
    waiting, in_flight, there, expected, at_last = row
    trigger = QueueTrigger(queue="q", max_workers=8, backlog=10)
    for empty_for, count in ((timedelta(0), expected), (trigger.idle, expected if at_last is None else at_last)):
        load = Load(waiting=waiting, in_flight=in_flight, empty_for=empty_for)
        assert wanted(load, workers=there, steady_for=timedelta(0), trigger=trigger) == count


def test_there_are_rows_and_steps():
    assert len(workers()) == 9
    assert len(steps()) > 10


def test_the_operations_are_those_that_answer():
    chapter = PAGE[PAGE.index("## Clients") : PAGE.index("What is refused:")]
    assert set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", chapter)) - {"AccessDenied"} == set(sqs.OPERATIONS)


def test_refused_operations_are_refused():
    (row,) = re.findall(r"^\| (TagQueue.*?) \|", PAGE, re.MULTILINE)
    assert not set(row.split(", ")) & set(sqs.OPERATIONS)

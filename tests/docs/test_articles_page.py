"""docs/articles.md: each row of the articles has its command here, its command on AWS, and tests that exist."""

import ast
import functools
import re
import shlex
from pathlib import Path

import pytest

from wherry.cli.main import parse

ROOT = Path(__file__).parent.parent.parent
#: Article -> its rows.
ROWS = {"0": "abcdef", "1": "abcdefghijk", "2": "abcdef", "3": "abcdefghijk", "4": "abcd"}


def rows():
    text = (ROOT / "docs/articles.md").read_text()
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()]
    return {cells[0].strip(): cells[1:] for cells in found if re.fullmatch(r"\d[a-z]", cells[0].strip())}


@functools.cache
def functions_in(path):
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_row_is_missing():
    assert list(rows()) == [article + letter for article, letters in ROWS.items() for letter in letters]


@pytest.mark.parametrize("row", [article + letter for article, letters in ROWS.items() for letter in letters])
def test_a_row_has_both_commands_and_its_proof(row):
    _, here, there, proof = rows()[row]
    for commands in (here, there):
        found = re.findall(r"`wherry ([^`]+)`", commands)
        assert found, f"no command in: {commands}"
        for each in found:
            parse(shlex.split(each))  # exits with 2 where it is no command line
    assert "--env prod" in there
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proof)
    assert tests
    for path, name in tests:
        assert (ROOT / path).exists(), path
        assert name in functions_in(path), f"{path} has no {name}"

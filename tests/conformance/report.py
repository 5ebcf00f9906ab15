"""The page `docs/conformance.md`: every scenario, the backends that are held to it, and what differs on them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conformance.backend import BACKENDS
from tests.conformance.differences import DIFFERENCES, difference

HERE = Path(__file__).parent

HEAD = """\
# Conformance

What every backend is held to. Each scenario is a test in [tests/conformance](../tests/conformance) that goes through the
command line; it runs on every backend where it can hold, and what cannot is listed [below](#differences). This page is
made from the tests themselves.

"""


class Scenario(NamedTuple):
    """One test, as it stands in its file."""

    chapter: str
    name: str
    about: str
    needs_engine: bool


def scenarios() -> list[Scenario]:
    """All of them."""
    return [scenario for path in sorted(HERE.glob("test_*.py")) for scenario in _of(path)]


def _of(path: Path) -> Iterator[Scenario]:
    text = path.read_text(encoding="utf-8")
    marked = "pytestmark = pytest.mark.needs_engine" in text
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            needs = marked or any("needs_engine" in ast.unparse(one) for one in node.decorator_list)
            yield Scenario(path.stem, node.name, " ".join((ast.get_docstring(node) or "").split()), needs)


def page() -> str:
    """The whole page."""
    found = scenarios()
    text = HEAD + "| backend | what it is | scenarios |\n|---|---|---|\n"
    for kind in BACKENDS:
        about = " ".join((kind.__doc__ or "").split())
        held = len([one for one in found if difference(kind.name, one.name, needs_engine=one.needs_engine) is None])
        text += f"| {kind.name} | {about} | {held} of {len(found)} |\n"
    for chapter in dict.fromkeys(one.chapter for one in found):
        about = ast.get_docstring(ast.parse((HERE / f"{chapter}.py").read_text(encoding="utf-8")))
        text += f"\n## {chapter.removeprefix('test_').capitalize()}\n\n{about}\n\n"
        text += f"| scenario | {' | '.join(kind.name for kind in BACKENDS)} |\n|---|{'---|' * len(BACKENDS)}\n"
        for one in found:
            if one.chapter == chapter:
                text += f"| {one.about} | {' | '.join(_cell(kind.name, one) for kind in BACKENDS)} |\n"
    return text + _differences({one.name: one for one in found})


def _cell(backend: str, scenario: Scenario) -> str:
    found = difference(backend, scenario.name, needs_engine=scenario.needs_engine)
    if found:
        return found.short
    some = [name for name in DIFFERENCES.get(backend, {}) if name.startswith(f"{scenario.name}[")]
    return "in part" if some else "yes"


def _differences(known: dict[str, Scenario]) -> str:
    text = "\n## Differences\n\nWhat is not tried where, and why.\n"
    text += "\n**alone**: without an engine there are no triggers, and no runs that go on by themselves.\n"
    for backend, differences in DIFFERENCES.items():
        text += f"\n**{backend}**:\n\n"
        for name, found in differences.items():
            scenario, _, case = name.partition("[")
            of_it = f" ({case.removesuffix(']').replace('-', ' ')})" if case else ""
            about = re.sub(r"[.]$", "", known[scenario].about)
            text += f"- {about}{of_it} - {found.reason}.\n"
    return text

"""The table of `docs/conformance.md`: every scenario, and the backends that are held to it."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.conformance.backend import BACKENDS, ENGINE

HERE = Path(__file__).parent

HEAD = """\
# Conformance

What every backend is held to. Each scenario is a test in [tests/conformance](../tests/conformance) that goes through the
command line; it runs on every backend that has what it needs. This page is made from the tests themselves.

| backend | what it is | what it lacks |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    text = HEAD
    for kind in BACKENDS:
        about = " ".join((kind.__doc__ or "").split())
        text += f"| {kind.name} | {about} | {'; '.join(kind.lacks) or '-'} |\n"
    for path in sorted(HERE.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        text += f"\n## {path.stem.removeprefix('test_').capitalize()}\n\n{ast.get_docstring(tree)}\n\n"
        text += f"| scenario | {' | '.join(kind.name for kind in BACKENDS)} |\n|---|{'---|' * len(BACKENDS)}\n"
        marked = "pytestmark = pytest.mark.needs_engine" in path.read_text(encoding="utf-8")
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                needs = marked or any("needs_engine" in ast.unparse(one) for one in node.decorator_list)
                cells = ["needs an engine" if needs and ENGINE in kind.lacks else "yes" for kind in BACKENDS]
                text += f"| {' '.join((ast.get_docstring(node) or '').split())} | {' | '.join(cells)} |\n"
    return text

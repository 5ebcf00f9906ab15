import os
from pathlib import Path

from tests.conformance.differences import DIFFERENCES
from tests.conformance.report import page, scenarios

PAGE = Path(__file__).parent.parent.parent / "docs/conformance.md"


def test_the_page_shows_the_scenarios_as_they_are():
    """`GOLDEN=write pytest tests/docs` makes it anew."""
    if os.environ.get("GOLDEN") == "write":
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page()


def test_what_differs_is_a_scenario():
    names = {scenario.name for scenario in scenarios()}
    assert {name.partition("[")[0] for known in DIFFERENCES.values() for name in known} <= names

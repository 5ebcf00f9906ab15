import os
from pathlib import Path

from tests.conformance.differences import DIFFERENCES
from tests.conformance.report import HERE, page, scenarios

PAGE = Path(__file__).parent.parent.parent / "docs/conformance.md"


def test_the_page_shows_the_scenarios_as_they_are():
    """`GOLDEN=write pytest tests/docs` makes it anew."""
    if os.environ.get("GOLDEN") == "write":
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page()


def test_what_differs_is_a_scenario():
    chapters = {scenario.name: scenario.chapter for scenario in scenarios()}
    for name in (name for known in DIFFERENCES.values() for name in known):
        scenario, _, case = name.removesuffix("]").partition("[")
        assert scenario in chapters
        assert not case or f'"{case}"' in (HERE / f"{chapters[scenario]}.py").read_text(encoding="utf-8")

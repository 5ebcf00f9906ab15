"""Every broken file says exactly this. `GOLDEN=write` rewrites the texts; then read them as a stranger would."""

import os
from pathlib import Path

import pytest
import yaml

from wherry import jobfile
from wherry.errors import JobFileError
from wherry.jobfile import document

FOLDER = Path(__file__).parent / "broken"
FILES = sorted(FOLDER.glob("*.yaml"))


def said(path: Path) -> str:
    """What a person in the file's folder sees, problems separated as on the screen."""
    with pytest.raises(JobFileError) as caught:
        jobfile.load(path.name)
    return str(caught.value) + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_message(path, monkeypatch):
    monkeypatch.chdir(FOLDER)
    text = said(path)
    golden = path.with_suffix(".txt")
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_message_without_libyaml(path, monkeypatch):
    """PyYAML is also installed without its C library, and says the same in other words."""
    monkeypatch.setattr(document, "_LOADER", yaml.SafeLoader)
    monkeypatch.chdir(FOLDER)
    assert said(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_corpus_is_complete():
    assert len(FILES) >= 70
    assert {path.stem for path in FOLDER.glob("*.txt")} == {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_manner(path):
    """Lower case, no full stop, a place in the file: the house's way of speaking."""
    with pytest.raises(JobFileError) as caught:
        jobfile.load(str(path))
    for problem in caught.value.problems:
        assert not problem.message.endswith(".")
        assert problem.hint is None or not problem.hint.endswith(".")
        assert (
            problem.message[0] == "`"
            or problem.message[0].islower()
            or problem.message.startswith(("YAML", "EventBridge"))
        )
        assert "  " not in problem.message
        assert "None" not in problem.message
        assert problem.place.file == str(path)

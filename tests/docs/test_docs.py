"""Prose is checked like code: what the docs name exists, and what exists is in the docs."""

import re
import subprocess
from pathlib import Path

import pytest

import wherry
from tests.conftest import BIN
from wherry.cli.main import VERBS

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")) + sorted(ROOT.glob("examples/*/README.md"))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_section_and_its_help(verb):
    assert f"\n## {verb}\n" in (ROOT / "docs/commands.md").read_text()
    shown = subprocess.run([f"{BIN}/wherry", verb, "--help"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"usage: wherry {verb}")
    assert VERBS[verb][0].islower()
    assert not VERBS[verb].endswith(".")


def test_every_verb_that_the_documents_show_exists():
    shown = {
        match
        for document in DOCUMENTS
        for match in re.findall(r"(?:^|`|\$\()(?:\s*)wherry (?:-f \S+ )?([a-z][a-z-]*)", document.read_text(), re.MULTILINE)
    }
    assert shown <= set(VERBS) | {"up"}
    assert {"run", "up", "cp", "runs"} <= shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_readmes_job_file_is_right(project):
    text = (ROOT / "README.md").read_text()
    block = next(block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "app: sales" in block)
    project.jobfile(block)
    assert project.wherry("check").stdout == "ok: sales: 1 job, 2 buckets, 0 queues\n"


def test_the_readme_begins_with_the_two_commands():
    assert (ROOT / "README.md").read_text().startswith("# wherry\n\n```sh\nmake demo ")


def test_the_changelog_knows_this_version():
    assert f"## {wherry.__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_architecture_names_every_room_and_module():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for path in (ROOT / "src/wherry").iterdir():
        if path.suffix == ".py" and not path.name.startswith("__"):
            assert path.stem in text, path.name
        if path.is_dir() and not path.name.startswith("__"):
            assert path.name in text, path.name
    for path in (ROOT / "src/wherry/local").glob("[a-z]*.py"):
        assert path.name in text or path.stem in text, path.name

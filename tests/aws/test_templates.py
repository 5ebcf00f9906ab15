"""Every template says exactly this, and cfn-lint has nothing to say. `GOLDEN=write` rewrites; then read it as a stranger."""

import os
from pathlib import Path

import pytest
import yaml

from tests.aws.lint import lint
from wherry import jobfile
from wherry.aws.compile import base_template, compile_template
from wherry.aws.given import Given
from wherry.aws.template import to_yaml
from wherry.errors import Unsupported

HERE = Path(__file__).parent
ACCEPTED = sorted((HERE / "templates").glob("*.yaml"))
REFUSED = sorted((HERE / "refusals").glob("*.yaml"))


def compiled(path, given=None):
    read = jobfile.load(path.name)
    environment = read.environments["prod"]
    return compile_template(read, environment, given or Given()), base_template(read, environment)


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_template(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    text = "---\n".join(to_yaml(template) for template in reversed(compiled(path)))
    golden = path.parent / "goldens" / path.name
    if os.environ.get("GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    assert list(yaml.safe_load_all(text)) == list(reversed(compiled(path)))


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_refusal(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with pytest.raises(Unsupported) as caught:
        compiled(path)
    text, golden = str(caught.value) + "\n", path.with_suffix(".txt")
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_a_third_of_them_are_refusals():
    assert 3 * len(REFUSED) >= len(ACCEPTED) + len(REFUSED)


def test_cfn_lint_has_nothing_to_say(monkeypatch):
    monkeypatch.chdir(HERE / "templates")
    assert lint({path.stem: template for path in ACCEPTED for template in compiled(path)[:1]}) == []
    assert lint({path.stem: template for path in ACCEPTED for template in compiled(path)[1:]}) == []

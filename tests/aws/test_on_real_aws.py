"""What real AWS is known to refuse and the stand-in takes: each test names the source."""

import pytest

from tests.aws.test_templates import ACCEPTED, compiled


@pytest.fixture(params=ACCEPTED, ids=lambda path: path.stem)
def templates(request, monkeypatch):
    monkeypatch.chdir(request.param.parent)
    return compiled(request.param)


def parts(node, path=""):
    """Everything in a template: (path, value)."""
    yield path, node
    if isinstance(node, dict | list | tuple):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from parts(value, f"{path}/{key}")


def test_no_nulls(templates):
    """CreateChangeSet: "'null' values are not allowed in templates", also inside a state machine's Definition."""
    assert [path for template in templates for path, value in parts(template) if value is None] == []

"""One suite, every backend. A scenario says what it needs; a backend that lacks it is skipped, with the reason."""

import pytest

from tests.conformance.backend import BACKENDS, ENGINE


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_engine: the scenario needs " + ENGINE)


def pytest_generate_tests(metafunc):
    if "backend" not in metafunc.fixturenames:
        return
    needs_engine = metafunc.definition.get_closest_marker("needs_engine") is not None
    chosen = [kind for kind in BACKENDS if not (needs_engine and ENGINE in kind.lacks)]
    metafunc.parametrize("backend", chosen, indirect=True, ids=lambda kind: kind.name)


@pytest.fixture
def backend(request, project):
    for fixture in request.param.equipment:
        request.getfixturevalue(fixture)
    backend = request.param(project)
    yield backend
    backend.close()

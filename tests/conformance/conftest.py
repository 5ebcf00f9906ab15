"""One suite, every backend. What does not hold on one of them is skipped there, with the reason (`differences`)."""

import pytest

from tests.conformance.backend import BACKENDS
from tests.conformance.differences import difference
from tests.standin import fixture

standin = fixture.standin
account = fixture.account


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_engine: triggers, and runs that go on by themselves")


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", BACKENDS, indirect=True, ids=lambda kind: kind.name)


def pytest_collection_modifyitems(items):
    for item in items:
        if "backend" not in getattr(item, "fixturenames", ()):
            continue
        backend = item.callspec.params["backend"].name
        # cases are named behind the backend: test_name[aws-case]
        case = item.callspec.id.removeprefix(backend).removeprefix("-")
        name = f"{item.originalname}[{case}]" if case else item.originalname
        found = difference(backend, name, needs_engine=item.get_closest_marker("needs_engine") is not None)
        if found:
            item.add_marker(pytest.mark.skip(reason=f"{backend}: {found.reason}"))


@pytest.fixture
def backend(request, project):
    equipment = {name: request.getfixturevalue(name) for name in request.param.equipment}
    backend = request.param(project, **{name: value for name, value in equipment.items() if value is not None})
    yield backend
    backend.close()

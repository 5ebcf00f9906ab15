"""`from tests.standin.fixture import account, standin  # noqa: F401` in a conftest.py gives both fixtures."""

import pytest

from tests.standin.harness import StandIn


@pytest.fixture(scope="session")
def standin():
    with StandIn() as running:
        yield running


@pytest.fixture
def account(standin):
    """A fresh account for each test."""
    return standin.account()

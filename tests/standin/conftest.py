from tests.standin.fixture import account, standin  # noqa: F401

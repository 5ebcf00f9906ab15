import os

import pytest

from wherry.errors import NotFound, UserError
from wherry.local.secrets import Secrets


@pytest.fixture
def secrets(tmp_path):
    return Secrets(str(tmp_path / "secrets"))


def test_a_secret_is_kept_byte_for_byte(secrets):
    secrets.set("prod/db", b"\x00\xff\n")
    assert secrets.get("prod/db") == b"\x00\xff\n"
    assert secrets.get("prod") is None
    assert [info.name for info in secrets.listing()] == ["prod/db"]


def test_only_the_owner_can_read_it(secrets, tmp_path):
    secrets.set("key", b"x")
    folder = tmp_path / "secrets"
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert os.stat(folder / "key").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", ".", "a/../../b"])
def test_a_name_never_leaves_the_folder(secrets, tmp_path, name):
    secrets.set(name, b"x")
    assert secrets.get(name) == b"x"
    assert os.listdir(tmp_path) == ["secrets"]
    secrets.remove(name)
    assert secrets.listing() == []


@pytest.mark.parametrize("name", ["", "a b", "ä", "a\n", "x" * 513, "%" * 3])
def test_names_are_secrets_managers(secrets, name):
    with pytest.raises(UserError, match="cannot be a secret's name"):
        secrets.set(name, b"x")


def test_a_value_is_at_most_64_kib(secrets):
    secrets.set("big", b"x" * 65_536)
    with pytest.raises(UserError, match="65,537 bytes"):
        secrets.set("big", b"x" * 65_537)


def test_what_is_not_there_cannot_be_removed(secrets):
    with pytest.raises(NotFound, match="there is no secret `x`"):
        secrets.remove("x")

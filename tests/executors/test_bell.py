"""A bell that is rung when nobody listens any more."""

import os
import select

from wherry.executors.bell import Bell


def is_heard(bell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def test_it_is_heard_until_it_is_hushed():
    bell = Bell()
    assert not is_heard(bell)
    bell.ring()
    bell.ring()
    assert is_heard(bell)
    bell.hush()
    bell.hush()
    assert not is_heard(bell)
    bell.close()


def test_whoever_rings_late_does_not_write_to_whose_the_number_is_now(tmp_path):
    bell = Bell()
    number = bell.fileno()
    bell.close()
    other = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    assert other == number
    bell.ring()
    bell.hush()
    bell.close()
    os.close(other)
    assert (tmp_path / "file").read_bytes() == b""

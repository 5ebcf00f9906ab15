"""Work in a second thread: in order, with its errors, and never left behind."""

import threading

import pytest

from wherry.gateway.beside import Beside


def test_pieces_are_worked_on_in_order():
    done = []
    with Beside(done.append) as beside:
        for number in range(1000):
            beside.give(b"%d" % number)
    assert done == [b"%d" % number for number in range(1000)]


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_what_goes_wrong_beside_goes_wrong_here(count):
    def work(piece):
        raise OSError(28, "No space left on device")

    def give():
        with Beside(work) as beside:
            for _ in range(count):
                beside.give(b"x")

    with pytest.raises(OSError, match="No space left"):
        give()
    assert not [thread for thread in threading.enumerate() if thread.name == "beside"]


def test_what_goes_wrong_here_ends_the_work():
    done = []
    started, go_on = threading.Event(), threading.Event()

    def work(piece):
        started.set()
        go_on.wait(10)
        done.append(piece)

    def give():
        with Beside(work) as beside:
            for _ in range(10):
                beside.give(b"x")
            started.wait(10)
            threading.Timer(0.05, go_on.set).start()
            raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        give()
    assert len(done) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "beside"]

"""Who goes on with the runs of those that have died."""

from types import SimpleNamespace

import pytest

from wherry.local.crew import take_over
from wherry.local.runs import Owned
from wherry.model import Status

#: No process has this number.
DEAD, ME, OTHER = "4194305:1", "1:1", "2:1"


class Store:
    """Runs of which each has an owner; the first reading fails."""

    def __init__(self):
        self.owners = {"a": DEAD}
        self.is_out_of_reach = True
        self.is_locked = False

    def owned(self):
        return [Owned(run_id, "job", owner, DEAD) for run_id, owner in self.owners.items()]

    def adopt(self, run_id, *, old_owner, owner):
        if self.is_locked:
            raise OSError("the database is locked")
        assert self.owners[run_id] == old_owner
        self.owners[run_id] = owner
        return True

    def get(self, run_id):
        if self.is_out_of_reach:
            raise OSError("too many open files")
        return SimpleNamespace(id=run_id, status=Status.RUNNING)


def test_a_run_that_was_made_ours_by_half_is_gone_on_with_at_the_next_look(monkeypatch):
    monkeypatch.setattr("wherry.local.crew.is_alive", lambda owner: owner != DEAD)
    store, taken = Store(), []
    floor = SimpleNamespace(adopting=set(), take_over=lambda run, keeper_of: taken.append((run.id, keeper_of)))
    workspace = SimpleNamespace(runs=store, history=store, me=ME)
    with pytest.raises(OSError, match="open files"):
        take_over(workspace, floor)
    store.is_out_of_reach = False
    assert take_over(workspace, floor) == {"a"}
    assert take_over(workspace, floor) == set()
    assert taken == [("a", DEAD)]


def test_a_run_that_another_process_was_quicker_to_adopt_is_its_own(monkeypatch):
    monkeypatch.setattr("wherry.local.crew.is_alive", lambda owner: owner != DEAD)
    store, taken = Store(), []
    store.is_locked, store.is_out_of_reach = True, False
    floor = SimpleNamespace(adopting=set(), take_over=lambda run, keeper_of: taken.append(run.id))
    workspace = SimpleNamespace(runs=store, history=store, me=ME)
    with pytest.raises(OSError, match="locked"):
        take_over(workspace, floor)
    store.is_locked, store.owners["a"] = False, OTHER
    assert take_over(workspace, floor) == set()
    assert (taken, store.owners["a"]) == ([], OTHER)

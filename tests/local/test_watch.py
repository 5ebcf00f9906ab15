"""Files dropped, changed and taken away by hand."""

import os
import shutil
import time

import pytest

from tests.conftest import wait_for
from tests.local.test_buckets import Store
from wherry.local import watch
from wherry.local.watch import Watcher


@pytest.fixture(params=["inotify", "scan"])
def watched(tmp_path, request, monkeypatch):
    if request.param == "scan":
        monkeypatch.setattr(watch, "_notifier", lambda: None)
        monkeypatch.setattr(watch, "SETTLED_NS", 50_000_000)
        monkeypatch.setattr(watch, "SCAN_SECONDS_ALONE", 0.05)
    store = Store(tmp_path / "home")
    watcher = Watcher(store.buckets)
    watcher.start()
    store.by_notice = request.param == "inotify"
    yield store
    watcher.stop()
    store.database.close()


def keys_become(store, keys) -> None:
    wait_for(lambda: store.keys() == keys, f"{keys}, there are {store.keys()}")


def test_a_dropped_file_is_announced_once(watched):
    with open(watched.path("x.csv"), "w", encoding="ascii") as file:
        file.write("1")
    keys_become(watched, ["x.csv"])
    assert watched.announced() == [("Object Created", "x.csv")]


def test_a_file_is_announced_when_it_is_complete(watched):
    if not watched.by_notice:
        pytest.skip("without inotify a file counts as complete when it was left alone for a while")
    with open(watched.path("slow.csv"), "w", encoding="ascii") as file:
        for _ in range(5):
            file.write("x" * 1000)
            file.flush()
            os.fsync(file.fileno())
            time.sleep(0.05)
        assert watched.events == []
    keys_become(watched, ["slow.csv"])
    assert watched.events[0].detail["object"]["size"] == 5000
    assert len(watched.events) == 1


def test_unfinished_names_wait_for_their_rename(watched):
    for name in (".x.csv.aB3dE", "x.csv.part", "x.csv~"):
        with open(watched.path(name), "w", encoding="ascii") as file:
            file.write("1")
    os.rename(watched.path("x.csv.part"), watched.path("x.csv"))
    keys_become(watched, ["x.csv"])


def test_a_folder_that_comes_with_files(watched, tmp_path):
    (tmp_path / "tree/deep/er").mkdir(parents=True)
    (tmp_path / "tree/deep/er/x").write_text("1")
    (tmp_path / "tree/y").write_text("2")
    old = time.time() - 60
    for path in (tmp_path / "tree/deep/er/x", tmp_path / "tree/y"):
        os.utime(path, (old, old))
    os.rename(tmp_path / "tree", watched.path("moved"))
    shutil.copytree(watched.path("moved"), watched.path("copied"), copy_function=shutil.copyfile)
    keys_become(watched, ["copied/deep/er/x", "copied/y", "moved/deep/er/x", "moved/y"])
    assert len(watched.events) == 4
    with open(watched.path("copied/deep/er/later"), "w", encoding="ascii") as file:
        file.write("3")
    wait_for(lambda: "copied/deep/er/later" in watched.keys(), "the file in the new folder")


def test_what_is_taken_away_is_deleted(watched):
    watched.put("a/x", b"1")
    watched.put("a/y", b"1")
    os.unlink(watched.path("a/x"))
    keys_become(watched, ["a/y"])
    shutil.move(watched.path("a"), watched.home.root + "/elsewhere")
    keys_become(watched, [])


def test_puts_of_clients_are_announced_once(watched):
    for number in range(50):
        watched.put(f"in/{number:02}", b"x")
    watched.buckets.delete("data", *[f"in/{number:02}" for number in range(25)])
    keys_become(watched, [f"in/{number:02}" for number in range(25, 50)])
    time.sleep(0.3)  # for what must not come
    kinds = [kind for kind, _ in watched.announced()]
    assert (kinds.count("Object Created"), kinds.count("Object Deleted")) == (50, 25)


def test_names_that_are_no_text_do_no_harm(watched):
    with open(os.fsencode(watched.path("bad-")) + b"\xff", "wb") as file:
        file.write(b"1")
    with open(watched.path("good"), "wb") as file:
        file.write(b"1")
    keys_become(watched, ["good"])


def test_a_scan_finds_what_happened_while_nobody_watched(tmp_path):
    store = Store(tmp_path)
    store.put("kept", b"1")
    store.put("gone", b"1")
    os.unlink(store.path("gone"))
    with open(store.path("dropped"), "wb") as file:
        file.write(b"1")
    old = time.time() - 60
    os.utime(store.path("dropped"), (old, old))
    # The change time cannot be set back: only a file that was really left alone counts as settled.
    wait_for(lambda: time.time_ns() - os.stat(store.path("dropped")).st_ctime_ns > watch.SETTLED_NS, "two seconds")
    watcher = Watcher(store.buckets)
    watcher.scan()
    assert store.keys() == ["dropped", "kept"]
    assert store.announced()[2:] in (
        [("Object Created", "dropped"), ("Object Deleted", "gone")],
        [("Object Deleted", "gone"), ("Object Created", "dropped")],
    )
    watcher.scan()
    assert len(store.events) == 4
    store.database.close()

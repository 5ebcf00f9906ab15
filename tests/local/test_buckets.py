"""Objects as plain files: durable, atomic, shared between processes, and honest about what people change by hand."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.local import places
from wherry.local.buckets import Buckets
from wherry.local.database import Database
from wherry.local.home import open_home
from wherry.local.multipart import Multipart
from wherry.local.objects import SQL, Attributes, Conditions, ObjectError, upper_bound


class Store:
    """Buckets in a folder, and what they announced."""

    def __init__(self, folder) -> None:
        self.events = []
        self.home = open_home(str(folder))
        self.database = Database(self.home.database)
        clock = lambda: datetime.now(UTC)  # noqa: E731
        self.buckets = Buckets(
            self.home, self.database, ["data", "other"], clock, lambda tx, event: self.events.append(event)
        )

    def put(self, key: str, body: bytes, bucket="data", attributes=Attributes(), conditions=Conditions()):
        with self.buckets.receive(bucket, key) as incoming:
            incoming.write(body)
            return incoming.commit(attributes, conditions)

    def get(self, key: str, bucket="data") -> bytes:
        with self.buckets.open(bucket, key) as opened:
            return os.pread(opened.descriptor, 1 << 24, 0)

    def keys(self, **arguments) -> list[str]:
        return [info.key for info in self.buckets.listing("data", **arguments)]

    def path(self, key: str) -> str:
        return f"{self.home.buckets}/data/{key}"

    def announced(self) -> list[tuple[str, str]]:
        return [(event.detail_type, event.detail["object"]["key"]) for event in self.events]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.database.close()


def test_a_put_announces_itself_as_s3_does(store):
    info = store.put("in/a b.csv", b"12345")
    event = store.events[0].document
    assert (event["source"], event["detail-type"], event["resources"]) == (
        "aws.s3",
        "Object Created",
        ["arn:aws:s3:::data"],
    )
    detail = event["detail"]
    assert detail["bucket"] == {"name": "data"}
    assert detail["object"] == {"key": "in/a b.csv", "size": 5, "etag": info.etag, "sequencer": info.sequencer}
    assert detail["reason"] == "PutObject"


def test_sequencers_rise(store):
    seen = [store.put("x", b"1").sequencer for _ in range(5)]
    assert seen == sorted(set(seen))


def test_leaving_without_a_commit_leaves_nothing(store):
    with pytest.raises(KeyError), store.buckets.receive("data", "x") as incoming:
        incoming.write(b"half")
        raise KeyError
    assert store.keys() == []
    assert os.listdir(store.home.spool) == []
    assert store.events == []


def test_a_refused_condition_leaves_the_old(store):
    store.put("x", b"old")
    with pytest.raises(ObjectError) as caught:
        store.put("x", b"new", conditions=Conditions(if_none_match=True))
    assert caught.value.code == "PreconditionFailed"
    assert store.get("x") == b"old"
    assert os.listdir(store.home.spool) == []


def test_a_failing_announcement_undoes_the_put(store, monkeypatch):
    store.put("x", b"old")
    monkeypatch.setattr(store.buckets, "_announce", lambda tx, event: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.put("fresh", b"new")
    assert "fresh" not in store.keys()


def test_what_goes_wrong_after_the_commit_does_not_cost_the_object(store, monkeypatch):
    """The store names the file then: it is not there to be thrown away."""
    monkeypatch.setattr(store.buckets, "_announce", lambda tx, event: tx.after_commit(lambda: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        store.put("x", b"content")
    store.buckets.recover()
    assert store.get("x") == b"content"


def test_a_rename_that_a_power_cut_undid_is_done_again(store):
    """The row is on disk, the file is still where it was spooled."""
    store.put("in/x", b"content", attributes=Attributes(metadata={"a": "b"}))
    row = store.buckets.row("data", "in/x")
    os.rename(store.path("in/x"), f"{store.home.spool}/{row['spooled']}")
    store.buckets.recover()
    assert store.get("in/x") == b"content"
    assert store.buckets.head("data", "in/x").attributes.metadata == {"a": "b"}
    assert os.listdir(store.home.spool) == []


def test_what_a_dead_process_was_receiving_is_cleared(store):
    dead = subprocess.Popen(["true"])
    dead.wait()
    leftover = f"{store.home.spool}/{dead.pid}-0-abcd"
    with open(leftover, "w", encoding="ascii") as file:
        file.write("half")
    with store.buckets.receive("data", "mine") as incoming:
        store.buckets.recover()
        assert not os.path.exists(leftover)
        assert os.path.exists(incoming.path)


def test_a_file_changed_by_hand_is_adopted_once(store):
    store.put("x", b"old", attributes=Attributes(content_type="text/csv"))
    with open(store.path("x"), "wb") as file:
        file.write(b"changed")
    threads = [threading.Thread(target=store.get, args=("x",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    info = store.buckets.head("data", "x")
    assert (info.etag, info.attributes.content_type) == (hashlib.md5(b"changed").hexdigest(), "binary/octet-stream")
    assert store.announced() == [("Object Created", "x"), ("Object Created", "x")]


def test_a_file_taken_away_by_hand_is_deleted(store):
    store.put("x", b"1")
    os.unlink(store.path("x"))
    with pytest.raises(ObjectError, match="there is no object `x`"):
        store.get("x")
    assert store.announced()[-1] == ("Object Deleted", "x")
    assert store.keys() == []


def test_a_kept_object_gives_way_to_a_plain_one(store):
    store.put("a/b", b"1")
    store.put("a", b"kept")
    store.buckets.delete("data", "a/b")
    store.put("a", b"plain")
    assert store.get("a") == b"plain"
    assert os.path.isfile(store.path("a"))
    assert os.listdir(f"{store.home.kept}/data") == []


@pytest.mark.parametrize("key", ["a", "a/b", "x" * 255, "é", "..a", "a..", " "])
def test_what_can_be_a_path(key):
    assert places.can_be_path(key, exact=True)


@pytest.mark.parametrize("key", ["", "/", "a//b", "a/", "/a", ".", "..", "a/../b", "x" * 256, "a\0b", "é" * 128])
def test_what_cannot_be_a_path(key):
    assert not places.can_be_path(key, exact=True)


def test_where_capitals_are_not_told_apart_they_are_kept(tmp_path):
    assert places.holds_names_exactly(str(tmp_path))
    (tmp_path / "BUCKETS").mkdir()
    assert not places.holds_names_exactly(str(tmp_path))
    assert places.can_be_path("a/b.csv", exact=False)
    assert not places.can_be_path("a/B.csv", exact=False)
    assert not places.can_be_path("é.csv", exact=False)


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=5), st.text(max_size=5))
def test_the_upper_bound_is_behind_all_that_begin_so(prefix, more):
    bound = upper_bound(prefix)
    if bound is None:
        return
    try:
        key = (prefix + more).encode()
    except UnicodeEncodeError:
        return
    assert prefix.encode() <= key < bound.encode()


KEYS = st.sampled_from(["a", "a/b", "a/b/c", "b", "b/", "..", "é", "z/y", "z//y"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=4)),
        st.tuples(st.just("delete"), KEYS, st.none()),
        st.tuples(st.just("by hand"), st.sampled_from(["a", "b", "é"]), st.binary(max_size=4)),
        st.tuples(st.just("restart"), st.just(""), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_it_behaves_like_a_dictionary(tmp_path_factory, steps):
    store, expected = Store(tmp_path_factory.mktemp("model")), {}
    for step, key, body in steps:
        if step == "put":
            store.put(key, body)
            expected[key] = body
        elif step == "delete":
            store.buckets.delete("data", key)
            expected.pop(key, None)
        elif step == "restart":
            store.buckets.recover()
        elif not os.path.isdir(store.path(key)) and not (store.buckets.row("data", key) or {"place": None})["place"]:
            with open(store.path(key), "wb") as file:
                file.write(body)
            expected[key] = body
            store.buckets.adopt("data", key)
        assert store.keys() == sorted(expected, key=str.encode)
        for each, content in expected.items():
            assert store.get(each) == content
    store.database.close()


def test_a_page_does_not_look_at_the_whole_index(store):
    bounds = {"bucket": "data", "first": "k/", "after": "k/5", "last": "k0", "limit": 3}
    with store.database.reading() as connection:
        plan = [row["detail"] for row in connection.execute(f"explain query plan {SQL['page']}", bounds)]
    assert plan == ["SEARCH objects USING PRIMARY KEY (bucket=? AND key>?)"]


WRITER = """\
import os, random, sys
sys.path.insert(0, sys.argv[3])
from tests.local.test_buckets import Store
store = Store(sys.argv[1])
store.buckets.recover()
generator = random.Random(int(sys.argv[2]))
while True:
    key = generator.choice(["a", "b", "deep/c", "deep/er/d", "odd//e"])
    body = os.urandom(generator.randrange(1, 40000))
    with store.buckets.receive("data", key) as incoming:
        for start in range(0, len(body), 1000):
            incoming.write(body[start : start + 1000])
        info = incoming.commit(__import__("wherry.local.objects").local.objects.Attributes(metadata={"size": str(len(body))}))
    print(key, info.etag, info.sequencer, flush=True)
"""


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path):
    """Two processes put the same keys as fast as they can and are killed at random moments, thirty times."""
    chance, latest = random.Random(7), {}
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    store = Store(tmp_path)
    for round_ in range(15):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path), str(round_ * 2 + n), root],
                stdout=subprocess.PIPE,
                text=True,
            )
            for n in range(2)
        ]
        for writer in writers:
            assert writer.stdout.readline()  # it writes
        time.sleep(chance.uniform(0, 0.15))
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
        for writer in writers:
            for line in writer.communicate()[0].splitlines():
                parts = line.split(" ")
                if len(parts) == 3 and len(parts[2]) == 18 and parts[2] > latest.get(parts[0], ("", ""))[1]:
                    latest[parts[0]] = (parts[1], parts[2])
    store.buckets.recover()
    assert set(store.keys()) == set(latest)
    for key, (etag, sequencer) in latest.items():
        info = store.buckets.head("data", key)
        body = store.get(key)
        assert hashlib.md5(body).hexdigest() == info.etag
        assert info.attributes.metadata == {"size": str(len(body))}
        # What came last may have been committed and not yet printed; never may it be older.
        assert (info.sequencer, info.etag) == (sequencer, etag) or info.sequencer > sequencer
    assert os.listdir(store.home.spool) == []
    store.database.close()


def test_a_completion_that_was_cut_off_can_be_tried_again(store, monkeypatch):
    multipart = Multipart(store.buckets)
    upload = multipart.get(multipart.start("data", "big", Attributes()), "data", "big")
    bodies = [os.urandom(5 << 20), b"end"]
    etags = []
    for number, body in enumerate(bodies, start=1):
        with multipart.receive(upload, number) as part:
            part.write(body)
            etags.append((number, part.commit({})))
    take = store.buckets.take
    monkeypatch.setattr(store.buckets, "take", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        multipart.complete(upload, etags)
    store.buckets.recover()
    monkeypatch.setattr(store.buckets, "take", take)
    multipart.complete(upload, etags)
    assert store.get("big") == b"".join(bodies)
    assert os.listdir(store.home.spool) == []


def test_an_upload_does_not_outlive_the_boot(store, monkeypatch):
    multipart = Multipart(store.buckets)
    upload = multipart.get(multipart.start("data", "big", Attributes()), "data", "big")
    monkeypatch.setattr("wherry.local.multipart.boot_id", lambda: "another")
    with pytest.raises(ObjectError) as caught:
        multipart.get(upload.id, "data", "big")
    assert caught.value.code == "NoSuchUpload"


def test_a_start_that_meets_a_put_leaves_the_object_where_it_is(store):
    """A put may commit and move its file between the listing of the spool and the look at it."""
    store.put("in/x", b"content")
    name = store.buckets.row("data", "in/x")["spooled"]
    store.database.write(partial(store.buckets._recover, name))
    assert store.buckets.row("data", "in/x")["place"] is None
    assert store.get("in/x") == b"content"

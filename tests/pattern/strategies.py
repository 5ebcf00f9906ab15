"""Random patterns and events over a small world, so that they meet."""

import json
from typing import Any

from hypothesis import strategies as st

NAMES = ["a", "b", "c", "a.b", "b.c"]
TEXTS = ["", "x", "X", "xy", "yx", "a*b", "in/a.csv", "10.0.0.1", "10.0.0.01", "16.1.2.3", "::1", "0:0::1", "5", "true"]
NUMBERS = [0, 1, -1, 5, 5.0, 0.5, 300, 3e2, 10010203, 16, 1e20]

texts = st.sampled_from(TEXTS)
numbers = st.sampled_from(NUMBERS)
scalars = st.one_of(texts, numbers, st.booleans(), st.none())


def one_key(name: Any, values: Any) -> Any:
    return values.map(lambda value: {name: value})


some_texts = st.one_of(texts, st.lists(texts, min_size=1, max_size=3))
some_non_empty = st.one_of(texts.filter(bool), st.lists(texts.filter(bool), min_size=1, max_size=2))
ignoring_case = one_key("equals-ignore-case", texts)
wildcards = st.sampled_from(["*", "x*", "*x", "x*y", "a\\*b", "*/*.csv", "", "xy", "10.*"])
ranges = st.one_of(
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), numbers).map(list),
    st.tuples(st.sampled_from([">", ">="]), st.just(0), st.sampled_from(["<", "<="]), st.just(300)).map(list),
)
expressions = st.one_of(
    one_key("exists", st.booleans()),
    one_key("exactly", texts),
    one_key("prefix", st.one_of(texts, ignoring_case)),
    one_key("suffix", st.one_of(texts, ignoring_case)),
    ignoring_case,
    one_key("wildcard", wildcards),
    one_key("numeric", ranges),
    one_key("cidr", st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "16.0.0.0/8", "10.0.0.1/31", "::/0", "1000::/4"])),
    one_key(
        "anything-but",
        st.one_of(
            some_texts,
            numbers,
            st.lists(numbers, min_size=1, max_size=2),
            one_key("prefix", some_non_empty),
            one_key("suffix", some_non_empty),
            one_key("equals-ignore-case", some_texts),
            one_key("wildcard", wildcards),
        ),
    ),
)
fields = st.lists(st.one_of(scalars, expressions), min_size=1, max_size=3)


def objects(depth: int) -> Any:
    values = fields if depth == 0 else st.one_of(fields, objects(depth - 1))
    plain = st.dictionaries(st.sampled_from(NAMES), values, min_size=1, max_size=2)
    if depth == 0:
        return plain
    alternatives = st.lists(objects(depth - 1), min_size=2, max_size=2)
    return st.one_of(plain, st.tuples(plain, alternatives).map(lambda made: {**made[0], "$or": made[1]}))


# EventBridge's limit is 2,048 characters; the slow way needs a shorter one.
patterns = objects(2).filter(lambda pattern: len(json.dumps(pattern)) < 600)

documents = st.recursive(
    scalars,
    lambda inner: st.one_of(st.dictionaries(st.sampled_from(NAMES), inner, max_size=3), st.lists(inner, max_size=3)),
    max_leaves=8,
)
events = st.dictionaries(st.sampled_from(NAMES), documents, max_size=3)
flat_documents = st.recursive(
    scalars, lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3), max_leaves=8
)
flat_events = st.dictionaries(st.sampled_from(["a", "b", "c"]), flat_documents, max_size=3)

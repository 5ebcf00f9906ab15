"""Events a second through the bus's index, by the number of rules and by what tells the rules apart."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from wherry.local.bus import RuleIndex
from wherry.pattern import parse

Document = dict[str, Any]
SIZES = (1, 1_000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each number is measured")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {
        shape: {size: round(events_per_second(make, size, arguments.seconds)) for size in SIZES}
        for shape, make in SHAPES.items()
    }
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'events/s':36}" + "".join(f"{f'{size:,} rules':>16}" for size in SIZES))
    for shape, numbers in results.items():
        print(f"{shape:36}" + "".join(f"{numbers[size]:>16,}" for size in SIZES))


def events_per_second(make: Callable[[int], tuple[Document, Document]], size: int, seconds: float) -> float:
    """One matching rule for each event; the best of several rounds, because the machine has other things to do."""
    made = [make(number) for number in range(size)]
    index = RuleIndex((number, parse(pattern)) for number, (pattern, _) in enumerate(made))
    # A hundred different events, spread over the rules.
    expected = [number * size // 100 for number in range(100)]
    events = [made[number][1] for number in expected]
    for number, event in zip(expected, events, strict=True):
        if index.match(event) != [number]:
            raise AssertionError(f"rule {number} of {size}: {index.match(event)}")
    best, ends = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < ends:
        began = time.perf_counter()
        for _ in range(10):
            for event in events:
                index.match(event)
        best = max(best, 1_000 / (time.perf_counter() - began))
    return best


def distinct_sources(number: int) -> tuple[Document, Document]:
    source = f"shop.{number}"
    pattern = {"source": [source], "detail-type": ["order placed"], "detail": {"status": ["paid"]}}
    return pattern, envelope(source, "order placed", {"status": "paid", "order": number})


def distinct_details(number: int) -> tuple[Document, Document]:
    customer = f"customer-{number}"
    pattern = {"source": ["shop"], "detail-type": ["order placed"], "detail": {"customer": [customer]}}
    return pattern, envelope("shop", "order placed", {"status": "paid", "customer": customer})


def distinct_suffixes(number: int) -> tuple[Document, Document]:
    suffix = f"-{number:05}.csv"
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["user-uploads"]}, "object": {"key": [{"suffix": suffix}]}},
    }
    detail = {
        "version": "0",
        "bucket": {"name": "user-uploads"},
        "object": {"key": f"in/report{suffix}", "size": 1024, "etag": "d41d8cd9", "sequencer": "0062E99A88DC407460"},
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        "source-ip-address": "127.0.0.1",
        "reason": "PutObject",
    }
    return pattern, envelope("aws.s3", "Object Created", detail)


def envelope(source: str, detail_type: str, detail: Document) -> Document:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": detail_type,
        "source": source,
        "account": "123456789012",
        "time": "2026-11-21T05:00:00Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": detail,
    }


SHAPES = {
    "distinct sources": distinct_sources,
    "same source, distinct detail": distinct_details,
    "same bucket, distinct key suffix": distinct_suffixes,
}

if __name__ == "__main__":
    main()

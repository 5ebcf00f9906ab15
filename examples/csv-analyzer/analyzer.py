"""Describes a CSV file of any size: rows, and for each column what it holds. Plain boto3; it knows nothing of wherry.

Needs INPUT_BUCKET, INPUT_KEY and OUTPUT_BUCKET; writes results/NAME.analysis.json.
"""

import csv
import json
import os
import posixpath
from datetime import UTC, datetime
from io import TextIOWrapper

import boto3

DISTINCT_LIMIT = 1000


class Column:
    def __init__(self) -> None:
        self.filled = 0
        self.values: set[str] = set()
        self.numbers = 0
        self.sum = 0.0
        self.low = float("inf")
        self.high = float("-inf")

    def add(self, value: str) -> None:
        if not value:
            return
        self.filled += 1
        if len(self.values) <= DISTINCT_LIMIT:
            self.values.add(value)
        try:
            number = float(value)
        except ValueError:
            return
        self.numbers += 1
        self.sum += number
        self.low, self.high = min(self.low, number), max(self.high, number)

    def summary(self, rows: int) -> dict:
        distinct = len(self.values)
        result: dict = {"missing": rows - self.filled}
        result["distinct"] = distinct if distinct <= DISTINCT_LIMIT else f"more than {DISTINCT_LIMIT}"
        if self.filled and self.numbers == self.filled:
            result |= {"min": self.low, "max": self.high, "mean": round(self.sum / self.numbers, 4)}
        return result


def analyze(lines) -> dict:
    reader = csv.DictReader(lines)
    names = list(reader.fieldnames or [])
    columns = {name: Column() for name in names}
    rows = 0
    for row in reader:
        rows += 1
        for name in names:
            columns[name].add(row[name] or "")
    return {"row_count": rows, "columns": {name: columns[name].summary(rows) for name in names}}


def main() -> None:
    s3 = boto3.client("s3")
    bucket, key, output = (os.environ[name] for name in ("INPUT_BUCKET", "INPUT_KEY", "OUTPUT_BUCKET"))
    print(f"reading s3://{bucket}/{key}")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    # The object is read as it arrives, never held as a whole.
    analysis = {"file": key, **analyze(TextIOWrapper(body, encoding="utf-8", newline=""))}
    analysis["processed_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    result = f"results/{posixpath.basename(key)}.analysis.json"
    text = json.dumps(analysis, indent=2, ensure_ascii=False)
    s3.put_object(Bucket=output, Key=result, Body=text.encode(), ContentType="application/json")
    print(f"{analysis['row_count']:,} rows, {len(analysis['columns'])} columns -> s3://{output}/{result}")


if __name__ == "__main__":
    main()

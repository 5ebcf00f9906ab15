"""The job file's JSON Schema, made of the same table that reads it."""

from __future__ import annotations

from typing import Any, Final

from wherry.jobfile.table import JOB_FILE

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ID: Final = "urn:wherry:job-file"


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12), a new one each time.

    It accepts whatever the reader accepts; what needs more than one value at a time (a bucket that is not declared, a
    cycle of `after`) is the reader's alone.
    """
    return {
        "$schema": DIALECT,
        "$id": ID,
        "title": "wherry job file",
        "description": "batch and ETL jobs, and why they run",
        **JOB_FILE.schema(),
    }

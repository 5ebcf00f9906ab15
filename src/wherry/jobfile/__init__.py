"""Text -> model: a job file is read with positions, checked as a whole, and becomes a `JobFile`.

    bytes -> source -> document (YAML with positions) -> table (values) -> check, expressions -> convert -> JobFile

Every stage but the last notes problems and goes on, so that one reading finds them all.
"""

from wherry.jobfile.loader import load, parse
from wherry.jobfile.schema import json_schema

__all__ = ["json_schema", "load", "parse"]

"""Batch and ETL jobs from one small file: here now, on Amazon ECS with the same file and the same commands."""

__version__ = "0.1.0"

"""What a verb is: a module with its options and one function."""

from __future__ import annotations

import argparse
from typing import Protocol


class Verb(Protocol):
    """Implemented by modules of `wherry.cli`."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        ...

    def execute(self, arguments: argparse.Namespace) -> int:
        """Do it; gives the exit code."""
        ...

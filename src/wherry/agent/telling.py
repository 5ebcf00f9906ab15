"""What the worker says of itself, in the log of the job."""

from __future__ import annotations

import os


def tell(text: str, *, fresh_line: bool = False) -> None:
    """Say something in the log, in one write; `fresh_line`: the command may have left its last line open."""
    os.write(1, f"{chr(10) if fresh_line else ''}wherry: {text}\n".encode(errors="backslashreplace"))

"""Shows how work on AWS goes: a line for each resource when it is done, and on a terminal what is under way."""

from __future__ import annotations

import os
import shutil
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from wherry.cli import output

if TYPE_CHECKING:
    from wherry.aws.failures import StackEvent

_DONE = {"CREATE": "made", "UPDATE": "changed", "DELETE": "gone", "IMPORT": "adopted", "ROLLBACK": "taken back"}


class Progress:
    """Tells on stderr; stdout is for what was asked for."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._began: dict[str, float] = {}
        self._undoing = False

    def stage(self, text: str) -> None:
        """A new part of the work begins."""
        self._wipe()
        self._undoing = False
        output.note(output.paint(text, "bold", sys.stderr))

    def event(self, what: str, event: StackEvent) -> None:
        """A resource went a step further."""
        self._wipe()
        if event.is_stack:
            self._of_stack(event)
        elif event.status.endswith("_IN_PROGRESS"):
            self._began.setdefault(what, time.monotonic())
        else:
            began = self._began.pop(what, None)
            seconds = time.monotonic() - began if began else 0.0
            took = output.length(timedelta(seconds=seconds)) if seconds >= 1 else ""
            self._ended(what, event, took)
        self._show()

    def output(self, line: bytes) -> None:
        """What a build says."""
        self._wipe()
        text = line.decode(errors="replace").rstrip()
        if text:
            output.note(output.paint(f"    {text}", "grey", sys.stderr))

    def _of_stack(self, event: StackEvent) -> None:
        if "ROLLBACK_IN_PROGRESS" in event.status and not self._undoing:
            self._undoing = True
            output.note(output.paint("  it failed: everything goes back to what was before", "yellow", sys.stderr))

    def _ended(self, what: str, event: StackEvent, took: str) -> None:
        from wherry.aws.failures import plain_reason

        if event.is_failure:
            output.note(f"  {output.paint('failed', 'red', sys.stderr):<8} {what}: {plain_reason(event.reason)}")
        elif event.status.endswith("_COMPLETE"):
            word = "back" if self._undoing else _DONE.get(event.status.partition("_")[0], "done")
            output.note(f"  {output.paint(f'{word:<8}', 'green', sys.stderr)} {what}{f'  {took}' if took else ''}")
        elif event.status == "DELETE_SKIPPED":
            output.note(f"  {output.paint('stays   ', 'yellow', sys.stderr)} {what}")

    def _show(self) -> None:
        if self._is_terminal and self._began:
            names = ", ".join(self._began)
            room = shutil.get_terminal_size().columns - 6
            text = names if len(names) <= room else f"{names[: room - 1]}…"
            sys.stderr.write(output.paint(f"  … {text}", "grey", sys.stderr))
            sys.stderr.flush()

    def _wipe(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")

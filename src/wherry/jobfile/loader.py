"""The stages of reading a job file, in their order."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

from wherry.errors import UserError
from wherry.jobfile import document
from wherry.jobfile.check import check
from wherry.jobfile.convert import to_model
from wherry.jobfile.expressions import check_expressions
from wherry.jobfile.report import Spot
from wherry.jobfile.source import MAX_BYTES, Source, decode
from wherry.jobfile.table import JOB_FILE
from wherry.model import JobFile


def load(path: str) -> JobFile:
    """The checked job file at a path, which also names it in places.

    Raises JobFileError with all its problems, UserError when it cannot be read at all.
    """
    try:
        with open(path, "rb") as file:
            # a byte more than allowed tells that it is too large, also of a device without end
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"there is no file `{path}`", hint="`wherry init` writes one") from None
    except IsADirectoryError:
        raise UserError(
            f"`{path}` is a folder", hint=f"name the file in it: `{path.rstrip('/')}/wherry.yaml`"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"`{path}` cannot be read: {reason}") from None
    return parse(decode(content, path), path)


def parse(text: str, filename: str) -> JobFile:
    """The checked job file of a text; paths in it are relative to the folder of `filename`.

    Raises JobFileError with all its problems, in the order of the file.
    """
    source = Source(text.removeprefix("\ufeff"), filename)
    with _undisturbed():
        read = document.read(source)
        root = Spot(source, read)
        values = JOB_FILE.read(read.root, root) or {}
        check(values, root)
        check_expressions(values, root)
        source.raise_problems()
        return to_model(values, filename=filename, places=read.places)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the garbage collector: it would walk the many small records again and again, and find nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

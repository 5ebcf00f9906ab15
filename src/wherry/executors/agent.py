"""The worker of `mode: managed` as one file: a zip file that Python executes, the same bytes for the same sources."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import zipfile

import wherry

#: What the worker is made of, besides all of `wherry/agent`.
_MODULES = ("__init__.py", "errors.py", "mapping.py", "messages.py")
#: The oldest Python that it runs on.
PYTHON = (3, 10)
#: What the file begins with when it is executed; an older Python must be able to read it.
_MAIN = f"""\
import sys

if sys.version_info < {PYTHON}:
    sys.stdout.write("Python {PYTHON[0]}.{PYTHON[1]} or later is needed, and this is %d.%d\\n" % sys.version_info[:2])
    sys.exit(1)

from wherry.agent.__main__ import main

sys.exit(main())
"""
#: Zip files know no time before 1980.
_TIME = (2000, 1, 1, 0, 0, 0)


def packed(interpreter: str) -> bytes:
    """The file, for a Python at that path; it sees neither the image's own packages nor its `PYTHON...` variables."""
    return f"#!{interpreter} -IS\n".encode() + zipped()


def checksum() -> str:
    """A sum over all that decides how a worker behaves."""
    return hashlib.sha256(zipped()).hexdigest()


@functools.cache
def zipped() -> bytes:
    """The file without its first line, which names the Python."""
    packed_into = io.BytesIO()
    with zipfile.ZipFile(packed_into, "w") as archive:  # not compressed: what that makes depends on the machine
        for name, content in [("__main__.py", _MAIN.encode()), *_sources()]:
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, content)
    return packed_into.getvalue()


def _sources() -> list[tuple[str, bytes]]:
    root = os.path.dirname(os.path.abspath(wherry.__file__))
    modules = sorted(name for name in os.listdir(f"{root}/agent") if name.endswith(".py"))
    found = []
    for path in (*_MODULES, *(f"agent/{name}" for name in modules)):
        with open(f"{root}/{path}", "rb") as file:
            found.append((f"wherry/{path}", file.read()))
    return found

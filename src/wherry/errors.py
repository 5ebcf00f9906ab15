"""Everything wherry raises on purpose.

::

    WherryError              exit code 1   something did not work; the message says what
    ├── UserError            exit code 2   the user's mistake, with what to do about it
    │   ├── JobFileError                   all problems of one job file, each with its place
    │   ├── ScheduleError                  a schedule expression that cannot be understood
    │   ├── PatternError                   an event pattern that EventBridge would refuse
    │   ├── MappingError                   a `$.path` or `${...}` that cannot be understood
    │   ├── Unsupported                    a part of the job file that an environment cannot run
    │   └── NotFound                       a job, run, bucket or secret that does not exist
    └── MissingValue         exit code 1   a well-formed path that a given event does not have

Errors are raised as values and printed once, at the edge (`wherry.cli.main`). A message is lower case, names stand in
backticks, and there is no full stop at the end; the hint is the next thing to type or to change.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class WherryError(Exception):
    """Something did not work."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        #: What to do about it, in one sentence, or None.
        self.hint = hint


class UserError(WherryError):
    """The user's mistake: a wrong argument, a file that is not there, a name that does not exist."""

    exit_code = 2


class Place(NamedTuple):
    """A position in a text file; line and column count from 1, as editors do."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(NamedTuple):
    """One thing that is wrong in a job file."""

    place: Place
    message: str
    #: The source line, without its line end, for the caret display; empty when there is none.
    source: str = ""
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}"
        if self.source:
            prefix = f"{self.place.line:>5} | "
            text += f"\n{prefix}{self.source}\n{' ' * (len(prefix) + self.place.column - 1)}^"
        if self.hint:
            text += f"\n      {self.hint}"
        return text


class JobFileError(UserError):
    """A job file with problems; carries all of them, in the order of the file."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.place))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ScheduleError(UserError):
    """A schedule expression that cannot be understood."""


class PatternError(UserError):
    """An event pattern that EventBridge would refuse; the message is EventBridge's own reason."""


class MappingError(UserError):
    """A `$.path` or `${...}` expression that cannot be understood."""


class MissingValue(WherryError):
    """A well-formed path that the given event does not have: the run fails by name before its process starts."""


class Unsupported(JobFileError):
    """Parts of the job file that the chosen environment cannot run; each is named with its place."""


class NotFound(UserError):
    """A job, run, bucket, object or secret that does not exist."""

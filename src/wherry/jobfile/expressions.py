"""Checks what other parts of wherry understand: schedules, event patterns, `$.path` and `${...}`.

Their errors become problems at the value's own place, and where the source spells the text as it is, at the very
character. The parts are imported by the files that use them: together they take longer than reading a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wherry.errors import MappingError, PatternError, Place, ScheduleError
from wherry.jobfile.convert import Values
from wherry.jobfile.nodes import Scalar
from wherry.jobfile.references import declared, missing_hint
from wherry.jobfile.report import Spot

if TYPE_CHECKING:
    from wherry.mapping import Reference

#: The path of a command as a whole, not of an item of its list.
_SHELL_TEXT = re.compile(r"jobs\.[^.]+(\.helpers\.[^.]+)?\.command")


def check_expressions(values: Values, root: Spot) -> None:
    """Note every expression in the jobs and defaults that its own part refuses."""
    for variable, text in values.get("defaults", {}).get("env", {}).items():
        _check_template(text, root.at(f"defaults.env.{variable}"))
    for name, job in values.get("jobs", {}).items():
        spot = root.at(f"jobs.{name}")
        for number, trigger in enumerate(job.get("on", ())):
            if trigger is not None:
                _check_trigger(trigger, spot.key("on").item(number))
        for text, place in _templates(job, spot):
            for reference in _check_template(text, place):
                _check_reference_of_job(reference, name, job, place)


def _check_trigger(trigger: Values, spot: Spot) -> None:
    match trigger:
        case {"schedule": expression}:
            _check_schedule(expression, spot.key("schedule"))
        case {"event": document}:
            _check_pattern(document, spot.key("event"))
    if "timezone" in trigger:
        _check_timezone(trigger["timezone"], spot.key("timezone"))


def _check_schedule(expression: str, spot: Spot) -> None:
    from wherry import schedule

    try:
        schedule.parse(expression)
    except ScheduleError as error:
        spot.problem(spot.value_place, error.message, error.hint)


def _check_timezone(timezone: str, spot: Spot) -> None:
    from wherry import schedule

    try:
        schedule.find_zone(timezone)
    except ScheduleError as error:
        spot.problem(spot.value_place, error.message, error.hint)


def _check_pattern(document: Values, spot: Spot) -> None:
    from wherry import pattern

    try:
        pattern.parse(document)
    except PatternError as error:
        # the hint names the field: `look at `detail.size``
        field = re.search(r"`([^`]+)`", error.hint or "")
        path = f"{spot.path}.{field[1]}" if field else ""
        place = spot.document.values[path].place if field and path in spot.document.values else spot.place
        spot.problem(place, f"EventBridge would refuse this pattern: {error.message}", error.hint)


def _templates(job: Values, spot: Spot) -> Iterator[tuple[str, Spot]]:
    """The texts of a job, and of its helpers, that may hold references."""
    yield from _templates_of(job, spot)
    for name, helper in job.get("helpers", {}).items():
        yield from _templates_of(helper, spot.key("helpers").key(name))


def _templates_of(job: Values, spot: Spot) -> Iterator[tuple[str, Spot]]:
    for variable, text in job.get("env", {}).items():
        yield text, spot.key("env").key(variable)
    command = job.get("command", ())
    if isinstance(command, str):
        yield command, spot.key("command")
        return
    for number, argument in enumerate(command):
        if argument is not None:
            yield argument, spot.key("command").item(number)


def _check_template(text: str, spot: Spot) -> tuple[Reference, ...]:
    """The references of a text, after noting what is wrong with them whichever job they belong to."""
    if "$" not in text:
        return ()
    from wherry import mapping

    try:
        references = mapping.parse(text).references
    except MappingError as error:
        written = re.match(r"`([^`]+)`", error.message)
        spot.problem(
            _place(spot, text.find(written[1]), written[1]) if written else spot.value_place, error.message, error.hint
        )
        return ()
    for reference in references:
        if reference.kind in ("bucket", "queue"):
            names = declared(reference.kind, spot)
            if reference.name not in names:
                spot.problem(
                    _place(spot, reference.offset, reference.written),
                    f"there is no {reference.kind} `{reference.name}` under `{reference.kind}s`",
                    missing_hint(reference.kind, reference.name, names),
                )
    return references


def _place(spot: Spot, offset: int, written: str) -> Place:
    """The place of what stands at an offset of a text; of the text itself where that cannot be told."""
    node = spot.document.values[spot.path]
    if not isinstance(node, Scalar) or offset < 0:
        return node.place
    if node.verbatim:
        return spot.source.place(node.verbatim.line, node.verbatim.column + offset)
    # text over several lines: its first line that has the same words
    first = node.place.line
    for number, line in enumerate(spot.source.lines[first - 1 : first + node.text.count("\n") + 1], start=first):
        if written in line and (number > first or line.index(written) >= node.place.column):
            return spot.source.place(number, line.index(written) + 1)
    return node.place


def _check_reference_of_job(reference: Reference, name: str, job: Values, spot: Spot) -> None:
    if reference.kind == "file" and not any(trigger and "queue" in trigger for trigger in job.get("on", ())):
        spot.problem(
            _place(spot, reference.offset, reference.written),
            f"`{reference.written}` is the file of a queue's message, and job `{name}` has no queue trigger",
            "add `- queue: NAME` under `on`; the key of an upload is `${event.detail.object.key}`",
        )
    elif _SHELL_TEXT.fullmatch(spot.path) and not reference.is_safe_in_shell:
        variable = _variable_for(reference)
        spot.problem(
            _place(spot, reference.offset, reference.written),
            f"the shell would execute what an event puts into `{reference.written}`",
            f'write `env: {{{variable}: "{reference.written}"}}`, and `"${variable}"` in the command',
        )


def _variable_for(reference: Reference) -> str:
    names = [step for step in reference.steps if isinstance(step, str)]
    if reference.kind == "file" or not names:
        return "FILE" if reference.kind == "file" else "EVENT"
    variable = re.sub(r"[^A-Z0-9]+", "_", names[-1].upper())
    return variable if not variable[0].isdigit() else f"VALUE_{variable}"

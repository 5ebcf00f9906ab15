"""What a message is to the job: its event, its file, the command and the environment of an attempt."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from wherry import mapping, messages
from wherry.agent.services import S3, Message
from wherry.agent.settings import IMAGE_FILE, VARIABLE, Settings
from wherry.errors import MissingValue

#: An event longer than this travels as a file, as it does where there is no queue.
_EVENT_LIMIT = 8_000


class NoCommand(Exception):
    """Neither the job nor its image has a command."""


class Prepared(NamedTuple):
    """What an attempt is started with."""

    command: tuple[str, ...]
    #: The job's own variables, resolved.
    env: dict[str, str]


class Job:
    """One job, as the job file has it."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._inherited = {name: value for name, value in environment.items() if name != VARIABLE}
        self._command = settings.command
        words = (settings.command,) if isinstance(settings.command, str) else settings.command
        self._parsed = [mapping.parse(text) for text in words]
        self._env = {name: mapping.parse(text) for name, text in settings.env.items()}
        self._image = _image()
        templates = [*self._parsed, *self._env.values()]
        self._wants_file = any(each.kind == "file" for template in templates for each in template.references)

    def event(self, taken: Sequence[Message], now: datetime) -> dict[str, Any]:
        """The event of a run that takes these messages."""
        return messages.event_of(taken, queue=self._settings.queue, now=now, batch=self._settings.batch > 1)

    def file(self, taken: Sequence[Message], folder: str, s3: S3, stop: Callable[[], bool]) -> str | None:
        """What `${event.file}` means: made in the attempt's folder, and only where the job asks for it.

        Raises as `S3.fetch` does.
        """
        if not self._wants_file:
            return None
        if self._settings.batch == 1:
            named = messages.object_of(taken[0]["Body"])
            if named is None:
                return _written(os.path.join(folder, "message"), taken[0]["Body"])
            return _fetched(named, folder, s3, stop)
        files: dict[str, str] = {}
        for number, message in enumerate(taken):
            named = messages.object_of(message["Body"])
            if named is not None:
                own = os.path.join(folder, str(number))
                os.mkdir(own)
                files[message["MessageId"]] = _fetched(named, own, s3, stop)
        return _written(os.path.join(folder, "messages.jsonl"), messages.lines_of(taken, files))

    def prepare(self, event: Mapping[str, Any], file: str | None) -> Prepared:
        """Resolve command and variables; raises MissingValue for what the event lacks, and NoCommand."""
        settings = self._settings
        context = mapping.Context(
            event=event, buckets=settings.buckets, queues=settings.queues, bus=settings.bus, file=file
        )
        words = tuple(template.render(context) for template in self._parsed)
        env = {name: template.render(context) for name, template in self._env.items()}
        if isinstance(self._command, str):
            command: tuple[str, ...] = ("/bin/sh", "-c", *words)
        else:
            command = (*self._image["Entrypoint"], *(words or self._image["Cmd"]))
        if not command:
            raise NoCommand("the job has no command, and its image has none either")
        for text in (*command, *env.values()):
            if "\0" in text:
                raise MissingValue("the command or a variable holds a NUL character, which none can")
        return Prepared(command, env)

    def environment(
        self, prepared: Prepared, run_id: str, attempt: int, event: Mapping[str, Any], folder: str
    ) -> dict[str, str]:
        """All variables of an attempt; the event is one of them, or a file in the attempt's folder when it is long."""
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        facts = {
            "PYTHONUNBUFFERED": "1",
            "WHERRY_RUN_ID": run_id,
            "WHERRY_JOB": self._settings.job,
            "WHERRY_ATTEMPT": str(attempt),
            "WHERRY_TRIGGER": "queue",
        }
        if len(text) <= _EVENT_LIMIT:
            facts["WHERRY_EVENT"] = text
        else:
            facts["WHERRY_EVENT_FILE"] = _written(os.path.join(folder, "event.json"), text)
        return self._inherited | facts | prepared.env


def _fetched(named: messages.ObjectName, folder: str, s3: S3, stop: Callable[[], bool]) -> str:
    inside = os.path.join(folder, "object")
    os.mkdir(inside)
    path = os.path.join(inside, messages.file_name(named))
    s3.fetch(named.bucket, named.key, path, stop=stop)
    return path


def _written(path: str, text: str) -> str:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def _image() -> dict[str, list[str]]:
    """The image's own entry point and command, as they were when the worker was put into it."""
    try:
        with open(IMAGE_FILE, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        found = {}
    return {name: found.get(name) or [] for name in ("Entrypoint", "Cmd")}

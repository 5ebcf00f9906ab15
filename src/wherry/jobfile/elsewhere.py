"""What to do about a key that is not where it stands: where it belongs, or what it is called here."""

from __future__ import annotations

from typing import Final

from wherry.jobfile.shapes import Record, keys_of


def elsewhere(name: str) -> str | None:
    """Where a key belongs that stands in the wrong place, as a hint; None when it belongs nowhere."""
    from wherry.jobfile.table import JOB, JOB_FILE  # which is made of records that ask here

    if name in _MISTAKEN:
        return _MISTAKEN[name]
    # what jobs and `defaults` share is more likely meant for a job
    places = [(f"jobs.NAME.{path}", record) for path, record in keys_of(JOB)] + list(keys_of(JOB_FILE))
    for path, record in places:
        if any(key.name == name for key in record.keys):
            route = "".join(f"{step}: " for step in path.split(".") if step).strip()
            beside = f", beside `{record.keys[0].name}`" if _is_beside(name, record) else ""
            return f"`{name}` belongs under `{route}`{beside}" if route else f"`{name}` belongs at the left margin"
    return None


def _is_beside(name: str, record: Record) -> bool:
    """True for a trigger's further key, which needs the one that decides its kind."""
    return record.noun.endswith("trigger") and record.keys[0].name != name


#: Keys of neighbours -> what they are called here.
_MISTAKEN: Final = {
    "environment": "the variables of a job are its `env`",
    "variables": "the variables of a job are its `env`",
    "vars": "the variables of a job are its `env`",
    "cron": 'write `- schedule: "cron(0 5 * * ? *)"` under the job\'s `on`',
    "triggers": "why a job runs is written under its `on`",
    "run": "what a job runs is its `command`",
    "script": "what a job runs is its `command`",
    "entrypoint": "what a job runs is its `command`",
    "args": "arguments are items of the job's `command`",
    "retries": "write `retry: {attempts: 3}`",
    "max_attempts": "write `retry: {attempts: 3}`",
    "depends_on": "write `- after: JOB` under the job's `on`",
    "needs": "write `- after: JOB` under the job's `on`",
    "dockerfile": "`build` names the folder of the Dockerfile",
    "tz": "`timezone` is a key of a schedule trigger",
    "mem": "write `memory: 512MB`",
    "name": "the name is the key itself, the application's name is `app`",
    "version": "a job file has no version: delete this line",
}

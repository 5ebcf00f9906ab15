"""The server: MiniStack with the corrections, on loopback and on the stand-in's own Docker network only."""

import asyncio
import importlib
import json
import sys

from tests.standin.settings import Settings

# each correction is a module's install(); what it corrects stands in its docstring
CORRECTIONS = (
    "permissions", "expressions", "machine", "tasks", "moves", "registry", "events", "deploys", "instances", "network", "adoption",
    "sharing", "identities", "caller",
)  # fmt: skip


def main() -> None:
    settings = Settings.read()
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack import app

    from tests.standin import metadata

    for name in CORRECTIONS:
        importlib.import_module(f"tests.standin.{name}").install()
    metadata.serve(settings.bridge)
    config = Config()
    config.bind = [f"127.0.0.1:{settings.port}", f"{settings.gateway}:{settings.port}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    asyncio.run(serve(_with_levers(app.app), config))


def _with_levers(app):
    """`POST /_standin/LEVER` is for tests, and gives JSON; everything else is MiniStack's.

    `fire` lets them have a schedule's tick now, `age` makes all older, `asked` tells what IAM was asked about a principal, `quota` sets one.
    """

    from tests.standin import caller, events, quotas, scaling

    levers = {"fire": events.fire, "age": events.age, "asked": caller.asked, "quota": quotas.quota}

    async def answer(scope, receive, send):
        headers = {name.decode(): value.decode() for name, value in scope.get("headers", ())}
        is_lever = scope["type"] == "http" and scope["path"].startswith("/_standin/")
        asked = next((each for each in (quotas, scaling) if each.is_asked(headers)), None)
        if not is_lever and asked is None:
            await app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if is_lever:
            found = await asyncio.to_thread(levers[scope["path"].rpartition("/")[2]], **json.loads(body))
            status = 404 if found is False else 200
        else:
            status, found = asked.answer(headers, body)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(found).encode()})

    return answer


if __name__ == "__main__":
    sys.exit(main())

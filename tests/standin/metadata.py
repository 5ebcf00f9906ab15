"""169.254.170.2: the task role's credentials and the task's metadata, as the ECS agent serves them."""

import http.server
import json
import socket
import threading

from ministack.services import ecs_metadata

from tests.standin import roles
from tests.standin.metadata_address import ADDRESS

_roles: dict[str, tuple[str, str, str]] = {}
_handed: dict[str, dict] = {}


def offer(task_id: str, role_arn: str, source_arn: str) -> str:
    """The relative URI under which a task finds its role's credentials."""
    _roles[task_id] = (role_arn, task_id, source_arn)
    return f"/v2/credentials/{task_id}"


def withdraw(task_id: str) -> None:
    _roles.pop(task_id, None)
    _handed.pop(task_id, None)


def serve(bridge: str) -> None:
    """Listen on port 80 of the address, for this stand-in's own network only: several stand-ins may run side by side."""
    server = _Server((ADDRESS, 80), _Handler, bind_and_activate=False)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bridge.encode())
    server.server_bind()
    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()


class _Server(http.server.ThreadingHTTPServer):
    def server_bind(self) -> None:
        # HTTPServer's own asks the name service who we are
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = ADDRESS, 80


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = self._answer()
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_) -> None:
        pass

    def _answer(self) -> tuple[int, dict]:
        kind, _, rest = self.path.strip("/").partition("/")
        if kind == "v2" and rest.startswith("credentials/"):
            return self._credentials(rest.removeprefix("credentials/"))
        if kind == "v4":
            token, _, part = rest.partition("/")
            container = ecs_metadata._TOKEN_TO_CONTAINER.get(token)
            if container is None:
                return 404, {"message": "unknown token"}
            task = ecs_metadata._TASKS[ecs_metadata._TOKEN_TO_TASK[token]]
            return 200, {"": container, "task": task}.get(part, {})
        return 404, {"message": "not found"}

    def _credentials(self, task_id: str) -> tuple[int, dict]:
        if task_id not in _roles:
            return 400, {"code": "InvalidIdInRequest", "message": "CredentialsV2Request: ID not found"}
        role_arn, session_name, source_arn = _roles[task_id]
        try:
            keys = _handed.get(task_id) or roles.credentials(
                role_arn, "ecs-tasks.amazonaws.com", session_name, source_arn
            )
        except roles.NotAssumed as error:
            return 500, {"code": "AccessDenied", "message": str(error)}
        _handed[task_id] = keys
        return 200, keys

"""169.254.170.2: the task role's credentials and the task's metadata, as the ECS agent serves them."""

import http.server
import json
import socket
import threading

from ministack.core.responses import request_scope
from ministack.services import ecs, ecs_metadata

from tests.standin import caller, roles, services
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
        self._say(*self._answer())

    def do_PUT(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        self._say(*self._answer(asked))

    def _say(self, status: int, body: dict) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_) -> None:
        pass

    def _answer(self, asked: dict | None = None) -> tuple[int, dict]:
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
        if kind == "api" and rest.endswith("/task-protection/v1/state"):
            return self._protection(rest.partition("/")[0], asked)
        return 404, {"message": "not found"}

    def _protection(self, token: str, asked: dict | None) -> tuple[int, dict]:
        """In the task's role (Developer Guide, "Task scale-in protection endpoint"); errors as the agent has them."""
        arn = ecs_metadata._TOKEN_TO_TASK.get(token, "")
        region, account = arn.split(":")[3:5] if arn else ("", "")
        with request_scope(account, region):
            task = ecs._tasks.get(arn)
            if task is None:
                return 404, {"message": "unknown token"}
            status, keys = self._credentials(task["taskArn"].rpartition("/")[2])
            action = "ecs:GetTaskProtection" if asked is None else "ecs:UpdateTaskProtection"
            if status != 200 or not caller.may(keys["AccessKeyId"], action, arn):
                return 400, {
                    "error": {"Arn": arn, "Code": "AccessDeniedException", "Message": f"not authorized: {action}"}
                }
            return services.state(task) if asked is None else services.protect(task, asked)

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

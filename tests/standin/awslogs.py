"""The awslogs driver: a container's lines to CloudWatch Logs, in the execution role."""

import threading
import time

from tests.standin import roles


class Stream:
    """`prefix/container/task-id` of a log group (ecs.md, logConfiguration)."""

    def __init__(self, options: dict, name: str, task_id: str, keys, region: str) -> None:
        self.group = options["awslogs-group"]
        self.name = f"{options['awslogs-stream-prefix']}/{name}/{task_id}"
        self.create_group = options.get("awslogs-create-group") == "true"
        self._client = roles.client("logs", options.get("awslogs-region", region), keys())
        self._lines: list[dict] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()

    @classmethod
    def of(cls, definition: dict, task_id: str, keys, region: str) -> "Stream | None":
        configuration = definition.get("logConfiguration", {})
        if configuration.get("logDriver") != "awslogs":
            return None
        return cls(configuration["options"], definition["name"], task_id, keys, region)

    def open(self) -> None:
        if self.create_group:
            self._client.create_log_group(logGroupName=self.group)
        self._client.create_log_stream(logGroupName=self.group, logStreamName=self.name)

    def follow(self, container) -> None:
        for act in (lambda: self._read(container), self._ship):
            thread = threading.Thread(target=act, daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        for thread in self._threads:
            thread.join(10)

    def _read(self, container) -> None:
        rest, known = b"", 0
        try:
            for chunk in container.logs(stream=True, follow=True):
                known += len(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                self._take(lines)
            # Docker may end such a stream before the very last bytes of a container that has just exited
            late = container.logs()[known:]
            self._take((rest + late).split(b"\n"))
        finally:
            self._over.set()

    def _take(self, lines: list[bytes]) -> None:
        now = int(time.time() * 1000)
        with self._lock:
            self._lines += [{"timestamp": now, "message": line.decode("utf-8", "replace")} for line in lines if line]

    def _ship(self) -> None:
        while True:
            last = self._over.is_set()
            with self._lock:
                lines, self._lines = self._lines, []
            for start in range(0, len(lines), 1000):
                batch = lines[start : start + 1000]
                self._client.put_log_events(logGroupName=self.group, logStreamName=self.name, logEvents=batch)
            if last:
                return
            self._over.wait(0.1)

"""The server as a process of its own, and a client that knows nothing but HTTP."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

COMMAND = (sys.executable, "-m", "pytest_lambda_telemetry", "serve")
TIMEOUT = 60.0
JSON = {"Content-Type": "application/json"}


@dataclass(slots=True)
class Answer:
    """What a control call was answered."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    body: Any = field(init=False)

    def __post_init__(self) -> None:
        is_json = self.headers.get("content-type", "").startswith("application/json")
        self.body = json.loads(self.raw) if is_json else None

    @property
    def value(self) -> Any:
        """What the call returned; it must have worked."""
        assert self.status == 200, self.raw
        return self.body["value"]

    @property
    def warnings(self) -> list[str]:
        found: list[str] = self.body["warnings"]
        return found

    def refused(self, status: int, error: str) -> str:
        """The message of an answer that must be this error."""
        assert (self.status, self.body["error"]) == (status, error), self.raw
        message: str = self.body["message"]
        return message


class Client:
    """Calls over one connection that is kept; for one thread."""

    def __init__(self, address: str, headers: Mapping[str, str] = {}) -> None:
        self._connection = HTTPConnection(address, timeout=TIMEOUT)
        self._headers = dict(headers)

    def request(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = JSON) -> Answer:
        self._connection.request(method, path, body, {**headers, **self._headers})
        answer = self._connection.getresponse()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, fields, answer.read())

    def post(self, call: str, **given: Any) -> Answer:
        return self.request("POST", f"/v1/{call}", json.dumps(given).encode())

    def get(self, call: str) -> Answer:
        return self.request("GET", f"/v1/{call}")

    def delete(self, call: str) -> Answer:
        return self.request("DELETE", f"/v1/{call}")

    def do(self, call: str, **given: Any) -> Any:
        """What POST returns; it must work."""
        return self.post(call, **given).value

    def read(self, call: str) -> Any:
        """What GET returns; it must work."""
        return self.get(call).value

    def close(self) -> None:
        self._connection.close()


def segment(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")


@dataclass(slots=True)
class Running:
    """A server that runs, and what it told when it was ready."""

    process: "subprocess.Popen[str]"
    told: dict[str, Any]

    @property
    def control(self) -> str:
        address: str = self.told["control"]
        return address

    @contextmanager
    def client(self, headers: Mapping[str, str] = {}) -> Iterator[Client]:
        with closing(Client(self.control, headers)) as client:
            yield client

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Its exit code, and the rest of stdout and stderr."""
        self.process.send_signal(how)
        output, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, output, errors


@contextmanager
def serving(*options: str, env: Mapping[str, str] = {}) -> Iterator[Running]:
    """A server of its own, ended with the block; it must then have said nothing but what the test has read."""
    process = subprocess.Popen(
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield Running(process, json.loads(line))
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=TIMEOUT)

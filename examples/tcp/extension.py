"""An extension that takes telemetry over TCP: one JSON object a line, on one connection that stays open."""

import json
import os
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen


class Listener(StreamRequestHandler):
    """Reads one event a line until Lambda closes the connection."""

    server: "Server"

    def handle(self) -> None:
        for line in self.rfile:
            self.server.events.append(json.loads(line))


class Server(ThreadingTCPServer):
    """Accepts Lambda's connection; `events` is what came so far."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("sandbox.localdomain", 0), Listener)
        self.events: list[dict[str, Any]] = []
        self.port = int(self.server_address[1])


def call(method: str, path: str, body: object = None, **headers: str) -> tuple[Any, Any]:
    """One call of Lambda's API: the decoded answer and its headers."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}{path}"
    request = Request(url, data, {"Content-Type": "application/json", **named}, method=method)
    with urlopen(request) as response:
        return json.load(response), response.headers


def run(port: int) -> None:
    """Register, subscribe, then ask for the next event until Lambda says SHUTDOWN."""
    _, headers = call("POST", "/2020-01-01/extension/register", {"events": ["SHUTDOWN"]}, Lambda_Extension_Name="tcp")
    identifier = headers["Lambda-Extension-Identifier"]
    subscription = {
        "schemaVersion": "2022-12-13",
        "types": ["platform", "function"],
        # The reference asks for a URI, AWS's own code for a port: with both, an extension is right either way.
        "destination": {
            "protocol": "TCP",
            "port": port,
            "URI": f"http://sandbox.localdomain:{port}",
        },
    }
    call("PUT", "/2022-07-01/telemetry", subscription, Lambda_Extension_Identifier=identifier)
    call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=identifier)  # SHUTDOWN is all it takes


def main(server: Server) -> None:
    """Listen while the extension runs."""
    with server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            run(server.port)
        finally:
            server.shutdown()


if __name__ == "__main__":
    main(Server())

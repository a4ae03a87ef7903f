"""An extension that still uses the Logs API, the older twin of the Telemetry API, as some vendors' do."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen


class Listener(BaseHTTPRequestHandler):
    """Keeps the requestIds of invocations that have ended."""

    server: "Server"

    def do_POST(self) -> None:
        for event in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
            if event["type"] == "platform.end":
                self.server.ended.append(event["record"]["requestId"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(HTTPServer):
    """`ended` is what came so far."""

    def __init__(self) -> None:
        super().__init__(("sandbox.localdomain", 0), Listener)
        self.ended: list[str] = []


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
    _, headers = call(
        "POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]}, Lambda_Extension_Name="old-timer"
    )
    identifier = headers["Lambda-Extension-Identifier"]
    subscription = {
        "schemaVersion": "2021-03-18",
        "types": ["platform", "function"],
        "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}"},
    }
    call("PUT", "/2020-08-15/logs", subscription, Lambda_Extension_Identifier=identifier)
    while True:
        event, _ = call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=identifier)
        if event["eventType"] == "SHUTDOWN":
            break


def main(server: Server) -> None:
    """Listen while the extension runs."""
    with server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            run(server.server_port)
        finally:
            server.shutdown()


if __name__ == "__main__":
    main(Server())

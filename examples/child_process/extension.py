"""The extension of the python_http example as its own program: nothing of the test is in this process."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

RUNTIME_API = os.environ["AWS_LAMBDA_RUNTIME_API"]
NAME = Path(__file__).name  # Lambda wants the file's name


class Listener(BaseHTTPRequestHandler):
    """Receives batches of telemetry and prints the function's log lines."""

    def do_POST(self) -> None:
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for event in batch:
            print("received:", event["record"], flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def call(method: str, path: str, body: object = None, **headers: str) -> tuple[Any, Any]:
    """One call of Lambda's API: the decoded answer and its headers."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(f"http://{RUNTIME_API}{path}", data, {"Content-Type": "application/json", **named}, method=method)
    with urlopen(request) as response:
        return json.load(response), response.headers


def main() -> None:
    """Listen, register, subscribe, then ask for the next event until Lambda says SHUTDOWN."""
    server = HTTPServer(("sandbox.localdomain", 0), Listener)
    Thread(target=server.serve_forever, daemon=True).start()
    _, headers = call(
        "POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]}, Lambda_Extension_Name=NAME
    )
    identifier = headers["Lambda-Extension-Identifier"]
    subscription = {
        "schemaVersion": "2022-12-13",
        "types": ["function"],  # not "extension": what is printed above would come back, and be printed, for ever
        "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{server.server_port}"},
    }
    call("PUT", "/2022-07-01/telemetry", subscription, Lambda_Extension_Identifier=identifier)
    while True:
        event, _ = call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=identifier)
        if event["eventType"] == "SHUTDOWN":
            print("shut down:", event["shutdownReason"], flush=True)
            break


if __name__ == "__main__":
    main()

"""Forwards telemetry to a backend with httpx, and speaks to Lambda with httpx too."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx

BACKEND = "https://telemetry.example.com/v1/batches"
NAME = "httpx-forwarder"


class Listener(BaseHTTPRequestHandler):
    """Answers Lambda with the backend's status: a batch that the backend did not take is sent again."""

    def do_POST(self) -> None:
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = httpx.post(BACKEND, json={"source": NAME, "events": batch})
        self.send_response(answer.status_code)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def run(port: int) -> None:
    """Register, subscribe, then ask for the next event until Lambda says SHUTDOWN."""
    with httpx.Client(base_url=f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}", timeout=None) as client:
        answer = client.post(
            "/2020-01-01/extension/register",
            json={"events": ["INVOKE", "SHUTDOWN"]},
            headers={"Lambda-Extension-Name": NAME},
        )
        client.headers["Lambda-Extension-Identifier"] = answer.headers["Lambda-Extension-Identifier"]
        subscription = {
            "schemaVersion": "2022-12-13",
            "types": ["function"],
            "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}"},
        }
        client.put("/2022-07-01/telemetry", json=subscription).raise_for_status()
        while client.get("/2020-01-01/extension/event/next").json()["eventType"] != "SHUTDOWN":
            pass


def main() -> None:
    """Listen while the extension runs."""
    with HTTPServer(("sandbox.localdomain", 0), Listener) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            run(server.server_port)
        finally:
            server.shutdown()


if __name__ == "__main__":
    main()

"""Listeners that no HTTP library would be: each does one thing with every connection."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import BaseRequestHandler, ThreadingTCPServer

Reaction = Callable[[socket.socket], object]


@contextmanager
def serve(reaction: Reaction, host: str) -> Iterator[int]:
    """The port of a listener that does this with each connection, and then closes it."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            reaction(self.request)

    class Server(ThreadingTCPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, *_: object) -> None:
            """A sender that breaks off is what some rows are about: no traceback for it."""

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join()


def read_request(connection: socket.socket) -> bytes:
    """A request as it came, headers and body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def answering(answer: bytes) -> Reaction:
    """Read a request, answer with these bytes, close."""

    def react(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    return react

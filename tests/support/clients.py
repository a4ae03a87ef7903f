"""Clients of a fake backend, over plain sockets."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection

from pytest_lambda_telemetry import AsyncBackend, Backend

TIMEOUT = 30.0


def connect(backend: Backend | AsyncBackend) -> socket.socket:
    return socket.create_connection((backend.host, backend.port), timeout=TIMEOUT)


def exchange(backend: Backend | AsyncBackend, sent: bytes, *, end: bool = True) -> bytes:
    """Send these bytes on a connection of their own; everything that comes back until it ends."""
    with connect(backend) as sock:
        sock.sendall(sent)
        if end:
            sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


@contextmanager
def connection(backend: Backend | AsyncBackend) -> Iterator[HTTPConnection]:
    """A connection that is kept alive within the block."""
    with closing(HTTPConnection(backend.host, backend.port, timeout=TIMEOUT)) as made:
        made.connect()
        yield made


def post(backend: Backend | AsyncBackend, path: str = "/", body: bytes = b"x", **headers: str) -> tuple[int, bytes]:
    """Status and body of one POST on a connection of its own; underscores in names of headers are dashes."""
    with connection(backend) as made:
        return ask(made, path, body, **headers)


def ask(made: HTTPConnection, path: str = "/", body: bytes = b"x", **headers: str) -> tuple[int, bytes]:
    """The same on a connection that is there."""
    made.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = made.getresponse()
    return answer.status, answer.read()

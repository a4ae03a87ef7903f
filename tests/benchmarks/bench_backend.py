"""How many requests a second a fake backend takes, beside pytest-httpserver, in one run.

    python tests/benchmarks/bench_backend.py

Prints, as medians of three: POSTs of 300 bytes a second from one client in another process, on one connection that is
kept and on a new connection for each; and, of the backend alone, MiB a second in bodies of 4 MiB. A server that closes
the connection after each answer gets a new one.
"""

import logging
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_httpserver import HTTPServer

from pytest_lambda_telemetry import LambdaTelemetry

CLIENT = """
import sys, time
from http.client import HTTPConnection
port, count, size, kept = (int(text) for text in sys.argv[1:])
body, connection = b"x" * size, HTTPConnection("127.0.0.1", port)
began = time.perf_counter()
for _ in range(count):
    connection.request("POST", "/", body)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, answer.status
    if not kept:
        connection.close()
print(count / (time.perf_counter() - began))
"""
COUNT, SIZE = 3_000, 300
LARGE_COUNT, LARGE_MIB = 50, 4


@contextmanager
def backend() -> Iterator[int]:
    with LambdaTelemetry() as fake:
        yield fake.backend().port


@contextmanager
def httpserver(*, threaded: bool) -> Iterator[int]:
    with HTTPServer(threaded=threaded) as server:
        server.expect_request("/").respond_with_data("")
        yield server.port


def rate(port: int, *, count: int = COUNT, size: int = SIZE, kept: bool) -> float:
    argv = [sys.executable, "-c", CLIENT, *map(str, (port, count, size, int(kept)))]
    return statistics.median(
        float(subprocess.run(argv, capture_output=True, text=True, check=True).stdout) for _ in range(3)
    )


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it writes a line for each request
    servers = {
        "the fake backend": backend(),
        "pytest-httpserver": httpserver(threaded=False),
        "pytest-httpserver, threaded": httpserver(threaded=True),
    }
    for name, serving in servers.items():
        with serving as port:
            for kept in (True, False):
                how = "kept connection" if kept else "new connections"
                print(f"{name:>28}, {how}: {rate(port, kept=kept):>7,.0f} requests/s")
    with backend() as port:
        figure = rate(port, count=LARGE_COUNT, size=LARGE_MIB << 20, kept=True) * LARGE_MIB
        print(f"{'the fake backend':>28}, bodies of {LARGE_MIB} MiB: {figure:>5,.0f} MiB/s")


if __name__ == "__main__":
    main()

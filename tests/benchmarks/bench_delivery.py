"""How fast events become batches and time passes. Run it: `python tests/benchmarks/bench_delivery.py`.

Prints, as medians of three: 100-byte lines a second in one `emit(*batch)` (and one `emit` a line) with `maxBytes` of
1 MiB and `maxItems` of 10,000; virtual seconds per real second for telemetry of one invocation-like second with five
lines, `timeoutMs` 1000, also with the process frozen; the cost of an `advance` with nothing due. The sink is another
process.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from pytest_lambda_telemetry import BufferingOptions, LambdaTelemetry, Settings, events
from pytest_lambda_telemetry.real import Real

SINK = """
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
LINES = 200_000
SECONDS = 3_600
IDLE = 20_000


def rate(amount: int, work: Callable[[], object]) -> float:
    begun = Real.monotonic()
    work()
    return amount / (Real.monotonic() - begun)


@contextmanager
def environment(
    port: int, clock: Literal["virtual", "freezegun"] = "virtual", *, in_init: bool = False
) -> Iterator[LambdaTelemetry]:
    with LambdaTelemetry(Settings(clock=clock)) as made:
        large: BufferingOptions = {"maxBytes": 1_048_576, "maxItems": 10_000, "timeoutMs": 1000}
        made.subscribe(f"http://sandbox.localdomain:{port}/", ["function"], buffering=large)
        if not in_init:
            made.end_init()
        yield made


def lines_in_one_emit(port: int) -> float:
    batch = [events.function("x" * 100) for _ in range(LINES)]
    with environment(port) as fake:
        figure = rate(LINES, lambda: (fake.emit(*batch), fake.flush()))
        assert sum(len(one.types) for one in fake.deliveries if one.ok) == LINES
        return figure


def lines_in_init(port: int) -> float:
    """The usual test of a listener alone never ends init; its telemetry is kept for later subscribers, until full."""
    batch = [events.function("x" * 100) for _ in range(LINES)]
    with environment(port, in_init=True) as fake:
        return rate(LINES, lambda: (fake.emit(*batch), fake.flush()))


def one_emit_a_line(port: int) -> float:
    batch = [events.function("x" * 100) for _ in range(LINES // 10)]
    with environment(port) as fake:
        return rate(len(batch), lambda: [fake.emit(line) for line in batch])


def virtual_seconds(port: int, clock: Literal["virtual", "freezegun"] = "virtual") -> float:
    def an_hour() -> None:
        for _ in range(SECONDS):
            fake.emit(*[events.function("x" * 100) for _ in range(5)])
            fake.advance(seconds=1)

    with environment(port, clock) as fake:
        figure = rate(SECONDS, an_hour)
        assert len(fake.deliveries) == SECONDS
        return figure


def virtual_seconds_frozen(port: int) -> float:
    return virtual_seconds(port, "freezegun")


def idle_advances(port: int) -> float:
    with environment(port) as fake:
        return rate(IDLE, lambda: [fake.advance(ms=1) for _ in range(IDLE)])


def main() -> None:
    with subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdout is not None
        sink_port = int(sink.stdout.readline())
        try:
            measure_all(sink_port)
        finally:
            sink.terminate()


def measure_all(port: int) -> None:
    figures: tuple[tuple[str, Callable[[int], float], Callable[[float], str]], ...] = (
        ("lines a second, one emit(*batch)", lines_in_one_emit, lambda figure: f"{figure:,.0f}"),
        ("the same before the end of init", lines_in_init, lambda figure: f"{figure:,.0f}"),
        ("lines a second, one emit a line", one_emit_a_line, lambda figure: f"{figure:,.0f}"),
        ("virtual seconds per real second", virtual_seconds, lambda figure: f"{figure:,.0f}"),
        ("the same under freezegun", virtual_seconds_frozen, lambda figure: f"{figure:,.0f}"),
        ("advance with nothing due, µs", idle_advances, lambda figure: f"{1_000_000 / figure:.1f}"),
    )
    for name, measure, show in figures:
        print(f"{name:>36}: {show(statistics.median(measure(port) for _ in range(3)))}")


if __name__ == "__main__":
    main()

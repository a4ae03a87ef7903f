"""What the server costs beside the same calls in process, and a soak of mixed calls from several clients.

    python tests/benchmarks/bench_server.py

Prints, as medians: microseconds of one `emit`, of one `advance` with nothing due, and of a whole cycle (reset,
subscribe, emit, advance with one delivery), over HTTP on one kept connection and in process; seconds from start to
ready; then what 10,000 mixed calls from eight clients took, which answers there were, and whether every record arrived
once.
"""

import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from pytest_lambda_telemetry import LambdaTelemetry, Settings, events
from tests.support.helpers import Listener
from tests.support.server import Client, Running, serving

LINE = {"type": "function", "record": "a line"}
TIMES, CYCLES = 2_000, 200
CLIENTS, CALLS = 8, 1_250


def median_us(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6


def over_http(client: Client, uri: str) -> dict[str, float]:
    def cycle() -> None:
        client.do("reset")
        client.do("subscribe", uri=uri)
        client.do("emit", events=[LINE])
        assert client.do("advance", seconds=1)[0]["ok"]

    client.do("reset")
    client.do("subscribe", uri=uri, buffering={"timeoutMs": 30_000, "maxItems": 10_000})
    measured = {"emit": median_us(lambda: client.do("emit", events=[LINE]), TIMES)}
    client.do("flush")
    measured["advance"] = median_us(lambda: client.do("advance", ms=1), TIMES)
    return measured | {"cycle": median_us(cycle, CYCLES)}


def in_process(uri: str) -> dict[str, float]:
    line = events.function("a line")

    def cycle() -> None:
        with LambdaTelemetry() as fake:
            fake.subscribe(uri)
            fake.emit(line)
            assert fake.advance(seconds=1)[0].ok

    with LambdaTelemetry(Settings()) as fake:
        fake.subscribe(uri, buffering={"timeoutMs": 30_000, "maxItems": 10_000})
        measured = {"emit": median_us(lambda: fake.emit(line), TIMES)}
        fake.flush()
        measured["advance"] = median_us(lambda: fake.advance(ms=1), TIMES)
    return measured | {"cycle": median_us(cycle, CYCLES)}


def soak(server: Running, uri: str) -> None:
    def work(number: int) -> Counter[int]:
        chance, seen = random.Random(number), Counter[int]()
        with server.client() as client:
            for turn in range(CALLS):
                line = {"type": "function", "record": f"client {number:02} line {turn:05}"}
                calls: list[tuple[str, dict[str, Any]]] = [
                    ("emit", {"events": [line]}),
                    ("invoke", {"logs": [line["record"]]}),
                    ("advance", {"ms": chance.randrange(200)}),
                    ("thaw", {}),
                    ("flush", {}),
                    ("wait_for_extension", {"timeout": 0}),
                    ("fail_next_delivery", {"fault": chance.choice([503, "refuse", "reset"])}),
                    ("advance", {"ms": -1}),
                    ("assert_nothing_delivered", {}),
                    ("no_such_call", {}),
                    ("log_lines", {"n": 1}),
                ]
                reads = ("now", "elapsed", "subscriptions", "runtime_api", "env", "rejections")
                if chance.random() < 0.2:
                    seen[client.get(chance.choice(reads)).status] += 1
                else:
                    call, given = chance.choice(calls)
                    seen[client.post(call, **given).status] += 1
        return seen

    with server.client() as client:
        client.do("reset")
        client.do("subscribe", uri=uri, buffering={"timeoutMs": 100})
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            seen = sum(pool.map(work, range(CLIENTS)), Counter[int]())
        took = time.perf_counter() - began
        client.do("thaw")
        client.do("advance", seconds=3600)
        client.do("assert_all_delivered")
        records = client.read("records")
        emitted = len({one["number"] for one in client.read("ledger")["trails"]})
    whole = len(records) == len(set(records)) == emitted
    print(f"soak: {CLIENTS * CALLS:,} calls in {took:.1f} s, answers {dict(seen)}")
    print(f"      {emitted:,} records, each delivered once: {whole}")


def main() -> None:
    with Listener() as listener:
        began = time.perf_counter()
        with serving() as server:
            ready = time.perf_counter() - began
            with server.client() as client:
                remote = over_http(client, listener.uri)
            local = in_process(listener.uri)
            for name, taken in remote.items():
                print(f"{name}: {taken:,.0f} µs over HTTP, {local[name]:,.0f} µs in process")
            print(f"ready after {ready:.2f} s")
            soak(server, listener.uri)
            print(f"its end: {server.end()}")


if __name__ == "__main__":
    main()

"""Buffering, retries, losses and the journal, through the public API and over real sockets."""

import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_lambda_telemetry import (
    Delivery,
    DeliveryFault,
    LambdaTelemetry,
    LambdaTelemetryError,
    MisuseError,
    Retry,
    Settings,
    TelemetryType,
    events,
)
from tests.support.helpers import Listener, free_port, running

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SLOW = "Some logs were dropped because the downstream consumer is slower than the logs production rate"


@contextmanager
def environment(**options: Any) -> Iterator[LambdaTelemetry]:
    with LambdaTelemetry(Settings(**{"start": START, "clock": "virtual", "strict": False, **options})) as fake:
        yield fake


def ms(count: float) -> datetime:
    return START + timedelta(milliseconds=count)


def moments(delivery: Delivery) -> list[float]:
    """When each attempt was made, in milliseconds since the start."""
    return [(attempt.at - START) / timedelta(milliseconds=1) for attempt in delivery.attempts]


def lines(*numbers: int) -> list[Any]:
    return [events.function(f"line {number}") for number in numbers]


def records(batch: list[dict[str, Any]]) -> list[Any]:
    return [event["record"] for event in batch]


def drops(fake: LambdaTelemetry) -> list[dict[str, Any]]:
    """The records of every platform.logsDropped that arrived."""
    arrived = [event for delivery in fake.deliveries if delivery.ok for event in delivery.events]
    return [event["record"] for event in arrived if event["type"] == "platform.logsDropped"]


def size(event: dict[str, Any]) -> int:
    return len(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode())


LINE_BYTES = size({"time": "2026-01-02T03:04:05.000Z", "type": "function", "record": ""})


class TcpListener:
    """Accepts one connection after another and keeps what each was sent."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen()
        self.port: int = self._socket.getsockname()[1]

    def accept(self) -> socket.socket:
        self._socket.settimeout(10)
        connection, _ = self._socket.accept()
        connection.settimeout(10)
        return connection

    def close(self) -> None:
        self._socket.close()


@contextmanager
def tcp_listener() -> Iterator[TcpListener]:
    listener = TcpListener()
    try:
        yield listener
    finally:
        listener.close()


def read_lines(connection: socket.socket, count: int) -> list[dict[str, Any]]:
    received = b""
    while received.count(b"\n") < count:
        chunk = connection.recv(65536)
        assert chunk, received
        received += chunk
    return [json.loads(line) for line in received.splitlines()]


# -- when a batch is due -----------------------------------------------------------------------------------------------


def test_a_batch_is_delivered_at_100_ms_and_not_at_99() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 100})
        assert fake.emit(events.function("a line"), events.platform_start()) == ()
        assert fake.advance(ms=99) == ()
        assert listener.bodies == []
        (delivery,) = fake.advance(ms=1)
        assert delivery.types == ("function", "platform.start")
        assert delivery.body == listener.bodies[0]
        assert delivery.at == ms(100)
        assert (delivery.ok, delivery.status, len(delivery.attempts)) == (True, 200, 1)


def test_the_timeout_runs_from_the_first_event_of_a_batch() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 100})
        fake.emit(*lines(1))
        fake.advance(ms=60)
        fake.emit(*lines(2))
        (first,) = fake.advance(ms=60)
        fake.emit(*lines(3))
        (second,) = fake.advance(seconds=10)
        assert [moments(one) for one in (first, second)] == [[100], [220]]
        assert [records(one.events) for one in (first, second)] == [["line 1", "line 2"], ["line 3"]]


def test_no_event_leaves_no_line_in_the_journal() -> None:
    with environment() as fake:
        assert fake.emit() == ()
        assert fake.journal == ()


def test_a_filtered_event_opens_no_batch() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, ["platform"], buffering={"timeoutMs": 100})
        fake.emit(*lines(1))
        fake.advance(ms=50)
        fake.emit(events.platform_start())
        (delivery,) = fake.advance(seconds=1)
        assert moments(delivery) == [150]


@pytest.mark.parametrize(("count", "full"), [(999, 0), (1000, 1), (1001, 1), (2000, 2)])
def test_a_batch_of_max_items_is_delivered_before_emit_returns(count: int, full: int) -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, ["function"])
        assert [len(one.types) for one in fake.emit(*lines(*range(count)))] == [1000] * full
        assert [len(one.types) for one in fake.advance(seconds=1)] == [count % 1000] * (count % 1000 > 0)
        assert records([event for batch in listener.batches for event in batch]) == [f"line {n}" for n in range(count)]


@pytest.mark.parametrize(("character", "width"), [("x", 1), ("é", 2), ("€", 3), ("😀", 4), ("\n", 2), ("\x01", 6)])
@pytest.mark.parametrize(("missing", "full"), [(1, 0), (0, 1)])
def test_max_bytes_counts_the_utf_8_bytes_of_serialized_events(
    character: str, width: int, missing: int, full: int
) -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, ["function"], buffering={"maxBytes": 262_144})
        room = (
            262_144
            - missing
            - LINE_BYTES
            - size({"time": "2026-01-02T03:04:05.000Z", "type": "function", "record": "1"})
        )
        rest = room % width
        delivered = fake.emit(events.function("1"), events.function(character * (room // width) + "x" * rest))
        assert len(delivered) == full
        fake.flush()
        assert len(listener.bodies[0]) == 262_144 - missing + len("[,]")


def opening(record: str) -> bytes:
    return f'{{"time":"2026-01-02T03:04:05.000Z","type":"function","record":{record}'.encode()


@pytest.mark.parametrize("limit", [262_144, 300_000])
def test_the_live_service_cuts_a_record_at_max_bytes(limit: int) -> None:
    with environment(fidelity="observed") as fake, Listener() as listener:
        fake.subscribe(listener.uri, ["function"], buffering={"maxBytes": limit})
        sent = fake.emit(events.function("before"), events.function("x" * (limit + 9)), events.function("behind"))
        assert [one.types for one in sent] == [("function", "function")]
        (rest,) = fake.flush()
        assert listener.bodies == [
            b"[" + opening('"before"}') + b"," + opening('"' + "x" * (limit - 1)) + b"}]",
            b"[" + opening("x" * 10 + '"}') + b"," + opening('"behind"}') + b"]",
        ]
        assert rest.body == listener.bodies[1]
        with pytest.raises(LambdaTelemetryError, match="was cut in it, as the live service does"):
            assert rest.events
        with pytest.raises(LambdaTelemetryError, match="was cut in it, as the live service does"):
            fake.records("function")


@pytest.mark.parametrize(
    ("settings", "limit", "record"),
    [
        ({"fidelity": "observed"}, 1_048_576, "x" * 328_000),  # came whole on the live service
        ({"fidelity": "observed"}, 262_144, "x" * 262_142),
        ({}, 262_144, "x" * 328_000),
    ],
)
def test_a_record_that_is_not_cut(settings: dict[str, Any], limit: int, record: str) -> None:
    with environment(**settings) as fake, Listener() as listener:
        fake.subscribe(listener.uri, ["function"], buffering={"maxBytes": limit})
        fake.emit(events.function(record))
        fake.flush()
        assert records([event for batch in listener.batches for event in batch]) == [record]


def test_a_body_that_was_cut_can_be_split_once_more() -> None:
    with environment(fidelity="observed") as fake, Listener() as listener:
        fake.subscribe(listener.uri, ["function"])
        fake.fail_next_delivery("split")
        fake.emit(events.function("x" * 300_000))
        assert len(listener.bodies) == 2


def test_each_subscription_has_its_own_cut_also_of_what_came_before_it() -> None:
    record = {"message": "x" * 300_000}
    with environment(fidelity="observed") as fake, Listener() as small, Listener() as large:
        fake.emit(events.function(record))
        fake.subscribe(small.uri, ["function"], name="small")
        fake.subscribe(large.uri, ["function"], name="large", buffering={"maxBytes": 1_048_576})
        fake.emit(events.platform_start(), events.function("behind"))
        fake.flush()
        assert [len(json.loads(body)) for body in large.bodies] == [2]
        first, second = small.bodies
        assert first.endswith(b"xx}]")
        assert second.startswith(b"[" + opening("xx"))
        assert second.endswith(b'xx"}},' + opening('"behind"}') + b"]")


def test_the_event_that_fills_a_batch_belongs_to_it_whatever_its_size() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, ["function"])
        fake.emit(events.function("a" * 262_000), events.function("b" * 262_000), events.function("c"))
        assert [[one[0] for one in records(batch)] for batch in listener.batches] == [["a", "b"]]


def test_several_subscribers_at_one_moment_are_served_in_the_order_of_their_subscriptions() -> None:
    with environment() as fake, Listener() as listener:
        for name in ("one", "two", "three"):
            fake.subscribe(f"{listener.uri}/{name}", name=name, buffering={"timeoutMs": 100 if name != "two" else 50})
        fake.emit(*lines(1))
        fake.advance(ms=50)
        fake.emit(*lines(2))
        fake.advance(ms=50)
        assert listener.paths == ["/two", "/one", "/two", "/three"]


def test_a_30_s_buffer_is_crossed_in_one_call_with_every_stop_on_the_way() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, name="slow", buffering={"timeoutMs": 30_000})
        fake.subscribe(listener.uri, name="fast", buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        assert [(one.subscription.extension_name, moments(one)) for one in fake.advance(timedelta(minutes=1))] == [
            ("fast", [25]),
            ("slow", [30_000]),
        ]
        assert (fake.now, fake.elapsed) == (ms(60_000), timedelta(minutes=1))


def test_flush_delivers_what_is_buffered_to_whom_it_is_told() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(f"{listener.uri}/one", name="one")
        two = fake.subscribe(f"{listener.uri}/two", name="two")
        fake.emit(*lines(1))
        assert [one.subscription for one in fake.flush(two)] == [two]
        assert listener.paths == ["/two"]
        assert [one.subscription.extension_name for one in fake.flush()] == ["one"]
        assert fake.flush() == ()
        assert fake.elapsed == timedelta(0)


def test_push_sends_one_batch_past_buffer_and_filter() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, ["platform"])
        fake.emit(events.platform_start(request_id="buffered"))
        delivery = fake.push([events.function("one"), events.extension("two")])
        assert delivery.types == ("function", "extension")
        assert listener.bodies == [delivery.body]
        assert delivery.events[0]["time"] == "2026-01-02T03:04:05.000Z"
        assert [one.types for one in fake.flush()] == [("platform.start",)]


def test_a_push_that_fails_is_told_and_not_tried_again() -> None:
    with environment() as fake, Listener(lambda _: 500) as listener:
        fake.subscribe(listener.uri)
        delivery = fake.push(lines(1))
        assert (delivery.ok, delivery.status, len(delivery.attempts)) == (False, 500, 1)
        assert fake.advance(seconds=60) == ()


def test_push_needs_to_know_whom_it_concerns() -> None:
    with environment() as fake, Listener() as listener:
        with pytest.raises(MisuseError, match="nothing is subscribed yet"):
            fake.push(lines(1))
        fake.subscribe(listener.uri, name="one")
        fake.subscribe(listener.uri, name="two")
        with pytest.raises(MisuseError, match="say which with to="):
            fake.push(lines(1))
        assert fake.push(lines(1), to="two").subscription.extension_name == "two"


@pytest.mark.parametrize("bad", [{"ms": -1}, {"seconds": -0.1}, {"delta": timedelta(seconds=-1)}, {"delta": 5}])
def test_time_goes_forward_and_says_its_unit(bad: dict[str, Any]) -> None:
    with environment() as fake:
        with pytest.raises(MisuseError):
            fake.advance(**bad)
        assert fake.elapsed == timedelta(0)


def test_time_ends_with_the_year_9999_and_the_environment_goes_on() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri)
        with pytest.raises(MisuseError, match="year 9999"):
            fake.advance(seconds=9e11)
        fake.emit(*lines(1))
        assert [one.at for one in fake.advance(seconds=1)] == [ms(1000)]


# -- failures and retries ----------------------------------------------------------------------------------------------


def test_a_batch_that_fails_is_tried_again_at_the_moments_of_retry_with_the_same_bytes() -> None:
    statuses = [500, 404, 302, 199, 200]
    with environment() as fake, Listener(lambda number: statuses[number - 1] if number != 4 else 503) as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 100})
        fake.emit(*lines(1, 2))
        (delivery,) = fake.advance(seconds=10)
        assert moments(delivery) == [100, 200, 400, 800, 1600]
        assert [attempt.status for attempt in delivery.attempts] == [500, 404, 302, 503, 200]
        assert len(set(listener.bodies)) == 1
        assert delivery.ok
        assert fake.deliveries == (delivery,)


def test_delays_grow_by_the_factor_up_to_the_maximum() -> None:
    retry = Retry(initial_ms=10, factor=3, max_ms=50)
    with environment(retry=retry) as fake:
        fake.subscribe(f"http://sandbox.localdomain:{free_port()}", buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        (delivery,) = fake.advance(ms=200)
        assert moments(delivery) == [25, 35, 65, 115, 165]
        assert {attempt.error for attempt in delivery.attempts} == {"connection refused"}
        assert {attempt.status for attempt in delivery.attempts} == {None}
        assert not delivery.ok


def test_a_delay_too_small_to_measure_is_a_microsecond_so_that_time_gets_past_a_dead_listener() -> None:
    with environment(retry=Retry(initial_ms=1e-9, factor=1)) as fake:
        fake.subscribe(f"http://sandbox.localdomain:{free_port()}", buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        (delivery,) = fake.advance(ms=25.002)
        assert [attempt.at - START for attempt in delivery.attempts] == [
            timedelta(microseconds=us) for us in (25_000, 25_001, 25_002)
        ]


def test_the_snapshot_in_deliveries_is_replaced_at_each_attempt_and_older_ones_stay_as_they_were() -> None:
    with environment() as fake, Listener(lambda number: 500 if number == 1 else 200) as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        (failed,) = fake.advance(ms=25)
        assert fake.deliveries == (failed,)
        (acknowledged,) = fake.advance(ms=100)
        assert fake.deliveries == (acknowledged,)
        assert (failed.ok, len(failed.attempts)) == (False, 1)
        assert (acknowledged.ok, len(acknowledged.attempts)) == (True, 2)
        assert acknowledged.body == failed.body


@pytest.mark.parametrize("fault", ["refuse", "reset", 418])
def test_an_injected_fault_is_retried_like_a_real_one(fault: DeliveryFault) -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 25})
        fake.fail_next_delivery(fault, times=2)
        fake.emit(*lines(1))
        (delivery,) = fake.advance(seconds=1)
        assert moments(delivery) == [25, 125, 325]
        assert [attempt.status == 200 for attempt in delivery.attempts] == [False, False, True]
        assert records(delivery.events) == ["line 1"]


def test_a_listener_that_comes_late_gets_everything_in_order() -> None:
    port = free_port()
    with environment() as fake:
        fake.subscribe(f"http://sandbox.localdomain:{port}", buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        fake.advance(ms=25)
        fake.emit(*lines(2))
        fake.advance(ms=50)
        with Listener(port=port) as listener:
            delivered = fake.advance(seconds=1)
            assert [records(batch) for batch in listener.batches] == [["line 1"], ["line 2"]]
        assert [moments(one)[-1] for one in delivered] == [125, 125]


def test_subscribers_do_not_disturb_one_another() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(f"http://sandbox.localdomain:{free_port()}", name="dead", buffering={"timeoutMs": 25})
        fake.subscribe(listener.uri, name="alive", buffering={"timeoutMs": 25})
        for number in range(5):
            fake.emit(*lines(number))
            fake.advance(ms=25)
        assert [moments(one) for one in fake.deliveries if one.ok] == [[25], [50], [75], [100], [125]]


def test_a_flush_that_fails_leaves_room_behind_it() -> None:
    with environment() as fake, Listener(lambda number: 200 if number > 4 else 500) as listener:
        fake.subscribe(listener.uri, ["platform", "function"])
        for number in range(4):
            fake.emit(*lines(number))
            assert len(fake.flush()) == 1
        fake.emit(*lines(4))
        assert [records(one.events) for one in fake.flush()] == [["line 0"], ["line 1", "line 2", "line 3", "line 4"]]
        assert drops(fake) == []


def test_a_listener_that_never_answers_costs_no_virtual_time() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, environment(delivery_timeout_s=0.05) as fake, Listener() as listener:
        fake.subscribe(f"http://sandbox.localdomain:{silent.getsockname()[1]}", name="silent")
        fake.subscribe(listener.uri, name="alive")
        fake.emit(*lines(1))
        failed, delivered = fake.advance(seconds=1)
        assert failed.attempts[0].error == "timed out after 0.05 s"
        assert failed.attempts[0].duration_ms >= 50
        assert (failed.at, delivered.at, delivered.ok) == (ms(1000), ms(1000), True)
        assert fake.now == ms(1000)


# -- losses ------------------------------------------------------------------------------------------------------------


def test_what_overflows_is_counted_and_announced_once_behind_what_was_buffered_before() -> None:
    port = free_port()
    with environment(platform_events=False) as fake:
        fake.subscribe(f"http://sandbox.localdomain:{port}", ["platform", "function"], buffering={"timeoutMs": 25})
        fake.emit(*lines(0))
        fake.advance(ms=25)
        fake.emit(*lines(*range(1, 1001)))
        lost = lines(*range(1001, 1501))
        fake.emit(*lost[:200])
        fake.advance(ms=1)
        fake.emit(*lost[200:])
        with Listener(port=port) as listener:
            fake.advance(seconds=1)
            arrived = [event for batch in listener.batches for event in batch]
        assert records(arrived)[:-1] == [f"line {number}" for number in range(1001)]
        assert arrived[-1]["type"] == "platform.logsDropped"
        expected = sum(LINE_BYTES + len(event.record) for event in lost)
        assert arrived[-1]["record"] == {"reason": SLOW, "droppedRecords": 500, "droppedBytes": expected}


def test_bytes_overflow_as_items_do() -> None:
    with environment() as fake, Listener(lambda number: 200 if number > 1 else 500) as listener:
        fake.subscribe(listener.uri, ["platform", "function"], buffering={"timeoutMs": 25})
        fake.emit(*lines(0))
        fake.advance(ms=25)
        fake.emit(*[events.function("é" * 70_000) for _ in range(3)])
        fake.advance(seconds=1)
        fake.flush()
        assert [len(batch) for batch in listener.batches] == [1, 1, 2, 1]
        assert drops(fake) == [{"reason": SLOW, "droppedRecords": 1, "droppedBytes": LINE_BYTES + 140_000}]


def test_only_platform_subscribers_are_told_of_a_loss() -> None:
    ports = free_port(), free_port()
    types: tuple[list[TelemetryType], ...] = (["platform", "function"], ["function"])
    with environment() as fake:
        for name, port, taken in zip(("told", "untold"), ports, types, strict=True):
            fake.subscribe(f"http://sandbox.localdomain:{port}", taken, name=name, buffering={"timeoutMs": 25})
        fake.emit(*lines(0))
        fake.advance(ms=25)
        fake.emit(*lines(*range(1001)))
        with Listener(port=ports[0]) as told, Listener(port=ports[1]) as untold:
            fake.advance(seconds=10)
            fake.emit(*lines(2))
            fake.flush()
            assert "platform.logsDropped" in {event["type"] for batch in told.batches for event in batch}
            assert {event["type"] for batch in untold.batches for event in batch} == {"function"}


def test_without_retry_a_batch_that_fails_is_lost_at_once_and_announced() -> None:
    with environment(retry=None) as fake, Listener(lambda number: 503 if number == 1 else 200) as listener:
        fake.subscribe(listener.uri, ["platform", "function"], buffering={"timeoutMs": 25})
        fake.emit(*lines(1, 2))
        (failed,) = fake.advance(ms=25)
        assert (failed.ok, len(failed.attempts)) == (False, 1)
        fake.emit(*lines(3))
        fake.advance(seconds=60)
        (dropped,) = drops(fake)
        assert dropped["reason"] == "could not send events: the listener answered 503"
        assert (dropped["droppedRecords"], dropped["droppedBytes"]) == (2, 2 * (LINE_BYTES + 6))
        assert "line 3" in records([event for batch in listener.batches[1:] for event in batch])


def test_a_batch_out_of_attempts_is_lost_and_the_next_one_goes_on() -> None:
    with environment(retry=Retry(attempts=2)) as fake, Listener(lambda number: 500 if number <= 2 else 200) as listener:
        fake.subscribe(listener.uri, ["platform", "function"], buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        fake.advance(ms=25)
        fake.emit(*lines(2))
        fake.advance(seconds=1)
        assert [moments(one) for one in fake.deliveries] == [[25, 125], [125]]
        assert [event["record"] for event in listener.batches[2][:1]] == ["line 2"]
        assert [record["droppedRecords"] for record in drops(fake)] == [1]


def test_a_dead_listener_without_retry_is_not_told_for_ever_that_it_was_told() -> None:
    with environment(retry=None) as fake:
        fake.subscribe(f"http://sandbox.localdomain:{free_port()}", buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        assert len(fake.advance(timedelta(days=1))) == 2
        assert fake.advance(timedelta(days=1)) == ()


def test_a_million_events_for_a_dead_listener_are_counted_in_bounded_memory() -> None:
    port = free_port()
    with environment() as fake:
        fake.subscribe(f"http://sandbox.localdomain:{port}", ["platform", "function"], buffering={"timeoutMs": 25})
        fake.end_init()
        fake.flush()
        batch = [events.function("x")] * 20_000
        fake.emit(*batch)  # what is kept for good is kept now
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            fake.emit(*batch)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < 300_000  # the journal keeps the list of events, 8 bytes each
        for _ in range(48):
            fake.emit(*batch)
        with Listener(port=port):
            fake.advance(seconds=30)
            fake.flush()
        arrived = sum(name == "function" for one in fake.deliveries if one.ok for name in one.types)
        assert sum(record["droppedRecords"] for record in drops(fake)) == 1_000_000 - arrived
        assert len(drops(fake)) == 1
        assert arrived == 1_000  # behind the batch with the end of init, which failed first


# -- early events ------------------------------------------------------------------------------------------------------


def test_a_later_subscription_gets_the_telemetry_of_init_whole_and_in_full_batches_with_its_first_times() -> None:
    with environment() as fake, Listener() as listener:
        fake.emit(*lines(*range(1500)))
        fake.advance(ms=10)
        fake.emit(*lines(*range(1500, 2500)))
        fake.emit(events.extension("not wanted"))
        fake.subscribe(listener.uri, ["function"], buffering={"timeoutMs": 100})
        fake.advance(ms=0)
        assert [len(batch) for batch in listener.batches] == [1000, 1000]
        fake.advance(ms=100)
        arrived = [event for batch in listener.batches for event in batch]
        assert records(arrived) == [f"line {number}" for number in range(2500)]
        assert [arrived[n]["time"] for n in (0, 1499, 1500)] == ["2026-01-02T03:04:05.000Z"] * 2 + [
            "2026-01-02T03:04:05.010Z"
        ]


def test_early_events_are_replayed_as_they_were_when_they_were_emitted() -> None:
    record: dict[str, Any] = {"nested": {"state": "then"}}
    with environment() as fake, Listener() as listener:
        fake.emit(events.function(record))
        record["nested"]["state"] = "now"
        fake.subscribe(listener.uri)
        fake.flush()
        assert records(listener.batches[0]) == [{"nested": {"state": "then"}}]


def test_at_most_10000_early_events_are_kept_and_the_rest_is_told_in_one_logs_dropped() -> None:
    with environment() as fake, Listener() as listener:
        fake.emit(*lines(*range(10_003)))
        fake.subscribe(listener.uri, ["platform", "function"])
        fake.advance(seconds=1)
        arrived = [event for batch in listener.batches for event in batch]
        assert records(arrived)[:-1] == [f"line {number}" for number in range(10_000)]
        expected = sum(LINE_BYTES + len(f"line {number}") for number in range(10_000, 10_003))
        assert drops(fake) == [{"reason": SLOW, "droppedRecords": 3, "droppedBytes": expected}]
        assert [entry.what for entry in fake.journal if entry.kind == "drop"] == ["3 found no room for a later replay"]


@pytest.mark.parametrize(("extra", "kept"), [(0, 4), (1, 3)])
def test_at_most_one_mebibyte_of_early_events_is_kept(extra: int, kept: int) -> None:
    with environment() as fake, Listener() as listener:
        quarter = 1_048_576 // 4 - LINE_BYTES
        fake.emit(*[events.function("é" * (quarter // 2) + "x" * (quarter % 2)) for _ in range(3)])
        fake.emit(events.function("x" * (quarter + extra)))
        fake.subscribe(listener.uri, ["function"])
        fake.advance(seconds=1)
        assert sum(map(len, listener.batches)) == kept


# -- frozen ------------------------------------------------------------------------------------------------------------


def test_while_frozen_the_wall_moves_and_timers_do_not() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 100})
        fake.emit(*lines(1))
        fake.advance(ms=60)
        fake.freeze()
        assert fake.advance(timedelta(hours=1)) == ()
        assert (fake.elapsed, fake.now) == (timedelta(milliseconds=60), ms(3_600_060))
        fake.thaw()
        assert fake.advance(ms=39) == ()
        (delivery,) = fake.advance(ms=1)
        assert delivery.at == ms(3_600_100)
        assert delivery.events[0]["time"] == "2026-01-02T03:04:05.000Z"


def test_what_is_emitted_while_frozen_waits_its_whole_time_after_the_thaw() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 100})
        fake.freeze()
        fake.advance(seconds=5)
        assert fake.emit(*lines(*range(1000))) == ()
        fake.emit(*lines(1000))
        fake.advance(seconds=5)
        assert listener.bodies == []
        fake.thaw()
        full, rest = fake.advance(ms=100)
        assert (full.at, rest.at) == (ms(10_000), ms(10_100))
        assert rest.events[0]["time"] == "2026-01-02T03:04:10.000Z"


def test_flush_and_push_deliver_while_frozen() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri)
        fake.freeze()
        fake.emit(*lines(1))
        assert [one.ok for one in fake.flush()] == [True]
        assert fake.push(lines(2)).ok
        assert len(listener.bodies) == 2


def test_a_retry_waits_for_the_thaw() -> None:
    with environment() as fake, Listener(lambda number: 500 if number == 1 else 200) as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        fake.advance(ms=25)
        fake.freeze()
        fake.advance(seconds=10)
        fake.thaw()
        (delivery,) = fake.advance(seconds=1)
        assert moments(delivery) == [25, 10_125]


def test_an_invocation_frozen_by_hand_comes_to_its_end() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri)
        with fake.invocation() as invocation:
            invocation.log("a line")
            fake.freeze()
        assert invocation.outcome is not None


# -- connections -------------------------------------------------------------------------------------------------------


def test_tcp_gets_one_event_a_line_on_one_connection() -> None:
    with environment() as fake, tcp_listener() as listener:
        fake.subscribe(port=listener.port, buffering={"timeoutMs": 25})
        fake.emit(events.function("one\ntwo"), events.platform_start())
        (first,) = fake.advance(ms=25)
        fake.emit(*lines(3))
        (second,) = fake.advance(ms=25)
        with listener.accept() as connection:
            arrived = read_lines(connection, 3)
        assert arrived == first.events + second.events
        assert records(arrived)[0] == "one\ntwo"
        assert first.body.endswith(b"}\n")
        assert (first.ok, first.status, second.ok) == (True, None, True)


def test_a_tcp_listener_that_went_away_is_noticed_and_connected_to_again() -> None:
    with environment() as fake, tcp_listener() as listener:
        fake.subscribe(port=listener.port, buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        fake.advance(ms=25)
        with listener.accept() as connection:
            assert records(read_lines(connection, 1)) == ["line 1"]
        fake.emit(*lines(2))
        (delivery,) = fake.advance(ms=25)
        with listener.accept() as connection:
            assert records(read_lines(connection, 1)) == ["line 2"]
        assert (delivery.ok, len(delivery.attempts)) == (True, 1)


class OneThread:
    """A listener that serves one connection at a time, to its end, and notes where each begins."""

    def __init__(self, connections: int) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.story: list[str] = []
        self._connections = connections

    def serve(self) -> None:
        with self._server:
            for _ in range(self._connections):
                connection, _ = self._server.accept()
                self.story.append("connected")
                with connection, connection.makefile("rb") as stream:
                    while request := stream.readline():
                        length = 0
                        while (header := stream.readline()) != b"\r\n":
                            name, _, value = header.partition(b":")
                            length = int(value) if name.lower() == b"content-length" else length
                        stream.read(length)
                        self.story.append(request.split()[1].decode())
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                self.story.append("closed")


def test_a_connection_is_kept_within_a_call_and_never_beyond_it() -> None:
    listener = OneThread(2)
    with running(listener.serve), environment() as fake:
        fake.subscribe(f"http://sandbox.localdomain:{listener.port}/a", buffering={"timeoutMs": 25})
        fake.emit(*lines(*range(2000)))
        fake.emit(*lines(1))
        fake.flush()
    assert listener.story == ["connected", "/a", "/a", "closed", "connected", "/a", "closed"]


def test_a_kept_connection_is_closed_before_another_subscriptions_batch_goes_to_the_same_port() -> None:
    listener = OneThread(3)
    with running(listener.serve), environment() as fake:
        for name in ("a", "b"):
            fake.subscribe(f"http://sandbox.localdomain:{listener.port}/{name}", name=name)
        fake.emit(*lines(1))
        fake.advance(seconds=1)
        fake.emit(*lines(2))
        fake.flush("a")
    one = ["connected", "/a", "closed"]
    assert listener.story == [*one, "connected", "/b", "closed", *one]


# -- threads -----------------------------------------------------------------------------------------------------------


def in_thread(work: Any) -> BaseException | None:
    """What calling it on another thread raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_another_threads_emit_only_buffers() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri)
        assert in_thread(lambda: fake.emit(*lines(*range(1000)))) is None
        assert listener.bodies == []
        assert [len(one.types) for one in fake.advance(ms=0)] == [1000]


@pytest.mark.parametrize("what", ["advance", "flush", "push"])
def test_another_thread_may_not_move_time(what: str) -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri)
        calls = {"advance": lambda: fake.advance(ms=1), "flush": fake.flush, "push": lambda: fake.push(lines(1))}
        error = in_thread(calls[what])
        assert isinstance(error, MisuseError)
        assert "only one thread moves time" in str(error)
        assert listener.bodies == []


def test_a_listener_that_emits_while_it_is_served_does_not_deadlock() -> None:
    with environment() as fake:

        def answer(number: int) -> int:
            if number == 1:
                fake.emit(*lines(2))
            return 200

        with Listener(answer) as listener:
            fake.subscribe(listener.uri, buffering={"timeoutMs": 25})
            fake.emit(*lines(1))
            assert [moments(one) for one in fake.advance(ms=50)] == [[25], [50]]


# -- the journal -------------------------------------------------------------------------------------------------------


def story() -> tuple[list[tuple[Any, ...]], list[bytes]]:
    with environment() as fake, Listener(lambda number: 500 if number % 3 == 0 else 200) as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 25})
        for number in range(10):
            fake.emit(*lines(number), events.platform_start())
            fake.advance(ms=20)
        fake.advance(seconds=5)
        journal = [(one.number, one.at, one.elapsed, one.kind, one.who, one.what, one.verdict) for one in fake.journal]
        return journal, listener.bodies


def test_the_same_test_twice_gives_the_same_journal_and_the_same_bytes() -> None:
    assert story() == story()


def limited(pytester: pytest.Pytester, limit: int, body: str) -> None:
    """Run a test under a journal limit, in which the fixture and a listener are at hand."""
    pytester.makeini(f"[pytest]\nlambda_telemetry_journal_limit = {limit}\n")
    indented = body.strip("\n").replace("\n", "\n    ")
    pytester.makepyfile(
        f"""
import pytest
from http.server import BaseHTTPRequestHandler, HTTPServer
import threading
from pytest_lambda_telemetry import LambdaTelemetryError, events

class Handler(BaseHTTPRequestHandler):
    bodies = []
    def do_POST(self):
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response_only(500 if len(self.bodies) == 1 else 200)
        self.end_headers()
    def log_message(self, *_):
        pass

@pytest.fixture
def uri():
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.005,))
    thread.start()
    yield f"http://sandbox.localdomain:{{server.server_port}}"
    server.shutdown()
    thread.join()
    server.server_close()

def test_it(lambda_telemetry, uri):
    {indented}
"""
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio").assert_outcomes(passed=1)


def test_the_journal_lets_old_bodies_go_first_and_keeps_the_counts(pytester: pytest.Pytester) -> None:
    limited(
        pytester,
        4,
        """
lambda_telemetry.subscribe(uri)
for number in range(6):
    lambda_telemetry.push([events.function("x" * 3000)])
deliveries = lambda_telemetry.deliveries
assert len(deliveries) == 4
assert [one.types for one in deliveries] == [("function",)] * 4
assert len(deliveries[-1].body) > 3000
with pytest.raises(LambdaTelemetryError, match="lambda_telemetry_journal_limit"):
    deliveries[0].body
assert len(lambda_telemetry.journal) == 4
assert lambda_telemetry.journal[-1].number == 8
""",
    )


def test_a_batch_that_waits_to_be_sent_again_keeps_its_bytes_whatever_the_limit(pytester: pytest.Pytester) -> None:
    limited(
        pytester,
        1,
        """
lambda_telemetry.subscribe(uri, name="first", buffering={"timeoutMs": 25})
lambda_telemetry.emit(events.function("y" * 3000))
lambda_telemetry.advance(ms=25)
lambda_telemetry.subscribe(uri, name="second", types=["platform"])
for number in range(5):
    lambda_telemetry.push([events.function("x" * 3000)], to="second")
lambda_telemetry.advance(seconds=1)
same = [body for body in Handler.bodies if b"y" * 3000 in body]
assert len(same) == 2 and same[0] == same[1]
""",
    )


# -- real time ---------------------------------------------------------------------------------------------------------


def test_with_the_system_clock_a_thread_delivers_at_the_real_deadline() -> None:
    arrived = threading.Event()

    def answer(_: int) -> int:
        arrived.set()
        return 200

    with environment(clock="system") as fake, Listener(answer) as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        assert arrived.wait(10)
        fake.wait_until(lambda: any(one.ok for one in fake.deliveries))
        (delivery,) = fake.deliveries
        stamped = datetime.fromisoformat(delivery.events[0]["time"])
        assert delivery.at - stamped >= timedelta(milliseconds=25)


def test_with_the_system_clock_advance_waits_and_delivers() -> None:
    with environment(clock="system") as fake, Listener() as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        fake.advance(ms=60)
        assert fake.elapsed >= timedelta(milliseconds=60)
        assert [records(batch) for batch in listener.batches] == [["line 1"]]


def test_with_the_system_clock_a_failed_batch_is_tried_again_by_the_thread() -> None:
    twice = threading.Event()

    def answer(number: int) -> int:
        if number == 2:
            twice.set()
        return 500 if number == 1 else 200

    with environment(clock="system", retry=Retry(initial_ms=5)) as fake, Listener(answer) as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 25})
        fake.emit(*lines(1))
        assert twice.wait(10)
        fake.wait_until(lambda: fake.deliveries[0].ok)
        assert len(set(listener.bodies)) == 1


def test_leaving_while_the_background_thread_delivers_raises_nothing_there() -> None:
    accepted = threading.Event()
    silent = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        connection, _ = silent.accept()
        accepted.set()
        with connection:
            connection.recv(65536)
            while connection.recv(65536):
                pass

    with silent, running(accept):
        with environment(clock="system", delivery_timeout_s=0.2) as fake:
            fake.subscribe(f"http://sandbox.localdomain:{silent.getsockname()[1]}", buffering={"timeoutMs": 25})
            fake.emit(*lines(1))
            assert accepted.wait(10)
    with pytest.raises(MisuseError, match="closed"):
        fake.emit(*lines(2))
    assert isinstance(fake.deliveries[0], Delivery)


def test_frozen_real_time_delivers_after_the_thaw() -> None:
    arrived = threading.Event()

    def answer(_: int) -> int:
        arrived.set()
        return 200

    with environment(clock="system") as fake, Listener(answer) as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 25})
        fake.freeze()
        fake.emit(*lines(1))
        fake.advance(ms=50)
        assert not arrived.is_set()
        fake.thaw()
        assert arrived.wait(10)

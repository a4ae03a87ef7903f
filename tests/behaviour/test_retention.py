"""What an extension sends is kept within the journal's limit, whatever it is, and how much there was stays known."""

import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from pytest_lambda_telemetry import (
    LambdaTelemetry,
    LambdaTelemetryError,
    ProtocolViolation,
    Retry,
    Settings,
    events,
)
from pytest_lambda_telemetry.environment import over
from pytest_lambda_telemetry.sandbox.assembly import assemble
from pytest_lambda_telemetry.sandbox.sandbox import Sandbox
from tests.support.helpers import EXTENSION, IDENTIFIER, TELEMETRY, Listener, free_port, register, subscribe_body

LIMIT = 1_000
"""Entries, and KiB: far more than the entries of these tests take, far less than what is sent."""
CALLS = 120
LET_GO = (
    r"^the headers and bodies of this call were let go to keep the journal within its limit;"
    r" raise lambda_telemetry_journal_limit in pytest's ini file to keep more$"
)


@contextmanager
def limited(settings: Settings, limit: int = LIMIT) -> Iterator[tuple[LambdaTelemetry, Sandbox]]:
    sandbox = assemble(settings, limit=limit)
    try:
        yield over(sandbox), sandbox
    finally:
        sandbox.close()


def large_body(number: int, identifier: str) -> tuple[str, str, bytes, dict[str, str]]:
    return "PUT", TELEMETRY, b'{"%d": "%s"}' % (number, b"x" * 100_000), {IDENTIFIER: identifier}


def nested_body(number: int, identifier: str) -> tuple[str, str, bytes, dict[str, str]]:
    """Decoded it takes twenty times as much."""
    return "PUT", TELEMETRY, b"[%d%s]" % (number, b",[]" * 4_000), {IDENTIFIER: identifier}


def many_faults(number: int, identifier: str) -> tuple[str, str, bytes, dict[str, str]]:
    """Each unknown field is a fault with a text of its own."""
    body = json.dumps({f"field {number} {one}": one for one in range(300)})
    return "PUT", TELEMETRY, body.encode(), {IDENTIFIER: identifier}


def many_headers(number: int, identifier: str) -> tuple[str, str, bytes, dict[str, str]]:
    return "PUT", TELEMETRY, b"{}", {IDENTIFIER: identifier, **{f"X-{one}": f"{number} " * 1_000 for one in range(60)}}


def long_path(number: int, _identifier: str) -> tuple[str, str, bytes, dict[str, str]]:
    return "GET", f"/{number}/{'x' * 30_000}", b"", {}


def long_name(number: int, _identifier: str) -> tuple[str, str, bytes, dict[str, str]]:
    return "POST", f"{EXTENSION}/register", b"[]", {"Lambda-Extension-Name": f"{number}" + "x" * 30_000}


def accepted(number: int, identifier: str) -> tuple[str, str, bytes, dict[str, str]]:
    body = json.dumps(subscribe_body(4243 + number))
    return "PUT", TELEMETRY, body.encode() + b" " * 100_000, {IDENTIFIER: identifier}


Sent = Callable[[int, str], tuple[str, str, bytes, dict[str, str]]]


@pytest.mark.parametrize(
    "sent",
    [large_body, nested_body, many_faults, many_headers, long_path, long_name, accepted],
    ids=lambda of: of.__name__,
)
def test_what_is_kept_of_many_large_calls_is_bounded(sent: Sent) -> None:
    with limited(Settings(platform_events=False)) as (fake, sandbox):
        identifier = register(api=fake.runtime_api)
        connection = HTTPConnection(fake.runtime_api, timeout=20)

        def send(number: int) -> int:
            connection.request(*sent(number, identifier))
            response = connection.getresponse()
            response.read()
            return response.status

        statuses = {send(0)}
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        statuses |= {send(number) for number in range(1, CALLS)}
        sandbox.violations.take()  # they have a bound of their own
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        connection.close()
        assert len(statuses) == 1
        kept = sandbox.journal.retention.kept_bytes
        assert kept <= (LIMIT + 1_000) * 1024  # and the newest, which always stays
        assert grown < 4 * LIMIT * 1024, f"{grown:,} bytes for an account of {kept:,}"
        assert sandbox.journal.count >= CALLS + 1
        assert fake.timeline()


def test_what_was_let_go_of_a_call_says_so_and_the_rest_stays() -> None:
    with limited(Settings(strict=False)) as (fake, _):
        identifier = register(api=fake.runtime_api)
        connection = HTTPConnection(fake.runtime_api, timeout=20)
        for number in range(CALLS):
            connection.request(*large_body(number, identifier))
            connection.getresponse().read()
        connection.close()
        assert len(fake.requests) == CALLS + 1  # the entries fit
        assert len(fake.rejections) == CALLS
        _, request, *_, last = fake.requests
        rejection = fake.rejections[0]
        assert (request.method, request.path, request.status) == ("PUT", TELEMETRY, 400)
        assert (rejection.extension_name, rejection.status, rejection.error_type) == (
            *("ext", 400),
            "ValidationError",
        )
        assert repr(request) == f"<Request PUT {TELEMETRY} -> 400>"
        for read in (
            lambda: request.headers,
            lambda: request.body,
            lambda: request.raw,
            lambda: request.response,
            lambda: rejection.headers,
            lambda: rejection.body,
            lambda: rejection.raw,
        ):
            with pytest.raises(LambdaTelemetryError, match=LET_GO):
                read()
        assert last.body == {f"{CALLS - 1}": "x" * 100_000}
        assert last.headers[IDENTIFIER] == identifier
        assert last.response["errorType"] == "ValidationError"


def test_a_subscription_whose_body_was_let_go_goes_on() -> None:
    with limited(Settings(platform_events=False)) as (fake, _), Listener() as listener:
        identifier = register(api=fake.runtime_api)
        connection = HTTPConnection(fake.runtime_api, timeout=20)
        body = json.dumps(subscribe_body(int(listener.uri.rpartition(":")[2]))).encode() + b" " * 1_000_000
        for _ in range(5):
            connection.request("PUT", TELEMETRY, body, {IDENTIFIER: identifier})
            assert connection.getresponse().read() == b'"OK"'
        connection.close()
        (subscription,) = fake.subscriptions
        with pytest.raises(LambdaTelemetryError, match=LET_GO):
            _ = subscription.raw
        assert fake.assert_subscribed("ext", destination=subscription.destination) is subscription
        fake.emit(events.function("hello"))
        (delivery,) = fake.advance(seconds=1)
        assert delivery.ok


def test_a_refusal_with_very_many_faults_is_a_short_violation() -> None:
    with limited(Settings()) as (fake, _):
        identifier = register(api=fake.runtime_api)
        connection = HTTPConnection(fake.runtime_api, timeout=20)
        connection.request(*many_faults(0, identifier))
        connection.getresponse().read()
        connection.close()
        with pytest.raises(ProtocolViolation) as caught:
            fake.check()
        text = str(caught.value)
        assert len(text) < 20_000
        assert "\n  … and " in text
        assert " more faults\n  On Lambda this fails the extension" in text


def test_unknown_fields_of_a_destination_are_named_up_to_a_bound() -> None:
    with limited(Settings(platform_events=False)) as (fake, _):
        identifier = register(api=fake.runtime_api)
        body = subscribe_body(4243)
        body["destination"] |= {f"x{number}": 1 for number in range(1_000)}
        connection = HTTPConnection(fake.runtime_api, timeout=20)
        connection.request(
            "PUT", TELEMETRY, json.dumps(body), {IDENTIFIER: identifier, "Content-Type": "application/json"}
        )
        connection.getresponse().read()
        connection.close()
        notes = [entry.what for entry in fake.journal if entry.kind == "note"]
        assert len(notes) == 21
        assert notes[-1] == "destination has 980 more unknown fields"


def test_attempts_are_counted_beyond_those_that_are_kept() -> None:
    settings = Settings(retry=Retry(initial_ms=10, factor=1.0), strict=False)
    with limited(settings) as (fake, _), Listener(lambda number: 503 if number <= 1_100 else 200) as listener:
        fake.subscribe(listener.uri, ["function"], buffering={"timeoutMs": 25})
        fake.emit(events.function("hello"))
        fake.advance(seconds=30)
        (delivery,) = fake.deliveries
        assert (delivery.attempt_count, len(delivery.attempts), delivery.ok) == (1_101, 1_000, True)
        assert len(listener.bodies) == 1_101


def test_a_violation_counts_every_attempt() -> None:
    with limited(Settings(retry=Retry(initial_ms=10, factor=1.0))) as (fake, _):
        with Listener(lambda _number: 503) as listener:
            fake.subscribe(listener.uri, ["function"], buffering={"timeoutMs": 25})
            fake.emit(events.function("hello"))
            fake.advance(seconds=12)
            made = len(listener.bodies)
        assert made > 1_000
        with pytest.raises(ProtocolViolation, match=f"answered 503 to the same batch {made} times, and never"):
            fake.check()


def test_attempts_at_many_batches_are_bounded_together() -> None:
    settings = Settings(retry=Retry(initial_ms=10, factor=1.0, attempts=10), strict=False)
    with limited(settings, limit=100) as (fake, sandbox):
        fake.subscribe(f"http://sandbox.localdomain:{free_port()}", ["function"], buffering={"timeoutMs": 25})
        for _ in range(30):
            fake.emit(events.function("hello"))
            fake.advance(seconds=1)
        deliveries = fake.deliveries
        assert len(deliveries) == 30
        assert {one.attempt_count for one in deliveries} == {10}
        assert all(one.attempts and one.at for one in deliveries)
        assert len(deliveries[0].attempts) == 1
        assert len(deliveries[-1].attempts) == 10
        assert len(sandbox.recordings._attempts) == 100


def test_records_do_not_leave_out_deliveries_that_were_forgotten() -> None:
    with limited(Settings(platform_events=False), limit=100) as (fake, _), Listener() as listener:
        fake.subscribe(listener.uri)
        for number in range(100):
            fake.push([events.function(f"{number}")])
        assert fake.records() == tuple(f"{number}" for number in range(100))
        fake.push([events.function("one more")])
        with pytest.raises(LambdaTelemetryError, match=r"^the first deliveries were let go to keep"):
            fake.records()


def test_batches_that_were_given_up_are_told_one_by_one_up_to_a_bound() -> None:
    settings = Settings(retry=None, strict=False, platform_events=False)
    with limited(settings) as (fake, _):
        fake.subscribe(f"http://sandbox.localdomain:{free_port()}", ["function"])
        for _ in range(1_010):
            fake.emit(events.function("hello"))
            fake.flush()
        with pytest.raises(AssertionError) as caught:
            fake.assert_all_delivered()
        assert str(caught.value).endswith("\n    and 1000 more events")

"""Did every record reach the backend, exactly once? What is judged, and the text of each verdict."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection
from typing import Any

import pytest

from pytest_lambda_telemetry import (
    AsyncLambdaTelemetry,
    BufferingOptions,
    LambdaTelemetry,
    LambdaTelemetryError,
    MisuseError,
    Retry,
    Settings,
    events,
)
from pytest_lambda_telemetry.environment import over
from pytest_lambda_telemetry.sandbox.assembly import assemble
from tests.support.helpers import Listener, running

LOST = (
    "    Lambda does not send again what was acknowledged: answer 200 once a batch is stored or forwarded, and send"
    " what is left at SHUTDOWN."
)
DOUBLED = (
    "    A batch comes again when its answer was lost, and so may a request to the backend: let what comes again be"
    " known, by an id of its own."
)
BUFFERING: BufferingOptions = {"timeoutMs": 100}


@pytest.fixture
def fake() -> Iterator[LambdaTelemetry]:
    """An environment that is not strict: what its listeners do wrong is the verdict's to say."""
    with LambdaTelemetry(Settings(strict=False, retry=Retry(initial_ms=100, attempts=3))) as environment:
        yield environment


@pytest.fixture
def listener(fake: LambdaTelemetry) -> Iterator[Listener]:
    with Listener() as made:
        fake.subscribe(made.uri, types=["platform", "function"], buffering=BUFFERING)
        yield made


def send(fake: LambdaTelemetry, records: Sequence[object] | bytes, name: str = "backend", **headers: str) -> int:
    """As an extension does: these records, in one request. A header's `_` stands for `-`."""
    backend = fake.backend(name)
    connection = HTTPConnection(backend.host, backend.port, timeout=20)
    try:
        named = {header.replace("_", "-"): value for header, value in headers.items()}
        body = records if isinstance(records, bytes) else json.dumps(records)
        connection.request("POST", "/v1/logs", body, {"Content-Type": "application/json", **named})
        return connection.getresponse().status
    finally:
        connection.close()


def emit(fake: LambdaTelemetry, *records: Any, ms: int = 100) -> tuple[Any, ...]:
    """The function logs these records, and so much time passes."""
    fake.emit(*map(events.function, records))
    fake.advance(ms=ms)
    return records


def told(assertion: Callable[..., object], **options: Any) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        assertion(**{"timeout": 0, **options})
    return str(caught.value).splitlines()


# -- green -------------------------------------------------------------------------------------------------------------


def test_records_that_arrived_once(fake: LambdaTelemetry, listener: Listener) -> None:
    send(fake, emit(fake, *fake.log_lines(3)))
    send(fake, emit(fake, *fake.log_lines(2, "another text")))
    fake.assert_exactly_once()
    fake.assert_at_least_once()
    assert fake.ledger.lost == fake.ledger.doubled == ()


def test_nothing_emitted_is_nothing_lost(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    fake.assert_exactly_once()


def test_twice_is_at_least_once(fake: LambdaTelemetry, listener: Listener) -> None:
    records = emit(fake, *fake.log_lines(2))
    send(fake, records)
    send(fake, records)
    fake.assert_at_least_once()


def test_a_request_that_was_refused_does_not_count(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend().fail_next(503)
    records = emit(fake, *fake.log_lines(2))
    assert send(fake, records) == 503
    assert send(fake, records) == 200
    fake.assert_exactly_once()
    assert [(len(trail.seen), len(trail.tried)) for trail in fake.ledger.trails()] == [(1, 1), (1, 1)]


def test_what_is_sent_again_with_its_idempotency_key_is_taken_once(fake: LambdaTelemetry, listener: Listener) -> None:
    first, second = emit(fake, *fake.log_lines(1)), emit(fake, *fake.log_lines(1))
    send(fake, first, Idempotency_Key="a")
    send(fake, first, idempotency_key="a")
    send(fake, second, Idempotency_Key="b")
    fake.assert_exactly_once()
    assert [(len(trail.seen), len(trail.tried)) for trail in fake.ledger.trails()] == [(1, 1), (1, 0)]


def test_the_idempotency_key_of_a_request_that_was_refused_is_free(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend().fail_next(503)
    records = emit(fake, *fake.log_lines(1))
    send(fake, records, Idempotency_Key="a")
    send(fake, records, Idempotency_Key="a")
    fake.assert_exactly_once()


def test_each_backend_has_idempotency_keys_of_its_own(fake: LambdaTelemetry, listener: Listener) -> None:
    records = emit(fake, *fake.log_lines(1))
    send(fake, records, "a", Idempotency_Key="a")
    send(fake, records, "b", Idempotency_Key="a")
    assert {len(trail.seen) for trail in fake.ledger.trails()} == {2}
    fake.assert_exactly_once()


def test_an_extension_may_send_everything_to_several_backends(fake: LambdaTelemetry, listener: Listener) -> None:
    records = emit(fake, *fake.log_lines(2))
    send(fake, records, "a")
    send(fake, records, "b")
    fake.assert_exactly_once()
    assert fake.ledger.doubled == ()
    send(fake, records, "b")
    assert told(fake.assert_exactly_once)[0] == "not exactly once: of 2 records 0 arrived once, 2 are doubled"
    assert len(fake.ledger.doubled) == 2


def test_what_was_pushed_counts(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    fake.push([events.function(line) for line in fake.log_lines(2)])
    assert told(fake.assert_exactly_once)[0] == "not exactly once: of 2 records 0 arrived once, 2 are lost"
    send(fake, ["line 00000001", "line 00000002"])
    fake.assert_exactly_once()


def test_what_came_before_the_subscription_counts(fake: LambdaTelemetry) -> None:
    fake.backend()
    fake.emit(events.function("early"))
    with Listener() as listener:
        fake.subscribe(listener.uri, types=["function"])
        fake.flush()
        assert [trail.state for trail in fake.ledger.trails()] == ["acknowledged"]
        send(fake, ["early"])
        fake.assert_exactly_once()


def test_records_of_other_types(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.invoke(request_id="r-1")
    fake.flush()
    starts = fake.records("platform.start")
    send(fake, starts)
    fake.assert_exactly_once(types=["platform.start"])
    assert told(lambda **options: fake.assert_exactly_once(types=["platform.report"], **options))[0] == (
        "not exactly once: of 1 record 0 arrived once, 1 is lost"
    )


def test_each_backend_counts(fake: LambdaTelemetry, listener: Listener) -> None:
    one, two = emit(fake, *fake.log_lines(2))
    send(fake, [one], "a")
    send(fake, [two], "b")
    fake.assert_exactly_once()


def test_a_closed_environment_is_judged_by_what_was_recorded(listener: Listener, fake: LambdaTelemetry) -> None:
    send(fake, emit(fake, *fake.log_lines(2)))
    fake.close()
    fake.assert_exactly_once()


def test_a_key_of_the_tests_own(fake: LambdaTelemetry, listener: Listener) -> None:
    emit(fake, {"id": 1}, {"id": 2})
    send(fake, ["id-1", "id-2"])
    fake.assert_exactly_once(key=lambda event: f"id-{event['record']['id']}")
    assert told(
        lambda **options: fake.assert_exactly_once(key=lambda event: b"\xff%d" % event["record"]["id"], **options)
    )


# -- red ---------------------------------------------------------------------------------------------------------------


def test_acknowledged_and_never_seen(fake: LambdaTelemetry, listener: Listener) -> None:
    one, _two, _three, four, five = emit(fake, *fake.log_lines(5))
    send(fake, [one, four, five])
    assert told(fake.assert_exactly_once) == [
        "not exactly once: of 5 records 3 arrived once, 2 are lost",
        "  acknowledged by the listener, and never seen at the backend (2 records):",
        "    2. 'line 00000002', 3. 'line 00000003': emitted at +0.000 s, acknowledged in batch 1 at +0.100 s",
        LOST,
    ]


def test_what_lambda_still_buffers(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    emit(fake, *fake.log_lines(1), ms=75)
    assert told(fake.assert_exactly_once) == [
        "not exactly once: of 1 record 0 arrived once, 1 is lost",
        "  never acknowledged by the listener (1 record):",
        "    1. 'line 00000001': emitted at +0.000 s, buffered: due in 25 ms: advance(ms=25)",
    ]


def test_what_waits_to_be_sent_again(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    fake.fail_next_delivery(503)
    emit(fake, *fake.log_lines(3))
    assert told(fake.assert_exactly_once) == [
        "not exactly once: of 3 records 0 arrived once, 3 are lost",
        "  never acknowledged by the listener (3 records):",
        "    1. 'line 00000001', 1 more, 3. 'line 00000003': emitted at +0.000 s, tried once in batch 1, last answered"
        " 503, tried again in 100 ms: advance(ms=100)",
    ]


def test_what_was_given_up(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    fake.fail_next_delivery("refuse", times=3)
    emit(fake, *fake.log_lines(1), ms=1_000)
    assert [trail.state for trail in fake.ledger.trails()] == ["given-up"]
    assert told(fake.assert_exactly_once)[1:] == [
        "  never acknowledged by the listener (1 record):",
        "    1. 'line 00000001': emitted at +0.000 s, tried 3 times in batch 1, last failed with 'connection refused',"
        " could not send events: connection refused",
    ]


def test_seen_twice(fake: LambdaTelemetry, listener: Listener) -> None:
    one, two = emit(fake, *fake.log_lines(2))
    send(fake, [one, two])
    send(fake, [two])
    assert told(fake.assert_exactly_once) == [
        "not exactly once: of 2 records 1 arrived once, 1 is doubled",
        "  seen more than once (1 record):",
        "    2. 'line 00000002': emitted at +0.000 s, acknowledged in batch 1 at +0.100 s; seen in request 1"
        " (POST /v1/logs at +0.100 s, answered 200) and request 2 (POST /v1/logs at +0.100 s, answered 200)",
        DOUBLED,
    ]
    assert [trail.number for trail in fake.ledger.doubled] == [2]


def test_seen_twice_in_one_request(fake: LambdaTelemetry, listener: Listener) -> None:
    (one,) = emit(fake, *fake.log_lines(1))
    send(fake, [one, one])
    assert told(fake.assert_exactly_once)[2] == (
        "    1. 'line 00000001': emitted at +0.000 s, acknowledged in batch 1 at +0.100 s; seen in request 1"
        " (POST /v1/logs at +0.100 s, answered 200), 2 times"
    )


def test_seen_often(fake: LambdaTelemetry, listener: Listener) -> None:
    records = emit(fake, *fake.log_lines(1))
    for _ in range(5):
        send(fake, records)
    assert told(fake.assert_exactly_once)[2].endswith("request 3 (POST /v1/logs at +0.100 s, answered 200) and 2 more")


def test_tried_and_refused(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend().fail_next(503)
    send(fake, emit(fake, *fake.log_lines(1)))
    assert told(fake.assert_at_least_once) == [
        "not at least once: of 1 record 0 arrived, 1 is lost",
        "  acknowledged by the listener, and never seen at the backend (1 record):",
        "    1. 'line 00000001': emitted at +0.000 s, acknowledged in batch 1 at +0.100 s; tried in request 1"
        " (POST /v1/logs at +0.100 s, answered 503)",
        LOST,
    ]


def test_an_idempotency_key_that_was_used_before(fake: LambdaTelemetry, listener: Listener) -> None:
    for record in emit(fake, *fake.log_lines(2)):
        send(fake, [record], Idempotency_Key="always the same")
    assert told(fake.assert_exactly_once)[2] == (
        "    2. 'line 00000002': emitted at +0.000 s, acknowledged in batch 1 at +0.100 s; tried in request 2"
        " (POST /v1/logs at +0.100 s, answered 200) with the Idempotency-Key of request 1"
    )


def test_what_the_backend_was_sent_instead(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend().respond(404, times=1)
    emit(fake, *fake.log_lines(1))
    for _ in range(3):
        send(fake, ["something else"])
    assert told(fake.assert_exactly_once)[3:] == [
        LOST,
        "    The backend was sent 3 requests, of which 3 had none of the records (1 answered 404, 2 answered 200):"
        " if the extension changes them, key= says what each is known by there.",
    ]


def test_what_waits_behind_a_batch_that_is_not_acknowledged(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    fake.fail_next_delivery("refuse", times=99)
    emit(fake, *fake.log_lines(1))
    fake.emit(events.function(fake.log_lines(1)[0]))
    text = told(fake.assert_exactly_once)
    assert text[3].endswith("emitted at +0.100 s, buffered: waits behind a batch that was not acknowledged")
    fake.shutdown()
    assert told(fake.assert_exactly_once)[3].endswith("emitted at +0.100 s, still buffered when the environment ended")


def test_acknowledged_twice(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    fake.fail_next_delivery("lost-answer")
    emit(fake, *fake.log_lines(1), ms=300)
    assert len(listener.bodies) == 2
    assert told(fake.assert_exactly_once)[2] == (
        "    1. 'line 00000001': emitted at +0.000 s, acknowledged in batch 1 at +0.200 s, at attempt 2"
    )


def test_what_was_dropped_is_excused_and_named(fake: LambdaTelemetry) -> None:
    fake.backend()
    with Listener() as listener:
        fake.subscribe(listener.uri, types=["function"], buffering={"maxItems": 1_000, "timeoutMs": 100})
        fake.freeze()
        lines = fake.log_lines(12_000)
        for first in range(0, 12_000, 1_000):
            fake.emit(*map(events.function, lines[first : first + 1_000]))
        fake.thaw()
        fake.advance(seconds=1)
        arrived = [event["record"] for batch in listener.batches for event in batch]
        send(fake, arrived)
        fake.assert_exactly_once()
        lost = len(lines) - len(arrived)
        assert lost > 0
        assert {trail.state for trail in fake.ledger.lost} == {"dropped"}
        text = told(lambda **options: fake.assert_exactly_once(dropped="lost", **options))
        assert text[0] == f"not exactly once: of 12,000 records {len(arrived)} arrived once, {lost} are lost"
        assert text[1] == f"  dropped by Lambda ({lost:,} records):"
        assert "Some logs were dropped because the downstream consumer is slower" in text[2]
        send(fake, arrived[:1])
        assert told(fake.assert_exactly_once)[4] == (
            f"  excused: {lost:,} records that Lambda dropped, and announced with platform.logsDropped;"
            ' dropped="lost" counts them'
        )


def test_what_came_before_the_subscription_and_found_no_room(fake: LambdaTelemetry) -> None:
    fake.backend()
    lines = fake.log_lines(10_001)
    fake.emit(*map(events.function, lines))
    with Listener() as listener:
        fake.subscribe(listener.uri, types=["function"])
        fake.flush()
        trails = fake.ledger.trails()
        assert [trail.state for trail in trails[-2:]] == ["acknowledged", "dropped"]
        assert trails[-1].why == "it came before the subscription, and there was no room left to keep it for that"


def test_many_that_went_different_ways(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    for line in fake.log_lines(13):
        emit(fake, line)
    text = told(fake.assert_exactly_once)
    assert text[2] == "    1. 'line 00000001': emitted at +0.000 s, acknowledged in batch 1 at +0.100 s"
    assert text[-3:] == ["    and 3 more", LOST, "    The backend was sent nothing at all."]


def test_what_the_environment_did_besides(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    fake.invoke(logs=fake.log_lines(1))
    fake.advance(seconds=10)
    fake.shutdown()
    assert told(fake.assert_exactly_once)[-3:] == [
        "  besides:",
        "    +0.200 s the environment froze",
        "    +0.200 s the environment thawed",
    ]


def test_events_that_nobody_takes(fake: LambdaTelemetry) -> None:
    fake.backend()
    fake.emit(*map(events.function, fake.log_lines(2)))
    fake.end_init()
    assert told(fake.assert_exactly_once) == [
        "not exactly once: of 2 records 0 arrived once, 2 are lost",
        "  emitted, and nobody was subscribed to it (2 records):",
        "    1. 'line 00000001', 2. 'line 00000002': emitted at +0.000 s",
    ]


def test_a_long_record_is_cut_in_the_text(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    emit(fake, "x" * 1_000)
    assert told(fake.assert_exactly_once)[2].startswith(f"    1. '{'x' * 58}…: emitted at")


def test_records_of_a_type_that_nobody_has_asked_for(fake: LambdaTelemetry) -> None:
    fake.backend()
    with Listener() as listener:
        fake.subscribe(listener.uri, types=["platform"])
        fake.invoke(logs=fake.log_lines(1))
        assert told(fake.assert_exactly_once)[1] == "  emitted, and nobody was subscribed to it (1 record):"
        assert told(lambda **options: fake.assert_exactly_once(to="test-extension", **options)) == [
            "to='test-extension' was sent none of the records of 'function': it takes others only"
        ]


def test_records_of_an_environment_in_which_nobody_subscribes(fake: LambdaTelemetry, listener: Listener) -> None:
    send(fake, emit(fake, *fake.log_lines(1)))
    fake.restart()
    fake.invoke(logs=fake.log_lines(1))
    assert told(fake.assert_exactly_once)[:2] == [
        "not exactly once: of 2 records 1 arrived once, 1 is lost",
        "  emitted, and nobody was subscribed to it (1 record):",
    ]


def test_a_request_that_is_not_answered_yet_is_waited_for(fake: LambdaTelemetry, listener: Listener) -> None:
    records = emit(fake, *fake.log_lines(1))
    send(fake, records)
    backend = fake.backend()
    backend.hold()
    with running(lambda: send(fake, records)):
        backend.wait_for(2)
        releasing = threading.Timer(0.05, backend.release)
        releasing.start()
        assert told(fake.assert_exactly_once, timeout=20)[0].endswith("0 arrived once, 1 is doubled")
        releasing.join()


def test_what_a_backend_has_forgotten_was_not_seen(fake: LambdaTelemetry, listener: Listener) -> None:
    records = emit(fake, *fake.log_lines(2))
    send(fake, records)
    fake.backend().reset()
    assert told(fake.assert_exactly_once)[0] == "not exactly once: of 2 records 0 arrived once, 2 are lost"
    send(fake, records)
    fake.assert_exactly_once()
    assert fake.ledger.lost == fake.ledger.doubled == ()


FORMS: dict[str, Callable[[str], bytes]] = {
    "as it is": lambda record: record.encode(),
    "NDJSON": lambda record: f"{record}\n{{}}".encode(),
    "in JSON": lambda record: json.dumps([{"record": record}]).encode(),
    "JSON in JSON": lambda record: json.dumps({"payload": json.dumps([{"record": record}])}).encode(),
    "one after the other": lambda record: b"".join(json.dumps({"event": one}).encode() for one in ("x", record)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("record", ['{"level": "info", "msg": "one 1"}\n', '"quoted one"', "12345678", 'say "grün"'])
def test_a_line_is_found_in_whatever_form(fake: LambdaTelemetry, listener: Listener, form: str, record: str) -> None:
    emit(fake, record)
    send(fake, FORMS[form](record.rstrip("\n")))
    fake.assert_exactly_once()


def test_an_object_that_repeats_its_message_is_one_record(fake: LambdaTelemetry, listener: Listener) -> None:
    record = {"level": "ERROR", "message": "boom 1", "errorMessage": "boom 1", "stackTrace": ["Error: boom 1"]}
    emit(fake, record)
    send(fake, [{"type": "function", "record": record}])
    fake.assert_exactly_once()


def test_a_record_in_several_forms_is_doubled_and_the_text_says_what_may_be_behind_it(
    fake: LambdaTelemetry, listener: Listener
) -> None:
    (line,) = emit(fake, *fake.log_lines(1))
    send(fake, [{"body": line, "attributes": {"original": line}}])
    assert told(fake.assert_exactly_once)[-2:] == [
        DOUBLED,
        "    One that is found several times in one request may be sent in several forms: key= says what each is known"
        " by there, and seen= what to look at.",
    ]


def test_two_extensions_and_one_backend(fake: LambdaTelemetry, listener: Listener) -> None:
    with Listener() as other:
        fake.subscribe(other.uri, types=["function"], name="other", buffering={"timeoutMs": 100})
        records = emit(fake, *fake.log_lines(1))
        send(fake, records)
        send(fake, records)
        assert told(lambda **options: fake.assert_exactly_once(to="other", **options))[-1] == (
            "    Several extensions take these records ('other', 'test-extension'): say with seen= what the one in"
            " question sends to."
        )


@pytest.mark.parametrize("limit", range(3, 60, 3))
def test_what_the_journal_has_forgotten_is_never_judged(limit: int) -> None:
    sandbox = assemble(Settings(strict=False), limit=limit)
    fake = over(sandbox)
    try:
        backend = fake.backend()
        with Listener() as listener:
            fake.subscribe(listener.uri, types=["function"], buffering={"timeoutMs": 100})
            emit(fake, *fake.log_lines(3))  # which is lost
            for _ in range(12):
                fake.freeze()
                fake.thaw()
                send(fake, ["something else"])
            for seen in (None, [b""]):
                with pytest.raises((LambdaTelemetryError, AssertionError)) as caught:
                    fake.assert_exactly_once(seen=seen, timeout=0)
                forgets = sandbox.journal.forgotten > 0
                assert isinstance(caught.value, LambdaTelemetryError) == forgets
                assert not forgets or str(caught.value).endswith(
                    " let go to keep it within its limit, so nobody can say what became of every record; raise"
                    " lambda_telemetry_journal_limit in pytest's ini file"
                )
            assert bool(fake.ledger.forgotten) == forgets
            assert backend.requests
    finally:
        sandbox.end()


# -- misuse ------------------------------------------------------------------------------------------------------------


def test_without_a_backend(fake: LambdaTelemetry, listener: Listener) -> None:
    emit(fake, *fake.log_lines(1))
    with pytest.raises(MisuseError) as caught:
        fake.assert_exactly_once()
    assert str(caught.value) == (
        "there is no backend to look at: let the extension send to lambda_telemetry.backend().url, or pass seen=, what"
        " your own backend was sent (bytes, str, requests, or a callable that returns them)"
    )


def test_records_that_two_subscriptions_take(fake: LambdaTelemetry, listener: Listener) -> None:
    with Listener() as other:
        fake.subscribe(other.uri, types=["function"], name="other", buffering={"timeoutMs": 100})
        records = emit(fake, *fake.log_lines(2))
        send(fake, records)
        with pytest.raises(
            MisuseError, match=r"several subscriptions take the same records, .* say which with to=, and"
        ):
            fake.assert_exactly_once()
        fake.assert_exactly_once(to="other")
        assert len(fake.ledger.trails()) == 4
        assert len(fake.ledger.trails(to="other")) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"types": "function"}, "types='function' is not a list; pass a list of event types, such as ['function']"),
        ({"types": ["platform"]}, "'platform' is what a subscription asks for, and no type of an event;"),
        ({"to": "nobody"}, "to='nobody' is nobody: the extensions that are there: 'test-extension'"),
        ({"dropped": "no"}, "dropped='no' is not valid: it must be one of 'excused', 'lost'"),
        ({"timeout": "x"}, "timeout='x' is not valid: it must be a number of seconds"),
        ({"key": "message"}, "key='message' is not valid: it must be a function from an event to str or bytes"),
        ({"key": lambda event: 5}, "key= returned 5 for the event {'time': "),
        ({"types": ()}, "types=() is empty; pass a list of event types, such as ['function']"),
        ({"seen": 5}, "seen= has 5 (item 1), which holds no bytes; pass bytes, str or objects with .content or .body"),
        ({"seen": [None]}, "seen= has None (item 1), which holds no bytes; pass bytes, str or objects"),
    ],
)
def test_wrong_arguments(fake: LambdaTelemetry, listener: Listener, options: dict[str, Any], says: str) -> None:
    send(fake, emit(fake, *fake.log_lines(1)))
    for assertion in (fake.assert_exactly_once, fake.assert_at_least_once):
        with pytest.raises(MisuseError) as caught:
            assertion(**options)
        assert str(caught.value).startswith(says)


@pytest.mark.parametrize("n", [-1, 1.0, True, "3", None, 10**7])
def test_how_many_lines(fake: LambdaTelemetry, n: Any) -> None:
    with pytest.raises(MisuseError, match="it must be a whole number, from 0 to 1,000,000"):
        fake.log_lines(n)


def test_keys_that_tell_nothing_apart(fake: LambdaTelemetry, listener: Listener) -> None:
    send(fake, emit(fake, *fake.log_lines(2)))
    with pytest.raises(MisuseError) as caught:
        fake.assert_exactly_once(key=lambda event: event["time"])
    assert str(caught.value).startswith("two keys are '")
    assert str(caught.value).endswith(
        "', so they cannot be told apart at the backend; let key= return what tells them apart"
    )


def test_what_is_told_of_long_records_is_short(fake: LambdaTelemetry, listener: Listener) -> None:
    send(fake, emit(fake, "x" * 100_000, "x" * 100_000))
    with pytest.raises(MisuseError) as caught:
        fake.assert_exactly_once()
    assert len(str(caught.value)) < 600


# -- the ledger --------------------------------------------------------------------------------------------------------


def test_a_trail(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.fail_next_delivery(500)
    (line,) = emit(fake, *fake.log_lines(1), ms=200)
    send(fake, [line])
    (trail,) = fake.ledger.trails()
    assert trail.event == {
        "time": trail.emitted_at.isoformat(timespec="milliseconds")[:-6] + "Z",
        "type": "function",
        "record": line,
    }
    assert trail.number == 1
    assert trail.subscription is fake.subscriptions[0]
    assert trail.deliveries[0] is fake.deliveries[0]
    assert [attempt.status for attempt in trail.deliveries[0].attempts] == [500, 200]
    assert trail.acknowledged_at == fake.deliveries[0].at
    assert trail.seen == fake.backend().requests
    assert trail.state == "arrived"
    assert repr(trail) == "<Trail 1 function to test-extension arrived>"


def test_every_state(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.backend()
    send(fake, emit(fake, *fake.log_lines(1)))
    emit(fake, *fake.log_lines(1))
    fake.fail_next_delivery(500)
    emit(fake, *fake.log_lines(1))
    fake.emit(*map(events.function, fake.log_lines(1)))
    assert [trail.state for trail in fake.ledger.trails()] == ["arrived", "acknowledged", "in-flight", "buffered"]
    assert str(fake.ledger).splitlines() == [
        "no.  emitted   record           to              state         batches  seen",
        "1    +0.000 s  'line 00000001'  test-extension  arrived       1        1",
        "2    +0.100 s  'line 00000002'  test-extension  acknowledged  2        0",
        "3    +0.200 s  'line 00000003'  test-extension  in-flight     3        0",
        "4    +0.300 s  'line 00000004'  test-extension  buffered               0",
    ]
    assert repr(fake.ledger) == "<Ledger of 4 records>"


def test_records_that_cannot_be_told_apart_are_in_it(fake: LambdaTelemetry, listener: Listener) -> None:
    send(fake, emit(fake, "hello", "hello", "hello world", None, "another"))
    trails = fake.ledger.trails()
    assert [(trail.state, len(trail.seen)) for trail in trails] == [("acknowledged", 0)] * 4 + [("arrived", 1)]
    assert {trail.why for trail in trails[:4]} == {"it cannot be told from other records at the backend"}
    assert fake.ledger.lost == fake.ledger.doubled == ()
    assert "'hello world'" in str(fake.ledger)


def test_it_stands_as_it_was_asked_for_of_requests(fake: LambdaTelemetry, listener: Listener) -> None:
    records = emit(fake, *fake.log_lines(1))
    fake.backend()
    before = fake.ledger
    send(fake, records)
    assert [trail.state for trail in fake.ledger.trails()] == ["arrived"]
    assert [trail.state for trail in before.trails()] == ["acknowledged"]


def test_without_a_backend_nothing_is_lost_that_was_acknowledged(fake: LambdaTelemetry, listener: Listener) -> None:
    emit(fake, *fake.log_lines(1))
    assert fake.ledger.lost == ()
    assert [trail.state for trail in fake.ledger.trails()] == ["acknowledged"]


def test_a_new_execution_environment_gives_up_what_waited(fake: LambdaTelemetry, listener: Listener) -> None:
    fake.fail_next_delivery("refuse", times=9)
    emit(fake, *fake.log_lines(1), ms=900)
    fake.restart()
    (trail,) = fake.ledger.trails()
    assert (trail.state, trail.why) == ("given-up", "could not send events: connection refused")


@pytest.mark.asyncio
async def test_an_async_test(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    fake = async_lambda_telemetry
    backend = fake.backend()
    with Listener() as listener:
        fake.subscribe(listener.uri, types=["function"], buffering={"timeoutMs": 100})
        (line,) = fake.log_lines(1)
        await fake.emit(events.function(line))
        await fake.advance(ms=100)
        with pytest.raises(AssertionError, match="not at least once"):
            await fake.assert_at_least_once(timeout=0)
        connection = HTTPConnection(backend.host, backend.port, timeout=20)
        connection.request("POST", "/", line)
        assert connection.getresponse().status == 200
        connection.close()
        await fake.assert_exactly_once()
        await fake.assert_at_least_once()
        assert [trail.state for trail in fake.ledger.trails()] == ["arrived"]

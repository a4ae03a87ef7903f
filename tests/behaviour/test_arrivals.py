"""assert_all_delivered and records: what became of everything that was emitted, and what arrived of it."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pytest_lambda_telemetry import (
    AsyncLambdaTelemetry,
    LambdaTelemetry,
    LambdaTelemetryError,
    MisuseError,
    Retry,
    Settings,
    events,
)
from pytest_lambda_telemetry.environment import over
from pytest_lambda_telemetry.sandbox.assembly import assemble
from tests.support.helpers import Listener, free_port, register, running, subscribe

ALL = "platform,function,extension"


def fails(check: Callable[[], None]) -> list[str]:
    """What an assertion says that fails; its first line is always the same."""
    with pytest.raises(AssertionError) as caught:
        check()
    first, *lines = str(caught.value).splitlines()
    assert first == "not everything that was emitted is delivered:"
    return lines


def environment(**settings: Any) -> LambdaTelemetry:
    return LambdaTelemetry(Settings(platform_events=False, strict=False, **settings))


# -- assert_all_delivered ----------------------------------------------------------------------------------------------


def test_nothing_emitted_is_all_delivered(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.assert_all_delivered()
    lambda_telemetry.subscribe("http://127.0.0.1:4243")
    lambda_telemetry.assert_all_delivered()
    lambda_telemetry.assert_all_delivered("test-extension")


def test_what_is_buffered_is_told_with_when_it_is_due() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 100})
        fake.emit(events.function("a"), events.platform_start(), events.function("b"))
        fake.advance(ms=74.5)
        assert fails(fake.assert_all_delivered) == [
            f"  <Subscription test-extension 2025-01-29 {ALL} to {listener.uri}>",
            "    buffered: 3 events [function ×2, platform.start], due in 25.5 ms: advance(ms=25.5)",
        ]
        fake.advance(ms=25.5)
        fake.assert_all_delivered()


def test_what_is_refused_is_told_with_the_last_answer_and_when_it_comes_again() -> None:
    with environment() as fake, Listener(lambda _number: 503) as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 100})
        fake.emit(events.function("a"))
        fake.advance(ms=200)
        fake.emit(events.extension("b"))
        assert fails(fake.assert_all_delivered)[1:] == [
            "    refused: 1 event [function], tried 2 times, last answered 503, tried again in 200 ms: advance(ms=200)",
            "    buffered: 1 event [extension], waits behind that one",
        ]


def test_a_listener_that_is_down_is_told() -> None:
    with environment() as fake:
        fake.subscribe(f"http://sandbox.localdomain:{free_port()}")
        fake.emit(events.function("a"))
        fake.flush()
        assert fails(fake.assert_all_delivered)[1:] == [
            "    refused: 1 event [function], tried once, last failed with 'connection refused',"
            " tried again in 100 ms: advance(ms=100)",
        ]


@pytest.mark.parametrize("retry", [None, Retry(attempts=2)])
def test_what_was_given_up_is_told(retry: Retry | None) -> None:
    with environment(retry=retry) as fake, Listener(lambda _number: 400) as listener:
        fake.subscribe(listener.uri, types=["function"])
        fake.emit(events.function("a"), events.function("b"))
        fake.advance(seconds=10)
        tried = "2 times" if retry else "once"
        assert fails(fake.assert_all_delivered)[1:] == [
            f"    refused: 2 events [function ×2], tried {tried}, last answered 400, given up"
        ]


def test_what_was_pushed_in_vain_is_told() -> None:
    with environment() as fake, Listener(lambda number: 500 if number == 1 else 200) as listener:
        fake.subscribe(listener.uri)
        fake.push([events.function("a")])
        fake.push([events.function("b")])
        assert fails(fake.assert_all_delivered)[1:] == [
            "    refused: 1 event [function], tried once, last answered 500, pushed"
        ]


def test_what_was_dropped_is_told_although_later_events_arrive() -> None:
    with environment() as fake, Listener(lambda number: 503 if number == 1 else 200) as listener:
        fake.subscribe(listener.uri, types=["function"], buffering={"timeoutMs": 25})
        fake.emit(events.function("first"))
        fake.advance(ms=25)
        fake.emit(*[events.function(str(number)) for number in range(1500)])
        fake.emit(*[events.function(str(number)) for number in range(5)])
        fake.advance(seconds=10)
        slow = "Some logs were dropped because the downstream consumer is slower than the logs production rate"
        assert fails(fake.assert_all_delivered)[1:] == [f"    dropped: 505 events [function ×20], {slow}"]


def test_early_telemetry_that_could_not_be_kept_is_told() -> None:
    with environment() as fake, Listener() as listener:
        fake.emit(*[events.function("x")] * 10_003)
        fake.subscribe(listener.uri, types=["function"])
        fake.flush()
        assert fails(fake.assert_all_delivered)[1:] == [
            "    dropped: 3 events, they came before it subscribed, and there was no room left to keep them for it"
        ]


def test_a_frozen_environment_is_told() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri)
        fake.freeze()
        fake.emit(events.function("a"))
        assert fails(fake.assert_all_delivered)[1:] == [
            "    buffered: 1 event [function], due once the environment thaws: with the next invocation, at shutdown or"
            " with thaw()"
        ]
        fake.shutdown()
        fake.assert_all_delivered()


def test_what_another_thread_has_filled_is_due_now() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri)
        with running(lambda: fake.emit(*[events.function("x")] * 1000)):
            pass
        assert fails(fake.assert_all_delivered)[1:] == [
            "    buffered: 1000 events [function ×1000], due now: with the next call that moves time"
        ]


def test_what_is_on_its_way_is_told() -> None:
    release, arrived = threading.Event(), threading.Event()

    def answer(_number: int) -> int:
        arrived.set()
        assert release.wait(10)
        return 200

    with environment() as fake, Listener(answer) as listener:
        fake.subscribe(listener.uri)
        fake.emit(events.function("a"))

        def look() -> None:
            assert arrived.wait(10)
            seen.append(fails(fake.assert_all_delivered)[1:])
            release.set()

        seen: list[list[str]] = []
        with running(look):
            fake.flush()
        assert seen == [["    in flight: 1 event [function], attempt 1 is not answered yet"]]
        fake.assert_all_delivered()


def test_only_some_of_many_types_and_batches_are_shown() -> None:
    with environment(retry=None) as fake, Listener(lambda _number: 400) as listener:
        fake.subscribe(listener.uri, types=["function"])
        one_each = [events.from_dict({"type": f"function.{number}", "record": {}}) for number in range(6)]
        for _ in range(12):
            fake.emit(*one_each)
            fake.flush()
        _, first, *_, last = lines = fails(fake.assert_all_delivered)
        assert "[function.0, function.1, function.2, function.3, function.4, …]" in first
        assert last == "    and 12 more events"
        assert len(lines) == 12


def test_each_subscription_is_told_apart() -> None:
    with environment() as fake, Listener() as listener:
        one = fake.subscribe(listener.uri, types=["function"], name="one")
        fake.subscribe(listener.uri, types=["platform"], name="two")
        fake.emit(events.function("a"), events.platform_start())
        fake.flush(to="two")
        assert fails(fake.assert_all_delivered) == fails(lambda: fake.assert_all_delivered("one"))
        assert fails(lambda: fake.assert_all_delivered(one))[0] == f"  {one!r}"
        fake.assert_all_delivered(to="two")


def test_without_a_subscription_nothing_can_arrive() -> None:
    with environment() as fake:
        identifier = register("ext")
        fake.emit(events.function("a"))
        with pytest.raises(AssertionError, match=r"^1 event was emitted, but nothing is subscribed$"):
            fake.assert_all_delivered()
        fake.emit(events.function("b"))
        with pytest.raises(AssertionError, match=r"^2 events were emitted, but nothing is subscribed by 'ext'$"):
            fake.assert_all_delivered(to="ext")
        with fake.expect_rejection():
            subscribe(identifier, {})
        with pytest.raises(AssertionError, match="nothing is subscribed by 'ext'\n  seen instead: <Rejection ext 400"):
            fake.assert_all_delivered(to=fake.extensions[0])


def test_what_an_execution_environment_leaves_undelivered_is_lost_with_it() -> None:
    answers = [503]
    with environment() as fake, Listener(lambda _number: answers[-1]) as listener:
        first = fake.subscribe(listener.uri)
        fake.emit(events.function("a"))
        fake.restart()
        answers.append(200)
        name, lost_event = lost = fails(fake.assert_all_delivered)
        assert name == f"  {first!r}"
        assert lost_event.startswith("    dropped: 1 event [function], tried ")
        assert lost_event.endswith(", last answered 503, not delivered when its execution environment ended")
        assert fails(lambda: fake.assert_all_delivered(to="test-extension")) == lost
        assert fails(lambda: fake.assert_all_delivered(to=first)) == lost
        fake.assert_nothing_delivered(to=first)
        second = fake.subscribe(listener.uri)
        fake.emit(events.function("b"))
        fake.flush()
        fake.assert_all_delivered(to=second)
        assert fails(fake.assert_all_delivered) == lost
        assert fake.records(to=second) == fake.records() == ("b",)


def test_it_can_still_be_asked_when_the_environment_is_closed() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri)
        fake.emit(events.function("a"))
        fake.shutdown()
        fake.emit(events.function("late"))
    assert len(fails(fake.assert_all_delivered)) == 2
    assert fake.records() == ("a",)


@pytest.mark.asyncio
async def test_the_async_object_has_both(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    with Listener() as listener:
        async_lambda_telemetry.subscribe(listener.uri)
        await async_lambda_telemetry.emit(events.function("a"))
        assert len(fails(async_lambda_telemetry.assert_all_delivered)) == 2
        await async_lambda_telemetry.flush()
        async_lambda_telemetry.assert_all_delivered()
        assert async_lambda_telemetry.records() == ("a",)


# -- records -----------------------------------------------------------------------------------------------------------


def test_records_are_those_of_one_type_in_order_of_arrival() -> None:
    with environment() as fake, Listener(lambda number: 500 if number == 1 else 200) as listener:
        fake.subscribe(listener.uri, buffering={"timeoutMs": 25})
        fake.emit(events.function("a"), events.platform_start(request_id="r"), events.function({"b": 1}))
        fake.advance(ms=25)
        fake.push([events.function("pushed")])
        assert fake.records() == ("pushed",)
        fake.advance(ms=200)
        assert fake.records() == ("pushed", "a", {"b": 1})
        assert [record["requestId"] for record in fake.records("platform.start")] == ["r"]
        assert fake.records("extension") == ()


def test_records_can_be_those_of_one_subscriber() -> None:
    with environment() as fake, Listener() as listener:
        one = fake.subscribe(listener.uri, schema_version="2022-07-01", name="one")
        fake.subscribe(listener.uri, types=["function"], name="two")
        fake.emit(events.function({"a": 1}), events.extension("e"))
        fake.flush()
        assert fake.records() == ('{"a":1}', {"a": 1})
        assert fake.records(to="one") == fake.records(to=one) == ('{"a":1}',)
        assert fake.records("extension", to="two") == ()


def test_records_over_tcp_are_read_line_by_line() -> None:
    with environment() as fake, socket.create_server(("127.0.0.1", 0)) as server:
        fake.subscribe(port=server.getsockname()[1])
        fake.emit(events.function("a\n\r\u2028b"), events.function("c"))
        fake.flush()
        assert fake.records() == ("a\n\r\u2028b", "c")


def test_records_that_were_let_go_are_no_empty_answer() -> None:
    with Listener() as listener:
        sandbox = assemble(Settings(platform_events=False), limit=2)
        fake = over(sandbox)
        fake.subscribe(listener.uri)
        fake.push([events.function("x" * 1500)])
        fake.push([events.extension("y" * 2000)])
        with pytest.raises(LambdaTelemetryError, match="the bytes of this delivery were let go"):
            fake.records()
        fake.close()


# -- to=, and types that do not exist ----------------------------------------------------------------------------------

Ask = Callable[[LambdaTelemetry, Any], object]
ASKED: list[Ask] = [
    lambda fake, to: fake.assert_delivered(["function"], to),
    lambda fake, to: fake.assert_nothing_delivered(to),
    lambda fake, to: fake.assert_all_delivered(to),
    lambda fake, to: fake.records(to=to),
]
NAMES = ["assert_delivered", "assert_nothing_delivered", "assert_all_delivered", "records"]


@pytest.mark.parametrize("ask", ASKED, ids=NAMES)
def test_to_that_is_nobody_is_a_misuse(ask: Ask) -> None:
    with environment() as other:
        stranger = other.subscribe("http://127.0.0.1:4243")
        foreign = other.extensions[0]
    with environment() as fake:
        with pytest.raises(MisuseError, match=r"^to='ext' is nobody: the extensions that are there: none$"):
            ask(fake, "ext")
        fake.subscribe("http://127.0.0.1:4243", name="my-extension")
        with pytest.raises(MisuseError, match="is nobody: did you mean 'my-extension'"):
            ask(fake, "my-extention")
        for to in (stranger, foreign):
            with pytest.raises(MisuseError, match=r"is nobody: the extensions that are there: 'my-extension'$"):
                ask(fake, to)
        for wrong in (5, b"my-extension", ["my-extension"]):
            with pytest.raises(MisuseError, match="is not valid: pass an extension's name, an Extension or a Subs"):
                ask(fake, wrong)


def test_who_has_registered_is_somebody(lambda_telemetry: LambdaTelemetry) -> None:
    register("ext")
    lambda_telemetry.assert_nothing_delivered(to="ext")
    lambda_telemetry.assert_nothing_delivered(to=lambda_telemetry.extensions[0])
    assert lambda_telemetry.records(to="ext") == ()


TYPED: list[Ask] = [
    lambda fake, name: fake.assert_delivered(["function", name]),
    lambda fake, name: fake.records(name),
]


@pytest.mark.parametrize("ask", TYPED, ids=["in a list", "records"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("platform", "'platform' is what a subscription asks for, and no type of an event; those that it brings are"),
        ("platform.runtimedone", "there is no event type 'platform.runtimedone'; did you mean 'platform.runtimeDone'?"),
        ("platform_start", "there is no event type 'platform_start'; did you mean 'platform.start'?"),
        ("platform_init_start", "there is no event type 'platform_init_start'; did you mean 'platform.initStart'?"),
        ("runtimeDone", "there is no event type 'runtimeDone'; did you mean 'platform.runtimeDone'?"),
        ("functions", "there is no event type 'functions'; did you mean 'function'?"),
        ("xyzzy", "there is no event type 'xyzzy', and no such event was emitted; there are 'extension', 'function',"),
    ],
)
def test_a_type_that_no_event_has_is_a_misuse(
    lambda_telemetry: LambdaTelemetry, ask: Ask, name: str, told: str
) -> None:
    with pytest.raises(MisuseError) as caught:
        ask(lambda_telemetry, name)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("types", [5, None, b"function", {"function": 1}, "function"])
def test_types_that_are_no_list_are_a_misuse(lambda_telemetry: LambdaTelemetry, types: Any) -> None:
    with pytest.raises(MisuseError, match="is not a list; pass a list of event types"):
        lambda_telemetry.assert_delivered(types)


@pytest.mark.parametrize("type", [5, None, b"function", {"function": 1}])
def test_what_is_no_text_is_no_type(lambda_telemetry: LambdaTelemetry, type: Any) -> None:
    with pytest.raises(MisuseError, match="it must be one event type"):
        lambda_telemetry.records(type)


def test_a_type_of_the_tests_own_exists_once_it_was_emitted() -> None:
    with environment() as fake, Listener() as listener:
        fake.subscribe(listener.uri)
        with pytest.raises(MisuseError):
            fake.records("platform.brandNew")
        fake.emit(events.from_dict({"type": "platform.brandNew", "record": [1, None]}))
        assert fake.records("platform.brandNew") == ()
        with pytest.raises(AssertionError, match="nothing was delivered"):
            fake.assert_delivered(["platform.brandNew"])
        fake.flush()
        fake.assert_delivered(["platform.brandNew"])
        assert fake.records("platform.brandNew") == ([1, None],)
        fake.push([events.from_dict({"type": "pushed", "record": None})])
        assert fake.records("pushed") == (None,)


def test_types_of_the_logs_api_exist(lambda_telemetry: LambdaTelemetry) -> None:
    for name in ("platform.end", "platform.fault", "platform.logsSubscription"):
        assert lambda_telemetry.records(name) == ()

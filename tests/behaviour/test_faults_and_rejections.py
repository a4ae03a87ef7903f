"""What a test lets go wrong: deliveries that fail, calls that are refused, and refusals that it expects."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from pytest_lambda_telemetry import (
    AsyncLambdaTelemetry,
    LambdaTelemetry,
    MisuseError,
    ProtocolViolation,
    RouteName,
    Settings,
    WaitTimeout,
    events,
)
from tests.support.helpers import (
    EXTENSION,
    IDENTIFIER,
    TELEMETRY,
    Listener,
    call,
    free_port,
    register,
    running,
    subscribe,
    subscribe_body,
)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as made:
        yield made


# -- fail_next_delivery ------------------------------------------------------------------------------------------------


def first_try(lambda_telemetry: LambdaTelemetry, listener: Listener, fault: Any) -> Any:
    lambda_telemetry.subscribe(listener.uri, ["function"])
    lambda_telemetry.fail_next_delivery(fault)
    lambda_telemetry.emit(events.function("x" * 50))
    [delivery] = lambda_telemetry.flush()
    return delivery


@pytest.mark.parametrize(
    ("fault", "arrived", "error"),
    [("refuse", 0, "refused"), ("reset", 0, ""), ("timeout", 1, "timed out"), ("truncate", 1, None)],
)
def test_a_fault_hits_one_delivery(
    lambda_telemetry: LambdaTelemetry, listener: Listener, fault: str, arrived: int, error: str | None
) -> None:
    delivery = first_try(lambda_telemetry, listener, fault)
    if error is None:  # the sender notices nothing
        assert delivery.ok
        with pytest.raises(json.JSONDecodeError):
            json.loads(listener.bodies[0])
        return
    assert (delivery.ok, delivery.status) == (False, None)
    assert error in delivery.attempts[0].error
    assert len(listener.bodies) == arrived
    [again] = lambda_telemetry.advance(ms=100)
    assert again.ok
    assert [attempt.status for attempt in again.attempts] == [None, 200]
    assert listener.bodies[-1] == delivery.body


@pytest.mark.parametrize(("status", "ok"), [(500, False), (404, False), (302, False), (204, True)])
def test_of_a_status_the_listener_sees_nothing(
    lambda_telemetry: LambdaTelemetry, listener: Listener, status: int, ok: bool
) -> None:
    delivery = first_try(lambda_telemetry, listener, status)
    assert (delivery.ok, delivery.status) == (ok, status)
    assert listener.bodies == []
    lambda_telemetry.advance(ms=100)
    assert listener.bodies == ([] if ok else [delivery.body])


@pytest.mark.parametrize(("fault", "status"), [("lost-answer", None), (("lost-answer", 503), 503)])
def test_a_batch_whose_answer_is_lost_comes_again(
    lambda_telemetry: LambdaTelemetry, listener: Listener, fault: Any, status: int | None
) -> None:
    delivery = first_try(lambda_telemetry, listener, fault)
    assert (delivery.ok, delivery.status) == (False, status)
    assert listener.bodies == [delivery.body]
    [again] = lambda_telemetry.advance(ms=100)
    assert [attempt.status for attempt in again.attempts] == [status, 200]
    assert listener.bodies == [delivery.body, delivery.body]


def test_a_duplicate_arrives_twice(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    assert first_try(lambda_telemetry, listener, "duplicate").ok
    assert len(listener.bodies) == 2
    assert listener.bodies[0] == listener.bodies[1]
    assert len(lambda_telemetry.deliveries) == 1
    lambda_telemetry.advance(seconds=60)
    assert len(listener.bodies) == 2


def test_a_split_batch_is_two_payloads_of_which_neither_is_json(
    lambda_telemetry: LambdaTelemetry, listener: Listener
) -> None:
    delivery = first_try(lambda_telemetry, listener, "split")
    first, second = listener.bodies
    envelope, _, _ = delivery.body.partition(b'"xxx')
    assert first == envelope + b'"' + b"x" * 25 + b"}]"
    assert second == envelope + b"x" * 25 + b'"}]'
    for body in listener.bodies:
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
    assert delivery.ok


def test_the_journal_tells_of_a_fault_that_the_answer_hides(
    lambda_telemetry: LambdaTelemetry, listener: Listener
) -> None:
    assert first_try(lambda_telemetry, listener, "truncate").ok
    assert [(entry.what, entry.verdict) for entry in lambda_telemetry.journal][-2:] == [
        ("fault in a delivery to test-extension", "truncate"),
        ("[function]", "200"),
    ]


def test_times_counts_attempts_and_faults_come_in_order(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    lambda_telemetry.subscribe(listener.uri, ["function"])
    lambda_telemetry.fail_next_delivery(503, times=2)
    lambda_telemetry.fail_next_delivery("refuse")
    lambda_telemetry.emit(events.function("f"))
    [delivery] = lambda_telemetry.advance(seconds=10)
    assert [attempt.status for attempt in delivery.attempts] == [503, 503, None, 200]
    elapsed = [(attempt.at - delivery.attempts[0].at).total_seconds() for attempt in delivery.attempts]
    assert elapsed == pytest.approx([0, 0.1, 0.3, 0.7])


def test_a_fault_for_one_extension_hits_no_other(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    for name in ("one", "two"):
        lambda_telemetry.subscribe(listener.uri, ["function"], name=name)
    lambda_telemetry.fail_next_delivery(500, to="two")
    lambda_telemetry.emit(events.function("f"))
    assert [(one.subscription.extension_name, one.ok) for one in lambda_telemetry.flush()] == [
        ("one", True),
        ("two", False),
    ]
    lambda_telemetry.fail_next_delivery("refuse", to=lambda_telemetry.subscriptions[0])
    assert not lambda_telemetry.push([events.function("f")], to="one").ok


def test_a_fault_for_an_extension_hits_whichever_of_its_subscriptions(
    lambda_telemetry: LambdaTelemetry, listener: Listener
) -> None:
    for path in ("/a", "/b"):
        lambda_telemetry.subscribe(listener.uri + path, ["function"], name="one")
    lambda_telemetry.fail_next_delivery(500, to="one")
    lambda_telemetry.emit(events.function("f"))
    assert [one.ok for one in lambda_telemetry.flush()] == [False, True]


def test_a_fault_may_be_planned_before_anybody_subscribes(
    lambda_telemetry: LambdaTelemetry, listener: Listener
) -> None:
    lambda_telemetry.fail_next_delivery("refuse")
    lambda_telemetry.subscribe(listener.uri)
    assert not lambda_telemetry.push([events.function("f")]).ok


@pytest.mark.parametrize(("fault", "seen"), [("lost-answer", 1), ("duplicate", 2), ("timeout", 1)])
def test_a_fault_that_a_listener_sees_waits_for_one_that_is_still_starting(
    lambda_telemetry: LambdaTelemetry, fault: Any, seen: int
) -> None:
    port, started = free_port(), list[Listener]()
    subscribe(register(), subscribe_body(port, types=["function"]))
    lambda_telemetry.fail_next_delivery(fault)
    lambda_telemetry.emit(events.function("a"))
    start = threading.Timer(0.2, lambda: started.append(Listener(port=port)))
    start.start()
    try:
        [delivery] = lambda_telemetry.flush()
        start.join()
        assert [len(listener.bodies) for listener in started] == [seen]
        assert len(delivery.attempts) == 1
        lambda_telemetry.advance(ms=100)
    finally:
        start.join()
        started[0].close()


@pytest.mark.parametrize("fault", ["refuse", 503])
def test_one_that_it_does_not_see_waits_for_nobody(lambda_telemetry: LambdaTelemetry, fault: Any) -> None:
    subscribe(register(), subscribe_body(free_port(), types=["function"]))
    lambda_telemetry.fail_next_delivery(fault)
    lambda_telemetry.emit(events.function("a"))
    [delivery] = lambda_telemetry.flush()
    assert delivery.attempts[0].duration_ms == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"fault": "explode"},
            "'explode' is no delivery fault; use one of 'refuse', 'lost-answer', 'duplicate', 'reset',",
        ),
        ({"fault": 199}, "a status 200-599, or ('lost-answer', a status)"),
        ({"fault": True}, "True is no delivery fault"),
        ({"fault": "reset", "times": 0}, "times=0 is not valid"),
        ({"fault": "reset", "times": True}, "times=True is not valid"),
        ({"fault": "reset", "to": "nobody"}, "to='nobody' has no subscription"),
    ],
)
def test_a_wrong_fault_is_a_misuse(lambda_telemetry: LambdaTelemetry, arguments: Any, message: str) -> None:
    with pytest.raises(MisuseError, match=re.escape(message)):
        lambda_telemetry.fail_next_delivery(**arguments)


# -- reject_next -------------------------------------------------------------------------------------------------------

HEADERS = {"Lambda-Extension-Function-Error-Type": "Extension.Any"}
CALLS: dict[RouteName, tuple[str, str]] = {
    "register": ("POST", f"{EXTENSION}/register"),
    "next": ("GET", f"{EXTENSION}/event/next"),
    "subscribe": ("PUT", "/2022-07-01/telemetry"),
    "init_error": ("POST", f"{EXTENSION}/init/error"),
    "exit_error": ("POST", f"{EXTENSION}/exit/error"),
}


@pytest.mark.parametrize("route", CALLS)
def test_a_route_is_refused_as_often_as_asked_and_that_is_no_violation(
    lambda_telemetry: LambdaTelemetry, route: RouteName
) -> None:
    identifier = register("somebody")
    lambda_telemetry.reject_next(route, 503, "Service.Down", "come back later", times=2)
    for _ in range(2):
        answer = call(*CALLS[route], {}, {IDENTIFIER: identifier, "Lambda-Extension-Name": "ext", **HEADERS})
        assert answer.status == 503
        assert answer.body == {"errorType": "Service.Down", "errorMessage": "come back later"}
    lambda_telemetry.check()
    assert [request.status for request in lambda_telemetry.requests[-2:]] == [503, 503]
    assert lambda_telemetry.extensions[0].state == "Registered"


def test_without_more_said_it_is_the_documented_service_error(
    lambda_telemetry: LambdaTelemetry, listener: Listener
) -> None:
    lambda_telemetry.reject_next("subscribe")
    identifier = register()
    answer = subscribe(identifier, subscribe_body(listener.port))
    assert (answer.status, answer.raw) == (
        500,
        b'{"errorType":"InternalServerError","errorMessage":"Internal Server Error"}',
    )
    assert subscribe(identifier, subscribe_body(listener.port)).status == 200
    [rejection] = lambda_telemetry.rejections
    assert (rejection.extension_name, rejection.status, rejection.error_type) == ("ext", 500, "InternalServerError")
    assert rejection.faults == ("Internal Server Error",)


def test_an_injected_refusal_hits_the_logs_api_too(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.reject_next("subscribe", 503)
    assert call("PUT", "/2020-08-15/logs", {}, {IDENTIFIER: register()}).status == 503


def test_an_expected_refusal_may_be_an_injected_one(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    lambda_telemetry.reject_next("subscribe", 403, "Telemetry.AccessDenied", "no")
    with lambda_telemetry.expect_rejection(match=r"AccessDenied: no$") as refused:
        subscribe(register(), subscribe_body(listener.port))
    assert refused.rejection.status == 403


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"route": "invoke"},
            "there is no route 'invoke'; reject_next takes one of 'register', 'next', 'subscribe', 'init_error',",
        ),
        ({"route": "next", "status": 200}, "status=200 is not valid: an error has a status from 400 to 599"),
        ({"route": "next", "status": "500"}, "status='500' is not valid"),
        ({"route": "next", "times": 0}, "times=0 is not valid"),
    ],
)
def test_a_wrong_rejection_is_a_misuse(lambda_telemetry: LambdaTelemetry, arguments: Any, message: str) -> None:
    with pytest.raises(MisuseError, match=re.escape(message)):
        lambda_telemetry.reject_next(**arguments)


def test_a_refused_registration_is_a_violation_unless_injected(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.reject_next("register", 403, "Extension.InvalidExtensionName", "the file is called otherwise")
    refuse: tuple[str, str, object] = ("POST", f"{EXTENSION}/register", {"events": []})
    assert call(*refuse, {"Lambda-Extension-Name": "other"}).status == 403
    lambda_telemetry.check()
    assert call(*refuse, {}).status == 403
    with pytest.raises(ProtocolViolation, match=r"Register from an unidentified extension was refused: 403"):
        lambda_telemetry.check()


# -- expect_rejection --------------------------------------------------------------------------------------------------


def test_it_covers_every_refusal_inside_its_block(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    identifier = register()
    with lambda_telemetry.expect_rejection() as refused:
        with pytest.raises(MisuseError, match=r"read \.rejection after the expect_rejection block"):
            _ = refused.rejection
        assert list(refused.rejections) == []
        subscribe(identifier, {})
        subscribe(identifier, subscribe_body(listener.port, types=[]))
    assert refused.rejection is refused.rejections[0]
    assert [one.message for one in refused.rejections][1] == "types should not be empty"
    assert refused.rejections == lambda_telemetry.rejections
    assert refused.rejection.raw == b"{}"
    assert refused.rejection.body == {}
    lambda_telemetry.check()


def test_it_waits_for_an_extension_in_another_thread(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    with lambda_telemetry.expect_rejection() as refused:
        with running(lambda: subscribe(identifier, {})):
            pass
    assert refused.rejection.status == 400


def test_none_is_a_violation_that_says_what_was_seen(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    with pytest.raises(ProtocolViolation) as caught, lambda_telemetry.expect_rejection("types", timeout=0):
        subscribe(register(), subscribe_body(listener.port))
    message = str(caught.value)
    assert message.startswith("expected a refused Subscribe that matches 'types' within 0 s, but there was none;")
    assert "<Subscription ext 2022-12-13" in message


def test_one_that_does_not_match_is_shown_and_ends_the_wait(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(ProtocolViolation, match="matches 'AccessDenied'") as caught:
        with lambda_telemetry.expect_rejection("AccessDenied", timeout=60):
            subscribe(register(), {})
    assert "<Rejection ext 400 ValidationError: " in str(caught.value)


def test_an_exception_of_the_block_is_not_hidden(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(ZeroDivisionError), lambda_telemetry.expect_rejection(timeout=60):
        _ = 1 / 0


def test_after_its_block_a_refusal_is_unexpected_again(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    with lambda_telemetry.expect_rejection():
        subscribe(identifier, {})
    subscribe(identifier, {})
    with pytest.raises(ProtocolViolation, match="Subscribe from extension 'ext' was refused"):
        lambda_telemetry.check()
    lambda_telemetry.check()


def test_blocks_within_blocks_see_the_same_refusal(lambda_telemetry: LambdaTelemetry) -> None:
    with lambda_telemetry.expect_rejection() as outer, lambda_telemetry.expect_rejection("schemaVersion") as inner:
        subscribe(register(), {})
    assert outer.rejection is inner.rejection


def test_a_wait_that_an_unexpected_refusal_ends_is_a_time_out(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    subscribe(identifier, {})
    with pytest.raises(WaitTimeout, match="gave up waiting for extension 'ext' to subscribe:\nSubscribe from"):
        lambda_telemetry.wait_for_subscription("ext", timeout=60)
    lambda_telemetry.check()


def test_without_strict_nothing_counts(listener: Listener) -> None:
    with LambdaTelemetry(Settings(strict=False)) as environment:
        identifier = register()
        subscribe(identifier, {})
        with pytest.raises(WaitTimeout, match="waited 0 s for an extension to subscribe; seen instead:"):
            environment.wait_for_subscription(timeout=0)
        assert len(environment.rejections) == 1


# -- expect_rejection of other routes ----------------------------------------------------------------------------------

FIELDS = {"Lambda-Extension-Name": "ext", **HEADERS}
NO_IDENTIFIER = "Extension.MissingExtensionIdentifier: Missing Lambda-Extension-Identifier header"
REFUSED: dict[str, tuple[object, Mapping[str, str], str]] = {
    "register": ({"events": ["ASK"]}, FIELDS, "Extension.InvalidEventType: invalid event type"),
    "next": (None, FIELDS, NO_IDENTIFIER),
    "subscribe": ({}, FIELDS, NO_IDENTIFIER),
    "init_error": ({}, FIELDS, NO_IDENTIFIER),
    "exit_error": ({}, FIELDS, NO_IDENTIFIER),
}


@pytest.mark.parametrize("route", CALLS)
def test_a_refused_call_of_any_route_may_be_expected(lambda_telemetry: LambdaTelemetry, route: RouteName) -> None:
    body, headers, told = REFUSED[route]
    with lambda_telemetry.expect_rejection(f"^{re.escape(told.partition(':')[0])}: ", route=route) as refused:
        answer = call(*CALLS[route], body, headers)
    assert answer.status == refused.rejection.status == 403
    assert refused.rejections == (refused.rejection,)
    assert refused.rejection.body == body
    assert refused.rejection.message == answer.body["errorMessage"] == refused.rejection.faults[0]
    assert lambda_telemetry.rejections == (refused.rejections if route == "subscribe" else ())
    lambda_telemetry.check()


def test_a_refused_call_of_another_route_is_not_what_is_expected(lambda_telemetry: LambdaTelemetry) -> None:
    def others_are_refused() -> None:
        with lambda_telemetry.expect_rejection(timeout=0, route="register"):
            call(*CALLS["next"], None, HEADERS)
            subscribe(register(), {})

    with pytest.raises(ProtocolViolation, match="expected a refused Register within 0 s, but there was none"):
        others_are_refused()
    assert len(lambda_telemetry.rejections) == 1


@pytest.mark.parametrize("route", CALLS)
def test_a_refusal_says_how_it_would_be_expected(lambda_telemetry: LambdaTelemetry, route: RouteName) -> None:
    body, headers, _ = REFUSED[route]
    call(*CALLS[route], body, headers)
    named = "" if route == "subscribe" else f"route={route!r}"
    with pytest.raises(ProtocolViolation, match=re.escape(f" wrap it in expect_rejection({named}); strict=False")):
        lambda_telemetry.check()


def test_an_injected_refusal_of_another_route_may_be_expected(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.reject_next("exit_error", 500)
    with lambda_telemetry.expect_rejection("InternalServerError", route="exit_error") as refused:
        call(*CALLS["exit_error"], {}, {IDENTIFIER: register("somebody"), **HEADERS})
    assert (refused.rejection.extension_name, refused.rejection.status) == ("somebody", 500)


NONE_CAME = {
    "register": ["<Extension ext Registered events=INVOKE,SHUTDOWN>"],
    "next": ["extension 'ext' waits for its next event"],
    "subscribe": ["no subscription either"],
    "init_error": ["no init/error either"],
    "exit_error": ["<Request POST /2020-01-01/extension/exit/error -> 202>"],
}


@pytest.mark.parametrize("route", CALLS)
def test_none_is_a_violation_in_the_words_of_its_route(lambda_telemetry: LambdaTelemetry, route: str) -> None:
    name = {"init_error": "init/error", "exit_error": "exit/error"}.get(route, route.capitalize())

    def none_is_refused() -> None:
        with lambda_telemetry.expect_rejection(timeout=0, route=route) as refused:
            with pytest.raises(MisuseError, match=rf"^no {name} was refused yet; read \.rejection after"):
                _ = refused.rejection
            identifier = {IDENTIFIER: register()}
            if route == "next":
                polls.enter_context(running(lambda: call(*CALLS["next"], None, identifier)))
                lambda_telemetry.wait_until_ready()
            if route == "exit_error":
                call(*CALLS["exit_error"], {}, {**identifier, **HEADERS})

    with ExitStack() as polls:
        with pytest.raises(ProtocolViolation) as caught:
            none_is_refused()
        lambda_telemetry.shutdown()
    assert str(caught.value).splitlines() == [
        f"expected a refused {name} within 0 s, but there was none; seen instead:",
        *(f"  {line}" for line in NONE_CAME[route]),
    ]


def test_one_of_its_route_that_does_not_match_is_shown(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        with lambda_telemetry.expect_rejection("Closed", timeout=60, route="register"):
            call(*CALLS["register"], {"events": ["ASK"]}, FIELDS)
    assert str(caught.value).splitlines() == [
        "expected a refused Register that matches 'Closed' within 60 s, but there was none; seen instead:",
        '  <Rejection ext 403 Extension.InvalidEventType: invalid event type "ASK">',
        "  no registration either",
    ]


@pytest.mark.parametrize("route", ["invoke", "", None, ["next"]])
def test_a_route_that_does_not_exist_is_a_misuse(lambda_telemetry: LambdaTelemetry, route: Any) -> None:
    expected = (
        f"there is no route {route!r}; expect_rejection takes one of 'register', 'next', 'subscribe', 'init_error',"
    )
    with pytest.raises(MisuseError, match=f"^{re.escape(expected)}"):
        with lambda_telemetry.expect_rejection(route=route):
            pass


@pytest.mark.asyncio
async def test_the_async_object_expects_other_routes_too(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    async with async_lambda_telemetry.expect_rejection("InvalidEventType", route="register") as refused:
        with running(lambda: call(*CALLS["register"], {"events": ["ASK"]}, FIELDS)):
            pass
    assert refused.rejection.extension_name == "ext"


@pytest.mark.asyncio
async def test_the_async_object_expects_likewise(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    identifier = register()
    async with async_lambda_telemetry.expect_rejection("schemaVersion") as refused:
        with running(lambda: subscribe(identifier, {})):
            pass
    assert refused.rejection.extension_name == "ext"
    with pytest.raises(ProtocolViolation, match="there was none"):
        async with async_lambda_telemetry.expect_rejection(timeout=0):
            pass


@pytest.mark.parametrize(
    ("route", "error_type"),
    [
        ("register", "Extension.RegistrationClosed"),
        ("subscribe", "Telemetry.AccessDenied"),
        ("next", "Extension.InvalidExtensionState"),
    ],
)
def test_an_injected_403_names_an_error_of_its_route(
    lambda_telemetry: LambdaTelemetry, route: RouteName, error_type: str
) -> None:
    lambda_telemetry.reject_next(route, 403)
    path = {"register": f"{EXTENSION}/register", "subscribe": TELEMETRY, "next": f"{EXTENSION}/event/next"}[route]
    method = {"register": "POST", "subscribe": "PUT", "next": "GET"}[route]
    answer = call(method, path, {"events": []}, {"Lambda-Extension-Name": "ext"})
    assert (answer.status, answer.body["errorType"]) == (403, error_type)

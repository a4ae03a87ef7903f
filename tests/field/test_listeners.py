"""Mistakes of listeners: the test fails although nobody wrote an assertion; their sound twins stay green."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation, Retry, Settings, events
from tests.support.helpers import EXTENSION, IDENTIFIER, TELEMETRY, Listener, call, free_port, register, subscribe
from tests.support.helpers import subscribe_body as body_for

Life = Callable[[LambdaTelemetry, ExitStack], None]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def ends_with(life: Life, stack: ExitStack, **settings: float) -> str:
    """What the end of a test says of an extension that lived so; empty where it is green."""
    environment = LambdaTelemetry(
        Settings(extension_timeout_s=0.2, delivery_timeout_s=0.3, retry=Retry(initial_ms=100))
    )
    try:
        with environment:
            life(environment, stack)
    except ProtocolViolation as violation:
        return str(violation)
    return ""


def ship(environment: LambdaTelemetry, port: int, seconds: float = 1) -> None:
    """An extension subscribes with a listener on this port; a line is emitted, and so much time passes."""
    subscribe(register(), body_for(port, types=["function"], buffering={"timeoutMs": 100}))
    environment.emit(events.function("hello"))
    environment.advance(seconds=seconds)


# -- mistakes ----------------------------------------------------------------------------------------------------------


def answers_500_to_everything(environment: LambdaTelemetry, stack: ExitStack) -> None:
    ship(environment, stack.enter_context(Listener(lambda _number: 500)).port)


def answers_400_once_and_the_test_ends(environment: LambdaTelemetry, stack: ExitStack) -> None:
    ship(environment, stack.enter_context(Listener(lambda _number: 400)).port, seconds=0.1)


def never_listens(environment: LambdaTelemetry, _stack: ExitStack) -> None:
    ship(environment, free_port())


def listens_on_another_port(environment: LambdaTelemetry, stack: ExitStack) -> None:
    stack.enter_context(Listener())
    ship(environment, free_port())


def takes_a_batch_and_never_answers(environment: LambdaTelemetry, stack: ExitStack) -> None:
    silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    ship(environment, silent.getsockname()[1], seconds=0.1)


def subscribes_with_the_schema_version_in_the_path(environment: LambdaTelemetry, stack: ExitStack) -> None:
    port = stack.enter_context(Listener()).port
    call("PUT", "/2025-01-29/telemetry", body_for(port), {IDENTIFIER: register()})


def asks_for_next_with_post(environment: LambdaTelemetry, _stack: ExitStack) -> None:
    call("POST", f"{EXTENSION}/event/next", headers={IDENTIFIER: register()})


def asks_for_next_without_an_identifier(environment: LambdaTelemetry, _stack: ExitStack) -> None:
    register()
    call("GET", f"{EXTENSION}/event/next")


def subscribes_without_an_identifier(environment: LambdaTelemetry, _stack: ExitStack) -> None:
    call("PUT", TELEMETRY, body_for(4243))


@pytest.mark.parametrize(
    ("life", "says"),
    [
        (answers_500_to_everything, "answered 500 to the same batch"),
        (answers_400_once_and_the_test_ends, "was never acknowledged by http://sandbox.localdomain"),
        (never_listens, "nobody ever listened for the telemetry of extension 'ext'"),
        (listens_on_another_port, "nobody ever listened for the telemetry of extension 'ext'"),
        (takes_a_batch_and_never_answers, "took a batch and never answered"),
        (subscribes_with_the_schema_version_in_the_path, "Subscribe is PUT /2022-07-01/telemetry"),
        (asks_for_next_with_post, "It is GET /2020-01-01/extension/event/next."),
        (asks_for_next_without_an_identifier, "403 Extension.MissingExtensionIdentifier"),
        (subscribes_without_an_identifier, "403 Extension.MissingExtensionIdentifier"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_mistake_fails_the_test_by_itself(life: Life, says: str, stack: ExitStack) -> None:
    assert says in ends_with(life, stack)


# -- sound twins -------------------------------------------------------------------------------------------------------


def refuses_twice_and_recovers(environment: LambdaTelemetry, stack: ExitStack) -> None:
    ship(environment, stack.enter_context(Listener(lambda number: 503 if number < 3 else 200)).port)


def starts_to_listen_late(environment: LambdaTelemetry, stack: ExitStack) -> None:
    port = free_port()
    timer = threading.Timer(0.05, lambda: stack.enter_context(Listener(port=port)))
    timer.start()
    ship(environment, port)
    timer.join()


def fails_because_the_test_said_so(environment: LambdaTelemetry, stack: ExitStack) -> None:
    port = stack.enter_context(Listener()).port
    environment.fail_next_delivery(503, times=4)
    ship(environment, port, seconds=0.5)


def is_refused_because_the_test_said_so(environment: LambdaTelemetry, _stack: ExitStack) -> None:
    environment.reject_next("next", status=403)
    call("GET", f"{EXTENSION}/event/next", headers={IDENTIFIER: register()})


def is_refused_as_expected(environment: LambdaTelemetry, _stack: ExitStack) -> None:
    with environment.expect_rejection(route="next"):
        call("GET", f"{EXTENSION}/event/next")


def leaves_telemetry_in_the_buffer(environment: LambdaTelemetry, stack: ExitStack) -> None:
    subscribe(register(), body_for(stack.enter_context(Listener()).port))
    environment.emit(events.function("the test ends before it is due"))


@pytest.mark.parametrize(
    "life",
    [
        refuses_twice_and_recovers,
        starts_to_listen_late,
        fails_because_the_test_said_so,
        is_refused_because_the_test_said_so,
        is_refused_as_expected,
        leaves_telemetry_in_the_buffer,
    ],
    ids=lambda life: life.__name__,
)
def test_its_sound_twin_stays_green(life: Life, stack: ExitStack) -> None:
    assert ends_with(life, stack) == ""


def test_a_thread_of_an_extension_that_dies_is_quoted() -> None:
    def die() -> None:
        raise ValueError("no such field: requestId")

    def hook(_args: threading.ExceptHookArgs) -> None:
        """Whoever had the hook is told as before."""

    before, threading.excepthook = threading.excepthook, hook
    try:
        environment = LambdaTelemetry().__enter__()
        thread = threading.Thread(target=die, name="loop")
        thread.start()
        thread.join()
        with pytest.raises(ProtocolViolation, match=r"thread 'loop' of this process died: ValueError: no such field"):
            environment.__exit__(None, None, None)
        assert threading.excepthook is hook
    finally:
        threading.excepthook = before

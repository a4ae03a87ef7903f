"""What is suspicious and no violation: each warning with its text, its line and its sound twins, for which none comes.

Warnings are errors in these tests: where none is expected, none comes.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FunctionType

import pytest

from pytest_lambda_telemetry import (
    AsyncLambdaTelemetry,
    Invocation,
    LambdaTelemetry,
    LambdaTelemetryWarning,
    ProtocolViolation,
    Settings,
    events,
)
from tests.support.helpers import Listener, register, running, subscribe, subscribe_body
from tests.support.living import Living, Make, living

LOG = events.function("x")
NOBODY = (
    "emit() of 1 event reaches nobody: nothing is subscribed, and init is over. Subscribe before the first invoke() or"
    " end_init(), or do not emit"
)
UNUSED = (
    "fail_next_delivery(503) was never used: no delivery came after it. Ask for it ahead of what it is meant for, or"
    " leave it out"
)


@pytest.fixture
def extension() -> Iterator[Make]:
    with living() as make:
        yield make


def texts(told: pytest.WarningsRecorder) -> list[str]:
    assert all(warning.category is LambdaTelemetryWarning for warning in told)
    return [str(warning.message) for warning in told]


def lines(told: pytest.WarningsRecorder, function: Callable[..., object]) -> list[int]:
    """The lines of warnings, counted from the one of `def`; all are in this file."""
    assert {warning.filename for warning in told} <= {__file__}
    assert isinstance(function, FunctionType)
    return [warning.lineno - function.__code__.co_firstlineno for warning in told]


# -- fields that Lambda ignores ----------------------------------------------------------------------------------------


def subscribe_with(listener: Listener, identifier: str, **buffering: int) -> None:
    assert subscribe(identifier, subscribe_body(listener.port, buffering=buffering)).status == 200


def test_an_ignored_field_of_subscribe_is_told_by_the_next_call_once(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        identifier = register()
        subscribe_with(listener, identifier, timeout_ms=25)
        with pytest.warns(LambdaTelemetryWarning) as told:
            lambda_telemetry.advance(seconds=1)
        assert texts(told) == [
            "Subscribe of extension 'ext': buffering has the unknown field `timeout_ms`, which Lambda ignores (did"
            " you mean `timeoutMs`?); it knows `maxItems`, `maxBytes`, `timeoutMs`"
        ]
        assert lines(told, test_an_ignored_field_of_subscribe_is_told_by_the_next_call_once) == [5]
        subscribe_with(listener, identifier, timeout_ms=25, maxItems=1000)
        lambda_telemetry.advance(seconds=1)


def test_a_hostile_client_finds_no_end_of_warnings(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        subscribe_with(listener, register(), **{f"field{number}": 1 for number in range(1000)})
        with pytest.warns(LambdaTelemetryWarning) as told:
            lambda_telemetry.check()
        assert len(told) == 21  # twenty of them by name, and how many more there are


def test_the_fields_that_lambda_knows_bring_no_warning(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        subscribe_with(listener, register(), timeoutMs=25, maxItems=1000, maxBytes=262_144)
        lambda_telemetry.advance(seconds=1)


@pytest.mark.parametrize("call", ["wait_for_subscription", "check", "flush", "end_init", "invoke", "shutdown"])
def test_any_call_of_the_tests_tells_what_was_found_before(call: str) -> None:
    with Listener() as listener, LambdaTelemetry(Settings(extension_timeout_s=0.01)) as environment:
        subscribe_with(listener, register(events=[]), size=1)
        with pytest.warns(LambdaTelemetryWarning, match="unknown field `size`"):
            getattr(environment, call)()
        with suppress(ProtocolViolation):  # it never asked for its next event: not what this is about
            environment.check()


# -- emit that reaches nobody ------------------------------------------------------------------------------------------


def test_emitting_after_init_where_nothing_is_subscribed_is_told_once(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.emit(LOG)  # a later subscription gets it
    lambda_telemetry.end_init()
    lambda_telemetry.emit()
    with pytest.warns(LambdaTelemetryWarning) as told:
        lambda_telemetry.emit(LOG)
    assert texts(told) == [NOBODY]
    assert lines(told, test_emitting_after_init_where_nothing_is_subscribed_is_told_once) == [5]
    lambda_telemetry.emit(LOG, LOG)


def test_emitting_a_type_that_nobody_is_subscribed_to_is_told(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, ["platform", "extension"])
        lambda_telemetry.emit(LOG)
        lambda_telemetry.end_init()
        lambda_telemetry.emit(LOG, events.extension("y"))
        with pytest.warns(LambdaTelemetryWarning) as told:
            lambda_telemetry.emit(LOG, LOG)
        assert texts(told) == [
            "emit() of 2 events reaches nobody: nobody is subscribed to 'function', only to 'platform', 'extension',"
            " and init is over. Name it in the types of Subscribe, or do not emit it"
        ]


def test_after_a_restart_somebody_may_subscribe_again(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.end_init()
    lambda_telemetry.restart()
    lambda_telemetry.emit(LOG)


def test_invocations_without_a_subscriber_are_nothing_to_warn_of(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.invoke(logs=["x"])


def test_a_thread_that_emits_gets_no_warning_but_the_tests_next_call(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.end_init()
    failed: list[BaseException] = []

    def emit() -> None:
        try:
            lambda_telemetry.emit(LOG)
        except BaseException as error:
            failed.append(error)

    with running(emit) as thread:
        thread.join(10)
    assert failed == []
    with pytest.warns(LambdaTelemetryWarning, match="reaches nobody"):
        lambda_telemetry.flush()


@pytest.mark.asyncio
async def test_an_awaited_call_tells_at_its_line(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    await async_lambda_telemetry.end_init()
    with pytest.warns(LambdaTelemetryWarning) as told:
        await async_lambda_telemetry.emit(LOG)
    assert texts(told) == [NOBODY]
    assert lines(told, test_an_awaited_call_tells_at_its_line) == [4]


def test_a_warning_that_is_an_error_is_raised_by_the_call(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.end_init()
    with pytest.raises(LambdaTelemetryWarning, match="reaches nobody"):
        lambda_telemetry.emit(LOG)
    assert lambda_telemetry.advance(seconds=1) == ()


# -- next asked for too early ------------------------------------------------------------------------------------------


def test_asking_before_runtime_done_with_telemetry_left_behind_is_told(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    extension()
    lambda_telemetry.end_init()
    lambda_telemetry.flush()

    def invoke() -> Invocation:
        with lambda_telemetry.invocation(overhead_ms=0) as invocation:
            invocation.log("x")
            lambda_telemetry.wait_until_ready()  # it asks already
        return invocation

    with pytest.warns(LambdaTelemetryWarning) as told:
        invocation = invoke()
    assert texts(told) == [
        "extension 'ext' asked for its next event before platform.runtimeDone of invocation"
        f" {invocation.request_id}, and 3 events for it were still buffered when the environment froze. On Lambda what"
        " is buffered then comes with the next invocation or at shutdown, or never. Let it ask once it has got"
        " platform.runtimeDone, allow a larger overhead_ms, or expect telemetry to come late"
    ]
    (note,) = (entry for entry in lambda_telemetry.journal if "before runtimeDone" in entry.what)
    assert (note.kind, note.who) == ("note", "ext")
    invoke()


def test_an_extension_that_waits_for_runtime_done_is_sound(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext: Living = extension(
        on_event=lambda event: ext.wait_for("platform.runtimeDone", len(ext.told)), buffering={"timeoutMs": 25}
    )
    lambda_telemetry.invoke(logs=["x"], overhead_ms=0)
    lambda_telemetry.invoke(logs=["x"], overhead_ms=0)


def test_nothing_is_left_behind_where_the_call_lets_all_be_delivered(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    lambda_telemetry.invoke(logs=["x"])
    assert "platform.runtimeDone" in ext.types


def test_a_batch_that_would_not_have_come_in_time_anyway_is_no_reason_to_wait(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    extension(buffering={"timeoutMs": 30_000})
    lambda_telemetry.invoke(logs=["x"])
    lambda_telemetry.invoke(logs=["x"], overhead_ms=0)


# -- 202, and then silence ---------------------------------------------------------------------------------------------


def test_an_extension_that_is_silent_after_202_is_told(extension: Make) -> None:
    with LambdaTelemetry(Settings(local_testing=True, extension_timeout_s=0.01)) as environment:
        extension(asks=False)
        with pytest.warns(LambdaTelemetryWarning) as told:
            environment.end_init()
        assert texts(told) == [
            "extension 'ext' did not ask for its next event after its Subscribe was answered 202: there is no"
            " Telemetry API then (local_testing=True), and whoever waits for telemetry waits for ever. Let it ask for"
            " its next event without waiting for any"
        ]
        with pytest.raises(ProtocolViolation, match="extension-timeout"):
            environment.check()
        with pytest.warns(LambdaTelemetryWarning, match=r"over; Subscribe of extension 'ext' was answered 202 \(loc"):
            environment.emit(LOG)


def test_an_extension_that_goes_on_without_telemetry_is_sound(extension: Make) -> None:
    with LambdaTelemetry(Settings(local_testing=True)) as environment:
        extension()
        environment.invoke(logs=["x"])


# -- what was planned and never used -----------------------------------------------------------------------------------


def plan_in_vain(settings: Settings | None = None, error: type[Exception] | None = None) -> None:
    with LambdaTelemetry(settings) as environment:
        environment.fail_next_delivery(503)
        environment.check()  # it may still come to that
        if error:
            raise error


def test_a_fault_that_was_never_used_is_told_at_its_line_when_the_environment_ends() -> None:
    with pytest.warns(LambdaTelemetryWarning) as told:
        plan_in_vain()
    assert texts(told) == [UNUSED]
    assert lines(told, plan_in_vain) == [2]


def test_a_refusal_that_was_never_used_is_told_when_the_environment_is_closed() -> None:
    environment = LambdaTelemetry().__enter__()
    environment.reject_next("register", 500)
    with pytest.warns(LambdaTelemetryWarning, match=r"^reject_next\('register', 500\) was never used: no 'register' "):
        environment.close()
    environment.close()


def test_a_failure_goes_before_what_was_not_come_to() -> None:
    with pytest.raises(ZeroDivisionError):
        plan_in_vain(error=ZeroDivisionError)


def test_what_was_met_once_is_used(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri)
        lambda_telemetry.fail_next_delivery("refuse", times=1000)
        lambda_telemetry.reject_next("register", times=2)
        with lambda_telemetry.expect_rejection(route="register"), suppress(AssertionError):
            register()
        lambda_telemetry.emit(LOG)
        lambda_telemetry.advance(seconds=1)


@pytest.mark.asyncio
async def test_an_async_environment_tells_it_when_it_is_left() -> None:
    async def main() -> None:
        async with AsyncLambdaTelemetry() as environment:
            environment.fail_next_delivery(503)

    with pytest.warns(LambdaTelemetryWarning) as told:
        await main()
    assert texts(told) == [UNUSED]
    assert lines(told, main) == [2]


def test_several_are_one_error_with_the_lines_of_all() -> None:
    def fail_twice() -> None:
        with LambdaTelemetry() as environment:
            environment.fail_next_delivery(503)
            environment.reject_next("next")

    with pytest.raises(LambdaTelemetryWarning) as caught:
        fail_twice()
    line = fail_twice.__code__.co_firstlineno
    assert str(caught.value) == UNUSED
    assert caught.value.__notes__ == [
        f"at {__file__}:{line + 2}",
        "\nreject_next('next', 500) was never used: no 'next' call came after it. Ask for it ahead of what it is meant"
        f" for, or leave it out\nat {__file__}:{line + 3}",
    ]


def test_a_violation_goes_before_a_warning() -> None:
    def misbehave() -> None:
        with Listener() as listener, LambdaTelemetry() as environment:
            environment.fail_next_delivery(503)
            subscribe(register(api=environment.runtime_api), subscribe_body(listener.port, types=[]))

    with pytest.raises(ProtocolViolation):
        misbehave()


# -- strict ------------------------------------------------------------------------------------------------------------


@pytest.mark.lambda_telemetry(strict=False)
def test_where_nothing_is_strict_the_extension_is_not_warned_of(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    extension(buffering={"timeout_ms": 100})
    lambda_telemetry.invoke(logs=["x"], overhead_ms=0)


def test_where_nothing_is_strict_a_mistake_of_the_tests_own_is_told() -> None:
    with pytest.warns(LambdaTelemetryWarning, match="was never used"):
        plan_in_vain(Settings(strict=False))


def test_a_call_that_comes_when_the_test_is_over_tells_nothing(extension: Make) -> None:
    with LambdaTelemetry() as environment:
        ended = threading.Event()
        ext = extension(on_event=lambda _event: ended.set())
        environment.wait_until_ready()
    ext.join()
    assert not ended.is_set()

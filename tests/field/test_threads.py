"""What a thread that dies leaves as it was."""

import threading
from collections.abc import Callable

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation
from tests.support.helpers import EXTENSION, IDENTIFIER, call, register, running, subscribe, subscribe_body

OF_ITS_DEATH = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def test_whoever_had_the_hook_for_threads_has_it_again() -> None:
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


def ask(identifier: str) -> None:
    call("GET", f"{EXTENSION}/event/next", headers={IDENTIFIER: identifier})


def dies_of_invoke() -> None:
    ask(register())
    raise ValueError("no")


def dies_in_init() -> None:
    subscribe(register(), subscribe_body(9, buffering={"timeoutMs": 100}))
    raise ValueError("no")


@OF_ITS_DEATH
@pytest.mark.parametrize("ending", [LambdaTelemetry.end_init, LambdaTelemetry.invoke, LambdaTelemetry.shutdown])
@pytest.mark.parametrize("act", [dies_of_invoke, dies_in_init])
def test_nobody_waits_for_an_extension_whose_thread_has_died(
    lambda_telemetry: LambdaTelemetry, act: Callable[[], None], ending: Callable[[LambdaTelemetry], object]
) -> None:
    with running(act):
        lambda_telemetry.wait_until(lambda: lambda_telemetry.extensions)
        if act is dies_of_invoke:
            lambda_telemetry.wait_until_ready()
            lambda_telemetry.invoke()
    if act is dies_in_init or ending is not LambdaTelemetry.end_init:
        ending(lambda_telemetry)
    with pytest.raises(ProtocolViolation) as caught:
        lambda_telemetry.check()
    assert "died: ValueError: no" in str(caught.value)
    assert "extension-timeout" not in str(caught.value)


@OF_ITS_DEATH
def test_one_that_goes_on_in_another_thread_is_waited_for(lambda_telemetry: LambdaTelemetry) -> None:
    identifier: list[str] = []

    def begin() -> None:
        identifier.append(register())
        raise ValueError("no")

    with running(begin):
        pass
    with pytest.raises(ProtocolViolation, match="died: ValueError: no"):
        lambda_telemetry.check()
    with running(lambda: ask(identifier[0])):
        lambda_telemetry.wait_until_ready()
        with lambda_telemetry.invocation() as invocation:
            lambda_telemetry.wait_until(lambda: lambda_telemetry.extensions[0].state == "Running")
            with running(lambda: ask(identifier[0])):
                lambda_telemetry.wait_until_ready()
                lambda_telemetry.shutdown()
    assert invocation.outcome == "completed"

"""What a thread that dies leaves as it was."""

import threading

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation


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

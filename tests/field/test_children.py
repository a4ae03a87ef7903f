"""What children do to the calls of a test, beyond what the rows say."""

from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation, Settings, WaitTimeout
from tests.support.programs import program


def test_end_init_waits_for_every_child_that_was_started(tmp_path: Path) -> None:
    slow = "time.sleep(0.2); until_shutdown(register('slow.py'))"
    with LambdaTelemetry() as environment:
        environment.run_extension(program(tmp_path, "until_shutdown(register('ext.py'))"))
        environment.run_extension(program(tmp_path, slow, "slow.py"))
        environment.end_init()
        assert {one.name: one.state for one in environment.extensions} == {"ext.py": "Ready", "slow.py": "Ready"}


def test_a_crash_ends_a_wait_at_once_also_where_nothing_is_strict(tmp_path: Path) -> None:
    with LambdaTelemetry(Settings(strict=False)) as environment:
        environment.run_extension(program(tmp_path, "register('ext.py'); sys.exit(7)"))
        with pytest.raises(WaitTimeout, match="ended by itself with exit code 7"):
            environment.wait_until_ready(timeout=60)


SILENT = "me = register('ext.py'); say('one'); say('two'); next_event(me); for_ever()"
DEAF = "me = register('ext.py'); subscribe(me, 9); say('up'); until_shutdown(me)"


@pytest.mark.parametrize(
    ("body", "ending"),
    [
        (SILENT, "extension_timeout_s allows more time.\n  Its last output:\n    one\n    two"),
        (DEAF, "is it the right port?\n  Its last output:\n    up"),
    ],
    ids=["does not ask", "never listens"],
)
def test_what_a_child_did_wrong_is_told_with_its_last_output(tmp_path: Path, body: str, ending: str) -> None:
    def invoke_once() -> None:
        with LambdaTelemetry(Settings(extension_timeout_s=0.5, shutdown_timeout_s=0.3)) as environment:
            child = environment.run_extension(program(tmp_path, body))
            environment.wait_until_ready("ext.py", timeout=30)
            environment.wait_until(lambda: child.output, timeout=30)
            environment.invoke()
            environment.shutdown()

    with pytest.raises(ProtocolViolation) as caught:
        invoke_once()
    assert any(text.endswith(ending) for text in str(caught.value).split("\n\n"))

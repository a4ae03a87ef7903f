"""What children do to the calls of a test, beyond what the rows say."""

from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, Settings, WaitTimeout
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

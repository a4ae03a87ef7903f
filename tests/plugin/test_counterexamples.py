"""What a person reads when a property does not hold: one small example, and what happened in it."""

import pytest

from tests.plugin.conftest import Run

PLUGIN = ("-p", "_hypothesis_pytestplugin")
GIVEN = """
from hypothesis import HealthCheck, given, settings
from pytest_lambda_telemetry import strategies

checked = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""


@pytest.fixture(autouse=True)
def with_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")


def test_a_violation_in_a_block_is_shrunk_to_one_wrong_field(run: Run) -> None:
    result = run(
        GIVEN
        + """
@checked
@given(body=strategies.subscribe_bodies(valid=False))
def test_property(lambda_telemetry, body):
    with lambda_telemetry.fresh():
        subscribe(register(), body)
""",
        *PLUGIN,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *ProtocolViolation: Subscribe from extension 'ext' was refused: 400 *"])
    shown = result.stdout.str().partition("Failing test case: ")[2] or result.stdout.str().partition("Falsifying")[2]
    assert len(shown.partition("body={")[2].partition("\n\n")[0]) < 400
    assert shown.count("+0.000s  ext     POST /2020-01-01/extension/register  200") == 1


def test_a_line_is_shrunk_and_what_happened_is_shown(run: Run) -> None:
    result = run(
        GIVEN
        + """
@checked
@given(event=strategies.events(["function"]))
def test_property(lambda_telemetry, event):
    with Listener() as listener, lambda_telemetry.fresh() as environment:
        environment.subscribe(listener.uri)
        environment.emit(event)
        environment.flush()
        assert not (isinstance(event.record, str) and len(event.record) >= 2)
""",
        *PLUGIN,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*event=function('00'),*"])
    result.stdout.fnmatch_lines(
        [
            "the latest environment of fresh():",
            "+0.000s  test-extension  registered by hand",
            "+0.000s  test-extension  subscribed by hand",
            "+0.000s  test            function            '00'",
        ]
    )


def test_an_environment_that_no_test_owns_needs_no_health_check_suppressed(run: Run) -> None:
    source = (
        GIVEN
        + """
@pytest.fixture(scope="module")
def shared(lambda_telemetry_factory):
    with lambda_telemetry_factory() as environment:
        yield environment

@settings(checked, suppress_health_check=[])
@given(body=strategies.subscribe_bodies(port=4243))
def test_shared(shared, body):
    with shared.fresh(strict=False):
        assert subscribe(register(), body).status == 200

@settings(checked, suppress_health_check=[])
@given(body=strategies.subscribe_bodies())
def test_own(lambda_telemetry, body): pass
"""
    )
    result = run(source, *PLUGIN)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*FailedHealthCheck: *function-scoped fixture*"])


def test_a_script_is_shown_as_the_call_that_makes_it(run: Run) -> None:
    result = run(
        GIVEN
        + """
@checked
@given(script=strategies.scripts(), batch=strategies.batches(["platform.report"]))
def test_property(script, batch):
    assert len(script) < 10
""",
        *PLUGIN,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*script=*(*", "*batch=[[]platform_report()],*"])

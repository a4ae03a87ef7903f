"""What pytest shows of a LambdaTelemetryWarning: it belongs to the test that caused it, and breaks nothing else."""

from tests.plugin.conftest import Run

PLANNED = """
from pytest_lambda_telemetry import events

ended = []

@pytest.fixture
def other(lambda_telemetry):
    yield
    ended.append(1)

def test_planned(lambda_telemetry, other):
    lambda_telemetry.fail_next_delivery(503)

def test_other(lambda_telemetry, other):
    assert ended == [1]
"""


def test_a_warning_is_shown_at_its_test_with_the_line_that_caused_it(run: Run) -> None:
    result = run(PLANNED, "-W", "default")
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_planned",
            "  *test_it.py:14: LambdaTelemetryWarning: fail_next_delivery(503) was never used: no delivery came after"
            " it. Ask for it ahead of what it is meant for, or leave it out",
        ]
    )


def test_where_warnings_are_errors_it_fails_its_test_alone_and_clearly(run: Run) -> None:
    result = run(PLANNED)
    result.assert_outcomes(passed=2, errors=1)
    shown = result.outlines[
        next(n for n, line in enumerate(result.outlines) if "ERROR at teardown of test_pl" in line) :
    ]
    told = [line for line in shown if line.startswith("E ")]
    assert told[0].startswith(
        "E   pytest_lambda_telemetry.LambdaTelemetryWarning: fail_next_delivery(503) was never used"
    )
    assert told[1].startswith("E   at ")
    assert told[1].endswith("test_it.py:14")
    assert len(told) == 2


def test_a_filter_of_the_tests_own_silences_it(run: Run) -> None:
    result = run(
        "@pytest.mark.filterwarnings('ignore::pytest_lambda_telemetry.LambdaTelemetryWarning')\n"
        "def test_a(lambda_telemetry):\n    lambda_telemetry.fail_next_delivery(503)\n"
    )
    result.assert_outcomes(passed=1)


def test_what_has_no_line_of_its_own_is_told_at_the_test(run: Run) -> None:
    result = run(
        "def test_a(lambda_telemetry):\n"
        "    assert subscribe(register(), subscribe_body(4243, buffering={'timeout_ms': 25})).status == 200\n",
        "-W",
        "default",
    )
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["test_it.py::test_a", "  *test_it.py:3: LambdaTelemetryWarning: Subscribe of extension 'ext': buffering has*"]
    )


def test_an_error_of_a_call_points_to_the_line_of_the_test(run: Run) -> None:
    result = run(
        "from pytest_lambda_telemetry import events\n"
        "def test_a(lambda_telemetry):\n"
        "    lambda_telemetry.end_init()\n"
        "    lambda_telemetry.emit(events.function('x'))\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["test_it.py:6: LambdaTelemetryWarning"])
    result.stdout.no_fnmatch_line("*suspicions.py*")


def test_a_failed_test_has_no_second_error_of_a_warning(run: Run) -> None:
    result = run(
        "def test_a(lambda_telemetry):\n"
        "    lambda_telemetry.fail_next_delivery(503)\n"
        "    subscribe(register(), subscribe_body(4243, buffering={'timeout_ms': 25}))\n"
        "    assert 0\n"
    )
    result.assert_outcomes(failed=1)


def test_another_fixtures_failing_teardown_hides_no_warning(run: Run) -> None:
    result = run(
        "@pytest.fixture\n"
        "def broken():\n    yield\n    raise KeyError\n"
        "def test_a(broken, lambda_telemetry):\n"
        "    subscribe(register(), subscribe_body(4243, buffering={'timeout_ms': 25}))\n",
        "-W",
        "default",
    )
    result.assert_outcomes(passed=1, errors=1, warnings=1)


def test_a_users_fixture_may_call_at_the_end_and_gets_no_error(run: Run) -> None:
    result = run(
        "ended = []\n"
        "@pytest.fixture\n"
        "def extension(lambda_telemetry):\n"
        "    yield\n"
        "    lambda_telemetry.shutdown()\n"
        "    ended.append(1)\n"
        "def test_a(extension):\n"
        "    subscribe(register(), subscribe_body(4243, buffering={'timeout_ms': 25}))\n"
        "def test_b():\n    assert ended == [1]\n"
    )
    result.assert_outcomes(passed=2, errors=1)


def test_a_wide_environment_tells_what_was_never_used_when_it_ends(run: Run) -> None:
    result = run(
        "@pytest.fixture(scope='module')\n"
        "def environment(lambda_telemetry_factory):\n"
        "    with lambda_telemetry_factory() as made:\n        yield made\n"
        "def test_a(environment):\n    environment.reject_next('register')\n"
        "def test_b(environment):\n    pass\n",
        "-W",
        "default",
    )
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(
        ["test_it.py::test_b", "  *test_it.py:8: LambdaTelemetryWarning: reject_next('register', 500) *"]
    )

"""What a test can choose, where, and what it is told when the choice is none; and what pytest lists."""

import pytest

from tests.plugin.conftest import Run

VALID = (
    "valid settings: function_name, function_version, handler, account_id, region, runtime, tracing, memory_mb,"
    " timeout_s, initialization_type, fidelity, log_format, clock, start, platform_events, local_testing,"
    " allow_loopback_destination, internal_extensions, strict, retry, delivery_timeout_s, extension_timeout_s,"
    " shutdown_timeout_s"
)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("fidelty='observed'", f"there is no setting 'fidelty'; did you mean 'fidelity'? {VALID}"),
        ("zzz='red'", f"there is no setting 'zzz'; {VALID}"),
        ("fidelity='obsrved'", "fidelity='obsrved' is not valid: it must be one of 'documented', 'observed'"),
        ("timeout_s=-1", "timeout_s=-1 is not valid: it must be a number of seconds above 0"),
    ],
)
def test_a_bad_mark_fails_that_test_with_one_line(run: Run, arguments: str, told: str) -> None:
    result = run(
        f"@pytest.mark.lambda_telemetry({arguments})\ndef test_a(lambda_telemetry): pass\n"
        "def test_b(lambda_telemetry): pass"
    )
    result.assert_outcomes(passed=1, errors=1)
    place = result.outlines.index(next(line for line in result.outlines if "ERROR at setup of test_a" in line))
    assert result.outlines[place + 1] == f"@pytest.mark.lambda_telemetry: {told}"
    assert result.outlines[place + 2].startswith("====")


def test_a_bad_mark_fails_a_test_without_our_fixtures_too(run: Run) -> None:
    result = run(
        "@pytest.mark.lambda_telemetry(nope=1)\ndef test_a(): pass\n"
        "@pytest.mark.lambda_telemetry(strict=False)\ndef test_b(): pass"
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["@pytest.mark.lambda_telemetry: there is no setting 'nope'; valid settings: *"])


def test_a_mark_takes_no_positions(run: Run) -> None:
    result = run("@pytest.mark.lambda_telemetry('observed')\ndef test_a(lambda_telemetry): pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["@pytest.mark.lambda_telemetry takes settings by name only, not ('observed',)"])


def test_a_settings_fixture_must_return_settings(run: Run) -> None:
    result = run(
        "@pytest.fixture\ndef lambda_telemetry_settings(): return {'strict': False}\n"
        "def test_a(lambda_telemetry): pass\n"
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the fixture lambda_telemetry_settings returned {'strict': False}, not a Settings*"])


def test_the_closest_choice_wins_field_by_field(run: Run) -> None:
    result = run(
        """
from pytest_lambda_telemetry import Settings
pytestmark = pytest.mark.lambda_telemetry(region="module", handler="module", function_version="module")

@pytest.fixture
def lambda_telemetry_settings():
    return Settings(region="fixture", account_id="fixture", handler="fixture", function_version="fixture")

def answer(lambda_telemetry, accept="accountId"):
    headers = {"Lambda-Extension-Name": "ext", "Lambda-Extension-Accept-Feature": accept}
    body = call("POST", f"{EXTENSION}/register", {"events": []}, headers).body
    return os.environ["AWS_REGION"], body["functionVersion"], body["handler"], body["accountId"], body["functionName"]

@pytest.mark.lambda_telemetry(handler="class", function_version="class")
class TestThings:
    @pytest.mark.lambda_telemetry(handler="method")
    def test_method(self, lambda_telemetry):
        assert answer(lambda_telemetry) == ("module", "class", "method", "fixture", "test-function")

    def test_class(self, lambda_telemetry):
        assert answer(lambda_telemetry) == ("module", "class", "class", "fixture", "test-function")

def test_module(lambda_telemetry):
    assert answer(lambda_telemetry) == ("module", "module", "module", "fixture", "test-function")

@pytest.mark.parametrize("_", [pytest.param(1, marks=pytest.mark.lambda_telemetry(handler="parameter"))])
@pytest.mark.lambda_telemetry(function_version="function")
def test_parameter(lambda_telemetry, _):
    assert answer(lambda_telemetry) == ("module", "function", "parameter", "fixture", "test-function")
"""
    )
    result.assert_outcomes(passed=4)


def test_a_settings_fixture_can_build_on_the_default_one(run: Run) -> None:
    result = run(
        "import dataclasses\n"
        "@pytest.fixture\n"
        "def lambda_telemetry_settings(lambda_telemetry_settings):\n"
        "    return dataclasses.replace(lambda_telemetry_settings, region='eu-west-1')\n"
        "def test_a(lambda_telemetry): assert os.environ['AWS_REGION'] == 'eu-west-1'\n"
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("lambda_telemetry_port=65536", "'65536' is not valid: it must be a whole number, 0 to 65535"),
        ("lambda_telemetry_port=-1", "'-1' is not valid: it must be a whole number, 0 to 65535"),
        ("lambda_telemetry_port=http", "'http' is not valid: it must be a whole number, 0 to 65535"),
        ("lambda_telemetry_journal_limit=0", "'0' is not valid: it must be a whole number, 1 or more"),
        ("lambda_telemetry_journal_limit=1.5", "'1.5' is not valid: it must be a whole number, 1 or more"),
    ],
)
def test_a_bad_ini_option_stops_the_session(run: Run, option: str, told: str) -> None:
    result = run("def test_a(): pass", "-o", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {option.split('=')[0]} = {told}" in result.errlines


def test_the_journal_limit_holds(run: Run) -> None:
    result = run(
        "@pytest.mark.lambda_telemetry(strict=False)\n"
        "def test_a(lambda_telemetry):\n"
        "    for _ in range(20): call('GET', '/x')\n"
        "    assert len(lambda_telemetry.journal) == 5\n"
        "    assert lambda_telemetry.timeline().startswith('(15 older entries were let go)\\n')\n",
        *("-o", "lambda_telemetry_journal_limit=5"),
    )
    result.assert_outcomes(passed=1)


def test_pytest_lists_the_fixtures_the_mark_and_the_options(run: Run) -> None:
    result = run("", "--fixtures")
    result.stdout.fnmatch_lines_random(
        [
            "lambda_telemetry -- *fixtures.py:*",
            "    A fake AWS Lambda execution environment, which an extension under test finds through"
            " AWS_LAMBDA_RUNTIME_API.",
            "async_lambda_telemetry -- *fixtures.py:*",
            "    The same environment as `lambda_telemetry` for async tests: calls that wait are coroutines.",
            "lambda_telemetry_factory [[]session scope[]] -- *fixtures.py:*",
            "    Makes started environments, each at an address of its own: `lambda_telemetry_factory(**settings)`.",
            "lambda_telemetry_settings -- *fixtures.py:*",
            "    Settings of the fake AWS Lambda environments of this test: override it in a conftest *",
        ]
    )
    result = run("", "--markers")
    result.stdout.fnmatch_lines(
        [
            "@pytest.mark.lambda_telemetry(**settings): settings of the fake AWS Lambda environment for this test, such"
            " as fidelity='observed', clock='freezegun', strict=False or local_testing=True. The closest mark wins,"
            " field by field, then the lambda_telemetry_settings fixture, then Lambda's defaults."
        ]
    )
    result = run("", "--help")
    result.stdout.fnmatch_lines(["  lambda_telemetry_port (string):", "  lambda_telemetry_journal_limit (string):"])


def test_a_typo_in_the_name_of_the_mark_is_pytests_to_find(run: Run) -> None:
    result = run("@pytest.mark.lambda_telemetri()\ndef test_a(): pass", "--strict-markers")
    result.stdout.fnmatch_lines(["'lambda_telemetri' not found in `markers` configuration option"])


def test_a_port_that_is_taken_is_told(run: Run) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("def test_a(lambda_telemetry): pass", "-o", f"lambda_telemetry_port={port}", subprocess=True)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"E *MisuseError: the fake Lambda API cannot listen on 127.0.0.1:{port}: *Address already in use;*"]
    )

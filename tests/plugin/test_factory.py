"""Environments of wider scopes, several at once, and whose failure a violation is."""

from tests.plugin.conftest import Run

MODULE_SCOPED = """
@pytest.fixture(scope="{scope}")
def environment(lambda_telemetry_factory):
    with lambda_telemetry_factory(function_name="wide") as environment:
        yield environment

@pytest.fixture(scope="{scope}")
def identifier(environment):
    return register()
"""


def test_an_environment_of_a_wider_scope_lives_through_its_tests(run: Run) -> None:
    for scope in ("module", "session", "class", "function"):
        result = run(
            MODULE_SCOPED.format(scope=scope)
            + """
class TestWide:
    def test_a(self, environment, identifier):
        assert os.environ["AWS_LAMBDA_RUNTIME_API"] == environment.runtime_api
        assert os.environ["AWS_LAMBDA_FUNCTION_NAME"] == "wide"
        subscribe(identifier, subscribe_body(4243))
    def test_b(self, environment, identifier):
        subscribe(identifier, subscribe_body(4243))
        assert len(environment.subscriptions) == 1

def test_z():
    pass
"""
        )
        result.assert_outcomes(passed=3)


def test_a_violation_belongs_to_the_test_during_which_it_happened(run: Run) -> None:
    result = run(
        MODULE_SCOPED.format(scope="module")
        + """
def test_a(environment, identifier): pass
def test_b(environment, identifier): subscribe(identifier, {})
def test_c(environment, identifier): pass
def test_d(environment): assert 0
def test_e(environment):
    register("another")
    assert 0
"""
    )
    result.assert_outcomes(passed=3, errors=1, failed=2)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_b*", "E *was refused: 400 ValidationError"])
    assert sum("- AWS Lambda telemetry -" in line for line in result.outlines) == 2
    result.stdout.fnmatch_lines(
        ["*_ test_d _*", "*_ test_e _*", "*- AWS Lambda telemetry -*", "*another*POST *register*"]
    )


def test_a_violation_in_the_setup_of_a_wide_fixture_belongs_to_the_first_test(run: Run) -> None:
    result = run(
        """
@pytest.fixture(scope="module")
def environment(lambda_telemetry_factory):
    with lambda_telemetry_factory() as environment:
        refused()
        yield environment
def test_a(environment): pass
def test_b(environment): pass
"""
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_a*"])


def test_a_violation_while_the_wide_fixture_ends_belongs_to_the_last_test(run: Run) -> None:
    result = run(
        """
@pytest.fixture(scope="module")
def environment(lambda_telemetry_factory):
    environment = lambda_telemetry_factory()
    with environment:
        yield environment
        refused()
def test_a(environment): pass
def test_b(environment): pass
"""
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_b*", "E*types should not be empty*"])


def test_a_violation_between_two_tests_is_not_lost(run: Run) -> None:
    result = run(
        MODULE_SCOPED.format(scope="session")
        + """
def test_a(environment): pass
def test_b(environment): pass
""",
        conftest="""
import pytest
@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish(nodeid):
    from tools import refused
    if nodeid.endswith("test_a"):
        refused()
""",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_b*"])


def test_strict_is_a_setting_of_each(run: Run) -> None:
    result = run(
        """
def test_a(lambda_telemetry_factory):
    with lambda_telemetry_factory(strict=False):
        refused()
"""
    )
    result.assert_outcomes(passed=1)


def test_two_environments_at_once_know_nothing_of_each_other(run: Run) -> None:
    result = run(
        """
def test_a(lambda_telemetry, lambda_telemetry_factory):
    first = os.environ["AWS_LAMBDA_RUNTIME_API"]
    with lambda_telemetry_factory(region="eu-west-1") as other:
        assert os.environ["AWS_LAMBDA_RUNTIME_API"] == other.runtime_api != first
        assert os.environ["AWS_REGION"] == "eu-west-1"
        theirs = register("theirs")
        ours = register("ours", api=first)
        assert [one.name for one in other.extensions] == ["theirs"]
        assert [one.name for one in lambda_telemetry.extensions] == ["ours"]
        with other.expect_rejection():
            assert subscribe(ours, subscribe_body(4243)).status == 403
        other.emit()
        other.advance(ms=500)
        assert lambda_telemetry.elapsed.total_seconds() == 0
    assert os.environ["AWS_LAMBDA_RUNTIME_API"] == first
    assert os.environ["AWS_REGION"] == "us-east-1"
"""
    )
    result.assert_outcomes(passed=1)


def test_an_environment_that_was_not_entered_serves_but_owns_no_variable(run: Run) -> None:
    result = run(
        """
def test_a(lambda_telemetry_factory):
    environment = lambda_telemetry_factory()
    assert "AWS_LAMBDA_RUNTIME_API" not in os.environ
    register(api=environment.runtime_api)
    with environment:
        assert os.environ["AWS_LAMBDA_RUNTIME_API"] == environment.runtime_api
    assert "AWS_LAMBDA_RUNTIME_API" not in os.environ
    with pytest.raises(Exception, match="this environment is closed"):
        environment.flush()
"""
    )
    result.assert_outcomes(passed=1)


def test_what_nobody_closed_is_closed_with_the_session(run: Run) -> None:
    result = run(
        """
import threading
made = []
def test_a(lambda_telemetry_factory):
    environment = lambda_telemetry_factory()
    made.append(environment)
    identifier = register(api=environment.runtime_api)
    thread = threading.Thread(target=call, args=("GET", f"{EXTENSION}/event/next", None, {IDENTIFIER: identifier}),
                              kwargs={"api": environment.runtime_api})
    thread.start()
    made.append(thread)
    environment.wait_until_ready()
""",
        conftest="""
def pytest_unconfigure():
    import test_it
    environment, thread = test_it.made
    thread.join(5)
    print("ended" if not thread.is_alive() else "alive", environment)
""",
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["ended <LambdaTelemetry closed *lambda_telemetry_factory-1*"])


def test_a_bad_option_of_the_factory_is_told_with_the_valid_ones(run: Run) -> None:
    result = run("def test_a(lambda_telemetry_factory): lambda_telemetry_factory(fidelty='observed')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*MisuseError: there is no setting 'fidelty'; did you mean 'fidelity'?*"])
    result.stdout.fnmatch_lines(["test_it.py:3: MisuseError"])


def test_an_environment_is_entered_once(run: Run) -> None:
    result = run(
        "from pytest_lambda_telemetry import MisuseError\n"
        "def test_a(lambda_telemetry_factory):\n"
        "    with lambda_telemetry_factory() as environment:\n"
        "        with pytest.raises(MisuseError, match='entered already'):\n"
        "            environment.__enter__()\n"
    )
    result.assert_outcomes(passed=1)

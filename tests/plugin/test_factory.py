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
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_b*", "E *was refused: 400 ValidationError: *"])
    assert sum("- AWS Lambda telemetry -" in line for line in result.outlines) == 2
    result.stdout.fnmatch_lines(
        ["*_ test_d _*", "*_ test_e _*", "*- AWS Lambda telemetry -*", "*another*POST *register*"]
    )


LOOKED_AT = """
import sys
from pytest_lambda_telemetry import events

PATH = {"PYTHONPATH": os.getcwd()}

@pytest.fixture(scope="class")
def environment(lambda_telemetry_factory):
    with lambda_telemetry_factory(allow_loopback_destination=True, extension_timeout_s=0.1) as environment:
        yield environment

class TestAnswers500:
    def test_guilty(self, environment):
        with Listener(lambda number: 500) as listener:
            environment.subscribe(listener.uri)
            environment.invoke(logs=["x"])
    def test_innocent(self, environment): pass

class TestNeverListens:
    def test_guilty(self, environment):
        subscribe(register(), subscribe_body(9, buffering={"timeoutMs": 100}))
        environment.advance(ms=200)
    def test_innocent(self, environment): pass

class TestStopsListening:
    def test_guilty(self, environment):
        with Listener() as listener:
            environment.subscribe(listener.uri)
            environment.invoke(logs=["x"])
        environment.invoke(logs=["y"])
    def test_innocent(self, environment): pass

class TestCrashes:
    def test_guilty(self, environment):
        code = "import sys; from extension_helpers import register; register('ext'); sys.exit(4)"
        environment.run_extension([sys.executable, "-c", code], name="ext", env=PATH).wait(30)
    def test_innocent(self, environment): pass

class TestNeverRegisters:
    def test_guilty(self, environment):
        environment.run_extension([sys.executable, "-c", "pass"], name="ext").wait(30)
    def test_innocent(self, environment): pass

class TestRecovers:
    def test_soon(self, environment):
        environment.listener = Listener(lambda number: 503 if number == 1 else 200)
        environment.subscribe(environment.listener.uri)
        environment.emit(events.function("x"))
        environment.flush()
    def test_later(self, environment):
        environment.flush()
        environment.listener.close()
        assert environment.records() == ("x",)
"""


def test_what_shows_only_when_somebody_looks_belongs_to_the_test_during_which_it_happened(run: Run) -> None:
    result = run(LOOKED_AT)
    result.assert_outcomes(passed=12, errors=5)
    for name in ("Answers500", "NeverListens", "StopsListening", "Crashes", "NeverRegisters"):
        result.stdout.fnmatch_lines_random([f"ERROR test_it.py::Test{name}::test_guilty*"])


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


# --- the settings of an override --------------------------------------------------------------------------------------

OVERRIDE = """
import pytest
from pytest_lambda_telemetry import Settings

@pytest.fixture
def lambda_telemetry_settings():
    return Settings(function_name="conftest", region="eu-west-1")
"""


def test_the_factory_honours_the_settings_fixture_of_a_conftest(run: Run) -> None:
    for scope in ("session", "module", "class", "function"):
        result = run(
            f"""
@pytest.fixture(scope="{scope}")
def environment(lambda_telemetry_factory):
    with lambda_telemetry_factory(region="us-west-2") as environment:
        yield environment

def test_a(environment):
    assert os.environ["AWS_LAMBDA_FUNCTION_NAME"] == "conftest"
    assert os.environ["AWS_REGION"] == "us-west-2"

def test_b(lambda_telemetry_factory):
    with lambda_telemetry_factory():
        assert os.environ["AWS_REGION"] == "eu-west-1"
""",
            conftest=OVERRIDE,
        )
        result.assert_outcomes(passed=2)


def test_the_settings_fixture_may_need_whatever_a_test_needs(run: Run) -> None:
    result = run(
        """
import dataclasses

@pytest.fixture(params=["one", "two"])
def lambda_telemetry_settings(lambda_telemetry_settings, tmp_path, request):
    yield dataclasses.replace(lambda_telemetry_settings, function_name=request.param, handler=tmp_path.name)

@pytest.fixture(scope="module")
def first(lambda_telemetry_factory):
    return lambda_telemetry_factory()

def test_a(lambda_telemetry, lambda_telemetry_factory, first, request):
    expected = request.node.callspec.params["lambda_telemetry_settings"]
    other = lambda_telemetry_factory()
    assert other.env["AWS_LAMBDA_FUNCTION_NAME"] == lambda_telemetry.env["AWS_LAMBDA_FUNCTION_NAME"] == expected
    assert other.env["AWS_REGION"] == "eu-west-1"
    assert first.env["AWS_LAMBDA_FUNCTION_NAME"] == "one"  # of the test during which it was made
""",
        "-p",
        "no:randomly",
        conftest=OVERRIDE,
    )
    result.assert_outcomes(passed=2)


def test_each_module_has_the_settings_of_its_own(run: Run) -> None:
    result = run(
        """
@pytest.fixture
def lambda_telemetry_settings(lambda_telemetry_settings):
    from pytest_lambda_telemetry import Settings
    return Settings(function_name="module")

@pytest.fixture(scope="module")
def environment(lambda_telemetry_factory):
    return lambda_telemetry_factory()

def test_a(environment): assert environment.env["AWS_LAMBDA_FUNCTION_NAME"] == "module"
""",
        "test_other.py",
        conftest=OVERRIDE,
        test_other="""
def test_b(lambda_telemetry_factory):
    assert lambda_telemetry_factory().env["AWS_LAMBDA_FUNCTION_NAME"] == "conftest"
""",
    )
    result.assert_outcomes(passed=2)


def test_marks_concern_the_environment_of_their_own_test(run: Run) -> None:
    result = run(
        """
@pytest.mark.lambda_telemetry(region="eu-north-1")
def test_a(lambda_telemetry, lambda_telemetry_factory):
    assert lambda_telemetry.env["AWS_REGION"] == "eu-north-1"
    assert lambda_telemetry_factory().env["AWS_REGION"] == "us-east-1"
"""
    )
    result.assert_outcomes(passed=1)


def test_an_environment_can_be_made_where_no_test_runs(run: Run) -> None:
    result = run(
        """
@pytest.fixture(scope="module")
def late(lambda_telemetry_factory):
    yield
    with lambda_telemetry_factory(strict=False) as environment:
        print("late:", environment.env["AWS_LAMBDA_FUNCTION_NAME"])

def test_a(late, lambda_telemetry_factory):
    lambda_telemetry_factory()
""",
        "-s",
        conftest=OVERRIDE,
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*late: conftest"])


def test_settings_that_need_the_environment_they_configure_are_told(run: Run) -> None:
    result = run(
        """
@pytest.fixture
def environment(lambda_telemetry_factory):
    return lambda_telemetry_factory()

@pytest.fixture
def lambda_telemetry_settings(environment): pass

def test_a(environment): pass
"""
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["E*MisuseError: the fixture lambda_telemetry_settings needs an environment of lambda_telemetry_factory, *"]
    )


def test_the_factory_tells_a_settings_fixture_that_gives_none(run: Run) -> None:
    result = run(
        "@pytest.fixture\n"
        "def lambda_telemetry_settings(): return {'strict': False}\n"
        "def test_a(lambda_telemetry_factory): lambda_telemetry_factory()\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*the fixture lambda_telemetry_settings returned {'strict': False}, not a Settings*"])


def test_the_factory_takes_settings_by_name_only(run: Run) -> None:
    result = run(
        """
from pytest_lambda_telemetry import MisuseError, Settings
def test_a(lambda_telemetry_factory):
    with pytest.raises(MisuseError, match="takes settings by name only, not .Settings.*; pass them as in"):
        lambda_telemetry_factory(Settings())
    for wrong in (None, 1, "yes", []):
        with pytest.raises(MisuseError, match="^asynchronous=.* is not valid: it must be True or False$"):
            lambda_telemetry_factory(asynchronous=wrong)
"""
    )
    result.assert_outcomes(passed=1)


# --- for async tests --------------------------------------------------------------------------------------------------


def test_the_factory_makes_async_environments(run: Run) -> None:
    result = run(
        """
import asyncio
from pytest_lambda_telemetry import AsyncLambdaTelemetry, LambdaTelemetry, ProtocolViolation, events

def test_a(lambda_telemetry_factory):
    async def main():
        async with lambda_telemetry_factory(asynchronous=True, function_name="wide") as environment:
            assert type(environment) is AsyncLambdaTelemetry
            assert os.environ["AWS_LAMBDA_FUNCTION_NAME"] == "wide"
            with Listener() as listener:
                environment.subscribe(listener.uri)
                await environment.emit(events.function("hello"))
                (delivery,) = await environment.advance(seconds=1)
                assert delivery.ok
    asyncio.run(main())
    assert "AWS_LAMBDA_FUNCTION_NAME" not in os.environ
    assert type(lambda_telemetry_factory(asynchronous=False)) is LambdaTelemetry

def test_b(lambda_telemetry_factory):
    async def main():
        async with lambda_telemetry_factory(asynchronous=True):
            await asyncio.to_thread(refused)
    with pytest.raises(ProtocolViolation, match="types should not be empty"):
        asyncio.run(main())

def test_c(lambda_telemetry_factory):
    environment = lambda_telemetry_factory(asynchronous=True)
    async def main():
        await environment.emit(events.function("hello"))
    asyncio.run(main())
"""
    )
    result.assert_outcomes(passed=3)


# --- calls that nobody awaited ----------------------------------------------------------------------------------------

FORGOTTEN = """
import asyncio
from pytest_lambda_telemetry import events
kept = []

def test_dropped(async_lambda_telemetry):
    async def main():
        async_lambda_telemetry.emit(events.function("x"))
    asyncio.run(main())

def test_kept(async_lambda_telemetry):
    async def main():
        kept.append(async_lambda_telemetry.advance(seconds=1))
        await async_lambda_telemetry.flush()
    asyncio.run(main())

def test_awaited_later(async_lambda_telemetry):
    async def main():
        call = async_lambda_telemetry.emit(events.function("x"))
        await asyncio.sleep(0)
        await call
        task = asyncio.ensure_future(async_lambda_telemetry.flush())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    asyncio.run(main())
"""


def test_a_call_that_was_never_awaited_is_told_at_its_test(run: Run) -> None:
    result = run(FORGOTTEN, "-W", "default")
    result.assert_outcomes(passed=3, warnings=2)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_dropped",
            "  *test_it.py:10: LambdaTelemetryWarning: emit() was called and never awaited, so it did nothing: write"
            " `await` before it",
            "test_it.py::test_kept",
            "  *test_it.py:15: LambdaTelemetryWarning: advance() was called and never awaited*",
        ]
    )


def test_a_call_that_was_never_awaited_fails_its_test_where_warnings_are_errors(run: Run) -> None:
    result = run(FORGOTTEN)
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_dropped*", "*ERROR at teardown of test_kept*"])
    assert "RuntimeWarning" not in result.stdout.str()


def test_a_violation_is_told_although_a_call_was_never_awaited(run: Run) -> None:
    result = run(
        """
def test_a(async_lambda_telemetry):
    async_lambda_telemetry.flush()
    refused()
"""
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E*ProtocolViolation: Subscribe from extension*"])

"""What pytest shows of environments within a test, and how they end with it."""

from tests.plugin.conftest import Run


def test_the_report_shows_the_latest_of_them(run: Run) -> None:
    result = run(
        """
def test_in_a_block(lambda_telemetry):
    for name in ("first", "second"):
        with lambda_telemetry.fresh():
            register(name)
            assert name == "first"

def test_after_it(lambda_telemetry):
    register("outer")
    with lambda_telemetry.fresh():
        register("inner")
    assert 0
"""
    )
    result.assert_outcomes(failed=2)
    shown = [line for line in result.outlines if "register" in line or line.startswith("the latest")]
    assert [line for line in shown if "+0.000s" in line or line.startswith("the latest")] == [
        "the latest environment of fresh():",
        "+0.000s  second  POST /2020-01-01/extension/register  200",
        "+0.000s  outer   POST /2020-01-01/extension/register  200",
        "the latest environment of fresh():",
        "+0.000s  inner   POST /2020-01-01/extension/register  200",
    ]


def test_what_is_wrong_in_a_block_fails_there_and_once(run: Run) -> None:
    result = run(
        """
def test_a(lambda_telemetry):
    with lambda_telemetry.fresh():
        refused()

def test_b(lambda_telemetry):
    with pytest.raises(AssertionError, match="types should not be empty"), lambda_telemetry.fresh():
        refused()
"""
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [">       with lambda_telemetry.fresh():", "E       *ProtocolViolation: Subscribe from *"]
    )


def test_a_block_of_a_fixture_is_wound_down_before_any_finalizer(run: Run) -> None:
    result = run(
        """
import threading
@pytest.fixture
def environment(lambda_telemetry):
    with lambda_telemetry.fresh() as environment:
        yield environment
    lambda_telemetry.timeline()

@pytest.fixture
def extension(environment):
    told = []
    def life():
        identifier = register("thread")
        told.append(call("GET", f"{EXTENSION}/event/next", None, {IDENTIFIER: identifier}).body["eventType"])
    thread = threading.Thread(target=life)
    thread.start()
    environment.wait_until_ready()
    yield
    thread.join(30)
    assert told == ["SHUTDOWN"]

def test_a(extension, environment): environment.advance(ms=1)
def test_b(extension): pass
def test_c(environment): refused()
"""
    )
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_c*", "E *ProtocolViolation: Subscribe from *"])


def test_a_block_that_nobody_leaves_ends_with_the_test(run: Run) -> None:
    result = run(
        """
def test_a(lambda_telemetry):
    lambda_telemetry.fresh().__enter__()
    register()

def test_b(lambda_telemetry):
    register()
    assert len(lambda_telemetry.extensions) == 1
""",
    )
    result.assert_outcomes(passed=2)

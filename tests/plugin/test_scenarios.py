"""The marker lambda_telemetry_scenarios, as a user of the plugin sees it."""

import pytest

from pytest_lambda_telemetry import MisuseError, Scenario, scenarios
from pytest_lambda_telemetry.plugin.scenarios import choose
from tests.plugin.conftest import Run

NAMES = [one.name for one in scenarios.ALL]
VALID = f"valid names: all, {', '.join(NAMES)}"
USES = """
from pytest_lambda_telemetry import Scenario, FailDelivery, events, scenarios, Inject, Settings
"""


def passed(result: pytest.RunResult) -> list[str]:
    return [line.split("::", 1)[1].split(" ")[0] for line in result.outlines if " PASSED" in line]


def skipped(result: pytest.RunResult) -> list[str]:
    return [line.split(": ", 1)[1] for line in result.outlines if line.startswith("SKIPPED")]


def test_all_is_the_whole_catalogue_with_plain_first(run: Run) -> None:
    result = run(
        '@pytest.mark.lambda_telemetry_scenarios("all")\ndef test_a(lambda_telemetry): pass\n', "--collect-only", "-q"
    )
    assert [line for line in result.outlines if "::" in line] == [f"test_it.py::test_a[{name}]" for name in NAMES]
    assert NAMES[0] == "plain"


def test_functions_classes_modules_and_async_tests_are_parametrized(run: Run) -> None:
    result = run(
        """
pytestmark = pytest.mark.lambda_telemetry_scenarios("observed", "plain")

def test_function(lambda_telemetry): pass
def test_without_an_environment(): pass

class TestClass:
    def test_method(self, lambda_telemetry): pass
    @pytest.mark.lambda_telemetry_scenarios("json-logs")
    def test_its_own(self, lambda_telemetry): lambda_telemetry.invoke(logs=["x"])

@pytest.mark.parametrize("number", [1, 2])
def test_with_parameters(number, lambda_telemetry): pass

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_async(async_lambda_telemetry, anyio_backend):
    await async_lambda_telemetry.end_init()
""",
        "-v",
        "-p",
        "anyio",
    )
    names = passed(result)
    assert {"test_function[plain]", "test_function[observed]", "test_without_an_environment"} <= {*names}
    assert {"TestClass::test_method[plain]", "TestClass::test_its_own[json-logs]"} <= {*names}
    assert sum(name.startswith("test_with_parameters[") for name in names) == 4
    assert sum(name.startswith("test_async[") for name in names) == 2
    result.assert_outcomes(passed=12)


def test_a_test_is_chosen_by_its_scenario(run: Run) -> None:
    source = '@pytest.mark.lambda_telemetry_scenarios("all")\ndef test_a(lambda_telemetry): pass\n'
    result = run(source, "-v", "-k", "plain or observed")
    assert passed(result) == ["test_a[plain]", "test_a[observed]"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("'late-reprot'", f"there is no scenario 'late-reprot'; did you mean 'late-report'? {VALID}"),
        ("7", f"there is no scenario 7; {VALID}"),
        ("", f"say which: 'all', or names and Scenarios; names: {', '.join(NAMES)}"),
        ("'all', but=('plain',)", "there is no option 'but'; it takes exclude=(…) alone"),
        ("'plain', exclude=7", "exclude=7 is not valid: it must be a list of names and Scenarios"),
        ("'plain', exclude=('plain',)", "exclude= leaves no scenario; leave the mark out"),
        (
            "'plain', exclude='burst'",
            "exclude= names 'burst', which is not among the scenarios of this mark; leave it out",
        ),
    ],
)
def test_a_bad_mark_fails_that_test_alone(run: Run, arguments: str, told: str) -> None:
    result = run(
        f"@pytest.mark.lambda_telemetry_scenarios({arguments})\ndef test_a(lambda_telemetry): pass\n"
        "def test_b(lambda_telemetry): pass"
    )
    result.assert_outcomes(passed=1, errors=1)
    assert f"@pytest.mark.lambda_telemetry_scenarios: {told}" in result.outlines


def test_two_scenarios_of_one_name_are_refused() -> None:
    one, other = (Scenario(name="mine", summary="Something.") for _ in range(2))
    assert choose([one, "plain", one], {}) == [scenarios.BY_NAME["plain"], one]
    with pytest.raises(MisuseError, match="two different scenarios are named 'mine'"):
        choose([one, other], {})


def test_a_setting_of_the_test_against_the_scenario_is_a_skip(run: Run) -> None:
    result = run(
        USES
        + """
@pytest.mark.lambda_telemetry_scenarios("observed", "json-logs", "late-report")
@pytest.mark.lambda_telemetry(fidelity="documented")
def test_mark(lambda_telemetry): lambda_telemetry.invoke(logs=["x"])

@pytest.mark.lambda_telemetry_scenarios("managed-instances", "late-report")
class TestFixture:
    @pytest.fixture
    def lambda_telemetry_settings(self): return Settings(initialization_type="provisioned-concurrency")
    def test_it(self, lambda_telemetry): lambda_telemetry.invoke()

@pytest.mark.lambda_telemetry_scenarios("idle-freeze", "late-report", "listener-down")
@pytest.mark.lambda_telemetry(initialization_type="lambda-managed-instances", clock="system")
def test_never(lambda_telemetry): pass

@pytest.mark.lambda_telemetry_scenarios("idle-freeze")
@pytest.mark.lambda_telemetry(clock="system")
def test_system(lambda_telemetry): pass
""",
        "-rs",
    )
    assert sorted(skipped(result)) == [
        "scenario 'idle-freeze' cannot happen with initialization_type='lambda-managed-instances', which this test"
        " chooses",
        "scenario 'idle-freeze' moves time, and with clock='system' that would have to be waited for",
        "scenario 'late-report' cannot happen with initialization_type='lambda-managed-instances', which this test"
        " chooses",
        "scenario 'listener-down' has nothing to do with this test: nothing that it changes came to pass",
        "scenario 'managed-instances' needs initialization_type='lambda-managed-instances', and this test chooses"
        " initialization_type='provisioned-concurrency'",
        "scenario 'observed' needs fidelity='observed', and this test chooses fidelity='documented'",
    ]
    result.assert_outcomes(passed=3, skipped=6)


def test_what_does_not_apply_is_a_skip_with_the_reason(run: Run) -> None:
    result = run(
        """
@pytest.mark.lambda_telemetry_scenarios("backend-down", "backend-slow")
def test_no_backend(lambda_telemetry): lambda_telemetry.invoke(logs=["x"])

@pytest.mark.lambda_telemetry_scenarios("backend-down")
def test_no_request(lambda_telemetry, lambda_telemetry_backend): pass

@pytest.mark.lambda_telemetry_scenarios("function-timeout")
@pytest.mark.lambda_telemetry(extension_timeout_s=0.1)
def test_in_process(lambda_telemetry):
    with Listener() as listener:
        subscribe(register("mine", ["SHUTDOWN"]), subscribe_body(listener.port))
        try:
            lambda_telemetry.invoke()
        finally:
            listener.no_such_name  # what fails on the way out
""",
        "-rs",
    )
    assert sorted(set(skipped(result))) == [
        "scenario 'backend-down' has nothing to do with this test: no request to a backend has met it",
        "scenario 'backend-down' needs a fake backend, and this test has none: let the extension send to backend().url",
        "scenario 'backend-slow' needs a fake backend, and this test has none: let the extension send to backend().url",
        "scenario 'function-timeout' does not apply: it ends the execution environment, and Lambda begins the next one"
        " with new processes: extension 'mine' runs in the test's own process, and cannot be started again; run it with"
        " run_extension()",
    ]


def test_a_failing_test_says_first_under_what_it_failed(run: Run) -> None:
    result = run(
        '@pytest.mark.lambda_telemetry_scenarios("late-report")\n'
        "def test_a(lambda_telemetry):\n    lambda_telemetry.invoke()\n    assert False\n"
    )
    result.assert_outcomes(failed=1)
    place = next(index for index, line in enumerate(result.outlines) if "AWS Lambda telemetry ---" in line)
    assert result.outlines[place + 1] == scenarios.BY_NAME["late-report"].told()
    assert result.outlines[place + 1] == (
        "scenario late-report: The environment freezes as soon as the runtime is done: runtimeDone and report come with"
        " the next invocation, or at shutdown. In the field it broke: what belonged to an invocation was dropped when"
        " the next one began, and the last report was lost (elastic/apm-aws-lambda 334, pull 347)"
    )


def test_they_are_listed(run: Run) -> None:
    result = run("", "--lambda-telemetry-scenarios")
    assert result.ret == 0
    for one in scenarios.ALL:
        assert any(line.startswith(f"{one.name} ") and one.summary in line for line in result.outlines)


def test_a_scenario_of_ones_own_is_made_of_public_names(run: Run) -> None:
    result = run(
        USES
        + """
MINE = Scenario(
    name="mine",
    summary="Another line, and the first delivery is refused.",
    plan=[FailDelivery(fault="refuse")],
    story={"logs": lambda moment, actions: [*actions, Inject(events.function(f"number {moment.number}"))]},
)

@pytest.mark.lambda_telemetry_scenarios(MINE, scenarios.plain)
def test_a(lambda_telemetry, request):
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, types=["function"])
        lambda_telemetry.invoke(logs=["a"])
        lambda_telemetry.shutdown()
        mine = "mine" in request.node.name
        assert [one["record"] for batch in listener.batches for one in batch] == ["a", *(["number 1"] if mine else [])]
        assert lambda_telemetry.records() == ("a",)
        assert len(lambda_telemetry.ledger.trails()) == 1
        lambda_telemetry.assert_delivered(["function"])
        assert lambda_telemetry.deliveries[0].attempt_count == 1 + mine

@pytest.mark.lambda_telemetry_scenarios(Scenario(name="bad", summary="It is none.", settings={"fidelty": "observed"}))
def test_bad_setting(lambda_telemetry): pass

@pytest.mark.lambda_telemetry_scenarios(Scenario(name="bad", summary="It is none.", plan=[FailDelivery(fault="boom")]))
def test_bad_fault(lambda_telemetry): pass
""",
    )
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["scenario 'bad': there is no setting 'fidelty'; did you mean 'fidelity'?*"])
    result.stdout.fnmatch_lines(["scenario 'bad': 'boom' is no delivery fault; use one of *"])


def test_workers_and_random_order_run_each_scenario_once(run: Run) -> None:
    source = """
@pytest.mark.lambda_telemetry_scenarios("all")
@pytest.mark.parametrize("number", [1, 2])
def test_a(lambda_telemetry, number):
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 100})
        lambda_telemetry.invoke(logs=["a"])
        lambda_telemetry.shutdown()
"""
    result = run(source, "-p", "xdist", "-p", "randomly", "-n", "2", subprocess=True)
    in_need_of_a_backend = 3  # of the others one freezes, and delivers at shutdown
    result.assert_outcomes(passed=2 * (len(NAMES) - in_need_of_a_backend), skipped=2 * in_need_of_a_backend)


def test_those_that_failed_run_again(run: Run) -> None:
    source = """
@pytest.mark.lambda_telemetry_scenarios("plain", "observed", "late-report")
def test_a(lambda_telemetry, request):
    lambda_telemetry.invoke()
    assert "[observed]" not in request.node.name
"""
    cache = ("-o", "addopts=", "-v")
    run(source, *cache).assert_outcomes(passed=2, failed=1)
    result = run(source, *cache, "--lf")
    result.assert_outcomes(failed=1)
    assert any("test_a[observed] FAILED" in line for line in result.outlines)


def test_a_fixture_that_is_asked_for_later_cannot_be_parametrized(run: Run) -> None:
    result = run(
        '@pytest.mark.lambda_telemetry_scenarios("all")\n'
        "def test_a(request): request.getfixturevalue('lambda_telemetry')\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*is on a test that pytest cannot parametrize: name the fixture lambda_telemetry*"])


def test_the_factory_makes_environments_without_a_scenario(run: Run) -> None:
    result = run(
        """
@pytest.mark.lambda_telemetry_scenarios("observed")
def test_a(lambda_telemetry, lambda_telemetry_factory):
    with lambda_telemetry_factory() as other:
        assert other._sandbox.settings.fidelity == "documented"
        assert lambda_telemetry._sandbox.settings.fidelity == "observed"
"""
    )
    result.assert_outcomes(passed=1)

"""A refused call fails the test that did not expect it, once, and says everything that helps."""

import pytest

from tests.plugin.conftest import Run

REFUSAL = [
    "E   pytest_lambda_telemetry.ProtocolViolation: Subscribe from extension 'ext' was refused: 400 ValidationError:"
    " types should not be empty; unknown field `extensionName`, expected one of `schemaVersion`, `types`, `buffering`,"
    " `destination`",
    'E     body:  {"schemaVersion": "2022-12-13", "types": [], "destination": {"protocol": "HTTP",'
    ' "URI": "http://sandbox.localdomain:4243"}, "extensionName": "x"}',
    "E     rule:  types should not be empty: types is an array of one or more of `platform`, `function` and"
    " `extension`, each at most once; a single event type such as `platform.runtimeDone` cannot be subscribed to",
    "E     rule:  unknown field `extensionName`, expected one of `schemaVersion`, `types`, `buffering`, `destination`:"
    ' remove "extensionName": Lambda refuses a body with any field it does not know',
    "E     On Lambda this fails the extension, and with it every invocation. If the test means it to be refused, wrap"
    " it in expect_rejection(); strict=False turns this check off.",
]


def lines_from(result: pytest.RunResult, first: str) -> list[str]:
    lines = list(result.outlines)
    return lines[next(index for index, line in enumerate(lines) if first in line) :]


def test_a_refused_subscribe_fails_its_test_at_teardown_with_body_faults_and_rules(run: Run) -> None:
    result = run("def test_a(lambda_telemetry): refused()")
    result.assert_outcomes(passed=1, errors=1)
    shown = lines_from(result, "ERROR at teardown of test_a")
    assert shown[1].endswith("in _raise_violations")
    assert shown[3 : 3 + len(REFUSAL)] == REFUSAL
    assert "AWS Lambda telemetry" in shown[3 + len(REFUSAL)]
    assert "PUT /2022-07-01/telemetry" in "\n".join(shown[4 + len(REFUSAL) :])


def test_check_shows_the_line_of_the_test_and_nothing_of_ours(run: Run) -> None:
    result = run("def test_a(lambda_telemetry):\n    refused()\n    lambda_telemetry.check()")
    result.assert_outcomes(failed=1)
    shown = lines_from(result, "def test_a(")
    assert shown[2] == ">       lambda_telemetry.check()"
    assert [line.replace("E       ", "E   ") for line in shown[3 : 3 + len(REFUSAL)]] == REFUSAL
    assert shown[4 + len(REFUSAL)] == "test_it.py:5: ProtocolViolation"


def test_a_full_trace_shows_our_frames_too(run: Run) -> None:
    result = run("def test_a(lambda_telemetry):\n    refused()\n    lambda_telemetry.check()", "--full-trace")
    result.stdout.fnmatch_lines(["*violations.py:*: ProtocolViolation"])


def test_our_assertions_point_to_the_line_of_the_test(run: Run) -> None:
    result = run(
        "def test_a(lambda_telemetry):\n    lambda_telemetry.assert_subscribed()\n"
        "def test_b(lambda_telemetry):\n    with lambda_telemetry.expect_rejection(timeout=0.01):\n        pass\n"
        "def test_c(lambda_telemetry):\n    lambda_telemetry.advance(5)\n"
        "@pytest.mark.asyncio\n"
        "async def test_d(async_lambda_telemetry):\n"
        "    await async_lambda_telemetry.wait_for_extension(timeout=0.01)\n",
        *("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function"),
    )
    result.assert_outcomes(failed=4)
    endings = [line for line in result.outlines if line.startswith("test_it.py:")]
    assert endings == [
        "test_it.py:4: AssertionError",
        "test_it.py:6: ProtocolViolation",
        "test_it.py:9: MisuseError",
        "test_it.py:12: WaitTimeout",
    ]


def test_the_name_of_the_error_is_the_public_one(run: Run) -> None:
    run("def test_a(lambda_telemetry): refused()").stdout.fnmatch_lines(
        ["ERROR test_it.py::test_a - pytest_lambda_telemetry.ProtocolViolation: *"]
    )


def test_what_was_checked_is_not_told_again(run: Run) -> None:
    result = run(
        "def test_a(lambda_telemetry):\n"
        "    refused()\n"
        "    with pytest.raises(AssertionError, match='types should not be empty'):\n"
        "        lambda_telemetry.check()\n"
        "    lambda_telemetry.check()\n"
    )
    result.assert_outcomes(passed=1)


def test_an_expected_refusal_is_none(run: Run) -> None:
    result = run(
        "def test_a(lambda_telemetry):\n"
        "    with lambda_telemetry.expect_rejection() as one:\n"
        "        refused()\n"
        "    assert one.rejection.faults[0] == 'types should not be empty'\n"
        "    assert lambda_telemetry.rejections == one.rejections == (one.rejection,)\n"
    )
    result.assert_outcomes(passed=1)


def test_a_refusal_that_does_not_match_what_is_expected_is_told_at_once(run: Run) -> None:
    result = run(
        "def test_a(lambda_telemetry):\n"
        "    with lambda_telemetry.expect_rejection(match='maxItems', timeout=600):\n"
        "        refused()\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*ProtocolViolation: expected a refused Subscribe that matches 'maxItems' within 600 s, but there was"
            " none; seen instead:",
            "E *<Rejection ext 400 ValidationError: types should not be empty; unknown field*",
        ]
    )


def test_a_refusal_after_the_block_is_unexpected_again(run: Run) -> None:
    result = run(
        "def test_a(lambda_telemetry):\n"
        "    with lambda_telemetry.expect_rejection():\n"
        "        refused()\n"
        "    subscribe(lambda_telemetry.extensions[0].extension_id, {})\n"
    )
    result.assert_outcomes(passed=1, errors=1)


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.lambda_telemetry(strict=False)\ndef test_a(lambda_telemetry):\n    refused()\n",
        "@pytest.fixture\ndef lambda_telemetry_settings():\n"
        "    from pytest_lambda_telemetry import Settings\n    return Settings(strict=False)\n"
        "def test_a(lambda_telemetry):\n    refused()\n",
        "def test_a(lambda_telemetry):\n    lambda_telemetry.reject_next('subscribe')\n    refused()\n",
        "@pytest.mark.lambda_telemetry(local_testing=True)\n"
        "def test_a(lambda_telemetry):\n    assert refused().status == 202\n",
    ],
    ids=["mark", "settings", "injected", "local testing"],
)
def test_it_is_no_failure_where_the_test_wants_it(run: Run, source: str) -> None:
    run(source).assert_outcomes(passed=1)


def test_check_still_tells_where_strict_is_off(run: Run) -> None:
    source = (
        "@pytest.mark.lambda_telemetry(strict=False)\n"
        "def test_a(lambda_telemetry):\n"
        "    refused()\n"
        "    with pytest.raises(AssertionError):\n"
        "        lambda_telemetry.check()\n"
    )
    run(source).assert_outcomes(passed=1)


def test_a_refused_registration_is_a_violation_too(run: Run) -> None:
    result = run(
        "def test_a(lambda_telemetry):\n"
        "    call('POST', f'{EXTENSION}/register', {'events': ['INVOKED']}, {'Lambda-Extension-Name': 'ext'})\n"
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["E*Register from extension 'ext' was refused: 403 Extension.InvalidEventType: invalid*INVOKED*"]
    )


def test_a_test_that_failed_has_no_second_failure_but_the_section(run: Run) -> None:
    result = run("def test_a(lambda_telemetry):\n    refused()\n    assert 0")
    result.assert_outcomes(failed=1)
    assert result.outlines[-1].count("1 failed in") == 1 or "1 failed" in result.outlines[-1]
    result.stdout.fnmatch_lines(
        [
            "E       assert 0",
            "*- AWS Lambda telemetry -*",
            "+0.000s  ext     POST /2020-01-01/extension/register  200*",
            "+0.000s  ext     PUT /2022-07-01/telemetry            400 ValidationError: types should not be empty*",
        ]
    )


def test_a_fixture_that_failed_after_ours_has_no_second_failure(run: Run) -> None:
    setup = "@pytest.fixture\ndef broken(lambda_telemetry):\n    refused()\n    assert 0\ndef test_a(broken): pass\n"
    run(setup).assert_outcomes(errors=1)
    finalizer = (
        "@pytest.fixture\ndef broken(lambda_telemetry):\n    yield\n    assert 0, 'the finalizer'\n"
        "def test_a(broken):\n    refused()\n"
        "def test_b(lambda_telemetry): pass\n"
    )
    result = run(finalizer)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["E       AssertionError: the finalizer", "*- AWS Lambda telemetry -*"])


def test_a_test_that_passed_shows_no_section(run: Run) -> None:
    result = run("def test_a(lambda_telemetry):\n    register()\n")
    result.stdout.no_fnmatch_line("*AWS Lambda telemetry*")


def test_the_section_is_bounded(run: Run) -> None:
    result = run(
        "def test_a(lambda_telemetry):\n    for _ in range(300): call('GET', '/x')\n    assert 0",
    )
    result.stdout.fnmatch_lines(
        [
            "(the last 200 of 302 lines; print(lambda_telemetry.timeline()) in the test shows all)",
            "+0.000s  ?  GET /x  404 *",
        ]
    )
    assert sum("GET /x" in line for line in result.outlines if line.startswith("+")) == 198


@pytest.mark.parametrize("strict", [True, False])
def test_an_expected_failure_covers_a_violation(run: Run, strict: bool) -> None:
    source = f"@pytest.mark.xfail(strict={strict})\ndef test_a(lambda_telemetry):\n    refused()\n"
    result = run(source)
    result.assert_outcomes(xfailed=1)
    assert result.ret == 0


def test_an_expected_failure_of_another_kind_does_not(run: Run) -> None:
    result = run("@pytest.mark.xfail(raises=KeyError)\ndef test_a(lambda_telemetry):\n    refused()\n")
    result.assert_outcomes(failed=1)


def test_an_expected_failure_that_came_forgives_the_violation(run: Run) -> None:
    result = run("@pytest.mark.xfail\ndef test_a(lambda_telemetry):\n    refused()\n    assert 0\n")
    result.assert_outcomes(xfailed=1)


def test_a_skipped_test_is_skipped(run: Run) -> None:
    result = run("def test_a(lambda_telemetry):\n    refused()\n    pytest.skip('not here')\n")
    result.assert_outcomes(skipped=1)
    assert result.ret == 0


def test_the_first_failure_stops_the_session_where_asked(run: Run) -> None:
    result = run("def test_a(lambda_telemetry): refused()\ndef test_b(lambda_telemetry): pass", "-x")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])


def test_the_test_after_a_violation_is_not_blamed(run: Run) -> None:
    result = run("def test_a(lambda_telemetry): refused()\ndef test_b(lambda_telemetry): register()")
    result.assert_outcomes(passed=2, errors=1)


def test_a_call_that_comes_when_the_test_is_over_is_no_violation(run: Run) -> None:
    result = run(
        "@pytest.fixture\n"
        "def late(lambda_telemetry):\n"
        "    identifier = register()\n"
        "    yield\n"
        "    subscribe(identifier, {})\n"
        "    assert len(lambda_telemetry.rejections) == 1\n"
        "def test_a(late): pass\n"
    )
    result.assert_outcomes(passed=1)


def test_leaving_an_environment_without_pytest_checks(run: Run) -> None:
    source = (
        "from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation, Settings\n"
        "def test_a():\n"
        "    with pytest.raises(ProtocolViolation, match='types should not be empty'):\n"
        "        with LambdaTelemetry(): refused()\n"
        "    with pytest.raises(KeyError):\n"
        "        with LambdaTelemetry():\n"
        "            refused()\n"
        "            raise KeyError\n"
        "    with LambdaTelemetry(Settings(strict=False)): refused()\n"
    )
    run(source).assert_outcomes(passed=1)


def test_a_failing_test_that_only_emitted_has_its_section(run: Run) -> None:
    result = run(
        "from pytest_lambda_telemetry import events\n"
        "def test_a(lambda_telemetry):\n    lambda_telemetry.emit(events.function('hello'))\n    assert 0"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- AWS Lambda telemetry -*", "+0.000s  test  function  'hello'"])


def test_every_failing_test_of_a_wide_environment_has_its_section(run: Run) -> None:
    result = run(
        "from pytest_lambda_telemetry import events\n"
        "@pytest.fixture(scope='module')\n"
        "def environment(lambda_telemetry_factory):\n    return lambda_telemetry_factory()\n"
        "@pytest.mark.parametrize('word', ['first', 'second'])\n"
        "def test_a(environment, word):\n    environment.emit(events.function(word))\n    assert 0\n"
        "def test_b(environment):\n    assert 0\n"
    )
    result.assert_outcomes(failed=3)
    assert sum("- AWS Lambda telemetry -" in line for line in result.outlines) == 2
    result.stdout.fnmatch_lines(["+0.000s  test  function  'second'"])


def test_a_failing_test_shows_what_is_pending_also_where_nothing_happened(run: Run) -> None:
    result = run(
        "from pytest_lambda_telemetry import events\n"
        "def test_a(lambda_telemetry):\n    assert 0\n"
        "def test_b(lambda_telemetry):\n"
        "    with Listener() as listener:\n"
        "        lambda_telemetry.subscribe(listener.uri)\n"
        "        lambda_telemetry.emit(events.function('x'))\n"
        "        assert lambda_telemetry.deliveries\n"
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*- AWS Lambda telemetry -*",
            "pending:",
            "  nothing is subscribed",
            "*- AWS Lambda telemetry -*",
            "+0.000s  test            function            'x'",
            "pending:",
            "  1 event buffered for 'test-extension', due in 1000 ms: advance(ms=1000)",
        ],
        consecutive=False,
    )

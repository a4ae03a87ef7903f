"""What follows from a refusal that the test wanted is no violation; what does not follow from it is one."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation, WaitTimeout
from pytest_lambda_telemetry.api.routes import RouteName
from tests.support.helpers import EXTENSION, IDENTIFIER, call, register, subscribe, subscribe_body
from tests.support.programs import program

FAILS_AT: dict[RouteName, str] = {
    "register": "register('ext.py') or sys.exit(1)",
    "subscribe": "me = register('ext.py'); subscribe(me, serve())[0].status == 200 or sys.exit(1); until_shutdown(me)",
    "next": "me = register('ext.py'); next_event(me).get('eventType') or sys.exit(1)",
}
"""Extensions that exit with 1 when this call is refused."""
SURVIVES = "register('ext.py'); me = register('ext.py'); subscribe(me, serve()); next_event(me); sys.exit(3)"


def run(environment: LambdaTelemetry, folder: Path, body: str) -> None:
    """Run a child to its end."""
    assert environment.run_extension(program(folder, body)).wait(30)


@pytest.mark.parametrize("route", FAILS_AT)
def test_a_child_that_ends_because_of_an_injected_refusal_is_excused(route: RouteName, tmp_path: Path) -> None:
    with LambdaTelemetry() as environment:
        environment.reject_next(route, 500)
        run(environment, tmp_path, FAILS_AT[route])


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("register", "register('ext.py', ('NOPE',)) or sys.exit(1)"),
        ("register", "register('other.py') or sys.exit(1)"),
        ("subscribe", "me = register('ext.py'); subscribe(me, 80, types=['nope']); sys.exit(1)"),
        ("next", "register('ext.py'); call('GET', '/2020-01-01/extension/event/next'); sys.exit(1)"),
    ],
)
def test_one_that_ends_because_of_an_expected_refusal_is_excused(route: str, body: str, tmp_path: Path) -> None:
    with LambdaTelemetry() as environment, environment.expect_rejection(route=route):
        run(environment, tmp_path, body)


def test_one_that_went_on_without_telemetry_is_not(tmp_path: Path) -> None:
    body = "me = register('ext.py'); failed = subscribe(me, 9)[0].status != 200; until_shutdown(me); sys.exit(failed)"
    with LambdaTelemetry() as environment:
        environment.reject_next("subscribe", 500)
        environment.run_extension(program(tmp_path, body))
        environment.wait_until_ready("ext.py", timeout=30)
        environment.shutdown()
        with pytest.raises(ProtocolViolation, match="ended with exit code 1 after SHUTDOWN"):
            environment.check()  # it asked for next all the same: what it did then is its own doing


def test_one_that_got_over_the_refusal_is_not(tmp_path: Path) -> None:
    with LambdaTelemetry() as environment:
        environment.reject_next("register", 500)
        process = environment.run_extension(program(tmp_path, SURVIVES))
        environment.wait_until_ready("ext.py", timeout=30)
        environment.invoke()
        assert process.wait(30) == 3
        with pytest.raises(
            ProtocolViolation, match=r"Extension\.Crash: the process of extension 'ext.py' ended by itself"
        ):
            environment.check()


def test_another_child_than_the_one_that_was_refused_is_not(tmp_path: Path) -> None:
    def end_both() -> None:
        with LambdaTelemetry() as environment:
            environment.reject_next("register", 500)
            run(environment, tmp_path, FAILS_AT["register"])
            assert environment.run_extension(program(tmp_path, "sys.exit(1)", "other.py")).wait(30)

    with pytest.raises(ProtocolViolation, match=r"extension 'other\.py' was started and did not register"):
        end_both()


@pytest.mark.parametrize("route", FAILS_AT)
@pytest.mark.parametrize("name", ["ext.py", None])
def test_the_wait_for_it_ends_at_once_and_says_so(route: RouteName, name: str | None, tmp_path: Path) -> None:
    with LambdaTelemetry() as environment:
        environment.reject_next(route, 500)
        environment.run_extension(program(tmp_path, FAILS_AT[route]))
        with pytest.raises(WaitTimeout) as caught:
            environment.wait_until_ready(name, timeout=60)
    assert str(caught.value).endswith(
        ": the process of extension 'ext.py' ended by itself with exit code 1; its last output:\n    (no output)\n"
        "  A call of it was refused before, as the test wanted (reject_next, expect_rejection): that it ends is no"
        " violation."
    )


# -- threads -----------------------------------------------------------------------------------------------------------

WITH_ITS_DEATH = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def die_of(act: Callable[[], object]) -> None:
    thread = threading.Thread(target=act, name="ext")
    thread.start()
    thread.join()


def subscribe_or_die() -> None:
    assert subscribe(register(), subscribe_body(80, types=["nope"])).status == 200


@WITH_ITS_DEATH
def test_a_thread_that_dies_of_an_injected_refusal_is_excused(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.reject_next("register", 500)
    die_of(register)
    assert [entry.who for entry in lambda_telemetry.journal if entry.what.startswith("the thread died")] == ["ext"]


@WITH_ITS_DEATH
def test_a_thread_that_dies_of_an_expected_refusal_is_excused(lambda_telemetry: LambdaTelemetry) -> None:
    with lambda_telemetry.expect_rejection("types"):
        die_of(subscribe_or_die)


@WITH_ITS_DEATH
def test_a_thread_that_got_over_the_refusal_is_not(lambda_telemetry: LambdaTelemetry) -> None:
    def act() -> None:
        refused = call("POST", f"{EXTENSION}/register", {"events": []}, {"Lambda-Extension-Name": "ext"})
        assert refused.status == 500
        assert (
            IDENTIFIER
            in call("POST", f"{EXTENSION}/register", {"events": []}, {"Lambda-Extension-Name": "ext"}).headers
        )
        raise ValueError("of its own")

    lambda_telemetry.reject_next("register", 500)
    die_of(act)
    with pytest.raises(ProtocolViolation, match="thread 'ext' of this process died: ValueError: of its own"):
        lambda_telemetry.check()


@WITH_ITS_DEATH
def test_another_thread_than_the_one_that_was_refused_is_not(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.reject_next("register", 500)
    die_of(register)
    die_of(lambda: 1 / 0)
    with pytest.raises(ProtocolViolation, match="died: ZeroDivisionError"):
        lambda_telemetry.check()

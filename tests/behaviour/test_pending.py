"""The end of the timeline: what is still to come, and what to do for it."""

from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, LambdaTelemetryWarning, ProtocolViolation, Settings, events
from pytest_lambda_telemetry.views.pending import Fault, Pending, Troubled, Waiting
from tests.support.helpers import Listener, free_port, running
from tests.support.programs import program

LOG = events.function("x")
QUICK = Settings(retry=None, shutdown_timeout_s=0.3, platform_events=False, strict=False)


def pending(environment: LambdaTelemetry) -> list[str]:
    """What stands behind the last line of the journal."""
    return environment.timeline().partition("pending:\n")[2].splitlines()


def test_where_nothing_happened_nothing_is_subscribed(lambda_telemetry: LambdaTelemetry) -> None:
    assert lambda_telemetry.timeline() == "pending:\n  nothing is subscribed"


def test_where_all_is_delivered_nothing_is_pending(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri)
        assert lambda_telemetry.timeline().endswith("subscribed by hand")
        lambda_telemetry.emit(LOG)
        lambda_telemetry.flush()
        assert lambda_telemetry.timeline().endswith("200")


def test_what_is_buffered_is_told_with_the_moment_it_is_due(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, name="my-extension", buffering={"timeoutMs": 100})
        lambda_telemetry.emit(LOG)
        lambda_telemetry.advance(ms=75)
        assert pending(lambda_telemetry) == ["  1 event buffered for 'my-extension', due in 25 ms: advance(ms=25)"]
        lambda_telemetry.emit(LOG)
        lambda_telemetry.advance(ms=0.5)
        assert pending(lambda_telemetry) == ["  2 events buffered for 'my-extension', due in 24.5 ms: advance(ms=24.5)"]
        lambda_telemetry.freeze()
        assert pending(lambda_telemetry) == [
            "  2 events buffered for 'my-extension', frozen: comes with the next invocation or at shutdown"
        ]
        lambda_telemetry.thaw()
        lambda_telemetry.advance(ms=24.5)
        assert pending(lambda_telemetry) == []


def test_a_failed_batch_is_told_with_its_retry_and_what_waits_behind_it() -> None:
    with Listener() as listener, LambdaTelemetry() as environment:
        environment.subscribe(listener.uri, name="ext", buffering={"timeoutMs": 100})
        environment.fail_next_delivery(503, times=3)
        environment.emit(LOG)
        environment.advance(ms=300)
        environment.emit(LOG, LOG)
        assert pending(environment) == [
            "  1 event for 'ext' sent 2 times, the last time answered 503, retried in 100 ms: advance(ms=100)",
            "  2 events buffered for 'ext' behind that",
            "  fail_next_delivery(503, times=3) is planned: once more",
        ]
        environment.freeze()
        assert pending(environment)[0] == (
            "  1 event for 'ext' sent 2 times, the last time answered 503, frozen: comes with the next invocation or at"
            " shutdown"
        )
        environment.thaw()
        environment.advance(seconds=10)
        assert pending(environment) == []


def test_a_listener_that_is_down_is_told_as_such() -> None:
    with LambdaTelemetry(Settings(strict=False)) as environment:
        environment.subscribe(f"http://sandbox.localdomain:{free_port()}", name="ext", buffering={"timeoutMs": 100})
        environment.emit(LOG)
        environment.advance(ms=100)
        assert pending(environment) == [
            "  1 event for 'ext' sent once, the last time connection refused, retried in 100 ms: advance(ms=100)"
        ]
        environment.emit(LOG)
    assert pending(environment) == ["  2 events for 'ext' left when the environment ended: never delivered"]


def test_a_batch_that_another_thread_has_filled_is_due_now(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, name="ext")
        with running(lambda: lambda_telemetry.emit(*[LOG] * 1000)):
            pass
        assert pending(lambda_telemetry) == [
            "  1000 events buffered for 'ext', due now: with the next call that moves time"
        ]


def test_faults_that_are_planned_are_told(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.reject_next("register", 500)
    told = ["  nothing is subscribed", "  reject_next('register', 500) is planned: nothing has met it yet"]
    assert pending(lambda_telemetry) == told
    with pytest.warns(LambdaTelemetryWarning, match="was never used"):
        lambda_telemetry.close()
    assert pending(lambda_telemetry) == []
    assert Pending(faults=[Fault("it", 2, used=True)]).lines == ["pending:", "  it is planned: 2 times more"]


def test_a_child_that_has_not_registered_is_told_with_its_last_output(tmp_path: Path) -> None:
    with LambdaTelemetry(QUICK) as environment:
        child = environment.run_extension(program(tmp_path, "say('up'); for_ever()"))
        environment.wait_until(lambda: child.output, timeout=30)
        told = [
            "  the process of extension 'ext.py' has not registered; its last output:",
            "      up",
        ]
        assert pending(environment) == ["  nothing is subscribed", *told]
    assert pending(environment) == told


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ("say('bye'); sys.exit(3)", "ended with exit code 3 and has not registered"),
        ("register('ext.py'); say('bye'); sys.exit(3)", "ended with exit code 3"),
    ],
    ids=["before", "after"],
)
def test_a_child_that_has_ended_is_told_with_its_last_output(tmp_path: Path, body: str, state: str) -> None:
    with LambdaTelemetry(QUICK) as environment:
        child = environment.run_extension(program(tmp_path, body))
        child.wait(30)
        assert pending(environment) == [
            "  nothing is subscribed",
            f"  the process of extension 'ext.py' {state}; its last output:",
            "      bye",
        ]


def test_a_sound_child_is_not_told(tmp_path: Path) -> None:
    with LambdaTelemetry() as environment:
        child = environment.run_extension(program(tmp_path, "until_shutdown(register('ext.py'))"))
        environment.wait_until_ready(timeout=30)
        assert pending(environment) == ["  nothing is subscribed"]
    assert child.returncode == 0
    assert pending(environment) == []


def test_it_is_bounded_and_has_nothing_that_a_terminal_obeys() -> None:
    many = Pending(waiting=[Waiting(f"ext-{number}", 1, 1000) for number in range(1000)]).lines
    assert len(many) == 22
    assert many[-2:] == [
        "  1 event buffered for 'ext-19', due in 1 ms: advance(ms=1)",
        "  … and 980 more",
    ]
    assert len(Pending(processes=[Troubled("ext", "ended", "    x\n" * 11)] * 1000).lines) == 1 + 20 * 12


def test_output_in_the_timeline_is_printable(tmp_path: Path) -> None:
    with LambdaTelemetry(QUICK) as environment:
        environment.run_extension(program(tmp_path, "say('\\x1b[31mred'); sys.exit(1)")).wait(30)
        assert pending(environment)[-1] == "      \\x1b[31mred"


def test_a_violation_at_the_end_is_told_whatever_is_pending() -> None:
    def leave() -> None:
        with LambdaTelemetry() as environment:
            environment.subscribe(f"http://sandbox.localdomain:{free_port()}", buffering={"timeoutMs": 100})
            environment.emit(LOG)
            environment.advance(ms=100)

    with pytest.raises(ProtocolViolation, match="nobody ever listened"):
        leave()

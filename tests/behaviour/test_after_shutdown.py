"""Once the environment has shut down nothing reaches an extension: what still waits for it is lost, and told so."""

from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, LambdaTelemetryWarning, MisuseError, events
from tests.support.helpers import Listener
from tests.support.living import living
from tests.support.programs import program

LAST_WORDS = """
me = register("ext.py")
subscribe(me, serve(), ["function", "extension"])
until_shutdown(me, lambda event: event["eventType"] == "SHUTDOWN" and say("bye"))
"""


def test_what_a_child_says_last_never_arrives(tmp_path: Path) -> None:
    with LambdaTelemetry() as environment:
        environment.run_extension(program(tmp_path, LAST_WORDS))
        environment.invoke(logs=["hello"])
        environment.shutdown()
        before = environment.deliveries
        assert environment.timeline().endswith(
            "pending:\n  1 event for 'ext.py' left when the environment ended: never delivered"
        )
        assert (environment.advance(seconds=60), environment.flush(), environment.deliveries) == ((), (), before)
        (trail,) = environment.ledger.trails(types=("extension",))
        assert (trail.state, trail.deliveries) == ("given-up", ())
        assert trail.why == "it was not delivered when its execution environment ended"
        with pytest.raises(AssertionError, match=r"dropped: 1 event \[extension\], not delivered when its execution"):
            environment.assert_all_delivered()


def test_nothing_is_sent_to_an_extension_that_has_ended(lambda_telemetry: LambdaTelemetry) -> None:
    with living() as make:
        extension = make()
        lambda_telemetry.invoke(logs=["hello"])
        lambda_telemetry.shutdown()
        with pytest.warns(LambdaTelemetryWarning) as caught:
            lambda_telemetry.emit(events.function("ghost"))
        assert str(caught[0].message) == (
            "emit() of 1 event reaches nobody: the environment has shut down, and its extensions have ended. Emit"
            " before shutdown(), or begin another environment with restart()"
        )
        lambda_telemetry.advance(seconds=60)
        with pytest.raises(MisuseError) as refused:
            lambda_telemetry.push([events.function("ghost")])
        assert str(refused.value) == (
            "extension 'ext' has ended, because the environment has shut down: nothing can be sent to it; restart()"
            " begins another environment"
        )
        assert extension.of("function") == ["hello"]


def test_a_listener_that_was_subscribed_by_hand_goes_on(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri)
        lambda_telemetry.shutdown()
        lambda_telemetry.emit(events.function("late"))
        lambda_telemetry.flush()
        lambda_telemetry.push([events.function("later")])
        assert lambda_telemetry.records() == ("late", "later")


def test_after_a_restart_all_is_sent_again(lambda_telemetry: LambdaTelemetry) -> None:
    with living() as make:
        make("first")
        lambda_telemetry.invoke()
        lambda_telemetry.shutdown()
        lambda_telemetry.restart()
        second = make("second")
        lambda_telemetry.invoke(logs=["hello"])
        lambda_telemetry.shutdown()
        assert second.of("function") == ["hello"]

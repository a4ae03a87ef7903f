"""Several extensions in one environment, and several environments at once."""

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, MisuseError, ProtocolViolation, Settings, events
from tests.support.helpers import EXTENSION, IDENTIFIER, Listener, call, register, running, subscribe, subscribe_body
from tests.support.living import living
from tests.support.programs import subscriber

Factory = Callable[..., LambdaTelemetry]


# -- extensions --------------------------------------------------------------------------------------------------------


def test_ten_extensions_register_and_the_eleventh_is_refused(lambda_telemetry: LambdaTelemetry) -> None:
    for number in range(10):
        register(f"ext-{number}")
    answer = call("POST", f"{EXTENSION}/register", {"events": []}, {"Lambda-Extension-Name": "ext-10"})
    assert (answer.status, answer.body["errorType"]) == (403, "Extension.TooManyExtensions")
    assert IDENTIFIER not in answer.headers
    assert [one.name for one in lambda_telemetry.extensions] == [f"ext-{number}" for number in range(10)]
    with pytest.raises(MisuseError, match=r"Extension\.TooManyExtensions"):
        lambda_telemetry.register("by-hand")
    with pytest.raises(ProtocolViolation, match=r"Register from extension 'ext-10' was refused"):
        lambda_telemetry.check()


def test_each_gets_its_own_view_in_its_own_batches(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as early, Listener() as late:
        first, second = register("first"), register("second")
        subscribe(first, subscribe_body(early.port, types=["function"], buffering={"timeoutMs": 25}))
        subscribe(second, subscribe_body(late.port, types=["extension"], buffering={"timeoutMs": 50}))
        lambda_telemetry.emit(events.function("f"), events.extension("e"))
        deliveries = lambda_telemetry.advance(ms=50)
        assert [(one.subscription.extension_name, one.types) for one in deliveries] == [
            ("first", ("function",)),
            ("second", ("extension",)),
        ]
        lambda_telemetry.assert_delivered(["function"], to="first")
        lambda_telemetry.push([events.function("x")], to="second")
        with pytest.raises(MisuseError, match="there are 2 subscriptions: say which with to="):
            lambda_telemetry.push([events.function("x")])
        assert lambda_telemetry.flush(to=lambda_telemetry.extensions[0]) == ()


@pytest.mark.lambda_telemetry(strict=False)
def test_one_that_fails_does_not_hold_up_the_other(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener(lambda _number: 500) as failing, Listener() as well:
        for name, listener in (("failing", failing), ("well", well)):
            body = subscribe_body(listener.port, types=["function"], buffering={"timeoutMs": 25})
            subscribe(register(name), body)
        lambda_telemetry.emit(events.function("f"))
        assert [(one.subscription.extension_name, one.ok) for one in lambda_telemetry.advance(ms=25)] == [
            ("failing", False),
            ("well", True),
        ]


def test_an_invocation_reaches_all_of_them() -> None:
    with living() as make, LambdaTelemetry() as environment:
        with_listener, without = make("one"), make("two", subscribes=False)
        environment.wait_until_ready()
        environment.invoke(logs=["work"])
        environment.shutdown()
        for one in (with_listener, without):
            one.join()
        told = [[event["eventType"] for event in one.told] for one in (with_listener, without)]
        assert told == [["INVOKE", "SHUTDOWN"]] * 2


def test_children_and_threads_live_side_by_side(tmp_path: Path) -> None:
    with living() as make, LambdaTelemetry(Settings(shutdown_timeout_s=0.5)) as environment:
        child = environment.run_extension(subscriber(tmp_path, types=["function"]))
        make("in-process")
        environment.wait_until_ready("ext.py")
        environment.wait_until_ready("in-process")
        environment.emit(events.function("f"))
        assert {one.subscription.extension_name for one in environment.flush()} == {"ext.py", "in-process"}
        environment.shutdown()
        assert child.returncode == 0


@pytest.mark.lambda_telemetry(internal_extensions=("agent",))
def test_an_internal_extension_may_not_ask_for_shutdown(lambda_telemetry: LambdaTelemetry) -> None:
    refused = call("POST", f"{EXTENSION}/register", {"events": ["SHUTDOWN"]}, {"Lambda-Extension-Name": "agent"})
    assert (refused.status, refused.body["errorType"]) == (403, "Extension.InvalidEventType")
    with pytest.raises(ProtocolViolation, match="internal extensions get no SHUTDOWN"):
        lambda_telemetry.check()
    register("agent", ["INVOKE"])
    register("other", ["INVOKE", "SHUTDOWN"])


# -- environments ------------------------------------------------------------------------------------------------------


def test_each_environment_has_a_port_and_a_state_of_its_own(
    lambda_telemetry: LambdaTelemetry, lambda_telemetry_factory: Factory
) -> None:
    with lambda_telemetry_factory(function_name="a") as a, lambda_telemetry_factory(function_name="b") as b:
        environments = [lambda_telemetry, a, b]
        assert len({one.runtime_api for one in environments}) == 3
        for number, one in enumerate(environments):
            answer = call(
                "POST",
                f"{EXTENSION}/register",
                {"events": []},
                {"Lambda-Extension-Name": f"ext-{number}"},
                api=one.runtime_api,
            )
            assert answer.body["functionName"] == ["test-function", "a", "b"][number]
        assert [[extension.name for extension in one.extensions] for one in environments] == [
            ["ext-0"],
            ["ext-1"],
            ["ext-2"],
        ]
        a.advance(seconds=5)
        assert [one.elapsed.total_seconds() for one in environments] == [0, 5, 0]
        identifiers = {one.extensions[0].extension_id for one in environments}
        assert len(identifiers) == 3


def test_the_one_entered_last_owns_the_variables(
    lambda_telemetry: LambdaTelemetry, lambda_telemetry_factory: Factory
) -> None:
    made = lambda_telemetry_factory(function_name="made")
    assert os.environ["AWS_LAMBDA_RUNTIME_API"] == lambda_telemetry.runtime_api
    with made:
        assert os.environ["AWS_LAMBDA_RUNTIME_API"] == made.runtime_api
        assert os.environ["AWS_LAMBDA_FUNCTION_NAME"] == "made"
        with lambda_telemetry_factory() as innermost:
            assert os.environ["AWS_LAMBDA_RUNTIME_API"] == innermost.runtime_api
        assert os.environ["AWS_LAMBDA_RUNTIME_API"] == made.runtime_api
    assert os.environ["AWS_LAMBDA_RUNTIME_API"] == lambda_telemetry.runtime_api
    assert os.environ["AWS_LAMBDA_FUNCTION_NAME"] == "test-function"


def test_an_identifier_is_unknown_in_another_environment(lambda_telemetry_factory: Factory) -> None:
    with lambda_telemetry_factory() as a, lambda_telemetry_factory() as b:
        identifier = register(api=a.runtime_api)
        with b.expect_rejection("Unknown extension"):
            assert subscribe(identifier, subscribe_body(4243), api=b.runtime_api).status == 403
        assert subscribe(identifier, subscribe_body(4243), api=a.runtime_api).status == 200
        assert b.subscriptions == ()


def test_each_child_belongs_to_the_environment_that_started_it(
    lambda_telemetry_factory: Factory, tmp_path: Path
) -> None:
    with lambda_telemetry_factory() as a, lambda_telemetry_factory() as b:
        argv = subscriber(tmp_path)  # written once: a child may still read it
        for one in (a, b):
            one.run_extension(argv)
        for one in (a, b):
            one.wait_until_ready("ext.py")
            one.emit(events.function("f"))
            assert one.flush()[-1].ok
        assert len(a.extensions) == len(b.extensions) == 1


def test_an_environment_that_is_left_leaves_the_others_alone(lambda_telemetry_factory: Factory) -> None:
    outer = lambda_telemetry_factory()
    with outer, Listener() as listener:
        with lambda_telemetry_factory() as inner:
            register(api=inner.runtime_api)
        with pytest.raises(MisuseError, match="closed"):
            inner.emit(events.function("f"))
        subscribe(register(), subscribe_body(listener.port, types=["function"]))
        outer.emit(events.function("f"))
        assert outer.flush()[0].ok


def test_each_can_be_asked_from_many_threads_at_once(lambda_telemetry_factory: Factory) -> None:
    with lambda_telemetry_factory() as a, lambda_telemetry_factory() as b:
        start = threading.Barrier(8)

        def join(environment: LambdaTelemetry, number: int) -> None:
            start.wait()
            register(f"ext-{number}", api=environment.runtime_api)

        jobs = [(one, number) for one in (a, b) for number in range(4)]
        threads = [running(partial(join, *job)) for job in jobs]
        for thread in threads:
            thread.__enter__()
        for thread in threads:
            thread.__exit__(None, None, None)
        for one in (a, b):
            assert {extension.name for extension in one.extensions} == {f"ext-{number}" for number in range(4)}

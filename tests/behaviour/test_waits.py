"""Bounded waits: what ends them, and what they say they have seen."""

import math
import threading
from typing import Any

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, MisuseError, ProtocolViolation, WaitTimeout
from tests.support.helpers import EXTENSION, IDENTIFIER, call, register, running, subscribe, subscribe_body


def test_a_wait_says_that_nothing_was_seen(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(WaitTimeout) as caught:
        lambda_telemetry.wait_for_extension(timeout=0.01)
    assert str(caught.value) == (
        "waited 0.01 s for an extension to register; seen instead:\n"
        "  no request at all: does the extension read AWS_LAMBDA_RUNTIME_API"
        f" ({lambda_telemetry.runtime_api}) and was it started?"
    )
    assert isinstance(caught.value, TimeoutError)


def test_a_wait_says_what_was_seen_instead(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register("other")
    subscribe(identifier, subscribe_body(4243))
    with pytest.raises(WaitTimeout) as caught:
        lambda_telemetry.wait_until_ready("mine", timeout=0.01)
    assert str(caught.value) == (
        "waited 0.01 s for extension 'mine' to register and ask for its next event; seen instead:\n"
        "  extension 'other' is Registered\n"
        "  <Subscription other 2022-12-13 platform,function,extension to http://sandbox.localdomain:4243>\n"
        "  POST /2020-01-01/extension/register -> 200\n"
        "  PUT /2022-07-01/telemetry -> 200"
    )


def test_a_wait_shows_a_refusal_that_was_expected(lambda_telemetry: LambdaTelemetry) -> None:
    with lambda_telemetry.expect_rejection():
        subscribe(register(), subscribe_body(4243, types=[]))
    with pytest.raises(WaitTimeout) as caught:
        lambda_telemetry.wait_for_subscription("ext", timeout=0.01)
    assert "  <Rejection ext 400 ValidationError: types should not be empty>" in str(caught.value).splitlines()
    assert str(caught.value).startswith("waited 0.01 s for extension 'ext' to subscribe; seen instead:\n")


def test_a_predicate_is_named_with_its_place(lambda_telemetry: LambdaTelemetry) -> None:
    def enough() -> bool:
        return False

    line = enough.__code__.co_firstlineno
    with pytest.raises(
        WaitTimeout, match=rf"^waited 0.01 s for enough \(test_waits.py:{line}\) to hold; seen instead:"
    ):
        lambda_telemetry.wait_until(enough, timeout=0.01)


def test_an_unexpected_refusal_ends_a_wait_at_once_and_is_told_once(lambda_telemetry: LambdaTelemetry) -> None:
    with running(lambda: subscribe(register(), {})), pytest.raises(WaitTimeout) as caught:
        lambda_telemetry.wait_for_subscription(timeout=600)
    assert str(caught.value).startswith(
        "gave up waiting for an extension to subscribe:\n"
        "Subscribe from extension 'ext' was refused: 400 ValidationError: schemaVersion is not provided; "
    )
    lambda_telemetry.check()


def test_an_unexpected_refusal_ends_a_wait_for_a_predicate(lambda_telemetry: LambdaTelemetry) -> None:
    with running(lambda: subscribe(register(), {})), pytest.raises(WaitTimeout, match="was refused: 400"):
        lambda_telemetry.wait_until(lambda: False, timeout=600)


@pytest.mark.lambda_telemetry(strict=False)
def test_without_strict_a_refusal_ends_no_wait(lambda_telemetry: LambdaTelemetry) -> None:
    def life() -> None:
        identifier = register()
        subscribe(identifier, {})
        subscribe(identifier, subscribe_body(4243))

    with running(life):
        assert lambda_telemetry.wait_for_subscription().extension_name == "ext"
    assert len(lambda_telemetry.rejections) == 1


@pytest.mark.lambda_telemetry(strict=False, extension_timeout_s=0.1)
def test_waits_return_what_they_waited_for(lambda_telemetry: LambdaTelemetry) -> None:
    identifiers: list[str] = []

    def life() -> None:
        identifiers.append(register("late"))
        subscribe(identifiers[0], subscribe_body(4243))
        call("GET", f"{EXTENSION}/event/next", None, {IDENTIFIER: identifiers[0]})

    with running(life):
        assert lambda_telemetry.wait_for_extension("late").name == "late"
        assert lambda_telemetry.wait_for_subscription("late").extension_id == identifiers[0]
        ready = lambda_telemetry.wait_until_ready("late")
        assert (ready.name, ready.state) == ("late", "Ready")
        lambda_telemetry.wait_until(lambda: len(lambda_telemetry.extensions) == 1)
        lambda_telemetry.shutdown()


def test_ready_without_a_name_means_all_of_them(lambda_telemetry: LambdaTelemetry) -> None:
    register("not ready")
    with running(lambda: call("GET", f"{EXTENSION}/event/next", None, {IDENTIFIER: register("ready")})):
        assert lambda_telemetry.wait_until_ready("ready").name == "ready"
        with pytest.raises(WaitTimeout) as caught:
            lambda_telemetry.wait_until_ready(timeout=0.01)
        assert "extension 'not ready' is Registered\n  extension 'ready' is Ready" in str(caught.value)
        lambda_telemetry.shutdown()


def test_an_expected_refusal_may_come_late(lambda_telemetry: LambdaTelemetry) -> None:
    go = threading.Event()

    def life() -> None:
        go.wait(30)
        subscribe(register(), {})

    with running(life):
        with lambda_telemetry.expect_rejection(match=r"^ValidationError: .*types", timeout=30) as expected:
            go.set()
        assert expected.rejection.body == {}


def test_an_expected_refusal_that_does_not_come_says_what_did(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        with lambda_telemetry.expect_rejection(timeout=0.01):
            subscribe(register(), subscribe_body(4243))
    assert str(caught.value) == (
        "expected a refused Subscribe within 0.01 s, but there was none; seen instead:\n"
        "  <Subscription ext 2022-12-13 platform,function,extension to http://sandbox.localdomain:4243>"
    )


def test_an_error_inside_the_block_is_the_error(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(KeyError), lambda_telemetry.expect_rejection(timeout=600):
        raise KeyError


@pytest.mark.parametrize("timeout", [math.inf, 1e300, 10**12])
def test_a_wait_may_be_as_long_as_one_likes(lambda_telemetry: LambdaTelemetry, timeout: float) -> None:
    late = threading.Timer(0, register)
    late.start()
    assert lambda_telemetry.wait_for_extension(timeout=timeout).name == "ext"
    late.join()


@pytest.mark.parametrize("timeout", [None, "5", math.nan, True])
def test_a_time_out_that_is_no_number_is_told(lambda_telemetry: LambdaTelemetry, timeout: Any) -> None:
    told = "timeout=.* is not valid: it must be a number of seconds"
    with pytest.raises(MisuseError, match=told):
        lambda_telemetry.wait_until_ready(timeout=timeout)
    with pytest.raises(MisuseError, match=told):
        lambda_telemetry.wait_until(lambda: True, timeout=timeout)
    with pytest.raises(MisuseError, match=told), lambda_telemetry.expect_rejection(timeout=timeout):
        pass


@pytest.mark.parametrize("match", ["(", 5])
def test_a_match_that_is_no_pattern_is_told(lambda_telemetry: LambdaTelemetry, match: Any) -> None:
    with (
        pytest.raises(MisuseError, match="is not a regular expression"),
        lambda_telemetry.expect_rejection(match),
    ):
        pass


def test_what_cannot_be_registered_or_subscribed_by_hand_is_told(lambda_telemetry: LambdaTelemetry) -> None:
    anything: Any = 5
    with pytest.raises(MisuseError, match="name=5 is not valid"):
        lambda_telemetry.register(anything)
    with pytest.raises(MisuseError, match="buffering should be an object"):
        lambda_telemetry.subscribe("http://127.0.0.1:8080", buffering=anything)

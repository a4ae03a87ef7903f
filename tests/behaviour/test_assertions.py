"""What the assert_* methods find, and what they say when they do not."""

import pytest

from pytest_lambda_telemetry import Buffering, LambdaTelemetry, MisuseError, Settings, events
from tests.support.helpers import Listener, free_port


def said(caught: pytest.ExceptionInfo[BaseException]) -> list[str]:
    return str(caught.value).splitlines()


def test_assert_subscribed_finds_the_subscription_whose_fields_match(lambda_telemetry: LambdaTelemetry) -> None:
    first = lambda_telemetry.subscribe("http://127.0.0.1:4243/a", types=["platform"], name="one")
    second = lambda_telemetry.subscribe(
        "http://127.0.0.1:4244/b", types=["function"], name="two", buffering={"timeoutMs": 100}
    )
    assert lambda_telemetry.assert_subscribed() is first
    assert lambda_telemetry.assert_subscribed("two") is second
    assert lambda_telemetry.assert_subscribed(types=["function"]) is second
    assert lambda_telemetry.assert_subscribed(types=("function",), schema_version="2025-01-29") is second
    assert lambda_telemetry.assert_subscribed(buffering={"timeout_ms": 100}) is second
    assert lambda_telemetry.assert_subscribed(buffering=Buffering(timeout_ms=100)) is second
    assert lambda_telemetry.assert_subscribed(destination={"port": 4244, "path": "/b", "protocol": "HTTP"}) is second
    assert lambda_telemetry.assert_subscribed(body=second.body) is second


def test_assert_subscribed_shows_what_differs(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.subscribe("http://127.0.0.1:4243", name="one")
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_subscribed(types=["function"], buffering={"timeout_ms": 100})
    assert said(caught) == [
        "no subscription has types=['function'], buffering={'timeout_ms': 100}",
        "  <Subscription one 2025-01-29 platform,function,extension to http://127.0.0.1:4243> differs:",
        "    types: expected ('function',), it is ('platform', 'function', 'extension')",
        "    buffering.timeout_ms: expected 100, it is 1000",
    ]


def test_assert_subscribed_shows_the_nearest_first(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.subscribe("http://127.0.0.1:4243", name="far")
    lambda_telemetry.subscribe("http://127.0.0.1:4244", types=["platform"], name="near")
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_subscribed(types=["platform"], schema_version="2022-07-01")
    assert [line.split()[1] for line in said(caught) if line.endswith("differs:")] == ["near", "far"]


def test_assert_subscribed_shows_who_else_subscribed(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_subscribed("ext")
    assert said(caught) == ["there is no subscription of extension 'ext'", "  nothing was subscribed"]
    lambda_telemetry.subscribe("http://127.0.0.1:4243", name="other")
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_subscribed("ext", types=["platform"])
    assert said(caught) == [
        "no subscription of extension 'ext' has types=['platform']",
        "  seen instead: <Subscription other 2025-01-29 platform,function,extension to http://127.0.0.1:4243>",
    ]


def test_assert_subscribed_refuses_fields_that_are_none(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.subscribe("http://127.0.0.1:4243")
    with pytest.raises(MisuseError, match="a subscription has no field 'schemaVersion'; it has schema_version, types,"):
        lambda_telemetry.assert_subscribed(schemaVersion="2025-01-29")
    with pytest.raises(MisuseError, match="buffering has no 'timeout'; it has max_items, max_bytes, timeout_ms"):
        lambda_telemetry.assert_subscribed(buffering={"timeout": 100})


def test_assert_delivered_wants_exactly_these_types_in_this_order(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri)
        lambda_telemetry.emit(events.function("a"), events.platform_start(request_id="1"))
        (delivery,) = lambda_telemetry.flush()
        assert lambda_telemetry.assert_delivered(["function", "platform.start"]) == delivery or delivery.ok
        for wrong in (["platform.start", "function"], ["function"], ["function", "platform.start", "function"], []):
            with pytest.raises(AssertionError) as caught:
                lambda_telemetry.assert_delivered(wrong)
            assert said(caught) == [
                f"no acknowledged delivery carried exactly {wrong}",
                "  nearest: <Delivery to test-extension ok [function, platform.start]>",
            ]


@pytest.mark.lambda_telemetry(strict=False)
def test_assert_delivered_does_not_count_what_failed(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.subscribe(f"http://127.0.0.1:{free_port()}")
    lambda_telemetry.emit(events.function("a"))
    lambda_telemetry.flush()
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_delivered(["function"])
    assert said(caught) == [
        "no acknowledged delivery carried exactly ['function']",
        "  nearest: <Delivery to test-extension failed [function]>",
    ]
    lambda_telemetry.assert_nothing_delivered()


def test_assert_delivered_says_when_nothing_was(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_delivered(["function"])
    assert said(caught) == [
        "no acknowledged delivery carried exactly ['function']",
        "  nothing was delivered: nothing is subscribed",
    ]
    lambda_telemetry.subscribe("http://sandbox.localdomain:4243", types=["platform"])
    lambda_telemetry.emit(events.function("a"))
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_delivered(["function"])
    assert said(caught)[1:] == [
        "  nothing was delivered, for nothing was emitted that these take:",
        "    <Subscription test-extension 2025-01-29 platform to http://sandbox.localdomain:4243>",
    ]
    lambda_telemetry.freeze()
    lambda_telemetry.emit(events.platform_start())
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_delivered(["platform.start"])
    assert said(caught)[1:] == [
        "  nothing was delivered yet:",
        "    buffered: 1 event [platform.start], due once the environment thaws: with the next invocation, at shutdown"
        " or with thaw()",
    ]


def test_assertions_can_be_limited_to_one_subscriber(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as first, Listener() as second:
        lambda_telemetry.subscribe(first.uri, types=["function"], name="one")
        lambda_telemetry.subscribe(second.uri, types=["platform"], name="two")
        lambda_telemetry.emit(events.function("a"))
        lambda_telemetry.flush()
    lambda_telemetry.assert_delivered(["function"], to="one")
    lambda_telemetry.assert_nothing_delivered(to="two")
    with pytest.raises(AssertionError, match="nothing was delivered"):
        lambda_telemetry.assert_delivered(["function"], to="two")
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_nothing_delivered()
    assert said(caught) == ["expected no delivery, but there are:", "  <Delivery to one ok [function]>"]


def test_parts_may_be_named_as_on_the_wire(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.subscribe("http://127.0.0.1:4243/x", types=["platform", "function"], buffering={"timeoutMs": 100})
    lambda_telemetry.assert_subscribed(
        types={"function", "platform"},
        buffering={"timeoutMs": 100, "maxItems": 1000, "max_bytes": 262_144},
        destination="http://127.0.0.1:4243/x",
    )
    lambda_telemetry.assert_subscribed(destination={"protocol": "HTTP", "URI": "http://127.0.0.1:4243/x", "port": 4243})
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_subscribed(destination="http://127.0.0.1:4243", buffering={"timeoutMs": 25})
    assert said(caught)[2:] == [
        "    destination.uri: expected 'http://127.0.0.1:4243', it is 'http://127.0.0.1:4243/x'",
        "    buffering.timeout_ms: expected 25, it is 100",
    ]


def test_on_managed_instances_a_subscription_by_hand_registers_without_invoke() -> None:
    with LambdaTelemetry(Settings(initialization_type="lambda-managed-instances")) as environment:
        environment.subscribe("http://127.0.0.1:4243")
        assert environment.extensions[0].events == ("SHUTDOWN",)

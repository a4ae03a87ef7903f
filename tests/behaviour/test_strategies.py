"""What the public strategies give can be used: sent, delivered and played, each example in a clean environment."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator

from pytest_lambda_telemetry import AsyncLambdaTelemetry, Event, LambdaTelemetry, SchemaVersion, Script, Settings
from pytest_lambda_telemetry.strategies import batches, events, scripts, subscribe_bodies
from tests.support.event_schemas import TYPES, VERSIONS, event_schema
from tests.support.helpers import Listener, register, subscribe
from tests.support.living import living

VALIDATORS = {
    (version, event_type): Draft202012Validator(event_schema(version, event_type))
    for version in VERSIONS
    for event_type in TYPES
}


def examples(count: int) -> settings:
    return settings(max_examples=count, derandomize=True, database=None, deadline=None)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture(scope="module")
def outer() -> Iterator[LambdaTelemetry]:
    """Of no test's own: so Hypothesis has nothing to warn of."""
    with LambdaTelemetry(Settings(extension_timeout_s=60)) as environment:
        yield environment


@examples(100)
@given(batch=batches(), version=st.sampled_from(VERSIONS))
def test_every_event_follows_the_schema_of_each_version(
    outer: LambdaTelemetry, listener: Listener, batch: list[Event], version: SchemaVersion
) -> None:
    with outer.fresh() as environment:
        environment.subscribe(listener.uri, schema_version=version)
        environment.emit(*batch)
        environment.flush()
        delivered = [event for delivery in environment.deliveries for event in delivery.events]
    assert [event["type"] for event in delivered] == [event.type for event in batch]
    for event in delivered:
        VALIDATORS[version, event["type"]].validate(event)


@examples(60)
@given(script=scripts())
def test_every_script_can_be_played(outer: LambdaTelemetry, listener: Listener, script: Script) -> None:
    with outer.fresh() as environment:
        environment.subscribe(listener.uri)
        environment.play(script)
        environment.thaw()
        environment.flush()
        environment.assert_all_delivered()


@examples(25)
@given(script=scripts())
def test_every_script_can_be_played_beside_an_extension(outer: LambdaTelemetry, script: Script) -> None:
    with living() as make:
        with outer.fresh() as environment:
            make()
            environment.wait_until_ready(timeout=60)
            environment.play(script)


@examples(60)
@given(body=subscribe_bodies())
def test_every_right_body_is_accepted_by_a_clean_environment(outer: LambdaTelemetry, body: dict[str, object]) -> None:
    with outer.fresh(strict=False, platform_events=False) as environment:  # some fields bring a warning, else
        assert subscribe(register(), body).status == 200
        assert environment.subscriptions[0].body == json.loads(json.dumps(body))


@pytest.mark.asyncio
@examples(20)
@given(event=events(["extension"]))
async def test_async_tests_may_be_properties(listener: Listener, event: Event) -> None:
    async with AsyncLambdaTelemetry() as other, other.fresh() as environment:
        environment.subscribe(listener.uri)
        await environment.emit(event)
        await environment.flush()
        assert environment.records("extension") == (event.record,)

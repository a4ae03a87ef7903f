"""What a type checker is told: names for what annotations show, literals where only some words are right.

The wrong calls below are never made. mypy, which checks the tests too, reports an ignored error that is none.
"""

import inspect
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Literal, assert_type, get_args, get_type_hints

import pytest

import pytest_lambda_telemetry
from pytest_lambda_telemetry import (
    AsyncLambdaTelemetry,
    Buffering,
    BufferingOptions,
    Delivery,
    Entry,
    InvocationOptions,
    Invoke,
    LambdaTelemetry,
    LambdaTelemetryFactory,
    LifecycleEvent,
    MisuseError,
    Record,
    Retry,
    RouteName,
    SchemaVersion,
    Script,
    ScriptOptions,
    Settings,
    SettingsOptions,
    Shutdown,
    ShutdownReason,
    Status,
    Step,
    Subscription,
    Target,
    TelemetryType,
    events,
)
from pytest_lambda_telemetry.api import routes
from pytest_lambda_telemetry.protocol import contract, schema

PUBLIC = {name: getattr(pytest_lambda_telemetry, name) for name in pytest_lambda_telemetry.__all__}
CLASSES = {name: public for name, public in PUBLIC.items() if isinstance(public, type)}
OURS = {"Sandbox", "Content", "Payload", "Profile", "Engine", "Resolution", "Part"}
OURS |= {"Passage", "SentBatch", "Sighting", "Trails", "Logs", "Init"}
"""Classes in fields and arguments that are nobody's business."""


def ours_in(hint: object) -> Iterator[type]:
    """The classes of this package in an annotation."""
    if isinstance(hint, type) and hint.__module__.startswith("pytest_lambda_telemetry"):
        yield hint
    for argument in get_args(hint):
        for one in argument if isinstance(argument, list) else [argument]:
            yield from ours_in(one)


def met_in(callee: Callable[..., object] | type) -> set[str]:
    return {one.__name__ for hint in get_type_hints(callee).values() for one in ours_in(hint)}


@pytest.mark.parametrize("name", sorted({*CLASSES} - {"LambdaTelemetryFactory"}))
def test_what_a_user_meets_in_annotations_has_a_public_name(name: str) -> None:
    kind = CLASSES[name]
    met = met_in(kind)
    for member, value in inspect.getmembers(kind):
        if not member.startswith("_") or member == "__init__":
            function = value.fget if isinstance(value, property) else value
            met |= met_in(function) if inspect.isroutine(function) and hasattr(function, "__annotations__") else set()
    facts = {fact.__name__ for fact in get_args(PUBLIC["Fact"])}
    assert met - PUBLIC.keys() - OURS - facts == set()


@pytest.mark.parametrize("name", events.__all__)
def test_what_a_builder_takes_has_a_public_name(name: str) -> None:
    assert met_in(getattr(events, name)) <= PUBLIC.keys()


def test_options_are_the_settings() -> None:
    assert get_type_hints(SettingsOptions) == get_type_hints(Settings)
    assert not SettingsOptions.__required_keys__


def test_literals_are_what_the_rules_take() -> None:
    assert get_args(RouteName) == routes.NAMES
    assert get_args(LifecycleEvent) == contract.EVENT_TYPES
    assert {*get_args(SchemaVersion)} == {*contract.TELEMETRY.schema_versions}
    assert get_args(SchemaVersion) == (schema.V2022_07, schema.V2022_12, schema.V2025_01)
    assert [*BufferingOptions.__annotations__] == ["maxItems", "maxBytes", "timeoutMs"]


# --- never called: for the type checker alone -------------------------------------------------------------------------


def wrong(env: LambdaTelemetry, factory: LambdaTelemetryFactory) -> None:
    env.subscribe("http://x", types="platform")  # type: ignore[arg-type]  # must fail
    env.subscribe("http://x", types=["platfrom"])  # type: ignore[list-item]  # must fail
    env.subscribe("http://x", schema_version="2022")  # type: ignore[arg-type]  # must fail
    env.subscribe("http://x", buffering={"timeout_ms": 100})  # type: ignore[arg-type]  # must fail
    env.register("x", events="INVOKE")  # type: ignore[arg-type]  # must fail
    env.register("x", events=["INVOKED"])  # type: ignore[list-item]  # must fail
    env.shutdown("spin")  # type: ignore[arg-type]  # must fail
    env.reject_next("susbcribe")  # type: ignore[arg-type]  # must fail
    env.invoke(status="failed")  # type: ignore[call-overload]  # must fail
    env.invoke(duration=5)  # type: ignore[call-overload]  # must fail
    env.emit([events.function("x")])  # type: ignore[arg-type]  # must fail
    env.wait_until(True)  # type: ignore[arg-type]  # must fail
    factory(strcit=False)  # type: ignore[call-overload]  # must fail
    factory(clock="real")  # type: ignore[call-overload]  # must fail
    factory(Settings())  # type: ignore[call-overload]  # must fail
    Settings(clock="real")  # type: ignore[arg-type]  # must fail
    Script.invocation(status="timeout")  # type: ignore[arg-type]  # must fail
    Script.cold_start(duration=5)  # type: ignore[call-arg]  # must fail
    events.platform_start(request_id=None)  # type: ignore[arg-type]  # must fail
    events.platform_extension(events=["invoke"])  # type: ignore[list-item]  # must fail
    Shutdown("spin")  # type: ignore[arg-type]  # must fail


async def wrong_in_async_code(env: AsyncLambdaTelemetry, factory: LambdaTelemetryFactory) -> None:
    await env.shutdown("spin")  # type: ignore[arg-type]  # must fail
    env.subscribe("http://x", types="platform")  # type: ignore[arg-type]  # must fail
    await env.invoke(duration=5)  # type: ignore[call-overload]  # must fail
    async with factory() as _:  # type: ignore[attr-defined]  # must fail
        pass


async def right(env: LambdaTelemetry, both: AsyncLambdaTelemetry, factory: LambdaTelemetryFactory, flag: bool) -> None:
    types: list[TelemetryType] = ["platform"]
    wire: BufferingOptions = {"timeoutMs": 100}
    version: SchemaVersion = "2022-12-13"
    taken: tuple[LifecycleEvent, ...] = ("SHUTDOWN",)
    assert_type(env.subscribe("http://x", types, version, wire), Subscription)
    env.subscribe("http://x", buffering=Buffering(timeout_ms=100))
    to: Target = env.register("x", taken)
    assert_type(env.flush(to), tuple[Delivery, ...])
    assert_type(await both.flush(to), tuple[Delivery, ...])
    assert_type(env.journal, tuple[Entry, ...])
    options: InvocationOptions = {"status": "error", "error_type": "Function.Broken"}
    logs: list[Record] = ["a line", {"level": "INFO"}]
    env.invoke(logs=logs, **options)
    assert_type(env.invoke().status, Status)
    scripted: ScriptOptions = {"request_id": "x", "logs": ["a line", events.extension("another")]}
    env.play(Script.timeout(**scripted) + Script([Step(0, Invoke(request_id="x", deadline_ms=1, tracing="x"))]))
    reason: ShutdownReason = "failure"
    env.shutdown(reason)
    settings: SettingsOptions = {"strict": False, "retry": Retry(attempts=2), "start": datetime.max}
    assert_type(factory(**settings), LambdaTelemetry)
    assert_type(factory(asynchronous=False, strict=flag), LambdaTelemetry)
    assert_type(factory(asynchronous=True, **settings), AsyncLambdaTelemetry)
    async with factory(asynchronous=True) as made:
        assert_type(made, AsyncLambdaTelemetry)
        async with made.expect_rejection() as refused, made.invocation() as invocation:
            assert_type(refused, pytest_lambda_telemetry.ExpectedRejection)
            assert_type(invocation.outcome, Literal["completed", "function-timeout", "extension-timeout"])


def test_the_type_checker_alone_reads_these() -> None:
    everything: list[Any] = [wrong, wrong_in_async_code, right]
    assert all(callable(one) for one in everything)
    with pytest.raises(MisuseError):
        Settings(clock="real")  # type: ignore[arg-type]  # must fail

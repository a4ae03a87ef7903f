"""Whatever a test passes in where something else is meant: a MisuseError that helps, and nothing is broken by it."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from pytest_lambda_telemetry import (
    AsyncLambdaTelemetry,
    Buffering,
    Event,
    LambdaTelemetry,
    MisuseError,
    Script,
    Settings,
    WaitTimeout,
    events,
)
from pytest_lambda_telemetry.aio import alongside
from pytest_lambda_telemetry.api.dialect import runtime_server
from pytest_lambda_telemetry.environment import over
from pytest_lambda_telemetry.sandbox.assembly import assemble
from pytest_lambda_telemetry.sandbox.invocation import InvocationOptions
from pytest_lambda_telemetry.wire.server import Server
from tests.support.wrong import WRONG, Unshowable, helps, mistake, variations

URI = "http://sandbox.localdomain:9"
SETTINGS = Settings(strict=False, retry=None, delivery_timeout_s=0.05, extension_timeout_s=0.05, shutdown_timeout_s=0.2)
METHODS = [
    name for name in dir(LambdaTelemetry) if not name.startswith("_") and callable(getattr(LambdaTelemetry, name))
]
VALID: dict[str, dict[str, Any]] = {
    "subscribe": {"uri": URI, "name": "another"},
    "push": {"batch": [events.function("x")]},
    "play": {"script": Script()},
    "fail_next_delivery": {"fault": "refuse"},
    "reject_next": {"route": "subscribe"},
    "run_extension": {"argv": [sys.executable, "-c", "pass"], "name": "child"},
    "wait_for_extension": {"timeout": 0},
    "wait_for_subscription": {"timeout": 0},
    "wait_until_ready": {"timeout": 0},
    "wait_until": {"predicate": lambda: True},
    "save_ndjson": {"path": "saved.ndjson"},
    "assert_delivered": {"types": ["function"]},
    "assert_exactly_once": {"timeout": 0, "seen": b""},
    "assert_at_least_once": {"timeout": 0, "seen": b""},
    "log_lines": {"n": 1},
}
"""The arguments that a call needs."""
OPTIONS: dict[str, dict[str, Any]] = {
    "invocation": {**InvocationOptions.__annotations__},
    "invoke": {**InvocationOptions.__annotations__},
    "assert_subscribed": dict.fromkeys(
        ("types", "destination", "buffering", "schema_version", "extension_id", "raw", "headers", "body", "port")
    ),
}
EXPECTED = {"wait": WaitTimeout, "assert": AssertionError, "save": OSError}
"""What a call raises for arguments that are right, by the first word of its name."""


class Left(Exception):
    """A block was left on purpose."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with closing(runtime_server()) as server:
        yield server


@pytest.fixture
def environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaTelemetry]:
    monkeypatch.chdir(tmp_path)
    environment = over(assemble(SETTINGS, "test", server=server))
    environment.subscribe(URI)
    yield environment
    repr(environment)
    environment.timeline()
    assert all(repr(entry) for entry in environment.journal)
    environment._sandbox.end()


def test_every_member_is_tried() -> None:
    assert {*VALID, *OPTIONS} <= {*METHODS}
    assert len(METHODS) >= 27


def cases(name: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    member = getattr(LambdaTelemetry, name)
    for argument, value, args, kwargs in variations(member, VALID.get(name, {}), OPTIONS.get(name, {})):
        if argument != "to" or not (isinstance(value, Unshowable) or value is WRONG["no digits"]):
            yield args, kwargs


@pytest.mark.parametrize("name", METHODS)
def test_a_wrong_argument_is_told(environment: LambdaTelemetry, name: str) -> None:
    def call(*args: Any, **kwargs: Any) -> None:
        made: object = getattr(environment, name)(*args, **kwargs)
        if isinstance(made, AbstractContextManager):
            try:
                with made:
                    raise Left
            except Left:
                pass

    others = tuple(error for word, error in EXPECTED.items() if name.startswith(word))
    for args, kwargs in cases(name):
        mistake(call, *args, others=others, **kwargs)


@pytest.mark.parametrize("name", METHODS)
def test_a_wrong_argument_is_told_in_an_async_test(environment: LambdaTelemetry, name: str) -> None:
    others = tuple(error for word, error in EXPECTED.items() if name.startswith(word))
    both: AsyncLambdaTelemetry = alongside(environment)

    async def enter(made: AbstractAsyncContextManager[object]) -> None:
        try:
            async with made:
                raise Left
        except Left:
            pass

    async def main() -> None:
        for args, kwargs in cases(name):
            try:
                made: object = getattr(both, name)(*args, **kwargs)
                if isinstance(made, Awaitable):
                    await made
                elif isinstance(made, AbstractAsyncContextManager):
                    await enter(made)
            except MisuseError as error:
                helps(error)
            except others:
                pass

    asyncio.run(main())


TOLD: dict[str, tuple[Callable[[LambdaTelemetry], object], str]] = {
    "types is one text": (
        lambda env: env.subscribe(URI, types="platform"),  # type: ignore[arg-type]  # this must fail
        "types='platform' is not a list; pass a list of types, such as ['platform']",
    ),
    "types is no list": (
        lambda env: env.subscribe(URI, types=None),  # type: ignore[arg-type]  # this must fail
        "types=None is not a list; pass a list of types",
    ),
    "types has no texts": (
        lambda env: env.subscribe(URI, types=[b"platform"]),  # type: ignore[list-item]  # this must fail
        "types[0]=b'platform' is not valid: it must be a str",
    ),
    "events is one text": (
        lambda env: env.register("x", events="INVOKE"),  # type: ignore[arg-type]  # this must fail
        "events='INVOKE' is not a list; pass a list of events, such as ['INVOKE']",
    ),
    "buffering in our spelling": (
        lambda env: env.subscribe(URI, buffering={"timeout_ms": 100}),  # type: ignore[arg-type]  # this must fail
        "buffering has 'timeout_ms', which the wire spells 'timeoutMs': pass {'timeoutMs': 100}, or"
        " Buffering(timeout_ms=100)",
    ),
    "buffering is no JSON": (
        lambda env: env.subscribe(URI, buffering=Buffering(max_items=[b"x"])),  # type: ignore[arg-type]  # this must fail
        "buffering=Buffering(max_items=[b'x'], max_bytes=262144, timeout_ms=1000) is not valid: it must be a Buffering,"
        " or the wire's dict, such as {'timeoutMs': 100}",
    ),
    "uri is bytes": (
        lambda env: env.subscribe(b"http://x"),  # type: ignore[arg-type]  # this must fail
        "uri=b'http://x' is not valid: it must be an address, such as 'http://sandbox.localdomain:8080'",
    ),
    "port is a text": (
        lambda env: env.subscribe(port="80"),  # type: ignore[arg-type]  # this must fail
        "port='80' is not valid: it must be the number of a port",
    ),
    "a list of events": (
        lambda env: env.emit([Event("function", "x")]),  # type: ignore[arg-type]  # this must fail
        "[Event(type='function', record='x', time=None)] is a list, no event; pass its events one by one: emit(*batch)",
    ),
    "an extension for its name": (
        lambda env: env.wait_until_ready(env.register("x")),  # type: ignore[arg-type]  # this must fail
        "name=<Extension x Registered events=INVOKE,SHUTDOWN> is not valid: it must be the name of an extension, a str",
    ),
    "a predicate that is none": (
        lambda env: env.wait_until(True),  # type: ignore[arg-type]  # this must fail
        "predicate=True is not valid: it must be something to call, such as lambda: len(seen) == 3",
    ),
    "a pattern of bytes": (
        lambda env: env.expect_rejection(b"x"),  # type: ignore[arg-type]  # this must fail
        "match=b'x' is not a regular expression: pass a str",
    ),
    "a timeout that is none": (
        lambda env: env.expect_rejection(timeout="1"),  # type: ignore[arg-type]  # this must fail
        "timeout='1' is not valid: it must be a number of seconds",
    ),
    "an option that does not exist": (
        lambda env: env.invoke(duraton_ms=5),  # type: ignore[call-overload]  # this must fail
        "an invocation has no option 'duraton_ms'; it has request_id, duration_ms, status, error_type, overhead_ms,"
        " max_memory_used_mb, tenant_id, tracing; did you mean 'duration_ms'?",
    ),
    "types of a delivery as one text": (
        lambda env: env.assert_delivered("function"),
        "types='function' is not a list; pass a list of event types, such as ['function']",
    ),
    "types of a subscription as one text": (
        lambda env: env.assert_subscribed(types="platform"),
        "types='platform' is not a list; pass a list of types, such as ['platform']",
    ),
    "buffering of a subscription as a number": (
        lambda env: env.assert_subscribed(buffering=100),
        "buffering=100 is not valid: it must be a dict of some of its fields, such as {'timeout_ms': 100}",
    ),
    "an error type that is none": (
        lambda env: env.reject_next("subscribe", error_type=403),  # type: ignore[arg-type]  # this must fail
        "error_type=403 is not valid: it must be a non-empty str",
    ),
    "variables that are no texts": (
        lambda env: env.run_extension([sys.executable], name="x", env={"PORT": 80}),  # type: ignore[dict-item]  # must fail
        "env['PORT']=80 is not valid: it must be a str",
    ),
    "a folder that is none": (
        lambda env: env.run_extension([sys.executable], name="x", cwd=5),  # type: ignore[arg-type]  # this must fail
        "cwd=5 is not valid: it must be a path: a str or a pathlib.Path",
    ),
    "a file descriptor": (
        lambda env: env.save_ndjson(1),  # type: ignore[arg-type]  # this must fail
        "path=1 is not valid: it must be a path: a str or a pathlib.Path",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_what_is_wrong_is_told_with_what_is_right(environment: LambdaTelemetry, case: str) -> None:
    call, told = TOLD[case]
    with pytest.raises(MisuseError) as caught:
        call(environment)
    assert str(caught.value) == told


async def _holds() -> bool:
    return True


def test_a_predicate_that_nobody_awaits_is_told(environment: LambdaTelemetry) -> None:
    with pytest.raises(MisuseError, match="is a coroutine function, which nobody awaits; pass a plain function"):
        environment.wait_until(_holds)


def test_the_wait_of_a_process_takes_seconds(environment: LambdaTelemetry) -> None:
    process = environment.run_extension([sys.executable, "-c", "pass"], name="child")
    assert process.wait(float("inf")) == 0
    for value in WRONG.values():
        mistake(process.wait, value)


def test_a_name_of_a_header_that_is_none_is_not_there(environment: LambdaTelemetry) -> None:
    (extension,) = environment.extensions
    assert extension.headers.get("Lambda-Extension-Name") == extension.name
    assert extension.headers.get(1, "none") == "none"  # type: ignore[call-overload]  # as in any mapping


def test_a_deadline_past_the_last_date_is_told(server: Server) -> None:
    environment = over(assemble(Settings(start="9999-12-31T23:59:58Z", strict=False), "test", server=server))
    with pytest.raises(MisuseError, match="the deadline of this invocation would be past the year 9999"):
        environment.invoke()
    environment._sandbox.end()


def test_what_was_refused_left_no_file_open(environment: LambdaTelemetry) -> None:
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    for value in WRONG.values():
        mistake(environment.save_ndjson, value, others=(OSError,))
        mistake(environment.run_extension, value)
    assert len(os.listdir("/proc/self/fd") if before else []) == len(before)

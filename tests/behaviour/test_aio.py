"""Async tests: the listener and the extension live on the test's own loop, and nothing blocks it."""

import asyncio
import inspect
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from aiohttp import web
from freezegun import freeze_time

from pytest_lambda_telemetry import (
    AsyncLambdaTelemetry,
    LambdaTelemetry,
    LambdaTelemetryWarning,
    MisuseError,
    ProtocolViolation,
    Script,
    Settings,
    WaitTimeout,
    events,
)
from pytest_lambda_telemetry.aio import alongside
from tests.support.helpers import EXTENSION, IDENTIFIER, TELEMETRY, Listener, subscribe_body
from tests.support.living import Living, living

COROUTINES = {
    *("wait_for_extension", "wait_for_subscription", "wait_until_ready", "wait_until", "emit", "push", "advance"),
    *("flush", "play", "invoke", "end_init", "shutdown", "restart"),
    *("assert_exactly_once", "assert_at_least_once"),
}
CONTEXTS = {"invocation", "expect_rejection"}
OBJECTS = {"backend", "fresh"}
"""What they return has members that wait, or is entered, and is of two kinds too."""
MS = timedelta(milliseconds=1)
START = datetime(2030, 1, 1, tzinfo=UTC)


class LoopListener:
    """An HTTP listener of asyncio streams on the running loop."""

    port: int
    uri: str

    def __init__(self) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self.arrived = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = int(head.partition("content-length:")[2].split()[0])
                self.batches.append(json.loads(await reader.readexactly(length)))
                self.arrived.set()
                await self.may_answer.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        writer.close()

    @property
    def records(self) -> list[Any]:
        return [event["record"] for batch in self.batches for event in batch]


@asynccontextmanager
async def listening() -> AsyncIterator[LoopListener]:
    listener = LoopListener()
    server = await asyncio.start_server(listener.answer, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    listener.uri = f"http://sandbox.localdomain:{listener.port}"
    try:
        yield listener
    finally:
        listener.may_answer.set()
        server.close()


@asynccontextmanager
async def subscribed(environment: AsyncLambdaTelemetry, **options: Any) -> AsyncIterator[LoopListener]:
    async with listening() as listener:
        environment.subscribe(listener.uri, buffering={"timeoutMs": 100}, **options)
        yield listener


# --- the same members -------------------------------------------------------------------------------------------------


def public(kind: type) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}


def test_both_objects_have_the_same_members() -> None:
    assert public(AsyncLambdaTelemetry).keys() == public(LambdaTelemetry).keys()


@pytest.mark.parametrize("name", sorted(public(LambdaTelemetry)))
def test_a_member_has_the_same_signature_on_both(name: str) -> None:
    sync, other = public(LambdaTelemetry)[name], public(AsyncLambdaTelemetry)[name]
    assert isinstance(other, property) == isinstance(sync, property)
    if isinstance(sync, property):
        assert sync.fget is not None
        assert inspect.signature(sync.fget) == inspect.signature(other.fget)
        return
    assert inspect.iscoroutinefunction(other) == (name in COROUTINES)
    assert not inspect.iscoroutinefunction(sync)
    assert inspect.signature(sync).parameters == inspect.signature(other).parameters
    if name not in CONTEXTS | OBJECTS:
        assert inspect.signature(sync).return_annotation == inspect.signature(other).return_annotation


def test_the_blocks_are_async_context_managers(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    assert isinstance(async_lambda_telemetry.invocation(), AbstractAsyncContextManager)
    assert isinstance(async_lambda_telemetry.expect_rejection(), AbstractAsyncContextManager)


# --- a blocking call inside a loop ------------------------------------------------------------------------------------

BLOCKING: dict[str, Callable[[LambdaTelemetry], object]] = {
    "restart": lambda sync: sync.restart(),
    "wait_for_extension": lambda env: env.wait_for_extension(),
    "wait_for_subscription": lambda env: env.wait_for_subscription(),
    "wait_until_ready": lambda env: env.wait_until_ready(),
    "wait_until": lambda env: env.wait_until(lambda: True),
    "emit": lambda env: env.emit(events.function("x")),
    "push": lambda env: env.push([events.function("x")]),
    "advance": lambda env: env.advance(ms=1),
    "flush": lambda env: env.flush(),
    "play": lambda env: env.play(Script([])),
    "invocation": lambda env: env.invocation(),
    "invoke": lambda env: env.invoke(),
    "end_init": lambda env: env.end_init(),
    "shutdown": lambda env: env.shutdown(),
    "expect_rejection": lambda env: env.expect_rejection(),
    "fresh": lambda env: env.fresh(),
    "assert_exactly_once": lambda env: env.assert_exactly_once(seen=b""),
    "assert_at_least_once": lambda env: env.assert_at_least_once(seen=b""),
}


def test_all_that_block_are_listed_here() -> None:
    assert BLOCKING.keys() == COROUTINES | CONTEXTS | {"fresh"}


@pytest.mark.parametrize("name", BLOCKING)
@pytest.mark.parametrize("run", [asyncio.run, lambda main: trio.run(lambda: main)], ids=["asyncio", "trio"])
def test_a_blocking_call_of_the_sync_object_in_a_loop_names_the_async_fixture(
    run: Callable[[Any], None], name: str, lambda_telemetry: LambdaTelemetry
) -> None:
    async def main() -> None:
        names = rf"async_lambda_telemetry fixture, or AsyncLambdaTelemetry\(Settings\(…\)\).* (await|async with) {name}"
        with pytest.raises(MisuseError, match=rf"^{name}\(\).*{names}\(\)$"):
            BLOCKING[name](lambda_telemetry)

    run(main())
    assert lambda_telemetry.journal == ()


@pytest.mark.asyncio
async def test_what_does_not_wait_works_on_the_sync_object_in_a_loop(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.subscribe("http://sandbox.localdomain:9009")
    lambda_telemetry.freeze()
    lambda_telemetry.thaw()
    assert lambda_telemetry.subscriptions
    assert lambda_telemetry.elapsed == timedelta(0)
    lambda_telemetry.check()


# --- listeners and extensions on the loop -----------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_listener_may_live_on_the_tests_loop(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    env = async_lambda_telemetry
    async with subscribed(env) as listener:
        assert await env.emit(events.function("one")) == ()
        assert await env.advance(ms=99) == ()
        (delivery,) = await env.advance(ms=1)
        assert delivery.ok
        await env.emit(events.function("two"))
        assert len(await env.flush()) == 1
        assert (await env.push([events.function("three")])).ok
        assert len(await env.play(Script([(0, events.function("four")), (100, events.function("five"))]))) == 1
        assert (await env.invoke(logs=["six"])).deliveries
        assert await env.shutdown() != ()
    assert [text for text in listener.records if isinstance(text, str)] == [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
    ]


@pytest.mark.asyncio
async def test_an_aiohttp_listener_and_an_httpx_extension_live_on_the_tests_loop(
    async_lambda_telemetry: AsyncLambdaTelemetry,
) -> None:
    env, heard, received = async_lambda_telemetry, [], []

    async def take(request: web.Request) -> web.Response:
        received.extend(await request.json())
        return web.Response()

    async def extension(port: int) -> None:
        async with httpx.AsyncClient(base_url=f"http://{env.runtime_api}", timeout=20) as client:
            registered = await client.post(
                f"{EXTENSION}/register",
                json={"events": ["INVOKE", "SHUTDOWN"]},
                headers={"Lambda-Extension-Name": "ext"},
            )
            identity = {IDENTIFIER: registered.headers[IDENTIFIER]}
            assert (await client.put(TELEMETRY, json=subscribe_body(port), headers=identity)).status_code == 200
            while "SHUTDOWN" not in heard:
                heard.append((await client.get(f"{EXTENSION}/event/next", headers=identity)).json()["eventType"])

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    living = asyncio.create_task(extension(runner.addresses[0][1]))
    assert (await env.wait_for_extension("ext")).name == "ext"
    assert (await env.wait_for_subscription()).extension_name == "ext"
    await env.wait_until_ready("ext")
    await env.end_init()
    async with env.invocation() as invocation:
        invocation.log("hello")
    await env.invoke(logs=["again"])
    await env.shutdown()
    await living
    await runner.cleanup()
    assert heard == ["INVOKE", "INVOKE", "SHUTDOWN"]
    assert [event["record"] for event in received if event["type"] == "function"] == ["hello", "again"]
    assert [event["type"] for event in received if event["type"] == "platform.report"] == ["platform.report"] * 2


@pytest.mark.asyncio
async def test_a_refused_subscription_is_expected(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    env = async_lambda_telemetry
    async with httpx.AsyncClient(base_url=f"http://{env.runtime_api}") as client:
        answer = await client.post(
            f"{EXTENSION}/register", json={"events": []}, headers={"Lambda-Extension-Name": "ext"}
        )
        identity = {IDENTIFIER: answer.headers[IDENTIFIER]}
        async with env.expect_rejection("ValidationError") as expected:
            sent = asyncio.create_task(client.put(TELEMETRY, json={}, headers=identity))
        assert expected.rejection.status == (await sent).status_code == 400
    with pytest.raises(ProtocolViolation, match="there was none"):
        async with env.expect_rejection(timeout=0):
            pass
    with pytest.raises(ZeroDivisionError):
        async with env.expect_rejection():
            raise ZeroDivisionError


@pytest.mark.asyncio
async def test_waits_tell_what_was_seen_instead(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    with pytest.raises(WaitTimeout, match="no request at all"):
        await async_lambda_telemetry.wait_for_extension(timeout=0)
    await async_lambda_telemetry.wait_until(lambda: True)


@pytest.mark.asyncio
async def test_an_exception_in_an_invocation_ends_it_as_an_error(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    async with subscribed(async_lambda_telemetry) as listener:
        with pytest.raises(ZeroDivisionError):
            async with async_lambda_telemetry.invocation() as invocation:
                raise ZeroDivisionError
        assert invocation.status == "error"
        await async_lambda_telemetry.shutdown()
        reports = [event for batch in listener.batches for event in batch if event["type"] == "platform.report"]
        assert [report["record"]["status"] for report in reports] == ["error"]


@pytest.mark.asyncio
async def test_lines_of_an_invocation_are_buffered_inside_the_loop(
    async_lambda_telemetry: AsyncLambdaTelemetry,
) -> None:
    async with subscribed(async_lambda_telemetry, types=["function"]) as listener:
        async with async_lambda_telemetry.invocation() as invocation:
            invocation.log(*["line"] * 1_001)
            assert listener.batches == []
            assert len(await async_lambda_telemetry.emit(events.function("more"))) == 1
            assert [len(batch) for batch in listener.batches] == [1_000]
        assert [len(batch) for batch in listener.batches] == [1_000, 2]
        with pytest.raises(MisuseError):
            invocation.log("too late")


# --- tasks at once ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["advance", "flush", "push", "play", "invoke", "end_init", "shutdown"])
async def test_a_second_call_that_moves_time_is_refused(
    name: str, async_lambda_telemetry: AsyncLambdaTelemetry
) -> None:
    env = async_lambda_telemetry
    arguments: dict[str, tuple[Any, ...]] = {"push": ([events.function("x")],), "play": (Script([]),)}
    async with subscribed(env) as listener:
        listener.may_answer.clear()
        await env.emit(events.function("one"))
        first = asyncio.create_task(env.advance(ms=100))
        await listener.arrived.wait()
        with pytest.raises(MisuseError, match=rf"^{name}\(\) was called while another awaited call still moves time"):
            await getattr(env, name)(*arguments.get(name, ()))
        with pytest.raises(MisuseError, match=r"^invocation\(\) was called while"):
            async with env.invocation():
                pytest.fail("entered")
        assert await env.emit(events.function("meanwhile")) == ()
        listener.may_answer.set()
        assert [one.ok for one in await first] == [True]
        assert listener.records == ["one"]
        await env.advance(ms=100)
        assert listener.records == ["one", "meanwhile"]


@pytest.mark.asyncio
async def test_of_two_calls_at_once_the_first_has_time(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    for _ in range(20):
        done, refused = await asyncio.gather(
            async_lambda_telemetry.advance(ms=1), async_lambda_telemetry.advance(ms=1), return_exceptions=True
        )
        assert done == ()
        assert isinstance(refused, MisuseError)
    assert async_lambda_telemetry.elapsed == 20 * MS


@pytest.mark.asyncio
async def test_waits_may_go_on_while_time_moves(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    env = async_lambda_telemetry
    async with subscribed(env):
        waiting = [asyncio.create_task(env.wait_until(lambda: env.deliveries, 20)) for _ in range(50)]
        await env.emit(events.function("one"))
        await env.advance(ms=100)
        await asyncio.gather(*waiting)


@pytest.mark.asyncio
async def test_an_invocation_can_be_left_while_another_task_moves_time(
    async_lambda_telemetry: AsyncLambdaTelemetry,
) -> None:
    env = async_lambda_telemetry
    async with subscribed(env) as listener:
        entered = asyncio.Event()

        async def invoke() -> None:
            async with env.invocation():
                listener.may_answer.clear()
                entered.set()
                await listener.arrived.wait()
                asyncio.get_running_loop().call_soon(listener.may_answer.set)

        invoking = asyncio.create_task(invoke())
        await entered.wait()
        await env.advance(ms=100)
        await invoking
        await env.invoke()


# --- cancelling -------------------------------------------------------------------------------------------------------


async def cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.asyncio
async def test_a_call_cancelled_during_a_delivery_leaves_the_batch_to_be_sent_again(
    async_lambda_telemetry: AsyncLambdaTelemetry,
) -> None:
    env = async_lambda_telemetry
    async with subscribed(env) as listener:
        listener.may_answer.clear()
        await env.emit(events.function("one"))
        advancing = asyncio.create_task(env.advance(seconds=60))
        await listener.arrived.wait()
        await cancel(advancing)
        (delivery,) = env.deliveries
        assert [attempt.error for attempt in delivery.attempts] == ["given up: the call was cancelled"]
        assert env.elapsed == 100 * MS
        listener.may_answer.set()
        assert await env.advance(ms=99) == ()
        (delivery,) = await env.advance(ms=1)
        assert (delivery.ok, len(delivery.attempts)) == (True, 2)
    assert listener.records == ["one", "one"]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["wait_for_extension", "wait_for_subscription", "wait_until_ready", "wait_until"])
async def test_a_cancelled_wait_ends_and_the_next_call_works(
    name: str, async_lambda_telemetry: AsyncLambdaTelemetry
) -> None:
    env, looked = async_lambda_telemetry, threading.Event()

    def look() -> None:
        looked.set()

    arguments = (look,) if name == "wait_until" else ()
    for turns in range(6):
        waiting = asyncio.create_task(getattr(env, name)(*arguments, timeout=60))
        for _ in range(turns):
            await asyncio.sleep(0)
        await cancel(waiting)
    await env.advance(ms=100)
    assert env.elapsed == 100 * MS


@pytest.mark.asyncio
async def test_a_call_may_be_cancelled_at_any_moment(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    env = async_lambda_telemetry
    async with subscribed(env, types=["function"]) as listener:
        for turns in range(40):
            await env.emit(events.function(f"line {turns}"))
            advancing = asyncio.create_task(env.advance(ms=100))
            for _ in range(turns % 20):
                await asyncio.sleep(0)
            advancing.cancel()
            await asyncio.gather(advancing, return_exceptions=True)
        await env.advance(seconds=60)
        assert list(dict.fromkeys(listener.records)) == [f"line {turns}" for turns in range(40)]
        assert [one.ok for one in env.deliveries] == [True] * len(env.deliveries)


@pytest.mark.asyncio
async def test_a_call_that_is_cancelled_twice_has_ended_too(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    env = async_lambda_telemetry
    async with subscribed(env) as listener:
        listener.may_answer.clear()
        await env.emit(events.function("one"))
        advancing = asyncio.create_task(env.advance(ms=100))
        await listener.arrived.wait()
        advancing.cancel()
        await asyncio.sleep(0)
        await cancel(advancing)
        listener.may_answer.set()
        await env.advance(ms=100)
    assert listener.records == ["one", "one"]


@pytest.mark.asyncio
@pytest.mark.parametrize("turns", range(0, 40, 4))
async def test_an_invocation_may_be_cancelled_at_any_moment(
    turns: int, async_lambda_telemetry: AsyncLambdaTelemetry
) -> None:
    env = async_lambda_telemetry

    async def invoke() -> None:
        async with env.invocation() as invocation:
            invocation.log("hello")

    async with subscribed(env):
        invoking = asyncio.create_task(invoke())
        for _ in range(turns):
            await asyncio.sleep(0)
        invoking.cancel()
        await asyncio.gather(invoking, return_exceptions=True)
        assert (await env.invoke(logs=["again"])).outcome == "completed"


@pytest.mark.asyncio
async def test_an_invocation_cancelled_inside_its_block_is_over(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    env, seen = async_lambda_telemetry, []

    async def invoke() -> None:
        async with env.invocation() as invocation:
            seen.append(invocation)
            await asyncio.Event().wait()

    async with subscribed(env):
        invoking = asyncio.create_task(invoke())
        while not seen:
            await asyncio.sleep(0)
        await cancel(invoking)
        assert seen[0].status == "success"  # that the test gave up is no error of the function
        with pytest.raises(MisuseError):
            seen[0].log("too late")
        assert (await env.invoke()).outcome == "completed"


async def cancelled_inside(env: AsyncLambdaTelemetry, request_id: str) -> None:
    """An invocation that is cancelled in its block."""
    inside = asyncio.Event()

    async def invoke() -> None:
        async with env.invocation(request_id=request_id):
            inside.set()
            await asyncio.Event().wait()

    invoking = asyncio.create_task(invoke())
    await inside.wait()
    await cancel(invoking)


@pytest.mark.asyncio
async def test_an_invocation_cancelled_inside_its_block_is_told_to_its_end(
    async_lambda_telemetry: AsyncLambdaTelemetry,
) -> None:
    env = async_lambda_telemetry
    with living() as make:
        extension: Living = make(on_event=lambda _: extension.wait_for("platform.runtimeDone", len(extension.told)))
        await env.wait_until_ready()
        await cancelled_inside(env, "first")
        async with env.invocation(request_id="second") as second:
            second.log("hello")
        await env.shutdown()
        assert second.outcome == "completed"
        await env.wait_until(lambda: len(extension.told) == 3)
        assert [told.get("requestId") for told in extension.told] == ["first", "second", None]
        for kind in ("platform.start", "platform.runtimeDone", "platform.report"):
            assert [record["requestId"] for record in extension.of(kind)] == ["first", "second"]
        assert [record["status"] for record in extension.of("platform.report")] == ["success", "success"]


@pytest.mark.asyncio
async def test_an_invocation_waits_for_the_extensions_of_one_that_was_cancelled() -> None:
    may_ask = threading.Event()
    with living() as make:
        async with AsyncLambdaTelemetry(Settings(timeout_s=0.1, extension_timeout_s=0.1)) as env:
            make(on_event=lambda _: may_ask.wait(10))
            await env.wait_until_ready()
            await cancelled_inside(env, "first")
            await env.invoke()
            with pytest.raises(ProtocolViolation, match="of invocation first, which was cut short"):
                env.check()
            may_ask.set()


@pytest.mark.asyncio
async def test_a_cancelled_expectation_ends(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    async def expect() -> None:
        async with async_lambda_telemetry.expect_rejection(timeout=60):
            reached.set()

    reached = asyncio.Event()
    expecting = asyncio.create_task(expect())
    await reached.wait()
    await asyncio.sleep(0)
    await cancel(expecting)
    await async_lambda_telemetry.advance(ms=1)


@pytest.mark.asyncio
async def test_real_time_is_waited_for_without_blocking_and_can_be_cancelled() -> None:
    async with AsyncLambdaTelemetry(Settings(clock="system")) as env:
        advancing = asyncio.create_task(env.advance(seconds=3600))
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        await cancel(advancing)
        await env.advance(ms=1)


# --- without the fixture, afterwards ----------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_environment_without_a_fixture() -> None:
    async with AsyncLambdaTelemetry(Settings(function_name="mine")) as env:
        async with subscribed(env) as listener:
            await env.emit(events.function("one"))
            await env.advance(ms=100)
        assert listener.records == ["one"]
        assert env.env["AWS_LAMBDA_FUNCTION_NAME"] == "mine"
    assert await env.shutdown() == ()
    env.close()
    assert env.deliveries[0].ok
    with pytest.raises(MisuseError, match="closed"):
        await env.advance(ms=1)


PROGRAM = """
import asyncio
from pytest_lambda_telemetry import AsyncLambdaTelemetry, LambdaTelemetry, MisuseError, Settings, events

async def answer(reader, writer):
    await reader.readuntil(b"]")
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    writer.close()

async def main():
    with LambdaTelemetry() as blocking:
        try:
            blocking.invoke()
        except MisuseError as error:
            assert "AsyncLambdaTelemetry(Settings(…)) where there is none, and await invoke()" in str(error)
    async with AsyncLambdaTelemetry(Settings(function_name="mine")) as environment:
        async with await asyncio.start_server(answer, "sandbox.localdomain", 0) as server:
            environment.subscribe(f"http://sandbox.localdomain:{server.sockets[0].getsockname()[1]}")
            invocation = await environment.invoke(logs=["hello"])
            print([delivery.ok for delivery in invocation.deliveries], environment.env["AWS_LAMBDA_FUNCTION_NAME"])

asyncio.run(main())
"""


def test_a_program_of_asyncio_needs_no_fixture() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[True] mine\n", "")


def test_a_notebook_awaits_each_cell_on_one_loop() -> None:
    with closing(asyncio.new_event_loop()) as loop, Listener() as listener:
        cell = loop.run_until_complete
        environment = AsyncLambdaTelemetry(Settings(strict=False))
        cell(environment.__aenter__())
        environment.subscribe(listener.uri)
        cell(environment.emit(events.function("hello")))
        (delivery,) = cell(environment.advance(seconds=1))
        assert delivery.ok
        cell(environment.wait_for_subscription())
        cell(environment.__aexit__(None, None, None))
        assert environment.deliveries


def test_its_calls_are_coroutine_functions_to_whoever_asks(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    for name in COROUTINES:
        for member in (getattr(async_lambda_telemetry, name), getattr(AsyncLambdaTelemetry, name)):
            assert inspect.iscoroutinefunction(member)
            assert member.__name__ == name
            assert "await" in (inspect.getdoc(member) or "").lower()
        bound = inspect.signature(getattr(async_lambda_telemetry, name))
        assert [*bound.parameters] == [*inspect.signature(getattr(LambdaTelemetry, name)).parameters][1:]


def test_what_an_async_member_does_is_said_where_it_is(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    for name, member in vars(AsyncLambdaTelemetry).items():
        if not name.startswith("_"):
            text = inspect.getdoc(getattr(AsyncLambdaTelemetry, name)) or ""
            assert len(text) > 60, name
            assert not text.startswith("As LambdaTelemetry"), member


# --- calls that nobody awaited ----------------------------------------------------------------------------------------


async def forget(error: type[Exception] | None = None) -> None:
    async with AsyncLambdaTelemetry() as environment:
        environment.emit(events.function("x"))  # type: ignore[unused-coroutine]  # on purpose
        await environment.emit()
        assert environment.journal == ()
        if error:
            raise error


@pytest.mark.asyncio
async def test_leaving_an_environment_tells_of_calls_that_did_nothing() -> None:
    with pytest.warns(LambdaTelemetryWarning, match=r"^emit\(\) was called and never awaited, so it did ") as told:
        await forget()
    assert [(warning.filename, warning.lineno) for warning in told] == [
        (__file__, forget.__code__.co_firstlineno + 2),
    ]


@pytest.mark.asyncio
async def test_a_failure_goes_before_a_call_that_did_nothing() -> None:
    with pytest.raises(ZeroDivisionError):
        await forget(ZeroDivisionError)
    with pytest.raises(LambdaTelemetryWarning):  # the filters of these tests turn warnings into errors
        await forget()


def test_closing_an_environment_tells_of_calls_that_did_nothing() -> None:
    async def main() -> AsyncLambdaTelemetry:
        environment = AsyncLambdaTelemetry()
        await environment.__aenter__()
        environment.shutdown()  # type: ignore[unused-coroutine]  # on purpose
        return environment

    environment = asyncio.run(main())
    with pytest.warns(LambdaTelemetryWarning, match=r"^shutdown\(\) was called"):
        environment.close()


def test_a_call_before_the_start_is_pythons_to_tell() -> None:
    environment = AsyncLambdaTelemetry()
    call = environment.flush()
    with pytest.raises(MisuseError, match="this environment is not started"):
        asyncio.run(call)


@pytest.mark.asyncio
async def test_leaving_an_environment_tells_what_the_extension_did_wrong() -> None:
    async def misbehave() -> None:
        async with AsyncLambdaTelemetry() as env, httpx.AsyncClient(base_url=f"http://{env.runtime_api}") as client:
            answer = await client.post(
                f"{EXTENSION}/register", json={"events": ["NONSENSE"]}, headers={"Lambda-Extension-Name": "ext"}
            )
            assert answer.status_code == 403

    with pytest.raises(ProtocolViolation, match="NONSENSE"):
        await misbehave()


@pytest.mark.asyncio
async def test_an_unstarted_environment_says_so() -> None:
    env = AsyncLambdaTelemetry()
    for call in (env.advance(ms=1), env.emit(), env.wait_until(lambda: True)):
        with pytest.raises(MisuseError, match="not started"):
            await call


def test_no_thread_is_left_when_the_loop_is_closed() -> None:
    async def main() -> None:
        async with AsyncLambdaTelemetry() as env, subscribed(env):
            await env.emit(events.function("one"))
            await env.advance(ms=100)
            waiting = asyncio.create_task(env.wait_for_extension())
            await asyncio.sleep(0)
            await cancel(waiting)

    before = set(threading.enumerate())
    asyncio.run(main())
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


# --- frozen loops -----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("form", [{}, {"real_asyncio": True}, {"tick": True}])
async def test_time_travel_in_an_async_test_does_not_hang(
    form: dict[str, Any], async_lambda_telemetry: AsyncLambdaTelemetry
) -> None:
    env = async_lambda_telemetry
    async with subscribed(env, types=["function"]) as listener:
        with freeze_time(START, **form):
            await env.emit(events.function("one"))
            await env.advance(ms=100)
            waiting = asyncio.create_task(env.wait_for_extension("nobody", 60))
            await asyncio.sleep(0)
            await cancel(waiting)
            await env.invoke(logs=["two"])
            await env.shutdown()
    assert listener.records == ["one", "two"]
    assert listener.batches[0][0]["time"].startswith("2030-01-01T00:00:00.")


@pytest.mark.asyncio
@freeze_time(START)
async def test_a_decorated_async_test_does_not_hang(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    async with subscribed(async_lambda_telemetry) as listener:
        await async_lambda_telemetry.emit(events.function("one"))
        (delivery,) = await async_lambda_telemetry.advance(ms=100)
        assert delivery.at == datetime.now(UTC) == START + 100 * MS
    assert listener.records == ["one"]


@pytest.mark.asyncio
async def test_an_environment_begins_and_ends_inside_a_freeze() -> None:
    with freeze_time(START):
        async with AsyncLambdaTelemetry() as env, subscribed(env) as listener:
            await env.emit(events.function("one"))
            await env.advance(ms=100)
            assert env.now == START + 100 * MS
    assert listener.records == ["one"]


@pytest.mark.asyncio
async def test_the_users_own_moves_only_move_time_inside_a_loop(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    env = async_lambda_telemetry
    async with subscribed(env) as listener:
        with freeze_time(START) as freezer:
            await env.emit(events.function("one"))
            freezer.tick(1)
            assert (env.now, env.elapsed, listener.batches) == (START + 1000 * MS, 1000 * MS, [])
            (delivery,) = await env.emit(events.function("two"))
            assert delivery.at == START + 100 * MS
            assert listener.records == ["one"]
            freezer.tick(1)
        (delivery,) = await env.advance(ms=0)
        assert listener.records == ["one", "two"]
        assert env.elapsed == 2000 * MS


@pytest.mark.asyncio
async def test_what_was_moved_inside_a_loop_is_not_lost_by_a_jump_back(
    async_lambda_telemetry: AsyncLambdaTelemetry,
) -> None:
    env = async_lambda_telemetry
    async with subscribed(env):
        with freeze_time(START) as freezer:
            await env.emit(events.function("one"))
            freezer.tick(1)
            freezer.move_to(START - timedelta(days=1))
            assert (env.now, env.elapsed) == (START - timedelta(days=1), 1000 * MS)
            assert len(await env.advance(ms=0)) == 1


@pytest.mark.asyncio
async def test_lines_between_two_moves_keep_their_times_and_batches(
    async_lambda_telemetry: AsyncLambdaTelemetry,
) -> None:
    env = async_lambda_telemetry
    async with subscribed(env, types=["function"]) as listener:
        with freeze_time(START) as freezer:
            async with env.invocation() as invocation:
                for number in range(4):
                    invocation.log(str(number))
                    freezer.tick(0.2)
    assert [[event["record"] for event in batch] for batch in listener.batches] == [["0"], ["1"], ["2"], ["3"]]
    assert [batch[0]["time"][17:] for batch in listener.batches] == ["00.100Z", "00.300Z", "00.500Z", "00.700Z"]
    assert [one.at - START for one in env.deliveries] == [200 * MS, 400 * MS, 600 * MS, 800 * MS]


@pytest.mark.asyncio
async def test_a_move_while_a_call_moves_time_is_refused(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    env = async_lambda_telemetry
    async with subscribed(env) as listener:
        with freeze_time(START) as freezer:
            await env.emit(events.function("one"))
            listener.may_answer.clear()
            advancing = asyncio.create_task(env.advance(ms=100))
            await listener.arrived.wait()
            with pytest.raises(MisuseError, match="belongs to an awaited call now"):
                freezer.tick(1)
            listener.may_answer.set()
            await advancing
            freezer.tick(1)
    assert env.elapsed == 1100 * MS


@pytest.mark.asyncio
async def test_the_environments_freeze_begins_and_ends_where_the_test_stands(
    async_lambda_telemetry: AsyncLambdaTelemetry,
) -> None:
    env = async_lambda_telemetry
    async with subscribed(env) as listener:
        with freeze_time(START) as freezer:
            await env.emit(events.function("one"))
            freezer.tick(0.05)
            env.freeze()
            freezer.tick(10)
            assert await env.advance(seconds=1) == ()
            env.thaw()
            assert env.elapsed == 50 * MS
            assert await env.advance(ms=49) == ()
            assert len(await env.advance(ms=1)) == 1
    assert listener.records == ["one"]


# --- other plugins, other loops ---------------------------------------------------------------------------------------

STORY = """
    import json
    import {library}
    import pytest
    from pytest_lambda_telemetry import events

    {mark}
    async def test_story(async_lambda_telemetry, listener):
        env = async_lambda_telemetry
        env.subscribe(listener.uri, buffering={{"timeoutMs": 100}})
        await env.emit(events.function("one"))
        with {library_timeout}:
            assert len(await env.advance(ms=100)) == 1
        async with env.invocation() as invocation:
            invocation.log("two")
        await env.shutdown()
        assert len(listener.batches) >= 2
"""

CONFTEST = """
    import pytest
    from tests.support.helpers import Listener

    @pytest.fixture
    def listener():
        with Listener() as listener:
            yield listener
"""

MODES: dict[str, tuple[list[str], str]] = {
    "strict": (["--asyncio-mode=strict"], "@pytest.mark.asyncio"),
    "auto": (["--asyncio-mode=auto"], ""),
    "anyio": (["--asyncio-mode=strict"], "@pytest.mark.anyio"),
}


@pytest.mark.parametrize("mode", MODES)
def test_it_works_with_every_async_plugin(mode: str, pytester: pytest.Pytester) -> None:
    options, mark = MODES[mode]
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        STORY.format(library="anyio", library_timeout="anyio.fail_after(60)", mark=mark),
        test_class=f"""
            import pytest

            {mark}
            class TestClass:
                async def test_in_a_class(self, async_lambda_telemetry, lambda_telemetry):
                    await async_lambda_telemetry.advance(ms=5)
                    assert lambda_telemetry.elapsed == async_lambda_telemetry.elapsed
        """,
    )
    outcome = pytester.runpytest_subprocess(  # some releases of pytest-asyncio leave a loop behind in their process
        *("-p", "no:randomly", "-Werror"),
        *("-o", "asyncio_default_fixture_loop_scope=function", "-o", f"pythonpath={Path(__file__).parents[2]}"),
        *options,
    )
    outcome.assert_outcomes(passed=4 if mode == "anyio" else 2)  # anyio's plugin: on asyncio and on trio


def test_a_cancelled_call_on_trio_has_ended() -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def answer(_number: int) -> int:
        asked.set()
        may_answer.wait(10)
        return 200

    async def main() -> None:
        async with AsyncLambdaTelemetry() as env:
            env.subscribe(listener.uri, types=["function"])
            await env.emit(events.function("one"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(env.wait_for_subscription, "nobody", 60)
                nursery.start_soon(partial(env.advance, seconds=60))
                await trio.to_thread.run_sync(asked.wait)
                nursery.cancel_scope.cancel()
            may_answer.set()
            with trio.CancelScope() as scope:
                async with env.invocation():
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
            assert scope.cancelled_caught
            assert [one.ok for one in await env.flush()] == [True]
            assert (await env.invoke()).outcome == "completed"

    with Listener(answer) as listener:
        trio.run(main)


def test_time_is_not_lent_to_another_threads_loop_while_its_owner_moves_it(lambda_telemetry: LambdaTelemetry) -> None:
    refused: list[str] = []

    async def move() -> None:
        with pytest.raises(MisuseError) as caught:
            await alongside(lambda_telemetry).advance(ms=1)
        refused.append(str(caught.value))

    def answer(_number: int) -> int:
        asyncio.run(move())
        return 200

    with Listener(answer) as listener:
        lambda_telemetry.subscribe(listener.uri)
        lambda_telemetry.emit(events.function("a"))
        (delivery,) = lambda_telemetry.advance(seconds=1)
    assert delivery.ok
    assert "while another awaited call still moves time" in refused[0]


def test_no_call_starts_a_process_on_the_running_loop_but_the_extensions_own() -> None:
    """Whether namespaces are allowed is found out by starting a process, once, and away from the loop."""
    code = (
        "import asyncio, sys, threading\n"
        "from pytest_lambda_telemetry import AsyncLambdaTelemetry, Settings\n"
        "started = []\n"
        "sys.addaudithook(lambda name, args: name == 'subprocess.Popen' and started.append(threading.get_ident()))\n"
        "async def main():\n"
        "    async with AsyncLambdaTelemetry(Settings(strict=False)) as environment:\n"
        "        environment.run_extension([sys.executable, '-c', ''], name='ext')\n"
        "asyncio.run(main())\n"
        "assert started.count(threading.get_ident()) == 1, started\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

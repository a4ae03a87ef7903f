"""A clean environment within a test: `fresh()`, in the place of another environment, which goes on afterwards."""

import asyncio
import os
import socket
import sys
import threading
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import requests
from freezegun.api import FrozenDateTimeFactory

from pytest_lambda_telemetry import (
    AsyncLambdaTelemetry,
    LambdaTelemetry,
    LambdaTelemetryWarning,
    MisuseError,
    ProtocolViolation,
    Settings,
    events,
)
from tests.support.helpers import EXTENSION, Listener, register, running, subscribe, subscribe_body
from tests.support.living import living
from tests.support.programs import subscriber

REFUSED = subscribe_body(4243, types=[])
SUSPENDED = (
    "^this environment is suspended while the one of its fresh[(][)] is open: use that one, the name after `as` in"
    " `with lambda_telemetry.fresh[(][)] as …:`, or leave that block first; what was recorded can be read$"
)


# -- what is clean, and what is the same -------------------------------------------------------------------------------


def test_nothing_of_one_is_in_the_other_and_the_address_is_the_same(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.register("outer")
    lambda_telemetry.backend("outer")
    lambda_telemetry.advance(seconds=5)
    address, resolved = lambda_telemetry.runtime_api, socket.gethostbyname("sandbox")
    with Listener() as listener:
        for number in range(2):
            with lambda_telemetry.fresh() as fresh:
                assert (fresh.runtime_api, os.environ["AWS_LAMBDA_RUNTIME_API"]) == (address, address)
                assert socket.gethostbyname("sandbox") == resolved
                assert (len(fresh.extensions), len(fresh.requests), len(fresh.journal)) == (0, 0, 0)
                assert fresh.elapsed == timedelta(0)
                subscribe(register("inner"), subscribe_body(listener.port, types=["function"]))
                fresh.emit(events.function(number))
                fresh.advance(seconds=1)
                assert fresh.records() == (number,)
    assert fresh.records() == (1,)  # also afterwards
    assert [one.name for one in lambda_telemetry.extensions] == ["outer"]
    assert lambda_telemetry.elapsed == timedelta(seconds=5)
    assert (len(lambda_telemetry.deliveries), len(lambda_telemetry.requests)) == (0, 0)


@pytest.mark.lambda_telemetry(region="eu-west-1", function_name="of-the-test")
def test_settings_are_those_of_the_test_but_for_what_is_given(lambda_telemetry: LambdaTelemetry) -> None:
    with lambda_telemetry.fresh(function_name="of-the-block", fidelity="observed") as fresh:
        assert fresh.env["AWS_REGION"] == os.environ["AWS_REGION"] == "eu-west-1"
        assert fresh.env["AWS_LAMBDA_FUNCTION_NAME"] == os.environ["AWS_LAMBDA_FUNCTION_NAME"] == "of-the-block"
        with fresh.expect_rejection("^Telemetry[.]ValidationError: "):
            subscribe(register(), {**REFUSED, "types": ["platform.start"]})
    assert os.environ["AWS_LAMBDA_FUNCTION_NAME"] == "of-the-test"


def test_request_ids_are_the_same_in_each_and_identifiers_never(lambda_telemetry: LambdaTelemetry) -> None:
    request_ids, identifiers = set(), set()
    for _ in range(3):
        with lambda_telemetry.fresh() as fresh:
            identifiers.add(fresh.register().extension_id)
            request_ids.add(fresh.invoke().request_id)
    assert (len(request_ids), len(identifiers)) == (1, 3)


def test_faults_and_backends_belong_to_one(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.fail_next_delivery("refuse")
    with Listener() as listener:
        with lambda_telemetry.fresh() as fresh:
            backend = fresh.backend()
            fresh.subscribe(listener.uri)
            assert fresh.emit(events.function("x")) == ()
            assert [one.ok for one in fresh.flush()] == [True]
        with pytest.raises(OSError):
            socket.create_connection((backend.host, backend.port), timeout=5)
        lambda_telemetry.subscribe(listener.uri)
        lambda_telemetry.emit(events.function("x"))
        assert [one.ok for one in lambda_telemetry.flush()] == [False]
        lambda_telemetry.advance(seconds=1)


def test_a_pooled_connection_follows(lambda_telemetry: LambdaTelemetry) -> None:
    with requests.Session() as session:

        def enrol(name: str) -> None:
            url = f"http://{lambda_telemetry.runtime_api}{EXTENSION}/register"
            answer = session.post(url, json={"events": []}, headers={"Lambda-Extension-Name": name})
            assert answer.status_code == 200

        enrol("before")
        for _ in range(20):
            with lambda_telemetry.fresh() as fresh:
                enrol("within")
                assert [one.name for one in fresh.extensions] == ["within"]
        enrol("after")
    assert [one.name for one in lambda_telemetry.extensions] == ["before", "after"]


def test_a_child_ends_with_the_block(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    for _ in range(2):
        with lambda_telemetry.fresh() as fresh:
            child = fresh.run_extension(subscriber(tmp_path))
            fresh.wait_until_ready(timeout=60)
            assert child.returncode is None
        assert child.returncode == 0


# -- strictness --------------------------------------------------------------------------------------------------------


def test_leaving_the_block_checks_it(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(ProtocolViolation, match=r"^Subscribe from extension 'ext' was refused: 400 ValidationError"):
        with lambda_telemetry.fresh():
            subscribe(register(), REFUSED)
    with lambda_telemetry.fresh(strict=False):
        subscribe(register(), REFUSED)
    with lambda_telemetry.fresh():
        subscribe(register(), subscribe_body(4243))
    lambda_telemetry.check()


def test_an_error_of_the_block_stays_what_it_is(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(ZeroDivisionError):
        with lambda_telemetry.fresh():
            assert subscribe(register(), REFUSED).status / 0
    lambda_telemetry.advance(ms=1)


def test_what_is_suspicious_is_told_where_the_block_is_left(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.warns(LambdaTelemetryWarning, match="never used") as told:
        with lambda_telemetry.fresh() as fresh:
            fresh.fail_next_delivery("refuse")
    assert [one.filename for one in told] == [__file__]


def test_a_thread_that_dies_is_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with LambdaTelemetry() as outer:
        with pytest.raises(ProtocolViolation, match=r"^thread '.+' of this process died: KeyError: 'record'"):
            with outer.fresh(), running(lambda: dict[str, str]()["record"]):
                pass
        outer.check()


# -- identifiers -------------------------------------------------------------------------------------------------------


def test_a_call_of_an_earlier_block_or_of_the_suspended_one_is_a_stray(lambda_telemetry: LambdaTelemetry) -> None:
    outer = register("outer")
    with lambda_telemetry.fresh():
        earlier = register("earlier")
    with lambda_telemetry.fresh() as fresh:
        for identifier in (outer, earlier):
            answer = subscribe(identifier, subscribe_body(4243))
            assert (answer.status, answer.body["errorType"]) == (403, "Extension.UnknownExtensionIdentifier")
        assert fresh.rejections == ()
        assert [(one.kind, one.who) for one in fresh.journal] == [("stray", outer), ("stray", earlier)]
        assert "stray, belongs to an earlier test or environment: 403" in fresh.timeline()
    assert subscribe(outer, subscribe_body(4243)).status == 200
    assert subscribe(earlier, subscribe_body(4243)).status == 403
    assert [one.kind for one in lambda_telemetry.journal].count("stray") == 1


def test_an_extension_that_waits_goes_on_waiting(lambda_telemetry: LambdaTelemetry) -> None:
    with living() as make:
        outer = make("outer", types=["function"])
        lambda_telemetry.wait_until_ready()
        for _ in range(3):
            with lambda_telemetry.fresh() as fresh:
                inner = make("inner")
                fresh.wait_until_ready()
                invocation = fresh.invoke()
            inner.join()
            assert [(one["eventType"], one.get("requestId")) for one in inner.told] == [
                ("INVOKE", invocation.request_id),
                ("SHUTDOWN", None),
            ]
        assert outer.told == []
        lambda_telemetry.invoke()
        lambda_telemetry.shutdown()
        outer.join()
        assert [one["eventType"] for one in outer.told] == ["INVOKE", "SHUTDOWN"]


# -- the suspended one -------------------------------------------------------------------------------------------------


def test_nothing_can_be_done_with_the_suspended_one_but_reading(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.register("outer")
    with lambda_telemetry.fresh() as fresh:
        for use in (
            lambda: lambda_telemetry.emit(events.function("x")),
            lambda: lambda_telemetry.advance(ms=1),
            lambda: lambda_telemetry.subscribe("http://sandbox.localdomain:4243"),
            lambda: lambda_telemetry.shutdown(),
            lambda: lambda_telemetry.backend(),
            lambda: lambda_telemetry.check(),
            lambda: lambda_telemetry.fresh(),
            lambda: lambda_telemetry.wait_until_ready(),
        ):
            with pytest.raises(MisuseError, match=SUSPENDED):
                use()
        assert [one.name for one in lambda_telemetry.extensions] == ["outer"]
        assert lambda_telemetry.timeline()
        fresh.advance(ms=1)
    lambda_telemetry.advance(ms=1)


@pytest.mark.lambda_telemetry(start="2030-01-01T00:00:00Z")
def test_the_time_of_a_freezer_passes_in_the_block_alone(
    lambda_telemetry: LambdaTelemetry, freezer: FrozenDateTimeFactory
) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri)
        lambda_telemetry.emit(events.function("outer"))
        with lambda_telemetry.fresh() as fresh:
            fresh.subscribe(listener.uri)
            fresh.emit(events.function("inner"))
            freezer.tick(1)
            assert fresh.records() == ("inner",)
            fresh.advance(seconds=1)
            assert fresh.elapsed == timedelta(seconds=2)
            assert lambda_telemetry.elapsed == timedelta(0)
        assert lambda_telemetry.elapsed == timedelta(0)
        assert lambda_telemetry.deliveries == ()
        freezer.tick(1)
        assert lambda_telemetry.records() == ("outer",)
        assert lambda_telemetry.elapsed == timedelta(seconds=1)


@pytest.mark.parametrize("clock", ["freezegun", "time-machine"])
def test_a_clock_that_freezes_the_process_is_frozen_anew(clock: str, lambda_telemetry: LambdaTelemetry) -> None:
    options: Any = {"clock": clock, "start": "2030-01-01T00:00:00Z"}
    for _ in range(2):
        with lambda_telemetry.fresh(**options) as fresh:
            assert fresh.now.isoformat() == "2030-01-01T00:00:00+00:00"
            fresh.advance(seconds=1)
    assert lambda_telemetry.elapsed == timedelta(0)


@pytest.mark.lambda_telemetry(clock="system")
def test_with_a_real_clock_too_nothing_is_delivered_meanwhile(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener, Listener() as inner:
        lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 25})
        with lambda_telemetry.fresh() as fresh:
            before = lambda_telemetry.elapsed
            fresh.subscribe(inner.uri, buffering={"timeoutMs": 100})
            fresh.emit(events.function("x"))
            fresh.wait_until(lambda: fresh.deliveries, timeout=60)
            assert lambda_telemetry.elapsed == before
        lambda_telemetry.emit(events.function("x"))
        lambda_telemetry.wait_until(lambda: lambda_telemetry.deliveries, timeout=60)
    assert (len(listener.bodies), len(inner.bodies)) == (1, 1)


# -- nesting, misuse ---------------------------------------------------------------------------------------------------


def test_blocks_may_be_nested(lambda_telemetry: LambdaTelemetry) -> None:
    with lambda_telemetry.fresh() as one:
        with one.fresh() as two:
            register("innermost")
            assert [each.name for each in two.extensions] == ["innermost"]
            for suspended in (one, lambda_telemetry):
                with pytest.raises(MisuseError, match=SUSPENDED):
                    suspended.advance(ms=1)
        register("inner")
        assert [each.name for each in one.extensions] == ["inner"]
    register("outer")
    assert [each.name for each in lambda_telemetry.extensions] == ["outer"]


def test_whatever_is_left_first_those_within_end_with_it(lambda_telemetry: LambdaTelemetry) -> None:
    one = lambda_telemetry.fresh()
    one.__enter__()
    two = one.fresh()
    two.__enter__()
    one.__exit__(None, None, None)
    with pytest.raises(MisuseError, match=r"^this environment is closed"):
        two.advance(ms=1)
    two.__exit__(None, None, None)
    register("outer")
    assert [each.name for each in lambda_telemetry.extensions] == ["outer"]


def test_an_environment_of_ones_own_has_them_too() -> None:
    with LambdaTelemetry(Settings(region="eu-west-1")) as outer:
        with outer.fresh() as fresh:
            register()
            assert os.environ["AWS_REGION"] == "eu-west-1"
            assert len(fresh.extensions) == 1
        register("outer")
        open_still = outer.fresh()
        open_still.__enter__()
    with pytest.raises(MisuseError, match=r"^this environment is closed"):
        open_still.advance(ms=1)
    with pytest.raises(MisuseError, match=r"^this environment is closed"):
        outer.fresh()


def test_it_is_of_no_use_before_its_block_nor_when_the_other_is_closed(lambda_telemetry: LambdaTelemetry) -> None:
    never = lambda_telemetry.fresh()
    with pytest.raises(MisuseError, match=r"^this environment is not started"):
        never.advance(ms=1)
    with pytest.raises(MisuseError, match=r"^this environment is not started"):
        LambdaTelemetry().fresh()
    again = lambda_telemetry.fresh()
    with again:
        with pytest.raises(MisuseError, match="entered already"):
            again.__enter__()
        with pytest.raises(MisuseError, match=SUSPENDED):
            never.__enter__()
    with pytest.raises(MisuseError, match=r"^this environment is closed"):
        again.__enter__()
    with pytest.raises(MisuseError, match=r"^there is no setting 'regin'; did you mean 'region'"):
        lambda_telemetry.fresh(regin="x")  # type: ignore[call-arg]  # on purpose
    lambda_telemetry.advance(ms=1)


def test_what_cannot_be_made_changes_nothing(
    lambda_telemetry: LambdaTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "time_machine", None)
    with pytest.raises(MisuseError):
        lambda_telemetry.fresh(clock="time-machine").__enter__()
    register("outer")
    lambda_telemetry.advance(ms=1)
    assert len(lambda_telemetry.extensions) == 1


def test_not_while_a_call_moves_the_time_of_the_other(lambda_telemetry: LambdaTelemetry) -> None:
    errors: list[MisuseError] = []

    def enter(_number: int) -> int:
        try:
            lambda_telemetry.fresh().__enter__()
        except MisuseError as error:
            errors.append(error)
        return 200

    with Listener(enter) as listener:
        lambda_telemetry.subscribe(listener.uri)
        lambda_telemetry.emit(events.function("x"))
        lambda_telemetry.flush()
    assert [str(error) for error in errors] == [
        "fresh() was entered while another call still moves the time of this environment: let that one return first"
    ]


# -- async -------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_async_test_has_them_too(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    async_lambda_telemetry.register("outer")
    with Listener() as listener:
        for _ in range(3):
            async with async_lambda_telemetry.fresh(region="eu-west-1") as fresh:
                assert isinstance(fresh, AsyncLambdaTelemetry)
                assert os.environ["AWS_REGION"] == "eu-west-1"
                fresh.subscribe(listener.uri)
                await fresh.emit(events.function("x"))
                (delivery,) = await fresh.advance(seconds=1)
                assert delivery.ok
                with pytest.raises(MisuseError, match=SUSPENDED):
                    await async_lambda_telemetry.advance(ms=1)
    with pytest.raises(ProtocolViolation, match="types should not be empty"):
        async with async_lambda_telemetry.fresh():
            await asyncio.to_thread(lambda: subscribe(register(), REFUSED))
    await async_lambda_telemetry.advance(ms=1)


@pytest.mark.asyncio
async def test_a_cancelled_block_is_left_whole(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    entered = asyncio.Event()

    async def block() -> None:
        async with async_lambda_telemetry.fresh():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await async_lambda_telemetry.advance(ms=1)


@pytest.mark.asyncio
async def test_not_while_an_awaited_call_runs(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    asked = threading.Event()
    answer = threading.Event()

    def hold(_number: int) -> int:
        asked.set()
        assert answer.wait(60)
        return 200

    with Listener(hold) as listener:
        async_lambda_telemetry.subscribe(listener.uri)
        await async_lambda_telemetry.emit(events.function("x"))
        flushing = asyncio.create_task(async_lambda_telemetry.flush())
        await asyncio.to_thread(asked.wait, 60)
        with pytest.raises(MisuseError, match=r"^fresh[(][)] was entered while another call still moves the time"):
            await async_lambda_telemetry.fresh().__aenter__()
        answer.set()
        await flushing


# -- many --------------------------------------------------------------------------------------------------------------


def test_five_hundred_leave_nothing(lambda_telemetry: LambdaTelemetry) -> None:
    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0

    def everything() -> dict[str, object]:
        return {
            "threads": sorted(one.name for one in threading.enumerate() if one.name.startswith("lambda-telemetry")),
            "variables": dict(os.environ),
            "names": [vars(socket).get(name) for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex")],
            "methods": [vars(socket.socket).get(name) for name in ("bind", "connect", "connect_ex")],
            "hook": threading.excepthook,
        }

    with Listener() as listener:
        states = []
        for number in range(500):
            with lambda_telemetry.fresh() as fresh:
                if number % 5 == 0:
                    with closing(HTTPConnection(fresh.runtime_api, timeout=60)) as connection:
                        connection.request("POST", f"{EXTENSION}/register", "{}", {"Lambda-Extension-Name": "kept"})
                        connection.getresponse().read()
                        fresh.subscribe(listener.uri)
                        fresh.emit(events.function("x"))
                        assert [one.ok for one in fresh.flush()] == [True]
                if number % 50 == 0:
                    fresh.backend()
            if number in (0, 499):
                states.append((everything(), files()))
    (first, first_files), (last, last_files) = states
    assert first == last
    assert last_files <= first_files + 2  # the listener's own connections are ending
    assert lambda_telemetry.journal == ()

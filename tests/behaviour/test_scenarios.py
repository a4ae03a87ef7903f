"""What scenarios do: with every way of telling the story, over HTTP and TCP, and to what a test reads."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from socket import create_connection, create_server
from typing import Any

import pytest

from pytest_lambda_telemetry import (
    Advance,
    AsyncLambdaTelemetry,
    Event,
    FailBackend,
    FailDelivery,
    Flush,
    Freeze,
    Inject,
    LambdaTelemetry,
    MisuseError,
    Moment,
    RejectCall,
    Scenario,
    ScenarioAction,
    Script,
    Settings,
    events,
    scenarios,
)
from pytest_lambda_telemetry.environment import over
from pytest_lambda_telemetry.sandbox.assembly import assemble
from tests.support.helpers import Listener, register
from tests.support.living import Living
from tests.support.programs import subscriber

BUFFERING: Any = {"timeoutMs": 100}
ALL = pytest.mark.parametrize("scenario", scenarios.ALL, ids=lambda one: one.name)


@contextmanager
def under(scenario: Scenario, **settings: Any) -> Iterator[LambdaTelemetry]:
    """An environment under a scenario, as the fixture makes it."""
    chosen = Settings(extension_timeout_s=20).with_options({**settings, **scenario.settings})
    with over(assemble(chosen, scenario.name, scenario=scenario)) as environment:
        yield environment


def mine(**options: Any) -> Scenario:
    return Scenario(name="mine", summary="It is the test's own.", **options)


@contextmanager
def living(environment: LambdaTelemetry, **options: Any) -> Iterator[Living]:
    """An extension in this process, which ends with the environment's shutdown."""
    extension = Living(schemaVersion="2025-01-29", buffering=BUFFERING, **options)
    try:
        yield extension
    finally:
        environment.shutdown()
        extension.close()


# -- every way of telling, every wire ----------------------------------------------------------------------------------


@ALL
def test_over_tcp_each_line_arrives(scenario: Scenario) -> None:
    received = bytearray()

    def read() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                if not (data := connection.recv(1)):
                    return
                while data:
                    received.extend(data)
                    try:
                        data = connection.recv(65536)
                    except ConnectionError:
                        break

    with create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        with under(scenario) as environment:
            environment.subscribe(port=server.getsockname()[1], buffering=BUFFERING)
            lines = environment.log_lines(3)
            environment.invoke(logs=lines[:2])
            environment.invoke(logs=lines[2:])
            environment.shutdown()
        create_connection(server.getsockname()).close()
        thread.join(10)
    if scenario.name != "split-record":  # which breaks one of them
        assert all(line.encode() in received for line in lines)


@ALL
def test_a_script_is_played_under_each(scenario: Scenario) -> None:
    kind: Any = scenario.settings.get("initialization_type", "on-demand")
    with under(scenario) as environment, Listener() as listener:
        environment.register("ext", events=["SHUTDOWN"])
        environment.subscribe(listener.uri, name="ext", buffering=BUFFERING)
        environment.play(
            Script.cold_start(initialization_type=kind, extensions=["ext"], logs=["first"], overhead_ms=200)
            + Script.invocation(initialization_type=kind, logs=["second"], overhead_ms=200)
        )
        environment.shutdown()
        found = [one["message"] if isinstance(one, dict) else one for one in environment.records()]
        if scenario.name != "split-record":
            assert found == ["first", "second"]


@ALL
def test_a_block_goes_on_under_each(scenario: Scenario) -> None:
    with under(scenario) as environment, Listener() as listener:
        environment.subscribe(listener.uri, buffering=BUFFERING)
        for line in ("first", "second"):
            with environment.invocation() as invocation:
                invocation.log(line)
                environment.advance(ms=150)
        environment.shutdown()
        assert len(environment.records()) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.lambda_telemetry_scenarios("all", exclude=("backend-down", "backend-slow", "stale-connections"))
async def test_an_async_test_under_each(anyio_backend: str, async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    with Listener() as listener:
        async_lambda_telemetry.subscribe(listener.uri, buffering=BUFFERING)
        await async_lambda_telemetry.invoke(logs=["first"])
        async with async_lambda_telemetry.invocation() as invocation:
            invocation.log("second")
        await async_lambda_telemetry.shutdown()
        assert len(async_lambda_telemetry.records()) == 2


def test_without_a_scenario_nothing_is_changed(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener, under(scenarios.BY_NAME["plain"]) as plain:
        for environment in (lambda_telemetry, plain):
            environment.subscribe(listener.uri, buffering=BUFFERING)
            environment.invoke(logs=["a"], request_id="00000000-0000-4000-8000-000000000001")
            environment.shutdown()
        own = [(one.elapsed, one.who, one.what, one.verdict) for one in plain.journal if one.who != "scenario"]
        assert own == [(one.elapsed, one.who, one.what, one.verdict) for one in lambda_telemetry.journal]


# -- what the catalogue does -------------------------------------------------------------------------------------------


def types_of(environment: LambdaTelemetry) -> list[str]:
    return [kind for delivery in environment.deliveries for kind in delivery.types]


def test_the_invocation_ends_as_the_scenario_says() -> None:
    for name, status, outcome in (
        ("function-error", "error", "completed"),
        ("function-timeout", "timeout", "function-timeout"),
        ("out-of-memory", "error", "completed"),
    ):
        with under(scenarios.BY_NAME[name]) as environment, Listener() as listener:
            environment.subscribe(listener.uri, types=["platform"], buffering=BUFFERING)
            first, second = environment.invoke(), environment.invoke()
            assert (first.status, first.outcome) == (status, outcome)
            assert (second.status, second.outcome) == ("success", "completed")
            environment.shutdown()
            done, report = environment.records("platform.runtimeDone")[0], environment.records("platform.report")[0]
            assert done["status"] == report["status"] == status
            if name == "function-timeout":
                assert done["metrics"]["durationMs"] == report["metrics"]["durationMs"] == 3000
            else:
                assert done["errorType"] == report["errorType"]


@pytest.mark.parametrize("name", ["function-timeout", "out-of-memory"])
def test_children_are_started_again_in_the_next_environment(tmp_path: Path, name: str) -> None:
    with under(scenarios.BY_NAME[name]) as environment:
        process = environment.run_extension([sys.executable, *subscriber(tmp_path)[1:]])
        environment.invoke(logs=["first"])
        assert process.returncode == 0
        reason = next(one.what for one in environment.journal if one.what.startswith("SHUTDOWN"))
        assert reason == f"SHUTDOWN ({'timeout' if name == 'function-timeout' else 'failure'})"
        environment.invoke(logs=["second"])
        environment.shutdown()
        assert environment.records() == ("first", "second")
        assert sum("started as process" in one.what for one in environment.journal) == 2


def test_nothing_is_started_again_where_nothing_follows(tmp_path: Path) -> None:
    with under(scenarios.BY_NAME["function-timeout"]) as environment:
        environment.run_extension([sys.executable, *subscriber(tmp_path)[1:]])
        environment.invoke(logs=["first"])
        environment.shutdown()
        assert sum("started as process" in one.what for one in environment.journal) == 1


def test_a_burst_is_nearly_as_large_as_a_batch_can_be() -> None:
    for limit in (262_144, 1_048_576):
        with under(scenarios.BY_NAME["burst"]) as environment, Listener() as listener:
            environment.subscribe(listener.uri, buffering={"maxBytes": limit, "timeoutMs": 100})
            environment.invoke(logs=["a line"])
            environment.shutdown()
            largest = max(listener.bodies, key=len)
            assert 1.7 * limit < len(largest) < 2 * limit + 1_000
            assert b"a line" in largest


def test_telemetry_comes_before_invoke() -> None:
    with under(scenarios.BY_NAME["telemetry-before-invoke"]) as environment, living(environment) as extension:
        environment.invoke(logs=["a"])
        kinds = [(one.kind, one.what) for one in environment.journal]
        delivered = next(index for index, (kind, what) in enumerate(kinds) if kind == "delivery" and "function" in what)
        invoked = next(index for index, (_, what) in enumerate(kinds) if what.startswith("INVOKE"))
        assert delivered < invoked
        with environment.invocation():  # nothing is logged: INVOKE comes all the same, before the block begins
            environment.wait_until(lambda: [one["eventType"] for one in extension.told] == ["INVOKE"] * 2)


def test_the_snapshot_tells_of_its_own_init_and_the_environment_of_its_restore() -> None:
    with under(scenarios.BY_NAME["snap-start"]) as environment, living(environment) as extension:
        environment.invoke()
        environment.invoke()
        environment.shutdown()
        assert extension.types.count("platform.initStart") == 2
        assert extension.types.count("platform.restoreReport") == 1
        old, new = (one["time"] for one in extension.received if one["type"] == "platform.initStart")
        assert old > new, "the snapshot's own comes later, with a time of long before"
        assert "restoreDurationMs" in extension.of("platform.report")[0]["metrics"]
        assert "restoreDurationMs" not in extension.of("platform.report")[1]["metrics"]


def test_the_first_request_during_shutdown_hangs_and_another_one_is_answered() -> None:
    with under(mine(plan=[FailBackend(fault="hang", delay_ms=50, at_shutdown=True)])) as environment:
        backend = environment.backend()

        def post() -> int | None:
            connection = HTTPConnection(backend.host, backend.port, timeout=20)
            try:
                connection.request("POST", "/", b"x")
                return connection.getresponse().status
            except ConnectionError:
                return None
            finally:
                connection.close()

        assert post() == 200
        environment.end_init()
        environment.shutdown()
        assert [post(), post()] == [None, 200]


def test_nobody_answers_on_a_connection_that_was_kept_over_a_freeze() -> None:
    with under(scenarios.BY_NAME["stale-connections"]) as environment:
        backend = environment.backend()
        kept, other = (HTTPConnection(backend.host, backend.port, timeout=0.3) for _ in range(2))
        kept.request("POST", "/", b"x")
        assert kept.getresponse().read() == b""
        environment.invoke()
        kept.request("POST", "/", b"x")
        with pytest.raises(TimeoutError):
            kept.getresponse()
        kept.close()
        other.request("POST", "/", b"y")
        assert other.getresponse().status == 200
        other.close()
        assert [request.body for request in backend.requests] == [b"x", b"y"]


def test_the_tests_own_restart_begins_the_next_environment_once() -> None:
    with under(scenarios.BY_NAME["function-timeout"]) as environment:
        environment.invoke()
        environment.restart()
        environment.invoke()
        assert sum("a new execution environment" in one.what for one in environment.journal) == 1


# -- what a scenario adds is not the test's ----------------------------------------------------------------------------

ADDED = mine(
    story={
        "logs": lambda moment, actions: [Inject(events.function(f"added {moment.number}")), *actions],
        "report": lambda _, actions: [*actions, Inject(Event("platform.other", {"requestId": "x"}))],
    }
)


def test_what_is_added_is_sent_and_no_verdict_is_about_it() -> None:
    with under(ADDED) as environment, Listener() as listener:
        environment.subscribe(listener.uri, types=["function"], buffering=BUFFERING)
        backend = environment.backend()
        (line,) = environment.log_lines(1)
        environment.invoke(logs=[line])
        assert environment.records() == (line,)
        environment.assert_delivered(["function"])
        assert [event["record"] for event in listener.batches[0]] == ["added 1", line]
        assert [trail.event["record"] for trail in environment.ledger.trails()] == [line]
        environment.assert_exactly_once(seen=[line])
        assert any(one.who == "scenario/mine" for one in environment.journal)
        assert backend.requests == ()


def test_moments_say_where_the_story_stands() -> None:
    seen: list[Moment] = []

    def note(moment: Moment, actions: Any) -> Any:
        seen.append(moment)
        return actions

    names: Any = ("init-begun", "init-ends", "init-ended", "invocation-begun", "logs", "runtime-done", "report")
    every = mine(story=dict.fromkeys((*names, "freeze", "thaw", "shutdown"), note))
    with under(every) as environment, living(environment):
        environment.invoke(logs=["a"], request_id="1")
        environment.invoke(request_id="2")
        environment.shutdown()
    first = [*names, "freeze", "thaw"]
    second = ["invocation-begun", "runtime-done", "report", "freeze", "shutdown"]
    assert [moment.name for moment in seen] == [*first, *second]
    assert [moment.number for moment in seen] == [0] * 3 + [1] * 6 + [2] * 5
    assert [moment.request_id for moment in seen] == [None] * 3 + ["1"] * 6 + ["2"] * 5
    assert seen[4].remaining_ms == 3000
    assert seen[5].lasted_ms == 1
    assert len(seen[4].subscriptions) == 1


def test_actions_are_carried_out_in_order() -> None:
    told: list[str] = []

    def change(moment: Moment, actions: Any) -> list[ScenarioAction]:
        return [*actions, Flush(), Advance(5_000), Freeze(), Advance(60_000)]

    with under(mine(story={"logs": change})) as environment, Listener() as listener:
        environment.subscribe(listener.uri, types=["function"])
        before = environment.now
        environment.invoke(logs=["a"])
        told += [one.what for one in environment.journal if one.kind == "delivery" or "freezes" in one.what]
        assert told == ["[function]", "the environment freezes"]
        assert (environment.now - before).total_seconds() >= 65
        assert environment.elapsed.total_seconds() < 6


def test_chance_is_the_tests_own_seed() -> None:
    def attempts() -> list[bool]:
        half = mine(plan=[FailDelivery(fault="refuse", times=None, chance=0.5)])
        with under(half) as environment, Listener() as listener:
            environment.subscribe(listener.uri, types=["function"], buffering=BUFFERING)
            for _ in range(10):
                environment.emit(events.function("x"))
                environment.advance(seconds=20)
            return [one.injected for delivery in environment.deliveries for one in delivery.attempts]

    first = attempts()
    assert {True, False} == {*first}
    assert attempts() == first


def test_calls_can_be_refused() -> None:
    with under(mine(plan=[RejectCall(route="register", status=500)])):
        with pytest.raises(AssertionError):
            register()
        register()


def test_deliveries_can_fail_for_one_extension_alone() -> None:
    with under(mine(plan=[FailDelivery(fault=503, to="b")])) as environment, Listener() as listener:
        for name in ("a", "b"):
            environment.subscribe(listener.uri, name=name, types=["function"], buffering=BUFFERING)
        environment.emit(events.function("x"))
        environment.advance(seconds=1)
        assert {one.subscription.extension_name: one.attempt_count for one in environment.deliveries} == {
            "a": 1,
            "b": 2,
        }


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Scenario(name="Late", summary="x"), "Scenario.name='Late' is not valid"),
        (lambda: Scenario(name="late", summary=""), "Scenario.summary='' is not valid"),
        (lambda: mine(plan=["refuse"]), "Scenario.plan=.* a list of FailDelivery, FailBackend and RejectCall"),
        (lambda: mine(story={"frozen": print}), "Scenario.story='frozen' is not valid: it must be one of 'init-begun'"),
        (lambda: mine(story={"logs": 1}), r"Scenario.story\['logs'\]=1 is not valid"),
        (lambda: mine(settings=["x"]), "Scenario.settings=.* a dict"),
        (lambda: FailDelivery(fault="refuse", times=0), "times=0 is not valid"),
        (lambda: FailBackend(fault=503, chance=2), "chance=2 is not valid: it must be a number above 0, at most 1"),
        (lambda: Advance(-1), "Advance.ms=-1 is not valid"),
        (lambda: Inject("x"), "Inject.event='x' is not valid"),  # type: ignore[arg-type]  # must fail
    ],
)
def test_bad_data_is_told_at_once(make: Any, told: str) -> None:
    with pytest.raises(MisuseError, match=told):
        make()


def test_a_kept_connection_has_one_fault() -> None:
    with pytest.raises(MisuseError, match="a kept connection has 'timeout' only"):
        assemble(Settings(), scenario=mine(plan=[FailBackend(fault=503, kept=True)]))


def test_a_name_that_is_none_is_told_with_those_that_are() -> None:
    assert scenarios.late_report is scenarios.BY_NAME["late-report"]
    with pytest.raises(AttributeError, match=r"has no attribute 'late_reprot'; scenarios: plain, listener-down"):
        _ = scenarios.late_reprot


def posted(environment: LambdaTelemetry, body: bytes) -> None:
    backend = environment.backend()
    connection = HTTPConnection(backend.host, backend.port, timeout=20)
    connection.request("POST", "/", body)
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("form", [lambda records: json.dumps(records), "\n".join], ids=["JSON", "lines"])
def test_what_is_added_is_not_taken_for_the_tests_own(form: Callable[[list[str]], str]) -> None:
    told = Inject(events.function("this ERROR is nobody's"))
    with under(mine(story={"logs": lambda _moment, actions: [told, *actions]})) as environment, Listener() as listener:
        environment.subscribe(listener.uri, types=["function"])
        environment.invoke(logs=["ERROR", "ok"])
        environment.flush()
        sent = [event["record"] for batch in listener.batches for event in batch]
        assert sent == ["this ERROR is nobody's", "ERROR", "ok"]
        posted(environment, form([sent[0], sent[2]]).encode())
        with pytest.raises(AssertionError, match="of 2 records 1 arrived once, 1 is lost"):
            environment.assert_exactly_once(timeout=0)
        posted(environment, form([sent[1]]).encode())
        environment.assert_exactly_once()
        assert [len(trail.seen) for trail in environment.ledger.trails()] == [1, 1]


def test_a_story_that_returns_no_actions_is_told() -> None:
    with under(mine(story={"logs": lambda _moment, _actions: None})) as environment:
        with pytest.raises(MisuseError) as caught:
            environment.invoke(logs=["a"])
        assert str(caught.value) == (
            "scenario 'mine' returned None at the moment 'logs'; return the list of actions to carry out, such as the"
            " one that it was given"
        )

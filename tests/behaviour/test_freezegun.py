"""Under freezegun the environment's time is the frozen one, in every form of a freeze and whoever moves it."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import freezegun.api
import pytest
from freezegun import freeze_time
from freezegun.api import TickingDateTimeFactory

from pytest_lambda_telemetry import LambdaTelemetry, MisuseError, Settings, events
from tests.support.helpers import EXTENSION, IDENTIFIER, Listener, call, register, running, subscribe, subscribe_body

START = datetime(2030, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
FORMS: list[dict[str, Any]] = [{}, {"tz_offset": -5}, {"real_asyncio": True}, {"auto_tick_seconds": 60}]


class Watching(Listener):
    """A listener in this process that notes what `datetime.now()` says when a batch arrives."""

    def __init__(self) -> None:
        self.clock: list[datetime] = []
        self.reading = True
        super().__init__(self.look)

    def look(self, _number: int) -> int:
        if self.reading:
            self.clock.append(datetime.now(UTC))
        return 200


@pytest.fixture(autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    """Hypothesis, where it is loaded, reads the clock at each collection, which moves an auto-ticking freeze."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def listener() -> Iterator[Watching]:
    with Watching() as listener:
        yield listener


@pytest.fixture
def subscribed(lambda_telemetry: LambdaTelemetry, listener: Watching) -> LambdaTelemetry:
    lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 100})
    return lambda_telemetry


def log(environment: LambdaTelemetry, text: str = "hello") -> None:
    assert environment.emit(events.function(text)) == ()


def stamps(listener: Listener) -> list[str]:
    return [event["time"] for batch in listener.batches for event in batch]


# --- every form -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_inside_a_freeze_now_and_stamps_are_the_frozen_time(
    form: dict[str, Any], subscribed: LambdaTelemetry, listener: Watching
) -> None:
    with freeze_time(START, **form):
        log(subscribed)
        assert subscribed.now == START
        (delivery,) = subscribed.flush()
    assert delivery.at == START
    assert stamps(listener) == ["2030-01-01T00:00:00.000Z"]


@pytest.mark.parametrize("form", FORMS)
def test_advance_takes_the_freezer_along_to_each_due_moment(
    form: dict[str, Any], subscribed: LambdaTelemetry, listener: Watching
) -> None:
    listener.reading = "auto_tick_seconds" not in form  # there each read is a step
    with freeze_time(START, **form):
        log(subscribed)
        assert subscribed.advance(ms=99) == ()
        (delivery,) = subscribed.advance(ms=1)
        log(subscribed)
        (second,) = subscribed.advance(ms=900)
        assert (delivery.at, second.at) == (START + 100 * MS, START + 200 * MS)
        assert subscribed.now == datetime.fromtimestamp(frozen_s(), UTC) >= START + 1000 * MS
        assert subscribed.elapsed >= 1000 * MS
    if listener.reading and "tz_offset" not in form:
        assert listener.clock == [START + 100 * MS, START + 200 * MS]


def frozen_s() -> float:
    """The frozen time, read without a step of an auto-ticking freeze."""
    frozen = freezegun.api.freeze_factories[-1].time_to_freeze
    return float((frozen - datetime(1970, 1, 1)).total_seconds())


@freeze_time(START)
def test_a_decorated_test_is_followed(subscribed: LambdaTelemetry, listener: Watching) -> None:
    log(subscribed)
    subscribed.advance(ms=100)
    assert listener.clock == [datetime.now(UTC)] == [subscribed.now] == [START + 100 * MS]


@freeze_time(START)
class TestDecoratedClass:
    def test_is_followed(self, subscribed: LambdaTelemetry, listener: Watching) -> None:
        log(subscribed)
        subscribed.advance(ms=100)
        assert listener.clock == [datetime.now(UTC)] == [subscribed.now] == [START + 100 * MS]


@pytest.mark.freeze_time(START)
def test_pytest_freezers_fixture_begun_before_ours_is_followed(freezer: Any, lambda_telemetry: LambdaTelemetry) -> None:
    assert lambda_telemetry.now == START
    freezer.tick(2)
    assert (lambda_telemetry.now, lambda_telemetry.elapsed) == (START + 2000 * MS, 2000 * MS)


@pytest.mark.freeze_time(START)
def test_pytest_freezers_fixture_begun_after_ours_is_followed(
    subscribed: LambdaTelemetry, listener: Watching, freezer: Any
) -> None:
    log(subscribed)
    freezer.tick(0.1)
    assert listener.clock == [START + 100 * MS]


def test_an_environment_made_inside_a_freeze_starts_at_its_time() -> None:
    with freeze_time(START), LambdaTelemetry() as environment:
        assert (environment.now, environment.elapsed) == (START, timedelta(0))
        register(api=environment.runtime_api)
        assert environment.requests[0].at == environment.extensions[0].at == START
        assert [entry.at for entry in environment.journal] == [START] * len(environment.journal)


def test_a_ticking_freeze_passes_by_itself(subscribed: LambdaTelemetry, listener: Watching) -> None:
    with freeze_time(START, tick=True) as freezer:
        log(subscribed)
        assert isinstance(freezer, TickingDateTimeFactory)
        freezer.start -= timedelta(seconds=10)  # as if ten real seconds had passed
        assert subscribed.elapsed >= timedelta(seconds=10)
        assert listener.batches == []
        (delivery,) = subscribed.advance(ms=0)
        assert START + 100 * MS <= delivery.at < START + timedelta(seconds=5)
        assert subscribed.now >= START + timedelta(seconds=10)
        subscribed.advance(seconds=1)
        assert subscribed.now >= START + timedelta(seconds=11)


def test_an_auto_ticking_read_moves_time_without_a_delivery(subscribed: LambdaTelemetry, listener: Watching) -> None:
    with freeze_time(START, auto_tick_seconds=60):
        log(subscribed)
        datetime.now(UTC)
        assert subscribed.elapsed == timedelta(seconds=60)
        assert listener.batches == []
        (delivery,) = subscribed.advance(ms=0)
        assert delivery.at == START + 100 * MS


def test_the_innermost_of_nested_freezes_counts(subscribed: LambdaTelemetry, listener: Watching) -> None:
    with freeze_time(START) as outer:
        log(subscribed)
        with freeze_time(START + timedelta(days=1)) as inner:
            outer.tick(50)
            assert subscribed.advance(ms=0) == ()
            inner.tick(0.1)
            assert listener.clock == [START + timedelta(days=1) + 100 * MS]
        assert subscribed.now == START + timedelta(seconds=50)
        assert subscribed.elapsed == 100 * MS


# --- the test's own moves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "move",
    [
        lambda freezer: freezer.tick(1),
        lambda freezer: freezer.tick(delta=timedelta(seconds=1)),
        lambda freezer: freezer.move_to(START + timedelta(seconds=1)),
    ],
)
def test_the_users_own_move_delivers_what_became_due_before_it_returns(
    form: dict[str, Any], move: Callable[[Any], object], lambda_telemetry: LambdaTelemetry
) -> None:
    with Listener() as listener, freeze_time(START, **form) as freezer:
        lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 100})
        log(lambda_telemetry)
        move(freezer)
        assert len(listener.batches) == 1
        assert lambda_telemetry.deliveries[0].at == START + 100 * MS
        assert lambda_telemetry.elapsed == timedelta(seconds=1)


def test_a_move_may_be_the_first_thing_that_happens_in_a_freeze(
    subscribed: LambdaTelemetry, listener: Watching
) -> None:
    log(subscribed)
    with freeze_time(START) as freezer:
        freezer.tick(1)
        assert subscribed.deliveries[0].at == START + 100 * MS
    assert subscribed.elapsed == timedelta(seconds=1)


def test_one_move_delivers_at_each_due_moment_in_order(lambda_telemetry: LambdaTelemetry, listener: Watching) -> None:
    for name, timeout_ms in (("slow", 300), ("quick", 100)):
        lambda_telemetry.subscribe(listener.uri, name=name, buffering={"timeoutMs": timeout_ms})
    with freeze_time(START) as freezer:
        log(lambda_telemetry)
        freezer.tick(10)
        seen = [(one.subscription.extension_name, one.at - START) for one in lambda_telemetry.deliveries]
    assert seen == [("quick", 100 * MS), ("slow", 300 * MS)]


def test_a_retry_comes_at_its_moment_of_frozen_time(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener(lambda number: 500 if number < 3 else 200) as listener, freeze_time(START) as freezer:
        lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 100})
        log(lambda_telemetry)
        freezer.tick(1)
        (delivery,) = lambda_telemetry.deliveries
        assert [attempt.at - START for attempt in delivery.attempts] == [100 * MS, 200 * MS, 400 * MS]
        assert delivery.ok


@pytest.mark.parametrize("form", [{}, {"tick": True}])
def test_a_jump_back_remaps_the_stamps_and_fires_nothing(
    form: dict[str, Any], subscribed: LambdaTelemetry, listener: Watching
) -> None:
    with freeze_time(START, **form) as freezer:
        log(subscribed)
        subscribed.advance(ms=40)
        before = subscribed.elapsed
        freezer.move_to(START - timedelta(days=1))
        assert subscribed.now < START
        assert before <= subscribed.elapsed < before + timedelta(seconds=5)
    assert listener.batches == []
    with freeze_time(START - timedelta(days=1)):
        log(subscribed, "again")
        subscribed.advance(seconds=1)
    assert stamps(listener)[1].startswith("2029-12-31")


def test_elapsed_time_goes_on_from_where_it_was_after_a_jump_back(
    subscribed: LambdaTelemetry, listener: Watching
) -> None:
    with freeze_time(START) as freezer:
        log(subscribed)
        freezer.tick(0.06)
        freezer.tick(-3600)
        freezer.tick(0.039)
        assert (listener.batches, subscribed.elapsed) == ([], 99 * MS)
        freezer.tick(0.001)
        assert len(listener.batches) == 1


def test_entering_and_leaving_a_freeze_remap_the_stamps_and_fire_nothing(
    subscribed: LambdaTelemetry, listener: Watching
) -> None:
    real = subscribed.now
    log(subscribed)
    for _ in range(3):
        with freeze_time(START):
            assert subscribed.now == START
            assert subscribed.advance(ms=10) == ()
        assert subscribed.now - real == subscribed.elapsed
    assert subscribed.elapsed == 30 * MS
    with freeze_time(START):
        subscribed.advance(ms=69)
        assert listener.batches == []
        subscribed.advance(ms=1)
    assert len(listener.batches) == 1


def test_a_start_of_our_own_counts_outside_the_freeze_only() -> None:
    start = datetime(2020, 2, 2, tzinfo=UTC)
    with LambdaTelemetry(Settings(start=start)) as environment:
        assert environment.now == start
        with freeze_time(START):
            environment.advance(seconds=1)
            assert environment.now == START + timedelta(seconds=1)
        assert environment.now == start + timedelta(seconds=1)


def test_a_direct_assignment_is_noticed_by_the_next_call(subscribed: LambdaTelemetry, listener: Watching) -> None:
    with freeze_time(START) as freezer:
        log(subscribed)
        freezer.time_to_freeze += timedelta(seconds=1)
        assert listener.batches == []
        assert len(subscribed.advance(ms=0)) == 1


def test_a_move_from_a_second_thread_is_refused_and_moves_nothing(
    subscribed: LambdaTelemetry, listener: Watching
) -> None:
    caught: list[BaseException] = []

    def move(how: Callable[[], object]) -> None:
        with pytest.raises(MisuseError, match=r"belongs to the thread that started it") as caught_now:
            how()
        caught.append(caught_now.value)

    with freeze_time(START) as freezer:
        log(subscribed)
        for how in (lambda: freezer.tick(1), lambda: freezer.move_to(START + timedelta(days=1))):
            with running(partial(move, how)):
                pass
        assert datetime.now(UTC) == START
        assert (subscribed.elapsed, listener.batches) == (timedelta(0), [])
    assert len(caught) == 2


def test_after_its_end_an_environment_minds_no_moves() -> None:
    with freeze_time(START) as freezer:
        with LambdaTelemetry() as environment:
            freezer.tick(1)
        with running(freezer.tick):
            pass
    assert environment.elapsed <= timedelta(seconds=1)


# --- clock="virtual" --------------------------------------------------------------------------------------------------


def test_a_virtual_clock_neither_follows_nor_ticks_the_freezer(listener: Watching) -> None:
    start = datetime(2020, 2, 2, tzinfo=UTC)
    with freeze_time(START) as freezer, LambdaTelemetry(Settings(clock="virtual", start=start)) as environment:
        environment.subscribe(listener.uri, buffering={"timeoutMs": 100})
        log(environment)
        freezer.tick(3600)
        assert (environment.now, environment.elapsed, listener.batches) == (start, timedelta(0), [])
        environment.advance(ms=100)
        assert environment.now == start + 100 * MS
        assert listener.clock == [datetime.now(UTC)] == [START + timedelta(hours=1)]
        with running(freezer.tick):
            pass  # nothing of ours to guard


def test_a_virtual_clock_without_a_start_starts_at_the_real_time() -> None:
    with freeze_time("1999-01-01"), LambdaTelemetry(Settings(clock="virtual")) as environment:
        assert environment.now.year > 2020


# --- several environments, the environment's own freeze ---------------------------------------------------------------


def test_several_environments_follow_one_freezer(listener: Watching, lambda_telemetry_factory: Any) -> None:
    with lambda_telemetry_factory() as first, lambda_telemetry_factory() as second:
        for environment in (first, second):
            environment.subscribe(listener.uri, buffering={"timeoutMs": 100})
        with freeze_time(START) as freezer:
            log(first)
            log(second)
            freezer.tick(0.1)
            assert len(listener.batches) == 2
            first.advance(ms=50)
            assert first.now == second.now == START + 150 * MS
            assert first.elapsed == second.elapsed == 150 * MS
            log(first)
            second.advance(ms=100)
            assert len(first.advance(ms=0)) == 1
            assert first.elapsed == second.elapsed == 250 * MS


def test_while_the_environment_is_frozen_only_the_wall_moves(subscribed: LambdaTelemetry, listener: Watching) -> None:
    with freeze_time(START) as freezer:
        log(subscribed)
        subscribed.advance(ms=60)
        subscribed.freeze()
        freezer.tick(3600)
        subscribed.advance(seconds=1)
        assert datetime.now(UTC) == subscribed.now == START + timedelta(seconds=3601, milliseconds=60)
        assert (subscribed.elapsed, listener.batches) == (60 * MS, [])
        subscribed.thaw()
        freezer.tick(0.039)
        assert listener.batches == []
        (delivery,) = subscribed.advance(ms=1)
        assert delivery.at == subscribed.now


# --- server, polls, deadlines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [*FORMS, {"tick": True}])
def test_an_extension_lives_through_a_whole_life_inside_a_freeze(form: dict[str, Any], listener: Watching) -> None:
    heard: list[dict[str, Any]] = []
    listener.reading = False
    with freeze_time(START, **form), LambdaTelemetry() as environment:
        identifier = register("ext", api=environment.runtime_api)
        subscribe(identifier, subscribe_body(listener.port), api=environment.runtime_api)

        def live() -> None:
            while True:
                answer = call("GET", f"{EXTENSION}/event/next", headers={IDENTIFIER: identifier}, api=address)
                heard.append(answer.body)
                if answer.body["eventType"] == "SHUTDOWN":
                    return

        address = environment.runtime_api
        with running(live):
            environment.wait_until_ready("ext")
            with environment.invocation() as invocation:
                invocation.log("hello")
                before = environment.now
            environment.shutdown()
    assert [event["eventType"] for event in heard] == ["INVOKE", "SHUTDOWN"]
    assert "hello" in [event["record"] for batch in listener.batches for event in batch]
    deadline = datetime.fromtimestamp(heard[0]["deadlineMs"] / 1000, UTC)
    assert abs(deadline - before - timedelta(seconds=3)) < timedelta(seconds=2)
    assert abs(deadline - invocation.deadline) < timedelta(seconds=2)


@pytest.mark.parametrize("clock", ["auto", "virtual", "system"])
def test_a_deadline_is_in_the_time_that_the_extension_sees(clock: Any, listener: Watching) -> None:
    with freeze_time(START), LambdaTelemetry(Settings(clock=clock)) as environment:
        identifier, heard = register(api=environment.runtime_api), []
        path, headers, address = f"{EXTENSION}/event/next", {IDENTIFIER: identifier}, environment.runtime_api
        with running(lambda: heard.append(call("GET", path, headers=headers, api=address))):
            environment.wait_until_ready()
            environment.shutdown()
        assert heard[0].body["deadlineMs"] == int(START.timestamp() * 1000) + 2000


# --- by name ----------------------------------------------------------------------------------------------------------


@pytest.mark.lambda_telemetry(clock="freezegun", start="2031-05-06T07:08:09Z")
def test_by_name_the_process_is_frozen_at_the_start(lambda_telemetry: LambdaTelemetry, listener: Watching) -> None:
    start = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert datetime.now(UTC) == lambda_telemetry.now == start
    lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 100})
    log(lambda_telemetry)
    lambda_telemetry.advance(ms=100)
    assert listener.clock == [datetime.now(UTC)] == [start + 100 * MS]


@pytest.mark.lambda_telemetry(clock="freezegun", start=START)
def test_by_name_asyncio_still_works(lambda_telemetry: LambdaTelemetry) -> None:
    async def nap() -> float:
        before = asyncio.get_running_loop().time()
        await asyncio.wait_for(asyncio.sleep(0.001), 5)
        return asyncio.get_running_loop().time() - before

    assert asyncio.run(nap()) >= 0.0005
    assert time.time() == START.timestamp()


def test_by_name_without_a_start_the_time_is_that_of_the_beginning() -> None:
    with LambdaTelemetry(Settings(clock="freezegun")) as environment:
        assert environment.now == datetime.now(UTC)
        assert environment.now.year > 2020
    with freeze_time(START), LambdaTelemetry(Settings(clock="freezegun")) as environment:
        assert environment.now == datetime.now(UTC) == START


def test_by_name_the_freeze_ends_with_the_environment() -> None:
    with LambdaTelemetry(Settings(clock="freezegun", start=START)):
        assert datetime.now(UTC) == START
    assert datetime.now(UTC) != START
    assert not freezegun.api.freeze_factories


def test_no_hook_is_left_on_freezegun() -> None:
    methods = {name: vars(freezegun.api.FrozenDateTimeFactory)[name] for name in ("tick", "move_to")}
    with LambdaTelemetry(), freeze_time(START) as freezer:
        freezer.tick()
        assert vars(freezegun.api.FrozenDateTimeFactory)["tick"] is not methods["tick"]
    assert {name: vars(freezegun.api.FrozenDateTimeFactory)[name] for name in methods} == methods


# --- the same every time ----------------------------------------------------------------------------------------------


def story(listener: Listener) -> tuple[object, ...]:
    """The journal and the deliveries of one run, without real durations."""
    with freeze_time(START) as freezer, LambdaTelemetry(Settings()) as environment:
        environment.subscribe(listener.uri, buffering={"timeoutMs": 100})
        environment.fail_next_delivery(503, times=2)
        environment.emit(events.function("one"), events.platform_start(request_id="1"))
        freezer.tick(0.25)
        environment.emit(events.extension("two"))
        environment.advance(seconds=2)
        environment.invoke(logs=["three"])
        entries = [(one.at, one.elapsed, one.kind, one.who, one.what, one.verdict) for one in environment.journal]
        return entries, [(one.at, one.body, one.ok) for one in environment.deliveries]


def test_the_same_test_gives_the_same_journal(listener: Watching) -> None:
    with LambdaTelemetry():  # another environment does not disturb
        first = story(listener)
    assert story(listener) == first

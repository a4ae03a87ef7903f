"""Following time-machine: every form of a journey, the test's own moves, and classes left as they were."""

import asyncio
import os
import sys
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
import time_machine

from pytest_lambda_telemetry.integrations import time_machine as following
from pytest_lambda_telemetry.model.errors import MisuseError
from tests.behaviour.integrations.conftest import Moves

START = datetime(2030, 1, 1, tzinfo=UTC)
START_US = 1_893_456_000_000_000
SECOND = 1_000_000
METHODS = {name: vars(time_machine.Traveller)[name] for name in ("move_to", "shift", "time_ns")}


@pytest.fixture
def moves() -> Iterator[Moves]:
    moves = Moves(following.active)
    following.watch(moves)
    yield moves
    following.unwatch(moves)
    assert {name: vars(time_machine.Traveller)[name] for name in METHODS} == METHODS


def now_us() -> int:
    clock = following.active()
    assert clock is not None
    return clock.now_us()


# --- what is active ---------------------------------------------------------------------------------------------------


def test_nothing_is_active_without_a_journey() -> None:
    assert following.active() is None


def test_a_context_manager_is_active_inside_its_block() -> None:
    with time_machine.travel(START, tick=False) as traveller:
        clock = following.active()
        assert clock is not None
        assert (clock.name, clock.key, clock.now_us()) == ("time-machine", traveller, START_US)
    assert following.active() is None


@time_machine.travel(START, tick=False)
def test_a_decorated_test_is_followed() -> None:
    assert now_us() == START_US


@time_machine.travel(START, tick=False)
class TestDecoratedTestCase(unittest.TestCase):
    def test_is_followed(self) -> None:
        assert now_us() == START_US


@time_machine.travel(START, tick=False)
async def _travelled_coroutine() -> int:
    await asyncio.sleep(0.001)
    return now_us()


def test_a_decorated_coroutine_is_followed() -> None:
    assert asyncio.run(_travelled_coroutine()) == START_US


@pytest.mark.time_machine(START, tick=False)
def test_its_fixture_is_followed(time_machine: time_machine.TimeMachineFixture, moves: Moves) -> None:
    time_machine.shift(2)
    time_machine.move_to(START)
    assert moves.seen == [
        ("before", START_US),
        ("after", START_US + 2 * SECOND),
        ("before", START_US + 2 * SECOND),
        ("after", START_US),
    ]


def test_its_fixtures_first_move_begins_a_journey(time_machine: time_machine.TimeMachineFixture, moves: Moves) -> None:
    time_machine.move_to(START, tick=False)
    assert (moves.seen, now_us()) == ([], START_US)


def test_the_innermost_of_nested_journeys_counts() -> None:
    with time_machine.travel(START, tick=False) as outer:
        with time_machine.travel(START + timedelta(days=1), tick=False) as inner:
            clock = following.active()
            assert clock is not None
            assert clock.key is inner
            assert clock.now_us() == START_US + 86_400 * SECOND
        clock = following.active()
        assert clock is not None
        assert clock.key is outer


def test_a_named_zone_does_not_disturb() -> None:
    with time_machine.travel(datetime(2030, 1, 1, 9, tzinfo=ZoneInfo("Asia/Tokyo")), tick=False):
        assert now_us() == START_US


# --- reading and moving it ourselves ----------------------------------------------------------------------------------


def test_reading_moves_nothing_and_moving_is_exact_and_silent(moves: Moves) -> None:
    with time_machine.travel(START + timedelta(microseconds=123_457), tick=False):
        clock = following.active()
        assert clock is not None
        assert [clock.now_us(), clock.now_us()] == [START_US + 123_457] * 2
        clock.move_us(1_001_001)
        assert clock.now_us() == START_US + 123_457 + 1_001_001
        assert time.time_ns() // 1000 == clock.now_us()
    assert moves.seen == []


def test_reading_does_not_start_a_ticking_journeys_clock() -> None:
    with time_machine.travel(START, tick=True):
        assert [now_us(), now_us()] == [START_US, START_US]
        assert time.time_ns() == START_US * 1000


def test_a_ticking_journey_is_read_with_the_real_time_passed_and_moved_from_now(moves: Moves) -> None:
    with time_machine.travel(START, tick=True) as traveller:
        time.time()
        traveller._real_start_timestamp_ns -= 10 * SECOND * 1000  # as if ten real seconds had passed
        clock = following.active()
        assert clock is not None
        before = clock.now_us()
        clock.move_us(SECOND)
        after = clock.now_us()
    assert before - START_US >= 10 * SECOND
    assert after - before >= SECOND
    assert moves.seen == []


# --- the test's own moves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (lambda traveller: traveller.shift(3), 3 * SECOND),
        (lambda traveller: traveller.shift(delta=0.1), SECOND // 10),
        (lambda traveller: traveller.shift(timedelta(milliseconds=99)), 99_000),
        (lambda traveller: traveller.shift(timedelta(seconds=-1)), -SECOND),
        (lambda traveller: traveller.move_to("2030-01-01T00:01:00+00:00"), 60 * SECOND),
        (lambda traveller: traveller.move_to(destination=START + timedelta(minutes=1), tick=True), 60 * SECOND),
        (lambda traveller: traveller.move_to(timedelta(minutes=-1)), -60 * SECOND),
    ],
)
@pytest.mark.parametrize("tick", [False, True])
def test_a_move_tells_the_listener_once_before_and_once_after(
    move: Callable[[object], object], expected: int, tick: bool, moves: Moves
) -> None:
    with time_machine.travel(START, tick=tick) as traveller:
        move(traveller)
    (before, before_us), (after, after_us) = moves.seen
    assert (before, before_us, after) == ("before", START_US, "after")
    # move_to with a timedelta reads the clock, which starts a ticking one
    assert 0 <= after_us - START_US - expected <= (SECOND if tick else 0)


def test_a_failing_move_raises_and_has_no_after(moves: Moves) -> None:
    with time_machine.travel(START, tick=False) as traveller:
        with pytest.raises(TypeError):
            traveller.shift("a second")  # type: ignore[arg-type]  # this must fail
    assert moves.seen == [("before", START_US)]


def test_a_listener_can_refuse_a_move(moves: Moves) -> None:
    with time_machine.travel(START, tick=False) as traveller:
        moves.refusal = MisuseError("not from here")
        with pytest.raises(MisuseError, match=r"^not from here$"):
            traveller.shift(1)
        assert now_us() == START_US


def test_a_second_thread_is_heard_in_that_thread(moves: Moves) -> None:
    heard: list[int] = []
    moves.before_move = lambda: heard.append(threading.get_ident())  # type: ignore[method-assign]  # for this test
    with time_machine.travel(START, tick=False) as traveller:
        thread = threading.Thread(target=traveller.shift, args=(1,))
        thread.start()
        thread.join()
    assert heard == [thread.ident]


def test_moving_a_journey_that_is_not_the_innermost_is_no_move(moves: Moves) -> None:
    with time_machine.travel(START, tick=False) as outer:
        with time_machine.travel(START, tick=False) as inner:
            outer.shift(1)
            assert moves.seen == []
            inner.shift(2)
    outer.shift(1)
    assert [us - START_US for _, us in moves.seen] == [0, 2 * SECOND]


# --- watching ---------------------------------------------------------------------------------------------------------


def test_watching_during_a_journey_covers_it_and_those_begun_later() -> None:
    moves = Moves(following.active)
    with time_machine.travel(START, tick=False) as before:
        following.watch(moves)
        following.watch(moves)
        before.shift(1)
    with time_machine.travel(START, tick=False) as after:
        after.shift(1)
        following.unwatch(moves)
        following.unwatch(moves)
        after.shift(1)
    assert [what for what, _ in moves.seen] == ["before", "after"] * 2
    assert {name: vars(time_machine.Traveller)[name] for name in METHODS} == METHODS


def test_time_machine_imported_later_is_hooked_by_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    moves = Moves(following.active)
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "time_machine")
        following.watch(moves)
        assert following.active() is None
    with time_machine.travel(START, tick=False) as traveller:
        following.active()
        traveller.shift(1)
    following.unwatch(moves)
    assert [what for what, _ in moves.seen] == ["before", "after"]


# --- freezing by name -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=2)), ZoneInfo("Asia/Tokyo")])
def test_freezing_by_name_stops_the_wall_clock_and_leaves_asyncio_and_the_zone(zone: timezone | ZoneInfo) -> None:
    async def nap() -> None:
        await asyncio.sleep(0.001)

    variables = dict(os.environ)
    with following.freeze(START.astimezone(zone)):
        asyncio.run(nap())
        assert now_us() == START_US
        assert time.time() == START_US / SECOND
        assert dict(os.environ) == variables
    assert following.active() is None


def test_freezing_by_name_without_time_machine_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "time_machine", None)
    with pytest.raises(MisuseError, match=r"needs the time-machine package.*pip install 'pytest-lambda-telemetry\["):
        with following.freeze(START):
            pass

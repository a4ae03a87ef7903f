"""Following freezegun: every form of a freeze, the test's own moves, and classes left as they were."""

import asyncio
import functools
import sys
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import freezegun.api
import pytest
from freezegun import freeze_time

from pytest_lambda_telemetry.integrations import freezegun as following
from pytest_lambda_telemetry.model.errors import MisuseError
from tests.behaviour.integrations.conftest import Moves

START = "2030-01-01T00:00:00Z"
START_US = 1_893_456_000_000_000
SECOND = 1_000_000
FACTORIES = (
    freezegun.api.FrozenDateTimeFactory,
    freezegun.api.TickingDateTimeFactory,
    freezegun.api.StepTickTimeFactory,
)
METHODS = {
    (factory, name): vars(factory)[name]
    for factory in FACTORIES
    for name in ("tick", "move_to", "__call__", "__init__")
}


@pytest.fixture
def moves() -> Iterator[Moves]:
    moves = Moves(following.active)
    following.watch(moves)
    yield moves
    following.unwatch(moves)
    assert {(factory, name): vars(factory)[name] for factory, name in METHODS} == METHODS


def now_us() -> int:
    clock = following.active()
    assert clock is not None
    return clock.now_us()


# --- what is active ---------------------------------------------------------------------------------------------------


def test_nothing_is_active_without_a_freeze() -> None:
    assert following.active() is None


def test_a_context_manager_is_active_inside_its_block() -> None:
    with freeze_time(START) as factory:
        clock = following.active()
        assert clock is not None
        assert (clock.name, clock.key, clock.now_us()) == ("freezegun", factory, START_US)
    assert following.active() is None


@freeze_time(START)
def test_a_decorated_test_is_frozen() -> None:
    assert now_us() == START_US


@freeze_time(START)
class TestDecoratedClass:
    def test_is_frozen(self) -> None:
        assert now_us() == START_US


@freeze_time(START)
class TestDecoratedTestCase(unittest.TestCase):
    def test_is_frozen(self) -> None:
        assert now_us() == START_US


@pytest.mark.freeze_time(START)
def test_pytest_freezers_fixture_is_followed(freezer: freezegun.api.FrozenDateTimeFactory, moves: Moves) -> None:
    freezer.tick(2)
    assert moves.seen == [("before", START_US), ("after", START_US + 2 * SECOND)]


@freeze_time(START)
async def _frozen_coroutine() -> int:
    return now_us()


def test_a_decorated_coroutine_is_frozen() -> None:
    with freeze_time(START, real_asyncio=True):  # so that the loop outside the coroutine's own freeze works too
        assert asyncio.run(_frozen_coroutine()) == START_US  # type: ignore[arg-type]  # typed as any Awaitable


def test_the_innermost_of_nested_freezes_counts() -> None:
    with freeze_time(START) as outer:
        with freeze_time("2031-01-01") as inner:
            clock = following.active()
            assert clock is not None
            assert clock.key is inner
            assert clock.now_us() > START_US
        clock = following.active()
        assert clock is not None
        assert clock.key is outer
        assert clock.now_us() == START_US


@pytest.mark.parametrize("start", [START, "2030-01-01", datetime(2030, 1, 1, tzinfo=UTC)])
def test_any_start_is_read_as_utc(start: str | datetime) -> None:
    with freeze_time(start):
        assert now_us() == START_US


def test_another_zone_and_a_tz_offset_do_not_disturb() -> None:
    start = datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    with freeze_time(start, tz_offset=-5):
        assert now_us() == START_US


def test_microseconds_are_exact() -> None:
    with freeze_time("2030-01-01T00:00:00.123457Z"):
        assert now_us() == START_US + 123_457


def test_a_direct_assignment_is_seen_at_the_next_look() -> None:
    with freeze_time(START) as factory:
        factory.time_to_freeze += timedelta(seconds=1)
        assert now_us() == START_US + SECOND


# --- reading and moving it ourselves ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [{}, {"real_asyncio": True}, {"auto_tick_seconds": 15}])
def test_reading_moves_nothing_and_moving_is_exact_and_silent(form: dict[str, Any], moves: Moves) -> None:
    with freeze_time(START, **form):
        clock = following.active()
        assert clock is not None
        assert [clock.now_us(), clock.now_us()] == [START_US, START_US]
        clock.move_us(100_001)
        assert clock.now_us() == START_US + 100_001
        assert time.time_ns() // 1000 == pytest.approx(START_US + 100_001, abs=1)
    assert moves.seen == []


def test_a_ticking_freeze_is_read_with_the_real_time_passed_and_moved_from_now(moves: Moves) -> None:
    with freeze_time(START, tick=True) as factory:
        assert isinstance(factory, freezegun.api.TickingDateTimeFactory)
        factory.start -= timedelta(seconds=10)  # as if ten real seconds had passed
        clock = following.active()
        assert clock is not None
        before = clock.now_us()
        clock.move_us(SECOND)
        after = clock.now_us()
    assert before - START_US >= 10 * SECOND
    assert after - before >= SECOND  # never back to the time at which the freeze began
    assert moves.seen == []


# --- the test's own moves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (lambda freezer: freezer.tick(), SECOND),
        (lambda freezer: freezer.tick(3), 3 * SECOND),
        (lambda freezer: freezer.tick(0.1), SECOND // 10),
        (lambda freezer: freezer.tick(delta=timedelta(milliseconds=99)), 99_000),
        (lambda freezer: freezer.tick(timedelta(seconds=-1)), -SECOND),
        (lambda freezer: freezer.move_to("2030-01-01T00:01:00Z"), 60 * SECOND),
        (lambda freezer: freezer.move_to(target_datetime=datetime(2030, 1, 1, 0, 1, tzinfo=UTC)), 60 * SECOND),
        (lambda freezer: freezer.move_to(datetime(2029, 12, 31, 23, 59)), -60 * SECOND),
    ],
)
@pytest.mark.parametrize("form", [{}, {"real_asyncio": True}, {"tz_offset": 3}, {"auto_tick_seconds": 1}])
def test_a_move_tells_the_listener_once_before_and_once_after(
    move: Callable[[object], object], expected: int, form: dict[str, Any], moves: Moves
) -> None:
    with freeze_time(START, **form) as freezer:
        move(freezer)
    begun = START_US
    if "auto_tick_seconds" in form:  # then any thread of this process moves the clock by reading it
        begun = moves.seen[0][1]
        assert begun >= START_US
    assert moves.seen == [("before", begun), ("after", begun + expected)]


@pytest.mark.parametrize("move", [lambda freezer: freezer.tick(5), lambda f: f.move_to("2030-01-01T00:00:05Z")])
def test_a_move_of_a_ticking_freeze_tells_the_listener_once(move: Callable[[object], object], moves: Moves) -> None:
    with freeze_time(START, tick=True) as freezer:
        move(freezer)
    (before, before_us), (after, after_us) = moves.seen
    assert (before, after) == ("before", "after")
    assert before_us >= START_US
    assert after_us >= START_US + 5 * SECOND


@pytest.mark.parametrize("form", [{}, {"tick": True}, {"auto_tick_seconds": 15}])
def test_a_moves_result_is_passed_on(form: dict[str, Any], moves: Moves) -> None:
    with freeze_time(START, **form) as freezer:
        assert freezer.tick(5) == datetime(2030, 1, 1, 0, 0, 5)
        assert freezer.move_to("2030-01-01T00:01:00Z") is None
    assert len(moves.seen) == 4


def test_a_failing_move_raises_and_has_no_after(moves: Moves) -> None:
    with freeze_time(START) as freezer:
        with pytest.raises(TypeError):
            freezer.tick("a second")  # type: ignore[arg-type]  # this must fail
        freezer.tick()
    assert [what for what, _ in moves.seen] == ["before", "before", "after"]


def test_a_listener_can_refuse_a_move(moves: Moves) -> None:
    with freeze_time(START) as freezer:
        moves.refusal = MisuseError("not from here")
        with pytest.raises(MisuseError, match=r"^not from here$"):
            freezer.tick()
        assert now_us() == START_US


def test_a_second_thread_is_heard_in_that_thread(moves: Moves) -> None:
    heard: list[int] = []
    moves.before_move = lambda: heard.append(threading.get_ident())  # type: ignore[method-assign]  # for this test
    with freeze_time(START) as freezer:
        thread = threading.Thread(target=freezer.tick)
        thread.start()
        thread.join()
    assert heard == [thread.ident]


def test_reads_of_an_auto_ticking_freeze_are_no_moves(moves: Moves) -> None:
    with freeze_time(START, auto_tick_seconds=15) as freezer:
        assert time.time() == START_US / SECOND
        assert datetime.now(UTC) == datetime(2030, 1, 1, 0, 0, 15, tzinfo=UTC)
        assert moves.seen == []
        freezer.tick()
    assert moves.seen == [("before", START_US + 30 * SECOND), ("after", START_US + 45 * SECOND)]


def test_moving_a_freeze_that_is_not_the_active_one_is_no_move(moves: Moves) -> None:
    with freeze_time(START) as outer:
        with freeze_time(START) as inner:
            outer.tick()
            assert moves.seen == []
            inner.tick(2)
        outer.tick()
    inner.tick()
    assert [us - START_US for _, us in moves.seen] == [0, 2 * SECOND, SECOND, 2 * SECOND]


def test_what_a_listener_moves_or_reads_itself_is_not_told_again(moves: Moves) -> None:
    def deliver() -> None:
        clock = following.active()
        assert clock is not None
        clock.move_us(5)
        datetime.now(UTC)

    moves.after_move = deliver  # type: ignore[method-assign]  # for this test
    with freeze_time(START, auto_tick_seconds=1) as freezer:
        freezer.tick()
    assert moves.seen == [("before", START_US)]


# --- watching ---------------------------------------------------------------------------------------------------------


def test_watching_during_a_freeze_covers_it_and_those_begun_later() -> None:
    moves = Moves(following.active)
    with freeze_time(START) as before:
        following.watch(moves)
        before.tick()
    with freeze_time(START) as after:
        after.tick()
        following.unwatch(moves)
        after.tick()
    assert [what for what, _ in moves.seen] == ["before", "after"] * 2
    assert {(factory, name): vars(factory)[name] for factory, name in METHODS} == METHODS


def test_a_bound_method_taken_while_watched_still_works_afterwards() -> None:
    moves = Moves(following.active)
    with freeze_time(START) as freezer:
        following.watch(moves)
        tick = freezer.tick
        following.unwatch(moves)
        tick()
        assert now_us() == START_US + SECOND
    assert moves.seen == []


def test_several_listeners_are_told_in_order_and_once_each() -> None:
    told: list[str] = []

    def listener(name: str) -> SimpleNamespace:
        note = functools.partial(told.append, name)
        return SimpleNamespace(before_move=note, after_move=note)

    first, second = listener("first"), listener("second")
    for each in (first, second, first):
        following.watch(each)
    with freeze_time(START) as freezer:
        freezer.tick()
        following.unwatch(first)
        following.unwatch(first)
        freezer.tick()
        following.unwatch(second)
        freezer.tick()
    assert told == ["first", "second"] * 2 + ["second"] * 2
    assert {(factory, name): vars(factory)[name] for factory, name in METHODS} == METHODS


def test_somebody_elses_wrapper_over_ours_is_left_in_place() -> None:
    moves = Moves(following.active)
    following.watch(moves)
    factory: Any = freezegun.api.FrozenDateTimeFactory  # Any: methods are assigned to
    ours = factory.tick

    def theirs(self: object, *args: object, **kwargs: object) -> datetime:
        moved: datetime = ours(self, *args, **kwargs)
        return moved

    factory.tick = theirs  # not by monkeypatch, which would put our wrapper back at the end
    following.unwatch(moves)
    assert factory.tick is theirs
    following.watch(moves)  # wraps theirs, in which our first wrapper is still there
    with freeze_time(START) as freezer:
        freezer.tick(2)
    following.unwatch(moves)
    assert factory.tick is theirs
    factory.tick = METHODS[factory, "tick"]
    assert moves.seen == [("before", START_US), ("after", START_US + 2 * SECOND)]


def test_freezegun_imported_later_is_hooked_by_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    moves = Moves(following.active)
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "freezegun.api")
        following.watch(moves)
        assert following.active() is None
    with freeze_time(START) as freezer:
        following.active()
        freezer.tick()
    following.unwatch(moves)
    assert [what for what, _ in moves.seen] == ["before", "after"]


# --- freezing by name -------------------------------------------------------------------------------------------------


def test_freezing_by_name_leaves_asyncio_on_real_time() -> None:
    async def nap() -> None:
        await asyncio.sleep(0.001)

    with following.freeze(datetime(2030, 1, 1, tzinfo=UTC)):
        asyncio.run(nap())
        assert now_us() == START_US
        assert time.time() == START_US / SECOND
    assert following.active() is None


def test_freezing_by_name_ends_with_an_error_too() -> None:
    def fail() -> None:
        with following.freeze(datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))):
            assert now_us() == START_US
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert following.active() is None

"""The clock by itself: what a followed one may do, and what that makes of elapsed time and the wall."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings, strategies as st

from pytest_lambda_telemetry.engine.clock import Clock, SystemClock, from_us, to_us
from pytest_lambda_telemetry.real import Real

OWN = datetime(2020, 1, 1, tzinfo=UTC)
OWN_US = 1_577_836_800_000_000


@dataclass
class Foreign:
    """A clock that somebody else moves."""

    at_us: int
    key: object = field(default_factory=object)
    name: str = "foreign"

    def now_us(self) -> int:
        return self.at_us

    def move_us(self, delta_us: int) -> None:
        self.at_us += delta_us


@dataclass
class World:
    """The process, in which a freeze may be active."""

    active: Foreign | None = None

    def follow(self) -> Foreign | None:
        return self.active


@given(st.integers(-(10**15), 10**16))
def test_a_moment_survives_the_way_to_microseconds_and_back(microseconds: int) -> None:
    assert to_us(from_us(microseconds)) == microseconds


def test_it_moves_only_when_it_is_moved() -> None:
    clock = Clock(OWN, lambda: None)
    assert clock.move(1_000_001) == 1_000_001
    assert (clock.now, clock.elapsed_us) == (OWN + timedelta(seconds=1, microseconds=1), 1_000_001)
    assert clock.peek() == (clock.wall_us, clock.elapsed_us)


def test_without_a_start_it_starts_at_the_real_time() -> None:
    assert abs(Clock(None, lambda: None).wall_us / 1_000_000 - Real.time()) < 60


def test_moving_takes_a_followed_clock_along() -> None:
    world = World(Foreign(5_000))
    clock = Clock(OWN, world.follow)
    clock.move(100)
    assert world.active is not None
    assert (world.active.at_us, clock.wall_us, clock.elapsed_us) == (5_100, 5_100, 100)
    assert clock.catch_up() == 0


def test_it_is_behind_until_what_was_seen_has_passed_by() -> None:
    foreign = Foreign(5_000)
    world = World(foreign)
    clock = Clock(OWN, world.follow)
    foreign.at_us += 300
    assert clock.peek() == (5_300, 300)
    assert (clock.wall_us, clock.elapsed_us) == (5_000, 0)
    assert clock.catch_up() == 300
    assert clock.pass_by(100) == 100
    assert (clock.wall_us, clock.elapsed_us) == (5_100, 100)
    assert clock.catch_up() == 200  # as after a call that was cut short
    clock.pass_by(200)
    assert (clock.wall_us, clock.elapsed_us, clock.catch_up()) == (5_300, 300, 0)


def test_what_was_seen_is_not_lost_when_the_freeze_ends() -> None:
    foreign = Foreign(5_000)
    world = World(foreign)
    clock = Clock(OWN, world.follow)
    foreign.at_us += 300
    clock.look()
    world.active = None
    assert clock.peek() == (OWN_US + 300, 300)
    clock.pass_by(clock.catch_up())
    assert (clock.wall_us, clock.elapsed_us) == (OWN_US + 300, 300)


def test_another_freeze_is_another_mapping() -> None:
    world = World(Foreign(5_000))
    clock = Clock(OWN, world.follow)
    world.active = Foreign(9_000)
    assert (clock.catch_up(), clock.wall_us, clock.elapsed_us) == (0, 9_000, 0)


def test_while_frozen_only_the_wall_moves() -> None:
    foreign = Foreign(5_000)
    world = World(foreign)
    clock = Clock(OWN, world.follow)
    clock.frozen = True
    clock.move(100)
    foreign.at_us += 1_000
    assert clock.peek() == (6_100, 0)
    clock.pass_by(clock.catch_up())
    assert (clock.wall_us, clock.elapsed_us) == (6_100, 0)


steps = st.one_of(
    st.tuples(st.sampled_from(["enter", "jump"]), st.integers(0, 10_000)),
    st.tuples(st.sampled_from(["tick", "move", "pass"]), st.integers(0, 500)),
    st.tuples(st.sampled_from(["leave", "look", "freeze", "thaw"]), st.just(0)),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(steps, max_size=30))
def test_elapsed_time_only_grows_and_the_wall_is_the_frozen_time(steps: list[tuple[str, int]]) -> None:
    world = World()
    clock = Clock(OWN, world.follow)
    expected_us, seen_us = 0, 0
    for step, number in steps:
        active = world.active
        if step == "enter":
            world.active = Foreign(number)
        elif step == "leave":
            world.active = None
        elif step == "jump" and active:
            expected_us += 0 if clock.frozen else max(0, number - active.at_us)
            active.at_us = number
        elif step == "tick" and active:
            expected_us += 0 if clock.frozen else number
            active.at_us += number
        elif step == "move":
            clock.move(number)
            expected_us += 0 if clock.frozen else number
        elif step == "pass":
            clock.pass_by(min(number, clock.catch_up()))
        elif step in ("freeze", "thaw"):
            clock.pass_by(clock.catch_up())
            clock.frozen = step == "freeze"
        wall_us, elapsed_us = clock.peek()
        assert elapsed_us == expected_us >= seen_us
        assert clock.elapsed_us <= elapsed_us
        assert wall_us == world.active.at_us if world.active else wall_us >= OWN_US
        seen_us = elapsed_us


def test_real_time_passes_by_itself() -> None:
    clock = SystemClock(OWN, lambda seconds: None)
    first = clock.peek()
    later = clock.peek()
    assert later[0] - first[0] == later[1] - first[1] >= 0


def test_moving_real_time_means_waiting_for_it() -> None:
    waited: list[float] = []
    clock = SystemClock(OWN, waited.append)
    assert clock.move(250_000) < 250_000_000  # it may be woken early, and says how much has passed
    assert waited == [0.25]


def test_real_time_passes_the_wall_alone_while_frozen() -> None:
    clock = SystemClock(OWN, Real.sleep)
    clock.frozen = True
    before_us = clock.elapsed_us
    assert clock.move(1_000) >= 1_000
    assert clock.elapsed_us == before_us


@pytest.mark.parametrize("moment", [OWN, datetime(2030, 1, 1, 0, 0, 0, 123_457, tzinfo=UTC)])
def test_microseconds_are_exact(moment: datetime) -> None:
    assert Clock(moment, lambda: None).now == moment

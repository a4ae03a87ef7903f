"""The environment's time: one number that drives deadlines, one that stamps events.

`elapsed` only ever grows and stands still while the execution environment is frozen; the wall stamps events and follows
freezegun or time-machine while one of them is active. A jump forward of theirs moves both, a jump back and entering or
leaving their freeze only remap the wall. All in microseconds.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ..model.real import Real

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ForeignClock(Protocol):
    """Somebody else's time that this process is under: freezegun's or time-machine's."""

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> object: ...
    def now_us(self) -> int: ...
    def move_us(self, delta_us: int) -> None: ...


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_us(microseconds: int) -> datetime:
    """An aware datetime from microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


class Clock:
    """A clock that the test owns."""

    real = False

    def __init__(self, start: datetime | None, follow: Callable[[], ForeignClock | None]) -> None:
        self.elapsed_us = 0
        self.frozen = False
        self._follow = follow
        self._foreign = follow()
        self._foreign_seen_us = self._foreign.now_us() if self._foreign else 0
        real_now_us = int(Real.time() * 1_000_000)
        if start is not None:
            self._own_wall_us = to_us(start)
        else:
            self._own_wall_us = self._foreign_seen_us if self._foreign else real_now_us
        self._wall_us = self._foreign_seen_us if self._foreign else self._own_wall_us

    @property
    def wall_us(self) -> int:
        """The time that stamps events, in microseconds since the epoch."""
        return self._wall_us

    @property
    def now(self) -> datetime:
        """`wall_us` as an aware datetime."""
        return from_us(self._wall_us)

    def peek(self) -> tuple[int, int]:
        """Wall and elapsed microseconds as they will stand after `catch_up`, without changing anything."""
        foreign = self._follow()
        if foreign is None:
            return (self._own_wall_us if self._foreign else self._wall_us), self.elapsed_us
        now_us = foreign.now_us()
        if self._foreign is None or self._foreign.key != foreign.key or self.frozen:
            return now_us, self.elapsed_us
        return now_us, self.elapsed_us + max(0, now_us - self._foreign_seen_us)

    @property
    def foreign(self) -> ForeignClock | None:
        """The freeze or travel that is followed now."""
        return self._foreign

    def catch_up(self) -> int:
        """Notice what a followed clock did since the last look; how far elapsed time is behind it, in microseconds.

        The caller delivers what became due on the way, with `pass_by`, and so makes good for it.
        """
        foreign = self._follow()
        if foreign is None:
            if self._foreign is not None:
                self._foreign, self._wall_us = None, self._own_wall_us
            return 0
        now_us = foreign.now_us()
        if self._foreign is None or self._foreign.key != foreign.key:
            self._foreign, self._foreign_seen_us, self._wall_us = foreign, now_us, now_us
            return 0
        if now_us < self._foreign_seen_us:
            self._foreign_seen_us = self._wall_us = now_us
            return 0
        behind, self._foreign_seen_us = now_us - self._foreign_seen_us, now_us
        return behind

    def pass_by(self, delta_us: int) -> None:
        """Time passes that a followed clock has already shown."""
        self._wall_us += delta_us
        self._own_wall_us += delta_us
        if not self.frozen:
            self.elapsed_us += delta_us

    def move(self, delta_us: int) -> None:
        """Time passes because the caller says so; a followed clock is taken along."""
        self.pass_by(delta_us)
        if self._foreign is not None and delta_us:
            self._foreign.move_us(delta_us)
            self._foreign_seen_us += delta_us

    def settle(self) -> None:
        """Nothing: this clock moves only when it is moved."""


class SystemClock(Clock):
    """Real time: it passes by itself, and moving it means waiting for it."""

    real = True

    def __init__(self, start: datetime | None) -> None:
        super().__init__(start, lambda: None)
        self._last = Real.monotonic()

    def move(self, delta_us: int) -> None:
        """Wait until so much time has passed."""
        target_us = self._own_wall_us + delta_us
        while self._own_wall_us < target_us:
            Real.sleep((target_us - self._own_wall_us) / 1_000_000)
            self.settle()

    def peek(self) -> tuple[int, int]:
        """Wall and elapsed microseconds now."""
        self.settle()
        return self.wall_us, self.elapsed_us

    def settle(self) -> None:
        """Take over the real time that has passed."""
        now = Real.monotonic()
        delta_us = int((now - self._last) * 1_000_000)
        self._last += delta_us / 1_000_000
        self.pass_by(delta_us)

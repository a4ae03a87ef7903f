"""The environment's time: one number that drives deadlines, one that stamps events.

`elapsed` only ever grows and stands still while the execution environment is frozen; the wall stamps events and follows
freezegun or time-machine while one of them is active. A jump forward of theirs moves both, a jump back and entering or
leaving their freeze only remap the wall. All in microseconds.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ..model.ports import ForeignClock
from ..real import Real

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_us(microseconds: int) -> datetime:
    """An aware datetime from microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


LAST_US = to_us(datetime.max.replace(tzinfo=UTC))
"""The last moment that a datetime can hold."""


class Clock:
    """A clock that the test owns. The caller holds the environment's lock around every call.

    A followed clock moves without us: what it was seen to do is *behind* until the caller has delivered what became due
    on the way, and made good for it with `pass_by`. So nothing of it is lost when the followed clock then goes away.
    """

    real = False

    def __init__(self, start: datetime | None, follow: Callable[[], ForeignClock | None]) -> None:
        self.elapsed_us = 0
        self.frozen = False
        self.suspended = False
        """As frozen, while another environment stands in this one's place."""
        self._behind_us = 0
        self._follow = follow
        self._foreign = follow()
        self._own_us = int(Real.time() * 1_000_000) if start is None else to_us(start)
        self._seen_us = self._foreign.now_us() if self._foreign else self._own_us

    @property
    def wall_us(self) -> int:
        """The time that stamps events, in microseconds since the epoch."""
        return self._seen_us - self._behind_us

    @property
    def now(self) -> datetime:
        """`wall_us` as an aware datetime."""
        return from_us(self.wall_us)

    @property
    def _stands_still(self) -> bool:
        return self.frozen or self.suspended

    def suspend(self, suspended: bool) -> None:
        """Let elapsed time stand still, or go on where it was."""
        self.pass_by(self.catch_up())  # what has passed so far did so in the state before
        self.suspended = suspended

    def peek(self) -> tuple[int, int]:
        """Wall and elapsed microseconds as they will stand when what is behind has passed by."""
        self.look()
        return self._seen_us, self.elapsed_us + (0 if self._stands_still else self._behind_us)

    def look(self) -> None:
        """Notice what a followed clock did since the last look.

        Forward it takes us along; a jump back, and the beginning or end of a freeze, only remap the wall.
        """
        foreign, before = self._follow(), self._foreign
        self._foreign = foreign
        if foreign is None:
            self._seen_us = self._own_us
            return
        now_us = foreign.now_us()
        delta_us = now_us - self._seen_us
        if before is not None and before.key == foreign.key and delta_us > 0:
            self._own_us += delta_us
            self._behind_us += delta_us
        self._seen_us = now_us

    def catch_up(self) -> int:
        """How far this clock is behind what was seen of a followed one, in microseconds; to be passed by."""
        self.look()
        return self._behind_us

    def pass_by(self, delta_us: int) -> int:
        """So much of what is behind passes; returns it."""
        self._behind_us -= delta_us
        if not self._stands_still:
            self.elapsed_us += delta_us
        return delta_us

    def move(self, delta_us: int) -> int:
        """Time passes because the caller says so, and a followed clock is taken along; returns how much."""
        if self._foreign is not None:
            self._foreign.move_us(delta_us)
        self._go(delta_us)
        return delta_us

    def _go(self, delta_us: int) -> None:
        self._own_us += delta_us
        self._seen_us += delta_us
        if not self._stands_still:
            self.elapsed_us += delta_us


class SystemClock(Clock):
    """Real time: it passes by itself; moving it means to `wait` so many seconds, with the lock given away."""

    real = True

    def __init__(self, start: datetime | None, wait: Callable[[float], object]) -> None:
        super().__init__(start, lambda: None)
        self._wait = wait
        self._last_us = _monotonic_us()

    def move(self, delta_us: int) -> int:
        """Wait for that much time to pass, or until something happens; returns how much has passed."""
        before_us = self.wall_us
        self._wait(delta_us / 1_000_000)
        self.look()
        return self.wall_us - before_us

    def look(self) -> None:
        """Take over the real time that has passed."""
        now_us = _monotonic_us()
        passed_us, self._last_us = now_us - self._last_us, now_us
        self._go(passed_us)


def _monotonic_us() -> int:
    return int(Real.monotonic() * 1_000_000)

"""The clock that the process is under now, whichever library has taken it over."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime

from ..model.ports import ForeignClock
from ..real import Real
from . import freezegun, time_machine
from .following import Listener


def active() -> ForeignClock | None:
    """freezegun's innermost freeze, or else time-machine's innermost travel; None where the process has real time."""
    return freezegun.active() or time_machine.active()


def watch(listener: Listener) -> None:
    """Tell `listener` of the test's own moves."""
    freezegun.watch(listener)
    time_machine.watch(listener)


def unwatch(listener: Listener) -> None:
    """Stop telling it."""
    freezegun.unwatch(listener)
    time_machine.unwatch(listener)


def freeze(library: str, start: datetime | None) -> AbstractContextManager[None]:
    """Freeze the process with `library` ("freezegun" or "time-machine") at `start`, or at the time it sees now."""
    outer = active()
    moment = start or datetime.fromtimestamp(outer.now_us() / 1_000_000 if outer else Real.time(), UTC)
    return freezegun.freeze(moment) if library == "freezegun" else time_machine.freeze(moment)

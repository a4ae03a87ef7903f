"""Following time-machine: the innermost `travel` of the process, in any of its forms.

Nothing here imports time-machine except `freeze`. Releases 2.16 and later; 3 renamed the classes.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from types import ModuleType
from typing import Any

from ..model.errors import MisuseError
from ..model.ports import ForeignClock
from .following import Listener, MoveHooks

_NEITHER_UTC_NOR_NAMED = timezone(timedelta(hours=1))


class _Travelled:
    """One journey as a `ForeignClock`."""

    name = "time-machine"

    def __init__(self, traveller: Any) -> None:  # Any: Traveller or, before 3.0, Coordinates
        self.key: object = traveller
        self._traveller = traveller

    def now_us(self) -> int:
        # a ticking journey starts its clock at the first read, which is not ours to make
        started = self._traveller._requested
        now_ns = self._traveller.time_ns() if started else self._traveller._destination_timestamp_ns
        return int(now_ns // 1000)

    def move_us(self, delta_us: int) -> None:
        self._traveller._destination_timestamp_ns += delta_us * 1000  # shift() before 3.0 rounds through a float


def _library() -> ModuleType | None:
    return sys.modules.get("time_machine")


def _innermost() -> object | None:
    names = getattr(_library(), "__dict__", {})
    stack: list[object] = names.get("traveller_stack") or names.get("coordinates_stack") or []  # since 3.0, before
    return stack[-1] if stack else None


_hooks = MoveHooks(
    moves={"Traveller": ("move_to", "shift"), "Coordinates": ("move_to", "shift")},
    is_active=lambda traveller: traveller is _innermost(),
)


def active() -> ForeignClock | None:
    """The innermost journey that is under way now; None when there is none or time-machine was never imported."""
    library = _library()
    if library is None:
        return None
    _hooks.cover(library)
    traveller = _innermost()
    return None if traveller is None else _Travelled(traveller)


def watch(listener: Listener) -> None:
    """Tell `listener` when a test's own `move_to` or `shift` moves the innermost journey, whenever that was begun.

    Where time-machine is imported later, the next `active()` hooks it.
    """
    _hooks.add(listener)
    if (library := _library()) is not None:
        _hooks.cover(library)


def unwatch(listener: Listener) -> None:
    """The opposite of `watch`; unknown listeners are ignored."""
    _hooks.remove(listener)


@contextmanager
def freeze(start: datetime) -> Iterator[None]:
    """Stop the process's wall clock at `start` (aware); monotonic clocks and the time zone stay as they are.

    MisuseError when time-machine is not installed; time-machine's own RuntimeError inside a freezegun freeze.
    """
    try:
        import time_machine
    except ImportError as error:
        raise MisuseError(
            'clock="time-machine" needs the time-machine package, which is not installed: '
            "pip install 'pytest-lambda-telemetry[time-machine]'"
        ) from error

    # an aware moment in UTC or in a named zone would make time-machine set TZ for the whole process
    with time_machine.travel(start.astimezone(_NEITHER_UTC_NOR_NAMED), tick=False):
        yield

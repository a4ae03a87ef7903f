"""Following freezegun: the innermost `freeze_time` of the process, in any of its forms.

Reads freezegun's own list of active factories, so a freeze counts whoever started it and whenever. Nothing here imports
freezegun except `freeze`. Not noticed: a direct assignment to a factory's `time_to_freeze` (the next look sees it).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

from ..model.ports import ForeignClock
from .following import Listener, MoveHooks

_EPOCH = datetime(1970, 1, 1)  # naive, as freezegun keeps its times: UTC, whatever tz_offset says
_MICROSECOND = timedelta(microseconds=1)


class _Frozen:
    """One freezegun factory as a `ForeignClock`."""

    name = "freezegun"

    def __init__(self, factory: Any) -> None:  # Any: one of three classes without a common base
        self.key: object = factory
        self._factory = factory

    def now_us(self) -> int:
        # a factory with a step moves when it is called; the others answer with the real time passed, if they tick
        steps = hasattr(self._factory, "step_width")
        moment = self._factory.time_to_freeze if steps else self._factory()
        return int((moment - _EPOCH) // _MICROSECOND)

    def move_us(self, delta_us: int) -> None:
        self._factory.time_to_freeze += timedelta(microseconds=delta_us)  # no method of it, so no hook


def _library() -> ModuleType | None:
    return sys.modules.get("freezegun.api")


def _innermost() -> object | None:
    factories = getattr(_library(), "freeze_factories", None)
    return factories[-1] if factories else None


_hooks = MoveHooks(
    moves={
        "FrozenDateTimeFactory": ("tick", "move_to"),
        "TickingDateTimeFactory": ("tick", "move_to"),
        "StepTickTimeFactory": ("tick", "move_to"),
    },
    reads={"StepTickTimeFactory": ("__call__",)},
    is_active=lambda factory: factory is _innermost(),
)


def active() -> ForeignClock | None:
    """The innermost freeze that is active now; None when there is none or freezegun was never imported."""
    library = _library()
    if library is None:
        return None
    _hooks.cover(library)
    factory = _innermost()
    return None if factory is None else _Frozen(factory)


def watch(listener: Listener) -> None:
    """Tell `listener` when a test's own `tick` or `move_to` moves the active freeze, whenever that was begun.

    Where freezegun is imported later, the next `active()` hooks it.
    """
    _hooks.add(listener)
    if (library := _library()) is not None:
        _hooks.cover(library)


def unwatch(listener: Listener) -> None:
    """The opposite of `watch`; unknown listeners are ignored."""
    _hooks.remove(listener)


@contextmanager
def freeze(start: datetime) -> Iterator[None]:
    """Freeze the process at `start` (aware), with asyncio's loops left on real time: their sleeps and time-outs work.

    Inside another freeze freezegun ignores that wish: the outermost freeze decides what asyncio sees.
    """
    import freezegun

    with freezegun.freeze_time(start, real_asyncio=True):
        yield

"""The wait for extensions at the end of init: in real time; virtual time moves for one that waits for telemetry."""

from collections.abc import Sequence

from ..engine.run import Engine
from .waits import Waits
from .wrapped import Wrapped

_PATIENCE_S = 1.0  # real: a slow start takes less, as a rule
_MOST_US = 10_000_000  # Lambda's own limit for init


class InitWait:
    """Of one environment. An extension may wait for its own platform.telemetrySubscription before it first asks."""

    def __init__(self, waits: Waits, engine: Engine, wrapped: Wrapped, timeout_s: float) -> None:
        self._waits = waits
        self._engine = engine
        self._wrapped = wrapped
        self._timeout_s = timeout_s

    def wait(self) -> list[str]:
        """Wait until every extension asks for its next event; the names of those that did not."""
        patience_s = min(_PATIENCE_S, self._timeout_s / 2)
        if self._waits.all_waiting(patience_s):
            self._serve()
            late = self._waits.all_waiting(self._timeout_s - patience_s)
        else:
            late = []
        if self._wrapped.await_own_names():
            late = self._waits.all_waiting(self._timeout_s)
        return late

    def _serve(self) -> None:
        """Go from due moment to due moment, while one that has not asked has telemetry buffered."""
        limit_us = self._engine.clock.elapsed_us + _MOST_US
        while self._has_buffered(self._waits.late()) and self._has_buffered(self._waits.let_ask()):
            if not self._engine.step(limit_us):
                return

    def _has_buffered(self, names: Sequence[str]) -> bool:
        return any(one.name in names and not one.buffer.empty for one in self._engine.subscribers)

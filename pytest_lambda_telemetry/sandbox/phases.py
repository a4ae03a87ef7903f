"""Where one environment stands: the phase, and whether it was started or has ended."""

from threading import Condition
from typing import Literal

from ..protocol.states import Phase, Trigger, advance_phase, init_over

Life = Literal["new", "open", "closed"]


class Phases:
    """The phase of an environment; `lock` is the environment's."""

    def __init__(self, lock: Condition) -> None:
        self.life: Life = "new"
        self.phase = Phase.INIT
        self._lock = lock

    def move(self, trigger: Trigger) -> None:
        """Change the phase. Raises MisuseError where there is no such step from here."""
        with self._lock:
            self.phase = advance_phase(self.phase, trigger)
            self._lock.notify_all()

    @property
    def init_over(self) -> bool:
        """Registrations and subscriptions are no longer accepted."""
        return init_over(self.phase)

    @property
    def ending(self) -> bool:
        """It has shut down, or is closed: nobody is to ask for a next event any more."""
        return self.phase in (Phase.SHUTDOWN, Phase.CLOSED)

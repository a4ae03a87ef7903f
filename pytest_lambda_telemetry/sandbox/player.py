"""Scripts: each step at its own moment, told as the course of events."""

from itertools import groupby

from ..engine.run import Engine
from ..model.errors import MisuseError
from ..model.event import Event
from ..protocol.encoding import encode
from ..protocol.projection import resolve, timestamp
from ..protocol.states import Phase, Trigger, advance_phase
from ..script import Script
from ..story.steps import Invoke, described
from .course import Course
from .moment_names import moment_of
from .phases import Phases
from .retelling import Retelling


class Player:
    """Plays scripts. What a step needs and the environment does not have is skipped, and recorded."""

    def __init__(self, engine: Engine, phases: Phases, course: Course, retelling: Retelling) -> None:
        self._engine = engine
        self._phases = phases
        self._course = course
        self._retelling = retelling

    def play(self, script: Script) -> None:
        """Do each step at its moment; the turn is held. What cannot be done is refused before the first one."""
        clock = self._engine.clock
        self._course.begin_next()
        self._check(script)
        self._retelling.begin()
        begun_us = clock.wall_us
        for (offset_ms, _), steps in groupby(script.steps, lambda step: (step.offset_ms, moment_of(step.action))):
            self._engine.advance(max(0, round(offset_ms * 1000) - (clock.wall_us - begun_us)))
            moment_us = clock.wall_us
            actions = [action for step in steps for action in self._retelling.actions(step)]
            begun_us += clock.wall_us - moment_us  # an init that had to end first
            begun_us += self._course.play(actions)

    def _check(self, script: Script) -> None:
        """Raise MisuseError, naming the step, for one that cannot be carried out here."""
        self._retelling.check(script.steps)
        stamp = timestamp(self._engine.clock.now)
        running = self._phases.phase is Phase.INVOKE
        for index, step in enumerate(script.steps):
            action = step.action
            try:
                if isinstance(action, Event) and not isinstance(action.record, str):
                    encode(resolve(action, action.time or stamp))
                elif running and isinstance(action, Invoke):
                    advance_phase(Phase.INVOKE, Trigger.INVOCATION_START)  # raises, saying why not
            except MisuseError as error:
                raise MisuseError(f"step {index} of the script ({' '.join(described(action))}): {error}") from error

"""Scripts: each step at its own moment, carried out by the stage."""

from ..engine.run import Engine
from ..model.errors import MisuseError
from ..model.event import Event
from ..protocol.encoding import encode
from ..protocol.projection import resolve, timestamp
from ..protocol.states import Phase, Trigger, advance_phase
from ..script import Script
from ..story.steps import Invoke, described
from .phases import Phases
from .retelling import Retelling
from .stage import SCRIPT, Stage


class Player:
    """Plays scripts. What a step needs and the environment does not have is skipped, and recorded."""

    def __init__(self, engine: Engine, phases: Phases, stage: Stage, retelling: Retelling) -> None:
        self._engine = engine
        self._phases = phases
        self._stage = stage
        self._retelling = retelling

    def play(self, script: Script) -> None:
        """Do each step at its moment; the turn is held. What cannot be done is refused before the first one."""
        clock = self._engine.clock
        self._check(script)
        self._retelling.begin()
        begun_us = clock.wall_us
        for step in script.steps:
            self._engine.advance(max(0, round(step.offset_ms * 1000) - (clock.wall_us - begun_us)))
            moment_us = clock.wall_us
            actions = self._retelling.actions(step)
            begun_us += clock.wall_us - moment_us  # an init that had to end first
            self._stage.carry_out(actions, by=SCRIPT)

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

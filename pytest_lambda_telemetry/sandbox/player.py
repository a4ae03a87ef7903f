"""Carries out a script's steps on the environment's clock."""

from ..model.errors import MisuseError
from ..model.event import Event
from ..protocol.encoding import encode
from ..protocol.lifecycle import Phase, Trigger, advance_phase
from ..protocol.projection import resolve, timestamp
from ..protocol.steps import EndInit, Flush, Freeze, Invoke, Shutdown, Thaw, described
from ..script import Script
from .core import Sandbox
from .lifecycle import Lifecycle


class Player:
    """Plays scripts. What a step needs and the environment does not have is skipped, with a journal line."""

    def __init__(self, sandbox: Sandbox, lifecycle: Lifecycle) -> None:
        self._sandbox = sandbox
        self._lifecycle = lifecycle

    def play(self, script: Script) -> None:
        """Do each step at its moment; the caller holds time. What cannot be done is refused before the first one."""
        clock, engine = self._sandbox.clock, self._sandbox.engine
        self._check(script)
        begun_us = clock.wall_us
        for step in script.steps:
            engine.advance(max(0, round(step.offset_ms * 1000) - (clock.wall_us - begun_us)))
            self._do(step.action)

    def _check(self, script: Script) -> None:
        """Raise MisuseError, naming the step, for one that cannot be carried out here."""
        stamp = timestamp(self._sandbox.clock.now)
        running = self._sandbox.phase is Phase.INVOKE
        for index, step in enumerate(script.steps):
            action = step.action
            try:
                if isinstance(action, Event) and not isinstance(action.record, str):
                    encode(resolve(action, action.time or stamp))
                elif running and isinstance(action, Invoke):
                    advance_phase(Phase.INVOKE, Trigger.INVOCATION_START)  # raises, saying why not
            except MisuseError as error:
                raise MisuseError(f"step {index} of the script ({' '.join(described(action))}): {error}") from error

    def _do(self, action: object) -> None:
        sandbox, lifecycle = self._sandbox, self._lifecycle
        match action:
            case Event():
                sandbox.engine.emit([action], deliver=True, source="script")
            case Invoke():
                self._end_init()
                lifecycle.thaw()
                self._note_nobody("INVOKE", action.request_id)
                lifecycle.invoke_extensions(action.request_id, action.deadline_ms, action.tracing)
            case EndInit():
                self._end_init()
            case Flush():
                sandbox.engine.flush(sandbox.engine.channels)
            case Freeze():
                lifecycle.wait_for_extensions("the moment at which the script freezes the environment")
                lifecycle.freeze()
            case Thaw():
                lifecycle.thaw()
            case Shutdown():
                self._note_nobody("SHUTDOWN", action.reason)
                lifecycle.shutdown(action.reason)

    def _note_nobody(self, event: str, what: str) -> None:
        extensions = self._sandbox.api.extensions
        if not any(event in one.events and not (one.by_hand or one.failed) for one in extensions):
            self._sandbox.record("lifecycle", "script", f"{event} {what}", "skipped: no extension asks for it")

    def _end_init(self) -> None:
        if self._sandbox.phase is Phase.INIT:
            self._lifecycle.wait_for_extensions("the end of init in the script")
            self._lifecycle.close_init()

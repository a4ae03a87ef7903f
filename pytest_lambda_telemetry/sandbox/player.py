"""Carries out a script's steps on the environment's clock."""

from ..model.event import Event
from ..protocol.lifecycle import Phase
from ..protocol.steps import EndInit, Flush, Freeze, Invoke, Shutdown, Thaw
from ..script import Script
from .core import Sandbox
from .lifecycle import Lifecycle


class Player:
    """Plays scripts. What a step needs and the environment does not have is skipped, with a journal line."""

    def __init__(self, sandbox: Sandbox, lifecycle: Lifecycle) -> None:
        self._sandbox = sandbox
        self._lifecycle = lifecycle

    def play(self, script: Script) -> None:
        """Do each step at its moment; the caller holds time."""
        clock, engine = self._sandbox.clock, self._sandbox.engine
        begun_us = clock.wall_us
        for step in script.steps:
            engine.advance(max(0, round(step.offset_ms * 1000) - (clock.wall_us - begun_us)))
            self._do(step.action)

    def _do(self, action: object) -> None:
        sandbox, lifecycle = self._sandbox, self._lifecycle
        match action:
            case Event():
                sandbox.engine.emit([action], deliver=True, source="script")
            case Invoke():
                self._end_init()
                lifecycle.thaw()
                lifecycle.invoke_extensions(action.request_id, action.deadline_ms, action.tracing)
            case EndInit():
                self._end_init()
            case Flush():
                sandbox.engine.flush(sandbox.engine.channels)
            case Freeze():
                lifecycle.wait_for_extensions()
                lifecycle.freeze()
            case Thaw():
                lifecycle.thaw()
            case Shutdown():
                lifecycle.shutdown(action.reason)

    def _end_init(self) -> None:
        if self._sandbox.phase is Phase.INIT:
            self._lifecycle.wait_for_extensions()
            self._lifecycle.close_init()

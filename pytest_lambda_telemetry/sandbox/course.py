"""The course of events: every moment of the story comes by here, and a scenario may change what is done at it.

`invoke()`, `invocation()`, `end_init()`, `shutdown()` and `play()` alike tell their moments; without a scenario each is
carried out as it is.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from threading import Condition
from typing import cast

from ..api.parties import Extensions
from ..engine.run import Engine
from ..model.checks import is_list, repr_of
from ..model.errors import DoesNotApply, MisuseError
from ..model.event import Event
from ..model.facts import SCENARIO, Hinted
from ..model.ports import Recorder
from ..story.scenario import Moment, MomentName, Scenario
from ..story.steps import Advance, Freeze, Inject, Later, Restart, ScenarioAction, request_id_of
from .children import Children
from .moment_names import moment_of
from .reception import Reception
from .stage import LAMBDA, SCRIPT, Stage
from .stand_in import StandIn


class Course:
    """Of one environment. Each call is made while the turn is held, `init_begun` while the lock is."""

    def __init__(
        self,
        scenario: Scenario | None,
        *,
        lock: Condition,
        journal: Recorder,
        engine: Engine,
        extensions: Extensions,
        children: Children,
        reception: Reception,
        stage: Stage,
        stand_in: StandIn,
        restart: Callable[[], None],
    ) -> None:
        self.scenario = scenario
        self.has_changed = False  # something that the scenario changes has come to pass
        self._changes = scenario.story if scenario is not None else {}
        self._source = f"{SCENARIO}{scenario.name}" if scenario is not None else SCENARIO
        self._lock = lock
        self._engine = engine
        self._extensions = extensions
        self._children = children
        self._reception = reception
        self._stage = stage
        self._stand_in = stand_in
        self._restart = restart
        self._number = 0
        self._request_id: str | None = None
        self._put_off: list[ScenarioAction] = []
        self.is_over = False  # the execution environment has ended, and the next one has not begun
        reception.at_init_begun = self._init_begun
        stage.tell = self.tell
        if scenario is not None:
            with lock:
                journal.add(Hinted("scenario", f"{scenario.name}: {scenario.summary}"))

    # -- moments -------------------------------------------------------------------------------------------------------

    def tell(
        self,
        name: MomentName,
        actions: Sequence[ScenarioAction],
        *,
        by: str = LAMBDA,
        request_id: str | None = None,
    ) -> Sequence[ScenarioAction]:
        """Carry out what is done at a moment; returns it. Raises DoesNotApply where the scenario cannot be here."""
        if name != "logs":
            self.release()
        if name == "invocation-begun":
            self._number += 1
            self._request_id = next(filter(None, map(request_id_of, actions)), None)
        done = self._changed(name, actions, request_id) if name in self._changes else actions
        self._carry_out(done, by)
        if name == "logs":
            self.release()
        return done

    def only_buffer(self, name: MomentName, events: Sequence[Event], request_id: str | None = None) -> None:
        """Tell a moment where nothing can be done but to buffer events."""
        done = self._changed(name, events, request_id) if name in self._changes else events
        own = [action for action in done if isinstance(action, Event)]
        added = [action.event for action in done if isinstance(action, Inject)]
        self._engine.emit(own, deliver=False)
        self._engine.emit(added, deliver=False, source=self._source)

    def release(self) -> None:
        """Do what was put off."""
        put_off, self._put_off = self._put_off, []
        self._carry_out(put_off, LAMBDA)

    def play(self, actions: Sequence[ScenarioAction]) -> int:
        """Carry out actions of a script that belong to one moment of time; how long the scenario made them last, in us.

        The script's own moments are so much later from then on.
        """
        clock = self._engine.clock
        begun_us = clock.wall_us
        for name, group in groupby(actions, key=moment_of):
            several = list(group)
            if self.is_over and name in ("freeze", "thaw", "shutdown"):
                continue  # of an execution environment that is gone
            self.begin_next()
            if name == "init-ended":
                self.tell("init-ends", ())
            if name is None:
                self._carry_out(several, SCRIPT)
            else:
                self.tell(name, several, by=SCRIPT)
        return clock.wall_us - begun_us if self._changes else 0

    def _init_begun(self, started: Event) -> None:
        """Lambda's own platform.initStart, with what the scenario adds to it: it is only buffered."""
        self.only_buffer("init-begun", [started])

    def _changed(
        self, name: MomentName, actions: Sequence[ScenarioAction], request_id: str | None = None
    ) -> Sequence[ScenarioAction]:
        clock = self._engine.clock
        moment = Moment(
            name=name,
            number=self._number,
            request_id=request_id or self._request_id,
            lasted_ms=max(0.0, (clock.elapsed_us - self._stage.invoked_us) / 1000),
            remaining_ms=max(0.0, (self._stage.deadline_us - clock.elapsed_us) / 1000),
            now=clock.now,
            subscriptions=tuple(one.subscription for one in self._engine.subscribers),
            init=self._reception.init,
        )
        changed: object = self._changes[name](moment, actions)
        if not is_list(changed):
            assert self.scenario is not None
            raise MisuseError(
                f"scenario {self.scenario.name!r} returned {repr_of(changed)} at the moment {name!r}; return the"
                " list of actions to carry out, such as the one that it was given"
            )
        done = cast(list[ScenarioAction], list(changed))
        self.has_changed = self.has_changed or done != list(actions)
        if any(isinstance(action, Restart) for action in done):
            self._require_restartable()
        return done

    def _carry_out(self, actions: Sequence[ScenarioAction], by: str) -> None:
        for kind, several in groupby(actions, key=type):
            if kind is Event:
                self._engine.emit([one for one in several if isinstance(one, Event)], deliver=True, source=by)
                continue
            if kind is Inject:
                added = [one.event for one in several if isinstance(one, Inject)]
                self._engine.emit(added, deliver=True, source=self._source)
                continue
            for action in several:
                match action:
                    case Advance(ms):
                        self._engine.advance(round(ms * 1000))
                    case Later(action=later):
                        self._put_off.append(later)
                    case Restart():
                        self.is_over = True
                    case Freeze() if by == LAMBDA and self._changes:
                        self._stage.serve_until_asked("the moment at which Lambda freezes the environment")
                        self._stage.freeze()
                    case _ if not isinstance(action, Inject):
                        self._stage.carry_out([action], by)

    # -- the next execution environment --------------------------------------------------------------------------------

    def begin_next(self) -> None:
        """Begin the next execution environment, if a scenario has ended the one before it."""
        if not self.is_over:
            return
        self.is_over = False
        stood_in = [
            (one.name, one.events, list(one.subscriptions.values())) for one in self._extensions if one.stand_in
        ]
        self._restart()
        for name, events, subscriptions in stood_in:
            self._stand_in.register(name, events)
            for subscription in subscriptions:
                self._stand_in.repeat(name, subscription)

    def _require_restartable(self) -> None:
        """Raise DoesNotApply where somebody lives here whom nobody can start again."""
        names = [one.name for one in self._extensions.by_themselves if self._children.of(one.name) is None]
        if names:
            raise DoesNotApply(
                "it ends the execution environment, and Lambda begins the next one with new processes: extension"
                f" {names[0]!r} runs in the test's own process, and cannot be started again; run it with"
                " run_extension()"
            )

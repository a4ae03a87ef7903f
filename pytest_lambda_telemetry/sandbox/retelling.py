"""Scripts beside live extensions: what both tell of an initialization is told once.

A ready-made script tells an initialization whose extensions it makes up. Where extensions have registered over the API,
their environment has an initialization of its own: the script then names those that are there, leaves out what has been
told already, and the initialization that they have begun is the one that it finishes. Where there is none, or only what
a test registers by hand, which brings none of Lambda's own events, a script is told as it was written; so is, always,
a step that a test wrote itself or that a recording holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from threading import Condition
from typing import cast

from ..api.parties import Extensions
from ..model.errors import MisuseError
from ..model.event import Event
from ..model.facts import LeftOut
from ..model.ports import Recorder
from ..protocol.schema import TelemetryType
from ..protocol.states import Phase
from ..settings import Settings
from ..story import init
from ..story.invocation import warm
from ..story.steps import Action, EndInit, Part, Step, described
from .children import Children
from .phases import Phases
from .reception import Reception
from .stage import DEFAULT_INIT_MS, SCRIPT, Stage
from .waits import Waits


class Retelling:
    """Of one environment; called while the turn is held."""

    def __init__(
        self,
        *,
        settings: Settings,
        lock: Condition,
        journal: Recorder,
        extensions: Extensions,
        children: Children,
        phases: Phases,
        reception: Reception,
        stage: Stage,
        waits: Waits,
    ) -> None:
        self._settings = settings
        self._lock = lock
        self._journal = journal
        self._extensions = extensions
        self._children = children
        self._phases = phases
        self._reception = reception
        self._stage = stage
        self._waits = waits
        self._over = False  # the init that is being told has ended before
        self._subscriptions_told: set[Part] = set()

    def begin(self) -> None:
        """Another script."""
        self._over = False
        self._subscriptions_told.clear()

    def check(self, steps: Iterable[Step]) -> None:
        """Raise MisuseError for an init of another type than the one that extensions have begun here."""
        first = next((step for step in steps if step.part in (Part.INIT_START, Part.INIT_OVER)), None)
        if first is None or first.part is not Part.INIT_START or not self._begun_by_itself:
            return
        own, told = self._settings.initialization_type, _record(first.action)["initializationType"]
        if told != own:
            raise MisuseError(
                f"the extensions here have begun an initialization of type {own!r}, and the script tells one of type"
                f" {told!r}; give the setting and the script the same initialization_type"
            )

    def actions(self, step: Step) -> list[Action]:
        """What to carry out in the place of a step. An init that has to be over before it ends here."""
        action = step.action
        said = step.part is Part.INIT_START and self._begin_init()
        if step.part is Part.INIT_OVER and self._begun_by_itself:
            self._stage.end_init(DEFAULT_INIT_MS)
        if not self._live:
            return [action]
        match step.part:
            case None | Part.INIT_OVER:
                return [action]
            case Part.FIRST_REPORT:
                assert isinstance(action, Event)
                return [action if self._stage.invoked == 1 else warm(action)]
            case Part.SUBSCRIPTION if self._settings.platform_events:
                said = True
            case Part.SUBSCRIPTION | Part.SUBSCRIPTION_AGAIN if not self._over:
                return self._subscriptions(step.part)
            case Part.INIT_DONE if not self._over:
                self._stage.carry_out([EndInit()], by=SCRIPT)  # who is ready is known by then
                return [self._with_error(action), *self._stage.standing()]
            case Part.EXTENSION if not self._over:
                return []  # told by now
        return self._left_out(action) if said or self._over else [self._with_error(action)]

    @property
    def _live(self) -> bool:
        return not self._phases.ending and bool(self._extensions.by_themselves)

    @property
    def _begun_by_itself(self) -> bool:
        """Lambda's own events tell of an init that goes on, or are about to."""
        begun = self._live or bool(self._children.unregistered)
        return begun and self._settings.platform_events and self._phases.phase is Phase.INIT

    def _begin_init(self) -> bool:
        """A script's init begins, behind what the children that were started do first; whether it was told of."""
        self._subscriptions_told.clear()
        if any(not one.closed for one in self._children):
            self._waits.all_waiting(self._settings.extension_timeout_s)
        with self._lock:
            told, self._reception.init_told = self._reception.init_told, True
        self._over = told and self._phases.phase is not Phase.INIT
        return told

    def _subscriptions(self, part: Part) -> list[Action]:
        """A platform.telemetrySubscription for each that there is, in the place of the script's first."""
        if part in self._subscriptions_told:
            return []
        self._subscriptions_told.add(part)
        state = init.AGAIN if part is Part.SUBSCRIPTION_AGAIN else "Subscribed"
        with self._lock:
            return [
                init.subscribed(one.name, cast(Sequence[TelemetryType], subscription.types), state)
                for one in self._extensions.by_themselves
                for subscription in one.subscriptions.values()
            ]

    def _with_error(self, action: Action) -> Action:
        """How a good init ends where an extension has reported an error (AWS's emulator)."""
        error_type = self._extensions.first_error
        if error_type is None or not isinstance(action, Event) or _record(action).get("status") != "success":
            return action
        return replace(action, record={**_record(action), "status": "error", "errorType": error_type})

    def _left_out(self, action: Action) -> list[Action]:
        with self._lock:
            self._journal.add(LeftOut(*described(action)))
        return []


def _record(action: Action) -> Mapping[str, object]:
    """The record of a ready-made script's platform event."""
    assert isinstance(action, Event)
    return cast(Mapping[str, object], action.record)

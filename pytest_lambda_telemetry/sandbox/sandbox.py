"""One fake execution environment: its parts, from start to close."""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..api.desk import Desk
from ..api.extensions_api import ExtensionsApi
from ..api.parties import Extensions
from ..engine.clock import Clock, from_us
from ..engine.journal import Journal, Recorded
from ..engine.moments import Moments
from ..engine.recordings import Recordings
from ..engine.run import Engine
from ..engine.turns import Turns
from ..host.environ import ENVIRON, Frame, child_variables
from ..integrations import passthrough
from ..model.errors import MisuseError
from ..model.event import Event
from ..model.facts import Hinted
from ..protocol.states import Phase, Trigger
from ..settings import Settings
from ..story.scenario import FailBackend
from ..views.entries import Entry, entries
from ..views.occurrences import distinct_lines
from ..views.text import timeline
from ..wire.server import Server
from .arrivals import Arrivals
from .audit import Audit
from .backends import Backends
from .children import Children
from .course import Course
from .excuses import Excuses
from .invocations import Invocations
from .loops import in_event_loop
from .outlook import outlook
from .phases import Phases
from .places import Place, caller
from .plan import Plan
from .player import Player
from .process_wide import IDENTIFIERS
from .stage import Stage
from .stand_in import StandIn
from .suspicions import Suspicions
from .violations import Violations
from .waits import Waits


@dataclass(slots=True, kw_only=True, eq=False)
class Sandbox:
    """The connected parts of one environment that is open; `assembly` makes them.

    `lock` guards everything that is recorded. It is held around each call of the API, and never while a delivery is on
    its way. `seed` is what identifiers and request ids are made of, `shared`: it is at the address of this process's
    fixtures; `limit` is the journal's. `undo` takes apart what the assembly has put up.
    """

    settings: Settings
    seed: str
    shared: bool
    limit: int
    lock: threading.Condition
    server: Server
    variables: dict[str, str]
    address: str
    clock: Clock
    turns: Turns
    moments: Moments
    journal: Journal
    recordings: Recordings
    arrivals: Arrivals
    engine: Engine
    extensions: Extensions
    extensions_api: ExtensionsApi
    desk: Desk
    plan: Plan
    phases: Phases
    backends: Backends
    children: Children
    violations: Violations
    excuses: Excuses
    suspicions: Suspicions
    audit: Audit
    waits: Waits
    stage: Stage
    invocations: Invocations
    player: Player
    stand_in: StandIn
    course: Course
    undo: contextlib.ExitStack
    fresh: "Sandbox | None" = None
    """The latest environment that was made in the place of this one."""
    _frames: list[Frame] = field(default_factory=list)
    _told_up_to: int = field(default=0)
    _lines: int = 1

    def log_lines(self, n: int, text: str) -> tuple[str, ...]:
        """n lines that were never given before."""
        with self.lock:
            first, self._lines = self._lines, self._lines + n
        return distinct_lines(n, text, first)

    # -- start and end -------------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Put Lambda's variables into `os.environ`; the environment that did so last owns it."""
        if self._frames:
            raise MisuseError("this environment is entered already")
        self._frames.append(ENVIRON.enter(self.variables, self.address))

    def share(self, variables: Mapping[str, str]) -> None:
        """Have these variables too: in children that are started from now on, and in `os.environ` if it is entered."""
        self.variables.update(variables)
        if self._frames:
            self._frames.append(ENVIRON.enter(variables, self.address))

    def leave(self) -> None:
        """Give `os.environ` back as it was."""
        while self._frames:
            ENVIRON.leave(self._frames.pop())

    @property
    def runtime_api(self) -> str:
        """Host and port of the server."""
        return self.server.address

    @property
    def identifiers(self) -> list[str]:
        """Those of its extensions."""
        return [extension.extension_id for extension in self.extensions]

    def require_open(self) -> None:
        """Raise MisuseError where it is closed, or suspended."""
        if self.closed:
            raise MisuseError("this environment is closed: its test is over; what it recorded can still be read")
        if self.suspended:
            raise MisuseError(
                "this environment is suspended while the one of its fresh() is open: use that one, the name after `as`"
                " in `with lambda_telemetry.fresh() as …:`, or leave that block first; what was recorded can be read"
            )

    @property
    def suspended(self) -> bool:
        """Another environment is in its place."""
        return self.fresh is not None and not self.fresh.closed

    @property
    def closed(self) -> bool:
        """It has ended; what was recorded can still be read."""
        return self.phases.life == "closed"

    def wind_down(self) -> None:
        """The end of a test: whoever waits on next gets SHUTDOWN, children end."""
        if self.fresh is not None and self.suspended:  # its block is a fixture's, which ends later
            self.fresh.wind_down()
            with self.lock:
                self.clock.suspend(False)
        if not self.closed:
            with self.turns.take_over():
                self.audit.look(at_the_end=True)
                self.stage.shutdown("spindown", all_polls=True, deliver=False)
            with self.lock:
                self.extensions_api.end_polls()

    def end(self) -> None:
        """`wind_down`, then `close`."""
        try:
            self.wind_down()
        finally:
            self.close()

    def restart(self) -> None:
        """Begin a new execution environment, at the same address and in the same time; the turn is held."""
        if self.phases.phase is Phase.INVOKE:
            self.phases.move(Trigger.INVOCATION_START)  # raises, saying why not
        self.course.is_over = False
        self.stage.shutdown("spindown")
        with self.lock:
            self.extensions_api.end_polls()
            self.arrivals.begin_anew(self.engine.subscribers)
            IDENTIFIERS.retire(self.extensions.clear())
            self.extensions_api.begin_anew()
        self.stage.begin_anew()
        self.invocations.begin_anew()
        self.children.start_again()

    def close(self) -> None:
        """End everything: polls, children, threads, sockets, variables, names. Doing it again does nothing."""
        if self.closed:
            return
        if self.fresh is not None:
            self.fresh.close()
        self.children.kill()
        with self.lock:
            self.phases.life = "closed"
            self.phases.move(Trigger.CLOSE)
            for extension in self.extensions:
                extension.hang_up()
        self.leave()
        IDENTIFIERS.retire(self.identifiers)
        self.undo.close()

    # -- time ----------------------------------------------------------------------------------------------------------

    def now_and_elapsed(self) -> tuple[datetime, timedelta]:
        """Both times of one moment."""
        with self.lock:
            wall_us, elapsed_us = self.moments.look()
        return from_us(wall_us), timedelta(microseconds=elapsed_us)

    def before_move(self) -> None:
        """The test's own `tick` or `move_to` is about to move time."""
        if self.suspended:
            return
        if not self.turns.mine:
            culprit = "an awaited call" if self.turns.lent else "the thread that started it"
            raise MisuseError(
                "tick(), move_to() and shift() move the time of this environment, which belongs to"
                f" {culprit} now; use them there or afterwards, or clock='virtual', which follows neither freezegun nor"
                " time-machine"
            )
        with self.lock:
            self.clock.look()  # a freeze that began since the last look begins here, not where it is moved to

    def after_move(self) -> None:
        """It has moved: deliver what became due, unless that would block a running event loop."""
        with self.lock:
            self.clock.look()
        if not (self.suspended or in_event_loop() or self.turns.held_here):
            with self.turns.hold("tick()"):
                self.engine.catch_up()

    # -- what was recorded ---------------------------------------------------------------------------------------------

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of a child process."""
        return child_variables(self.variables, {})

    def facts(self) -> tuple[Recorded, ...]:
        """What the journal holds."""
        with self.lock:
            return self.journal.facts

    def entries(self) -> tuple[Entry, ...]:
        """The same as lines."""
        return entries(self.facts())

    def timeline(self) -> str:
        """The same as text, with how far time has moved since, and what is still to come."""
        with self.lock:
            now_us = self.moments.look()[1]
            pending = outlook(
                self.engine.subscribers,
                self.recordings,
                self.children,
                self.plan,
                now_us=now_us,
                frozen=self.clock.frozen,
                ended=self.closed,
            )
            return timeline(
                self.entries(), self.journal.forgotten, timedelta(microseconds=now_us), pending=pending.lines
            )

    @property
    def has_news(self) -> bool:
        """Something was recorded since `end_test`."""
        return self.journal.count > self._told_up_to

    @property
    def untouched(self) -> str | None:
        """Why the test so far has seen nothing of its scenario; None where it has, or where there is nothing to see."""
        scenario = self.course.scenario
        if scenario is None or scenario.changes_nothing or scenario.settings:
            return None
        if self.course.has_changed or self.plan.is_met:
            return None
        if all(isinstance(one, FailBackend) for one in scenario.plan) and not scenario.story:
            if not self.backends.there:
                return "needs a fake backend, and this test has none: let the extension send to backend().url"
            return "has nothing to do with this test: no request to a backend has met it"
        return "has nothing to do with this test: nothing that it changes came to pass"

    def end_test(self) -> None:
        """What is recorded from now on belongs to the next test."""
        with self.lock:
            self._told_up_to = self.journal.count

    def look(self) -> None:
        """Find what the extension did wrong so far: a test ends, and others may go on in the same environment."""
        if not self.closed:
            self.children.note_dead()
            self.children.note_unregistered()
            self.audit.look(at_the_end=False, test_over=True)

    def take_violations(self) -> str | None:
        """What the extension did wrong and nobody was told yet, as one text, if that matters here."""
        with self.lock:
            text = self.violations.take()
        return text if self.settings.strict else None

    def note_emitted(self, events: Sequence[Event]) -> None:
        """The test is about to emit these: does anybody get them?"""
        if self.phases.init_over:
            self.suspicions.emitted(events, self.engine.subscribers)

    def tell_suspicions(self, place: Place | None = None, *, failed: bool = False) -> None:
        """Warn of what is suspicious, at the end of a test, whose line is `place`, or where a block is left.

        No error comes of a warning where the test has `failed`.
        """
        self.suspicions.tell_at_the_end(place or caller(), over=self.closed, failed=failed)

    def cover_mocks(self) -> None:
        """Let calls to us pass through mocking libraries, also those that were imported since."""
        notices = passthrough.refresh()
        if notices:
            with self.lock:
                for notice in notices:
                    self.journal.add(Hinted("test", notice))

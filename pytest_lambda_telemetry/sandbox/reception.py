"""What a call of an extension leaves behind, once it is answered and recorded: Lambda's own events, violations."""

from collections.abc import Callable, Sequence
from threading import Thread
from typing import cast

from ..engine.clock import Clock, from_us
from ..engine.run import Engine
from ..model.event import Event
from ..model.facts import Called, LoopFound, Outcome, Refused, Registered, StoodIn, Subscribed
from ..model.ports import Recorder
from ..model.records import Subscription
from ..protocol import profiles, schema
from ..protocol.contract import LOGS
from ..protocol.profiles import Profile
from ..protocol.projection import View
from ..protocol.schema import TelemetryType
from ..settings import Settings
from ..story import init
from ..story.init import Init
from .audit import describe_wrong_call
from .children import Children
from .excuses import Excuses
from .violations import Violations


class Reception:
    """Of one environment; the caller holds its lock around every call."""

    def __init__(
        self,
        *,
        settings: Settings,
        seed: str,
        profile: Profile,
        clock: Clock,
        engine: Engine,
        children: Children,
        violations: Violations,
        excuses: Excuses,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._started = from_us(clock.wall_us)
        self._profile = profile
        self._clock = clock
        self._engine = engine
        self._children = children
        self._violations = violations
        self._excuses = excuses
        self.init_started_us: int | None = None
        self.init_told = False  # by a script, or as Lambda's own
        self.at_init_begun: Callable[[Event], None] = self._own  # what tells of it
        self._environments = 1

    def called(self, fact: Called, thread: Thread | None) -> None:
        """An extension's request was answered; `thread` made it, where that is one of this process."""
        self._left(fact.outcome, stand_in=False, thread=thread)
        if fact.request.status == 200:
            self._excuses.accepted(fact.who, thread)
        elif isinstance(fact.outcome, Refused) and self._violations.refused(fact.outcome):
            self._excused(fact.outcome, thread)
        if fact.outcome is None and not self._violations.ending:
            text = describe_wrong_call(fact)
            if text is not None:
                self._violations.add(text)

    def stood_in(self, fact: StoodIn) -> None:
        """The test acted as an extension; that brings none of Lambda's own events."""
        self._left(fact.outcome, stand_in=True)

    def _excused(self, refused: Refused, thread: Thread | None) -> None:
        """The test wants this call to be refused, whoever made it."""
        names = [] if refused.who is None else [refused.who]
        if thread is None and not any(map(self._children.of, names)):
            names += [process.name for process in self._children]  # one of them, without its name
        self._excuses.refused(names, thread)

    def malformed(self, status: int, reason: str) -> None:
        """A request that is none was answered with an error."""
        if not self._violations.ending:
            self._violations.add(
                f"a request was answered {status}: {reason}.\n"
                "  Lambda speaks plain HTTP/1.1 at AWS_LAMBDA_RUNTIME_API, and does nothing for what is not that. Let"
                " the extension use an HTTP client, with http://; strict=False turns this check off."
            )

    def broke(self, reason: str) -> None:
        """The server failed while it answered a request."""
        self._violations.add(f"pytest-lambda-telemetry itself failed while it answered a request: {reason}")

    def _left(self, outcome: Outcome, *, stand_in: bool, thread: Thread | None = None) -> None:
        match outcome:
            case Registered() if not stand_in:
                self._children.registered(outcome.extension.name, wrapped=outcome.internal and thread is None)
                self._registered()
            case Subscribed(subscription, again=False):
                view = view_of(subscription, self._settings, managed=self._profile.managed_instances)
                self._engine.subscribe(subscription, view)
                if not stand_in:
                    self._announce(subscription, "Subscribed")
            case Subscribed(subscription, again=True):
                state = profiles.STATE_AGAIN.under(self._profile)
                if state is not None and not stand_in:
                    self._announce(subscription, state)

    def _registered(self) -> None:
        if self.init_started_us is None:
            self.init_started_us = self._clock.elapsed_us
            if not self.init_told:
                if self._settings.platform_events:
                    self.at_init_begun(self.init.started())
                self.init_told = self._settings.platform_events

    def begin_anew(self) -> None:
        """Another execution environment: its init has not begun."""
        self.init_started_us = None
        self.init_told = False
        self._excuses.begin_anew()
        self._environments += 1

    @property
    def init(self) -> Init:
        """The initialization of this environment, as the story tells it."""
        settings, of = self._settings, f"{self._seed} {self._environments}"
        return Init(
            initialization_type=settings.initialization_type,
            function_name=settings.function_name,
            function_version=settings.function_version,
            memory_mb=settings.memory_mb,
            runtime=settings.runtime,
            region=settings.region,
            instance_id=schema.instance_id(settings.function_version, f"{self._started:%Y/%m/%d}", of),
            trace=schema.trace_header(f"init {of}") if settings.tracing else None,
        )

    def _announce(self, subscription: Subscription, state: str) -> None:
        types = cast(Sequence[TelemetryType], list(subscription.types))  # checked when it was accepted
        self._own(init.subscribed(subscription.extension_name, types, state))

    def _own(self, *generated: Event) -> None:
        """Lambda generates events of its own: they buffer, and are delivered by the next call that moves time."""
        if self._settings.platform_events:
            self._engine.emit(generated, deliver=False)


def view_of(subscription: Subscription, settings: Settings, *, managed: bool) -> View:
    """How a subscription sees events."""
    return View(
        schema_version=subscription.schema_version,
        log_format=settings.log_format,
        managed_instances=managed,
        logs_api=subscription.schema_version in LOGS.schema_versions,
    )


class LoopReport:
    """What the loop watch tells of what it found. The lock is held."""

    def __init__(self, journal: Recorder, violations: Violations) -> None:
        self._journal = journal
        self._violations = violations

    def __call__(self, subscription: Subscription) -> None:
        name = subscription.extension_name
        self._journal.add(LoopFound(name))
        self._violations.add(
            f"feedback loop: extension {name!r} is subscribed to 'extension' and writes output for every batch it"
            " receives, which comes back to it as the next batch; three batches in a row held nothing else.\n"
            "  On Lambda this runs for ever and is billed. Write nothing while handling telemetry, or subscribe without"
            " 'extension'."
        )

"""The one interpreter: it carries out what the story says, step by step, for invocations, scripts and shutdowns.

Each call is made while the turn is held. Real time is waited for where an extension has to answer; virtual time moves
only by what a step says.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from threading import Condition
from typing import cast

from ..api.parties import Extensions, LiveExtension
from ..engine.clock import Clock
from ..engine.run import Engine
from ..host.process import ExtensionProcess, last_output
from ..integrations import foreign_clock
from ..model.checks import is_one_of, quoted, require
from ..model.event import Event
from ..model.facts import Froze, InitEnded, NeverAsked, NobodyToTell, Restarted, Thawed, Told
from ..model.ports import Recorder
from ..model.records import Subscription
from ..protocol.contract import SHUTDOWN_LIMITS_MS
from ..protocol.profiles import Profile
from ..protocol.schema import SHUTDOWN_REASONS, TRACE_TYPE, LifecycleEvent, function_arn
from ..protocol.states import Call, Phase, Trigger
from ..real import Real
from ..settings import Settings
from ..story.init import extension_stands
from ..story.scenario import MomentName
from ..story.steps import Action, EndInit, Flush, Freeze, Invoke, Shutdown, Thaw
from ..wire.sender import Sender
from .children import Children
from .init_wait import InitWait
from .late import outlived, still_buffered
from .phases import Phases
from .reception import Reception
from .violations import Violations
from .waits import Waits

_GRACE_S = 0.1  # what an extension gets beyond the moment that it was told
_LONGEST_S = 15.0  # no call waits longer for an extension that was told of a later moment
DEFAULT_INIT_MS = 100.0  # of an init in which no time has passed
LAMBDA, SCRIPT = "Lambda", "script"
"""Who says that a step is to be carried out."""


class Stage:
    """Of one environment."""

    def __init__(
        self,
        *,
        settings: Settings,
        profile: Profile,
        lock: Condition,
        clock: Clock,
        journal: Recorder,
        engine: Engine,
        extensions: Extensions,
        children: Children,
        phases: Phases,
        reception: Reception,
        violations: Violations,
        waits: Waits,
        sender: Sender,
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._lock = lock
        self._clock = clock
        self._journal = journal
        self._engine = engine
        self._extensions = extensions
        self._children = children
        self._phases = phases
        self._reception = reception
        self._violations = violations
        self._waits = waits
        self._sender = sender
        self._init_wait = InitWait(waits, engine, children.wrapped, settings.extension_timeout_s)
        self.invoked = 0  # invocations of this execution environment
        self._init_ms: float | None = None
        self.invoked_us = self.deadline_us = 0  # of the invocation, in elapsed time
        self.is_shutting_down = False
        self.tell: Callable[[MomentName, Sequence[Action]], object] = lambda _, actions: self.carry_out(actions)
        self._told_until: dict[str, float] = {}  # by name: the real moment until which an extension may take its time
        self._shutting_down: set[LiveExtension] = set()  # who was told of it

    # -- steps ---------------------------------------------------------------------------------------------------------

    def carry_out(self, actions: Iterable[Action], by: str = LAMBDA) -> None:
        """Do these, one after the other, now."""
        for action in actions:
            self._do(action, by)

    def _do(self, action: Action, by: str) -> None:
        match action:
            case Event():
                self._engine.emit([action], deliver=True, source=by)
            case Invoke():
                self._close_init_of_script()
                self.thaw()
                self.invoked += 1
                if by == SCRIPT:
                    self.take_charged_init_ms()  # the script has its own
                    self._note_nobody("INVOKE", action.request_id)
                self._invoke_extensions(action)
            case EndInit():
                self._close_init_of_script()
            case Flush():
                self._engine.flush(self._engine.subscribers)
            case Freeze():
                if by == SCRIPT:
                    self.serve_until_asked("the moment at which the script freezes the environment")
                self.freeze()
            case Thaw():
                self.thaw()
            case Shutdown():
                if by == SCRIPT:
                    self._note_nobody("SHUTDOWN", action.reason)
                self.shutdown(action.reason, goes_on=by == SCRIPT)

    def _note_nobody(self, event: str, detail: str) -> None:
        if not any(event in one.events and not (one.stand_in or one.failed) for one in self._extensions):
            with self._lock:
                self._journal.add(NobodyToTell(event, detail))

    # -- init ----------------------------------------------------------------------------------------------------------

    def end_init(self, init_duration_ms: float) -> None:
        """Wait for the extensions to be ready, and close the init phase."""
        if self._phases.phase is not Phase.INIT:
            self._phases.move(Trigger.END_INIT)  # raises, saying why not
        self.wait_for_extensions("init")
        self.tell("init-ends", ())
        took_us = self._clock.elapsed_us - (self._reception.init_started_us or 0)
        if took_us == 0:
            took_us = round(init_duration_ms * 1000)
            self._engine.advance(took_us)
        self._init_ms = took_us / 1000
        if self._settings.platform_events:
            init, error_type = self._reception.init, self._extensions.first_error
            if error_type is not None:
                init = replace(init, status="error", error_type=error_type)
            self.tell("init-ended", init.ended(self.standing(), self._init_ms))
        self._close_init()

    def take_charged_init_ms(self) -> float | None:
        """The `initDurationMs` of the next report: the invocation that caused the init has it, and no other."""
        init_ms, self._init_ms = self._init_ms, None
        return self._reception.init.charged_ms(init_ms)

    def _close_init_of_script(self) -> None:
        if self._phases.phase is Phase.INIT:
            self.wait_for_extensions("the end of init in the script")
            self._close_init()

    def _close_init(self) -> None:
        """From now on registrations and subscriptions are refused."""
        self._phases.move(Trigger.END_INIT)
        with self._lock:
            self._engine.init_telemetry.close()
            self._journal.add(InitEnded())

    def standing(self) -> list[Event]:
        """A platform.extension for each that has registered by itself."""
        return [
            extension_stands(
                one.name,
                str(one.state),
                cast(Sequence[LifecycleEvent], one.events),  # checked when it registered
                one.errors[-1] if one.errors else None,
            )
            for one in self._extensions.by_themselves
        ]

    # -- INVOKE --------------------------------------------------------------------------------------------------------

    @property
    def function_arn(self) -> str:
        """The ARN that INVOKE and platform.start name."""
        settings = self._settings
        return function_arn(settings.function_name, region=settings.region, account_id=settings.account_id)

    def _invoke_extensions(self, invoke: Invoke) -> None:
        """INVOKE to every extension that registered for it and waits on next."""
        self.invoked_us = self._clock.elapsed_us
        self.deadline_us = self.invoked_us + round(invoke.deadline_ms * 1000)
        for extension in list(self._extensions):
            if extension.stand_in or "INVOKE" not in extension.events:
                continue
            payload = {
                "eventType": "INVOKE",
                "deadlineMs": self._deadline_ms(extension, invoke.deadline_ms),
                "requestId": invoke.request_id,
                "invokedFunctionArn": self.function_arn,
                "tracing": {"type": TRACE_TYPE, "value": invoke.tracing},
            }
            with self._lock:
                skipped = "" if extension.waiting else str(extension.state)
                self._journal.add(Told(extension.name, "INVOKE", invoke.request_id, skipped=skipped))
                if not skipped:
                    self._told_until[extension.name] = Real.monotonic() + invoke.deadline_ms / 1000 + _GRACE_S
                    self._tell(extension, Call.INVOKE, payload)

    def _tell(self, extension: LiveExtension, call: Call, payload: dict[str, object]) -> None:
        extension.tell(call, json.dumps(payload).encode())
        self._engine.watch.excuse(extension.name)

    # -- waiting for extensions ----------------------------------------------------------------------------------------

    def serve_until_asked(self, when: str, limit_us: int | None = None) -> list[str]:
        """Let every extension ask for its next event, also one that waits for telemetry before it does.

        Those about to ask get a short real moment; then time goes from due moment to due moment, at most to `limit_us`
        of elapsed time, by default the function's deadline; at last they are waited for in real time. Those that have
        not asked then are named, and have broken the rules.
        """
        if self._phases.ending:
            return []
        until_us = self.deadline_us if limit_us is None else limit_us
        while self._waits.let_ask():
            if not self._engine.step(until_us):
                return self.wait_for_extensions(when)
        return []

    def wait_for_extensions(self, when: str) -> list[str]:
        """Wait until all ask for their next event; those that do not in time are named, and have broken the rules."""
        if self._phases.ending:
            return []
        if self._phases.phase is Phase.INIT:
            late = self._init_wait.wait()
        else:
            late = self._waits.all_waiting(self._settings.extension_timeout_s, self._told_within_reason())
        self._engine.turns.check()
        for name in late:
            self._blame(name, when)
        return late

    def _told_within_reason(self) -> Callable[[Sequence[str]], float]:
        """For one wait: the real moment until which one of these extensions may take the time it was told of."""
        longest = Real.monotonic() + _LONGEST_S  # from the wait's beginning, or it would move along and bound nothing
        return lambda late: min(longest, max((self._told_until.get(name, 0.0) for name in late), default=0.0))

    def _blame(self, name: str, when: str) -> None:
        seconds = self._settings.extension_timeout_s
        extension = self._extensions.by_name(name)
        self._told_until.pop(name, None)  # it has been waited for
        with self._lock:
            self._journal.add(NeverAsked(name, extension is not None))
            if extension is None:
                self._children.blame_unregistered(name, f"within {seconds:g} s (real) of {when}")
            elif not extension.overdue:
                extension.overdue = True
                self._violations.add(
                    f"extension-timeout: extension {name!r} did not ask for its next event within {seconds:g} s (real)"
                    f" of {when}.\n  On Lambda the phase then ends as a time-out. Let it GET"
                    " /2020-01-01/extension/event/next; extension_timeout_s allows more time."
                    f"{still_buffered(name, self._engine.subscribers)}{outlived(extension)}"
                    f"{last_output(self._children.of(name))}"
                )

    # -- freeze, thaw, shutdown ----------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop elapsed time, and the processes of extensions. Managed Instances are never frozen."""
        if self._clock.frozen or self._profile.managed_instances:
            return
        self._set_frozen(True)
        self._children.stop()

    def thaw(self) -> None:
        """Let both go on where they were."""
        if not self._clock.frozen:
            return
        self._children.cont()
        self._set_frozen(False)

    def _set_frozen(self, frozen: bool) -> None:
        with self._lock:
            self._clock.pass_by(self._clock.catch_up())  # what has passed so far did so in the state before
            self._clock.frozen = frozen
            self._journal.add(Froze() if frozen else Thawed())

    def shutdown(self, reason: str, *, all_polls: bool = False, deliver: bool = True, goes_on: bool = False) -> None:
        """Thaw, deliver what is buffered, send SHUTDOWN, and wait for child processes to end.

        An extension that still uses the time it was given is waited for first. The end of a test also lets those go
        that did not register for SHUTDOWN (`all_polls`), and delivers nothing. A script that `goes_on` behind it tells
        the same listeners of the next environment.
        """
        managed = self._profile.managed_instances  # they have no time-out of the function that ends them
        valid = tuple(one for one in SHUTDOWN_REASONS if not (managed and one == "timeout"))
        require(is_one_of(reason, valid), "reason", reason, f"one of {quoted(valid)}")
        if self._phases.ending:
            return
        self.is_shutting_down = True
        self.thaw()
        self._children.note_dead()
        limit_ms = self._shutdown_limit_ms()
        if deliver:
            self._flush_for_the_last_time(reason, limit_ms)
            if any(self._told_until.values()):
                self._waits.all_waiting(0.0, self._told_within_reason())
        with self._lock:
            self._violations.ending = not deliver
        self._phases.move(Trigger.SHUTDOWN)
        for extension in list(self._extensions):
            self._send_shutdown(extension, reason, limit_ms, all_polls=all_polls)
        self._children.end(
            limit_ms / 1000 + _GRACE_S if limit_ms else 0.0,
            lambda process: self._may_end_by_itself(process, all_polls=all_polls),
        )
        try:
            self._children.drain(self._engine)
            if deliver:  # what children wrote on their way out still reaches those who are left
                self._engine.flush([one for one in self._engine.subscribers if self._children.of(one.name) is None])
        finally:
            if not goes_on:
                self._end_subscribers()

    def _end_subscribers(self) -> None:
        """Extensions that have ended get nothing any more; a listener that the test has subscribed by hand goes on."""
        with self._lock:
            gone = {one.extension_id for one in self._extensions.by_themselves}
            for subscriber in self._engine.subscribers:
                subscriber.ended = subscriber.subscription.extension_id in gone

    def _flush_for_the_last_time(self, reason: str, limit_ms: int) -> None:
        """Deliver what is buffered. A listener that waits for SHUTDOWN before it answers gets that meanwhile."""

        def tell(subscription: object) -> None:
            if isinstance(subscription, Subscription):
                extension = self._extensions.by_id(subscription.extension_id)
                if extension is not None:
                    self._send_shutdown(extension, reason, limit_ms, all_polls=False)

        self._sender.on_slow = tell
        try:
            self._engine.flush(self._engine.subscribers)
        finally:
            self._sender.on_slow = None

    def _send_shutdown(self, extension: LiveExtension, reason: str, limit_ms: int, *, all_polls: bool) -> None:
        wants = "SHUTDOWN" in extension.events
        if extension.stand_in or extension.failed or not (wants or all_polls) or extension in self._shutting_down:
            return
        self._shutting_down.add(extension)
        self._told_until.pop(extension.name, None)  # it is not to ask any more
        deadline_ms = self._deadline_ms(extension, limit_ms)
        payload: dict[str, object] = {"eventType": "SHUTDOWN", "deadlineMs": deadline_ms, "shutdownReason": reason}
        with self._lock:
            taken = extension.poll is not None and extension.poll.alive()
            self._journal.add(Told(extension.name, "SHUTDOWN", reason, pending=not taken))
            self._tell(extension, Call.SHUTDOWN, payload)

    def begin_anew(self) -> None:
        """What an execution environment has for itself is as at its beginning; it has shut down. Its time goes on."""
        with self._lock:
            self._phases.move(Trigger.RESTART)
            self._violations.ending = self.is_shutting_down = False
            self.invoked = 0
            self._init_ms = None
            self._told_until.clear()
            self._shutting_down.clear()
            self._reception.begin_anew()
            self._engine.begin_anew()
            self._journal.add(Restarted())

    def _may_end_by_itself(self, process: ExtensionProcess, *, all_polls: bool) -> bool:
        """It is told of the shutdown, or on its way out already; it may have registered under another name."""
        extension = self._children.extension_in(process)
        if extension is None:
            return any(not one.stand_in and self._children.of(one.name) is None for one in self._extensions)
        if extension.name != process.name:  # a runtime's wrapper, which Lambda gives no time
            return False
        return all_polls or extension.failed or "SHUTDOWN" in extension.events

    def _shutdown_limit_ms(self) -> int:
        alive = [one for one in self._extensions if not one.failed]
        kind = "none" if not alive else "internal" if all(one.internal for one in alive) else "external"
        return min(SHUTDOWN_LIMITS_MS[kind], round(self._settings.shutdown_timeout_s * 1000))

    def _deadline_ms(self, extension: LiveExtension, remaining_ms: float) -> int:
        """A deadline in the clock that the recipient can see: a child process always sees real time."""
        foreign = foreign_clock.active() if self._children.of(extension.name) is None else None
        now_ms = foreign.now_us() / 1000 if foreign else Real.time() * 1000
        return int(now_ms + remaining_ms)

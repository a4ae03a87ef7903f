"""Invocations as they happen: the story's steps with durations that are measured, not planned."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Condition

from ..api.parties import Extensions
from ..engine.moments import Moments
from ..engine.run import Engine
from ..engine.subscriber import Subscriber
from ..engine.turns import Interrupted
from ..model.errors import LambdaTelemetryError, LambdaTelemetryWarning, MisuseError
from ..model.event import Event
from ..model.facts import AskedEarly
from ..model.ports import Recorder
from ..protocol.profiles import Profile
from ..protocol.schema import Status
from ..protocol.states import Phase, Trigger
from ..settings import Settings
from ..story.invocation import Invoked
from .invocation import Invocation, InvocationOptions
from .phases import Phases
from .process_wide import request_id as nth_request_id
from .stage import DEFAULT_INIT_MS, Stage
from .waits import Waits

_LEAST_MS = 1.0
_TESTS_OWN = (LambdaTelemetryError, LambdaTelemetryWarning, Interrupted)
"""What is raised in an invocation and is no error of the function; the warning, where a filter makes an error of it."""


@dataclass(slots=True)
class _Course:
    """How far an invocation has come: `error_type` is the function's, `ran_ms` is known once runtimeDone is out."""

    of: Invoked
    started_us: int
    limit_us: int
    error_type: str | None
    ran_ms: float | None = None
    reported: bool = False

    def error_as(self, status: Status) -> str | None:
        """The error type that goes with this status."""
        return self.error_type if status in ("error", "failure") else None


class Invocations:
    """Of one environment. Entering and leaving one each hold the turn, the block between does not."""

    def __init__(
        self,
        *,
        settings: Settings,
        profile: Profile,
        seed: str,
        lock: Condition,
        journal: Recorder,
        moments: Moments,
        engine: Engine,
        extensions: Extensions,
        phases: Phases,
        stage: Stage,
        waits: Waits,
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._seed = seed
        self._lock = lock
        self._journal = journal
        self._moments = moments
        self._engine = engine
        self._extensions = extensions
        self._phases = phases
        self._stage = stage
        self._waits = waits
        self._count = 0
        self._running = 0
        self._ended_with = ""
        self._cut_short = ""  # the invocation before, where nobody has waited for the extensions' next since

    def begin_anew(self) -> None:
        """Another execution environment, in which nothing has failed yet."""
        self._ended_with = self._cut_short = ""

    @contextmanager
    def invocation(self, options: InvocationOptions) -> Iterator[Invocation]:
        """See LambdaTelemetry.invocation; the options were checked."""
        engine, hold = self._engine, self._engine.turns.hold
        with hold("invocation()"):
            engine.catch_up()
            invocation = self._begin(options)
        started_us = engine.clock.elapsed_us
        limit_us = started_us + round(self._settings.timeout_s * 1_000_000)
        course = _Course(self._invoked(invocation, options), started_us, limit_us, options.get("error_type"))
        engine.outbox.collect(invocation.attempted)
        try:
            try:
                with hold("invocation()"):
                    self._stage.carry_out(course.of.begun())
                yield invocation
            except Exception as error:
                if not isinstance(error, _TESTS_OWN):
                    invocation.status = "error"
                    course.error_type = f"Function.{type(error).__name__}"
                raise
            finally:
                invocation.over = True
                with hold("invocation()"):
                    self._end_in_any_case(invocation, course, options)
        finally:
            engine.outbox.stop_collecting(invocation.attempted)
            self._running -= 1
            if not self._running and self._phases.phase is Phase.INVOKE:
                self._phases.move(Trigger.INVOCATION_END)
            if invocation.status in ("timeout", "failure") and not self._profile.managed_instances:
                self._ended_with = "a time-out" if invocation.status == "timeout" else "a failure"

    def _begin(self, options: InvocationOptions) -> Invocation:
        if self._phases.phase is Phase.INIT:
            self._stage.end_init(DEFAULT_INIT_MS)
        if self._ended_with and self._phases.phase is Phase.IDLE:
            raise MisuseError(
                f"the invocation before this one ended with {self._ended_with}, and with it, on Lambda, its execution"
                " environment; call shutdown('timeout') or restart(), which begins a new one"
            )
        try:
            deadline = self._moments.now + timedelta(seconds=self._settings.timeout_s)
        except OverflowError:
            raise MisuseError("the deadline of this invocation would be past the year 9999, where dates end") from None
        if self._cut_short and self._phases.phase is Phase.IDLE:
            self._await_end_of_cut_short()
        if not (self._running and self._profile.managed_instances):
            self._phases.move(Trigger.INVOCATION_START)
        self._running += 1
        self._stage.thaw()
        self._count += 1
        request_id = options.get("request_id") or str(nth_request_id(self._seed, self._count))
        return Invocation(self._engine, request_id, deadline, options.get("status", "success"))

    def _invoked(self, invocation: Invocation, options: InvocationOptions) -> Invoked:
        return Invoked(
            request_id=invocation.request_id,
            tenant_id=options.get("tenant_id"),
            trace=options.get("tracing"),
            traced=self._settings.tracing,
            function_version=self._settings.function_version,
            function_arn=self._stage.function_arn,
            timeout_ms=self._settings.timeout_s * 1000,
            memory_mb=self._settings.memory_mb,
            max_memory_used_mb=options.get("max_memory_used_mb"),
            managed=self._profile.managed_instances,
        )

    def _end_in_any_case(self, invocation: Invocation, course: _Course, options: InvocationOptions) -> None:
        """End it, unless it was shut down inside its block; one that is cut short is told to its end all the same."""
        try:
            self._engine.catch_up()
            if self._phases.phase is Phase.INVOKE:
                self._end(invocation, course, options)
        except Interrupted:
            if self._phases.phase is Phase.INVOKE:
                self._tell_rest(invocation, course)
            raise

    def _tell_rest(self, invocation: Invocation, course: _Course) -> None:
        """What is left to be told of an invocation that is cut short: buffered, and nothing is waited for."""
        of, status, error_type = course.of, invocation.status, course.error_as(invocation.status)
        rest: list[Event] = []
        if course.ran_ms is None:
            course.ran_ms = max(0, min(self._engine.clock.elapsed_us, course.limit_us) - course.started_us) / 1000
            rest += of.runtime_done(status, error_type, course.ran_ms)
        if not course.reported:
            init_ms = self._stage.take_charged_init_ms()
            rest.append(of.report(status, error_type, course.ran_ms, init_duration_ms=init_ms))
        self._engine.emit(rest, deliver=False)
        self._stage.freeze()
        self._cut_short = "" if of.managed else invocation.request_id

    def _await_end_of_cut_short(self) -> None:
        """Serve the extensions of the invocation that was cut short until they ask: only then is there another one."""
        self._stage.thaw()
        limit_us = self._engine.clock.elapsed_us + round(self._settings.timeout_s * 1_000_000)
        try:
            self._stage.serve_until_asked(f"invocation {self._cut_short}, which was cut short", limit_us)
        except Interrupted:
            self._stage.freeze()
            raise
        self._cut_short = ""

    def _end(self, invocation: Invocation, course: _Course, options: InvocationOptions) -> None:
        engine, clock, stage = self._engine, self._engine.clock, self._stage
        of, limit_us = course.of, course.limit_us
        ran_ms = self._let_run(invocation, course, options.get("duration_ms"))
        if of.managed:
            course.ran_ms, course.reported = ran_ms, True
            error_type, init_ms = course.error_as(invocation.status), stage.take_charged_init_ms()
            stage.carry_out([of.report(invocation.status, error_type, ran_ms, init_duration_ms=init_ms)])
            self._let_telemetry_out(limit_us)
            return
        overhead_ms, done_us = options.get("overhead_ms"), clock.elapsed_us
        when = f"invocation {invocation.request_id}"
        waiting = self._waits.let_ask()
        with self._lock:
            invocation.ready_before_runtime_done = tuple(
                one.name for one in self._extensions if one.waiting and not one.stand_in and "INVOKE" in one.events
            )
        if overhead_ms == 0 and not waiting:
            stage.freeze()
        course.ran_ms = ran_ms
        stage.carry_out(of.runtime_done(invocation.status, course.error_as(invocation.status), ran_ms))
        marks = engine.marks()
        late = stage.serve_until_asked(when, limit_us) if waiting else []
        if late:
            engine.advance(max(0, limit_us - clock.elapsed_us))
            invocation.status, invocation.outcome = "timeout", "extension-timeout"
        asked_us = min(clock.elapsed_us, limit_us)  # what passes from here on is for delivery alone
        if overhead_ms != 0 and not late:
            until_us = limit_us if overhead_ms is None else min(limit_us, done_us + round(overhead_ms * 1000))
            engine.advance_until(lambda: engine.delivered(marks), until_us)
        if invocation.outcome == "completed":
            self._note_early(invocation, marks, limit_us)
        report = of.report(
            invocation.status,
            course.error_as(invocation.status),
            ran_ms,
            round(max(0, asked_us - done_us) / 1000, 3) if any(not one.stand_in for one in self._extensions) else None,
            init_duration_ms=stage.take_charged_init_ms(),
        )
        course.reported = True
        stage.carry_out([report, *of.closed()])

    def _note_early(self, invocation: Invocation, marks: dict[Subscriber, int], limit_us: int) -> None:
        """Who asked before runtimeDone and is frozen now without telemetry that it would have got by waiting."""
        with self._lock:
            for subscriber, mark in marks.items():
                waiting, left = subscriber.buffer.waiting, mark - subscriber.buffer.settled
                asked = subscriber.name in invocation.ready_before_runtime_done
                if asked and left > 0 and waiting[0].due_us <= limit_us and not waiting[0].attempts:
                    self._journal.add(AskedEarly(subscriber.name, invocation.request_id, left))

    def _let_run(self, invocation: Invocation, course: _Course, duration_ms: float | None) -> float:
        """Let the function run for as long as it was to, at most until its time-out; how long it ran, in ms."""
        engine, clock = self._engine, self._engine.clock
        started_us, limit_us = course.started_us, course.limit_us
        least_us = round((_LEAST_MS if duration_ms is None else duration_ms) * 1000)
        if invocation.status == "timeout":
            least_us = max(least_us, limit_us - started_us)
        engine.advance(max(0, min(started_us + least_us, limit_us) - clock.elapsed_us))
        if started_us + least_us >= limit_us or clock.elapsed_us >= limit_us:
            invocation.status, invocation.outcome = "timeout", "function-timeout"
        return (min(clock.elapsed_us, limit_us) - started_us) / 1000

    def _let_telemetry_out(self, until_us: int) -> None:
        """Let time go on until all that was emitted so far is delivered, or until this moment of elapsed time."""
        marks = self._engine.marks()
        self._engine.advance_until(lambda: self._engine.delivered(marks), until_us)

"""Invocations as they happen: the story's steps with durations that are measured, not planned."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Condition
from typing import cast

from ..api.parties import Extensions
from ..engine.moments import Moments
from ..engine.run import Engine
from ..engine.subscriber import Subscriber
from ..engine.turns import Interrupted
from ..model.errors import LambdaTelemetryError, LambdaTelemetryWarning, MisuseError
from ..model.event import Event, Log
from ..model.facts import AskedEarly
from ..model.ports import Recorder
from ..protocol.profiles import Profile
from ..protocol.schema import Status
from ..protocol.states import Phase, Trigger
from ..settings import Settings
from ..story.invocation import Invoked
from ..story.steps import ScenarioAction, Thaw
from .course import Course
from .invocation import Invocation, InvocationOptions
from .phases import Phases
from .process_wide import request_id as nth_request_id
from .stage import DEFAULT_INIT_MS, Stage
from .waits import Waits

_LEAST_MS = 1.0
_TESTS_OWN = (LambdaTelemetryError, LambdaTelemetryWarning, Interrupted)
"""What is raised in an invocation and is no error of the function; the warning, where a filter makes an error of it."""


@dataclass(slots=True)
class _Run:
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
        course: Course,
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
        self._course = course
        self._count = 0
        self._running = 0
        self._ended_with = ""
        self._cut_short = ""  # the invocation before, where nobody has waited for the extensions' next since

    def begin_anew(self) -> None:
        """Another execution environment, in which nothing has failed yet."""
        self._ended_with = self._cut_short = ""

    @contextmanager
    def invocation(self, options: InvocationOptions, logs: Sequence[Log] = ()) -> Iterator[Invocation]:
        """See LambdaTelemetry.invocation; the options were checked. `logs` is what the function logs at once."""
        engine, hold = self._engine, self._engine.turns.hold
        with hold("invocation()"):
            engine.catch_up()
            invocation = self._begin(options)
        started_us = engine.clock.elapsed_us
        limit_us = started_us + round(self._settings.timeout_s * 1_000_000)
        run = _Run(self._invoked(invocation, options), started_us, limit_us, options.get("error_type"))
        engine.outbox.collect(invocation.attempted)
        try:
            try:
                with hold("invocation()"):
                    self._course.tell("invocation-begun", run.of.begun(), request_id=invocation.request_id)
                    if not logs:
                        self._course.release()
                if logs:
                    invocation.log(*logs)
                yield invocation
            except Exception as error:
                if not isinstance(error, _TESTS_OWN):
                    invocation.status = "error"
                    run.error_type = f"Function.{type(error).__name__}"
                raise
            finally:
                invocation.over = True
                with hold("invocation()"):
                    self._end_in_any_case(invocation, run, options)
        finally:
            engine.outbox.stop_collecting(invocation.attempted)
            self._running -= 1
            if not self._running and self._phases.phase is Phase.INVOKE:
                self._phases.move(Trigger.INVOCATION_END)
            failed = invocation.status in ("timeout", "failure") and not self._profile.managed_instances
            if failed and not self._course.is_over:
                self._ended_with = "a time-out" if invocation.status == "timeout" else "a failure"

    def _begin(self, options: InvocationOptions) -> Invocation:
        self._course.begin_next()
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
        if self._engine.clock.frozen:
            self._course.tell("thaw", [Thaw()])
        self._count += 1
        request_id = options.get("request_id") or str(nth_request_id(self._seed, self._count))
        return Invocation(self._engine, self._course, request_id, deadline, options.get("status", "success"))

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

    def _end_in_any_case(self, invocation: Invocation, run: _Run, options: InvocationOptions) -> None:
        """End it, unless it was shut down inside its block; one that is cut short is told to its end all the same."""
        try:
            self._engine.catch_up()
            if self._phases.phase is Phase.INVOKE:
                self._end(invocation, run, options)
        except Interrupted:
            if self._phases.phase is Phase.INVOKE:
                self._tell_rest(invocation, run)
            raise

    def _tell_rest(self, invocation: Invocation, run: _Run) -> None:
        """What is left to be told of an invocation that is cut short: buffered, and nothing is waited for."""
        of, status, error_type = run.of, invocation.status, run.error_as(invocation.status)
        rest: list[Event] = []
        if run.ran_ms is None:
            run.ran_ms = max(0, min(self._engine.clock.elapsed_us, run.limit_us) - run.started_us) / 1000
            rest += of.runtime_done(status, error_type, run.ran_ms)
        if not run.reported:
            init_ms = self._stage.take_charged_init_ms()
            rest.append(of.report(status, error_type, run.ran_ms, init_duration_ms=init_ms))
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

    def _end(self, invocation: Invocation, run: _Run, options: InvocationOptions) -> None:
        engine, clock, stage = self._engine, self._engine.clock, self._stage
        of, limit_us = run.of, run.limit_us
        ran_ms = self._let_run(invocation, run, options.get("duration_ms"))
        if of.managed:
            run.ran_ms, run.reported = ran_ms, True
            error_type, init_ms = run.error_as(invocation.status), stage.take_charged_init_ms()
            report = of.report(invocation.status, error_type, ran_ms, init_duration_ms=init_ms)
            self._course.tell("report", [report])
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
        run.ran_ms = ran_ms
        status_before = invocation.status
        done = of.runtime_done(status_before, run.error_as(status_before), ran_ms)
        self._follow(invocation, self._course.tell("runtime-done", done))
        froze_early = clock.frozen and overhead_ms != 0
        marks = engine.marks()
        cut_short = invocation.status == "timeout" != status_before  # Lambda waits for nobody then
        late = stage.serve_until_asked(when, limit_us) if waiting and not cut_short else []
        if late:
            engine.advance(max(0, limit_us - clock.elapsed_us))
            invocation.status, invocation.outcome = "timeout", "extension-timeout"
        asked_us = min(clock.elapsed_us, limit_us)  # what passes from here on is for delivery alone
        if overhead_ms != 0 and not late:
            until_us = limit_us if overhead_ms is None else min(limit_us, done_us + round(overhead_ms * 1000))
            engine.advance_until(lambda: engine.delivered(marks), until_us)
        if invocation.outcome == "completed" and not froze_early:
            self._note_early(invocation, marks, limit_us)
        status = invocation.status if late else status_before
        report = of.report(
            status,
            run.error_as(status),
            ran_ms,
            round(max(0, asked_us - done_us) / 1000, 3) if any(not one.stand_in for one in self._extensions) else None,
            init_duration_ms=stage.take_charged_init_ms(),
        )
        run.reported = True
        self._follow(invocation, self._course.tell("report", [report]))
        if not self._phases.ending:  # as a scenario may have it
            self._course.tell("freeze", of.closed())

    def _follow(self, invocation: Invocation, told: Sequence[ScenarioAction]) -> None:
        """Where a scenario lets it end in another way than the test has said, the test sees that."""
        for action in told if self._course.scenario is not None else ():
            record = action.record if isinstance(action, Event) else None
            if isinstance(record, Mapping) and record.get("requestId") == invocation.request_id and "status" in record:
                invocation.status = cast(Status, record["status"])
                if invocation.status == "timeout" and invocation.outcome == "completed":
                    invocation.outcome = "function-timeout"

    def _note_early(self, invocation: Invocation, marks: dict[Subscriber, int], limit_us: int) -> None:
        """Who asked before runtimeDone and is frozen now without telemetry that it would have got by waiting."""
        with self._lock:
            for subscriber, mark in marks.items():
                waiting, left = subscriber.buffer.waiting, mark - subscriber.buffer.settled
                asked = subscriber.name in invocation.ready_before_runtime_done
                if asked and left > 0 and waiting[0].due_us <= limit_us and not waiting[0].attempts:
                    self._journal.add(AskedEarly(subscriber.name, invocation.request_id, left))

    def _let_run(self, invocation: Invocation, run: _Run, duration_ms: float | None) -> float:
        """Let the function run for as long as it was to, at most until its time-out; how long it ran, in ms."""
        engine, clock = self._engine, self._engine.clock
        started_us, limit_us = run.started_us, run.limit_us
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

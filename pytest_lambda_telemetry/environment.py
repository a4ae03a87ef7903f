"""LambdaTelemetry: what a test holds."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from typing import Self, Unpack, overload

from .api.routes import RouteName
from .engine.recordings import Progress
from .extension_side import ExtensionSide
from .guarded import checked
from .host.environ import child_variables
from .host.process import ExtensionProcess
from .model import checks
from .model.checks import not_negative
from .model.errors import MisuseError, ProtocolViolation
from .model.event import Event, Log
from .model.records import Delivery
from .protocol.schema import ShutdownReason
from .recorded import Target
from .sandbox import arguments, targets
from .sandbox.assembly import assemble
from .sandbox.delivery_faults import DeliveryFault
from .sandbox.fresh import in_place_of
from .sandbox.invocation import Invocation, InvocationOptions
from .sandbox.places import caller
from .sandbox.plan import Planned, call_refusal, delivery_fault
from .sandbox.sandbox import Sandbox
from .sandbox.violations import ExpectedRejection, expecting
from .script import Script
from .settings import DEFAULTS, Settings, SettingsOptions
from .story.steps import Shutdown


class LambdaTelemetry(ExtensionSide):
    """A fake AWS Lambda execution environment inside this process, whose time the test owns.

    The `lambda_telemetry` fixture yields one that is started. Without pytest: `with LambdaTelemetry(Settings(...)) as
    lambda_telemetry:`; leaving the block shuts it down and, when `strict`, raises ProtocolViolation for what the
    extension did wrong. Every method raises MisuseError after that; recorded values stay readable.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        chosen = DEFAULTS if settings is None else settings
        self._settings = checked(chosen, "LambdaTelemetry")
        self._outer: Sandbox | None = None

    def __enter__(self) -> Self:
        if self._opened is None:
            outer, chosen = self._outer, self._settings
            self._opened = assemble(chosen) if outer is None else in_place_of(outer, chosen)
        self._require_open()
        self._sandbox.enter()
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self._sandbox.end()
        violations = self._sandbox.take_violations()
        try:
            self._sandbox.tell_suspicions(failed=error_type is not None)
        finally:
            if error_type is None and violations is not None:
                raise ProtocolViolation(violations)

    def close(self) -> None:
        """End the environment at once: connections, threads and children go, variables and names are restored."""
        if self._opened is not None:
            self._opened.close()
            self._opened.tell_suspicions()

    def fresh(self, **settings: Unpack[SettingsOptions]) -> "LambdaTelemetry":
        """A clean environment at the same address, for a block within a test, such as one example of Hypothesis's.

        `with lambda_telemetry.fresh() as environment:`. Nothing of this one is in it, nor of the one before: no
        extension, fault or backend; its time begins anew. `settings` are changes to those of this one. Leaving the
        block shuts it down, and raises ProtocolViolation for what an extension did wrong in it. This one is suspended
        meanwhile: its calls raise MisuseError, its time stands still, and its extensions are answered 403. Raises
        MisuseError for a setting that is not valid.
        """
        return within(self._forbid_blocking("fresh()"), settings)

    # -- telemetry and time --------------------------------------------------------------------------------------------

    def emit(self, *events: Event) -> tuple[Delivery, ...]:
        """Lambda generates these events now: each subscriber's buffer gets its view of them.

        A batch that is full is delivered before the call returns; the rest waits for time to move. On a thread other
        than the one that owns time the events are only buffered.
        """
        checked = arguments.events(events)
        sandbox = self._require_open()
        sandbox.note_emitted(checked)
        if not sandbox.turns.mine or sandbox.turns.held_elsewhere:
            sandbox.engine.emit(checked, deliver=False, source="test")
            return ()
        self._refuse_loop("emit()")
        with sandbox.turns.hold("emit()") as attempted:
            sandbox.engine.catch_up()
            sandbox.course.begin_next()
            sandbox.engine.emit(checked, deliver=True, source="test")
        sandbox.suspicions.tell_here()
        return _snapshots(attempted)

    def push(self, batch: Iterable[Event], to: Target | None = None) -> Delivery:
        """Send exactly these events as one batch now, past buffer and type filter. `to` is needed with several."""
        checked = arguments.events(batch)
        with self._driving("push()"):
            subscriber = targets.one_subscriber(self._sandbox.engine, to)
            self._sandbox.children.require_running(subscriber.name)
            return self._sandbox.engine.push(subscriber, checked).snapshot

    def advance(self, delta: timedelta | None = None, *, seconds: float = 0, ms: float = 0) -> tuple[Delivery, ...]:
        """Move time forward, stopping at each due moment to deliver, in order; returns what was delivered or tried.

        Raises MisuseError for a number without a unit, and for going backwards.
        """
        delta_us = arguments.duration_us(delta, seconds=seconds, ms=ms)
        with self._driving("advance()") as attempted:
            self._sandbox.engine.advance(delta_us)
        return _snapshots(attempted)

    def flush(self, to: Target | None = None) -> tuple[Delivery, ...]:
        """Deliver what is buffered now, also while the environment is frozen; not to a process that is stopped then."""
        with self._driving("flush()") as attempted:
            wanted = targets.subscribers(self._sandbox.engine, to)
            self._sandbox.engine.flush(self._sandbox.children.reachable(wanted))
        return _snapshots(attempted)

    def play(self, script: Script) -> tuple[Delivery, ...]:
        """Carry out a script's steps on this environment's clock; returns the batches delivered or tried.

        Each step happens at its own offset, counted from now. INVOKE and SHUTDOWN reach the extensions that ask for
        next, and are skipped, with a journal line, where there is none; a freeze and the end of init first wait, in
        real time, for the extensions' next. What is still buffered at a freeze comes after the next thaw. Beside
        extensions that registered by themselves a ready-made script finishes the init that they have begun, names them,
        and leaves out what this environment has told; what a test wrote, and a recording, is played as it is. Raises
        MisuseError before the first step when one of them cannot be carried out.
        """
        if not isinstance(script, Script):
            raise MisuseError(f"play() takes a Script, not {checks.repr_of(script)}; Script([(0, event), …]) makes one")
        with self._driving("play()") as attempted:
            self._sandbox.player.play(script)
        return _snapshots(attempted)

    # -- life cycle ----------------------------------------------------------------------------------------------------

    def invocation(self, **options: Unpack[InvocationOptions]) -> AbstractContextManager[Invocation]:
        """An invocation: INVOKE and platform.start on entering, the function's work in the block, the rest on leaving.

        On leaving: platform.runtimeDone (after `duration_ms` of virtual time at least), then time moves on until what
        was emitted is delivered, or `overhead_ms` are over, or the deadline is reached; then the extensions ask for
        their next event, platform.report is emitted, and the environment freezes: the report arrives with the next
        invocation or at shutdown. With `overhead_ms=0` it freezes before runtimeDone is out, which then comes late too.
        `tracing` is the trace header's value. Managed Instances have neither runtimeDone nor freeze. Ends init, if it
        has not ended. An exception in the block ends the invocation with status "error" and propagates.
        """
        return self._invocation(options)

    def _invocation(self, options: InvocationOptions, logs: Sequence[Log] = ()) -> AbstractContextManager[Invocation]:
        arguments.invocation(options)
        self._forbid_blocking("invocation()")
        return self._telling(self._sandbox.invocations.invocation(options, logs))

    @overload
    def invoke(self, *, logs: Sequence[Log] = (), **options: Unpack[InvocationOptions]) -> Invocation: ...
    @overload
    def invoke(
        self, *, logs: Sequence[Log] = (), concurrent: int, **options: Unpack[InvocationOptions]
    ) -> tuple[Invocation, ...]: ...
    def invoke(
        self,
        *,
        logs: Sequence[Log] = (),
        concurrent: int | None = None,
        **options: Unpack[InvocationOptions],
    ) -> Invocation | tuple[Invocation, ...]:
        """`invocation` in one call, with the function's log lines.

        On Managed Instances `concurrent=n` runs n of them at the same time, their lines interleaved, and returns all.
        """
        sandbox = self._forbid_blocking("invoke()")
        records = arguments.log_records(logs)
        managed = sandbox.settings.profile.managed_instances
        count = arguments.concurrent(concurrent, managed=managed, request_id=options.get("request_id"))
        if concurrent is None:
            with self._invocation(options, records) as invocation:
                return invocation
        with ExitStack() as running:
            invocations = [running.enter_context(self.invocation(**options)) for _ in range(count)]
            for record in records:
                for invocation in invocations:
                    invocation.log(record)
        return tuple(invocations)

    def end_init(self, *, init_duration_ms: float = 100) -> tuple[Delivery, ...]:
        """End the init phase: wait for the extensions to be ready; from now on register and subscribe are refused.

        `init_duration_ms` of virtual time pass when init took none.
        """
        not_negative("init_duration_ms", init_duration_ms)
        with self._driving("end_init()") as attempted:
            self._sandbox.course.begin_next()
            self._sandbox.stage.end_init(init_duration_ms)
        return _snapshots(attempted)

    def shutdown(self, reason: ShutdownReason = "spindown") -> tuple[Delivery, ...]:
        """Thaw, deliver what is buffered, send SHUTDOWN, wait for child processes to end as long as Lambda would."""
        if self._sandbox.closed:
            return ()
        with self._driving("shutdown()") as attempted:
            if self._sandbox.phases.ending:
                self._sandbox.stage.shutdown(reason)  # it has, and does nothing
            else:
                self._sandbox.course.tell("shutdown", [Shutdown(reason)])
        return _snapshots(attempted)

    def restart(self) -> tuple[Delivery, ...]:
        """Begin a new execution environment within the same test, as Lambda does after a time-out or a crash.

        The one before it is shut down, if it was not yet. Children are started again; subscriptions and extensions are
        gone, and init begins. Time goes on, and what was recorded stays readable. Returns what was still delivered.
        """
        with self._driving("restart()") as attempted:
            self._sandbox.restart()
        return _snapshots(attempted)

    def freeze(self) -> None:
        """Freeze the environment, as between invocations: wall time moves, nothing is delivered, no timer runs."""
        self._require_open()
        self._sandbox.stage.freeze()

    def thaw(self) -> None:
        """Let it go on where it was; the next call that moves time delivers."""
        self._require_open()
        self._sandbox.stage.thaw()

    # -- faults, processes ---------------------------------------------------------------------------------------------

    def fail_next_delivery(self, fault: DeliveryFault, times: int = 1, to: Target | None = None) -> None:
        """Let the next `times` attempts at a delivery go wrong; each fault says what the listener sees of one.

        "refuse", or a status code: nothing; it is down, or something before it answers. "lost-answer": the batch, but
        its answer is lost, so the batch comes again; `("lost-answer", 503)`: a 503 is believed instead. "duplicate":
        the same batch twice, although it acknowledged both. "reset": a part of the body, then RST. "timeout": the
        whole batch, but its answer is not waited for. "truncate": a body that ends early. "split": a record cut in two,
        each in a body of its own and neither of them JSON. An answer that it does give counts as ever.

        Over TCP nothing is answered: there a status code is a connection that is refused, or with "lost-answer" one
        that breaks once the batch is written (with a 2xx, the batch counts as written); after "timeout" and "truncate"
        the connection is closed, "duplicate" writes every line twice, "split" makes two lines of one. Raises
        MisuseError for any other fault.
        """
        self._require_open()
        whose = None
        if to is not None:
            whose = tuple(one.subscription for one in targets.subscribers(self._sandbox.engine, to))
        self._plan(delivery_fault(fault, times, whose))

    def reject_next(
        self,
        route: RouteName,
        status: int = 500,
        error_type: str | None = None,
        message: str | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next "register", "next", "subscribe", "init_error" or "exit_error" with an error.

        `error_type` and `message` default to some that go with the status. An injected refusal is never a violation.
        Raises MisuseError for another route, or a status that is no error.
        """
        self._require_open()
        self._plan(call_refusal(route, status, error_type, message, times))

    def _plan(self, planned: Planned) -> None:
        planned.place = caller()
        with self._sandbox.lock:
            self._sandbox.plan.add(planned)

    def run_extension(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        layer: str | os.PathLike[str] | None = None,
    ) -> ExtensionProcess:
        """Start an extension as a child process, as Lambda would; its output lines become `extension` events.

        `name` defaults to the program's (or script's) file name, as on Lambda; `env` is added to `self.env`.
        `layer` is a folder that it sees, read-only, as /opt, where a private mount namespace is possible. Raises
        MisuseError when it cannot be started, or no file gives it a name, or there can be no layer.
        """
        self._require_open()
        variables = child_variables(self._sandbox.variables, arguments.variables(env))
        return self._sandbox.children.run(argv, name=name, variables=variables, cwd=cwd, layer=layer)

    # -- strictness ----------------------------------------------------------------------------------------------------

    def expect_rejection(
        self, match: str | None = None, timeout: float = 5.0, *, route: str = "subscribe"
    ) -> AbstractContextManager[ExpectedRejection]:
        """A refused Subscribe inside the block is expected; waits for it, fails with ProtocolViolation if none came.

        `match` is a regular expression to be found in `errorType: errorMessage`. `route` names another call: one of
        those of `reject_next`.
        """
        pattern, timeout = arguments.pattern(match), checks.timeout(timeout)
        self._forbid_blocking("expect_rejection()")
        return self._expect_rejection(pattern, timeout, route)

    @contextmanager
    def _expect_rejection(
        self, pattern: re.Pattern[str] | None, timeout: float, route: str
    ) -> Iterator[ExpectedRejection]:
        sandbox = self._sandbox
        with expecting(sandbox.violations, pattern, sandbox.lock, route) as expected:
            yield expected
            with self._waiting("expect_rejection()"):
                sandbox.waits.rejection(expected, timeout)

    def check(self) -> None:
        """Raise ProtocolViolation for everything the extension did wrong so far; clears what it raised."""
        self._require_open()
        self._sandbox.children.note_dead()
        self._sandbox.audit.look(at_the_end=False)
        with self._sandbox.lock:
            self._sandbox.violations.check()
        self._sandbox.suspicions.tell_here()

    def __repr__(self) -> str:
        if self._opened is None:
            return f"<LambdaTelemetry new seed={self._settings.function_name!r}>"
        return f"<LambdaTelemetry {self._opened.phases.life} seed={self._opened.seed!r}>"


def over(sandbox: Sandbox) -> LambdaTelemetry:
    """The environment whose parts these are: for fixtures, which look after the parts themselves."""
    made = LambdaTelemetry(sandbox.settings)
    made._opened = sandbox
    return made


def within(outer: Sandbox, settings: SettingsOptions) -> LambdaTelemetry:
    """One that is not started yet, to be in the place of `outer`."""
    made = LambdaTelemetry(outer.settings.with_options(settings))
    made._outer = outer
    return made


def _snapshots(attempted: Iterable[Progress]) -> tuple[Delivery, ...]:
    return tuple(one.snapshot for one in attempted)

"""The life of the execution environment: init ends, invocations come and go, it freezes, thaws and shuts down."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import cast, get_args

from .. import events
from ..host.process import ExtensionProcess
from ..integrations import following_any
from ..model.errors import MisuseError
from ..model.event import Event
from ..model.real import Real
from ..protocol.fields import DERIVED, overhead_spans, response_spans
from ..protocol.lifecycle import Call, Phase, Trigger
from ..protocol.schema import TRACE_TYPE, LifecycleEvent, ShutdownReason, Status, trace_header
from ..wire.extensions import LiveExtension
from .core import Sandbox
from .invocation import Identity, Invocation
from .machine import request_id as nth_request_id
from .waiting import Waits

SHUTDOWN_REASONS: tuple[str, ...] = get_args(ShutdownReason)
SHUTDOWN_LIMITS_MS = {"none": 0, "internal": 500, "external": 2_000}
"""How long extensions may take to shut down, by the kinds that are there (Extensions API)."""


class Lifecycle:
    """The life-cycle calls of one environment. Each is made by the thread that holds time."""

    def __init__(self, sandbox: Sandbox, waits: Waits) -> None:
        self._sandbox = sandbox
        self._waits = waits
        self._invocations = 0
        self._init_ms: float | None = None

    # -- init ----------------------------------------------------------------------------------------------------------

    def end_init(self, init_duration_ms: float) -> None:
        """Wait for the extensions to be ready, and close the init phase."""
        sandbox = self._sandbox
        if sandbox.phase is not Phase.INIT:
            sandbox.move_to_phase(Trigger.END_INIT)  # raises, saying why not
        self.wait_for_extensions("init")
        took_us = sandbox.clock.elapsed_us - (sandbox.init_started_us or 0)
        if took_us == 0:
            took_us = round(init_duration_ms * 1000)
            sandbox.engine.advance(took_us)
        self._init_ms = took_us / 1000
        if sandbox.settings.platform_events:
            self._emit(*self._init_events(self._init_ms))
        self.close_init()

    def close_init(self) -> None:
        """From now on registrations and subscriptions are refused."""
        sandbox = self._sandbox
        sandbox.move_to_phase(Trigger.END_INIT)
        sandbox.engine.early.close()
        sandbox.record("lifecycle", "Lambda", "init ended")

    def _init_events(self, duration_ms: float) -> list[Event]:
        sandbox = self._sandbox
        kind = sandbox.settings.initialization_type
        generated = [events.platform_init_runtime_done(initialization_type=kind)]
        for one in sandbox.api.extensions:
            if not one.by_hand:
                generated.append(
                    events.platform_extension(
                        name=one.name,
                        state=str(one.state),
                        events=cast(Sequence[LifecycleEvent], one.events),
                        error_type=one.errors[-1] if one.errors else None,
                    )
                )
        return [*generated, events.platform_init_report(initialization_type=kind, duration_ms=duration_ms)]

    # -- invocations ---------------------------------------------------------------------------------------------------

    @contextmanager
    def invocation(
        self,
        *,
        request_id: str | None,
        duration_ms: float | None,
        status: Status,
        error_type: str | None,
        overhead_ms: float | None,
        max_memory_used_mb: int | None,
        tenant_id: str | None,
        tracing: str | None,
    ) -> Iterator[Invocation]:
        """See LambdaTelemetry.invocation; entering and leaving each hold time, the block does not."""
        sandbox, engine = self._sandbox, self._sandbox.engine
        with engine.driving("invocation()"):
            engine.catch_up()
            invocation = self._begin(request_id)
        who = Identity(invocation.request_id, tenant_id, tracing)
        started_us = sandbox.clock.elapsed_us
        invocation.status = status
        engine.collect(invocation.attempted)
        try:
            with engine.driving("invocation()"):
                self._start(who)
            try:
                yield invocation
            except BaseException as error:
                invocation.status = "error"
                error_type = f"Function.{type(error).__name__}"
                raise
            finally:
                invocation.over = True
                with engine.driving("invocation()"):
                    engine.catch_up()
                    if sandbox.phase is Phase.INVOKE:  # else it was shut down inside the block
                        self._finish(
                            invocation, who, started_us, duration_ms, error_type, overhead_ms, max_memory_used_mb
                        )
        finally:
            engine.stop_collecting(invocation.attempted)
            if sandbox.phase is Phase.INVOKE:
                sandbox.move_to_phase(Trigger.INVOCATION_END)

    def _begin(self, request_id: str | None) -> Invocation:
        sandbox = self._sandbox
        if sandbox.phase is Phase.INIT:
            self.end_init(100.0)
        sandbox.move_to_phase(Trigger.INVOCATION_START)
        self.thaw()
        self._invocations += 1
        deadline = sandbox.now + timedelta(seconds=sandbox.settings.timeout_s)
        return Invocation(sandbox, request_id or str(nth_request_id(sandbox.seed, self._invocations)), deadline)

    def _start(self, who: Identity) -> None:
        self.invoke_extensions(who.request_id, self._sandbox.settings.timeout_s * 1000, who.tracing)
        self._emit(
            events.platform_start(
                version=self._sandbox.settings.function_version,
                function_arn=self._sandbox.function_arn,
                **who.fields,
            )
        )

    def invoke_extensions(self, request_id: str, remaining_ms: float, tracing: str | None = None) -> None:
        """INVOKE to every extension that registered for it and waits on next; `remaining_ms` until its deadline."""
        sandbox = self._sandbox
        for extension in list(sandbox.api.extensions):
            if extension.by_hand or "INVOKE" not in extension.events:
                continue
            payload = {
                "eventType": "INVOKE",
                "deadlineMs": self._deadline_ms(extension, remaining_ms),
                "requestId": request_id,
                "invokedFunctionArn": sandbox.function_arn,
                "tracing": {"type": TRACE_TYPE, "value": tracing or trace_header(request_id)},
            }
            with sandbox.lock:
                waits = extension.waiting
                why_not = "" if waits else f"skipped: it is {extension.state}"
                sandbox.record("lifecycle", extension.name, f"INVOKE {request_id}", why_not)
                if waits:
                    extension.tell(Call.INVOKE, json.dumps(payload).encode())
                    sandbox.engine.lifecycle_event_for(extension.name)

    def _finish(
        self,
        invocation: Invocation,
        who: Identity,
        started_us: int,
        duration_ms: float | None,
        error_type: str | None,
        overhead_ms: float | None,
        max_memory_used_mb: int | None,
    ) -> None:
        sandbox, engine, clock = self._sandbox, self._sandbox.engine, self._sandbox.clock
        limit_us = started_us + round(sandbox.settings.timeout_s * 1_000_000)
        least_us = round((1.0 if duration_ms is None else duration_ms) * 1000)
        if invocation.status == "timeout":
            least_us = max(least_us, limit_us - started_us)
        engine.advance(max(0, min(started_us + least_us, limit_us) - clock.elapsed_us))
        if started_us + least_us >= limit_us or clock.elapsed_us >= limit_us:
            invocation.status, invocation.outcome = "timeout", "function-timeout"
        ran_ms = (min(clock.elapsed_us, limit_us) - started_us) / 1000
        if invocation.status not in ("error", "failure"):
            error_type = None
        if sandbox.profile.managed_instances:
            self._emit(self._report(invocation, who, ran_ms, ran_ms, error_type, max_memory_used_mb))
            self._let_telemetry_out(limit_us)
            return
        when = f"invocation {invocation.request_id}"
        late = self.wait_for_extensions(when) if overhead_ms == 0 else []
        with sandbox.lock:
            invocation.ready_before_runtime_done = tuple(
                one.name for one in sandbox.api.extensions if one.waiting and not one.by_hand and "INVOKE" in one.events
            )
        if overhead_ms == 0 and not late:
            self.freeze()
        self._emit(
            events.platform_runtime_done(
                status=invocation.status, error_type=error_type or DERIVED, duration_ms=ran_ms, **who.fields
            )
        )
        if overhead_ms != 0:
            until_us = limit_us if overhead_ms is None else min(limit_us, clock.elapsed_us + round(overhead_ms * 1000))
            self._let_telemetry_out(until_us)
            late = self.wait_for_extensions(when)
        if late:
            engine.advance(max(0, limit_us - clock.elapsed_us))
            invocation.status, invocation.outcome, error_type = "timeout", "extension-timeout", None
        took_ms = max(ran_ms, (min(clock.elapsed_us, limit_us) - started_us) / 1000)
        self._emit(self._report(invocation, who, ran_ms, took_ms, error_type, max_memory_used_mb))
        self.freeze()

    def _let_telemetry_out(self, until_us: int) -> None:
        """Let time go on until all that was emitted so far is delivered, or until this moment of elapsed time."""
        engine = self._sandbox.engine
        marks = engine.marks()
        engine.advance_until(lambda: engine.delivered(marks), until_us)

    def _report(
        self,
        invocation: Invocation,
        who: Identity,
        ran_ms: float,
        took_ms: float,
        error_type: str | None,
        max_memory_used_mb: int | None,
    ) -> Event:
        settings = self._sandbox.settings
        init_ms, self._init_ms = self._init_ms, None
        overhead_ms = round(took_ms - ran_ms, 3)
        spans = overhead_spans(overhead_ms) if overhead_ms else None
        if self._sandbox.profile.managed_instances:
            spans = response_spans(ran_ms) if invocation.status == "success" else None
        return events.platform_report(
            status=invocation.status,
            error_type=error_type or DERIVED,
            duration_ms=took_ms,
            memory_size_mb=settings.memory_mb,
            max_memory_used_mb=min(64, settings.memory_mb) if max_memory_used_mb is None else max_memory_used_mb,
            init_duration_ms=init_ms if settings.initialization_type == "on-demand" else None,
            spans=spans,
            **who.fields,
        )

    def wait_for_extensions(self, when: str) -> list[str]:
        """Wait until all ask for their next event; those that do not in time are named, and have broken the rules."""
        if self._sandbox.phase in (Phase.SHUTDOWN, Phase.CLOSED):  # nobody is to ask any more
            return []
        late = self._waits.all_waiting(self._sandbox.settings.extension_timeout_s)
        self._sandbox.engine.check_interrupt()
        self._blame(late, when)
        return late

    def _blame(self, late: Sequence[str], when: str) -> None:
        for name in late:
            seconds = self._sandbox.settings.extension_timeout_s
            text = (
                f"extension-timeout: extension {name!r} did not ask for its next event within {seconds:g} s (real) of"
                f" {when}.\n  On Lambda the phase then ends as a time-out. Let it GET /2020-01-01/extension/event/next;"
                f" extension_timeout_s allows more time.{self._still_buffered(name)}"
            )
            self._sandbox.record("note", name, "did not ask for its next event", "extension-timeout")
            with self._sandbox.lock:
                self._sandbox.strictness.violated(text)

    def _still_buffered(self, name: str) -> str:
        """Why an extension that waits for platform.runtimeDone would wait in vain."""
        for channel in self._sandbox.engine.channels:
            if channel.subscription.extension_name == name and not channel.buffer.empty:
                timeout_ms = channel.subscription.buffering.timeout_ms
                return (
                    f"\n  Telemetry for it is still buffered (timeoutMs {timeout_ms}): if it waits for that, allow a"
                    " larger overhead_ms, or let it subscribe with a smaller timeoutMs."
                )
        return ""

    # -- freeze, thaw, shutdown ----------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop elapsed time, and the processes of extensions. Managed Instances are never frozen."""
        sandbox = self._sandbox
        if sandbox.clock.frozen or sandbox.profile.managed_instances:
            return
        self._set_frozen(True)
        sandbox.children.stop()

    def thaw(self) -> None:
        """Let both go on where they were."""
        sandbox = self._sandbox
        if not sandbox.clock.frozen:
            return
        sandbox.children.cont()
        self._set_frozen(False)

    def _set_frozen(self, frozen: bool) -> None:
        sandbox = self._sandbox
        with sandbox.lock:
            sandbox.clock.pass_by(sandbox.clock.catch_up())  # what has passed so far did so in the state before
            sandbox.clock.frozen = frozen
            sandbox.record("lifecycle", "Lambda", "the environment freezes" if frozen else "the environment thaws")

    def shutdown(self, reason: str, *, all_polls: bool = False, deliver: bool = True) -> None:
        """Thaw, deliver what is buffered, send SHUTDOWN, and wait for child processes to end.

        The end of a test also lets those go that did not register for SHUTDOWN (`all_polls`), and delivers nothing.
        """
        sandbox = self._sandbox
        if reason not in SHUTDOWN_REASONS:
            raise MisuseError(
                f"reason={reason!r} is not valid: it must be one of {', '.join(map(repr, SHUTDOWN_REASONS))}"
            )
        if sandbox.phase in (Phase.SHUTDOWN, Phase.CLOSED):
            return
        self.thaw()
        sandbox.children.note_dead()
        if deliver:
            sandbox.engine.flush(sandbox.engine.channels)
        with sandbox.lock:
            sandbox.strictness.ending = not deliver
        sandbox.move_to_phase(Trigger.SHUTDOWN)
        limit_ms = self._shutdown_limit_ms()
        for extension in list(sandbox.api.extensions):
            self._send_shutdown(extension, reason, limit_ms, all_polls=all_polls)
        sandbox.children.end(
            min(limit_ms / 1000, sandbox.settings.shutdown_timeout_s),
            lambda process: self._may_end_by_itself(process, all_polls=all_polls),
        )
        sandbox.children.drain()
        if deliver:  # what children wrote on their way out still reaches those who are left
            left = [
                one for one in sandbox.engine.channels if sandbox.children.of(one.subscription.extension_name) is None
            ]
            sandbox.engine.flush(left)

    def _send_shutdown(self, extension: LiveExtension, reason: str, limit_ms: int, *, all_polls: bool) -> None:
        sandbox = self._sandbox
        wants = "SHUTDOWN" in extension.events
        if extension.by_hand or extension.failed or not (wants or all_polls):
            return
        deadline_ms = self._deadline_ms(extension, limit_ms)
        payload = {"eventType": "SHUTDOWN", "deadlineMs": deadline_ms, "shutdownReason": reason}
        with sandbox.lock:
            taken = extension.poll is not None and extension.poll.alive()
            verdict = "" if taken else "waits for its next poll"
            sandbox.record("lifecycle", extension.name, f"SHUTDOWN ({reason})", verdict)
            extension.tell(Call.SHUTDOWN, json.dumps(payload).encode())
            sandbox.engine.lifecycle_event_for(extension.name)

    def _may_end_by_itself(self, process: ExtensionProcess, *, all_polls: bool) -> bool:
        """It is told of the shutdown, or on its way out already; it may have registered under another name."""
        everyone = self._sandbox.api.extensions
        extension = everyone.by_name(process.name)
        if extension is None:
            return any(not one.by_hand and self._sandbox.children.of(one.name) is None for one in everyone)
        return all_polls or extension.failed or "SHUTDOWN" in extension.events

    def _shutdown_limit_ms(self) -> int:
        alive = [one for one in self._sandbox.api.extensions if not one.failed]
        kind = "none" if not alive else "internal" if all(one.internal for one in alive) else "external"
        return SHUTDOWN_LIMITS_MS[kind]

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _deadline_ms(self, extension: LiveExtension, remaining_ms: float) -> int:
        """A deadline in the clock that the recipient can see: a child process always sees real time."""
        foreign = following_any.active() if self._sandbox.children.of(extension.name) is None else None
        now_ms = foreign.now_us() / 1000 if foreign else Real.time() * 1000
        return int(now_ms + remaining_ms)

    def _emit(self, *generated: Event) -> None:
        self._sandbox.engine.emit(generated, deliver=True)

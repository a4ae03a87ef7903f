"""The life of the execution environment: init ends, invocations come and go, it freezes, thaws and shuts down."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Literal, cast

from .. import events
from ..engine.channel import Sent
from ..model.errors import MisuseError
from ..model.event import Event, Record
from ..model.real import Real
from ..model.records import Delivery
from ..protocol.fields import DERIVED
from ..protocol.lifecycle import Call, Phase, Trigger
from ..protocol.schema import LifecycleEvent, trace_header
from ..wire.extensions import LiveExtension
from .core import Sandbox
from .machine import request_id as nth_request_id
from .waiting import Waits

Status = Literal["success", "error", "failure", "timeout"]
Outcome = Literal["completed", "function-timeout", "extension-timeout"]
ShutdownReason = Literal["spindown", "timeout", "failure"]

SHUTDOWN_REASONS: tuple[str, ...] = ("spindown", "timeout", "failure")
SHUTDOWN_LIMITS_MS = {"none": 0, "internal": 500, "external": 2_000}
"""How long extensions may take to shut down, by the kinds that are there (Extensions API)."""


class Invocation:
    """One invocation of the function; a live object.

    `request_id`, `status` and `deadline` (environment time) are as the extension sees them. `outcome` is "completed",
    "function-timeout" (virtual time reached the function's `timeout_s`) or "extension-timeout" (an extension did not
    ask for its next event within the real `extension_timeout_s`). `ready_before_runtime_done` names the extensions
    that asked for their next event before `platform.runtimeDone`: on Lambda they are frozen before it reaches them.
    """

    def __init__(self, sandbox: Sandbox, request_id: str, deadline: datetime) -> None:
        self.request_id = request_id
        self.deadline = deadline
        self.status: Status = "success"
        self.outcome: Outcome = "completed"
        self.ready_before_runtime_done: tuple[str, ...] = ()
        self.attempted: dict[Sent, None] = {}
        self._sandbox = sandbox

    def log(self, *records: Record) -> None:
        """The function writes these lines (or JSON objects) now; full batches are delivered."""
        with self._sandbox.engine.driving("Invocation.log()"):
            self._sandbox.engine.emit([events.function(record) for record in records], deliver=True)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The batches that were attempted while it ran, as they stand now."""
        return tuple(sent.snapshot for sent in self.attempted)

    def __repr__(self) -> str:
        return f"<Invocation {self.request_id} {self.status} {self.outcome}>"


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
    ) -> Iterator[Invocation]:
        """See LambdaTelemetry.invocation; entering and leaving each hold time, the block does not."""
        sandbox, engine = self._sandbox, self._sandbox.engine
        with engine.driving("invocation()"):
            engine.catch_up()
            invocation = self._begin(request_id)
        started_us = sandbox.clock.elapsed_us
        invocation.status = status
        engine.collectors.append(invocation.attempted)
        try:
            with engine.driving("invocation()"):
                self._start(invocation)
            try:
                yield invocation
            except BaseException as error:
                invocation.status = "error"
                error_type = type(error).__name__
                raise
            finally:
                with engine.driving("invocation()"):
                    engine.catch_up()
                    self._finish(invocation, started_us, duration_ms, error_type, overhead_ms, max_memory_used_mb)
        finally:
            engine.collectors.remove(invocation.attempted)

    def _begin(self, request_id: str | None) -> Invocation:
        sandbox = self._sandbox
        if sandbox.phase is Phase.INIT:
            self.end_init(100.0)
        sandbox.move_to_phase(Trigger.INVOCATION_START)
        self.thaw()
        self._invocations += 1
        deadline = sandbox.now + timedelta(seconds=sandbox.settings.timeout_s)
        return Invocation(sandbox, request_id or str(nth_request_id(sandbox.seed, self._invocations)), deadline)

    def _start(self, invocation: Invocation) -> None:
        self.invoke_extensions(invocation.request_id, self._sandbox.settings.timeout_s * 1000)
        self._emit(
            events.platform_start(
                request_id=invocation.request_id,
                version=self._sandbox.settings.function_version,
                function_arn=self._sandbox.function_arn,
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
                "tracing": {"type": "X-Amzn-Trace-Id", "value": tracing or trace_header(request_id)},
            }
            with sandbox.lock:
                waits = extension.waiting
                if waits:
                    extension.tell(Call.INVOKE, json.dumps(payload).encode())
                    sandbox.engine.lifecycle_event_for(extension.name)
            sandbox.record("lifecycle", extension.name, "INVOKE", "" if waits else f"skipped: it is {extension.state}")

    def _finish(
        self,
        invocation: Invocation,
        started_us: int,
        duration_ms: float | None,
        error_type: str | None,
        overhead_ms: float | None,
        max_memory_used_mb: int | None,
    ) -> None:
        sandbox, engine, clock = self._sandbox, self._sandbox.engine, self._sandbox.clock
        if sandbox.phase is not Phase.INVOKE:  # shut down inside the block
            return
        limit_us = started_us + round(sandbox.settings.timeout_s * 1_000_000)
        least_us = round((1.0 if duration_ms is None else duration_ms) * 1000)
        if invocation.status == "timeout":
            least_us = max(least_us, limit_us - started_us)
        engine.advance(max(0, min(started_us + least_us, limit_us) - clock.elapsed_us))
        if started_us + least_us >= limit_us or clock.elapsed_us >= limit_us:
            invocation.status, invocation.outcome = "timeout", "function-timeout"
        ran_ms = min(clock.elapsed_us, limit_us) / 1000 - started_us / 1000
        error_type = error_type if invocation.status in ("error", "failure") else None
        with sandbox.lock:
            invocation.ready_before_runtime_done = tuple(
                one.name for one in sandbox.api.extensions if one.waiting and not one.by_hand
            )
        if overhead_ms == 0:
            self.freeze()
        self._emit(self._runtime_done(invocation, ran_ms, error_type))
        marks = engine.marks()
        if overhead_ms != 0:
            until_us = limit_us if overhead_ms is None else min(limit_us, clock.elapsed_us + round(overhead_ms * 1000))
            engine.advance_until(lambda: engine.delivered(marks), until_us)
        late = self.wait_for_extensions(f"invocation {invocation.request_id}")
        if late:
            engine.advance(max(0, limit_us - clock.elapsed_us))
            invocation.status, invocation.outcome, error_type = "timeout", "extension-timeout", None
        took_ms = max(ran_ms, min(clock.elapsed_us, limit_us) / 1000 - started_us / 1000) if late else ran_ms
        self._emit(self._report(invocation, took_ms, error_type, max_memory_used_mb))
        self._init_ms = None
        sandbox.move_to_phase(Trigger.INVOCATION_END)
        self.freeze()

    def _runtime_done(self, invocation: Invocation, ran_ms: float, error_type: str | None) -> Event:
        return events.platform_runtime_done(
            request_id=invocation.request_id,
            status=invocation.status,
            error_type=error_type or DERIVED,
            duration_ms=ran_ms,
        )

    def _report(
        self, invocation: Invocation, took_ms: float, error_type: str | None, max_memory_used_mb: int | None
    ) -> Event:
        settings = self._sandbox.settings
        counted = settings.initialization_type == "on-demand"
        return events.platform_report(
            request_id=invocation.request_id,
            status=invocation.status,
            error_type=error_type or DERIVED,
            duration_ms=took_ms,
            memory_size_mb=settings.memory_mb,
            max_memory_used_mb=min(64, settings.memory_mb) if max_memory_used_mb is None else max_memory_used_mb,
            init_duration_ms=self._init_ms if counted else None,
        )

    def wait_for_extensions(self, when: str = "the script's step") -> list[str]:
        """Wait until all ask for their next event; those that do not in time are named, and have broken the rules."""
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
                " extension_timeout_s allows more time."
            )
            self._sandbox.record("note", name, "did not ask for its next event", "extension-timeout")
            with self._sandbox.lock:
                self._sandbox.strictness.violated(text)

    # -- freeze, thaw, shutdown ----------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop elapsed time, and the processes of extensions. Managed Instances are never frozen."""
        sandbox = self._sandbox
        if sandbox.clock.frozen or sandbox.profile.managed_instances:
            return
        self._set_frozen(True)
        for process in sandbox.processes:
            process.stop()

    def thaw(self) -> None:
        """Let both go on where they were."""
        sandbox = self._sandbox
        if not sandbox.clock.frozen:
            return
        for process in sandbox.processes:
            process.cont()
        self._set_frozen(False)

    def _set_frozen(self, frozen: bool) -> None:
        sandbox = self._sandbox
        with sandbox.lock:
            sandbox.clock.settle()
            sandbox.clock.frozen = frozen
            sandbox.record("lifecycle", "Lambda", "the environment freezes" if frozen else "the environment thaws")

    def shutdown(self, reason: str, *, all_polls: bool = False, deliver: bool = True) -> None:
        """Thaw, deliver what is buffered, send SHUTDOWN, and wait for child processes to end.

        The end of a test also lets those go that did not register for SHUTDOWN (`all_polls`), and delivers nothing.
        """
        sandbox = self._sandbox
        if sandbox.phase in (Phase.SHUTDOWN, Phase.CLOSED):
            return
        if reason not in SHUTDOWN_REASONS:
            raise MisuseError(
                f"reason={reason!r} is not valid: it must be one of {', '.join(map(repr, SHUTDOWN_REASONS))}"
            )
        self.thaw()
        sandbox.note_dead_children()
        if deliver:
            sandbox.engine.flush(sandbox.engine.channels)
        sandbox.move_to_phase(Trigger.SHUTDOWN)
        limit_ms = self._shutdown_limit_ms()
        for extension in list(sandbox.api.extensions):
            self._send_shutdown(extension, reason, limit_ms, all_polls=all_polls)
        for process in sandbox.processes:
            if process.registered:
                process.terminate(min(limit_ms / 1000, sandbox.settings.shutdown_timeout_s))
                if process.killed:
                    sandbox.record("lifecycle", process.name, "did not end after SHUTDOWN", "SIGKILL")
                else:
                    sandbox.record("lifecycle", process.name, "ended", f"exit code {process.returncode}")
        sandbox.drain()

    def _send_shutdown(self, extension: LiveExtension, reason: str, limit_ms: int, *, all_polls: bool) -> None:
        sandbox = self._sandbox
        wants = "SHUTDOWN" in extension.events
        if extension.by_hand or extension.failed or not (wants or all_polls):
            return
        deadline_ms = self._deadline_ms(extension, limit_ms)
        payload = {"eventType": "SHUTDOWN", "deadlineMs": deadline_ms, "shutdownReason": reason}
        with sandbox.lock:
            taken = extension.tell(Call.SHUTDOWN, json.dumps(payload).encode())
            sandbox.engine.lifecycle_event_for(extension.name)
        sandbox.record("lifecycle", extension.name, f"SHUTDOWN ({reason})", "" if taken else "waits for its next poll")

    def _shutdown_limit_ms(self) -> int:
        alive = [one for one in self._sandbox.api.extensions if not one.failed]
        kind = "none" if not alive else "internal" if all(one.internal for one in alive) else "external"
        return SHUTDOWN_LIMITS_MS[kind]

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _deadline_ms(self, extension: LiveExtension, remaining_ms: float) -> int:
        """A deadline in the clock that the recipient can see."""
        sandbox = self._sandbox
        under_our_time = sandbox.clock.foreign is not None and sandbox.process_of(extension.name) is None
        now_ms = sandbox.clock.wall_us / 1000 if under_our_time else Real.time() * 1000
        return int(now_ms + remaining_ms)

    def _emit(self, *generated: Event) -> None:
        self._sandbox.engine.emit(generated, deliver=True)

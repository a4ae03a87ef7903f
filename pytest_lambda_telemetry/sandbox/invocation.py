"""One invocation: what a test holds of it, and what its events have in common."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypedDict

from .. import events
from ..engine.channel import Sent
from ..model.errors import MisuseError
from ..model.event import Record
from ..model.records import Delivery
from ..protocol.schema import ShutdownReason, Status, Tracing, trace_header
from ..protocol.schema import tracing as default_tracing
from .core import Sandbox, in_event_loop

__all__ = ["Identity", "Invocation", "Outcome", "ShutdownReason", "Status"]

Outcome = Literal["completed", "function-timeout", "extension-timeout"]


class Invocation:
    """One invocation of the function; a live object.

    `request_id`, `status` and `deadline` (environment time) are as the extension sees them. `outcome` is "completed",
    "function-timeout" (virtual time reached the function's `timeout_s`) or "extension-timeout" (an extension did not
    ask for its next event within the real `extension_timeout_s`). `ready_before_runtime_done` names the extensions
    that asked for their next event before `platform.runtimeDone`: on Lambda they are frozen before it reaches them.
    Asking takes real time and the function none: call `wait_until_ready()` in the `invocation()` block to see whether
    an extension asks too early, or use `overhead_ms=0`, which waits for it.
    """

    def __init__(self, sandbox: Sandbox, request_id: str, deadline: datetime) -> None:
        self.request_id = request_id
        self.deadline = deadline
        self.status: Status = "success"
        self.outcome: Outcome = "completed"
        self.ready_before_runtime_done: tuple[str, ...] = ()
        self.attempted: dict[Sent, None] = {}
        self._sandbox = sandbox
        self.over = False

    def log(self, *records: Record) -> None:
        """The function writes these lines (or JSON objects) now; full batches are delivered.

        Inside a running event loop, and on a thread that does not own time, they are only buffered: the next awaited
        (or the owner's next) call delivers. Raises MisuseError once the invocation is over.
        """
        if self.over:
            raise MisuseError(f"invocation {self.request_id} is over: its function can't log any more")
        engine, generated = self._sandbox.engine, [events.function(record) for record in records]
        if in_event_loop() or engine.driven_elsewhere or not engine.owned_here:
            engine.emit(generated, deliver=False)
            return
        with engine.driving("Invocation.log()"):
            engine.catch_up()
            engine.emit(generated, deliver=True)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The batches that were attempted while it ran, as they stand now."""
        return tuple(sent.snapshot for sent in list(self.attempted) if sent.attempts)

    def __repr__(self) -> str:
        return f"<Invocation {self.request_id} {self.status} {self.outcome}>"


class IdentityFields(TypedDict):
    """What start, runtimeDone and report of one invocation have in common."""

    request_id: str
    tenant_id: str | None
    tracing: Tracing


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose invocation it is; `trace` is the value of the trace header, None for one made of the request id."""

    request_id: str
    tenant_id: str | None
    trace: str | None

    @property
    def tracing(self) -> str:
        """The trace header's value, which INVOKE and the events share."""
        return self.trace or trace_header(self.request_id)

    @property
    def fields(self) -> IdentityFields:
        """As arguments of the events' builders."""
        tracing: Tracing = {**default_tracing(self.request_id), "value": self.tracing}
        return {"request_id": self.request_id, "tenant_id": self.tenant_id, "tracing": tracing}

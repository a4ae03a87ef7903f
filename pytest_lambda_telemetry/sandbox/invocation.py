"""One invocation as a test holds it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol, TypedDict

from .. import events
from ..engine.recordings import Progress
from ..engine.run import Engine
from ..model.errors import MisuseError
from ..model.event import Event, Log
from ..model.records import Delivery
from ..protocol.schema import Status
from .loops import in_event_loop


class Logs(Protocol):
    """What becomes of what a function logs; the turn is held where it is told, and not where it is only buffered."""

    def tell(self, name: Literal["logs"], actions: Sequence[Event], *, request_id: str) -> object: ...
    def only_buffer(self, name: Literal["logs"], events: Sequence[Event], request_id: str) -> None: ...


InvocationOutcome = Literal["completed", "function-timeout", "extension-timeout"]


class InvocationOptions(TypedDict, total=False):
    """What `invocation` and `invoke` take, all by name.

    `request_id` [one made of the test's name and a counter], `duration_ms` [1: how long the function runs at least],
    `status` ["success"], `error_type` [with "error" and "failure"], `overhead_ms` [until what was emitted is
    delivered], `max_memory_used_mb` [64], `tenant_id`, `tracing` [the value of the trace header].
    """

    request_id: str | None
    duration_ms: float | None
    status: Status
    error_type: str | None
    overhead_ms: float | None
    max_memory_used_mb: int | None
    tenant_id: str | None
    tracing: str | None


class Invocation:
    """One invocation of the function; a live object.

    `request_id`, `status` and `deadline` (environment time) are as the extension sees them. `outcome` is "completed",
    "function-timeout" (virtual time reached the function's `timeout_s`) or "extension-timeout" (an extension did not
    ask for its next event within the real `extension_timeout_s`). `ready_before_runtime_done` names the extensions
    that asked for their next event before `platform.runtimeDone`: on Lambda they are frozen before it reaches them.
    Asking takes real time and the function none: call `wait_until_ready()` in the `invocation()` block to see whether
    an extension asks too early, or use `overhead_ms=0`, which waits for it.
    """

    def __init__(self, engine: Engine, course: Logs, request_id: str, deadline: datetime, status: Status) -> None:
        self.request_id = request_id
        self.deadline = deadline
        self.status: Status = status
        self.outcome: InvocationOutcome = "completed"
        self.ready_before_runtime_done: tuple[str, ...] = ()
        self.attempted: dict[Progress, None] = {}
        self.over = False
        self._engine = engine
        self._course = course

    def log(self, *records: Log) -> None:
        """The function writes these now: lines, objects, other JSON values, or events. Full batches are delivered.

        Inside a running event loop, and on a thread that does not own time, they are only buffered: the next awaited
        (or the owner's next) call delivers. Raises MisuseError once the invocation is over.
        """
        if self.over:
            raise MisuseError(f"invocation {self.request_id} is over: its function can't log any more")
        engine, generated = self._engine, [one if isinstance(one, Event) else events.function(one) for one in records]
        if in_event_loop() or engine.turns.held_elsewhere or not engine.turns.mine:
            self._course.only_buffer("logs", generated, self.request_id)
            return
        with engine.turns.hold("Invocation.log()"):
            engine.catch_up()
            self._course.tell("logs", generated, request_id=self.request_id)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The batches that were attempted while it ran, as they stand now."""
        return tuple(one.snapshot for one in list(self.attempted) if one.attempts)

    def __repr__(self) -> str:
        return f"<Invocation {self.request_id} {self.status} {self.outcome}>"

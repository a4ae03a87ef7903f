"""What happens in an environment, as values: one class for each sort of thing, recorded once and in order.

A fact says what is so and never how it reads: `views` tell facts to a person, `engine.recordings` folds them into what
a test reads. `who` is the name of an extension, or of whoever a call named as its sender.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .backend import BackendAnswered, BackendCalled, BackendRefused, BackendReset, BackendUnhandled
from .event import Event
from .process_facts import (
    Hinted as Hinted,
    OutputCut as OutputCut,
    OutputLost as OutputLost,
    ProcessEnded as ProcessEnded,
    ProcessKilled as ProcessKilled,
    ProcessStarted as ProcessStarted,
    ProcessStopped as ProcessStopped,
    ThreadDied as ThreadDied,
    UnknownName as UnknownName,
)
from .records import Attempt, Extension, Payload, Rejection, Request, Subscription

Numbers = Sequence[int]
"""Serial numbers of events, in order; a `range` wherever they follow one another, so that a million cost nothing."""

_BATCH_BYTES, _TYPE_BYTES, _SEGMENT_BYTES = 200, 8, 60

# -- what extensions ask for -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Registered:
    """An extension was let in; `extension` is how it stood then.

    `outlived` describes the thread that called, where it was started during an earlier test.
    """

    extension: Extension
    internal: bool = False
    outlived: str = ""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription was accepted. `again`: it is one that stands already."""

    subscription: Subscription
    again: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A call was refused; `route` is its name in `reject_next`. `injected`: the test itself asked for it.

    `outlived` is as in Registered; `holder` describes such a thread that has the name which was asked for.
    """

    route: str
    who: str | None
    status: int
    error_type: str
    message: str
    call: Rejection
    """The refused call as a test reads it."""
    rules: tuple[tuple[str, str], ...] = ()
    injected: bool = False
    outlived: str = ""
    holder: str = ""

    @property
    def rejection(self) -> Rejection | None:
        """What `rejections` shows of it, where it was a Subscribe."""
        return self.call if self.route == "subscribe" else None


Outcome = Registered | Subscribed | Refused | None
"""What a call leaves behind."""


@dataclass(frozen=True, slots=True)
class Called:
    """A request was answered."""

    who: str
    request: Request
    error: tuple[str, str] | None = None
    """Type and message of an error answer."""
    outcome: Outcome = None


@dataclass(frozen=True, slots=True)
class StoodIn:
    """The test acted as an extension, without a socket."""

    who: str
    outcome: Registered | Subscribed


@dataclass(frozen=True, slots=True)
class Unhandled:
    """Something arrived that is no request which could be handled."""

    reason: str
    status: int


@dataclass(frozen=True, slots=True)
class Stray:
    """A request of an extension that belongs to an earlier test, or to an environment that is suspended."""

    extension_id: str
    method: str
    target: str


@dataclass(frozen=True, slots=True)
class Tolerated:
    """Lambda lets this pass, and it is suspicious all the same; `remark` is the rule's own text.

    `ignored`: what was sent has no effect.
    """

    who: str
    remark: str
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """An extension asks for its next event."""

    who: str


# -- what Lambda does --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """An extension was handed an event, or will be at its next poll (`pending`), or cannot be in its state (`skipped`).

    `detail` is the request id of INVOKE, the reason of SHUTDOWN.
    """

    who: str
    event: Literal["INVOKE", "SHUTDOWN"]
    detail: str
    pending: bool = False
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class NobodyToTell:
    """A script's INVOKE or SHUTDOWN that no extension asks for."""

    event: str
    detail: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A script's step tells what this environment has told already: it is not said twice."""

    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class InitEnded:
    """Registrations and subscriptions are refused from now on."""


@dataclass(frozen=True, slots=True)
class Froze:
    """Elapsed time stands still."""


@dataclass(frozen=True, slots=True)
class Thawed:
    """It goes on."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """A new execution environment begins; what the one before it had is gone."""


@dataclass(frozen=True, slots=True)
class NeverAsked:
    """An extension did not ask for its next event in the real time that it had; or it never registered."""

    who: str
    registered: bool = True


@dataclass(frozen=True, slots=True)
class AskedEarly:
    """An extension asked before runtimeDone; `count` events for it were buffered when the environment froze."""

    who: str
    request_id: str
    count: int


# -- telemetry ---------------------------------------------------------------------------------------------------------


class HeldEvents:
    """Emitted events, which the journal lets go where they are too many; how many of each type stays known."""

    __slots__ = ("_types", "events", "size")

    def __init__(self, events: Sequence[Event], size: int) -> None:
        self.events = events
        self.size = size
        self._types: Mapping[str, int] | None = None

    @property
    def types(self) -> Mapping[str, int]:
        """How many of each type, in order of appearance."""
        return self._types if self._types is not None else Counter(event.type for event in self.events)

    @property
    def released(self) -> bool:
        """The events are forgotten."""
        return self._types is not None

    def release(self) -> int:
        """Forget the events; how many bytes they were."""
        if not self.released:
            self._types, self.events = self.types, ()
        return self.size


@dataclass(frozen=True, slots=True)
class Emitted:
    """Lambda (or the test, a script, a process) generated events; their serial numbers are `numbers`."""

    source: str
    numbers: range
    held: HeldEvents

    @property
    def injected(self) -> bool:
        """A scenario has added them: no verdict is about them."""
        return self.source.startswith(SCENARIO)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A new subscription gets telemetry of the init phase from before it."""

    who: str
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class InitTelemetryLost:
    """So many events found no room for a later replay."""

    count: int


@dataclass(frozen=True, slots=True, eq=False)
class SentBatch:
    """A batch as it was sent, every time the same: `segments` are the serial numbers of its events, in order."""

    number: int
    subscription: Subscription
    types: tuple[str, ...]
    segments: tuple[Numbers, ...]
    payload: Payload

    @property
    def size(self) -> int:
        """About how many bytes it takes beside its payload."""
        return _BATCH_BYTES + _TYPE_BYTES * len(self.types) + _SEGMENT_BYTES * len(self.segments)


@dataclass(frozen=True, slots=True)
class Attempted:
    """One try at sending a batch, the `number`-th (from 1)."""

    batch: SentBatch
    number: int
    attempt: Attempt
    ok: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """Events that a subscription will never get: `segments` are their serial numbers, `count` how many."""

    subscription: Subscription
    segments: tuple[Numbers, ...]
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class FaultInjected:
    """The test's own plan lets this delivery go wrong."""

    who: str
    fault: str


@dataclass(frozen=True, slots=True)
class LoopFound:
    """An extension's own telemetry makes it write, for ever; its output is delivered to it no longer."""

    who: str


SCENARIO = "scenario/"
"""What the source of a scenario's own events begins with; no process that writes output is called so."""

Fact = (
    Called
    | StoodIn
    | Unhandled
    | Stray
    | Tolerated
    | Asked
    | Told
    | NobodyToTell
    | LeftOut
    | InitEnded
    | Froze
    | Thawed
    | Restarted
    | NeverAsked
    | AskedEarly
    | Emitted
    | Replayed
    | InitTelemetryLost
    | Attempted
    | Dropped
    | FaultInjected
    | BackendCalled
    | BackendAnswered
    | BackendUnhandled
    | BackendRefused
    | BackendReset
    | LoopFound
    | ProcessStarted
    | ProcessEnded
    | ProcessKilled
    | ProcessStopped
    | OutputLost
    | OutputCut
    | UnknownName
    | ThreadDied
    | Hinted
)

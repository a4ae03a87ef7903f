"""What a script is made of: steps as data, which an environment carries out on its own clock."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import Enum, auto

from ..model.checks import not_negative, require
from ..model.event import Event
from ..protocol.brief import brief
from ..protocol.schema import ShutdownReason, trace_header, tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """INVOKE goes to the extensions that ask for next, and init is over.

    A frozen environment thaws first. `deadline_ms` counts from this step; `tracing` is the trace header's value.
    """

    request_id: str
    deadline_ms: float
    tracing: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """A frozen environment thaws, buffers are flushed, SHUTDOWN goes to the extensions that ask for next."""

    reason: ShutdownReason = "spindown"


@dataclass(frozen=True, slots=True)
class EndInit:
    """Initialization is over: from now on register and subscribe are refused. Sends no event by itself."""


@dataclass(frozen=True, slots=True)
class Flush:
    """What is buffered is delivered now, as when the runtime's streams close."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Nothing is delivered, and no buffer's timer runs, until the environment thaws."""


@dataclass(frozen=True, slots=True)
class Thaw:
    """The environment runs again. Invoke and Shutdown thaw by themselves."""


@dataclass(frozen=True, slots=True)
class Advance:
    """So much time passes, and what becomes due is delivered; where it is frozen, only the wall clock moves on.

    For scenarios: a script has its offsets.
    """

    ms: float

    def __post_init__(self) -> None:
        not_negative("Advance.ms", self.ms)


@dataclass(frozen=True, slots=True)
class Inject:
    """An event that the scenario adds: it is sent as any other, and no verdict asks what became of it."""

    event: Event

    def __post_init__(self) -> None:
        require(isinstance(self.event, Event), "Inject.event", self.event, "an Event, such as events.function('…')")


@dataclass(frozen=True, slots=True)
class Later:
    """Put off until the function has logged, or something else happens; so INVOKE can come behind telemetry."""

    action: "Action"


@dataclass(frozen=True, slots=True)
class Restart:
    """The execution environment is gone: the next one begins when something is to happen in it, as on Lambda.

    Children are started again. It is behind a Shutdown.
    """


Action = Event | Invoke | Shutdown | EndInit | Flush | Freeze | Thaw
ScenarioAction = Action | Advance | Inject | Later | Restart
ACTIONS = (Event, Invoke, Shutdown, EndInit, Flush, Freeze, Thaw)


class Part(Enum):
    """What a step of a ready-made script tells of an initialization.

    Where extensions live that registered by themselves, their environment has an initialization of its own, and the
    step is told as a part of that (`sandbox/retelling.py`). Steps that a test writes have none: they stay as written.
    """

    INIT_START = auto()
    SUBSCRIPTION = auto()
    SUBSCRIPTION_AGAIN = auto()
    INIT_DONE = auto()
    """initRuntimeDone where the initialization is good: its extensions stand, and it is about to be over."""
    EXTENSION = auto()
    REST = auto()
    INIT_OVER = auto()
    """An invocation or a restore begins: an initialization that the script has not told ends before it."""
    FIRST_REPORT = auto()
    """The report of the invocation that caused the initialization."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, `offset_ms` milliseconds after the script began. `part` is for the ready-made scripts."""

    offset_ms: float
    action: Action
    _: KW_ONLY
    part: Part | None = field(default=None, compare=False, repr=False)


def request_ids(steps: Iterable[Step]) -> list[str]:
    """The request ids that appear in these steps, each once, in order of appearance."""
    found: dict[str, None] = {}
    for step in steps:
        if (identifier := request_id_of(step.action)) is not None:
            found[identifier] = None
    return list(found)


def request_id_of(action: object) -> str | None:
    """The request id that an action names, if any."""
    if isinstance(action, Invoke):
        return action.request_id
    if isinstance(action, Event) and isinstance(action.record, Mapping):
        identifier = action.record.get("requestId")
        return identifier if isinstance(identifier, str) else None
    return None


def renamed(steps: Iterable[Step], names: Mapping[str, str]) -> list[Step]:
    """The steps with other request ids, and with the tracing that had been worked out from the old ones."""
    return [replace(step, action=_renamed(step.action, names)) for step in steps]


def _renamed(action: Action, names: Mapping[str, str]) -> Action:
    old = request_id_of(action)
    new = names.get(old) if old is not None else None
    if old is None or new is None:
        return action
    match action:
        case Invoke():
            trace = trace_header(new) if action.tracing == trace_header(old) else action.tracing
            return replace(action, request_id=new, tracing=trace)
        case Event(record=before) if isinstance(before, Mapping):
            after: dict[str, object] = {**before, "requestId": new}
            if before.get("tracing") == tracing(old):
                after["tracing"] = tracing(new)
            return replace(action, record=after)
    return action


def described(action: Action) -> tuple[str, str]:
    """An action for a person: what it is, and what tells it from others of its kind."""
    match action:
        case Event():
            return brief(action)
        case Invoke():
            return "INVOKE", f"{action.deadline_ms:g} ms left {action.request_id}"
        case Shutdown():
            return "SHUTDOWN", action.reason
        case EndInit():
            return "end of init", ""
    return type(action).__name__.lower(), ""

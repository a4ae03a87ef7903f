"""Where an extension stands, and where its execution environment stands, as two transition tables.

An **extension** is Registered when it has registered, and Ready once it asks for its next event, for as long as it
waits there. Lambda hands it INVOKE and it is Running until it asks again. Handed SHUTDOWN it is ShuttingDown: it may
still ask, and will not be answered, or report an error; then its process ends and it is Exited. At any time it may
report that it cannot go on, with init/error before it first asks for an event and with exit/error always; then no
call of its succeeds any more but the same report again, and the first report is what is remembered of it.

The **environment** is in init until the runtime and every extension have asked for an event, then idle, and invoke
during each invocation. Shutdown ends it from anywhere, and closed is where it no longer answers.

A pair that a table lacks is a move that cannot be. Sources: Extensions API, and AWS's own emulator for the states.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from ..model.errors import MisuseError
from .contract import Refusal, single
from .strict_json import printable


class ExtensionState(StrEnum):
    """Where an extension stands. All but ShuttingDown are names that Lambda itself uses."""

    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    SHUTTING_DOWN = "ShuttingDown"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    EXITED = "Exited"


class Call(StrEnum):
    """What moves an extension: its own four calls, then Lambda's two moves and the end of its process."""

    SUBSCRIBE = "subscribe"
    NEXT = "next"
    INIT_ERROR = "init_error"
    EXIT_ERROR = "exit_error"
    INVOKE = "invoke"
    SHUTDOWN = "shutdown"
    EXIT = "exit"


_E, _C = ExtensionState, Call

EXTENSION_TRANSITIONS: Mapping[tuple[ExtensionState, Call], ExtensionState] = MappingProxyType(
    {
        (_E.REGISTERED, _C.SUBSCRIBE): _E.REGISTERED,
        (_E.REGISTERED, _C.NEXT): _E.READY,
        (_E.REGISTERED, _C.INIT_ERROR): _E.INIT_ERROR,
        (_E.REGISTERED, _C.EXIT_ERROR): _E.EXIT_ERROR,
        (_E.REGISTERED, _C.EXIT): _E.EXITED,
        (_E.READY, _C.SUBSCRIBE): _E.READY,
        (_E.READY, _C.INVOKE): _E.RUNNING,
        (_E.READY, _C.SHUTDOWN): _E.SHUTTING_DOWN,
        (_E.READY, _C.EXIT_ERROR): _E.EXIT_ERROR,
        (_E.READY, _C.EXIT): _E.EXITED,
        (_E.RUNNING, _C.SUBSCRIBE): _E.RUNNING,
        (_E.RUNNING, _C.NEXT): _E.READY,
        (_E.RUNNING, _C.EXIT_ERROR): _E.EXIT_ERROR,
        (_E.RUNNING, _C.EXIT): _E.EXITED,
        (_E.SHUTTING_DOWN, _C.SUBSCRIBE): _E.SHUTTING_DOWN,
        (_E.SHUTTING_DOWN, _C.NEXT): _E.SHUTTING_DOWN,
        (_E.SHUTTING_DOWN, _C.EXIT_ERROR): _E.EXIT_ERROR,
        (_E.SHUTTING_DOWN, _C.EXIT): _E.EXITED,
        (_E.INIT_ERROR, _C.INIT_ERROR): _E.INIT_ERROR,
        (_E.INIT_ERROR, _C.EXIT): _E.INIT_ERROR,
        (_E.EXIT_ERROR, _C.EXIT_ERROR): _E.EXIT_ERROR,
        (_E.EXIT_ERROR, _C.EXIT): _E.EXIT_ERROR,
    }
)
"""(state, call) → the state after it. Lambda hands an event only to an extension that asked: one still Running or
Registered must ask (next) before it can be handed SHUTDOWN. One that is Ready has a poll open and cannot ask twice.
Subscribing is legal here whenever the extension is alive: whether init is over is for the environment's phase."""


def advance_extension(state: ExtensionState, call: Call, name: str) -> ExtensionState | Refusal:
    """The state of the extension `name` after a call; a refusal where the table has no such move."""
    if (state, call) in EXTENSION_TRANSITIONS:
        return EXTENSION_TRANSITIONS[state, call]
    possible = ", ".join(move for before, move in EXTENSION_TRANSITIONS if before is state) or "nothing"
    return single(
        403,
        "Extension.InvalidExtensionState",
        f"Extension {printable(name)} is {state}: {call} is not allowed",
        f"in state {state} the moves are: {possible}",
    )


class Phase(StrEnum):
    """Where the execution environment stands."""

    INIT = "init"
    IDLE = "idle"
    INVOKE = "invoke"
    SHUTDOWN = "shutdown"
    CLOSED = "closed"


class Trigger(StrEnum):
    """What moves the environment from phase to phase."""

    END_INIT = "end_init"
    INVOCATION_START = "invocation_start"
    INVOCATION_END = "invocation_end"
    SHUTDOWN = "shutdown"
    CLOSE = "close"
    RESTART = "restart"


_P, _T = Phase, Trigger

PHASE_TRANSITIONS: Mapping[tuple[Phase, Trigger], Phase] = MappingProxyType(
    {
        (_P.INIT, _T.END_INIT): _P.IDLE,
        (_P.IDLE, _T.INVOCATION_START): _P.INVOKE,
        (_P.INVOKE, _T.INVOCATION_END): _P.IDLE,
        (_P.INIT, _T.SHUTDOWN): _P.SHUTDOWN,
        (_P.IDLE, _T.SHUTDOWN): _P.SHUTDOWN,
        (_P.INVOKE, _T.SHUTDOWN): _P.SHUTDOWN,  # a crash or a time-out ends the environment with the invocation
        (_P.SHUTDOWN, _T.SHUTDOWN): _P.SHUTDOWN,
        (_P.SHUTDOWN, _T.RESTART): _P.INIT,  # the next environment; its extensions register anew
        (_P.INIT, _T.CLOSE): _P.CLOSED,
        (_P.IDLE, _T.CLOSE): _P.CLOSED,
        (_P.INVOKE, _T.CLOSE): _P.CLOSED,
        (_P.SHUTDOWN, _T.CLOSE): _P.CLOSED,
        (_P.CLOSED, _T.SHUTDOWN): _P.CLOSED,
        (_P.CLOSED, _T.CLOSE): _P.CLOSED,
    }
)
"""(phase, trigger) → the phase after it. To shut down or to close a second time does nothing."""

_WANTED: Mapping[Trigger, str] = MappingProxyType(
    {
        _T.END_INIT: "end init",
        _T.INVOCATION_START: "start an invocation",
        _T.INVOCATION_END: "end an invocation",
        _T.SHUTDOWN: "shut down",
        _T.CLOSE: "close",
        _T.RESTART: "begin a new execution environment",
    }
)

_WHY_NOT: Mapping[Phase, str] = MappingProxyType(
    {
        _P.INIT: "the environment is still initializing: end init first",
        _P.IDLE: "init is over and no invocation is running",
        _P.INVOKE: "an invocation is running: let it end first",
        _P.SHUTDOWN: "the environment has shut down: restart() begins a new one",
        _P.CLOSED: "the environment is closed: use a new one",
    }
)


def advance_phase(phase: Phase, trigger: Trigger) -> Phase:
    """The phase after a trigger. Raises MisuseError where the table has no such move."""
    after = PHASE_TRANSITIONS.get((phase, trigger))
    if after is None:
        raise MisuseError(f"cannot {_WANTED[trigger]}: {_WHY_NOT[phase]}")
    return after


def init_over(phase: Phase) -> bool:
    """Registrations and subscriptions are no longer accepted."""
    return phase is not Phase.INIT

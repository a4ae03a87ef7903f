"""The states of a record on its way from the function's log to a backend, and what leads from one to another.

Lambda's own part ends at `acknowledged`: the listener has answered 200, and Lambda forgets the batch (Telemetry API
reference). What the extension does from there on is seen at its backend only.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

State = Literal["buffered", "in-flight", "acknowledged", "arrived", "dropped", "given-up"]
Step = Literal["sent", "acknowledged", "seen", "dropped", "given-up"]

STATES: Final[tuple[State, ...]] = get_args(State)

MEANINGS: Final[Mapping[State, str]] = MappingProxyType(
    {
        "buffered": "it waits in the subscription's buffer",
        "in-flight": "its batch was sent, and no attempt was acknowledged yet",
        "acknowledged": "the listener has acknowledged its batch; the backend has not seen it",
        "arrived": "a request that the backend answered 2xx held it",
        "dropped": "Lambda had no room for it, which platform.logsDropped announces",
        "given-up": "its batch was not tried again, or its execution environment ended first",
    }
)

NEXT: Final[Mapping[State, Mapping[Step, State]]] = MappingProxyType(
    {
        "buffered": {"sent": "in-flight", "dropped": "dropped", "given-up": "given-up", "seen": "arrived"},
        "in-flight": {"acknowledged": "acknowledged", "dropped": "dropped", "given-up": "given-up", "seen": "arrived"},
        "acknowledged": {"seen": "arrived"},
        "arrived": {},
        "dropped": {"seen": "arrived"},
        "given-up": {"seen": "arrived"},
    }
)
"""What a step changes; every other step leaves a state as it is.

What the backend has seen has arrived, whatever Lambda believes: an answer may have been lost on its way.
"""


def state_after(steps: Iterable[Step]) -> State:
    """Where a record stands that was buffered, after these steps."""
    state: State = "buffered"
    for step in steps:
        state = NEXT[state].get(step, state)
    return state

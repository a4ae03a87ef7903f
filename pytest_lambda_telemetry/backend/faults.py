"""What a fake backend does wrong on demand, and what its client sees of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

from ..model.checks import is_one_of, is_whole, not_negative, quoted, repr_of
from ..model.errors import MisuseError

FaultName = Literal["refuse", "reset", "timeout", "slow", "hang", "truncate"]
BackendFault = FaultName | int
"""What `Backend.fail_next` takes: a name, or a status code."""

FAULTS: Mapping[BackendFault, str] = MappingProxyType(
    {
        "refuse": "a connection that is reset at once; the backend sees nothing of the request",
        503: "this status, whatever `respond` says; any from 400 to 599",
        "reset": "a reset connection instead of an answer, once its whole request has arrived",
        "timeout": "no answer until `release()`, or until it gives up",
        "slow": "the answer, `delay_ms` real milliseconds late (1,000 when left out)",
        "hang": "no answer for `delay_ms` real milliseconds (1,000 when left out), then a reset connection",
        "truncate": "the status and half of the body, then the end of the connection",
    }
)
"""What the client gets, one status code standing for all of them."""

NAMES = tuple(fault for fault in FAULTS if isinstance(fault, str))
_DELAYED = ("slow", "hang")
_DELAY_MS = 1_000.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as the plan holds it; `delay_ms` is that of "slow" and "hang"."""

    kind: BackendFault
    delay_ms: float = 0.0


def parse_fault(kind: object, path: object, delay_ms: object) -> Fault:
    """A fault from what a test passes in. Raises MisuseError, which lists the valid ones."""
    if not (is_one_of(kind, NAMES) or (is_whole(kind, 400) and kind <= 599)):
        raise MisuseError(f"{repr_of(kind)} is no fault of a backend; use one of {quoted(NAMES)}, or a status 400-599")
    if kind == "refuse" and path is not None:
        raise MisuseError(f"path={repr_of(path)} with 'refuse': a connection has no path; leave it out")
    if delay_ms is not None and kind not in _DELAYED:
        raise MisuseError(f"delay_ms={repr_of(delay_ms)} with {kind!r}: it goes with 'slow' and 'hang' only")
    late = not_negative("delay_ms", delay_ms) if delay_ms is not None else _DELAY_MS
    return Fault(cast(BackendFault, kind), late if kind in _DELAYED else 0.0)

"""Scripts: the ready-made ones, alone and joined to the life of an execution environment."""

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from ..script import Script
from .telemetry import records

_Option = st.SearchStrategy[Any]  # each has a type of its own
_DURATIONS = st.integers(0, 3_000).map(float)
_LOGS = st.lists(records(), max_size=3)
_NAMES = st.lists(st.sampled_from(("test-extension", "my-extension", "other-extension")), max_size=2, unique=True)

_INVOCATION: dict[str, _Option] = {
    "duration_ms": _DURATIONS,
    "logs": _LOGS,
    "overhead_ms": st.integers(0, 2_000).map(float),
    "tenant_id": st.sampled_from(("tenant-a", "tenant-b")),
    "memory_mb": st.sampled_from((128, 512, 10_240)),
}
_INIT: dict[str, _Option] = {"init_duration_ms": _DURATIONS, "init_logs": _LOGS, "extensions": _NAMES}
_FAILED: dict[str, _Option] = {"init_status": st.sampled_from(("error", "failure", "timeout"))}
_RESTORE: dict[str, _Option] = {
    "restore_duration_ms": _DURATIONS,
    "restore_logs": _LOGS,
    "snapshot_at": st.just("2025-01-29T12:00:00.000Z"),
}
_TIMEOUT: dict[str, _Option] = {
    "logs": _LOGS,
    "timeout_s": st.sampled_from((1.0, 3.0, 15.0)),
    "tenant_id": _INVOCATION["tenant_id"],
}
_CRASH: dict[str, _Option] = {"error_type": st.sampled_from(("Runtime.ExitError", "Runtime.Unknown"))}
_STATUS: dict[str, _Option] = {"status": st.just("error")}


def scripts() -> st.SearchStrategy[Script]:
    """What an environment may go through: a beginning, some invocations, an ending, each of them or none.

    A beginning is a cold start, a suppressed init, a restore from a snapshot or an initialization alone; an ending a
    time-out, a crash or one for want of memory. Each can be played in a clean environment that is on-demand, with the
    function's timeout of 3 s or any other. Shrinks towards `Script.invocation()` alone.
    """
    invocation = _called(Script.invocation, _INVOCATION | _STATUS)
    beginning = st.one_of(
        _called(Script.cold_start, _INVOCATION | _INIT),
        _called(Script.initialization, {"duration_ms": _DURATIONS, "logs": _LOGS, "extensions": _NAMES}),
        _called(Script.suppressed_init, _INVOCATION | _INIT | _FAILED),
        _called(Script.restore, _INVOCATION | _RESTORE),
    )
    ending = st.one_of(
        _called(Script.timeout, _TIMEOUT),
        _called(Script.crash, _INVOCATION | _CRASH),
        _called(Script.out_of_memory, _INVOCATION),
    )
    some = st.lists(invocation, min_size=1, max_size=3)
    lives = st.tuples(_perhaps(beginning), st.lists(invocation, max_size=3), _perhaps(ending)).map(
        lambda life: [*life[0], *life[1], *life[2]]
    )
    joined = st.builds(chained, some | lives.filter(lambda life: len(life) > 1))
    return invocation | beginning | ending | joined


def chained(parts: Sequence[Script]) -> Script:
    """Each where the one before it ends."""
    first, *others = parts
    return sum(others, first)


def _called(make: Callable[..., Script], options: dict[str, _Option]) -> st.SearchStrategy[Script]:
    """The script with some of these options; Hypothesis shows the call."""
    return st.fixed_dictionaries({}, optional=options).flatmap(
        lambda chosen: st.builds(make, **{name: st.just(value) for name, value in chosen.items()})
    )


def _perhaps(script: st.SearchStrategy[Script]) -> st.SearchStrategy[list[Script]]:
    return st.lists(script, max_size=1)

"""Events and batches: each builder of `events`, with plausible values and those at an edge."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from hypothesis import strategies as st

from .. import events as builders
from ..model.checks import hint_at, is_list, quoted, repr_of
from ..model.errors import MisuseError
from ..model.event import Event
from ..protocol import schema
from ..protocol.contract import SLOW_CONSUMER, TYPES
from ..protocol.fields import STATUSES
from .json_values import Json, json_values, texts

_Option = st.SearchStrategy[Any]  # each has a type of its own
_Options = dict[str, _Option]

_COUNTS = st.integers(0, 2**31) | st.just(2**53 + 1)
_MS = st.integers(0, 900_000_000).map(lambda us: us / 1_000)  # as long as a function may run, in microseconds
_WORDS = texts(min_size=1)
_TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))
_TRACES = st.sampled_from((schema.trace_header(schema.request_id()), schema.tracing(schema.request_id())))
_SPANS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(("responseLatency", "responseDuration", "runtimeOverhead")) | _WORDS,
            "durationMs": _MS,
        }
    ),
    max_size=3,
)
# What only schema version 2025-01-29 has (Managed Instances, reports without some metrics) is left out: a subscriber of
# an older one never gets it.
_INIT: _Options = {
    "initialization_type": st.sampled_from(("on-demand", "provisioned-concurrency", "snap-start")),
    "phase": st.sampled_from(get_args(schema.InitPhase)),
}
_ENVIRONMENT: _Options = {
    "runtime_version": st.sampled_from(
        ("python:3.13.v1", "provided:al2023.v1", "python:3.14.DurableFunction.v13", None)
    ),
    "function_name": st.sampled_from(("test-function", "f", None)),
    "function_version": st.sampled_from(("$LATEST", "1", None)),
    "instance_max_memory": st.sampled_from((128 * 2**20, 10_240 * 2**20, None)),
}
_TRACED: _Options = {"tracing": _TRACES, "time": _TIMES}
_DONE: _Options = {"spans": _SPANS | st.none(), **_TRACED}
_INVOKED: _Options = {
    "request_id": st.integers(0, 3).map(schema.request_id),
    "tenant_id": st.sampled_from(("tenant-a", "tenant-b")),
}
_METRICS: _Options = {
    "billed_duration_ms": _COUNTS,
    "memory_size_mb": st.sampled_from((128, 10_240)),
    "max_memory_used_mb": st.integers(0, 10_240),
    "init_duration_ms": _MS,
    "restore_duration_ms": _MS,
    "billed_restore_duration_ms": _COUNTS,
}
_EXTENSION_NAMES = st.sampled_from(("test-extension", "my-extension")) | _WORDS
_ERROR_TYPES = st.sampled_from(("Runtime.ExitError", "Function.Unknown", "Extension.Crash"))

_LINES = texts() | st.sampled_from(
    ("a line\n", "two\nlines", '{"level": "INFO"}', "\0\x1b[31m\u2028", "\ufeffé😀", " ", "x" * 1_000)
)
_LEVELS = st.sampled_from(("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
_OBJECTS = st.fixed_dictionaries({"level": _LEVELS, "message": texts()}, optional={"requestId": _INVOKED["request_id"]})


def records() -> st.SearchStrategy[Json]:
    """Records of log events: lines, any other JSON value, objects as loggers write them."""
    return _LINES | json_values() | _OBJECTS  # in this order: an object is shrunk to None, where that fails too


def _statuses(extra: _Options) -> st.SearchStrategy[dict[str, Any]]:
    """Options with a status, and an error type where one may go with it."""
    failed = st.fixed_dictionaries(
        {"status": st.sampled_from(("error", "failure"))}, optional={"error_type": _ERROR_TYPES | st.none(), **extra}
    )
    return st.fixed_dictionaries({}, optional={"status": st.sampled_from(STATUSES), **extra}) | failed


def _options(optional: _Options) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


def _called(make: Callable[..., Event], options: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Event]:
    """An event of this builder, with some of its arguments; Hypothesis shows the call."""
    return options.flatmap(lambda chosen: st.builds(make, **{name: st.just(value) for name, value in chosen.items()}))


def _logged(make: Callable[..., Event]) -> st.SearchStrategy[Event]:
    return st.builds(make, records()) | st.builds(make, _LINES, time=_TIMES)


_FUNCTION_LOGS = st.builds(builders.function_log, texts(), _LEVELS) | st.builds(
    builders.function_log, json_values(), _LEVELS, _INVOKED["request_id"], _WORDS, time=_TIMES | st.none()
)

EVENTS: Mapping[str, st.SearchStrategy[Event]] = {
    "function": _logged(builders.function) | _FUNCTION_LOGS,
    "extension": _logged(builders.extension),
    "platform.start": _called(
        builders.platform_start,
        _options(
            {
                **_INVOKED,
                "version": st.sampled_from(("$LATEST", "1", None)),
                "function_arn": st.sampled_from((schema.function_arn("f"), None)),
                **_TRACED,
            }
        ),
    ),
    "platform.runtimeDone": _called(
        builders.platform_runtime_done,
        _statuses({**_INVOKED, "duration_ms": _MS, "produced_bytes": _COUNTS | st.none(), **_DONE}),
    ),
    "platform.report": _called(
        builders.platform_report, _statuses({**_INVOKED, "duration_ms": _MS, **_METRICS, **_DONE})
    ),
    "platform.initStart": _called(builders.platform_init_start, _options({**_INIT, **_ENVIRONMENT, **_TRACED})),
    "platform.initRuntimeDone": _called(builders.platform_init_runtime_done, _statuses({**_INIT, **_DONE})),
    "platform.initReport": _called(builders.platform_init_report, _statuses({**_INIT, "duration_ms": _MS, **_DONE})),
    "platform.restoreStart": _called(builders.platform_restore_start, _options({**_ENVIRONMENT, **_TRACED})),
    "platform.restoreRuntimeDone": _called(builders.platform_restore_runtime_done, _statuses(_DONE)),
    "platform.restoreReport": _called(builders.platform_restore_report, _statuses({"duration_ms": _MS, **_DONE})),
    "platform.extension": _called(
        builders.platform_extension,
        _options(
            {
                "name": _EXTENSION_NAMES,
                "state": st.sampled_from(("Ready", "Started", "Registered")),
                "events": st.lists(st.sampled_from(get_args(schema.LifecycleEvent)), unique=True),
                "error_type": _ERROR_TYPES,
                "time": _TIMES,
            }
        ),
    ),
    "platform.telemetrySubscription": _called(
        builders.platform_telemetry_subscription,
        _options(
            {
                "name": _EXTENSION_NAMES,
                "state": st.sampled_from(("Subscribed", "Already subscribed")),
                "types": st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
                "time": _TIMES,
            }
        ),
    ),
    "platform.logsDropped": _called(
        builders.platform_logs_dropped,
        _options(
            {
                "reason": st.just(SLOW_CONSUMER) | _WORDS,
                "dropped_records": _COUNTS,
                "dropped_bytes": _COUNTS,
                "time": _TIMES,
            }
        ),
    ),
}
"""By event type; the first are the simplest."""


def events(types: Sequence[str] | None = None) -> st.SearchStrategy[Event]:
    """Events that Lambda could send to a subscriber of any schema version, with any arguments of their builders.

    `types` are event types, or "platform" for all of the platform's; without them every type comes. The record of a
    log is a line, an object or any other JSON value. Shrinks towards an empty line, and to a bare call of a builder.
    For types and fields that do not exist (yet) make your own with `events.from_dict`. Raises MisuseError for a type
    that Lambda does not know.
    """
    return st.one_of([EVENTS[name] for name in _wanted(types)])


def batches(
    types: Sequence[str] | None = None, *, min_size: int = 1, max_size: int = 20
) -> st.SearchStrategy[list[Event]]:
    """Lists of `events(types)`, for `emit(*batch)` and `push(batch)`. Raises MisuseError as it does."""
    return st.lists(events(types), min_size=min_size, max_size=max_size)


def _wanted(types: object) -> list[str]:
    if types is None:
        return [*EVENTS]
    valid = ("platform", *EVENTS)
    if not is_list(types) or not (given := [*types]):
        raise MisuseError(f"types={repr_of(types)} is no list of event types; pass a list such as ['function']")
    for name in given:
        if name not in valid:
            hint = hint_at(name, valid)
            raise MisuseError(f"there is no event type {repr_of(name)}; {hint and f'{hint} '}valid: {quoted(valid)}")
    return [name for name in EVENTS if name in given or ("platform" in given and name.startswith("platform."))]

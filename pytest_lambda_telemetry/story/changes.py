"""How scenarios change the story: pure functions from a moment and its actions to the actions that are carried out.

The catalogue that uses them is `scenarios.py`, with the sources of each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Any, cast

from .. import events
from ..model.event import Event
from ..protocol.fields import overhead_spans
from ..protocol.schema import Status, trace_header
from . import init
from .endings import OUT_OF_MEMORY
from .scenario import Moment
from .steps import Advance, Flush, Freeze, Inject, Invoke, Later, Restart, ScenarioAction, Shutdown, Thaw

Actions = Sequence[ScenarioAction]
_INIT_MS = 8_000.0
_EARLY_LINES = 300
IDLE_HOURS = 6
_SLEEP_MS = 3_600_000.0
_RESTORE_MS = 80.0
_ROOM = 600  # what an event of the function needs beside its text, generously
_BESIDE = "00000000-0000-4000-8000-00000000beef"
_RAISED = "[ERROR] RuntimeError: the function fails\nTraceback (most recent call last):\n  …"

# Helpers -------------------------------------------------------------------------------------------------------------


def _is(action: ScenarioAction, kind: str) -> bool:
    return isinstance(action, Event) and action.type == kind


def _record(action: ScenarioAction) -> dict[str, Any]:
    """The record of a platform event."""
    assert isinstance(action, Event)
    return dict(cast(Mapping[str, Any], action.record))


def _with_report(action: ScenarioAction, change: Callable[[dict[str, Any]], dict[str, Any]]) -> ScenarioAction:
    """platform.report with another record; any other action as it is."""
    if not _is(action, "platform.report"):
        return action
    assert isinstance(action, Event)
    return replace(action, record=change(_record(action)))


def _told_as(
    action: ScenarioAction,
    status: Status,
    error_type: str | None = None,
    *,
    least_ms: float = 0.0,
    used_all: bool = False,
) -> ScenarioAction:
    """runtimeDone or report of an invocation that ends otherwise; any other action as it is."""
    if not (_is(action, "platform.runtimeDone") or _is(action, "platform.report")):
        return action
    assert isinstance(action, Event)
    record, metrics = _record(action), dict(_record(action).get("metrics") or {})
    if "durationMs" in metrics:
        metrics["durationMs"] = max(metrics["durationMs"], least_ms)
    if "billedDurationMs" in metrics:
        metrics["billedDurationMs"] = ceil(metrics["durationMs"] + metrics.get("initDurationMs", 0.0))
    if used_all and "memorySizeMB" in metrics:
        metrics["maxMemoryUsedMB"] = metrics["memorySizeMB"]
    record = {name: value for name, value in record.items() if name not in ("spans", "errorType")}
    record |= {"status": status, **({"metrics": metrics} if metrics else {})}
    return replace(action, record={**record, **({"errorType": error_type} if error_type else {})})


def first(change: Callable[[Moment, Actions], Iterable[ScenarioAction]]) -> Callable[[Moment, Actions], Actions]:
    """The change happens to the first invocation alone."""
    return lambda moment, actions: list(change(moment, actions)) if moment.number == 1 else actions


# Changes of the story ------------------------------------------------------------------------------------------------


def long_init(_moment: Moment, actions: Actions) -> Actions:
    return [*actions, Advance(_INIT_MS)]


def logs_during_init(_moment: Moment, actions: Actions) -> Actions:
    lines = (f"the function initializes: step {number} of {_EARLY_LINES}" for number in range(1, _EARLY_LINES + 1))
    return [*actions, *(Inject(events.function(line)) for line in lines)]


def as_json(moment: Moment, actions: Actions) -> Actions:
    def written(action: ScenarioAction) -> ScenarioAction:
        if not (isinstance(action, Event) and isinstance(action.record, str)):
            return action
        line = events.function_log(action.record.rstrip("\n"), request_id=moment.request_id)
        return replace(action, record=line.record)

    return [written(action) for action in actions]


def odd_logs(_moment: Moment, actions: Actions) -> Actions:
    odd = [None, 42, 1.5, True, "", ["a", ["b"]], {"deep": {"er": [None]}}, {"message": None}]
    return [
        *(Inject(Event("function", one)) for one in odd),
        *actions,
        Inject(Event("platform.fromTheFuture", {"requestId": "?", "reason": "a type that no version has"})),
        Inject(Event("extension", None)),
    ]


def odd_report(_moment: Moment, actions: Actions) -> Actions:
    return [_with_report(action, lambda record: {**record, "fromTheFuture": {"unknown": True}}) for action in actions]


def frozen_at_once(_moment: Moment, actions: Actions) -> Actions:
    return [*actions, Freeze()]


def logs_then_frozen(_moment: Moment, actions: Actions) -> Actions:
    return [Flush(), *actions, Freeze()]


def telemetry_first(_moment: Moment, actions: Actions) -> Actions:
    told = [action for action in actions if not isinstance(action, Invoke)]
    invokes = [action for action in actions if isinstance(action, Invoke)]
    return [Thaw(), *told, Later(Flush()), *map(Later, invokes)]


def dropped(_moment: Moment, actions: Actions) -> Actions:
    return [*actions, Inject(events.platform_logs_dropped(dropped_records=1_000, dropped_bytes=262_144))]


def burst(moment: Moment, actions: Actions) -> Actions:
    """Lines that fill a batch almost to the limit, and one as long as the limit."""
    limit = max((one.buffering.max_bytes for one in moment.subscriptions), default=262_144)
    almost = [events.function("-" * (limit // 4 - _ROOM)) for _ in range(3)]
    return [
        Flush(),
        *(Inject(line) for line in almost),
        *actions,
        Inject(events.function("-" * (limit - _ROOM))),
    ]


def init_again(moment: Moment, actions: Actions) -> Actions:
    """The init fails, and is repeated with phase "invoke"."""
    done = [action for action in actions if _is(action, "platform.initRuntimeDone")]
    report = [action for action in actions if _is(action, "platform.initReport")]
    standing = [action for action in actions if _is(action, "platform.extension")]
    failed = {"status": "error", "errorType": "Runtime.ExitError"}

    def told(action: ScenarioAction, changes: Mapping[str, object]) -> Event:
        assert isinstance(action, Event)
        return replace(action, record={**_record(action), **changes})

    names = [str(_record(action)["name"]) for action in standing]
    return [
        *(told(action, failed) for action in (*done, *report)),
        *(told(Event("platform.initStart", moment.init.started().record), {"phase": "invoke"}) for _ in done),
        *(init.subscribed(name, state=init.AGAIN) for name in names),
        Advance(100.0),
        *(told(action, {"phase": "invoke"}) for action in done),
        *standing,
        *(told(action, {"phase": "invoke"}) for action in report),
    ]


def long_before(_moment: Moment, actions: Actions) -> Actions:
    return [*actions, Freeze(), Advance(_SLEEP_MS)]


def restored(moment: Moment, actions: Actions) -> Actions:
    taken = moment.now - timedelta(days=3)
    start, *done = moment.init.restored(_RESTORE_MS)
    return [
        Thaw(),
        *(Inject(event) for event in moment.init.remembered(taken, 100.0)),
        start,
        Advance(_RESTORE_MS),
        *done,
        *actions,
    ]


def restore_reported(_moment: Moment, actions: Actions) -> Actions:
    took = {"restoreDurationMs": _RESTORE_MS, "billedRestoreDurationMs": ceil(_RESTORE_MS)}

    def with_restore(record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "metrics": {**record["metrics"], **took}}

    return [_with_report(action, with_restore) for action in actions]


def beside(kind: str) -> Callable[[Moment, Actions], Actions]:
    """What another invocation, which runs at the same time, tells."""

    def change(_moment: Moment, actions: Actions) -> Actions:
        line = events.function_log("another invocation, at the same time", request_id=_BESIDE)
        told = {
            "invocation-begun": [events.platform_start(request_id=_BESIDE)],
            "logs": [line],
            "report": [
                events.platform_report(
                    request_id=_BESIDE,
                    duration_ms=5.0,
                    billed_duration_ms=None,
                    memory_size_mb=None,
                    max_memory_used_mb=None,
                    spans=None,
                )
            ],
        }
        return [*(Inject(event) for event in told[kind]), *actions]

    return change


def in_pieces(moment: Moment, actions: Actions) -> Actions:
    """The function waits between its lines; Lambda ends the invocation, and continues it later under the same id."""
    half = len(actions) // 2
    request_id = moment.request_id or ""
    return [
        *actions[:half],
        Inject(
            events.platform_runtime_done(request_id=request_id, duration_ms=1.0),
        ),
        Flush(),
        Inject(
            events.platform_report(request_id=request_id, duration_ms=1.2, spans=overhead_spans(0.2)),
        ),
        Freeze(),
        Advance(_SLEEP_MS),
        Thaw(),
        Invoke(request_id=request_id, deadline_ms=max(1.0, moment.remaining_ms), tracing=trace_header(request_id)),
        Inject(events.platform_start(request_id=request_id)),
        *actions[half:],
    ]


def failed(_moment: Moment, actions: Actions) -> Actions:
    told = [_told_as(action, "error", "Function.RuntimeError") for action in actions]
    return [*(Inject(events.function(_RAISED)) for action in told if _is(action, "platform.runtimeDone")), *told]


def timed_out(moment: Moment, actions: Actions) -> Actions:
    told = [
        _told_as(action, "timeout", least_ms=round(moment.lasted_ms + moment.remaining_ms, 3)) for action in actions
    ]
    return [Advance(moment.remaining_ms), *told]


def timed_out_and_over(moment: Moment, actions: Actions) -> Actions:
    return [
        *(_told_as(action, "timeout", least_ms=round(moment.lasted_ms, 3)) for action in actions),
        Shutdown("timeout"),
        Restart(),
    ]


def out_of_memory(_moment: Moment, actions: Actions) -> Actions:
    return [_told_as(action, "error", OUT_OF_MEMORY, used_all=True) for action in actions]


def out_of_memory_and_over(moment: Moment, actions: Actions) -> Actions:
    return [*out_of_memory(moment, actions), Flush(), Shutdown("failure"), Restart()]


def idle(_moment: Moment, actions: Actions) -> Actions:
    return [*actions, Advance(IDLE_HOURS * 3_600_000.0)]

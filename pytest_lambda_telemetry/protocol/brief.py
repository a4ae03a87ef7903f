"""An event for a person, in a few words: what it is, and what tells it from others of its kind."""

from collections.abc import Mapping

from ..model.event import Event
from .schema import REQUIRED

_TOLD = ("initializationType", "phase", "name", "state", "status", "errorType", "reason")
_TOLD_METRICS = {"durationMs": "", "initDurationMs": "init ", "restoreDurationMs": "restore "}
_WIDTH = 72


def brief(event: Event) -> tuple[str, str]:
    """The type of an event, and a line about its record."""
    match event:
        case Event(type=event_type, record=str(line)):
            return event_type, _short(repr(line))
        case Event(type=event_type, record=record) if event_type in REQUIRED and isinstance(record, Mapping):
            return event_type, _short(" ".join(_told(record)))
    return event.type, _short(repr(event.record))


def _told(record: Mapping[str, object]) -> list[str]:
    """What a platform record says, the request id last: it is the longest, and the same in row after row."""
    told = [str(record[name]) for name in _TOLD if record.get(name)]
    metrics = record.get("metrics")
    if isinstance(metrics, Mapping):
        told += [f"{label}{metrics[name]} ms" for name, label in _TOLD_METRICS.items() if name in metrics]
    return [*told, str(record["requestId"])] if "requestId" in record else told


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"

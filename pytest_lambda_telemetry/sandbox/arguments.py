"""What a test passes in, checked: every wrong value is a MisuseError that says what to pass instead."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from math import inf
from typing import cast

from ..model.checks import is_json, is_number, is_text, is_whole, not_negative, quoted
from ..model.errors import MisuseError
from ..model.event import Event, Record
from ..protocol.fields import STATUSES
from .invocation import InvocationOptions

_LONGEST_WAIT_S = 1e9  # a lock takes a little more, but not infinity


def events(given: Iterable[object]) -> list[Event]:
    """A list of events."""
    if isinstance(given, Event | str | bytes) or not isinstance(given, Iterable):
        raise MisuseError(f"a batch is a list of events, not {given!r}")
    checked: list[Event] = []
    for event in given:
        if not isinstance(event, Event):
            raise MisuseError(
                f"{event!r} is no event; make one with a builder such as events.function('a line'), or from a dict with"
                " events.from_dict(...)"
            )
        checked.append(event)
    return checked


def log_records(logs: object) -> list[Record | Event]:
    """What a function logs: a list of lines, objects, other JSON values, events; a line or object alone is a list."""
    alone = isinstance(logs, str | Mapping)
    if not alone and (isinstance(logs, bytes) or not isinstance(logs, Iterable)):
        raise MisuseError(f"logs={logs!r} is not valid: it must be a list of lines (str) and objects (dict)")
    records = [logs] if alone else list(cast(Iterable[object], logs))
    for index, record in enumerate(records):
        if not (is_json(record) or isinstance(record, Event)):
            raise MisuseError(
                f"logs[{index}]={record!r} is not valid: it must be a line (str), an object (dict), another JSON value,"
                " or an event such as events.function_log(...)"
            )
    return cast(list[Record | Event], records)


def timeout(value: object) -> float:
    """How long to wait, in real seconds: any number, also one longer than the system can wait."""
    if not is_number(value) and value != inf:
        raise MisuseError(f"timeout={value!r} is not valid: it must be a number of seconds")
    return min(value, _LONGEST_WAIT_S)


def duration_us(delta: object, *, seconds: float, ms: float) -> int:
    """How far to advance, in microseconds."""
    if delta is not None and not isinstance(delta, timedelta):
        raise MisuseError(f"advance({delta!r}) does not say in what unit: say ms= or seconds=, or pass a timedelta")
    total = not_negative("seconds", seconds) * 1_000_000 + not_negative("ms", ms) * 1000
    if delta is not None:
        if delta < timedelta(0):
            raise MisuseError(f"advance({delta!r}): time can't go backwards")
        total += delta / timedelta(microseconds=1)
    return round(total)


_NUMBERS = ("duration_ms", "overhead_ms", "max_memory_used_mb")
_TEXTS = ("request_id", "error_type", "tenant_id", "tracing")


def invocation(options: InvocationOptions) -> None:
    """The options of an invocation. Raises MisuseError for a wrong value, and for one that does not exist."""
    given: Mapping[str, object] = cast(Mapping[str, object], options)
    valid = InvocationOptions.__annotations__
    for name in given:
        if name not in valid:
            raise MisuseError(f"an invocation has no option {name!r}; it has {', '.join(valid)}")
    for name in _NUMBERS:
        if (number := given.get(name)) is not None:
            not_negative(name, number)
            if name.endswith("_mb") and not is_whole(number):
                raise MisuseError(f"{name}={number!r} is not valid: it must be a whole number of MB")
    for name in _TEXTS:
        if (text := given.get(name)) is not None and not is_text(text):
            raise MisuseError(f"{name}={text!r} is not valid: it must be a non-empty str")
    status, error_type = given.get("status", "success"), given.get("error_type")
    if status not in STATUSES:
        raise MisuseError(f"status={status!r} is not valid: it must be one of {quoted(STATUSES)}")
    if error_type is not None and status not in ("error", "failure"):
        raise MisuseError(f"error_type={error_type!r} with status={status!r}: it goes with 'error' and 'failure' only")

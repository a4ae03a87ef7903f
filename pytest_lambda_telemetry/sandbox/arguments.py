"""What a test passes in, checked: every wrong value is a MisuseError that says what to pass instead."""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from math import inf
from typing import cast

from ..model.checks import is_json, is_list, is_number, is_one_of, is_text, is_whole, not_negative, quoted, require
from ..model.errors import MisuseError
from ..model.event import Event, Log
from ..protocol.fields import STATUSES
from ..protocol.logs_api import TYPES as LOGS_API_TYPES
from ..protocol.schema import LOG_TYPES, REQUIRED
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


def log_records(logs: object) -> list[Log]:
    """What a function logs: a list of lines, objects, other JSON values, events; a line or object alone is a list."""
    alone = isinstance(logs, str | Mapping)
    several = isinstance(logs, Iterable) and not isinstance(logs, bytes)
    require(alone or several, "logs", logs, "a list of lines (str) and objects (dict)")
    records = [logs] if alone else list(cast(Iterable[object], logs))
    for index, record in enumerate(records):
        if not (is_json(record) or isinstance(record, Event)):
            raise MisuseError(
                f"logs[{index}]={record!r} is not valid: it must be a line (str), an object (dict), another JSON value,"
                " or an event such as events.function_log(...)"
            )
    return cast(list[Log], records)


def timeout(value: object) -> float:
    """How long to wait, in real seconds: any number, also one longer than the system can wait."""
    if value == inf:
        return _LONGEST_WAIT_S
    require(is_number(value), "timeout", value, "a number of seconds")
    assert is_number(value)
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


EVENT_TYPES = (*sorted(LOG_TYPES), *REQUIRED, *LOGS_API_TYPES)
"""Every type that an event of Lambda's may have."""


def event_types(given: object, also: Callable[[], Collection[str]]) -> tuple[str, ...]:
    """Types of events, one alone or a list; `also` tells of others that there were, which Lambda does not know."""
    if not isinstance(given, str) and not is_list(given):
        raise MisuseError(f"types={given!r} is not valid: it must be a list of event types, such as ['function']")
    names = (given,) if isinstance(given, str) else tuple(given)
    unknown = [name for name in names if name not in EVENT_TYPES]
    for name in unknown:
        if name not in also():
            raise MisuseError(_no_type(name))
    return cast(tuple[str, ...], names)


def _no_type(name: object) -> str:
    """What to say of a type that no event has: the nearest one that there is, or all of them."""
    if name == "platform":
        return (
            "'platform' is what a subscription asks for, and no type of an event; those that it brings are"
            f" {quoted(REQUIRED)}"
        )
    spelled = {_letters(one): one for one in EVENT_TYPES} | {_letters(one.rpartition(".")[2]): one for one in REQUIRED}
    close = difflib.get_close_matches(_letters(str(name)), spelled, 1)
    if close:
        return f"there is no event type {name!r}; did you mean {spelled[close[0]]!r}?"
    return f"there is no event type {name!r}, and no such event was emitted; there are {quoted(EVENT_TYPES)}"


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, name)).lower()


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
            if name.endswith("_mb"):
                require(is_whole(number), name, number, "a whole number of MB")
    for name in _TEXTS:
        if (text := given.get(name)) is not None:
            require(is_text(text), name, text, "a non-empty str")
    status, error_type = given.get("status", "success"), given.get("error_type")
    require(is_one_of(status, STATUSES), "status", status, f"one of {quoted(STATUSES)}")
    if error_type is not None and status not in ("error", "failure"):
        raise MisuseError(f"error_type={error_type!r} with status={status!r}: it goes with 'error' and 'failure' only")


def concurrent(value: object, *, managed: bool, request_id: object) -> int:
    """How many invocations run at the same time; None is one. Raises MisuseError."""
    if value is None:
        return 1
    require(is_whole(value, 1), "concurrent", value, "a whole number, 1 or more")
    assert is_whole(value)
    if value > 1 and not managed:
        raise MisuseError(
            f"concurrent={value}: an execution environment runs one invocation at a time; several run at the same time"
            " only on Lambda Managed Instances (initialization_type='lambda-managed-instances')"
        )
    if value > 1 and request_id is not None:
        raise MisuseError(f"request_id={request_id!r} with concurrent={value}: each has one of its own; leave it out")
    return value

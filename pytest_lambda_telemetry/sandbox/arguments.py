"""What a test passes in, checked: every wrong value is a MisuseError that says what to pass instead."""

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, cast

from ..model.checks import (
    is_json,
    is_list,
    is_one_of,
    is_text,
    is_whole,
    not_negative,
    quoted,
    repr_of,
    require,
    require_options,
    texts,
)
from ..model.errors import MisuseError
from ..model.event import Event, Log
from ..model.records import Buffering
from ..protocol.encoding import to_text
from ..protocol.fields import STATUSES
from ..protocol.logs_api import TYPES as LOGS_API_TYPES
from ..protocol.schema import LOG_TYPES, REQUIRED
from .invocation import InvocationOptions


def events(given: Iterable[object]) -> list[Event]:
    """A list of events."""
    if not is_list(given):
        raise MisuseError(f"a batch is a list of events, not {repr_of(given)}; pass a list, such as [event]")
    checked: list[Event] = []
    for event in given:
        if not isinstance(event, Event):
            if is_list(event):
                raise MisuseError(f"{repr_of(event)} is a list, no event; pass its events one by one: emit(*batch)")
            raise MisuseError(
                f"{repr_of(event)} is no event; make one with a builder such as events.function('a line'), or from a"
                " dict with events.from_dict(...)"
            )
        checked.append(event)
    return checked


def log_records(logs: object) -> list[Log]:
    """What a function logs: a list of lines, objects, other JSON values, events; a line or object alone is a list."""
    alone = isinstance(logs, str | Mapping)
    require(alone or is_list(logs), "logs", logs, "a list of lines (str) and objects (dict)")
    records = [logs] if alone else list(cast(Iterable[object], logs))
    for index, record in enumerate(records):
        if not (is_json(record) or isinstance(record, Event)):
            raise MisuseError(
                f"logs[{index}]={record!r} is not valid: it must be a line (str), an object (dict), another JSON value,"
                " or an event such as events.function_log(...)"
            )
    return cast(list[Log], records)


def duration_us(delta: object, *, seconds: float, ms: float) -> int:
    """How far to advance, in microseconds."""
    if delta is not None and not isinstance(delta, timedelta):
        raise MisuseError(
            f"advance({repr_of(delta)}) does not say in what unit: say ms= or seconds=, or pass a timedelta"
        )
    total = not_negative("seconds", seconds) * 1_000_000 + not_negative("ms", ms) * 1000
    if delta is not None:
        if delta < timedelta(0):
            raise MisuseError(f"advance({delta!r}): time can't go backwards")
        total += delta / timedelta(microseconds=1)
    return round(total)


EVENT_TYPES = (*sorted(LOG_TYPES), *REQUIRED, *LOGS_API_TYPES)
"""Every type that an event of Lambda's may have."""


def event_types(given: object, also: Callable[[], Collection[str]]) -> tuple[str, ...]:
    """Types of events; `also` tells of others that there were, which Lambda does not know."""
    names = tuple(texts("types", given, "event types"))
    for name in names:
        if name not in EVENT_TYPES and name not in also():
            raise MisuseError(_no_type(name))
    return names


def _no_type(name: str) -> str:
    """What to say of a type that no event has: the nearest one that there is, or all of them."""
    if name == "platform":
        return (
            "'platform' is what a subscription asks for, and no type of an event; those that it brings are"
            f" {quoted(REQUIRED)}"
        )
    spelled = {_letters(one): one for one in EVENT_TYPES} | {_letters(one.rpartition(".")[2]): one for one in REQUIRED}
    close = difflib.get_close_matches(_letters(name), spelled, 1)
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
    require_options("an invocation", given, InvocationOptions.__annotations__)
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
            f"concurrent={repr_of(value)}: an execution environment runs one invocation at a time; several run at the"
            " same time only on Lambda Managed Instances (initialization_type='lambda-managed-instances')"
        )
    if value > 1 and request_id is not None:
        raise MisuseError(f"request_id={request_id!r} with concurrent={value}: each has one of its own; leave it out")
    return value


_WIRE_NAMES = {"max_items": "maxItems", "max_bytes": "maxBytes", "timeout_ms": "timeoutMs"}


def subscription(
    uri: object, types: object, schema_version: object, buffering: object, port: object
) -> dict[str, object]:
    """The body of a Subscribe that the test makes itself; what Lambda refuses in it is Lambda's to refuse."""
    if (uri is None) == (port is None):
        raise MisuseError("subscribe() takes uri= for HTTP or port= for TCP, one of the two")
    where = "an address, such as 'http://sandbox.localdomain:8080'"
    require(uri is None or isinstance(uri, str), "uri", uri, where)
    require(port is None or is_whole(port), "port", port, "the number of a port")
    require(isinstance(schema_version, str), "schema_version", schema_version, "a date, such as '2025-01-29'")
    body: dict[str, object] = {
        "schemaVersion": schema_version,
        "types": texts("types", types, "types"),
        "destination": {"protocol": "HTTP", "URI": uri} if port is None else {"protocol": "TCP", "port": port},
    }
    if buffering is not None:
        body["buffering"] = _buffering(buffering)
    return body


def _buffering(given: object) -> object:
    wire = dict(given) if isinstance(given, Mapping) else given
    if isinstance(given, Buffering):
        wire = {name: getattr(given, ours) for ours, name in _WIRE_NAMES.items()}
    try:
        to_text(wire)
    except MisuseError:
        require(False, "buffering", given, "a Buffering, or the wire's dict, such as {'timeoutMs': 100}")
    for name, value in given.items() if isinstance(given, Mapping) else ():
        if name in _WIRE_NAMES:
            spelt, shown = _WIRE_NAMES[name], repr_of(value)
            raise MisuseError(
                f"buffering has {name!r}, which the wire spells {spelt!r}: pass {{{spelt!r}: {shown}}}, or"
                f" Buffering({name}={shown})"
            )
    return wire


def variables(env: object) -> Mapping[str, str]:
    """The variables that a test adds to those of a child process."""
    if env is None:
        return {}
    wanted = "a dict of variables, each a str"
    require(isinstance(env, Mapping), "env", env, wanted)
    assert isinstance(env, Mapping)
    for name, value in env.items():
        require(isinstance(name, str), "env", env, wanted)
        require(isinstance(value, str), f"env[{name!r}]", value, "a str")
    return env


def pattern(match: object) -> re.Pattern[str] | None:
    """A regular expression."""
    if match is None:
        return None
    if isinstance(match, str | re.Pattern):
        try:
            compiled: re.Pattern[Any] = re.compile(match)
        except (re.error, OverflowError, RecursionError) as error:
            raise MisuseError(f"match={match!r} is not a regular expression: {error}") from error
        if isinstance(compiled.pattern, str):
            return compiled
    raise MisuseError(f"match={repr_of(match)} is not a regular expression: pass a str")


def predicate(given: object) -> Callable[[], object]:
    """Something to call without arguments, whose result says at once whether it holds."""
    require(callable(given), "predicate", given, "something to call, such as lambda: len(seen) == 3")
    assert callable(given)
    if inspect.iscoroutinefunction(given):
        raise MisuseError(f"predicate={given!r} is a coroutine function, which nobody awaits; pass a plain function")
    return given

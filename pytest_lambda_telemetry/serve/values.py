"""What calls return, as JSON: one way for every value.

A recorded value is an object of its fields and properties in snake case. A moment is an ISO-8601 string in UTC, a
duration a number of seconds. Bytes are text, with U+FFFD for what is no UTF-8, and beside it, as `NAME_base64`,
themselves. A recorded value inside another is shown without its headers, bodies, events and types, which it has where
it is read by itself. What cannot be read any more, or is no JSON, is null, and `missing` names it.
"""

import base64
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from functools import cache
from inspect import getattr_static
from typing import Any

from ..host.process import ExtensionProcess
from ..model.errors import LambdaTelemetryError
from ..model.headers import Headers
from ..sandbox.backend import Backend
from ..sandbox.invocation import Invocation
from ..sandbox.violations import ExpectedRejection
from ..views.entries import Entry
from ..views.ledger import Ledger

_INTERNAL = frozenset({"content", "payload", "pattern", "others"})
_HEAVY = frozenset({"headers", "raw", "body", "json", "response", "events", "types"})
_DEEPEST = 100
"""How deep a JSON value of an extension's is shown, where it is too deep for the encoder."""

LIVE: Mapping[type, tuple[str, ...]] = {
    Backend: ("name", "url", "host", "port", "ca_file", "drop_idle_on_freeze"),
    Invocation: (*("request_id", "status", "outcome", "deadline", "over", "ready_before_runtime_done", "deliveries"),),
    ExtensionProcess: ("name", "pid", "returncode", "registered", "killed", "address", "output"),
    ExpectedRejection: ("route", "rejections"),
    Ledger: ("trails", "lost", "doubled", "forgotten"),
}
"""What is shown of an object that is no plain value."""


@cache
def names_of(kind: type) -> tuple[str, ...]:
    """What is shown of an object of this class."""
    if kind in LIVE:
        return LIVE[kind]
    own = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    bases = reversed(kind.__mro__)
    own += [name for base in bases for name, member in vars(base).items() if isinstance(member, property)]
    return tuple(dict.fromkeys(name for name in own if name not in _INTERNAL and not name.startswith("_")))


def encode(value: object) -> bytes:
    """The JSON of what `plain` made; numbers that JSON does not have become null."""
    try:
        return f"{json.dumps(value, allow_nan=False)}\n".encode()
    except (ValueError, RecursionError):  # the JSON of an extension that was read leniently
        return f"{json.dumps(_cut(value, _DEEPEST))}\n".encode()


def _cut(value: object, depth: int) -> object:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if not isinstance(value, (list, dict)):
        return value
    if not depth:
        return None
    if isinstance(value, list):
        return [_cut(one, depth - 1) for one in value]
    return {name: _cut(one, depth - 1) for name, one in value.items()}


def plain(value: object, *, nested: bool = False) -> Any:  # any JSON value
    """A value as lists, dicts, strings, numbers, booleans and None. `nested`: it is inside of a recorded value."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.decode(errors="replace")
        case Headers():
            return dict(value)
        case dict():
            return value
        case list() | tuple():
            return [plain(one, nested=nested) for one in value]
        case Entry():
            return _object(value, names_of(Entry), {"fact": type(value.fact).__name__})
        case Ledger():
            text = {"trails": plain(value.trails()), "text": str(value)}
            return _object(value, names_of(Ledger), text)
    names: Collection[str] = names_of(type(value))  # type: ignore[arg-type]  # every class has a hash
    if nested:
        names = [name for name in names if name not in _HEAVY]
    return _object(value, names, {})


def _object(value: object, names: Collection[str], given: Mapping[str, object]) -> dict[str, object]:
    shown: dict[str, object] = {}
    missing: list[str] = []
    for name in names:
        if name in given:
            shown[name] = given[name]
            continue
        try:
            found = getattr(value, name)
        except LambdaTelemetryError:  # it was let go; or, in a delivery, a record was cut, and there is no JSON
            shown[name] = None
            missing.append(name)
            continue
        shown[name] = plain(found, nested=not isinstance(value, (Ledger, ExpectedRejection)))
        if isinstance(found, bytes):
            shown[f"{name}_base64"] = base64.b64encode(found).decode()
    if missing:
        shown["missing"] = missing
    return shown | {name: one for name, one in given.items() if name not in shown}


def annotation_of(kind: type, name: str) -> Callable[..., object] | None:
    """The getter of a property that is shown; None for a field."""
    member = getattr_static(kind, name, None)
    return member.fget if isinstance(member, property) else None

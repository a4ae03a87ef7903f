"""What a client sends as JSON, made into the arguments of a call; the call itself checks them, as it does in Python."""

import base64
import binascii
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from .. import events
from ..model.checks import hint_at, is_list, repr_of, require_options
from ..model.errors import MisuseError
from ..model.event import Event
from ..script import Script
from ..settings import Retry, Settings
from ..story.lifecycles import Lifecycles
from ..story.steps import EndInit, Flush, Freeze, Invoke, Shutdown, Thaw

LIFECYCLES = tuple(
    name for name, member in vars(Lifecycles).items() if isinstance(member, classmethod) and not name.startswith("_")
)
"""The ready-made scripts."""
ACTIONS = {
    "invoke": Invoke,
    "shutdown": Shutdown,
    "end_init": EndInit,
    "flush": Flush,
    "freeze": Freeze,
    "thaw": Thaw,
}
"""The steps of a script that are no events."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call. `spread`: it is a list whose items are the call's positional arguments.

    `open`: it stands for any further names. `unsendable` says why JSON cannot carry it.
    """

    name: str
    annotation: Any
    default: Any = inspect.Parameter.empty
    spread: bool = False
    open: bool = False
    unsendable: str = ""

    @property
    def required(self) -> bool:
        """It has no default."""
        return self.default is inspect.Parameter.empty and not self.open


@cache
def arguments_of(call: Callable[..., object]) -> tuple[Argument, ...]:
    """The arguments that a public method takes, as JSON names them: all by name."""
    hints = get_type_hints(call, include_extras=True)
    found: list[Argument] = []
    for parameter in list(inspect.signature(call).parameters.values())[1:]:
        annotation = hints.get(parameter.name, Any)
        if parameter.kind is parameter.VAR_KEYWORD:
            options = get_args(annotation)  # of Unpack
            if options and is_typeddict(options[0]):
                found += [Argument(name, hint, None) for name, hint in get_type_hints(options[0]).items()]
            else:
                found.append(Argument(parameter.name, annotation, open=True))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            found.append(Argument(parameter.name, annotation, spread=True))
        else:
            why = _unsendable(annotation)
            found.append(Argument(parameter.name, annotation, parameter.default, unsendable=why))
    return tuple(found)


def _unsendable(annotation: object) -> str:
    kinds = {get_origin(one) or one for one in kinds_of(annotation)} - {NoneType}
    if kinds == {timedelta}:
        return "JSON has no durations; say seconds= or ms="
    if kinds == {Callable}:
        return "it is code, which JSON cannot carry; leave it out"
    return ""


def kinds_of(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the annotation alone."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def bind(what: str, call: Callable[..., object], given: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The positional and named arguments for a call. Raises MisuseError for a name that it does not have, or lacks."""
    arguments = arguments_of(call)
    sendable = [one.name for one in arguments if not (one.open or one.unsendable)]
    for one in arguments:
        if one.unsendable and one.name in given:
            raise MisuseError(f"{what}: {one.name}= cannot be sent: {one.unsendable}")
    if not any(one.open for one in arguments):
        if given and not sendable:
            raise MisuseError(f"{what} takes no options; it was sent {', '.join(map(repr, given))}: leave that out")
        require_options(what, given, sendable)
    positional: list[Any] = []
    named = dict(given)
    for one in arguments:
        if one.name not in given:
            if one.required:
                raise MisuseError(f"{what} lacks {one.name!r}, which must be given; it has {', '.join(sendable)}")
        elif one.spread:
            items = named.pop(one.name)
            if not is_list(items):
                raise MisuseError(f"{one.name}={repr_of(items)} is not valid: it must be a list, such as [{{…}}]")
            positional = list(items) if one.annotation is not Event else _events(items)
        else:
            named[one.name] = _converted(one.annotation, named[one.name])
    return positional, named


def _converted(annotation: object, value: Any) -> Any:
    """What JSON has no kind of its own for."""
    kinds = kinds_of(annotation)
    if annotation is Script:
        return script(value)
    if annotation == Iterable[Event]:
        return _events(value)
    if bytes in kinds or object in kinds:
        return _bytes(value)
    if isinstance(value, list) and any(get_origin(kind) is tuple for kind in kinds):
        return tuple(value)
    return value


def _events(value: Any) -> Any:
    """A list of events from their wire form; what is none is left for the call to refuse."""
    return [event(one) for one in value] if isinstance(value, list) else value


def event(value: Any) -> Any:
    """An event from its wire form: `{"type": …, "record": …}`, with or without `time`."""
    return events.from_dict(value) if isinstance(value, Mapping) else value


def _bytes(value: Any) -> Any:
    """`{"base64": …}`, alone or in a list, is bytes."""
    if isinstance(value, list):
        return [_bytes(one) for one in value]
    if isinstance(value, dict) and value.keys() == {"base64"}:
        try:
            return base64.b64decode(value["base64"], validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise MisuseError(
                f"base64={repr_of(value['base64'])} is not valid: it must be a str in base64 ({error})"
            ) from None
    return value


def script(value: Any) -> Script:
    """A script from a list of its parts, each beginning where the one before it ends.

    A part is a ready-made script with its options, `{"cold_start": {"init_duration_ms": 200}}`, a recording,
    `{"from_ndjson": "PATH"}`, or a run of steps `[OFFSET_MS, ACTION]`, where an action is an event or, for example,
    `{"shutdown": {"reason": "timeout"}}`. Raises MisuseError.
    """
    if not isinstance(value, list):
        raise MisuseError(f'script={repr_of(value)} is not valid: it must be a list, such as [{{"cold_start": {{}}}}]')
    made, steps = Script(), list[tuple[Any, Any]]()
    for part in value:
        if isinstance(part, list) and len(part) == 2:
            steps.append((part[0], _action(part[1])))
        else:
            made, steps = made + Script(steps) + _ready_made(part), []
    return made + Script(steps)


def _ready_made(part: Any) -> Script:
    valid = (*LIFECYCLES, "from_ndjson")
    if not (isinstance(part, dict) and len(part) == 1):
        raise MisuseError(
            f"script has the part {repr_of(part)}; it must be a step [OFFSET_MS, ACTION], or a ready-made script with"
            f' its options, such as {{"timeout": {{}}}}; there are {", ".join(valid)}'
        )
    ((name, options),) = part.items()
    if name not in valid:
        raise MisuseError(f"there is no script {name!r}; there are {', '.join(valid)}; {hint_at(name, valid)}")
    if name == "from_ndjson":
        return Script.from_ndjson(options)
    call: Callable[..., Script] = getattr(Script, name)
    return call(**_options(f"script {name!r}", _method(name), options))


def _method(name: str) -> Callable[..., object]:
    member: Any = vars(Lifecycles)[name]
    method: Callable[..., object] = member.__func__
    return method


def _options(what: str, call: Callable[..., object], given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise MisuseError(f"{what} has {repr_of(given)}; its options must be an object, which may be empty")
    return bind(what, call, given)[1]


def _action(value: Any) -> Any:
    if not isinstance(value, dict) or "type" in value:
        return event(value)
    name = next(iter(value), None)
    if len(value) != 1 or name not in ACTIONS:
        raise MisuseError(
            f"a step of the script has {repr_of(value)}; it must be an event with type and record, or one of"
            f' {", ".join(ACTIONS)} with its options, such as {{"shutdown": {{"reason": "timeout"}}}}'
        )
    kind = ACTIONS[name]
    return kind(**_options(name, vars(kind)["__init__"], value[name]))


def settings(base: Settings, given: Mapping[str, Any]) -> Settings:
    """Settings with some of them replaced. Raises MisuseError."""
    options = dict(given)
    if isinstance(retry := options.get("retry"), dict):
        options["retry"] = Retry(**_options("retry", Retry.__init__, retry))
    chosen = base.with_options(options)
    if chosen.clock in ("freezegun", "time-machine"):
        raise MisuseError(
            f"clock={chosen.clock!r} is not valid: it would freeze the server's own process, and no extension's; it"
            " must be 'virtual', or 'system' for real time"
        )
    return chosen

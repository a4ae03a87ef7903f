"""Why two scripts, events or deliveries are not equal, in a few lines: where they differ first, and in which field."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import islice
from typing import Protocol, TypeGuard

from ..model.event import Event
from ..model.records import Delivery
from ..protocol.brief import brief

_SHOWN = 5
_WIDTH = 72
_BEFORE = 12
_BY_IDENTITY = (
    "a Delivery equals only itself, and each attempt makes a new one: compare what it holds, such as .events, .types,"
    " .body or .ok"
)


class Timed(Protocol):
    """A step of a script."""

    @property
    def offset_ms(self) -> float: ...
    @property
    def action(self) -> object: ...


class Steps(Protocol):
    """A script."""

    @property
    def steps(self) -> Sequence[Timed]: ...


@dataclass(frozen=True, slots=True)
class _Step:
    offset_ms: float
    action: object


def explain_scripts(left: Steps, right: Steps, *, whole: bool = False) -> list[str]:
    """What `left == right` failed for, the comparison itself first; `whole`: every difference, at full length."""
    one, other = ([_Step(step.offset_ms, step.action) for step in script.steps] for script in (left, right))
    return [f"{left!r} == {right!r}", *_Differences(whole).of_items("step", one, other)]


def explain(left: object, right: object, *, whole: bool = False) -> list[str] | None:
    """The same for events and deliveries, or lists of them; None for what others know better how to show."""
    shown = _Differences(whole)
    if isinstance(left, Event | Delivery) or isinstance(right, Event | Delivery):
        return [f"{shown.label(left)} == {shown.label(right)}", *shown.of_two(left, right)]
    if _is_list(left) and _is_list(right) and _are_ours([*left, *right]):
        kind = "delivery" if isinstance([*left, *right][0], Delivery) else "event"
        lines = list(shown.of_items("index", left, right))
        if type(left) is not type(right):
            lines.insert(0, f"one is a {type(left).__name__}, the other a {type(right).__name__}")
        return [f"{_counted(left, kind)} == {_counted(right, kind)}", *lines]
    return None


class _Differences:
    """How differences are shown."""

    def __init__(self, whole: bool) -> None:
        self._most = None if whole else _SHOWN
        self._width = None if whole else _WIDTH

    def of_two(self, left: object, right: object) -> Iterator[str]:
        """Lines on two things that are not equal."""
        if isinstance(left, Delivery) and isinstance(right, Delivery):
            yield _BY_IDENTITY
            found = list(self._limited(self._held(left, right)))
            yield from found or ["both hold the same"]
        elif isinstance(left, Event) and isinstance(right, Event):
            yield from self._limited(self._fields(left, right))
        else:
            yield from _kinds(left, right)

    def of_items(self, place: str, left: Sequence[object], right: Sequence[object]) -> Iterator[str]:
        """Lines on the first items that are not equal, and on those that the longer side has beyond the other."""
        common = min(len(left), len(right))
        first = next((index for index in range(common) if left[index] != right[index]), None)
        if first is not None:
            yield f"first difference at {place} {first}:"
            one, other = left[first], right[first]
            yield f"  left:  {self.label(one)}"
            yield f"  right: {self.label(other)}"
            if isinstance(one, _Step) and isinstance(other, _Step):
                lines = self._limited(self._of_steps(one, other))
            else:
                lines = self.of_two(one, other)
            yield from (f"  {line}" for line in lines)
        for side, items in (("left", left[common:]), ("right", right[common:])):
            if items and first is not None:
                yield f"the {side} has {len(items)} more"
            elif items:
                more = f"{len(items)} more" if common else str(len(items))
                yield f"the {side} has {more}, from {place} {common} on:"
                yield from (f"  {self.label(item)}" for item in islice(items, self._most))
                if self._most is not None and len(items) > self._most:
                    yield "  …"

    def _of_steps(self, left: _Step, right: _Step) -> Iterator[str]:
        yield from self._between("offset_ms", left.offset_ms, right.offset_ms)
        if type(left.action) is type(right.action):  # else it has been said
            yield from self._between("action", left.action, right.action)

    def label(self, value: object) -> str:
        """A value in a few words."""
        match value:
            case Event():
                return " ".join(filter(None, brief(value)))
            case _Step():
                return f"{value.offset_ms:g} ms  {self.label(value.action)}"
        return self._short(repr(value))

    def _limited(self, lines: Iterator[str]) -> Iterator[str]:
        yield from islice(lines, self._most)
        if rest := sum(1 for _ in lines):
            yield f"and {rest} more differences (-vv shows all)"

    def _held(self, left: Delivery, right: Delivery) -> Iterator[str]:
        if left.subscription is not right.subscription:
            yield f"subscription: {left.subscription!r} != {right.subscription!r}"
        for name in ("types", "ok", "status"):
            yield from self._between(name, getattr(left, name), getattr(right, name))
        yield from self._between("attempts", left.attempts, right.attempts)
        if not (left.payload.released or right.payload.released):
            yield from self._between("events", left.events, right.events)

    def _between(self, path: str, left: object, right: object) -> Iterator[str]:
        """Every difference between two values, each with the way to it."""
        if left == right:
            return
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            for key in dict.fromkeys([*left, *right]):
                here = f"{path}[{key!r}]"
                if key not in right:
                    yield f"{here}: {self._short(repr(left[key]))} on the left only"
                elif key not in left:
                    yield f"{here}: {self._short(repr(right[key]))} on the right only"
                else:
                    yield from self._between(here, left[key], right[key])
        elif _is_list(left) and _is_list(right):
            for index, (one, other) in enumerate(zip(left, right, strict=False)):
                yield from self._between(f"{path}[{index}]", one, other)
            if len(left) != len(right):
                yield f"{path}: {len(left)} != {len(right)} of them"
        elif is_dataclass(left) and type(left) is type(right):
            yield from self._fields(left, right, path)
        elif isinstance(left, str) and isinstance(right, str) and self._width and max(len(left), len(right)) > _WIDTH:
            yield f"{path}: {_around_first(left, right)}"
        else:
            yield f"{path}: {self._short(repr(left))} != {self._short(repr(right))}"

    def _fields(self, left: object, right: object, path: str = "") -> Iterator[str]:
        names = [one.name for value in (left, right) if is_dataclass(value) for one in fields(value)]
        for name in dict.fromkeys(names):
            here = f"{path}.{name}" if path else name
            yield from self._between(here, getattr(left, name, None), getattr(right, name, None))

    def _short(self, text: str) -> str:
        if self._width is None or len(text) <= self._width:
            return text
        return f"{text[: self._width - 1]}…"


def _kinds(left: object, right: object) -> Iterator[str]:
    """Lines on an event, or a delivery, beside something of another kind."""
    yield f"one is {_kind(left)}, the other {_kind(right)}"
    if any(isinstance(one, Event) for one in (left, right)) and any(isinstance(one, Mapping) for one in (left, right)):
        yield "events.from_dict makes an Event of a dict; of an Event compare .type and .record"
    elif any(isinstance(one, Delivery) for one in (left, right)):
        yield _BY_IDENTITY


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _around_first(left: str, right: str) -> str:
    """Two long texts, where they differ first."""
    at = next(
        (place for place, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]),
        min(len(left), len(right)),
    )
    start = max(0, at - _BEFORE)
    one, other = (repr(text[start : at + _BEFORE]) for text in (left, right))
    return f"{one} != {other} at character {at} ({len(left)} and {len(right)} characters)"


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _are_ours(items: Sequence[object]) -> bool:
    return bool(items) and all(isinstance(one, Event | Delivery) for one in items)


def _counted(items: Sequence[object], kind: str) -> str:
    plural = "deliveries" if kind == "delivery" else "events"
    return f"{type(items).__name__} of {len(items)} {kind if len(items) == 1 else plural}"

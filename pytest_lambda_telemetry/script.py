"""Scripts: what Lambda does over a stretch of time, as data, for `lambda_telemetry.play`.

A script holds steps in order of time; it runs nothing itself and never changes. `Lifecycles` has the ready-made ones.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import count, pairwise
from os import PathLike
from random import Random
from typing import Self, cast

from . import events
from .model.checks import is_list, is_number, is_one_of, is_text, is_whole, path as checked_path, quoted, repr_of
from .model.errors import MisuseError
from .model.event import Event
from .protocol import schema
from .protocol.encoding import from_text
from .protocol.projection import moment
from .protocol.schema import SHUTDOWN_REASONS
from .story.lifecycles import Lifecycles, ScriptOptions, Timed
from .story.steps import (
    ACTIONS,
    Action,
    EndInit,
    Flush,
    Freeze,
    Invoke,
    Shutdown,
    Step,
    Thaw,
    described,
    renamed,
    request_ids,
)

__all__ = ["Action", "EndInit", "Flush", "Freeze", "Invoke", "Script", "Shutdown", "Step", "Thaw"]

_MOST_STEPS = 10_000_000
_request_id = lru_cache(maxsize=4096)(schema.request_id)


class Script(Lifecycles):
    """Steps in order of time: `Script([(0, events.platform_start()), (12.5, events.function("a line"))])`.

    An offset is in milliseconds from the script's beginning; an action is an Event or one of Invoke, Shutdown, EndInit,
    Flush, Freeze, Thaw. `a + b` begins b where a ends, `a * 3` repeats with request ids of their own. Scripts with
    equal steps are equal. Raises MisuseError, naming the step, for an offset that is negative, no number, or before the
    one ahead of it, and for an action that is neither.
    """

    __slots__ = ("_own_ids", "_steps")

    def __init__(self, steps: Iterable[Step | tuple[float, Action]] = ()) -> None:
        if not is_list(steps):
            raise MisuseError(f"Script({repr_of(steps)}): a script is a list of steps; pass [(offset_ms, event), …]")
        self._steps = tuple(_checked(index, item) for index, item in enumerate(steps))
        self._own_ids: frozenset[str] = frozenset()
        for index, (earlier, later) in enumerate(pairwise(self._steps), start=1):
            if later.offset_ms < earlier.offset_ms:
                raise MisuseError(
                    f"step {index} of the script is at {later.offset_ms:g} ms, before step {index - 1} at"
                    f" {earlier.offset_ms:g} ms; give the steps in order of time"
                )

    @classmethod
    def _of(cls, steps: Iterable[Step], own_ids: Iterable[str]) -> Self:
        made = cls(steps)
        made._own_ids = frozenset(own_ids)
        return made

    @classmethod
    def _made(cls, steps: Iterable[Timed], options: ScriptOptions) -> Self:
        own = () if "request_id" in options else (schema.request_id(),)
        return cls._of((Step(round(offset, 3), action, part=part) for offset, action, part in steps), own)

    @classmethod
    def from_ndjson(cls, path: str | PathLike[str]) -> Self:
        """Recorded telemetry at its own timestamps: one event a line, or one batch (a JSON array) a line.

        Offsets count from the first event; the order is the file's, so an event recorded late comes late. Each event
        keeps the `time` it was recorded with, and types and fields of any kind. Blank lines are skipped. Raises
        MisuseError with file and line for what is not an event in UTF-8 JSON, or has no usable time.
        """
        name = checked_path("path", path)
        try:
            with open(name, "rb") as file:
                lines = file.read().split(b"\n")
        except OSError as error:
            raise MisuseError(f"cannot read the recording {name!r}: {error}") from error
        steps: list[Step] = []
        offset, first = 0.0, None
        for number, line in enumerate(lines, start=1):
            try:
                for event in _recorded(line):
                    at = _moment(event)
                    first = at if first is None else first
                    offset = max(offset, round((at - first).total_seconds() * 1000, 3))
                    steps.append(Step(offset, event))
            except (ValueError, MisuseError) as error:
                raise MisuseError(
                    f"{name}, line {number}: {error}; each line is one event or one array of events, each with"
                    ' "time", "type" and "record"'
                ) from error
        return cls(steps)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, in order."""
        return self._steps

    @property
    def duration_ms(self) -> float:
        """The offset of the last step; 0 for an empty script."""
        return self._steps[-1].offset_ms if self._steps else 0.0

    def __add__(self, other: object) -> Self:
        """This script, then the other where it ends; request ids that nobody chose stay distinct."""
        if not isinstance(other, Script):
            return NotImplemented
        theirs = request_ids(other.steps)
        unused = _unused({*request_ids(self.steps)} | ({*theirs} - other._own_ids))
        names = {name: next(unused) for name in theirs if name in other._own_ids}
        second = _later(renamed(other.steps, names), self.duration_ms)
        return self._of([*self._steps, *second], {*self._own_ids, *names.values()})

    def __mul__(self, times: object) -> Self:
        """This script so many times over, each time with request ids of its own."""
        if not is_whole(times):
            return NotImplemented
        if times < 0:
            raise MisuseError(f"cannot repeat a script {repr_of(times)} times; multiply by 0 or more")
        self._require_room(times)
        return self._copies([self.duration_ms * place for place in range(times)])

    __rmul__ = __mul__

    def shifted(self, ms: float) -> Self:
        """The script with every step `ms` later; earlier, if negative, but never before its beginning."""
        return self._of(_later(self._steps, _finite("ms", ms)), self._own_ids)

    def stretched(self, factor: float) -> Self:
        """The script with the moments of its steps, and the deadlines of its invocations, `factor` times as far apart.

        What records say of durations stays.
        """
        if _finite("factor", factor) <= 0:
            raise MisuseError(f"cannot stretch a script by {factor:g}; pass a factor over 0")
        return self._of([_stretched(step, factor) for step in self._steps], self._own_ids)

    def concurrent(self, n: int, *, seed: int = 0) -> Self:
        """So many copies at once, as on Managed Instances: each with request ids of its own, their steps interleaved.

        The first begins at 0, the others at moments within its duration that depend on `seed` alone. INVOKE and freeze,
        which Managed Instances do not have, are left out. A script that does anything else to the environment is a
        MisuseError.
        """
        if not is_whole(n, 1):
            raise MisuseError(f"cannot run {repr_of(n)} copies of a script at once; pass an int, 1 or more")
        if not is_whole(seed):
            raise MisuseError(f"seed={repr_of(seed)} is not an int; the same seed gives the same order")
        actions = [step.action for step in self._steps]
        if alone := sorted({type(act).__name__ for act in actions if not isinstance(act, Event | Invoke | Freeze)}):
            raise MisuseError(
                f"a script with {', '.join(alone)} cannot run beside copies of itself; make the invocations concurrent"
                " and join the rest, as in Script.initialization() + Script.invocation().concurrent(3)"
            )
        events_alone = self._of((step for step in self._steps if isinstance(step.action, Event)), self._own_ids)
        self._require_room(n)
        random = Random(seed)
        return events_alone._copies([0.0, *(random.uniform(0, self.duration_ms) for _ in range(n - 1))])

    def _require_room(self, copies: int) -> None:
        if copies * max(1, len(self)) > _MOST_STEPS:
            raise MisuseError(
                f"{repr_of(copies)} copies of a script of {len(self)} steps are more than {_MOST_STEPS:,} steps;"
                " play a shorter one in a loop"
            )

    def _copies(self, starts: Iterable[float]) -> Self:
        """A copy at each of these moments, all but the first with other request ids, merged in order of time."""
        ids = request_ids(self._steps)
        unused = _unused({*ids})
        own_ids = {*self._own_ids}
        steps: list[Step] = []
        for place, start in enumerate(starts):
            names = {name: next(unused) for name in ids} if place else {}
            own_ids.update(names.values())
            steps += _later(renamed(self._steps, names), start)
        steps.sort(key=lambda step: step.offset_ms)
        return self._of(steps, own_ids)

    def __len__(self) -> int:
        return len(self._steps)

    def __eq__(self, other: object) -> bool:
        return self._steps == other._steps if isinstance(other, Script) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # records are dicts: no script can be hashed

    def __repr__(self) -> str:
        return f"<Script of {len(self)} steps in {self.duration_ms:g} ms>"

    def __str__(self) -> str:
        """A table for a person: when, what, and what tells it from the others."""
        rows = [(f"{step.offset_ms:,.3f} ms", *described(step.action)) for step in self._steps]
        when, what = (max((len(row[column]) for row in rows), default=0) for column in (0, 1))
        table = (f"{row[0]:>{when}}  {row[1]:<{what}}  {row[2]}".rstrip() for row in rows)
        return "\n".join([repr(self), *table])


def _checked(index: int, item: object) -> Step:
    """A step, from a Step or a pair."""
    offset: object
    action: object
    if isinstance(item, Step):
        offset, action, part = item.offset_ms, item.action, item.part
    elif isinstance(item, tuple) and len(item) == 2:
        (offset, action), part = item, None
    else:
        raise MisuseError(f"step {index} of the script is {repr_of(item)}; pass a pair of offset in ms and event")
    if not is_number(offset, 0):
        raise MisuseError(
            f"step {index} of the script is at {repr_of(offset)}; pass milliseconds from its beginning, 0 or more"
        )
    if not isinstance(action, ACTIONS):
        hint = "make it one with events.from_dict" if isinstance(action, Mapping) else "make one with events"
        raise MisuseError(f"step {index} of the script has {repr_of(action)}, which is not an Event; {hint}")
    if wrong := _wrong_in(action):
        raise MisuseError(f"step {index} of the script has {type(action).__name__} with {wrong}")
    return Step(offset, action, part=part)


def _wrong_in(action: Action) -> str:
    """What cannot be carried out, and what can; empty where all is well."""
    match action:
        case Shutdown() if not is_one_of(action.reason, SHUTDOWN_REASONS):
            return f"reason={repr_of(action.reason)}; the valid ones are {quoted(SHUTDOWN_REASONS)}"
        case Invoke() if not is_number(action.deadline_ms, 0):
            return f"deadline_ms={repr_of(action.deadline_ms)}; pass milliseconds from this step, 0 or more"
        case Invoke() if not is_text(action.request_id):
            return f"request_id={repr_of(action.request_id)}; pass a non-empty str"
        case Invoke() if not is_text(action.tracing):
            return f"tracing={repr_of(action.tracing)}; pass the value of the trace header, a non-empty str"
    return ""


def _finite(name: str, value: object) -> float:
    if not is_number(value):
        raise MisuseError(f"{name}={repr_of(value)} is not a finite number; pass an int or a float")
    return value


def _later(steps: Iterable[Step], ms: float) -> list[Step]:
    return [replace(step, offset_ms=round(step.offset_ms + ms, 3)) for step in steps]


def _stretched(step: Step, factor: float) -> Step:
    action = step.action
    if isinstance(action, Invoke):
        action = replace(action, deadline_ms=action.deadline_ms * factor)
    return replace(step, offset_ms=round(step.offset_ms * factor, 3), action=action)


def _unused(taken: set[str]) -> Iterator[str]:
    """Request ids by number, without those that are taken."""
    return (name for number in count() if (name := _request_id(number)) not in taken)


def _recorded(line: bytes) -> list[Event]:
    """The events of one line of a recording. Raises ValueError or MisuseError."""
    text = line.decode("utf-8-sig").strip()
    if not text:
        return []
    value = from_text(text)
    batch: list[Mapping[str, object]] = value if isinstance(value, list) else [cast(Mapping[str, object], value)]
    return [events.from_dict(event) for event in batch]  # which refuses what is no mapping


def _moment(event: Event) -> datetime:
    if event.time is None:
        raise ValueError(f'this {event.type!r} event has no "time"')
    return moment(event.time)

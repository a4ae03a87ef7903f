"""A production behaviour as data: what it changes of settings, of fortune, and of the story that Lambda tells.

Nothing here is carried out: `sandbox/course.py` hands each moment of the story through, `sandbox/plan.py` holds what
goes wrong.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal, get_args

from ..model.checks import is_list, is_number, is_one_of, is_text, is_whole, quoted, require
from ..model.records import Subscription
from .init import Init
from .steps import ScenarioAction

MomentName = Literal[
    "init-begun",
    "init-ends",
    "init-ended",
    "invocation-begun",
    "logs",
    "runtime-done",
    "report",
    "freeze",
    "thaw",
    "shutdown",
]
MOMENTS: tuple[MomentName, ...] = get_args(MomentName)
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Where the story stands.

    `init-begun`: platform.initStart (only events can be added there). `init-ends`: nothing by itself, before the end of
    init is told. `init-ended`: initRuntimeDone, platform.extension, initReport. `invocation-begun`: INVOKE,
    platform.start. `logs`: what the function has logged at once. `runtime-done`, `report`: their events. `freeze`,
    `thaw`, `shutdown`: the actions of these names.

    `number` counts the invocations of the test, from 1 (0 before the first), `request_id` is that of the latest (None
    before the first), `lasted_ms` how long it has lasted, `remaining_ms` how long it has until the function's time-out.
    `now` is the environment's time, `init` its initialization.
    """

    name: MomentName
    number: int
    request_id: str | None
    lasted_ms: float
    remaining_ms: float
    now: datetime
    subscriptions: tuple[Subscription, ...]
    init: Init


Change = Callable[[Moment, Sequence[ScenarioAction]], Iterable[ScenarioAction]]
"""From a moment and what Lambda does at it to what is done instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailDelivery:
    """Deliveries go wrong, as with `fail_next_delivery(fault, times)`; `times` None is for all of them.

    Only those with events of these `types`, if given, and to the extension `to`. `chance` lets it happen to a part of
    them, drawn from the test's own seed.
    """

    fault: str | int | tuple[str, int]
    times: int | None = 1
    types: tuple[str, ...] = ()
    to: str | None = None
    chance: float = 1.0

    def __post_init__(self) -> None:
        _check(self.times, self.chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailBackend:
    """Requests to fake backends go wrong, as with `Backend.fail_next`; `times` None is for all of them.

    Only those to the backend of this name and to this path, if given. `at_shutdown`: those that come once SHUTDOWN has
    begun. `kept`: instead of requests, the connections that are kept open over a freeze; `fault` is then "timeout":
    nobody answers on them any more, and nothing tells of it.
    """

    fault: str | int
    times: int | None = 1
    path: str | None = None
    backend: str | None = None
    delay_ms: float | None = None
    at_shutdown: bool = False
    kept: bool = False
    chance: float = 1.0

    def __post_init__(self) -> None:
        _check(self.times, self.chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectCall:
    """Calls are refused, as with `reject_next(route, status, …, times)`; `times` None is for all of them."""

    route: str
    status: int = 500
    error_type: str | None = None
    message: str | None = None
    times: int | None = 1
    chance: float = 1.0

    def __post_init__(self) -> None:
        _check(self.times, self.chance)


Misfortune = FailDelivery | FailBackend | RejectCall


def _check(times: object, chance: object) -> None:
    require(times is None or is_whole(times, 1), "times", times, "a whole number, 1 or more, or None for always")
    require(is_number(chance) and 0 < chance <= 1, "chance", chance, "a number above 0, at most 1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenario:
    """A production behaviour to run tests under: `@pytest.mark.lambda_telemetry_scenarios(…)`.

    `name` is the test's id, `summary` says what happens, `broke` what it broke in the field, `source` who reported it.
    `settings` are those that it needs, by name; a test that chooses another value is skipped, and so is one with a
    value in `not_with`. `plan` is what goes wrong, in order. `story` changes what Lambda does, by moment: a function
    from a Moment and its actions to the actions that are carried out instead. Raises MisuseError.
    """

    name: str
    summary: str
    broke: str = ""
    source: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    not_with: Mapping[str, object] = field(default_factory=dict)
    plan: Sequence[Misfortune] = ()
    story: Mapping[MomentName, Change] = field(default_factory=dict)

    def __post_init__(self) -> None:
        good = isinstance(self.name, str) and _NAME.fullmatch(self.name) is not None
        require(good, "Scenario.name", self.name, "lower-case letters, digits, '-' and '.', such as 'late-report'")
        require(is_text(self.summary), "Scenario.summary", self.summary, "a sentence that says what happens")
        for name in ("broke", "source"):
            require(isinstance(getattr(self, name), str), f"Scenario.{name}", getattr(self, name), "a str")
        for name in ("settings", "not_with", "story"):
            value = getattr(self, name)
            require(isinstance(value, Mapping), f"Scenario.{name}", value, "a dict")
            object.__setattr__(self, name, MappingProxyType(dict(value)))
        good = is_list(self.plan) and all(isinstance(one, Misfortune) for one in self.plan)
        require(good, "Scenario.plan", self.plan, "a list of FailDelivery, FailBackend and RejectCall")
        object.__setattr__(self, "plan", tuple(self.plan))
        for moment, change in self.story.items():
            require(is_one_of(moment, MOMENTS), "Scenario.story", moment, f"one of {quoted(MOMENTS)}")
            wanted = "a function from a Moment and its actions to actions"
            require(callable(change), f"Scenario.story[{moment!r}]", change, wanted)

    @property
    def changes_nothing(self) -> bool:
        """The test runs as it does without a scenario."""
        return not (self.settings or self.plan or self.story)

    def told(self) -> str:
        """In one line: its name, what happens, what that broke, and where that was reported."""
        broke = f" In the field it broke: {self.broke}" if self.broke else ""
        source = f" ({self.source})" if self.source else ""
        return f"scenario {self.name}: {self.summary}{broke}{source}"

    def __repr__(self) -> str:
        return f"<Scenario {self.name}>"

"""What is suspicious and no violation, told as a LambdaTelemetryWarning: each cause once in an environment.

It is found on any thread, and told only where a line of the test can be named: by its next call, when it checks, and
when it ends. Filters may make an error of a warning, which must not hit an extension or a thread of ours. What concerns
the extension is told where `strict` is on; a mistake of the test's own always.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Condition

from ..engine.subscriber import Subscriber
from ..engine.turns import Turns
from ..model.checks import quoted
from ..model.errors import LambdaTelemetryWarning
from ..model.event import Event
from ..model.facts import AskedEarly, Called, Fact, NeverAsked, Tolerated
from ..protocol.projection import category
from .places import Place, caller
from .plan import Plan
from .unawaited import Unawaited
from .violations import Violations

_NO_API = 202
_MOST = 100
"""Causes that an environment remembers: a hostile client finds ever new ones."""


@dataclass(frozen=True, slots=True)
class _Suspicion:
    text: str
    place: Place | None


class Suspicions:
    """Of one environment; `lock` is its lock."""

    def __init__(self, lock: Condition, turns: Turns, plan: Plan, violations: Violations) -> None:
        self.unawaited = Unawaited()
        self._lock = lock
        self._turns = turns
        self._plan = plan
        self._violations = violations
        self._found: list[_Suspicion] = []
        self._causes: set[object] = set()
        self._without_api: dict[str, None] = {}  # whose Subscribe was answered 202

    # -- what is found -------------------------------------------------------------------------------------------------

    def take(self, fact: Fact) -> None:
        """Fold in one fact; the lock is held."""
        match fact:
            case Called(who, request) if request.status == _NO_API and request.method == "PUT":
                if len(self._without_api) < _MOST:
                    self._without_api[who] = None
            case _ if not self._violations.strict:
                pass
            case Tolerated(who, remark, ignored=True):
                self._add(fact, f"Subscribe of extension {who!r}: {remark}")
            case NeverAsked(who) if who in self._without_api:
                self._add(
                    ("202", who),
                    f"extension {who!r} did not ask for its next event after its Subscribe was answered 202: there is"
                    " no Telemetry API then (local_testing=True), and whoever waits for telemetry waits for ever."
                    " Let it ask for its next event without waiting for any",
                )
            case AskedEarly(who, request_id, count):
                self._add(
                    ("early", who),
                    f"extension {who!r} asked for its next event before platform.runtimeDone of invocation"
                    f" {request_id}, and {_events(count)} for it {'was' if count == 1 else 'were'} still buffered when"
                    " the environment froze. On Lambda what is buffered then comes with the next invocation or at"
                    " shutdown, or never. Let it ask once it has got platform.runtimeDone, allow a larger overhead_ms,"
                    " or expect telemetry to come late",
                )

    def emitted(self, events: Sequence[Event], subscribers: Iterable[Subscriber]) -> None:
        """The test emits these after init, when nobody can subscribe any more."""
        there = list(subscribers)
        subscribed = [one for one in there if not one.ended]
        if not events or any(one.takes(event.type) for event in events for one in subscribed):
            return
        types = dict.fromkeys(category(event.type) for event in events)
        what, place = f"emit() of {_events(len(events))} reaches nobody", caller()
        with self._lock:
            if there and not subscribed:
                self._add(
                    "ended",
                    f"{what}: the environment has shut down, and its extensions have ended. Emit before shutdown(), or"
                    " begin another environment with restart()",
                    place,
                )
                return
            if subscribed:
                wanted = dict.fromkeys(name for one in subscribed for name in one.subscription.types)
                self._add(
                    ("types", *types),
                    f"{what}: nobody is subscribed to {quoted(types)}, only to"
                    f" {quoted(wanted)}, and init is over. Name it in the types of Subscribe, or do not emit it",
                    place,
                )
                return
            refused = "".join(
                f"; Subscribe of extension {who!r} was answered 202 (local_testing=True)" for who in self._without_api
            )
            self._add(
                "nobody",
                f"{what}: nothing is subscribed, and init is over{refused}. Subscribe before the first invoke() or"
                " end_init(), or do not emit",
                place,
            )

    def _add(self, cause: object, text: str, place: Place | None = None) -> None:
        if cause not in self._causes and len(self._causes) < _MOST:
            self._causes.add(cause)
            self._found.append(_Suspicion(text, place))

    # -- what is told --------------------------------------------------------------------------------------------------

    def tell_here(self) -> None:
        """Tell what was found so far, at the line that has called us, if that is a call of a test that still runs."""
        if self._found and self._turns.mine and not self._violations.ending:
            self._tell(caller())

    def untold(self, *, over: bool = False) -> list[str]:
        """What nobody was told yet, for a caller that has no line to name and tells it in its own way.

        `over` as in `tell_at_the_end`.
        """
        with self._lock:
            if over:
                self._add_unused()
            found, self._found = self._found, []
        return [one.text for one in found]

    def tell_at_the_end(self, place: Place | None, *, over: bool, failed: bool = False) -> None:
        """Tell everything, what has no line of its own at `place`; later where that is None.

        `over`: the environment has ended, so that what was planned will not happen any more. Where the test has
        `failed`, what it did not come to is no news, and no warning becomes an error.
        """
        if place is None:
            return
        with self._lock:
            self._found += [_Suspicion(text, made_at) for text, made_at in self.unawaited.take()]
            if over and not failed:
                self._add_unused()
        self._tell(place, failed=failed, at_the_end=True)

    def _add_unused(self) -> None:
        for planned in self._plan.unused():
            self._add(planned, planned.complaint, planned.place)

    def _tell(self, place: Place | None, *, failed: bool = False, at_the_end: bool = False) -> None:
        if place is None:
            return
        with self._lock:
            found, self._found = self._found, []
        errors: list[LambdaTelemetryWarning] = []
        for one in found:
            at = one.place or place
            try:
                warnings.warn_explicit(one.text, LambdaTelemetryWarning, at.file, at.line, at.module)
            except LambdaTelemetryWarning as error:
                if at_the_end:  # no traceback shows the line
                    error.add_note(f"at {at.file}:{at.line}")
                errors.append(error)
        if errors and not failed:
            for other in errors[1:]:
                errors[0].add_note("\n".join(["", str(other), *getattr(other, "__notes__", ())]))
            raise errors[0]


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"

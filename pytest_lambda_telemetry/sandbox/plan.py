"""What goes wrong because the test said so, in one list: deliveries, calls that are refused, requests to backends.

Entries are used up in the order in which they were made. What is left to chance is drawn from the plan's seed: the
same test goes wrong the same way in every run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from threading import Condition

from ..api.routes import NAMES
from ..backend.faults import Fault, parse_fault as parse_backend_fault
from ..model import checks
from ..model.errors import MisuseError
from ..model.facts import FaultInjected, SentBatch
from ..model.ports import Recorder, SendOutcome
from ..model.records import Subscription
from ..protocol.contract import Refusal
from ..protocol.projection import category
from .delivery_faults import DeliveryFault, in_words, parse_fault, reaches_listener, send_with_fault
from .listeners import Listeners
from .places import Place

DELIVERY, BACKEND, CONNECTION = "delivery", "backend", "connection to a backend"
KEPT = "connection to a backend that is kept over a freeze"

_ERROR_TYPES = {500: "InternalServerError", 400: "ValidationError"}
_FORBIDDEN = {"subscribe": "Telemetry.AccessDenied", "register": "Extension.RegistrationClosed"}
_MESSAGES = {500: "Internal Server Error"}


@dataclass(slots=True, kw_only=True, eq=False)
class Planned:
    """One misfortune: `what` happens to the next `times` that pass at `where` and match.

    `where` is DELIVERY, whose subject is the Subscription, and where `types` are given only batches with such events; a
    route; BACKEND, whose subject is the backend's name and the path of a request, or CONNECTION and KEPT, with the name
    alone. `times` None is for all of them. `backend` is the name of the one that it is for, if any.
    `chance` lets it happen to a part of them only. `said` is the call of the test that asked for it, and `meant` what
    it waits for; nobody misses one that no test asked for. `place` is the line of that call.
    """

    where: str
    what: DeliveryFault | Refusal | Fault
    times: int | None = 1
    matches: Callable[[object], bool] = field(default=lambda _subject: True)
    types: tuple[str, ...] = ()
    chance: float = 1.0
    backend: str | None = None
    said: str = ""
    meant: str = ""
    used: bool = False
    place: Place | None = None

    @property
    def complaint(self) -> str:
        """What to say of one that nothing has met."""
        return (
            f"{self.said} was never used: {self.meant} came after it. Ask for it ahead of what it is meant for, or"
            " leave it out"
        )


class Plan:
    """All misfortunes that are still to come. The caller holds the environment's lock."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._planned: list[Planned] = []
        self._is_met = False
        self._longest_delay_s = 0.0

    def add(self, planned: Planned) -> None:
        """One more, behind those that are there."""
        self._planned.append(planned)
        if not planned.said and isinstance(planned.what, Fault):
            self._longest_delay_s = max(self._longest_delay_s, planned.what.delay_ms / 1000)

    def refusal_for(self, route: str) -> Refusal | None:
        """The refusal of the next call of a route, which is used up."""
        what = self._next(route, None)
        return what if isinstance(what, Refusal) else None

    def fault_for(self, subscription: Subscription, types: Sequence[str] = ()) -> DeliveryFault | None:
        """The fault of the next delivery to a subscription, of events of these types; it is used up."""
        what = self._next(DELIVERY, subscription, types=types)
        return None if isinstance(what, Refusal | Fault) else what

    def backend_fault_for(self, backend: str, path: str) -> Fault | None:
        """The fault of a request that has arrived at a backend, which is used up."""
        what = self._next(BACKEND, (backend, path), backend)
        return what if isinstance(what, Fault) else None

    def refuses(self, backend: str) -> bool:
        """A connection to a backend is refused; that is used up."""
        return self._next(CONNECTION, backend, backend) is not None

    def silences(self, backend: str) -> bool:
        """Nobody will answer any more on the connections that are kept open now; that is used up."""
        return self._next(KEPT, backend, backend) is not None

    @property
    def is_met(self) -> bool:
        """Something that no test asked for, but its scenario, has happened."""
        return self._is_met

    @property
    def longest_delay_s(self) -> float:
        """How long a request to a backend may have to wait for what becomes of it, as the scenario says."""
        return self._longest_delay_s

    def forget_backend(self, backend: str) -> None:
        """What a test has planned for a backend will not happen."""
        self._planned = [one for one in self._planned if one.backend != backend or not one.said]

    @property
    def asked_for(self) -> list[Planned]:
        """What a test asked for and is still to come, oldest first."""
        return [planned for planned in self._planned if planned.said]

    def unused(self) -> list[Planned]:
        """What a test asked for and nothing has met so far; what was met once has done its work."""
        return [planned for planned in self.asked_for if not planned.used]

    def _next(
        self, where: str, subject: object, backend: str | None = None, types: Sequence[str] = ()
    ) -> DeliveryFault | Refusal | Fault | None:
        for planned in self._planned:
            if planned.where != where or planned.backend not in (None, backend) or not planned.matches(subject):
                continue
            if planned.types and not any(kind in planned.types or category(kind) in planned.types for kind in types):
                continue
            if planned.chance < 1.0 and self._random.random() >= planned.chance:
                continue
            planned.used = True
            self._is_met = self._is_met or not planned.said
            if planned.times is not None:
                planned.times -= 1
                if planned.times == 0:
                    self._planned = [one for one in self._planned if one is not planned]
            return planned.what
        return None


class PlannedDeliverer:
    """Delivers as the sender does, and wrongly where the plan says so. `lock` is the environment's."""

    def __init__(self, listeners: Listeners, plan: Plan, journal: Recorder, lock: Condition) -> None:
        self._listeners = listeners
        self._plan = plan
        self._journal = journal
        self._lock = lock

    def send(self, batch: SentBatch) -> tuple[SendOutcome, bool]:
        """Deliver a batch once; what became of it, and whether the plan did that."""
        subscription, body = batch.subscription, batch.payload.body
        with self._lock:
            fault = self._plan.fault_for(subscription, batch.types)
            if fault is not None:  # the answer may not tell
                self._journal.add(FaultInjected(subscription.extension_name, in_words(fault)))
        if fault is None:
            return self._listeners.send(subscription, body), False
        sender, destination = self._listeners.sender, subscription.destination

        def attempt() -> SendOutcome:
            return send_with_fault(sender, fault, destination, body, key=subscription)

        return self._listeners.reach(subscription, attempt) if reaches_listener(fault) else attempt(), True


def delivery_fault(fault: object, times: object, to: tuple[Subscription, ...] | None) -> Planned:
    """An entry for the next deliveries, to these subscriptions or to any. Raises MisuseError."""
    whose = checks.quoted(sorted({one.extension_name for one in to})) if to is not None else ""
    what = parse_fault(fault)
    return Planned(
        where=DELIVERY,
        what=what,
        times=checks.times(times),
        matches=lambda subscription: to is None or subscription in to,
        said=_call("fail_next_delivery", what, times=times, to=whose),
        meant=f"no delivery{whose and f' to {whose}'}",
    )


def call_refusal(route: object, status: object, error_type: str | None, message: str | None, times: object) -> Planned:
    """An entry for the next calls of a route. Raises MisuseError."""
    if not checks.is_one_of(route, NAMES):
        raise MisuseError(f"there is no route {checks.repr_of(route)}; reject_next takes one of {checks.quoted(NAMES)}")
    if not checks.is_whole(status, 400) or status > 599:
        raise MisuseError(f"status={checks.repr_of(status)} is not valid: an error has a status from 400 to 599")
    checks.require(error_type is None or checks.is_text(error_type), "error_type", error_type, "a non-empty str")
    checks.require(message is None or isinstance(message, str), "message", message, "a str")
    refusal = Refusal(
        status,
        error_type or _default_error_type(route, status),
        message or _MESSAGES.get(status, "injected by reject_next"),
        compact=True,
    )
    return Planned(
        where=route,
        what=refusal,
        times=checks.times(times),
        said=_call("reject_next", route, status, times=times),
        meant=f"no {route!r} call",
    )


def backend_fault(backend: str, fault: object, times: object, path: str | None, delay_ms: object) -> Planned:
    """An entry for the next requests to a backend, to this path or to any. Raises MisuseError."""
    what = parse_backend_fault(fault, path, delay_ms)
    given = [repr(what.kind), *([f"path={path!r}"] if path is not None else [])]
    given += [f"delay_ms={what.delay_ms:g}"] if delay_ms is not None else []
    given += [f"times={checks.repr_of(times)}"] if times != 1 else []
    return Planned(
        where=CONNECTION if what.kind == "refuse" else BACKEND,
        what=what,
        times=checks.times(times),
        matches=lambda subject: path is None or subject == (backend, path),
        backend=backend,
        said=f"backend {backend!r}: fail_next({', '.join(given)})",
        meant=f"no request{f' to {path}' if path is not None else ''}",
    )


def _call(name: str, *arguments: object, times: object, to: str = "") -> str:
    """A call as the test has written it, more or less."""
    given = [
        *map(checks.repr_of, arguments),
        *([f"times={checks.repr_of(times)}"] if times != 1 else []),
        *([f"to={to}"] if to else []),
    ]
    return f"{name}({', '.join(given)})"


def _default_error_type(route: str, status: int) -> str:
    if status == 403:
        return _FORBIDDEN.get(route, "Extension.InvalidExtensionState")
    return _ERROR_TYPES.get(status, "ServiceException")

"""What goes wrong because the test said so: deliveries that fail and calls that are refused, in one list.

Entries are used up in the order in which they were made. What is left to chance is drawn from the plan's seed: the
same test goes wrong the same way in every run.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from threading import Condition

from ..api.routes import NAMES
from ..model import checks
from ..model.errors import MisuseError
from ..model.facts import FaultInjected
from ..model.ports import Recorder, SendOutcome
from ..model.records import Subscription
from ..protocol.contract import Refusal
from ..wire.sender import Sender
from .delivery_faults import DeliveryFault, parse_fault, send_with_fault

DELIVERY = "delivery"

_ERROR_TYPES = {500: "InternalServerError", 400: "ValidationError"}
_FORBIDDEN = {"subscribe": "Telemetry.AccessDenied", "register": "Extension.RegistrationClosed"}
_MESSAGES = {500: "Internal Server Error"}


@dataclass(slots=True, kw_only=True)
class Planned:
    """One misfortune: `what` happens to the next `times` that pass at `where` (DELIVERY, or a route) and match.

    `chance` lets it happen to a part of them only.
    """

    where: str
    what: DeliveryFault | int | Refusal
    times: int = 1
    matches: Callable[[object], bool] = field(default=lambda _subject: True)
    chance: float = 1.0


class Plan:
    """All misfortunes that are still to come. The caller holds the environment's lock."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._planned: list[Planned] = []

    def add(self, planned: Planned) -> None:
        """One more, behind those that are there."""
        self._planned.append(planned)

    def refusal_for(self, route: str) -> Refusal | None:
        """The refusal of the next call of a route, which is used up."""
        what = self._next(route, None)
        return what if isinstance(what, Refusal) else None

    def fault_for(self, subscription: Subscription) -> DeliveryFault | int | None:
        """The fault of the next delivery to a subscription, which is used up."""
        what = self._next(DELIVERY, subscription)
        return None if isinstance(what, Refusal) else what

    def _next(self, where: str, subject: object) -> DeliveryFault | int | Refusal | None:
        for planned in self._planned:
            if planned.where != where or not planned.matches(subject):
                continue
            if planned.chance < 1.0 and self._random.random() >= planned.chance:
                continue
            planned.times -= 1
            if planned.times == 0:
                self._planned = [one for one in self._planned if one is not planned]
            return planned.what
        return None


class PlannedDeliverer:
    """Delivers as the sender does, and wrongly where the plan says so. `lock` is the environment's."""

    def __init__(self, sender: Sender, plan: Plan, journal: Recorder, lock: Condition) -> None:
        self._sender = sender
        self._plan = plan
        self._journal = journal
        self._lock = lock

    def send(self, subscription: Subscription, body: bytes) -> SendOutcome:
        """Deliver these bytes once."""
        with self._lock:
            fault = self._plan.fault_for(subscription)
            if fault is not None:  # the answer may not tell
                self._journal.add(FaultInjected(subscription.extension_name, str(fault)))
        if fault is None:
            return self._sender.send(subscription.destination, body, key=subscription)
        return send_with_fault(self._sender, fault, subscription.destination, body, key=subscription)


def delivery_fault(fault: object, times: object, to: tuple[Subscription, ...] | None) -> Planned:
    """An entry for the next deliveries, to these subscriptions or to any. Raises MisuseError."""
    return Planned(
        where=DELIVERY,
        what=parse_fault(fault),
        times=checks.times(times),
        matches=lambda subscription: to is None or subscription in to,
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
    return Planned(where=route, what=refusal, times=checks.times(times))


def _default_error_type(route: str, status: int) -> str:
    if status == 403:
        return _FORBIDDEN.get(route, "Extension.InvalidExtensionState")
    return _ERROR_TYPES.get(status, "ServiceException")

"""Which deliveries go wrong, because the test said so."""

from collections.abc import Callable
from dataclasses import dataclass

from ..model.records import Subscription
from ..wire.sender import Outcome, Sender
from .delivery_faults import Fault, send_with_fault


@dataclass(slots=True)
class Planned:
    """A fault for the next deliveries, to some subscriptions or to any."""

    fault: Fault | int
    times: int
    to: tuple[Subscription, ...] | None


class FaultPlan:
    """The planned faults, used up in the order they were made."""

    def __init__(self) -> None:
        self._planned: list[Planned] = []

    def add(self, fault: Fault | int, times: int, to: tuple[Subscription, ...] | None) -> None:
        """Let the next `times` deliveries go wrong."""
        self._planned.append(Planned(fault, times, to))

    def send(
        self, sender: Sender, subscription: Subscription, body: bytes, *, record: Callable[[str, str, str, str], None]
    ) -> Outcome:
        """Send a batch, with the fault that is due for it, if any; the journal says so, as the answer may not."""
        fault = self._next(subscription)
        if fault is None:
            return sender.send(subscription.destination, body, key=id(subscription))
        record("note", "test", f"fault in a delivery to {subscription.extension_name}", str(fault))
        return send_with_fault(sender, fault, subscription.destination, body, key=id(subscription))

    def _next(self, subscription: Subscription) -> Fault | int | None:
        for planned in self._planned:
            if planned.to is None or any(one is subscription for one in planned.to):
                planned.times -= 1
                if planned.times == 0:
                    self._planned.remove(planned)
                return planned.fault
        return None

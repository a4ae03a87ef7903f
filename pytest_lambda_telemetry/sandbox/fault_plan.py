"""Which deliveries go wrong, because the test said so."""

from dataclasses import dataclass

from ..model.records import Subscription
from ..wire.faults import Fault


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

    def next_for(self, subscription: Subscription) -> Fault | int | None:
        """The fault of the next delivery to a subscription, which is used up; the caller holds the lock."""
        for planned in self._planned:
            if planned.to is None or subscription in planned.to:
                planned.times -= 1
                if planned.times == 0:
                    self._planned.remove(planned)
                return planned.fault
        return None

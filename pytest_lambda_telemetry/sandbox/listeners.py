"""Listeners in real time: one that is still starting is waited for, one that stays silent is waited for once in a call.

Virtual time must not leave a real process behind. An extension that has registered and subscribed by itself is about to
listen: a refused connection to a destination that has never accepted one is no attempt, and the call waits for the
listener, in real seconds and bounded, before virtual time moves on. Not for a subscription that the test made itself,
not when the extension's process has ended, and not a second time.
"""

from collections.abc import Callable
from threading import Condition

from ..engine.turns import Turns
from ..model.ports import SendOutcome
from ..model.records import Subscription
from ..real import Real
from ..wire.sender import REFUSED, Sender

_LOOK_AGAIN_S = 0.005
_SILENT_S = 0.1
"""What a listener that has let one attempt of this call time out gets for the next ones, in real seconds."""


class Listeners:
    """Of one environment. `may_be_starting` says whether a subscription's extension is on its way to listen."""

    def __init__(
        self,
        sender: Sender,
        *,
        lock: Condition,
        turns: Turns,
        may_be_starting: Callable[[Subscription], bool],
        patience_s: float,
    ) -> None:
        self._sender = sender
        self._lock = lock
        self._turns = turns
        self._may_be_starting = may_be_starting
        self._patience_s = patience_s
        self._met: set[Subscription] = set()
        self._given_up: set[Subscription] = set()
        self._silent: set[Subscription] = set()

    @property
    def sender(self) -> Sender:
        """What carries the bytes."""
        return self._sender

    def has_met(self, subscription: Subscription) -> bool:
        """Its listener has accepted a connection."""
        return subscription in self._met

    def gave_up(self, subscription: Subscription) -> bool:
        """It was waited for as long as an extension may take to listen, and in vain."""
        return subscription in self._given_up

    def end_call(self) -> None:
        """The next call waits for silent listeners again."""
        self._silent.clear()

    def send(self, subscription: Subscription, body: bytes) -> SendOutcome:
        """Deliver these bytes once."""
        outcome = self.reach(subscription, lambda: self._try(subscription, body))
        if outcome.timed_out:
            self._silent.add(subscription)
        return outcome

    def reach(self, subscription: Subscription, attempt: Callable[[], SendOutcome]) -> SendOutcome:
        """Make an attempt, again and again while its listener is still starting."""
        outcome = attempt()
        if outcome.error == REFUSED and subscription not in self._met | self._given_up:
            outcome = self._await_start(subscription, attempt, outcome)
        if outcome.error != REFUSED:
            self._met.add(subscription)
        return outcome

    def _await_start(
        self, subscription: Subscription, attempt: Callable[[], SendOutcome], outcome: SendOutcome
    ) -> SendOutcome:
        deadline = Real.monotonic() + self._patience_s
        while outcome.error == REFUSED and self._may_be_starting(subscription) and not self._turns.interrupted:
            if Real.monotonic() >= deadline:
                self._given_up.add(subscription)
                break
            with self._lock:
                self._lock.wait(_LOOK_AGAIN_S)
            outcome = attempt()
        return outcome

    def _try(self, subscription: Subscription, body: bytes) -> SendOutcome:
        within_s = _SILENT_S if subscription in self._silent else None
        return self._sender.send(subscription.destination, body, key=subscription, within_s=within_s)

"""What a test reads of the past, as folds over the facts: requests, rejections, subscriptions, deliveries."""

from collections import deque

from ..model.facts import Attempted, Called, Fact, Outcome, Refused, Restarted, SentBatch, StoodIn, Subscribed
from ..model.records import Attempt, Delivery, Rejection, Request, Subscription

_KEPT_ATTEMPTS = 1_000


class Progress:
    """How far a batch has come: the changing thing whose snapshots are `Delivery` values."""

    __slots__ = ("_snapshot", "attempts", "batch", "ok")

    def __init__(self, batch: SentBatch) -> None:
        self.batch = batch
        self.attempts: deque[Attempt] = deque(maxlen=_KEPT_ATTEMPTS)
        self.ok = False
        self._snapshot: Delivery | None = None

    def attempted(self, attempt: Attempt, ok: bool) -> None:
        """One more try."""
        self.attempts.append(attempt)
        self.ok = ok
        self._snapshot = None

    @property
    def snapshot(self) -> Delivery:
        """As it stands now."""
        if self._snapshot is None:
            self._snapshot = Delivery(
                subscription=self.batch.subscription,
                types=self.batch.types,
                attempts=tuple(self.attempts),
                ok=self.ok,
                payload=self.batch.payload,
            )
        return self._snapshot


class Recordings:
    """The newest `limit` of each kind, oldest first. The caller holds the environment's lock."""

    def __init__(self, limit: int) -> None:
        self.requests: deque[Request] = deque(maxlen=limit)
        self.rejections: deque[Rejection] = deque(maxlen=limit)
        self.subscriptions: list[Subscription] = []  # bounded by the protocol
        self._batches: deque[Progress] = deque(maxlen=limit)
        self._under_way: dict[SentBatch, Progress] = {}

    def take(self, fact: Fact) -> None:
        """Fold in one fact."""
        match fact:
            case Attempted():
                self.progress(fact.batch).attempted(fact.attempt, fact.ok)
            case Called():
                self.requests.append(fact.request)
                self._left(fact.outcome)
            case Restarted():
                self.subscriptions.clear()
            case StoodIn():
                self._left(fact.outcome)

    def _left(self, outcome: Outcome) -> None:
        match outcome:
            case Subscribed(subscription, again=False):
                self.subscriptions.append(subscription)
            case Refused(rejection=Rejection() as rejection):
                self.rejections.append(rejection)

    def progress(self, batch: SentBatch) -> Progress:
        """Of a batch that is not settled; from its first attempt on."""
        found = self._under_way.get(batch)
        if found is None:
            found = self._under_way[batch] = Progress(batch)
            self._batches.append(found)
        return found

    def settle(self, batch: SentBatch) -> None:
        """It is not tried again."""
        self._under_way.pop(batch, None)

    @property
    def failing(self) -> tuple[Progress, ...]:
        """The batches that were tried and never acknowledged, oldest first."""
        return tuple(one for one in self._batches if one.attempts and not one.ok)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every batch that was tried, as it stands now."""
        return tuple(one.snapshot for one in self._batches if one.attempts)  # else it is on its first way

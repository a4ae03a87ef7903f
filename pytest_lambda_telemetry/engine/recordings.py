"""What a test reads of the past, as folds over the facts: requests, rejections, subscriptions, deliveries."""

from collections import deque

from ..model.facts import Attempted, Called, Fact, Outcome, Refused, Restarted, SentBatch, StoodIn, Subscribed
from ..model.records import Attempt, Delivery, Rejection, Request, Subscription, let_go
from .retention import Newest, Retention, measured

_KEPT_ATTEMPTS = 1_000
"""Of one batch: the last ones."""
_ATTEMPT_BYTES = 100


class Progress:
    """How far a batch has come: the changing thing whose snapshots are `Delivery` values.

    `arrived` is its place among those that did, 0 as long as it has not.

    `count` and `genuine` are how many attempts there were, in all and without the test's own faults; of the genuine
    ones `last` is the last, and `same_status` how many in a row ended with its status.
    """

    __slots__ = ("_snapshot", "arrived", "attempts", "batch", "count", "genuine", "last", "ok", "same_status")

    def __init__(self, batch: SentBatch) -> None:
        self.batch = batch
        self.attempts: deque[Attempt] = deque()
        self.ok = False
        self.arrived = 0
        self.count = self.genuine = self.same_status = 0
        self.last: Attempt | None = None
        self._snapshot: Delivery | None = None

    def attempted(self, attempt: Attempt, ok: bool) -> None:
        """One more try."""
        self.attempts.append(attempt)
        self.ok = ok
        self.count += 1
        if not attempt.injected:
            self.genuine += 1
            same = self.last is not None and self.last.status == attempt.status
            self.same_status = self.same_status + 1 if same else 1
            self.last = attempt
        if len(self.attempts) > _KEPT_ATTEMPTS:
            self.forget()
        self._snapshot = None

    def forget(self) -> None:
        """Let the oldest attempt go; the last one stays."""
        if len(self.attempts) > 1:
            self.attempts.popleft()
            self._snapshot = None

    @property
    def snapshot(self) -> Delivery:
        """As it stands now."""
        if self._snapshot is None:
            self._snapshot = Delivery(
                subscription=self.batch.subscription,
                types=self.batch.types,
                attempts=tuple(self.attempts),
                attempt_count=self.count,
                ok=self.ok,
                payload=self.batch.payload,
            )
        return self._snapshot


class Recordings:
    """The newest of each kind, oldest first. The caller holds the environment's lock."""

    def __init__(self, retention: Retention) -> None:
        self.requests: Newest[Request] = Newest(retention)
        self.rejections: Newest[Rejection] = Newest(retention)
        self.subscriptions: list[Subscription] = []  # bounded by the protocol
        self._batches: Newest[Progress] = Newest(retention)
        self._attempts: Newest[Progress] = Newest(retention, Progress.forget)  # once for each attempt that is kept
        self._arrived = 0
        self._under_way: dict[SentBatch, Progress] = {}

    def take(self, fact: Fact) -> None:
        """Fold in one fact."""
        match fact:
            case Attempted():
                progress = self.progress(fact.batch)
                if fact.ok:
                    self._arrived += 1
                    progress.arrived = self._arrived
                kept = len(progress.attempts)
                progress.attempted(fact.attempt, fact.ok)
                if len(progress.attempts) > kept:
                    self._attempts.append(progress, _ATTEMPT_BYTES)
            case Called():
                self.requests.append(fact.request, measured(fact.request))
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
                self.rejections.append(rejection, measured(rejection))

    def progress(self, batch: SentBatch) -> Progress:
        """Of a batch that is not settled; from its first attempt on."""
        found = self._under_way.get(batch)
        if found is None:
            found = self._under_way[batch] = Progress(batch)
            self._batches.append(found, batch.size)
        return found

    def settle(self, batch: SentBatch) -> None:
        """It is not tried again."""
        self._under_way.pop(batch, None)

    @property
    def failing(self) -> tuple[Progress, ...]:
        """The batches that were tried and never acknowledged, oldest first."""
        return tuple(one for one in self._batches if one.attempts and not one.ok)

    def by_batch(self) -> dict[SentBatch, Delivery]:
        """The deliveries that are kept, by their batch."""
        return {one.batch: one.snapshot for one in self._batches if one.attempts}

    @property
    def acknowledged(self) -> list[SentBatch]:
        """The batches that arrived, in that order. Raises LambdaTelemetryError where the limit made it forget some."""
        if self._batches.forgotten:
            raise let_go("the first deliveries")
        arrived = sorted((one for one in self._batches if one.arrived), key=lambda one: one.arrived)
        return [one.batch for one in arrived]

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every batch that was tried, as it stands now."""
        return tuple(one.snapshot for one in self._batches if one.attempts)  # else it is on its first way

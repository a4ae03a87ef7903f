"""What a test reads of an environment: what it is, what was recorded, and assertions about it."""

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar

from .captures import ndjson
from .model.checks import is_whole, require
from .model.errors import MisuseError
from .model.records import Delivery, Extension, Rejection, Request, Subscription, decoded
from .sandbox import arguments, targets, verdicts
from .sandbox.arrivals import emitted, emitted_types, injected_numbers, own_types
from .sandbox.sandbox import Sandbox
from .views import assertions
from .views.assertions import Outstanding
from .views.entries import Entry
from .views.ledger import Ledger

T = TypeVar("T")

Target = str | Extension | Subscription
"""Whom a call concerns: an extension's name, an Extension or a Subscription."""


class Recorded:
    """The half of LambdaTelemetry that changes nothing, and can still be read when the environment is closed."""

    _opened: Sandbox | None = None

    @property
    def _sandbox(self) -> Sandbox:
        """The environment's parts. Raises MisuseError before it was started."""
        if self._opened is None:
            raise MisuseError(
                "this environment is not started: use it as `with LambdaTelemetry() as lambda_telemetry:`"
            )
        return self._opened

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def runtime_api(self) -> str:
        """`"127.0.0.1:PORT"`, the value of AWS_LAMBDA_RUNTIME_API."""
        return self._sandbox.runtime_api

    @property
    def env(self) -> dict[str, str]:
        """The variables that a child process of an extension needs, and nothing of the caller's credentials."""
        return dict(self._sandbox.env)

    @property
    def now(self) -> datetime:
        """The environment's wall time, which stamps events (aware, UTC)."""
        return self._sandbox.now_and_elapsed()[0]

    @property
    def elapsed(self) -> timedelta:
        """How long the environment has run; stands still while it is frozen."""
        return self._sandbox.now_and_elapsed()[1]

    # -- what was recorded ---------------------------------------------------------------------------------------------

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request that was answered, oldest first; a poll is there once it is answered.

        Of very many the newest, with headers and bodies as far as they fit (`lambda_telemetry_journal_limit`).
        """
        return self._read(lambda sandbox: tuple(sandbox.recordings.requests))

    @property
    def extensions(self) -> tuple[Extension, ...]:
        """Every extension that registered, as it stands now."""
        return self._read(lambda sandbox: tuple(one.snapshot for one in sandbox.extensions))

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Every subscription that was accepted."""
        return self._read(lambda sandbox: tuple(sandbox.recordings.subscriptions))

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """Every Subscribe that was refused, expected or not; of very many the newest, as in `requests`."""
        return self._read(lambda sandbox: tuple(sandbox.recordings.rejections))

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every batch that was sent or tried, as it stands now; of very many the newest, as in `requests`."""
        return self._read(lambda sandbox: sandbox.recordings.deliveries)

    @property
    def journal(self) -> tuple[Entry, ...]:
        """Everything that happened, in order; of a long story the newest part (`lambda_telemetry_journal_limit`)."""
        return self._read(lambda sandbox: sandbox.entries())

    def timeline(self) -> str:
        """The journal as aligned text: virtual time, who, what, verdict; at its end what is pending.

        That is: what is buffered and when it is due, that nothing is subscribed, processes that have not registered or
        have failed with their last output, and faults that are still planned.
        """
        return self._sandbox.timeline() if self._opened else ""

    def _read(self, of: Callable[[Sandbox], tuple[T, ...]]) -> tuple[T, ...]:
        """A snapshot of what was recorded; nothing before the start."""
        if self._opened is None:
            return ()
        with self._opened.lock:
            return of(self._opened)

    # -- about what was recorded ---------------------------------------------------------------------------------------

    def save_ndjson(self, path: str | os.PathLike[str]) -> None:
        """Write what was delivered, one event a line, for `Script.from_ndjson`. Raises OSError."""
        ndjson.save(path, self.deliveries)

    def assert_subscribed(self, name: str | None = None, **expected: Any) -> Subscription:  # any field's value
        """The subscription (of `name`) that has these fields, others being free.

        `buffering` and `destination` may be given in part, by our names or the wire's: `buffering={"timeoutMs": 100}`;
        a string stands for the destination's URI. Raises AssertionError that shows the nearest miss.
        """
        return assertions.subscribed(self.subscriptions, self.rejections, name, expected)

    def assert_delivered(self, types: Sequence[str], to: Target | None = None) -> Delivery:
        """The acknowledged delivery that carried exactly these event types in this order.

        Raises AssertionError that shows the nearest miss, and MisuseError for a type that no event has.
        """
        wanted = self._event_types(types)
        return assertions.delivered(self._deliveries_to(to), wanted, lambda: self._outstanding(to), self._own_types())

    def assert_nothing_delivered(self, to: Target | None = None) -> None:
        """No batch was acknowledged so far. Raises AssertionError that lists those that were."""
        assertions.nothing_delivered(self._deliveries_to(to))

    def assert_all_delivered(self, to: Target | None = None) -> None:
        """Nothing that was emitted so far is buffered, in flight, dropped or refused.

        Raises AssertionError that lists what is, with the reason. Moves no time: what is buffered is due later, or now
        with `flush()`.
        """
        subscriptions, outstanding = self._outstanding(to)
        if not subscriptions:
            name = to.name if isinstance(to, Extension) else to if isinstance(to, str) else None
            assertions.nobody_subscribed(emitted(self._sandbox.facts()), self.rejections, name)
        assertions.all_delivered(outstanding)

    def _outstanding(self, to: Target | None) -> tuple[list[Subscription], list[Outstanding]]:
        """The subscriptions of a target, those of the past too, and what they have not got."""
        sandbox = self._sandbox
        with sandbox.lock:
            subscribers = targets.those_to(sandbox, to, sandbox.engine.subscribers, attrgetter("subscription"))
            past = targets.those_to(sandbox, to, sandbox.arrivals.past, lambda subscription: subscription)
            journal, now_us = sandbox.journal.facts, sandbox.moments.look()[1]
            frozen = sandbox.clock.frozen
            outstanding = sandbox.arrivals.outstanding(past, subscribers, now_us, frozen=frozen, journal=journal)
        return [*past, *(one.subscription for one in subscribers)], outstanding

    def records(self, type: str = "function", to: Target | None = None) -> tuple[Any, ...]:  # any JSON value
        """The records of acknowledged events of one type, in order of arrival, as they were sent.

        Without those that a scenario has added.

        Raises MisuseError for a type that no event has, LambdaTelemetryError where the journal's limit made it let the
        bytes, or whole deliveries, go.
        """
        require(isinstance(type, str), "type", type, "one event type, such as 'function'")
        self._event_types([type])
        sandbox = self._sandbox
        with sandbox.lock:
            batches = targets.those_to(sandbox, to, sandbox.recordings.acknowledged, attrgetter("subscription"))
            injected = injected_numbers(sandbox.journal.facts)
        return tuple(
            event["record"]
            for batch in batches
            if type in batch.types
            for event, number in zip(
                decoded(batch.payload, batch.subscription.destination.protocol),
                chain.from_iterable(batch.segments),
                strict=True,
            )
            if event["type"] == type and number not in injected
        )

    @property
    def ledger(self) -> Ledger:
        """Every emitted event, and what became of it by now: in which batches it was, and where a backend saw it."""
        return verdicts.ledger(self._sandbox, self._event_types)

    def log_lines(self, n: int, text: str = "") -> tuple[str, ...]:
        """n distinct lines of equal length, such as `line 00000001`, which a backend's requests can be searched for.

        `text` stands for `line`. No line is given twice in one environment. Raises MisuseError.
        """
        require(is_whole(n, 0) and n <= 1_000_000, "n", n, "a whole number, from 0 to 1,000,000")
        require(isinstance(text, str), "text", text, "a str")
        return self._sandbox.log_lines(n, text)

    def _deliveries_to(self, to: Target | None) -> list[Delivery]:
        sandbox = self._sandbox
        with sandbox.lock:
            return targets.those_to(sandbox, to, sandbox.recordings.deliveries, attrgetter("subscription"))

    def _own_types(self) -> dict[int, tuple[str, ...]]:
        """Of deliveries with events that a scenario has added, by identity: the types of the others."""
        sandbox = self._sandbox
        with sandbox.lock:
            injected = injected_numbers(sandbox.journal.facts)
            if not injected:
                return {}
            return {
                id(delivery): own_types(batch, injected) for batch, delivery in sandbox.recordings.by_batch().items()
            }

    def _event_types(self, given: object) -> tuple[str, ...]:
        """Types of events. Raises MisuseError for one that neither Lambda knows nor the test has made up."""

        def seen() -> set[str]:
            sent = {name for delivery in self.deliveries for name in delivery.types}
            return sent | emitted_types(self._read(lambda sandbox: sandbox.journal.facts))

        return arguments.event_types(given, seen)

"""Random emits, advances, flushes, failures, freezes and thaws: the engine does what the reference model says."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import example, given, settings, strategies as st

from pytest_lambda_telemetry import Delivery, LambdaTelemetry, Retry, Settings, Subscription, TelemetryType, events
from tests.support.helpers import Listener, free_port
from tests.support.reference_model import Batch, Model, Subscriber

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BIG = "é" * 45_000  # 90,000 bytes: three of them fill the smallest maxBytes

KINDS = {
    "function": lambda number: events.function(f"line {number}"),
    "extension": lambda number: events.extension(f"líne {number}"),
    "big": lambda number: events.function(f"{BIG}{number}"),
    "platform": lambda number: events.from_dict({"type": "platform.report", "record": {"requestId": str(number)}}),
}
SCHEDULES = {  # the settings, and the waits after each failure as milliseconds
    "default": (Retry(), [min(100 * 2**n, 10_000) for n in range(200)]),
    "capped": (Retry(initial_ms=20, max_ms=100), [20, 40, 80, *[100] * 5_000]),
    "seven attempts": (Retry(initial_ms=40, factor=3, max_ms=100, attempts=7), [40, *[100] * 5]),
    "three attempts": (Retry(initial_ms=40, factor=3, max_ms=100, attempts=3), [40, 100]),
    "none": (None, []),
}

emits = st.tuples(st.just("emit"), st.sampled_from(["function", "extension", "platform"]), st.integers(1, 3))
many = st.tuples(st.just("emit"), st.sampled_from(["function", "extension"]), st.sampled_from([400, 999, 1000, 2100]))
big = st.tuples(st.just("emit"), st.just("big"), st.integers(1, 8))
advances = st.tuples(st.just("advance"), st.sampled_from([0, 1, 24, 25, 40, 99, 100, 101, 400, 1000, 12_000]))
flushes = st.tuples(st.just("flush"), st.sampled_from([None, 0, 1]))
others = st.tuples(st.sampled_from(["freeze", "thaw", "thaw", "subscribe"]))
steps = st.lists(st.one_of(emits, emits, advances, advances, advances, flushes, others, many, big), max_size=14)

accepts = st.one_of(st.lists(st.booleans(), max_size=8), st.none())  # None: nobody listens
subscribers = st.tuples(
    st.lists(st.sampled_from(["platform", "function", "extension"]), min_size=1, unique=True),
    st.sampled_from([25, 100, 1000]),
    st.sampled_from([1000, 1300]),
    accepts,
)


floods = st.tuples(st.just("emit"), st.sampled_from(["function", "extension"]), st.sampled_from([999, 2_100, 3_500]))
long_advances = st.tuples(st.just("advance"), st.sampled_from([25, 101, 1_000, 12_000, 60_000, 125_000]))
long_steps = st.lists(st.one_of(emits, floods, big, long_advances, long_advances, flushes, others), max_size=20)
outages = st.lists(st.tuples(st.sampled_from([1, 5, 50, 400, 1_050, 1_253]), st.integers(1, 2)), max_size=3)
patient_subscribers = st.tuples(
    st.lists(st.sampled_from(["platform", "function", "extension"]), min_size=1, unique=True),
    st.sampled_from([25, 100, 1000]),
    st.sampled_from([1000, 1300, 2000, 3000]),
    outages.map(lambda parts: [ok for down, up in parts for ok in [*[False] * down, *[True] * up]]),
)
KEPT_ATTEMPTS = 1_000


class Scenario:
    """The same steps, taken by an environment and by the model."""

    def __init__(self, stack: ExitStack, schedule: str) -> None:
        retry, delays_ms = SCHEDULES[schedule]
        self.stack = stack
        self.real = stack.enter_context(
            LambdaTelemetry(Settings(start=START, clock="virtual", retry=retry, strict=False))
        )
        self.model = Model(START, delays_ms)
        self.listeners: list[Listener | None] = []
        self.numbers = count()

    def subscribe(
        self, types: list[TelemetryType], timeout_ms: int, max_items: int, accepts: list[bool] | None
    ) -> None:
        number = len(self.listeners)
        if accepts is None:
            accepts = [False] * 1000
            self.listeners.append(None)
            uri = f"http://sandbox.localdomain:{free_port()}"
        else:
            statuses = dict(enumerate((200 if ok else 503 for ok in accepts), 1))
            listener = self.stack.enter_context(Listener(lambda n: statuses.get(n, 200)))
            self.listeners.append(listener)
            uri = listener.uri
        self.real.subscribe(
            uri, types, name=f"ext-{number}", buffering={"timeoutMs": timeout_ms, "maxItems": max_items}
        )
        subscriber = Subscriber(number, tuple(types), max_items, 262_144, timeout_ms, list(accepts))
        subscriber.failure = "connection refused" if self.listeners[number] is None else subscriber.failure
        self.model.subscribe(subscriber)

    def take(self, step: tuple[Any, ...]) -> None:
        before = len(self.model.log)
        returned = self._take(*step) or ()
        tried = list(dict.fromkeys(one.batch for one in self.model.log[before:]))
        assert [told(one) for one in returned] == [batch.events for batch in tried]
        assert self.real.now == self.model.wall
        assert self.real.elapsed == timedelta(milliseconds=self.model.elapsed_ms)

    def _take(self, what: str, *options: Any) -> tuple[Delivery, ...] | None:
        match (what, *options):
            case "emit", kind, how_many:
                made = [KINDS[kind](next(self.numbers)) for _ in range(how_many)]
                self.model.emit([(event.type, event.record) for event in made])
                return self.real.emit(*made)
            case "advance", ms:
                self.model.advance(ms)
                return self.real.advance(ms=ms)
            case "flush", number:
                if number is None or number >= len(self.listeners):
                    self.model.flush(self.model.subscribers)
                    return self.real.flush()
                self.model.flush([self.model.subscribers[number]])
                return self.real.flush(f"ext-{number}")
            case _:
                getattr(self.real, what)()
                getattr(self.model, what)()
                return None

    def compare(self) -> None:
        for number, subscription in enumerate(self.real.subscriptions):
            expected = [one for one in self.model.log if one.to == number]
            deliveries = [one for one in self.real.deliveries if one.subscription is subscription]
            assert len(deliveries) == len(batches(expected))
            for delivery, batch in zip(deliveries, batches(expected), strict=True):
                tried = [one for one in expected if one.batch is batch]
                assert told(delivery) == batch.events
                assert delivery.attempt_count == len(tried)
                assert [(one.at, one.status) for one in delivery.attempts] == [
                    (one.at, self._status(one.ok, number)) for one in tried[-KEPT_ATTEMPTS:]
                ]
                assert delivery.ok == tried[-1].ok
            listener = self.listeners[number]
            if listener is not None:
                assert listener.bodies == [one.body for one in deliveries for _ in range(one.attempt_count)]
        # across subscribers: by moment, then in the order of the subscriptions, as the model tried them
        firsts = list(dict.fromkeys(one.batch for one in self.model.log))
        assert [told(one) for one in self.real.deliveries] == [batch.events for batch in firsts]

    def _status(self, ok: bool, number: int) -> int | None:
        return 200 if ok else 503 if self.listeners[number] else None


def told(delivery: Delivery) -> list[dict[str, Any]]:
    """The events of a delivery."""
    sent: list[dict[str, Any]] = json.loads(delivery.body)
    return sent


def batches(tried: list[Any]) -> list[Batch]:
    return list(dict.fromkeys(one.batch for one in tried))


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(first=subscribers, second=subscribers, steps=steps, schedule=st.sampled_from(list(SCHEDULES)))
def test_every_delivery_has_the_content_order_and_moment_of_the_model(
    first: Any, second: Any, steps: list[Any], schedule: str
) -> None:
    play(first, second, steps, schedule, [("thaw",), ("advance", 30_000), ("flush", None)])


@settings(derandomize=True, deadline=None, max_examples=40, database=None)
@given(
    first=patient_subscribers,
    second=patient_subscribers,
    steps=long_steps,
    schedule=st.sampled_from(["default", "capped", "capped", "seven attempts"]),
)
@example(  # more attempts than are kept
    first=(["function"], 25, 1000, [False] * 1_253),
    second=(["function"], 25, 1000, []),
    steps=[("emit", "function", 3), ("advance", 125_000)],
    schedule="capped",
)
@example(  # a batch is given up, then its announcement, then a batch that was emitted before that
    first=(["platform", "function"], 25, 1000, [False] * 21),
    second=(["function"], 25, 1000, []),
    steps=[("emit", "function", 3), ("advance", 600), ("emit", "function", 1), ("advance", 60_000)],
    schedule="seven attempts",
)
def test_outages_over_minutes_end_as_in_the_model(first: Any, second: Any, steps: list[Any], schedule: str) -> None:
    play(first, second, steps, schedule, [("thaw",), ("advance", 180_000), ("flush", None), ("advance", 180_000)])


def play(first: Any, second: Any, steps: list[Any], schedule: str, end: list[Any]) -> None:
    with ExitStack() as stack:
        scenario = Scenario(stack, schedule)
        scenario.subscribe(*first)
        for step in steps:
            if step[0] != "subscribe":
                scenario.take(step)
            elif len(scenario.listeners) == 1:
                scenario.subscribe(*second)
        for step in end:
            scenario.take(step)
        scenario.compare()


def test_subscriptions_of_one_extension_count_as_two_subscribers() -> None:
    with LambdaTelemetry(Settings(start=START, strict=False)) as real, Listener() as listener:
        one = real.subscribe(listener.uri, ["function"], buffering={"timeoutMs": 50})
        two = real.subscribe(f"{listener.uri}/other", ["function"], buffering={"timeoutMs": 25})
        assert isinstance(one, Subscription)
        real.emit(events.function("a line"))
        assert [delivery.subscription for delivery in real.advance(ms=50)] == [two, one]
        assert listener.paths == ["/other", "/"]

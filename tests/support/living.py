"""A real extension in a thread of this process: it registers, subscribes and loops on next, all over HTTP."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

from tests.support.helpers import EXTENSION, IDENTIFIER, Answer, Listener, call, register, subscribe, subscribe_body

Event = dict[str, Any]


class Living:
    """`told` is what next answered; `on_event` runs between an event and the next poll; `received` is telemetry."""

    def __init__(
        self,
        name: str = "ext",
        events: Sequence[str] = ("INVOKE", "SHUTDOWN"),
        on_event: Callable[[Event], object] = lambda event: None,
        *,
        asks: bool = True,
        subscribes: bool = True,
        **subscription: Any,
    ) -> None:
        self.name, self.told, self._on_event = name, list[Event](), on_event
        self._arrived = threading.Condition()
        self._api = os.environ["AWS_LAMBDA_RUNTIME_API"]  # read once, as extensions do
        self.identifier = register(name, events)
        self.listener = Listener(self._answer)
        if subscribes:
            subscribe(self.identifier, subscribe_body(self.listener.port, **subscription))
        self._thread = threading.Thread(target=self._run)
        if asks:
            self._thread.start()

    def _answer(self, _number: int) -> int:
        with self._arrived:
            self._arrived.notify_all()
        return 200

    def _run(self) -> None:
        while True:
            try:
                answer = self.next()
            except (OSError, HTTPException):
                return  # the environment let the poll go
            if answer.status != 200:
                return
            self.told.append(answer.body)
            if answer.body["eventType"] == "SHUTDOWN":
                return
            self._on_event(answer.body)

    def next(self) -> Answer:
        return call("GET", f"{EXTENSION}/event/next", headers={IDENTIFIER: self.identifier}, api=self._api)

    def wait_for(self, event_type: str, count: int = 1) -> None:
        """Return once so much telemetry of a type has arrived, as a careful extension does before it asks for next."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self.types.count(event_type) >= count, 10)

    @property
    def received(self) -> list[Event]:
        return [event for batch in self.listener.batches for event in batch]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.received]

    def of(self, event_type: str) -> list[Any]:
        return [event["record"] for event in self.received if event["type"] == event_type]

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join(10)
            assert not self._thread.is_alive()

    def close(self) -> None:
        self.join()
        self.listener.close()


Make = Callable[..., Living]


@contextmanager
def living() -> Iterator[Make]:
    """Makes extensions, and takes them down after the environment that they live in."""
    made: list[Living] = []

    def make(*args: Any, **options: Any) -> Living:
        made.append(Living(*args, **options))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.close()

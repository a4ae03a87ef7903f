"""The extensions of one environment: who registered, where each stands, and the poll it waits on."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from weakref import ReferenceType, ref

from ..model.headers import Headers
from ..model.records import Extension, Subscription
from ..protocol.calls import Caller
from ..protocol.contract import Api
from ..protocol.states import Call, ExtensionState, advance_extension
from ..wire.exchange import HttpResponse


class Poll:
    """One held `event/next` request. The connection's thread waits on it without using the processor.

    `finish` makes the response; it is called by who answers, so that the record of it stands where it happened.
    """

    def __init__(self, alive: Callable[[], bool], finish: Callable[[bytes], HttpResponse]) -> None:
        self.alive = alive
        self._finish = finish
        self._response: HttpResponse | None = None
        self._answered = threading.Event()

    def answer(self, payload: bytes | None) -> None:
        """Let the request go with this body; None closes the connection without an answer."""
        try:
            self._response = None if payload is None else self._finish(payload)
        finally:
            self._answered.set()  # whatever happens: a poll that is left behind would hold its client for ever

    def wait(self) -> HttpResponse | None:
        """Block until `answer`."""
        self._answered.wait()
        return self._response


@dataclass(slots=True, eq=False)
class LiveExtension:
    """A registered extension. The caller holds the environment's lock around every call."""

    name: str
    extension_id: str
    events: tuple[str, ...]
    headers: Headers
    at: datetime
    stand_in: bool = False
    internal: bool = False
    outlived: str = ""
    """The thread that registered it, where that was started during an earlier test."""
    state: ExtensionState = ExtensionState.REGISTERED
    errors: list[str] = field(default_factory=list)
    api: Api | None = None
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    """By the fingerprint of the body that was accepted."""
    poll: Poll | None = None
    pending: tuple[Call, bytes] | None = None
    thread: ReferenceType[threading.Thread] | None = None
    """The thread of this process that made its last call."""
    abandoned: bool = False
    """That thread has died of an exception, and it has not called since: nobody waits for it."""
    overdue: bool = False
    """It was told of that it does not ask for its next event, and has not asked since."""

    @property
    def waiting(self) -> bool:
        """It asked for its next event (hand-made extensions count as always ready)."""
        return self.stand_in or self.state is ExtensionState.READY

    @property
    def asking(self) -> bool:
        """As `waiting`, and the client of its poll has not gone away."""
        return self.stand_in or (self.poll is not None and self.poll.alive())

    @property
    def failed(self) -> bool:
        """It reported an error that ends it, or has left: nobody waits for it any more."""
        return self.state in (ExtensionState.INIT_ERROR, ExtensionState.EXIT_ERROR, ExtensionState.EXITED)

    @property
    def caller(self) -> Caller:
        """What decides how a call of its is answered."""
        return Caller(name=self.name, state=self.state, api=self.api, subscribed=self.subscriptions)

    @property
    def snapshot(self) -> Extension:
        return Extension(
            name=self.name,
            extension_id=self.extension_id,
            events=self.events,
            headers=self.headers,
            state=str(self.state),
            errors=tuple(self.errors),
            at=self.at,
        )

    def tell(self, call: Call, payload: bytes) -> None:
        """Send an event to the poll that is held, or keep it for the next one."""
        if self.poll is not None and not self.poll.alive():
            self.give_up_poll()
        if self.poll is None:
            self.pending = call, payload
            return
        poll, self.poll = self.poll, None
        self._moved(call)
        poll.answer(payload)

    def take_pending(self) -> bytes | None:
        """The event that was kept for this poll, if any."""
        if self.pending is None:
            return None
        (call, payload), self.pending = self.pending, None
        self._moved(call)
        return payload

    def calls_on(self, thread: threading.Thread | None) -> None:
        """It makes a call, on this thread if that is one of this process."""
        self.thread, self.abandoned = ref(thread) if thread is not None else None, False

    def lose(self, thread: threading.Thread | None) -> None:
        """This thread has died of an exception."""
        self.abandoned = self.abandoned or (thread is not None and self.thread is not None and self.thread() is thread)

    def end(self) -> None:
        """Its process is gone."""
        self.hang_up()
        self._moved(Call.EXIT)

    def give_up_poll(self) -> None:
        """Forget a poll whose client has gone, as if it had never been asked."""
        self.hang_up()
        if self.state is ExtensionState.READY:
            self.state = ExtensionState.RUNNING

    def hang_up(self) -> None:
        """Let a held poll go without an answer."""
        if self.poll is not None:
            self.poll.answer(None)
            self.poll = None

    def _moved(self, call: Call) -> None:
        state = advance_extension(self.state, call, self.name)
        assert isinstance(state, ExtensionState), state
        self.state = state


class Extensions:
    """All extensions of one environment, in the order they registered."""

    def __init__(self) -> None:
        self._all: list[LiveExtension] = []

    def __iter__(self) -> Iterator[LiveExtension]:
        return iter(self._all)

    def add(self, extension: LiveExtension) -> None:
        self._all.append(extension)

    def clear(self) -> list[str]:
        """All are gone, and their polls with them; their identifiers."""
        gone, self._all = self._all, []
        for extension in gone:
            extension.hang_up()
        return [extension.extension_id for extension in gone]

    def by_id(self, extension_id: str) -> LiveExtension | None:
        return next((one for one in self._all if one.extension_id == extension_id), None)

    def by_name(self, name: str) -> LiveExtension | None:
        return next((one for one in self._all if one.name == name), None)

    @property
    def by_themselves(self) -> list[LiveExtension]:
        """Those that have registered over the API, not by the test's hand."""
        return [one for one in self._all if not one.stand_in]

    @property
    def first_error(self) -> str | None:
        """The error type that the first of them with an error has reported first."""
        return next((one.errors[0] for one in self._all if one.errors), None)

    @property
    def names(self) -> list[str]:
        return [one.name for one in self._all]

    @property
    def subscription_count(self) -> int:
        """How many different subscriptions they have made."""
        return sum(len(one.subscriptions) for one in self._all)

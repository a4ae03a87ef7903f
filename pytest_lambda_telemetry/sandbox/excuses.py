"""Who was refused because the test wanted it so: what follows from that is no violation.

A call whose refusal the test has injected or expected may well end the extension that made it. Once a later call of it
is accepted, it has got over the refusal, and is excused no more.
"""

from collections.abc import Iterable
from threading import Thread
from weakref import WeakSet


class Excuses:
    """Of one environment; the caller holds its lock."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._threads: WeakSet[Thread] = WeakSet()

    def refused(self, names: Iterable[str], thread: Thread | None) -> None:
        """A call of one of these, made on this thread of our process if it is one, was refused as the test wanted."""
        self._names.update(names)
        if thread is not None:
            self._threads.add(thread)

    def accepted(self, who: str, thread: Thread | None = None) -> None:
        """A later call was accepted."""
        self._names.discard(who)
        if thread is not None:
            self._threads.discard(thread)

    def begin_anew(self) -> None:
        """Another execution environment, in which nobody was refused yet."""
        self._names.clear()
        self._threads.clear()

    def extension(self, name: str) -> bool:
        """The extension of this name ends because of a refusal that the test wanted, if it ends now."""
        return name in self._names

    def thread(self, thread: Thread | None) -> bool:
        """The same of a thread."""
        return thread in self._threads

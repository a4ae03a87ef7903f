"""How much of the past an environment keeps: one account of bytes for its journal and for all that is folded from it.

What does not fit is let go, oldest first: bodies (events, batches, what requests carried) before anything else, then
entries of whichever list takes most. The newest body and the newest entry of each list always stay.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Generic, Protocol, TypeVar

from ..model.records import Extension, Subscription

DEFAULT_LIMIT = 65_536
"""Entries kept of each list; and as many KiB of all that is kept."""
_VALUE_BYTES = 32

T = TypeVar("T")


class Held(Protocol):
    """Bytes that may be let go."""

    def release(self) -> object: ...


class Retention:
    """The account of one environment. The caller holds its lock."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.kept_bytes = 0
        """About how many bytes all that is kept takes."""
        self._limit_bytes = limit * 1024
        self._bodies: deque[tuple[Held, int]] = deque()
        self._body_bytes = 0
        self._lists: list[Newest[object]] = []

    def hold(self, body: Held, size: int) -> None:
        """Keep a body for as long as there is room; it takes about `size` bytes."""
        self._bodies.append((body, size))
        self._body_bytes += size
        self.count(size)

    def add_list(self, one: "Newest[object]") -> None:
        """A list whose entries count."""
        self._lists.append(one)

    def count(self, size: int) -> None:
        """So many bytes more are kept, or less; what does not fit is let go."""
        self.kept_bytes += size
        if self.kept_bytes > self._limit_bytes:
            self._make_room()

    def _make_room(self) -> None:
        while self.kept_bytes > self._limit_bytes and len(self._bodies) > 1:
            body, size = self._bodies.popleft()
            body.release()
            self._body_bytes -= size
            self.kept_bytes -= size
        while self.kept_bytes - self._body_bytes > self._limit_bytes:
            longest = max((one for one in self._lists if len(one) > 1), key=lambda one: one.kept_bytes, default=None)
            if longest is None:
                break
            longest.drop()


class Newest(Generic[T]):
    """The newest values of one kind, as many as the account has room for. `let_go` is told of each that goes."""

    def __init__(self, retention: Retention, let_go: Callable[[T], object] | None = None) -> None:
        self.kept_bytes = 0
        self.forgotten = 0
        """How many values the limit has cost."""
        self._retention = retention
        self._limit = retention.limit
        self._let_go = let_go
        # side by side, not as tuples: what holds nothing but numbers costs the garbage collector nothing
        self._values: deque[T] = deque()
        self._sizes: deque[int] = deque()
        retention.add_list(self)  # type: ignore[arg-type]  # of whatever it is a list

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[T]:
        return iter(self._values)

    def append(self, value: T, size: int) -> None:
        """Take one more, of about so many bytes."""
        self._values.append(value)
        self._sizes.append(size)
        self.kept_bytes += size
        if len(self._values) > self._limit:
            self.drop()
        self._retention.count(size)

    def drop(self) -> None:
        """Let the oldest go."""
        value, size = self._values.popleft(), self._sizes.popleft()
        self.forgotten += 1
        self.kept_bytes -= size
        self._retention.kept_bytes -= size
        if self._let_go is not None:
            self._let_go(value)


def measured(value: object) -> int:
    """About how many bytes a value takes, with the texts that it holds.

    Not looked into: bodies, which are held by themselves, and what the environment itself needs as long as it lives.
    """
    if isinstance(value, str | bytes):
        return sys.getsizeof(value)
    if isinstance(value, tuple):
        return _VALUE_BYTES + sum(map(measured, value))
    if is_dataclass(value) and not isinstance(value, Extension | Subscription):
        return _VALUE_BYTES + sum(measured(getattr(value, one.name)) for one in fields(value))
    return _VALUE_BYTES

"""Following a clock that another library has taken over: the ports, and the hooks that notice a test moving it."""

import functools
import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Protocol

from .patching import Replacements


class Listener(Protocol):
    """An environment that wants to know when the test itself moves the foreign clock."""

    def before_move(self) -> None:
        """The test's own call is about to move time. May raise (MisuseError: wrong thread): then nothing moves.

        It can stay without its `after_move`, where another listener refuses or the move itself fails: only check here.
        """

    def after_move(self) -> None:
        """Time has moved, forward or back; what it raises reaches the test out of its own call."""


class _Thread(threading.local):
    quiet = False


class MoveHooks:
    """Wraps the methods that move one library's clock, from the first listener to the last.

    `moves` and `reads` name methods by class; those a release of the library does not have are left out. A method in
    `reads` may itself call one in `moves` (freezegun's auto-tick): that is no move of the test's. Only a clock that
    `is_active` tells the listeners, and a move that is made of further moves tells them once.
    """

    def __init__(
        self,
        *,
        moves: Mapping[str, tuple[str, ...]],
        reads: Mapping[str, tuple[str, ...]] | None = None,
        is_active: Callable[[object], bool],
    ) -> None:
        self._table = ((moves, functools.cache(self._moving)), (reads or {}, functools.cache(self._reading)))
        self._is_active = is_active
        self._listeners: tuple[Listener, ...] = ()
        self._covered: ModuleType | None = None
        self._replaced = Replacements()
        self._thread = _Thread()

    def add(self, listener: Listener) -> None:
        """Tell `listener` too, after those already there; adding it again changes nothing."""
        if all(known is not listener for known in self._listeners):
            self._listeners += (listener,)

    def remove(self, listener: Listener) -> None:
        """Stop telling `listener`; the last one to go leaves the library's own methods behind."""
        self._listeners = tuple(known for known in self._listeners if known is not listener)
        if not self._listeners:
            self._replaced.restore()
            self._covered = None

    def cover(self, library: ModuleType) -> None:
        """Hook the classes of `library`, unless nobody listens or it is done: called at every look at the clock."""
        if self._covered is library or not self._listeners:
            return
        self._replaced.restore()  # a library that was imported afresh has new classes
        self._covered = library
        for methods, wrapped in self._table:
            for class_name, names in methods.items():
                owner = getattr(library, class_name, None)
                for name in names:
                    if owner is not None and hasattr(owner, name):
                        self._replaced.replace(owner, name, wrapped)

    def _moving(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def move(clock: object, *args: Any, **kwargs: Any) -> Any:
            if self._thread.quiet or not self._is_active(clock):
                return original(clock, *args, **kwargs)
            listeners = self._listeners
            for listener in listeners:
                listener.before_move()
            result = self._quietly(original, clock, *args, **kwargs)
            for listener in listeners:
                listener.after_move()
            return result

        return move

    def _reading(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def read(clock: object, *args: Any, **kwargs: Any) -> Any:
            return self._quietly(original, clock, *args, **kwargs)

        return read

    def _quietly(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        before, self._thread.quiet = self._thread.quiet, True
        try:
            return call(*args, **kwargs)
        finally:
            self._thread.quiet = before

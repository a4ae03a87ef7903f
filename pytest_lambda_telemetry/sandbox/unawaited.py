"""Calls of an async test that nobody awaited: they did nothing, and the test should know."""

import inspect
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial, update_wrapper
from types import FrameType, MethodType
from typing import Any, TypeVar, cast

from .places import Place, place_of

F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, object]])


@dataclass(frozen=True, slots=True)
class _Call:
    what: str
    coroutine: Coroutine[Any, Any, object]
    place: Place

    @property
    def begun(self) -> bool:
        return inspect.getcoroutinestate(self.coroutine) != inspect.CORO_CREATED


class Unawaited:
    """Of one environment. A call is kept until it has begun, so Python cannot warn of it at some later moment."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def note(self, what: str, coroutine: Coroutine[Any, Any, object], caller: FrameType) -> None:
        """This call was made there, and is to be awaited."""
        self._calls = [one for one in self._calls if not one.begun]
        self._calls.append(_Call(what, coroutine, place_of(caller)))

    def take(self) -> list[tuple[str, Place]]:
        """A text for each call that was never awaited, and the line that made it; they are over."""
        forgotten, self._calls = [one for one in self._calls if not one.begun], []
        for one in forgotten:
            one.coroutine.close()
        return [
            (f"{one.what} was called and never awaited, so it did nothing: write `await` before it", one.place)
            for one in forgotten
        ]


def noted(method: F) -> F:
    """A method of an async environment: a call of it that is never awaited is told at the end of its test."""
    return cast(F, _Noting(method))  # what a caller sees of it


class _Noting:
    """Of the class it is the async function that it was, of an environment a call that is noted."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method

    def __get__(self, environment: object, owner: type) -> Callable[..., Any]:
        if environment is None:
            return self._method
        bound = MethodType(self._method, environment)
        return update_wrapper(_Noted(bound), bound)


class _Noted(partial[Any]):
    """A bound method, a coroutine function to whoever asks."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:  # whatever the method takes and returns
        coroutine = super().__call__(*args, **kwargs)
        method = cast(MethodType, self.func)
        sandbox = method.__self__._opened  # type: ignore[attr-defined]  # the environment; before its start it has none
        if sandbox is not None:
            sandbox.suspicions.unawaited.note(f"{method.__name__}()", coroutine, sys._getframe(1))
        return coroutine

"""Values of wrong kinds for every argument of every public callable, and what a mistake may be answered with."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from math import inf, nan
from typing import Any

from pytest_lambda_telemetry import MisuseError

_SAYS = (
    *("pass ", "must be", "valid", "takes", "would refuse", "make ", "say ", "use ", "expected", "play a ", "leave "),
    *("give ", "it has", "goes with", "gives", "there are", "is a list", "is a non-empty", "is not empty", "a status"),
    *("cannot read", "init is over", "does not exist", "that are there", "only on", "it brings are", "Run the program"),
)
"""How messages say what would be right."""


class Unshowable:
    """A value whose repr fails, as a mock's may."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


WRONG: dict[str, Any] = {
    "None": None,
    "True": True,
    "1": 1,
    "-1": -1,
    "1.5": 1.5,
    "nan": nan,
    "inf": inf,
    "-inf": -inf,
    "huge": 10**400,
    "huge float": 1.7e308,
    "no digits": 10**5000,
    "text": "x",
    "empty": "",
    "platform": "platform",
    "INVOKE": "INVOKE",
    "surrogate": "\ud800",
    "NUL": "a\0b",
    "bytes": b"x",
    "object": object(),
    "class": object,
    "function": lambda: True,
    "unshowable": Unshowable(),
    "complex": 1j,
    "[]": [],
    "()": (),
    "set()": set(),
    "{}": {},
    "[1]": [1],
    "[None]": [None],
    "['x']": ["x"],
    "[[]]": [[]],
    "[b'x']": [b"x"],
    "[surrogate]": ["\ud800"],
    "[{}]": [{}],
    "{1: []}": {1: []},
    "{'a': object}": {"a": object()},
    "{(): 1}": {(): 1},
}


def variations(
    callee: Callable[..., object], valid: Mapping[str, object], options: Mapping[str, object]
) -> Iterator[tuple[str, Any, tuple[Any, ...], dict[str, Any]]]:
    """Each argument of a callable with each wrong value: its name, the value, and what to call it with.

    The other arguments are `valid`; `options` are those that hide behind `**`.
    """
    for parameter in inspect.signature(callee).parameters.values():
        if parameter.name == "self":
            continue
        names = list(options) if parameter.kind is parameter.VAR_KEYWORD else [parameter.name]
        for name in names:
            for value in WRONG.values():
                if parameter.kind is parameter.VAR_POSITIONAL:
                    yield name, value, (value,), {**valid}
                else:
                    yield name, value, (), {**valid, name: value}


def mistake(
    call: Callable[..., object], /, *args: Any, others: tuple[type[BaseException], ...] = (), **kwargs: Any
) -> None:
    """Make a call that may be wrong: it works, or it is a MisuseError that helps; `others` may be raised besides."""
    try:
        call(*args, **kwargs)
    except MisuseError as error:
        helps(error)
    except others:
        pass


def helps(error: MisuseError) -> None:
    """The message of a mistake says what is wrong with what, and what to do."""
    text = str(error)
    assert any(word in text for word in _SAYS), text
    assert len(text) > 20, text

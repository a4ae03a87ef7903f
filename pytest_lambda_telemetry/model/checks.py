"""What a test passes in, looked at: the one place that knows what counts as a number, a text, a list of names.

Each caller says in its own words what is wrong and what to pass instead; `require` does it for those that say it alike.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import TypeGuard

from .errors import MisuseError


def is_whole(value: object, least: int | None = None) -> TypeGuard[int]:
    """An int, `least` or more; True and False are no numbers here."""
    return isinstance(value, int) and not isinstance(value, bool) and (least is None or value >= least)


def is_number(value: object) -> TypeGuard[float]:
    """A finite int or float; True and False are no numbers here."""
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def _is_finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # an int beyond every float
        return False


def is_text(value: object) -> TypeGuard[str]:
    """A str that is not empty."""
    return isinstance(value, str) and bool(value)


def is_list(value: object) -> TypeGuard[Iterable[object]]:
    """Something to iterate over that is meant as a list: no text, no bytes, no mapping."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping)


def is_json(value: object) -> bool:
    """A value that JSON may have, as far as can be seen from outside: what it holds is looked at when it is written."""
    return value is None or isinstance(value, str | bool | int | float | list | tuple | Mapping)


def require(holds: bool, name: str, value: object, wanted: str) -> None:
    """Raise MisuseError unless it holds: `NAME=VALUE is not valid: it must be WANTED`."""
    if not holds:
        raise MisuseError(f"{name}={value!r} is not valid: it must be {wanted}")


def quoted(valid: Iterable[str]) -> str:
    """Names to choose from, for a message."""
    return ", ".join(map(repr, valid))


def not_negative(name: str, value: object) -> float:
    """A number, 0 or more. Raises MisuseError."""
    require(is_number(value) and 0 <= value < 1e12, name, value, "a number, 0 or more")
    assert is_number(value)
    return value


def times(value: object) -> int:
    """How often something happens: 1 or more. Raises MisuseError."""
    require(is_whole(value, 1), "times", value, "a whole number, 1 or more")
    assert is_whole(value)
    return value

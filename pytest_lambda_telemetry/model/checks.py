"""What a test passes in, looked at: the one place that knows what counts as a number, a text, a list of names.

Each caller says in its own words what is wrong and what to pass instead; `require` does it for those that say it alike.
"""

import difflib
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from math import inf, isfinite
from typing import Protocol, TypeGuard, TypeVar, runtime_checkable

from .errors import MisuseError

T = TypeVar("T")


@runtime_checkable
class _Path(Protocol):
    """What `os.PathLike` is, without the module."""

    def __fspath__(self) -> object: ...


_LONGEST_WAIT_S = 1e9  # a lock takes a little more, but not infinity


def is_a(value: object, kind: type[T]) -> TypeGuard[T]:
    """Of this kind, as JSON tells kinds apart: True and False are no numbers."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def is_flag(value: object) -> TypeGuard[bool]:
    """True or False, and nothing that only counts as one of them."""
    return isinstance(value, bool)


def is_whole(value: object, least: int | None = None) -> TypeGuard[int]:
    """An int, `least` or more; True and False are no numbers here."""
    return is_a(value, int) and (least is None or value >= least)


def is_number(value: object, least: float | None = None) -> TypeGuard[float]:
    """A finite int or float, `least` or more; True and False are no numbers here."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return _is_finite(value) and (least is None or value >= least)


def _is_finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # an int beyond every float
        return False


def is_text(value: object) -> TypeGuard[str]:
    """A str that is not empty."""
    return isinstance(value, str) and bool(value)


def is_one_of(value: object, valid: Collection[str]) -> TypeGuard[str]:
    """One of these names, spelled exactly so; any value can be asked about, also one that has no hash."""
    return isinstance(value, str) and value in valid


def is_list(value: object) -> TypeGuard[Iterable[object]]:
    """Something to iterate over that is meant as a list: no text, no bytes, no mapping."""
    if isinstance(value, (list, tuple)):  # as a rule, and the classes below take ten times as long
        return True
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping)


def are_texts(value: object) -> TypeGuard[Collection[str]]:
    """A list, tuple or set of str, none of them empty."""
    return isinstance(value, list | tuple | set | frozenset) and all(map(is_text, value))


def is_moment(value: object) -> TypeGuard[datetime | str]:
    """A moment that has a place in UTC: an aware datetime, or an ISO-8601 text with an offset."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return False
    if not isinstance(value, datetime) or value.utcoffset() is None:
        return False
    try:
        value.astimezone(UTC)
    except OverflowError:  # it would be outside of the years 1 to 9999
        return False
    return True


def is_json(value: object) -> bool:
    """A value that JSON may have, as far as can be seen from outside: what it holds is looked at when it is written."""
    return value is None or isinstance(value, str | bool | int | float | list | tuple | Mapping)


def is_encodable(text: str) -> bool:
    """The system takes this text, as a variable or a name of a file: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


# -- messages ----------------------------------------------------------------------------------------------------------


def repr_of(value: object) -> str:
    """A value for a message: one that is wrong may be wrong enough to have no repr."""
    try:
        return repr(value)
    except Exception:  # an int of 5,000 digits, a mock
        return f"<{type(value).__name__} without a repr>"


def require(holds: bool, name: str, value: object, wanted: str) -> None:
    """Raise MisuseError unless it holds: `NAME=VALUE is not valid: it must be WANTED`."""
    if not holds:
        raise MisuseError(f"{name}={repr_of(value)} is not valid: it must be {wanted}")


def quoted(valid: Iterable[str], mark: str = "'") -> str:
    """Names to choose from, for a message."""
    return ", ".join(f"{mark}{name}{mark}" for name in valid)


def hint_at(name: object, valid: Iterable[str]) -> str:
    """The hint at a misspelt name; empty where none is near."""
    near = difflib.get_close_matches(str(name), valid, n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def require_options(what: str, given: Iterable[str], valid: Collection[str]) -> None:
    """Raise MisuseError for an option that does not exist, with those that do."""
    for name in given:
        if name not in valid:
            hint = hint_at(name, valid)
            raise MisuseError(f"{what} has no option {name!r}; it has {', '.join(valid)}{hint and f'; {hint}'}")


# -- what is the same for many callers ---------------------------------------------------------------------------------


def texts(name: str, value: object, what: str) -> list[str]:
    """A list of str. Raises MisuseError; one str alone is shown as the list that it was meant to be."""
    if isinstance(value, str):
        raise MisuseError(f"{name}={value!r} is not a list; pass a list of {what}, such as [{value!r}]")
    if not is_list(value):
        raise MisuseError(f"{name}={repr_of(value)} is not a list; pass a list of {what}")
    items: list[str] = []
    for index, item in enumerate(value):
        require(isinstance(item, str), f"{name}[{index}]", item, "a str")
        items.append(str(item))
    return items


def extension_name(value: object) -> str | None:
    """The name of an extension, or None for any. Raises MisuseError."""
    require(value is None or isinstance(value, str), "name", value, "the name of an extension, a str")
    return None if value is None else str(value)


def timeout(value: object) -> float:
    """How long to wait, in real seconds: any number, also one longer than the system can wait. Raises MisuseError."""
    if value == inf:
        return _LONGEST_WAIT_S
    require(is_number(value), "timeout", value, "a number of seconds")
    assert is_number(value)
    return min(value, _LONGEST_WAIT_S)


def path(name: str, value: object) -> str:
    """The path of a file or folder, as text. Raises MisuseError."""
    text = value.__fspath__() if isinstance(value, _Path) else value
    require(isinstance(text, str), name, value, "a path: a str or a pathlib.Path")
    assert isinstance(text, str)
    require(is_encodable(text), name, value, "a path that the system can take")
    return text


def not_negative(name: str, value: object) -> float:
    """A number, 0 or more. Raises MisuseError."""
    if is_number(value, 0) and value < 1e12:
        return value
    raise MisuseError(f"{name}={repr_of(value)} is not valid: it must be a number, 0 or more")


def times(value: object) -> int:
    """How often something happens: 1 or more. Raises MisuseError."""
    require(is_whole(value, 1), "times", value, "a whole number, 1 or more")
    assert is_whole(value)
    return value

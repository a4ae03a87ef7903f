"""Replacing attributes of somebody else's classes, and putting them back only while they are still ours."""

from collections.abc import Callable
from typing import Any

_ABSENT: Any = object()  # stands for a class that has no such attribute of its own


class Replacements:
    """The attributes we replaced on one library's classes, in order."""

    def __init__(self) -> None:
        self._made: list[tuple[type, str, Any, Any]] = []

    def replace(self, owner: type, name: str, make: Callable[[Any], object]) -> None:
        """Set `owner.name` to `make(what stands there now)`; a classmethod or property is passed as itself.

        `Any`: the attribute belongs to a library that may not be installed, so there is no type to name.
        """
        original = vars(owner).get(name, _ABSENT)
        replacement = make(getattr(owner, name, None) if original is _ABSENT else original)
        setattr(owner, name, replacement)
        self._made.append((owner, name, original, replacement))

    def restore(self) -> None:
        """Undo every replacement, the newest first; one that somebody else wrapped since stays, harmlessly."""
        while self._made:
            owner, name, original, replacement = self._made.pop()
            if vars(owner).get(name) is not replacement:
                continue
            if original is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, original)

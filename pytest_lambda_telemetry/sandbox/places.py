"""Lines of the user's: where a call of ours was made, for what is told of it."""

import sys
from dataclasses import dataclass
from types import FrameType

BETWEEN = (__name__.partition(".")[0], "contextlib", "asyncio", "concurrent", "threading", "anyio", "trio")
"""What lies between the user's line and a call of ours."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, and its module's name where it has one."""

    file: str
    line: int
    module: str | None = None


def place_of(frame: FrameType) -> Place:
    """Where a frame stands."""
    return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__"))


def caller() -> Place | None:
    """The line of the user's from which we are called; None on a thread that only runs code of ours."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in BETWEEN:
            return place_of(frame)
        frame = frame.f_back
    return None

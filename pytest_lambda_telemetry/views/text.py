"""The journal as aligned lines of text."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol


class Line(Protocol):
    """What a line of the timeline needs of a journal entry."""

    @property
    def elapsed(self) -> timedelta: ...
    @property
    def who(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def verdict(self) -> str: ...


_WIDEST = 60


def timeline(
    entries: Sequence[Line], forgotten: int = 0, now: timedelta | None = None, *, pending: Sequence[str] = ()
) -> str:
    """Virtual time, who, what and verdict in columns.

    A first line says how many older entries are gone, a last one how far time has moved since the newest; behind that
    comes what is `pending`.
    """
    rows = [(_offset(entry.elapsed), *map(_plain, (entry.who, entry.what, entry.verdict))) for entry in entries]
    if now is not None and entries and now > entries[-1].elapsed:
        rows.append((_offset(now), "test", "(now)", ""))
    widths = [min(_WIDEST, max((len(row[column]) for row in rows), default=0)) for column in range(3)]
    lines = [f"({forgotten} older entries were let go)"] if forgotten else []
    for time, who, what, verdict in rows:
        line = f"{time:>{widths[0]}}  {who:<{widths[1]}}  {what:<{widths[2]}}  {verdict}"
        lines.append(line.rstrip())
    return "\n".join([*lines, *map(_plain, pending)])


def _offset(elapsed: timedelta) -> str:
    return f"+{elapsed.total_seconds():.3f}s"


def _plain(text: str) -> str:
    """On one line, with nothing that a terminal would obey."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)

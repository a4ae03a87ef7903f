"""docs/mistakes.md, made from the rows of this folder. `python -m tests.field.document` writes it anew."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from tests.field import authors, calls, listeners, processes
from tests.field.cases import MISTAKES, TWINS, Mistake, Twin

Row = TypeVar("Row", Mistake, Twin)

ROWS_IN = (calls, listeners, processes, authors)
"""The modules that add rows when they are imported, in the page's order."""

PAGE = Path(__file__).parents[2] / "docs/mistakes.md"
COMMAND = "python -m tests.field.document"

INTRODUCTION = f"""\
# What is said of a mistake

Each row is a small extension, or a test, with one mistake. Nobody asserts anything: the test fails by itself, or warns,
and what it says begins with the last column. PORT and ID stand for what differs from run to run. The errors are
described in `pytest_lambda_telemetry`; a `ProtocolViolation` is told where the test checks, or at its end.

This page is made from [tests/field](../tests/field), where each of them can be read, by `{COMMAND}`.
"""

TWINS_BELOW = """\
## What looks like a mistake and is none

Of these nothing is said.
"""


def text() -> str:
    """The whole page."""
    head = ("mistake", "made by", "told as", "first line of the message")
    rows = ((row.name, f"the {row.by}", f"`{row.told.__name__}`", _code(row.said)) for row in _in_order(MISTAKES))
    twins = "".join(f"- {row.name}\n" for row in _in_order(TWINS))
    return f"{INTRODUCTION}\n{_table(head, rows)}\n{TWINS_BELOW}\n{twins}"


def _in_order(rows: list[Row]) -> list[Row]:
    return [row for module in ROWS_IN for row in rows if row.live.__module__ == module.__name__]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    first, *others = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in (head, *rows)]
    return "".join([first, f"|{'---|' * len(head)}\n", *others])


def _code(line: str) -> str:
    """As code, also where there are backticks in it."""
    mark = "``" if "`" in line else "`"
    pad = " " if "`" in line else ""
    return f"{mark}{pad}{line}{pad}{mark}"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")

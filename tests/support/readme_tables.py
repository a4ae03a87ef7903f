"""The README's tables that are made from the code. `python -m tests.support.readme_tables` writes them anew."""

from collections.abc import Iterable
from pathlib import Path

from pytest_lambda_telemetry.protocol.profiles import DIFFERENCES

README = Path(__file__).parents[2] / "README.md"
COMMAND = "python -m tests.support.readme_tables"

BEGIN = "<!-- made from protocol/profiles.py -->"
END = "<!-- end: made from protocol/profiles.py -->"


def profiles_table() -> str:
    """What differs between the profiles, as Markdown."""
    return _table(
        ("where they differ", "`documented`", "`observed`", "source"),
        ((row.what, row.documented.words, row.observed.words, row.source) for row in DIFFERENCES),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    first, *others = [f"| {' | '.join(row)} |\n" for row in (head, *rows)]
    return "".join([first, f"|{'---|' * len(head)}\n", *others])


def made_anew(text: str) -> str:
    """The README's text with what is between the markers made from the code."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after:
        raise ValueError(f"the README has no {BEGIN} with a later {END}, or has it twice")
    return f"{before}{BEGIN}\n\n{profiles_table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(made_anew(README.read_text(encoding="utf-8")), encoding="utf-8")

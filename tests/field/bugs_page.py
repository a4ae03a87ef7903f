"""The table of docs/exactly-once.md, made from the rows of seeded_bugs. `python -m tests.field.bugs_page` writes it."""

from pathlib import Path

from tests.field.seeded_bugs import BUGS, Bug

PAGE = Path(__file__).parents[2] / "docs/exactly-once.md"
COMMAND = "python -m tests.field.bugs_page"

BEGIN = "<!-- made from tests/field/seeded_bugs.py -->"
END = "<!-- end: made from tests/field/seeded_bugs.py -->"


def table() -> str:
    """All bugs, as Markdown."""
    head = ("the forwarder's bug", "what goes wrong besides", "caught by", "first line of the message")
    rows = [head, *(_row(bug) for bug in BUGS)]
    first, *others = [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join([first, f"|{'---|' * len(head)}\n", *others])


def _row(bug: Bug) -> tuple[str, ...]:
    says = f"`{bug.says[0]}`" if bug.says else "none"
    return (bug.name, bug.meets.__doc__ or "", f"{bug.caught}{bug.remark}", says)


def made_anew(text: str) -> str:
    """The page's text with what is between the markers made from the rows."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after:
        raise ValueError(f"the page has no {BEGIN} with a later {END}, or has it twice")
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(made_anew(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""Each mistake fails its test by itself and says why; each sound twin stays green; docs/mistakes.md has all of them."""

from pathlib import Path

import pytest

from tests.field import document
from tests.field.cases import MISTAKES, TWINS, Mistake, Twin, outcome, steady


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # a thread that dies is a mistake
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda row: row.name)
def test_a_mistake_is_told_without_an_assertion(tmp_path: Path, mistake: Mistake) -> None:
    error = outcome(mistake, tmp_path)
    assert (type(error), steady(error)) == (mistake.told, mistake.said)
    assert "\n\n" not in str(error), "one mistake is told once"


REMEDIES = {
    "a listener that answers 500 to everything": "Answer 200 as soon as a batch has arrived, also to events that are",
    "a listener that serves another path": "Answer POST at the path of the destination's URI, which Lambda keeps",
    "a listener that has a limit for bodies, and a burst of lines": "Take larger bodies: a batch may hold 2 * maxBytes",
    "a listener that redirects": "No redirect is followed: name the right address in the destination.",
    "a listener that is closed before the last batch": "Listen until SHUTDOWN is handled: what is buffered then is",
    "a TCP listener that closes before it has read everything": "Over TCP nothing is acknowledged: on Lambda that",
    "a listener that dies of a record without the field it wants": "Its last output:\n    ",
    "an extension that ends in the middle": "whatever the exit code. Let it run until next answers SHUTDOWN.",
    "assert_delivered() before advance()": "buffered: 1 event [function], due in 1000 ms: advance(ms=1000)",
    "assert_delivered() where nothing is subscribed": "nothing was delivered: nothing is subscribed",
    "what is no HTTP": "Let the extension use an HTTP client, with http://; strict=False turns this check off.",
    "next at the path of the Runtime API": "It is GET /2020-01-01/extension/event/next.",
    "an extension that registers and hangs, and a test that does not invoke": "never learned of SHUTDOWN, because",
}


@pytest.mark.parametrize("name", REMEDIES)
def test_what_to_do_is_told(tmp_path: Path, name: str) -> None:
    (mistake,) = (row for row in MISTAKES if row.name == name)
    assert REMEDIES[name] in str(outcome(mistake, tmp_path))


@pytest.mark.parametrize("twin", TWINS, ids=lambda row: row.name)
def test_nothing_is_said_of_a_sound_twin(tmp_path: Path, twin: Twin) -> None:
    error = outcome(twin, tmp_path)
    assert error is None, error


def test_there_are_enough_of_each() -> None:
    for by in ("extension", "test"):
        assert sum(row.by == by for row in MISTAKES) >= 40
    assert len(TWINS) >= 30


@pytest.mark.parametrize("rows", [MISTAKES, TWINS])
def test_no_name_is_there_twice(rows: list[Mistake] | list[Twin]) -> None:
    names = [row.name for row in rows]
    assert sorted(set(names)) == sorted(names)


def test_the_page_is_made_from_the_rows() -> None:
    assert document.PAGE.read_text(encoding="utf-8") == document.text(), f"write it anew: {document.COMMAND}"

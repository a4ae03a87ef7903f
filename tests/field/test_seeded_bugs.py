"""Forwarders with one bug each are caught as their rows say; in the same situation their sound twins are green."""

from pathlib import Path

import pytest

from pytest_lambda_telemetry import BackendFault, DeliveryFault, LambdaTelemetry
from tests.field import bugs_page
from tests.field.forwarders import Buffered, Forwarder, SendsEachRecordInAThread, SendsGzip
from tests.field.seeded_bugs import ALONE, BUGS, CRASHES, NOT, NOTHING, SETTINGS, Bug, what_a_test_says

each_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))


@each_bug
def test_a_bug_is_caught_as_its_row_says(tmp_path: Path, bug: Bug) -> None:
    caught, said = NOTHING, what_a_test_says(bug, bug.made, tmp_path, asserted=False)
    if not said:
        caught, said = ALONE, what_a_test_says(bug, bug.made, tmp_path, asserted=True)
    assert (caught if said else NOT) == bug.caught
    assert said.startswith("\n".join(bug.says))
    assert bool(said) == bool(bug.says)


@each_bug
def test_its_sound_twin_is_green(tmp_path: Path, bug: Bug) -> None:
    assert what_a_test_says(bug, bug.twin, tmp_path, asserted=True) == ""


def test_fifteen_and_more_are_caught_by_the_assertion_alone_or_by_none() -> None:
    assert len(BUGS) >= 20
    assert sum(bug.caught in (ALONE, NOTHING) for bug in BUGS) >= 15


def test_the_end_of_a_process_is_told_once(tmp_path: Path) -> None:
    (bug,) = [bug for bug in BUGS if bug.made == CRASHES]
    said = what_a_test_says(bug, bug.made, tmp_path, asserted=True)
    assert said.count("the process of ext.py ended with exit code 1") == 1


def test_order_is_compared_with_records() -> None:
    """That each arrived once says nothing of their order."""
    with LambdaTelemetry(SETTINGS) as environment:
        backend = environment.backend()
        with SendsEachRecordInAThread(f"{backend.host}:{backend.port}"):
            environment.invoke(logs=environment.log_lines(3))
            environment.shutdown()
        environment.assert_exactly_once()
        sent = [event["record"] for request in backend.requests for event in request.json]
        assert sent == list(reversed(environment.records()))


def test_the_page_is_made_from_the_rows() -> None:
    text = bugs_page.PAGE.read_text(encoding="utf-8")
    assert bugs_page.made_anew(text) == text, f"docs/exactly-once.md is not what the rows say: {bugs_page.COMMAND}"


@pytest.mark.parametrize("made", [Forwarder, Buffered, SendsGzip])
@pytest.mark.parametrize("at_the_backend", [None, 503, 429, "refuse", "reset", "truncate", "slow"])
@pytest.mark.parametrize(
    "on_the_way", [None, 503, "refuse", "lost-answer", ("lost-answer", 503), "duplicate", "timeout"], ids=str
)
def test_a_sound_forwarder_is_never_accused(
    made: type[Forwarder], at_the_backend: BackendFault | None, on_the_way: DeliveryFault | None
) -> None:
    """Whatever goes wrong for it twice, and with an hour of being frozen in between."""
    with LambdaTelemetry(SETTINGS) as environment:
        backend = environment.backend()
        with made(f"{backend.host}:{backend.port}"):
            for _ in range(2):
                if at_the_backend is not None:
                    backend.fail_next(at_the_backend, delay_ms=1 if at_the_backend == "slow" else None)
                if on_the_way is not None:
                    environment.fail_next_delivery(on_the_way)
                environment.invoke(logs=environment.log_lines(4))
                environment.advance(seconds=3600)
            environment.shutdown()
        environment.assert_exactly_once()
        assert environment.ledger.lost == environment.ledger.doubled == ()

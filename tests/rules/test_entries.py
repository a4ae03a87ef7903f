"""Facts as lines: every fact has a teller, and no line is written before somebody asks."""

from typing import get_args

from pytest_lambda_telemetry.model import facts
from pytest_lambda_telemetry.model.event import Event
from pytest_lambda_telemetry.views.entries import _TELLERS, told


def test_every_fact_can_be_told() -> None:
    assert set(get_args(facts.Fact)) == set(_TELLERS)


def test_emitted_events_that_were_let_go_are_still_counted() -> None:
    events = [Event("function", "a"), Event("platform.start", {}), Event("function", "b")]
    held = facts.HeldEvents(events, 100)
    fact = facts.Emitted("test", range(1, 4), held)
    assert told(fact) == ("event", "test", "function ×2, platform.start", "'a'")
    assert held.release() == 100
    assert held.released
    assert told(fact) == ("event", "test", "function ×2, platform.start", "")
    assert held.release() == 100

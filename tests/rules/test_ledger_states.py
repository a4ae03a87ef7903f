"""The states of a record: what each step leads to, and which states nothing leads out of but the backend."""

from itertools import product
from typing import get_args

import pytest

from pytest_lambda_telemetry.protocol.ledger import MEANINGS, NEXT, STATES, State, Step, state_after

STEPS = get_args(Step)


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([], "buffered"),
        (["sent"], "in-flight"),
        (["sent", "sent"], "in-flight"),
        (["sent", "sent", "acknowledged"], "acknowledged"),
        (["sent", "acknowledged", "seen"], "arrived"),
        (["sent", "acknowledged", "seen", "seen"], "arrived"),
        (["sent", "seen"], "arrived"),
        (["sent", "seen", "given-up"], "arrived"),
        (["dropped"], "dropped"),
        (["sent", "given-up"], "given-up"),
        (["sent", "given-up", "seen"], "arrived"),
        (["given-up"], "given-up"),
        (["sent", "acknowledged", "sent", "given-up"], "acknowledged"),
    ],
)
def test_where_these_steps_lead(steps: list[Step], state: State) -> None:
    assert state_after(steps) == state


def test_every_state_has_its_meaning_and_its_row() -> None:
    assert tuple(MEANINGS) == tuple(NEXT) == STATES
    assert {step for row in NEXT.values() for step in row} == set(STEPS)


def test_what_was_seen_has_arrived_whatever_else_happened() -> None:
    for before, after in product(product(STEPS, repeat=2), product(STEPS, repeat=2)):
        assert state_after([*before, "seen", *after]) == "arrived"

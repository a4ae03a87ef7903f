"""What counts as a number, a text, a list; and that nothing else in the package decides it a second time."""

import ast
from datetime import UTC, datetime
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

import pytest_lambda_telemetry
from pytest_lambda_telemetry.model import checks

ROOT = Path(pytest_lambda_telemetry.__file__).parent
HUGE = 10**400


@pytest.mark.parametrize(
    ("predicate", "yes", "no"),
    [
        (checks.is_flag, [True, False], [0, 1, None, "True"]),
        (checks.is_whole, [0, -1, HUGE], [True, False, 1.0, "1", None, nan]),
        (checks.is_number, [0, -1.5, 1e300], [True, nan, inf, -inf, HUGE, "1", None, 1j]),
        (checks.is_text, ["a", "\ud800"], ["", b"a", None, 1, ["a"]]),
        (checks.is_list, [[], (), {1}, iter([]), range(3)], ["", "ab", b"ab", bytearray(), {}, {"a": 1}, None, 1]),
        (checks.are_texts, [[], ("a",), {"a", "b"}, frozenset("a")], ["a", ["a", ""], ["a", 1], {"a": 1}, None, 1]),
        (
            checks.is_moment,
            ["2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)],
            [None, 0, "", "today", "2026-01-01", datetime(2026, 1, 1), "0001-01-01T00:00:00+05:00"],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_predicate_knows_its_kind(predicate: Any, yes: list[Any], no: list[Any]) -> None:
    assert [value for value in yes if not predicate(value)] == []
    assert [value for value in no if predicate(value)] == []


@pytest.mark.parametrize("predicate", [checks.is_whole, checks.is_number])
def test_a_number_may_have_a_least_value(predicate: Any) -> None:
    assert predicate(1, 1)
    assert not predicate(0, 1)
    assert not predicate("1", 1)


def test_any_value_can_be_asked_for_among_names() -> None:
    valid = ("a", "b")
    assert checks.is_one_of("a", valid)
    assert not any(checks.is_one_of(value, valid) for value in ("c", "", None, [], {}, 1, b"a", object()))


def test_true_is_no_number_of_json() -> None:
    assert checks.is_a(True, bool)
    assert not checks.is_a(True, int)
    assert checks.is_a(1, int)
    assert checks.is_a([], list)
    assert not checks.is_a({}, list)


def test_nothing_else_decides_what_a_bool_is() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in ROOT.rglob("*.py")
        if path != ROOT / "model" / "checks.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
        if any(isinstance(name, ast.Name) and name.id == "bool" for name in ast.walk(node.args[1]))
    ]
    assert found == []

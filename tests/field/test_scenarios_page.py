"""docs/scenarios.md is what the catalogue says, and what happens."""

import re

import pytest

from pytest_lambda_telemetry import Scenario, scenarios
from tests.field import document_scenarios
from tests.field.naive import BREAKS

TEXT = document_scenarios.PAGE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE))


def blocks(name: str) -> list[str]:
    return re.findall(r"```text\n(.*?)\n```", SECTIONS[name], re.DOTALL)


def test_the_page_has_every_scenario_in_order() -> None:
    assert TEXT.startswith(document_scenarios.INTRODUCTION)
    assert [*SECTIONS] == [one.name for one in scenarios.ALL]
    assert TEXT.index(document_scenarios.NAIVE) > TEXT.index(f"## {scenarios.ALL[-1].name}")


@pytest.mark.parametrize("scenario", scenarios.ALL, ids=lambda one: one.name)
def test_what_happens_is_on_the_page(scenario: Scenario) -> None:
    assert document_scenarios.told(scenario) in TEXT
    # the same lines; a slow machine may let SHUTDOWN be told a line earlier
    assert sorted(blocks(scenario.name)[-1].splitlines()) == sorted(document_scenarios.timeline(scenario))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # a thread that dies is a mistake
@pytest.mark.parametrize("name", BREAKS)
def test_what_a_naive_extension_gets_to_hear_is_on_the_page(name: str) -> None:
    assert BREAKS[name][0] in SECTIONS[name]
    assert blocks(name)[0] == document_scenarios.failure(scenarios.BY_NAME[name])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_how_a_naive_forwarder_ends_is_on_the_page() -> None:
    rows = document_scenarios.naive_rows()
    assert document_scenarios.NAIVE + "\n".join(rows) + "\n" in TEXT
    assert rows[0] == "| `plain` | green |"


def test_the_scenario_on_the_page_can_be_made() -> None:
    code = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
    made: dict[str, object] = {}
    exec(code, made)
    assert isinstance(made["MINE"], Scenario)

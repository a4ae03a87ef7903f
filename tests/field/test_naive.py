"""No scenario is empty: for each an extension that is green under plain, and red under it."""

from contextlib import closing
from pathlib import Path

import pytest

from pytest_lambda_telemetry import Scenario, Settings, scenarios
from pytest_lambda_telemetry.environment import over
from pytest_lambda_telemetry.sandbox.assembly import assemble
from tests.field.naive import BREAKS, Naive

SETTINGS = Settings(extension_timeout_s=10, delivery_timeout_s=10)


def run(scenario: Scenario, folder: Path) -> None:
    """The test of a naive extension, as the marker runs it."""
    settings = SETTINGS.with_options(scenario.settings)
    with over(assemble(settings, scenario.name, scenario=scenario)) as environment:
        name = folder.name
        with closing(Naive(environment, folder)) as naive:
            BREAKS[name][1](naive)


def test_each_scenario_has_one() -> None:
    assert set(BREAKS) == {one.name for one in scenarios.ALL} - {"plain"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # a thread that dies is a mistake
@pytest.mark.parametrize("name", BREAKS)
def test_green_under_plain_and_red_under_it(tmp_path: Path, name: str) -> None:
    for folder in ("plain", "under it"):
        (tmp_path / folder / name).mkdir(parents=True)
    run(scenarios.BY_NAME["plain"], tmp_path / "plain" / name)
    with pytest.raises(AssertionError):
        run(scenarios.BY_NAME[name], tmp_path / "under it" / name)

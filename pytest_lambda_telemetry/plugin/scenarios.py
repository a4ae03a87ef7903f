"""The marker lambda_telemetry_scenarios: one test, run once for each production behaviour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from .. import scenarios
from ..model.checks import hint_at, is_list, repr_of
from ..model.errors import MisuseError
from ..settings import DEFAULTS, Settings
from ..story.scenario import Scenario

MARK = "lambda_telemetry_scenarios"
FIXTURE = "_lambda_telemetry_scenario"
_ALL = "all"


class Invalid:
    """A mark that cannot be read: the test fails with this message."""

    def __init__(self, message: str) -> None:
        self.message = message


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a test with the mark once for each of its scenarios."""
    mark = metafunc.definition.get_closest_marker(MARK)
    if mark is None or FIXTURE not in metafunc.fixturenames:
        return
    chosen: Sequence[Scenario | Invalid]
    try:
        chosen = choose(mark.args, mark.kwargs)
    except MisuseError as error:
        chosen = [Invalid(f"@pytest.mark.{MARK}: {error}")]
    ids = [one.name if isinstance(one, Scenario) else "invalid" for one in chosen]
    metafunc.parametrize(FIXTURE, chosen, indirect=True, ids=ids)


def choose(wanted: Sequence[object], options: Mapping[str, Any]) -> list[Scenario]:
    """The scenarios of a mark, each once, plain first. Raises MisuseError, which lists the valid names."""
    unknown = [name for name in options if name != "exclude"]
    if unknown:
        raise MisuseError(f"there is no option {unknown[0]!r}; it takes exclude=(…) alone")
    if not wanted:
        raise MisuseError(f"say which: {_ALL!r}, or names and Scenarios; names: {', '.join(scenarios.BY_NAME)}")
    exclude = options.get("exclude", ())
    if isinstance(exclude, str | Scenario):
        exclude = (exclude,)
    if not is_list(exclude):
        raise MisuseError(f"exclude={repr_of(exclude)} is not valid: it must be a list of names and Scenarios")
    left_out = {one.name for one in _found(exclude)}
    chosen: dict[str, Scenario] = {}
    for one in _found(wanted):
        other = chosen.setdefault(one.name, one)
        if other is not one:
            raise MisuseError(f"two different scenarios are named {one.name!r}; give one of them another name")
    for name in left_out - chosen.keys():
        raise MisuseError(f"exclude= names {name!r}, which is not among the scenarios of this mark; leave it out")
    found = [one for one in chosen.values() if one.name not in left_out]
    if not found:
        raise MisuseError("exclude= leaves no scenario; leave the mark out")
    return sorted(found, key=lambda one: one.name != scenarios.ALL[0].name)


def _found(wanted: object) -> Iterator[Scenario]:
    if not is_list(wanted):
        wanted = [wanted]
    for one in wanted:
        if isinstance(one, Scenario):
            yield one
        elif one == _ALL:
            yield from scenarios.ALL
        elif isinstance(one, str) and one in scenarios.BY_NAME:
            yield scenarios.BY_NAME[one]
        elif is_list(one):
            yield from _found(one)
        else:
            hint = hint_at(one, scenarios.BY_NAME) if isinstance(one, str) else ""
            raise MisuseError(
                f"there is no scenario {repr_of(one)}; {f'{hint} ' if hint else ''}valid names: {_ALL},"
                f" {', '.join(scenarios.BY_NAME)}"
            )


def settled(scenario: Scenario, given: Settings, options: Mapping[str, object]) -> Settings:
    """A test's settings with those of its scenario. Skips the test where they contradict; fails it for bad ones.

    `given` are those with the test's marks, `options` what the marks say. A setting that has not its default is the
    test's own choice too.
    """
    __tracebackhide__ = True
    for name, value in scenario.settings.items():
        own = getattr(given, name, value)
        if own != value and (name in options or own != getattr(DEFAULTS, name)):
            pytest.skip(f"scenario {scenario.name!r} needs {name}={value!r}, and this test chooses {name}={own!r}")
    for name, value in scenario.not_with.items():
        if getattr(given, name, None) == value:
            pytest.skip(f"scenario {scenario.name!r} cannot happen with {name}={value!r}, which this test chooses")
    if scenario.story and given.clock == "system":
        pytest.skip(f"scenario {scenario.name!r} moves time, and with clock='system' that would have to be waited for")
    try:
        return given.with_options(scenario.settings)
    except MisuseError as error:
        problem = str(error)
    pytest.fail(f"scenario {scenario.name!r}: {problem}", pytrace=False)


def listed() -> str:
    """All scenarios, for a person."""
    width = max(len(one.name) for one in scenarios.ALL)
    lines = [f"{'@pytest.mark.' + MARK}({_ALL!r} | names and Scenarios…, exclude=(…))", ""]
    for one in scenarios.ALL:
        lines.append(f"{one.name:<{width}}  {one.summary}")
        if one.broke:
            lines.append(f"{'':<{width}}  In the field it broke: {one.broke} ({one.source})")
    return "\n".join(lines)

"""docs/scenarios.md, made from the catalogue and from what was run. `python -m tests.field.document_scenarios`."""

import re
import sys
import tempfile
import warnings
from contextlib import closing, redirect_stderr
from io import StringIO
from pathlib import Path
from threading import Thread

from examples.scenarios import robust
from examples.scenarios.naive import NaiveForwarder
from pytest_lambda_telemetry import LambdaTelemetry, Scenario, Settings, WaitTimeout, scenarios
from pytest_lambda_telemetry.environment import over
from pytest_lambda_telemetry.sandbox.assembly import assemble
from tests.field.cases import steady
from tests.field.naive import BREAKS, Naive, usual

PAGE = Path(__file__).parents[2] / "docs/scenarios.md"
COMMAND = "python -m tests.field.document_scenarios"
SETTINGS = Settings(extension_timeout_s=20, delivery_timeout_s=20, start="2026-01-01T00:00:00Z")
IN_PROCESSES = ("function-timeout", "out-of-memory")
"""What ends the execution environment can only be survived by a process, which is started again."""
_LONGEST_LINE = 150
_LEFT_OUT = re.compile(r"asks for its next event|event/next| started as process | resolve sandbox|scenario  [a-z]")

INTRODUCTION = f"""\
# Scenarios: one test, every production behaviour

`@pytest.mark.lambda_telemetry_scenarios("all")` runs a test once under each of these. The test is unchanged; end it
with `shutdown()`, for what is still buffered comes then. `"all"` stands for the whole catalogue, `plain` first; names
and Scenarios of your own are taken too, and `exclude=("burst",)` leaves some out. `pytest --lambda-telemetry-scenarios`
lists them.

- A scenario that cannot apply is skipped, with the reason: a setting that the test chooses against it, no fake backend
  in the test, nothing in the test that it changes.
- What a scenario adds (the journal names it as the source) is sent like anything else, but is not the test's:
  `records`, `ledger`, `assert_exactly_once`, `assert_at_least_once` and `assert_delivered` leave it out.
- Where it ends the execution environment, the next one begins with the next call that needs one. Children are started
  again, and so is what the test registered by hand; where an extension of the test's own process has registered by
  itself, nobody can start it again, and the test is skipped.
- Chance is drawn from the test's own seed: the same test goes the same way in every run.
- Environments of `lambda_telemetry_factory` have no scenario.

One of your own is data as well:

```python
from pytest_lambda_telemetry import Advance, FailDelivery, Inject, Scenario, events

MINE = Scenario(
    name="mine",
    summary="A line of somebody else's, half a second, and a listener that is down one time in two.",
    plan=[FailDelivery(fault="refuse", times=5, chance=0.5)],
    story={{"logs": lambda moment, actions: [Inject(events.function("theirs")), Advance(500), *actions]}},
)
```

`story` changes what Lambda does, moment by moment: see `pytest_lambda_telemetry.Moment`. An action may be an event, a
step of scripts (`Invoke`, `Flush`, `Freeze`, `Thaw`, `Shutdown`, `EndInit`), `Advance`, `Inject`, `Later` or `Restart`.

Below, the timeline is that of [a forwarder that survives all of them](../examples/scenarios/robust.py), with a fake
backend, two invocations and a shutdown, without its polls; the extensions that they break are in
[tests/field/naive.py](../tests/field/naive.py). This page is made from the catalogue and from these runs, by
`{COMMAND}`.
"""


def timeline(scenario: Scenario) -> list[str]:
    """What happens to the robust forwarder: the lines that are the same in every run."""
    settings = SETTINGS.with_options(scenario.settings)
    with over(assemble(settings, "scenarios", scenario=scenario)) as environment:
        _live(environment, in_process=scenario.name not in IN_PROCESSES)
    return [_steady(line) for line in environment.timeline().splitlines() if not _LEFT_OUT.search(line)]


def _live(environment: LambdaTelemetry, *, in_process: bool) -> None:
    url = environment.backend().url
    if in_process:
        Thread(target=robust.Forwarder(url, "robust.py").run, daemon=True).start()
        environment.wait_until_ready("robust.py")
    else:
        environment.run_extension([sys.executable, str(robust.__file__), url], name="robust.py")
    environment.invoke(logs=environment.log_lines(2))
    environment.invoke(logs=environment.log_lines(1))
    environment.shutdown()
    environment.assert_exactly_once()


NAIVE = """\
## A naive forwarder

[The same forwarder as most people write it first](../examples/scenarios/naive.py) is green under `plain`. Under the
others its test ends like this, but for those that end the execution environment: it runs in the test's own process.

| scenario | what the test says first |
|---|---|
"""


def naive_rows() -> list[str]:
    """How the test of the naive forwarder ends under each scenario."""
    return [f"| `{one.name}` | {_naive_outcome(one)} |" for one in scenarios.ALL if one.name not in IN_PROCESSES]


def _naive_outcome(scenario: Scenario) -> str:
    def live(naive: Naive) -> None:
        threads = [Thread(target=NaiveForwarder(naive.backend.url, "naive.py").run, daemon=True)]
        with redirect_stderr(StringIO()):  # where http.server writes tracebacks
            for thread in threads:
                thread.start()
            naive.environment.wait_until_ready("naive.py")
            usual(naive)

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        error = caught(scenario, live, Path(folder))
    return f"`{steady(error)}`" if error is not None else "green"


def failure(scenario: Scenario) -> str:
    """The first line of what the test of its naive extension says."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return steady(caught(scenario, BREAKS[scenario.name][1], Path(folder)))


def caught(scenario: Scenario, live: object, folder: Path) -> Exception | None:
    """How the test of a naive extension ends under a scenario."""
    assert callable(live)
    try:
        with over(assemble(SETTINGS.with_options(scenario.settings), "naive", scenario=scenario)) as environment:
            with closing(Naive(environment, folder)) as naive:
                live(naive)
    except (AssertionError, WaitTimeout) as error:
        return error
    return None


def _steady(line: str) -> str:
    line = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", line)
    line = re.sub(r" {2,}", "  ", line).rstrip()
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def told(scenario: Scenario) -> str:
    """What is not run: the row."""
    lines = [f"## {scenario.name}\n", f"{scenario.summary}\n"]
    if scenario.broke:
        lines.append(f"In the field it broke: {scenario.broke}. Source: {scenario.source}.\n")
    return "\n".join(lines)


def section(scenario: Scenario) -> str:
    """All of one scenario."""
    text = told(scenario)
    if scenario.name in BREAKS:
        text += f"\nAn extension that {BREAKS[scenario.name][0]}:\n\n```text\n{failure(scenario)}\n```\n"
    return text + "\n```text\n" + "\n".join(timeline(scenario)) + "\n```\n"


if __name__ == "__main__":
    PAGE.write_text(
        "\n".join([INTRODUCTION, *map(section, scenarios.ALL), NAIVE + "\n".join(naive_rows()) + "\n"]),
        encoding="utf-8",
    )

"""pytest's door: fixtures, marker, options, strict checks at teardown, and the report section.

The only folder that imports pytest. It is imported in every session, so it loads the rest on first use; the one
exception is `real`, which must capture the real clocks before any test can freeze them.
"""

from __future__ import annotations

import pytest

from .. import real as _real  # noqa: F401 - loaded for what it captures
from . import session
from .compare import pytest_assertrepr_compare
from .fixtures import (
    _lambda_telemetry_scenario,
    async_lambda_telemetry,
    lambda_telemetry,
    lambda_telemetry_backend,
    lambda_telemetry_factory,
    lambda_telemetry_settings,
)
from .report import (
    SECTION,
    pytest_runtest_call,
    pytest_runtest_makereport,
    pytest_runtest_setup,
    pytest_runtest_teardown,
)
from .session import SESSION

__all__ = [
    "_lambda_telemetry_scenario",
    "async_lambda_telemetry",
    "lambda_telemetry",
    "lambda_telemetry_backend",
    "lambda_telemetry_factory",
    "lambda_telemetry_settings",
    "pytest_assertrepr_compare",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup(SECTION).addoption(
        "--lambda-telemetry-scenarios",
        action="store_true",
        help="list the scenarios that @pytest.mark.lambda_telemetry_scenarios(...) takes, and exit",
    )
    parser.addini(
        "lambda_telemetry_port",
        "port of the fake Lambda API that the fixtures of this process share; 0 takes a free one (default: 0)",
        default="0",
    )
    parser.addini(
        "lambda_telemetry_journal_limit",
        "entries of the journal and of each list, and KiB in all, that an environment keeps (default: 65536)",
        default="65536",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "lambda_telemetry(**settings): settings of the fake AWS Lambda environment for this test, such as"
        " fidelity='observed', clock='freezegun', strict=False or local_testing=True. The closest mark wins, field by"
        " field, then the lambda_telemetry_settings fixture, then Lambda's defaults.",
    )
    config.addinivalue_line(
        "markers",
        "lambda_telemetry_scenarios('all' | names and Scenarios, exclude=(...)): run this test, which takes"
        " lambda_telemetry or async_lambda_telemetry, once under each of these production behaviours; environments of"
        " lambda_telemetry_factory stay as they are. pytest --lambda-telemetry-scenarios lists them.",
    )
    session.begin(config)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    if not config.getoption("lambda_telemetry_scenarios"):
        return None
    from .scenarios import listed

    print(listed())
    return 0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("lambda_telemetry_scenarios") is not None:
        from .scenarios import parametrize

        parametrize(metafunc)


def pytest_unconfigure(config: pytest.Config) -> None:
    session.end(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for hint in sorted(config.stash[SESSION].hints):
        terminalreporter.write_line(f"{SECTION}: {hint}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.pluginmanager.hasplugin("socket") or config.pluginmanager.hasplugin("pytest_socket"):
        from ..integrations import pytest_socket

        pytest_socket.prepare(items, pytest.mark)

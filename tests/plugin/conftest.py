"""Runs small pytest sessions inside a test: what a user of the plugin sees."""

from collections.abc import Callable
from pathlib import Path

import pytest

# a session inside this process must find these loaded: it forgets what it loads itself, and cryptography cannot be
# loaded twice
import trustme  # noqa: F401  # to have it loaded

import pytest_lambda_telemetry.aio  # noqa: F401  # to have it loaded
from pytest_lambda_telemetry.integrations import foreign_clock  # noqa: F401  # to have it loaded
from tests.support import helpers

HELPERS = Path(helpers.__file__)
TOOLS = """
from extension_helpers import call, register, subscribe, subscribe_body, Listener, EXTENSION, TELEMETRY, IDENTIFIER

def refused():
    "A subscription with two faults."
    body = subscribe_body(4243, types=[], extensionName="x")
    return subscribe(register(), body)
"""

INI = """
[pytest]
addopts = -p no:cacheprovider
filterwarnings =
    error
    # before 8.4, of each plugin that an outer session in the same process has loaded already
    ignore:Module already imported:pytest.PytestAssertRewriteWarning
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Write a test file and run it in this process, with the plugin and the helpers; arguments go to pytest."""
    pytester.makepyfile(extension_helpers=HELPERS.read_text(encoding="utf-8"), tools=TOOLS)
    pytester.makeini(INI)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others' plugins are most of what a session costs
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_lambda_telemetry.plugin")

    def run(source: str, *args: str, subprocess: bool = False, **files: str) -> pytest.RunResult:
        for name, text in files.items():
            pytester.makepyfile(**{name: text})
        pytester.makepyfile(test_it="import os, pytest\nfrom tools import *\n" + source)
        return (pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess)("test_it.py", *args)

    return run

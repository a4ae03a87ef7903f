"""Letting httpx calls to our fake through pytest-httpx.

Its documented option `should_mock` decides request by request. We answer it for ours, by a property on the options'
class that stands in front of the attribute: that also covers an `httpx_mock` fixture that was set up before us.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from .patching import Replacements

MODULE = "pytest_httpx._options"
_replaced = Replacements()


@functools.cache
def _has_should_mock(options: type) -> bool:
    return "should_mock" in inspect.signature(options).parameters


def install(is_ours: Callable[[str, int], bool]) -> str | None:
    """Let requests to our hosts and ports pass; a sentence for the journal where this release cannot be told to."""
    options = getattr(sys.modules.get(MODULE), "_HTTPXMockOptions", None)
    if options is None or not _has_should_mock(options):
        return (
            "This release of pytest-httpx has no should_mock option to hook, so it may intercept the extension's calls "
            "to Lambda's API: install pytest-httpx 0.34 or later."
        )

    # Any: httpx requests and pytest-httpx's options, which this module cannot name without importing them
    def read(self: Any) -> Callable[[Any], bool]:
        theirs: Callable[[Any], bool] = self.__dict__["should_mock"]
        return lambda request: not is_ours(request.url.host, request.url.port or 80) and theirs(request)

    def write(self: Any, value: Callable[[Any], bool]) -> None:
        self.__dict__["should_mock"] = value

    _replaced.replace(options, "should_mock", lambda _: property(read, write))
    return None


def uninstall() -> None:
    """Give pytest-httpx its own attribute back."""
    _replaced.restore()

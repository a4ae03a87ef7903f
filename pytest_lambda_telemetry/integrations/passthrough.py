"""Letting calls to our fake through the libraries with which a test mocks the extension's own backend.

Each library has a module with the same face (`Library`). Only those already imported are touched; `refresh` picks up
the ones imported since. What passes through is not recorded, counted or matched: to the mock it never happened.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Protocol

from . import pytest_httpx, requests_mock, responses, respx

IsOurs = Callable[[str, int], bool]
"""Whether a host and port are one of our environments."""


class Library(Protocol):
    """What the module for one mocking library offers."""

    MODULE: str
    """The module of the library, as named in `sys.modules`, whose presence means that it is in use."""

    def install(self, is_ours: IsOurs) -> str | None:
        """Let calls for which `is_ours` pass; or, changing nothing, say in a sentence why this release cannot."""

    def uninstall(self) -> None:
        """Leave the library as it was."""


LIBRARIES: tuple[Library, ...] = (respx, responses, requests_mock, pytest_httpx)

_claims: tuple[IsOurs, ...] = ()
_installed: dict[str, ModuleType] = {}  # the very module: a test run inside a test imports libraries afresh
_notices: dict[str, str] = {}


def install(is_ours: IsOurs) -> tuple[str, ...]:
    """Let calls to this environment pass, too; the sentences for its journal about libraries where that cannot be."""
    global _claims
    if is_ours not in _claims:
        _claims += (is_ours,)
    refresh()
    return tuple(_notices.values())


def refresh() -> tuple[str, ...]:
    """Cover what was imported since the last look; the new sentences for the journal. Cheap when there is nothing."""
    if not _claims:
        return ()
    fresh: list[str] = []
    for library in LIBRARIES:
        module = sys.modules.get(library.MODULE)
        if module is None or _installed.get(library.MODULE) is module:
            continue
        library.uninstall()
        _installed[library.MODULE] = module
        _notices.pop(library.MODULE, None)
        if notice := library.install(_is_anybodys):
            _notices[library.MODULE] = notice
            fresh.append(notice)
    return tuple(fresh)


def uninstall(is_ours: IsOurs) -> None:
    """The opposite of `install`; the last one restores every library."""
    global _claims
    _claims = tuple(claim for claim in _claims if claim != is_ours)
    if not _claims:
        for library in LIBRARIES:
            library.uninstall()
        _installed.clear()
        _notices.clear()


def _is_anybodys(host: str, port: int) -> bool:
    return any(claim(host, port) for claim in _claims)

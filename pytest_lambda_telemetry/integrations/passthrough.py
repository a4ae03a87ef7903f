"""Letting calls to our fake through the libraries with which a test mocks the extension's own backend.

Each library has a module with the same face (`Library`). Only those already imported are touched, and those that are
imported later as soon as they are: a test may import one and mock with it before it says a word to us. What passes
through is not recorded, counted or matched: to the mock it never happened.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
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
    if _WATCH not in sys.meta_path:
        sys.meta_path.insert(_place(), _WATCH)
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
        if _WATCH in sys.meta_path:
            sys.meta_path.remove(_WATCH)
        for library in LIBRARIES:
            library.uninstall()
        _installed.clear()
        _notices.clear()


def _place() -> int:
    """Just before pytest's hook, or else before the interpreter's own finders.

    Not simply first: pyfakefs has put itself there, and takes away whatever is first when it leaves.
    """
    for place, finder in enumerate(sys.meta_path):
        if getattr(finder, "__module__", None) in _FINDERS:
            return place
    return len(sys.meta_path)


class _Watch(MetaPathFinder):
    """Finds nothing itself: it wraps what the others find, to be told when one of the libraries has been imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _WATCHED:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Noticing(spec.loader)
        return spec


class _Noticing(Loader):
    """A library's own loader, which is in its place again before the library runs."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        refresh()


_FINDERS = ("_pytest.assertion.rewrite", "_frozen_importlib", "_frozen_importlib_external")
_WATCHED = frozenset(library.MODULE for library in LIBRARIES)
_WATCH = _Watch()


def _is_anybodys(host: str, port: int) -> bool:
    return any(claim(host, port) for claim in _claims)

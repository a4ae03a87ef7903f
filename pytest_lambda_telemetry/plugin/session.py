"""What one pytest session holds: its options, and the environments that are open."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..sandbox.places import Place
    from ..sandbox.sandbox import Sandbox

PACKAGE = __package__.partition(".")[0]
SHOWN_LINES = 200
_FRESH = "the latest environment of fresh():"


class Session:
    """Of one run of pytest; a run inside a test (pytester) has its own."""

    def __init__(self, config: pytest.Config) -> None:
        self.port = whole_number(config, "lambda_telemetry_port", 0, 65_535)
        self.journal_limit = whole_number(config, "lambda_telemetry_journal_limit", 1, None)
        self.sandboxes: list[Sandbox] = []
        self.hints: set[str] = set()
        self.factory_count = 0
        self.item: pytest.Item | None = None
        """The test that is set up or runs now."""
        self.outcome_is_known = False
        self.raised: BaseException | None = None

    def timelines(self) -> list[str]:
        """What happened during this test, one text for its own environment and each other in which something did.

        Of those that `fresh` gave, it is the latest: of Hypothesis's examples the one that the failure shows.
        """
        shown = []
        for sandbox in self.sandboxes:
            if (sandbox.shared and sandbox.fresh is None) or sandbox.has_news:
                shown.append(f"{_scenario(sandbox)}{_shortened(sandbox.timeline())}")
            fresh = sandbox.fresh
            while fresh is not None:
                shown.append(f"{_FRESH}\n{_shortened(fresh.timeline())}")
                fresh = fresh.fresh
        return shown

    def why_not(self, error: Exception | None) -> str | None:
        """Why the scenario of the test that ended like this does not apply to it; None where it does."""
        sandbox = next((one for one in self.sandboxes if one.shared and one.course.scenario is not None), None)
        cause: BaseException | None = error
        while cause is not None and type(cause).__name__ != "DoesNotApply":
            cause = cause.__context__  # what a test puts in order on its way out may have failed of it
        if sandbox is None or (error is not None and cause is None):
            return None
        assert sandbox.course.scenario is not None
        name = sandbox.course.scenario.name
        if cause is not None:
            return f"scenario {name!r} does not apply: {cause}"
        return None if (reason := sandbox.untouched) is None else f"scenario {name!r} {reason}"

    def violations(self) -> str | None:
        """What extensions did wrong and nobody was told yet, as one text; it is told now."""
        for sandbox in self.sandboxes:
            sandbox.look()
        found = [text for one in self.sandboxes if (text := one.take_violations()) is not None]
        return "\n\n".join(found) or None

    def tell_suspicions(self, item: pytest.Item) -> None:
        """Warn of what is suspicious and no violation, at the end of this test. Raises where that is an error."""
        errors: list[Warning] = []
        for sandbox in self.sandboxes:
            try:
                sandbox.tell_suspicions(_place_of(item), failed=self.outcome_is_known)
            except Warning as error:
                errors.append(error)
        if errors:
            self.raised = errors[0]
            raise errors[0]

    def end_test(self) -> None:
        """What happens from now on belongs to the next test."""
        self.hints.update(*(one.children.hints for one in self.sandboxes))
        self.sandboxes = [one for one in self.sandboxes if not one.closed]
        for sandbox in self.sandboxes:
            sandbox.end_test()
            if not sandbox.suspended:
                sandbox.fresh = None

    def close(self) -> None:
        """The end of the session."""
        for sandbox in self.sandboxes:
            sandbox.end()
        self.sandboxes.clear()


SESSION = pytest.StashKey[Session]()
_open: list[Session] = []


def begin(config: pytest.Config) -> None:
    """A session begins. Raises UsageError for an option that is not valid."""
    session = config.stash[SESSION] = Session(config)
    _open.append(session)


def end(config: pytest.Config) -> None:
    """It ends; with the last one of the process the shared address is given up."""
    session = config.stash.get(SESSION, None)
    if session is None:
        return
    session.close()
    _open.remove(session)
    if not _open:  # a session run inside a test must not take the outer one's server away
        process_wide = sys.modules.get(f"{PACKAGE}.sandbox.process_wide")
        if process_wide is not None:
            process_wide.SHARED_SERVER.close()


def whole_number(config: pytest.Config, name: str, least: int, most: int | None) -> int:
    """An ini option that is a whole number. Raises UsageError."""
    value = str(config.getini(name))
    number = int(value) if value.isascii() and value.isdigit() else -1
    if number < least or (most is not None and number > most):
        upper = f" to {most}" if most is not None else " or more"
        raise pytest.UsageError(f"{name} = {value!r} is not valid: it must be a whole number, {least}{upper}")
    return number


def _place_of(item: pytest.Item) -> Place:
    from ..sandbox.places import Place

    path, line, _ = item.reportinfo()
    return Place(str(path), (line or 0) + 1, getattr(getattr(item, "module", None), "__name__", None))


def _scenario(sandbox: Sandbox) -> str:
    """The first line of what a test shows that runs under a scenario."""
    scenario = sandbox.course.scenario
    return "" if scenario is None else f"{scenario.told()}\n"


def _shortened(text: str) -> str:
    lines = text.splitlines()
    if len(lines) <= SHOWN_LINES:
        return text
    first = f"(the last {SHOWN_LINES} of {len(lines)} lines; print(lambda_telemetry.timeline()) in the test shows all)"
    return "\n".join([first, *lines[-SHOWN_LINES:]])

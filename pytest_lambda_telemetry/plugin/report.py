"""Strict checks at the end of each test, and what a failing test shows of its environments."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from .fixtures import marked
from .session import PACKAGE, SESSION, Session

SECTION = "AWS Lambda telemetry"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    session = item.config.stash[SESSION]
    session.outcome_is_known, session.item = False, item
    result = yield
    if "lambda_telemetry" not in getattr(item, "fixturenames", ()) and item.get_closest_marker("lambda_telemetry"):
        from ..settings import Settings

        marked(item, Settings())  # nobody else reads the mark of a test without our fixture
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    session = item.config.stash[SESSION]
    try:
        result = yield
    except Exception as error:
        reason = session.why_not(error)
        if reason is None:
            raise
        pytest.skip(reason)
    reason = session.why_not(None)
    if reason is not None:
        pytest.skip(reason)
    if item.get_closest_marker("xfail") is not None:  # there a violation is the failure that was expected
        _raise_violations(session)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    session = item.config.stash[SESSION]
    session.item = None
    try:
        for sandbox in session.sandboxes:
            if sandbox.shared:  # before any fixture's finalizer: it may wait for the extension's thread
                sandbox.wind_down()
    finally:
        try:
            result = yield
        except BaseException:
            session.outcome_is_known = True
            session.tell_suspicions(item)  # which raises nothing, now that it has failed
            raise
        finally:
            _settle_environ()
            if session.outcome_is_known:
                session.violations()
    try:
        session.tell_suspicions(item)
    finally:
        _raise_violations(session)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    session = item.config.stash[SESSION]
    short = not item.config.getoption("fulltrace")
    at_the_end = call.excinfo is not None and call.excinfo.value is session.raised
    if call.excinfo is not None and short and not at_the_end:
        _hide_our_frames(call.excinfo.value)
    report = yield
    if call.excinfo is not None:
        if short and at_the_end:  # it has no line of the user's to show
            report.longrepr = call.excinfo.getrepr(style="short", tbfilter=lambda excinfo: excinfo.traceback[-1:])
        session.outcome_is_known = True
        if report.failed:
            report.sections += [(SECTION, text) for text in session.timelines()]
    if call.when == "teardown":
        session.end_test()
    return report


def _hide_our_frames(error: BaseException) -> None:
    """Where our message says it all, let the traceback end in the user's own line."""
    errors = sys.modules.get(f"{PACKAGE}.model.errors")
    if errors is None:  # then none of ours was raised
        return
    from ..sandbox.places import BETWEEN  # not at the start of every session

    last = trace = error.__traceback__
    while trace is not None:
        raised_in = trace.tb_frame.f_globals.get("__name__", "")
        if raised_in.partition(".")[0] not in BETWEEN:
            last = trace
        trace = trace.tb_next
    ours = isinstance(error, errors.LambdaTelemetryError | errors.LambdaTelemetryWarning)
    if last is not None and (ours or raised_in == f"{PACKAGE}.views.assertions"):
        last.tb_next = None


def _settle_environ() -> None:
    """Undo what a `monkeypatch.setenv` over our variables brought back when it was undone after us."""
    environ = sys.modules.get(f"{PACKAGE}.host.environ")
    if environ is not None:
        environ.ENVIRON.settle()


def _raise_violations(session: Session) -> None:
    text = session.violations()
    if text is not None:
        from ..model.errors import ProtocolViolation

        session.raised = ProtocolViolation(text)
        raise session.raised

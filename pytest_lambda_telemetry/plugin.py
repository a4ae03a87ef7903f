"""pytest's door: fixtures, marker, options, strict checks at teardown, and the report section.

The only module that imports pytest. It is imported in every session, so it loads the rest on first use; the one
exception is `model.real`, which must capture the real clocks before any test can freeze them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from .model import real as _real  # noqa: F401 - loaded for what it captures

if TYPE_CHECKING:
    from .aio import AsyncLambdaTelemetry
    from .environment import LambdaTelemetry
    from .settings import Settings

SECTION = "AWS Lambda telemetry"
_SHOWN_LINES = 200
_BETWEEN = (__package__, "contextlib", "asyncio", "concurrent", "threading", "anyio", "trio")
"""What lies between the user's line and an error of ours."""


class _Session:
    """What one pytest session holds: its options and the environments that are open."""

    def __init__(self, config: pytest.Config) -> None:
        self.port = _whole_number(config, "lambda_telemetry_port", 0, 65_535)
        self.journal_limit = _whole_number(config, "lambda_telemetry_journal_limit", 1, None)
        self.environments: list[LambdaTelemetry] = []
        self.hints: set[str] = set()
        self.factory_count = 0
        self.outcome_is_known = False
        self.raised: BaseException | None = None

    def timelines(self) -> list[str]:
        """What happened during this test, one text for each environment in which something did."""
        return [_shortened(one.timeline()) for one in self.environments if one._sandbox.has_news]

    def violations(self) -> str | None:
        """What extensions did wrong and nobody was told yet, as one text; it is told now."""
        found = [text for one in self.environments if (text := one._sandbox.violations()) is not None]
        return "\n\n".join(found) or None

    def end_test(self) -> None:
        """What happens from now on belongs to the next test."""
        self.hints.update(*(one._sandbox.children.hints for one in self.environments))
        self.environments = [one for one in self.environments if one._sandbox.state != "closed"]
        for environment in self.environments:
            environment._sandbox.end_test()

    def close(self) -> None:
        for environment in self.environments:
            environment._end()
        self.environments.clear()


_SESSION = pytest.StashKey[_Session]()
_sessions: list[_Session] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "lambda_telemetry_port",
        "port of the fake Lambda API that the fixtures of this process share; 0 takes a free one (default: 0)",
        default="0",
    )
    parser.addini(
        "lambda_telemetry_journal_limit",
        "journal entries, and KiB of delivered bytes, that an environment keeps (default: 65536)",
        default="65536",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "lambda_telemetry(**settings): settings of the fake AWS Lambda environment for this test, such as"
        " fidelity='observed', clock='freezegun', strict=False or local_testing=True. The closest mark wins, field by"
        " field, then the lambda_telemetry_settings fixture, then Lambda's defaults.",
    )
    session = config.stash[_SESSION] = _Session(config)
    _sessions.append(session)


def pytest_unconfigure(config: pytest.Config) -> None:
    session = config.stash.get(_SESSION, None)
    if session is None:
        return
    session.close()
    _sessions.remove(session)
    if not _sessions:  # a session run inside a test (pytester) must not take the outer one's server away
        machine = sys.modules.get(f"{__package__}.sandbox.machine")
        if machine is not None:
            machine.MACHINE.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for hint in sorted(config.stash[_SESSION].hints):
        terminalreporter.write_line(f"{SECTION}: {hint}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.pluginmanager.hasplugin("socket") or config.pluginmanager.hasplugin("pytest_socket"):
        from .integrations import pytest_socket

        pytest_socket.prepare(items, pytest.mark)


# -- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def lambda_telemetry_settings() -> Settings:
    """Settings of the fake AWS Lambda environments of this test: override it in a conftest or a test module.

    Returns Lambda's defaults. The mark `@pytest.mark.lambda_telemetry(...)` changes single fields of it for one test,
    class or module.
    """
    from .settings import DEFAULTS

    return DEFAULTS


@pytest.fixture
def lambda_telemetry(request: pytest.FixtureRequest, lambda_telemetry_settings: Settings) -> Iterator[LambdaTelemetry]:
    """A fake AWS Lambda execution environment, which an extension under test finds through AWS_LAMBDA_RUNTIME_API.

    It answers register, next and Subscribe as Lambda does, and refuses what Lambda refuses; the test emits telemetry,
    moves time with `advance(ms=...)`, and reads what was recorded. A refused Subscribe that the test did not expect
    fails it at teardown. Settings: `@pytest.mark.lambda_telemetry(...)`.
    """
    from .environment import LambdaTelemetry

    session = request.config.stash[_SESSION]
    settings = _marked(request.node, lambda_telemetry_settings)
    _set_port(session.port)
    environment = LambdaTelemetry._for_plugin(settings, request.node.nodeid, shared=True, limit=session.journal_limit)
    environment._sandbox.start()
    session.environments.append(environment)
    environment._sandbox.own_environ()
    try:
        yield environment
    finally:
        environment._end()


@pytest.fixture
def async_lambda_telemetry(lambda_telemetry: LambdaTelemetry) -> AsyncLambdaTelemetry:
    """The same environment as `lambda_telemetry` for async tests: calls that wait are coroutines.

    They never block the running event loop, so the extension's listener may live on it. Works with every async plugin:
    the fixture itself is synchronous.
    """
    from .aio import AsyncLambdaTelemetry
    from .host.child_names import choose

    choose()  # what it finds out once per process, by starting one, must not keep a running loop waiting later
    return AsyncLambdaTelemetry._around(lambda_telemetry)


@pytest.fixture(scope="session")
def lambda_telemetry_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., LambdaTelemetry]]:
    """Makes started environments, each at an address of its own: `lambda_telemetry_factory(**settings)`.

    For module- and session-scoped fixtures, or several environments at once. Each is a context manager, owns the
    environment variables between enter and exit, and is closed at the end of the session at the latest. Its strict
    checks and its report section go to the test during which something happened.
    """
    from .environment import LambdaTelemetry
    from .settings import Settings

    session = request.config.stash[_SESSION]
    made: list[LambdaTelemetry] = []

    def make(**settings: Any) -> LambdaTelemetry:  # Any: each setting has a type of its own, checked by Settings
        session.factory_count += 1
        environment = LambdaTelemetry._for_plugin(
            Settings().with_options(settings),
            f"lambda_telemetry_factory-{session.factory_count}",
            shared=False,
            limit=session.journal_limit,
        )
        environment._sandbox.start()
        made.append(environment)
        session.environments.append(environment)
        return environment

    yield make
    for environment in reversed(made):
        environment._end()


def _marked(node: pytest.Item, settings: object) -> Settings:
    from .model.errors import MisuseError
    from .settings import Settings

    __tracebackhide__ = True
    if not isinstance(settings, Settings):
        pytest.fail(f"the fixture lambda_telemetry_settings returned {settings!r}, not a Settings", pytrace=False)
    options: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("lambda_telemetry"))):
        if mark.args:
            pytest.fail(f"@pytest.mark.lambda_telemetry takes settings by name only, not {mark.args!r}", pytrace=False)
        options |= mark.kwargs
    try:
        return settings.with_options(options)
    except MisuseError as error:
        problem = str(error)
    pytest.fail(f"@pytest.mark.lambda_telemetry: {problem}", pytrace=False)


def _set_port(port: int) -> None:
    from .sandbox.machine import MACHINE

    MACHINE.port = port


def _whole_number(config: pytest.Config, name: str, least: int, most: int | None) -> int:
    value = str(config.getini(name))
    number = int(value) if value.isascii() and value.isdigit() else -1
    if number < least or (most is not None and number > most):
        upper = f" to {most}" if most is not None else " or more"
        raise pytest.UsageError(f"{name} = {value!r} is not valid: it must be a whole number, {least}{upper}")
    return number


# -- strictness and the report -----------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    item.config.stash[_SESSION].outcome_is_known = False
    result = yield
    if "lambda_telemetry" not in getattr(item, "fixturenames", ()) and item.get_closest_marker("lambda_telemetry"):
        from .settings import Settings

        _marked(item, Settings())  # nobody else reads the mark of a test without our fixture
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    result = yield
    if item.get_closest_marker("xfail") is not None:  # there a violation is the failure that was expected
        _raise_violations(item.config.stash[_SESSION])
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    session = item.config.stash[_SESSION]
    try:
        for environment in session.environments:
            if environment._sandbox.shared:  # before any fixture's finalizer: it may wait for the extension's thread
                environment._wind_down()
    finally:
        try:
            result = yield
        except BaseException:
            session.outcome_is_known = True
            raise
        finally:
            _settle_environ()
            if session.outcome_is_known:
                session.violations()
    _raise_violations(session)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    session = item.config.stash[_SESSION]
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
    errors = sys.modules.get(f"{__package__}.model.errors")
    last = trace = error.__traceback__
    while trace is not None:
        raised_in = trace.tb_frame.f_globals.get("__name__", "")
        if raised_in.partition(".")[0] not in _BETWEEN:
            last = trace
        trace = trace.tb_next
    ours = errors is not None and isinstance(error, errors.LambdaTelemetryError)
    if last is not None and (ours or raised_in == f"{__package__}.assertions"):
        last.tb_next = None


def _shortened(text: str) -> str:
    lines = text.splitlines()
    if len(lines) <= _SHOWN_LINES:
        return text
    first = f"(the last {_SHOWN_LINES} of {len(lines)} lines; print(lambda_telemetry.timeline()) in the test shows all)"
    return "\n".join([first, *lines[-_SHOWN_LINES:]])


def _settle_environ() -> None:
    """Undo what a `monkeypatch.setenv` over our variables brought back when it was undone after us."""
    environ = sys.modules.get(f"{__package__}.host.environ")
    if environ is not None:
        environ.ENVIRON.settle()


def _raise_violations(session: _Session) -> None:
    from .model.errors import ProtocolViolation

    text = session.violations()
    if text is not None:
        session.raised = ProtocolViolation(text)
        raise session.raised

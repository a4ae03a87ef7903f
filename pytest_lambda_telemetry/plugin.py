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


class _Session:
    """What one pytest session holds: its options and the environments that are open."""

    def __init__(self, config: pytest.Config) -> None:
        self.port = _whole_number(config, "lambda_telemetry_port", 0, 65_535)
        self.journal_limit = _whole_number(config, "lambda_telemetry_journal_limit", 1, None)
        self.environments: list[LambdaTelemetry] = []
        self.factory_count = 0
        self.outcome_is_known = False

    def concerned(self) -> list[LambdaTelemetry]:
        """The environments in which something happened during this test."""
        return [one for one in self.environments if one._sandbox.happened.is_set()]

    def close(self) -> None:
        for environment in self.environments:
            environment._wind_down()
            environment.close()
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
    from .settings import Settings

    return Settings()


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
    environment._sandbox.own_environ()
    session.environments.append(environment)
    try:
        yield environment
    finally:
        environment._wind_down()
        environment.close()


@pytest.fixture
def async_lambda_telemetry(lambda_telemetry: LambdaTelemetry) -> AsyncLambdaTelemetry:
    """The same environment as `lambda_telemetry` for async tests: calls that wait are coroutines.

    They never block the running event loop, so the extension's listener may live on it. Works with every async plugin:
    the fixture itself is synchronous.
    """
    from .aio import AsyncLambdaTelemetry

    return AsyncLambdaTelemetry._around(lambda_telemetry)


@pytest.fixture(scope="session")
def lambda_telemetry_factory(request: pytest.FixtureRequest) -> Callable[..., LambdaTelemetry]:
    """Makes started environments, each at an address of its own: `lambda_telemetry_factory(**settings)`.

    For module- and session-scoped fixtures, or several environments at once. Each is a context manager, owns the
    environment variables between enter and exit, and is closed at the end of the session at the latest. Its strict
    checks and its report section go to the test during which something happened.
    """
    from .environment import LambdaTelemetry
    from .settings import Settings

    session = request.config.stash[_SESSION]

    def make(**settings: Any) -> LambdaTelemetry:  # Any: each setting has a type of its own, checked by Settings
        session.factory_count += 1
        environment = LambdaTelemetry._for_plugin(
            Settings().with_options(settings),
            f"lambda_telemetry_factory-{session.factory_count}",
            shared=False,
            limit=session.journal_limit,
        )
        environment._sandbox.start()
        session.environments.append(environment)
        return environment

    return make


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
        pytest.fail(f"@pytest.mark.lambda_telemetry: {error}", pytrace=False)


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
    session = item.config.stash[_SESSION]
    session.outcome_is_known = False
    for environment in session.environments:
        environment._sandbox.happened.clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    result = yield
    if item.get_closest_marker("xfail") is not None:  # there a violation is the failure that was expected
        _raise_violations(item.config.stash[_SESSION])
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    session = item.config.stash[_SESSION]
    for environment in session.environments:
        if environment._sandbox.shared:
            environment._wind_down()
    result = yield
    _settle_environ()
    if session.outcome_is_known:
        _forget_violations(session)
    else:
        _raise_violations(session)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    session = item.config.stash[_SESSION]
    if call.excinfo is not None:
        session.outcome_is_known = True
        if report.failed:
            for environment in session.concerned():
                report.sections.append((SECTION, environment.timeline()))
    if call.when == "teardown":
        session.environments = [one for one in session.environments if one._sandbox.state != "closed"]
    return report


def _settle_environ() -> None:
    """Undo what a `monkeypatch.setenv` over our variables brought back when it was undone after us."""
    environ = sys.modules.get(f"{__package__}.host.environ")
    if environ is not None:
        environ.ENVIRON.settle()


def _raise_violations(session: _Session) -> None:
    from .model.errors import ProtocolViolation

    __tracebackhide__ = True
    found = [text for one in session.concerned() if (text := one._sandbox.violations()) is not None]
    if found:
        raise ProtocolViolation("\n\n".join(found))


def _forget_violations(session: _Session) -> None:
    for environment in session.concerned():
        environment._sandbox.violations()

"""The fixtures. Each loads what it needs on first use: the plugin is imported in every session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

from .session import SESSION

if TYPE_CHECKING:
    from ..aio import AsyncLambdaTelemetry
    from ..environment import LambdaTelemetry
    from ..sandbox.backend import Backend
    from ..settings import Settings
    from ..story.scenario import Scenario
    from .factory import LambdaTelemetryFactory
    from .scenarios import Invalid


@pytest.fixture
def lambda_telemetry_settings() -> Settings:
    """Settings of the fake AWS Lambda environments of this test: override it in a conftest or a test module.

    Returns Lambda's defaults. The mark `@pytest.mark.lambda_telemetry(...)` changes single fields of it for one test,
    class or module.
    """
    from ..settings import DEFAULTS

    return DEFAULTS


@pytest.fixture
def _lambda_telemetry_scenario(request: pytest.FixtureRequest) -> Scenario | None:
    """The scenario that the test runs under, of its mark lambda_telemetry_scenarios."""
    scenario: Scenario | Invalid | None = getattr(request, "param", None)
    message = getattr(scenario, "message", None)
    if message is None and scenario is None and request.node.get_closest_marker("lambda_telemetry_scenarios"):
        message = (
            "@pytest.mark.lambda_telemetry_scenarios is on a test that pytest cannot parametrize: name the fixture"
            " lambda_telemetry (or async_lambda_telemetry) among its arguments, or those of its fixtures"
        )
    if message is not None:
        pytest.fail(message, pytrace=False)
    return cast("Scenario | None", scenario)


@pytest.fixture
def lambda_telemetry(
    request: pytest.FixtureRequest, lambda_telemetry_settings: Settings, _lambda_telemetry_scenario: Scenario | None
) -> Iterator[LambdaTelemetry]:
    """A fake AWS Lambda execution environment, which an extension under test finds through AWS_LAMBDA_RUNTIME_API.

    It answers register, next and Subscribe as Lambda does, and refuses what Lambda refuses; the test emits telemetry,
    moves time with `advance(ms=...)`, and reads what was recorded. A refused Subscribe that the test did not expect
    fails it at teardown. Settings: `@pytest.mark.lambda_telemetry(...)`.
    """
    from ..environment import over
    from ..model.errors import MisuseError
    from ..sandbox.assembly import assemble
    from ..sandbox.process_wide import SHARED_SERVER

    session = request.config.stash[SESSION]
    settings, scenario = marked(request.node, lambda_telemetry_settings), _lambda_telemetry_scenario
    if scenario is not None:
        from .scenarios import settled

        settings = settled(scenario, settings, options_of(request.node))
    SHARED_SERVER.port = session.port
    try:
        sandbox = assemble(settings, request.node.nodeid, shared=True, limit=session.journal_limit, scenario=scenario)
    except MisuseError as error:
        if scenario is None:
            raise
        pytest.fail(f"scenario {scenario.name!r}: {error}", pytrace=False)
    session.sandboxes.append(sandbox)
    sandbox.enter()
    try:
        yield over(sandbox)
    finally:
        sandbox.end()


@pytest.fixture
def async_lambda_telemetry(lambda_telemetry: LambdaTelemetry) -> AsyncLambdaTelemetry:
    """The same environment as `lambda_telemetry` for async tests: calls that wait are coroutines.

    They never block the running event loop, so the extension's listener may live on it. Works with every async plugin:
    the fixture itself is synchronous.
    """
    from ..aio import alongside
    from ..host.child_names import choose

    choose()  # what it finds out once per process, by starting one, must not keep a running loop waiting later
    return alongside(lambda_telemetry)


@pytest.fixture
def lambda_telemetry_backend(lambda_telemetry: LambdaTelemetry) -> Backend:
    """A fake backend for what the extension sends on, at `lambda_telemetry_backend.url`: `lambda_telemetry.backend()`.

    It takes any request, records it in `requests`, and answers 200, or what the test says with `respond`, `fail_next`
    and `hold`. In async tests, `async_lambda_telemetry.backend()` is the same one with an awaited `wait_for`.
    """
    return lambda_telemetry.backend()


@pytest.fixture(scope="session")
def lambda_telemetry_factory(request: pytest.FixtureRequest) -> Iterator[LambdaTelemetryFactory]:
    """Makes started environments, each at an address of its own: `lambda_telemetry_factory(**settings)`.

    For module- and session-scoped fixtures, or several environments at once. Each is a context manager, owns the
    environment variables between enter and exit, and is closed at the end of the session at the latest. Its strict
    checks and its report section go to the test during which something happened. With `asynchronous=True` it is an
    AsyncLambdaTelemetry, for `async with`. Settings that are not passed are those that `lambda_telemetry_settings`
    gives the test during which the environment is made; marks concern the test's own environment alone.
    """
    from .factory import Factory

    factory = Factory(request.config.stash[SESSION])
    yield cast("LambdaTelemetryFactory", factory)  # one body for both of its overloads
    factory.close()


def marked(node: pytest.Item, settings: object) -> Settings:
    """The settings of a test, with its marks. Fails the test for a mark that is not valid."""
    from ..model.errors import MisuseError
    from ..settings import Settings

    __tracebackhide__ = True
    if not isinstance(settings, Settings):
        pytest.fail(f"the fixture lambda_telemetry_settings returned {settings!r}, not a Settings", pytrace=False)
    try:
        return settings.with_options(options_of(node))
    except MisuseError as error:
        problem = str(error)
    pytest.fail(f"@pytest.mark.lambda_telemetry: {problem}", pytrace=False)


def options_of(node: pytest.Item) -> dict[str, Any]:
    """The settings that the marks of a test choose, field by field the closest mark's."""
    __tracebackhide__ = True
    options: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("lambda_telemetry"))):
        if mark.args:
            pytest.fail(f"@pytest.mark.lambda_telemetry takes settings by name only, not {mark.args!r}", pytrace=False)
        options |= mark.kwargs
    return options

"""What `lambda_telemetry_factory` is: environments of wider scopes, or several at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, Unpack, overload

from ..environment import LambdaTelemetry, over
from ..model.checks import is_flag, repr_of, require
from ..model.errors import MisuseError
from ..sandbox.assembly import assemble
from ..settings import DEFAULTS, Settings, SettingsOptions
from .session import Session

if TYPE_CHECKING:
    from ..aio import AsyncLambdaTelemetry
    from ..sandbox.sandbox import Sandbox

SETTINGS_FIXTURE = "lambda_telemetry_settings"
_CIRCLE = (
    f"the fixture {SETTINGS_FIXTURE} needs an environment of lambda_telemetry_factory, whose settings it is to give;"
    " leave one of the two out"
)


class LambdaTelemetryFactory(Protocol):
    """The type of the fixture `lambda_telemetry_factory`: settings by name in, a started environment out."""

    @overload
    def __call__(
        self, *, asynchronous: Literal[False] = False, **settings: Unpack[SettingsOptions]
    ) -> LambdaTelemetry: ...
    @overload
    def __call__(self, *, asynchronous: Literal[True], **settings: Unpack[SettingsOptions]) -> AsyncLambdaTelemetry: ...


class Factory:
    """Of one session; it ends what it made."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._made: list[Sandbox] = []
        self._base = DEFAULTS
        self._looking = False

    def __call__(
        self,
        *positional: object,
        asynchronous: bool = False,
        **settings: Any,  # each has a type of its own, checked by Settings
    ) -> LambdaTelemetry | AsyncLambdaTelemetry:
        if positional:
            raise MisuseError(
                f"lambda_telemetry_factory takes settings by name only, not {repr_of(positional)}; pass them as in"
                " lambda_telemetry_factory(strict=False)"
            )
        require(is_flag(asynchronous), "asynchronous", asynchronous, "True or False")
        environment = over(self._assemble(settings))
        if not asynchronous:
            return environment
        from ..aio import alongside

        return alongside(environment)

    def _assemble(self, settings: Mapping[str, Any]) -> Sandbox:
        session, chosen = self._session, self._settings().with_options(settings)
        session.factory_count += 1
        sandbox = assemble(chosen, f"lambda_telemetry_factory-{session.factory_count}", limit=session.journal_limit)
        self._made = [*(one for one in self._made if not one.closed), sandbox]
        session.sandboxes.append(sandbox)
        return sandbox

    def _settings(self) -> Settings:
        """What the settings fixture gives the test that runs now; between two tests what it gave last.

        The factory outlives every test, and that fixture is made anew for each: so it is the running test that is
        asked, whatever the scope of the fixture that calls us.
        """
        request = getattr(self._session.item, "_request", None)  # an item of another kind has no fixtures
        if request is None:
            return self._base
        if self._looking:
            raise MisuseError(_CIRCLE)
        self._looking = True
        try:
            found: object = request.getfixturevalue(SETTINGS_FIXTURE)
        except AssertionError as error:
            if _is_pytests(error):  # it is asked for a fixture that it is just making
                raise MisuseError(_CIRCLE) from None
            raise
        finally:
            self._looking = False
        if not isinstance(found, Settings):
            raise MisuseError(
                f"the fixture {SETTINGS_FIXTURE} returned {repr_of(found)}, not a Settings; use Settings(…)"
            )
        self._base = found
        return found

    def close(self) -> None:
        """End every environment, the latest first."""
        for sandbox in reversed(self._made):
            sandbox.end()


def _is_pytests(error: BaseException) -> bool:
    """It was raised by pytest, not by a fixture."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("_pytest.")

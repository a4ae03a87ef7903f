"""What stands before the calls of a test: it is open, no loop is blocked, one turn at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from .engine.recordings import Progress
from .model import checks
from .model.errors import MisuseError
from .recorded import Recorded
from .sandbox.loops import in_event_loop
from .sandbox.sandbox import Sandbox
from .settings import Settings


class Guarded(Recorded):
    """An environment whose calls are let through, or refused with a MisuseError that says why."""

    def _require_open(self) -> Sandbox:
        sandbox = self._sandbox
        if sandbox.closed:
            raise MisuseError("this environment is closed: its test is over; what it recorded can still be read")
        sandbox.cover_mocks()
        return sandbox

    def _forbid_blocking(self, what: str) -> Sandbox:
        sandbox = self._require_open()
        self._refuse_loop(what)
        return sandbox

    def _refuse_loop(self, what: str) -> None:
        if in_event_loop():
            how = "async with" if what in ("invocation()", "expect_rejection()") else "await"
            raise MisuseError(
                f"{what} would block the running event loop, and with it a listener on that loop; use the"
                " async_lambda_telemetry fixture, or AsyncLambdaTelemetry(Settings(…)) where there is none, and"
                f" {how} {what}"
            )

    @contextmanager
    def _driving(self, what: str) -> Iterator[dict[Progress, None]]:
        sandbox = self._forbid_blocking(what)
        with sandbox.turns.hold(what) as attempted:
            sandbox.engine.catch_up()
            yield attempted

    @contextmanager
    def _waiting(self, what: str) -> Iterator[None]:
        self._forbid_blocking(what)
        self._sandbox.children.pump()
        yield


def checked(settings: object, whose: str) -> Settings:
    """What an environment is made of. Raises MisuseError."""
    if not isinstance(settings, Settings):
        raise MisuseError(f"{whose} takes a Settings, not {checks.repr_of(settings)}: {whose}(Settings(strict=False))")
    return settings

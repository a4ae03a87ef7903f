"""What every call of a test comes by: is it open, may it block here, whose turn is it, what is there to warn of."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from .engine.recordings import Progress
from .model import checks
from .model.errors import MisuseError
from .recorded import Recorded
from .sandbox.loops import in_event_loop
from .sandbox.sandbox import Sandbox
from .settings import Settings

T = TypeVar("T")


class Guarded(Recorded):
    """The half of LambdaTelemetry that guards its calls. Each raises MisuseError where a call cannot be made."""

    def _require_open(self) -> Sandbox:
        sandbox = self._sandbox
        sandbox.require_open()
        sandbox.cover_mocks()
        return sandbox

    def _forbid_blocking(self, what: str) -> Sandbox:
        sandbox = self._require_open()
        self._refuse_loop(what)
        return sandbox

    def _refuse_loop(self, what: str) -> None:
        if in_event_loop():
            how = "async with" if what in ("invocation()", "expect_rejection()", "fresh()") else "await"
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
        sandbox.suspicions.tell_here()

    @contextmanager
    def _waiting(self, what: str) -> Iterator[None]:
        self._forbid_blocking(what)
        self._sandbox.children.pump()
        yield
        self._sandbox.suspicions.tell_here()

    @contextmanager
    def _telling(self, block: AbstractContextManager[T]) -> Iterator[T]:
        with block as entered:
            yield entered
        self._sandbox.suspicions.tell_here()


def checked(settings: object, whose: str) -> Settings:
    """What an environment is made of. Raises MisuseError."""
    if not isinstance(settings, Settings):
        raise MisuseError(f"{whose} takes a Settings, not {checks.repr_of(settings)}: {whose}(Settings(strict=False))")
    return settings

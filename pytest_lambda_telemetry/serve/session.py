"""One server's environments, one after the other: begun, ended, and called."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

from ..model.errors import MisuseError, ProtocolViolation
from ..settings import Settings, SettingsOptions
from ..wire.server import Server
from . import given as arguments
from .given import Argument
from .hangups import HangUps
from .members import Kind
from .operations import ROOT, Given, Operation, refuse_options
from .round import Round

OnKeeper = Callable[[Callable[[], Any]], Any]
"""Has something done on the thread that owns the environments' time, and returns its result."""

RESET = f"{ROOT}/reset"
END = f"{ROOT}/end"
CLOSE = f"{ROOT}/close"
"""What ends environments: no call may run beside it."""


class Session:
    """`server` is the extensions' side, `base` what every environment begins with.

    `on_keeper` carries out what begins and ends environments, on a thread that makes no calls.
    """

    def __init__(self, server: Server, base: Settings, on_keeper: OnKeeper) -> None:
        self._server = server
        self._base = base
        self._on_keeper = on_keeper
        self._hang_ups = HangUps()
        self._lock = threading.Lock()
        self._round = Round(base, server, self._hang_ups)

    @property
    def env(self) -> dict[str, str]:
        """The variables of an extension's process."""
        return self._round.environment.env

    def call(
        self, operation: Operation, identifier: str, given: Given, alive: Callable[[], bool], told: list[str]
    ) -> object:
        """Carry out a call; `told` gets what is suspicious, unless it only reads."""
        if operation.path == RESET:
            return self._reset(given, told)
        if operation.path in (END, CLOSE):
            return self._end(operation.path, given, told)
        with self._lock:  # while another one begins it is waited for
            round = self._round
        try:
            if operation.kind is Kind.READ:
                return operation.run(round, identifier, given)
            return round.call(operation.kind, lambda: operation.run(round, identifier, given), alive)
        finally:
            if operation.kind is not Kind.READ:
                told += round.warnings()

    def _reset(self, given: Mapping[str, Any], told: list[str]) -> object:
        settings = arguments.settings(self._base, given)
        with self._lock:
            violations = self._on_keeper(lambda: self._finish(told))
            self._round = self._on_keeper(lambda: Round(settings, self._server, self._hang_ups))
            environment = self._round.environment
        return {"runtime_api": environment.runtime_api, "env": environment.env, "violations": violations}

    def _end(self, path: str, given: Mapping[str, Any], told: list[str]) -> object:
        refuse_options(f"POST {path}", given)
        with self._lock:
            violations = self._on_keeper(lambda: self._finish(told, at_once=path == CLOSE))
            self._round.reopen()
        if violations is not None:
            raise ProtocolViolation(violations)
        return None

    def _finish(self, told: list[str], *, at_once: bool = False) -> str | None:
        self._round.cut_short()
        if at_once:
            self._round.sandbox.close()
            return None
        violations, suspicions = self._round.finish()
        told += suspicions
        return violations

    def close(self) -> tuple[str | None, list[str]]:
        """End everything, on the keeper's thread; what nobody was told of."""
        told: list[str] = []
        violations = self._finish(told)
        self._hang_ups.close()
        return violations, told


def session_operations() -> Iterator[Operation]:
    """The calls that begin and end environments."""
    settings = tuple(Argument(name, hint, None) for name, hint in get_type_hints(SettingsOptions).items())
    yield Operation("POST", RESET, Kind.NOW, _RESET_TEXT, settings, dict[str, Any], _elsewhere)
    yield Operation("POST", END, Kind.NOW, _END_TEXT, (), None, _elsewhere)


_RESET_TEXT = """Begin a fresh environment with these settings, at the same address.

The one before it is ended, if it was not yet: calls that still run are answered 503, children end. `violations` is what
its extension did wrong and nobody was told of, null if nothing; POST /v1/end makes an error of it. What is not given is
as on the server's command line."""
_END_TEXT = """End the environment, as leaving a `with LambdaTelemetry()` block does.

Whoever waits on next gets SHUTDOWN, children end. Answers 409 with everything that the extension did wrong and nobody
was told of. What was recorded can be read until the next reset; all other calls are a misuse."""


def _elsewhere(_round: Round, _identifier: str, _given: Given) -> object:
    raise MisuseError("this call concerns the session")  # pragma: no cover

"""The fake backends of one environment: made on first use, one for each name, and there until it closes."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from threading import Condition
from typing import get_args

from ..backend.intake import Intake, Journal
from ..model.backend import BackendFact
from ..model.checks import is_flag, is_text, require
from ..model.errors import MisuseError
from ..model.facts import Fact, Froze
from .plan import Plan

_FACTS = get_args(BackendFact)


class Backends:
    """`lock` is the environment's. `share` is told the variables that clients of a backend with TLS need."""

    def __init__(
        self,
        *,
        lock: Condition,
        journal: Journal,
        one_moment: Callable[[], AbstractContextManager[datetime]],
        plan: Plan,
        limit: int,
        share: Callable[[Mapping[str, str]], None],
    ) -> None:
        self.ca_file: str | None = None
        self._lock = lock
        self._journal = journal
        self._one_moment = one_moment
        self._plan = plan
        self._limit = limit
        self._share = share
        self._intakes: dict[str, Intake] = {}
        self._undo = ExitStack()
        self._closed = False

    def get(self, name: object, tls: object) -> Intake:
        """The backend of this name. Raises MisuseError; also where there is one already and `tls` differs."""
        require(is_text(name), "name", name, "a non-empty str")
        require(is_flag(tls), "tls", tls, "True or False")
        assert isinstance(name, str)
        with self._lock:
            intake = self._intakes.get(name)
            if intake is None:
                if self._closed:  # meanwhile, by another thread
                    raise MisuseError("this environment is closed: there is no backend any more; ask for it earlier")
                intake = self._intakes[name] = self._make(name, tls is True)
        if intake.tls is not tls:
            raise MisuseError(
                f"backend {name!r} was made with tls={intake.tls}, and there is one of each name; ask for it with"
                f" tls={intake.tls}, or give the other one a name of its own"
            )
        return intake

    def _make(self, name: str, tls: bool) -> Intake:
        context = None
        if tls:
            from ..backend import certificates  # ssl is slow to import, and few ask for it

            context = certificates.server_context()
            if self.ca_file is None:
                self.ca_file, remove = certificates.write_authority()
                self._undo.callback(remove)
                self._share(dict.fromkeys(certificates.VARIABLES, self.ca_file))
        return Intake(
            name,
            lock=self._lock,
            journal=self._journal,
            one_moment=self._one_moment,
            misfortunes=self._plan,
            limit=self._limit,
            tls=context,
        )

    def take(self, fact: Fact) -> None:
        """Fold in one fact; the caller holds the lock."""
        if not self._intakes:
            return
        if isinstance(fact, _FACTS):
            self._intakes[fact.backend].received.take(fact)
        elif isinstance(fact, Froze):
            for intake in self._intakes.values():
                intake.froze()

    @property
    def there(self) -> bool:
        """The test has asked for one."""
        return bool(self._intakes)

    def listens_at(self, port: int) -> bool:
        """One of them does."""
        return any(intake.port == port for intake in tuple(self._intakes.values()))

    def close(self) -> None:
        """End all of them; the caller does not hold the lock. What was recorded can still be read."""
        with self._lock:
            self._closed = True
        for intake in self._intakes.values():
            intake.close()
        self._undo.close()

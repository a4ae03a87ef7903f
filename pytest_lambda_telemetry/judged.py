"""The backend of an environment, and whether everything has reached it."""

from collections.abc import Sequence

from .guarded import Guarded
from .recorded import Target
from .sandbox import verdicts
from .sandbox.backend import Backend
from .sandbox.verdicts import Dropped, RecordKey, Seen
from .views.verdicts import Verdict


class Judged(Guarded):
    """An environment with fake backends, which says what became of every record."""

    def backend(self, name: str = "backend", *, tls: bool = False) -> Backend:
        """A fake intake for what the extension sends on; made on first use, one for each name, on a port of its own.

        `tls=True` needs the extra `tls` (trustme). Raises MisuseError where there is one of this name with another tls.
        """
        return Backend(self._require_open(), name, tls)

    def assert_exactly_once(
        self,
        types: Sequence[str] = ("function",),
        *,
        to: Target | None = None,
        key: RecordKey | None = None,
        seen: Seen | None = None,
        dropped: Dropped = "excused",
        timeout: float = 5.0,
    ) -> None:
        """Every emitted record of these event types was seen at the backend, and none of them twice.

        Waits, in real seconds, for what is on its way; not after `shutdown`. Each occurrence in a request that was
        answered 2xx counts, but not in one that repeats the `Idempotency-Key` of such a request: a backend that knows
        it (draft-ietf-httpapi-idempotency-key-header) does not take it twice. `key` gives what an event is known by
        there (str or bytes). `seen` stands for the backend's requests: bytes, str, objects with `.content` or `.body`,
        pairs of one and its response or status, what has a list of them (a route of respx, a mocker, an HTTPServer), or
        a callable that returns any of it. What Lambda dropped for want of room is excused, or counts as lost.

        Raises AssertionError that groups the records by cause and shows where each trail ends; MisuseError where
        records cannot be told apart; LambdaTelemetryError where the journal's limit made it forget some.
        """
        self._judge("exactly once", types, to=to, key=key, seen=seen, dropped=dropped, timeout=timeout)

    def assert_at_least_once(
        self,
        types: Sequence[str] = ("function",),
        *,
        to: Target | None = None,
        key: RecordKey | None = None,
        seen: Seen | None = None,
        dropped: Dropped = "excused",
        timeout: float = 5.0,
    ) -> None:
        """Every emitted record of these event types was seen at the backend; see `assert_exactly_once`."""
        self._judge("at least once", types, to=to, key=key, seen=seen, dropped=dropped, timeout=timeout)

    def _judge(
        self,
        verdict: Verdict,
        types: object,
        *,
        to: object,
        key: object,
        seen: object,
        dropped: object,
        timeout: object,
    ) -> None:
        """Of a closed environment what was recorded is judged: nothing is waited for."""
        if not self._sandbox.closed:
            self._refuse_loop(f"assert_{verdict.replace(' ', '_')}()")
            self._sandbox.children.pump()
        of_types = self._event_types(types)
        verdicts.judge_records(
            self._sandbox, verdict, of_types, to=to, key=key, seen=seen, dropped=dropped, timeout=timeout
        )

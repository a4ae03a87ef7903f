"""What a test waits for of extensions, and what it does in the place of one."""

from collections.abc import Callable, Sequence

from .judged import Judged
from .model.records import Buffering, BufferingOptions, Extension, Subscription
from .protocol.schema import LifecycleEvent, SchemaVersion, TelemetryType


class ExtensionSide(Judged):
    """An environment with extensions in it."""

    # -- waiting -------------------------------------------------------------------------------------------------------

    def wait_for_extension(self, name: str | None = None, timeout: float = 5.0) -> Extension:
        """Wait, in real seconds, until an extension has registered.

        Raises WaitTimeout, which says what was seen instead; at once when a refusal that nobody expected, or the end of
        its process, shows that it will not come.
        """
        with self._waiting("wait_for_extension()"):
            return self._sandbox.waits.extension(name, timeout)

    def wait_for_subscription(self, name: str | None = None, timeout: float = 5.0) -> Subscription:
        """Wait until an extension's subscription was accepted; raises as `wait_for_extension` does."""
        with self._waiting("wait_for_subscription()"):
            return self._sandbox.waits.subscription(name, timeout)

    def wait_until_ready(self, name: str | None = None, timeout: float = 5.0) -> Extension:
        """Wait until an extension (without `name`: every one that registered) asks for its next event."""
        with self._waiting("wait_until_ready()"):
            return self._sandbox.waits.ready(name, timeout)

    def wait_until(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """Wait until `predicate()` is true; raises as `wait_for_extension` does."""
        with self._waiting("wait_until()"):
            self._sandbox.waits.until(predicate, timeout)

    # -- acting as the extension ---------------------------------------------------------------------------------------

    def register(
        self, name: str = "test-extension", events: Sequence[LifecycleEvent] = ("INVOKE", "SHUTDOWN")
    ) -> Extension:
        """Register by hand, for tests of a listener alone. Raises MisuseError where Lambda would refuse."""
        self._require_open()
        return self._sandbox.stand_in.register(name, events)

    def subscribe(
        self,
        uri: str | None = None,
        types: Sequence[TelemetryType] = ("platform", "function", "extension"),
        schema_version: SchemaVersion = "2025-01-29",
        buffering: Buffering | BufferingOptions | None = None,
        name: str = "test-extension",
        *,
        port: int | None = None,
    ) -> Subscription:
        """Subscribe by hand: `uri` for HTTP, `port` for TCP; `name` is registered if it is not yet.

        Loopback destinations are allowed. `buffering` is a Buffering or the wire's dict. Raises MisuseError where
        Lambda would refuse. Brings none of Lambda's own events.
        """
        self._require_open()
        return self._sandbox.stand_in.subscribe(uri, types, schema_version, buffering, name, port)

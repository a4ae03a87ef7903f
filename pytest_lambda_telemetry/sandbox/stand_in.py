"""The test acts as an extension: it registers and subscribes through the same validation, without a socket."""

from threading import Condition

from ..api.desk import Desk
from ..api.parties import Extensions
from ..model.checks import require, texts
from ..model.errors import MisuseError
from ..model.facts import Outcome, Refused, Registered, Subscribed
from ..model.records import Extension, Subscription
from ..protocol.profiles import Profile
from . import arguments


class StandIn:
    """For tests of a listener alone. Every refusal is a MisuseError: it is the test's own doing."""

    def __init__(self, lock: Condition, desk: Desk, extensions: Extensions, profile: Profile) -> None:
        self._lock = lock
        self._desk = desk
        self._extensions = extensions
        self._profile = profile

    def register(self, name: str, events: object) -> Extension:
        """See LambdaTelemetry.register."""
        require(isinstance(name, str), "name", name, "the name of an extension, a str")
        wanted = tuple(texts("events", events, "events"))
        with self._lock:
            outcome = self._desk.register(name, wanted)
        if isinstance(outcome, Registered):
            return outcome.extension
        raise MisuseError(f"Lambda would refuse register({name!r}): {_told(outcome)}")

    def subscribe(
        self, uri: object, types: object, schema_version: object, buffering: object, name: str, port: object
    ) -> Subscription:
        """See LambdaTelemetry.subscribe."""
        body = arguments.subscription(uri, types, schema_version, buffering, port)
        require(isinstance(name, str), "name", name, "the name of an extension, a str")
        with self._lock:
            known = self._extensions.by_name(name)
            extension_id = known.extension_id if known else self.register(name, self._usual_events()).extension_id
            outcome = self._desk.subscribe(name, extension_id, body)
        if isinstance(outcome, Subscribed):
            return outcome.subscription
        if outcome is None:
            raise MisuseError("with local_testing=True Lambda answers 202 and nothing is ever subscribed")
        raise MisuseError(f"Lambda would refuse this subscription: {_told(outcome)}")

    def repeat(self, name: str, subscription: Subscription) -> None:
        """The same subscription in another execution environment, by the extension of this name."""
        with self._lock:
            known = self._extensions.by_name(name)
            assert known is not None, name
            self._desk.subscribe(name, known.extension_id, subscription.body)

    def _usual_events(self) -> tuple[str, ...]:
        """What an extension registers for; on Managed Instances there is no INVOKE."""
        return ("SHUTDOWN",) if self._profile.managed_instances else ("INVOKE", "SHUTDOWN")


def _told(outcome: Outcome) -> str:
    assert isinstance(outcome, Refused), outcome
    rules = "".join(f"\n  {rule}" for _, rule in outcome.rules)
    return f"{outcome.status} {outcome.error_type}: {outcome.message}{rules}"

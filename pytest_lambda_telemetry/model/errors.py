"""What can go wrong, named by whose fault it is."""


class LambdaTelemetryError(Exception):
    """The base of every error this package raises itself."""


class MisuseError(LambdaTelemetryError):
    """The test asked for something that cannot be: a wrong argument, order of calls, thread or loop."""


class ProtocolViolation(LambdaTelemetryError, AssertionError):
    """The extension under test broke the contract with Lambda."""


class DoesNotApply(LambdaTelemetryError):
    """The scenario that a test runs under cannot happen in it: the test is skipped, with this reason."""


class WaitTimeout(LambdaTelemetryError, TimeoutError):
    """A bounded wait ended without what it waited for; the message says what was seen instead."""


class LambdaTelemetryWarning(UserWarning):
    """What is suspicious, and no violation: each cause once, at the line of the test, or when the test ends.

    An unknown field in `destination` or `buffering`; next asked for before runtimeDone, with telemetry left behind at
    the freeze; silence after a 202; `emit` after init that reaches nobody; a fault or refusal that was never used; an
    async call that was never awaited. The first three concern the extension, and come where `strict` is on.
    """


for _error in (LambdaTelemetryError, LambdaTelemetryWarning, MisuseError, ProtocolViolation, WaitTimeout):
    _error.__module__ = __name__.partition(".")[0]  # reports show the name that users import
